//! Effects on a plan: reads it, compares it with the stored keys and applies it.

use std::path::PathBuf;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::recovery::recover_interrupted;
use super::shared_store::write_shared_records;
use super::{EffectRunner, actions, send_message};
use crate::domain::{KeyRequest, ProvisioningEvent, UserError, io_error_text};
use crate::platform::blocking_call::run_blocking;
use crate::services::config;
use crate::services::diagnostic::Diagnostic;
use crate::services::keys::{self, BatchControls, ItemResult, Progress};
use crate::services::plan::{self, KeyDiff, NamesError};
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};
use crate::tui::state::{PlanComparison, PlanStatus, PlannedKey, Response, Ticket};

/// Maximum number of problems of a plan that are shown.
const MAX_PROBLEMS: usize = 100;

impl EffectRunner {
    pub(super) fn read_plan(&self, ticket: Ticket, path: String) {
        let now = self.clock.now();
        self.spawn_request(ticket, move |services, _| async move {
            let plan = async {
                let services_copy = services.clone();
                let keys = run_blocking(move || load_plan(&services_copy, &path, now)).await;
                let keys = keys.unwrap_or_else(|| Err(vec!["the plan cannot be read".into()]))?;
                let (_, auth_description) = choose_batch_auth_method(&services, &|_| {}).await;
                Ok(PlanComparison { keys, auth_description })
            };
            Response::PlanLoaded(plan.await)
        });
    }

    pub(super) fn apply_plan(&mut self, ticket: Ticket, requests: Vec<KeyRequest>) {
        let ProvisioningControls { cancel: mut cancelled, pasted_codes } =
            self.register_run(ticket);
        let (command_sender, commands) = mpsc::channel(4);
        if let Some(run) = self.runs.get_mut(&ticket) {
            run.batch_commands = Some(command_sender);
        }
        self.spawn_request(ticket, move |services, responder| async move {
            let report = |event| responder.report(event);
            let report_waiting = |holder: Option<&str>| {
                let holder = holder.map_or(String::new(), |holder| format!(" by {holder}"));
                report(ProvisioningEvent::Notice(format!(
                    "another apply{holder} is running; waiting until it ends"
                )));
            };
            let lock = match keys::lock_apply(&services, &mut cancelled, report_waiting).await {
                Ok(Some(lock)) => lock,
                Ok(None) => return Response::PlanApplied(None),
                Err(error) => {
                    return Response::PlanApplied(Some(error.to_user_error()));
                }
            };
            let report_finished = |label, result, warning| {
                responder.send(Response::ItemFinished { label, result, warning });
            };
            // Interrupted attempts are finished first; otherwise a key whose code was already received
            // would be created twice.
            send_message(&responder.results, recover_interrupted(&services).await);
            // Keys may have been stored since the plan was read.
            let mut missing = Vec::new();
            for (request, diff) in match compare_with_stored_keys(&services, requests) {
                Ok(diffs) => diffs,
                Err(error) => return Response::PlanApplied(Some(error)),
            } {
                match diff {
                    KeyDiff::Missing => missing.push(request),
                    KeyDiff::Unchanged(stored_key)
                    | KeyDiff::Differs { stored: stored_key, .. } => {
                        report_finished(request.label, Ok(stored_key), None);
                    }
                    KeyDiff::OtherAccount(key) => {
                        report_finished(request.label, Err(key.other_account_error()), None);
                    }
                    KeyDiff::Pending(unresolved) => {
                        report_finished(request.label, Err(keys::pending_error(&unresolved)), None);
                    }
                }
            }
            let (method, _) = choose_batch_auth_method(&services, &report).await;
            let on_progress = |progress: Progress<'_>| match progress {
                Progress::ItemStarted { label, .. } => {
                    responder.send(Response::ItemStarted(label.clone()));
                }
                Progress::Provisioning(event) => report(event),
                Progress::ItemFinished(ItemResult { label, result, warning, .. }) => {
                    report_finished(label.clone(), result.clone(), warning.clone());
                }
            };
            let controls = BatchControls { commands, pasted_codes };
            keys::create_keys(&missing, method, &services, controls, &on_progress).await;
            // Written before the lock is released, so that the next batch reads them.
            write_shared_records(&services, &responder.results).await;
            drop(lock);
            Response::PlanApplied(None)
        });
    }
}

/// Reads a plan and compares it with the stored keys. Returns the problems if it is invalid.
fn load_plan(
    services: &ServiceContext,
    path: &str,
    now: Timestamp,
) -> Result<Vec<PlannedKey>, Vec<String>> {
    let path = config::expand_home(PathBuf::from(path)).map_err(|problem| vec![problem])?;
    let bytes = plan::read_plan_file(&path).map_err(|error| {
        vec![format!("the plan {} cannot be read: {}", path.display(), io_error_text(&error))]
    })?;
    let list_problems = |diagnostics: Vec<Diagnostic>| {
        let more = diagnostics.len().saturating_sub(MAX_PROBLEMS);
        let problems = diagnostics.iter().take(MAX_PROBLEMS).map(ToString::to_string);
        problems.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>()
    };
    let list_lines = |error: UserError| {
        let lines = [error.message, error.meaning, error.advice];
        lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()
    };
    let plan = plan::parse(&bytes, &services.key_defaults, now).map_err(list_problems)?;
    // This thread may block, so it waits for the account's lists here.
    let names = plan::resolve_names(plan, services);
    let plan = Handle::current().block_on(names).map_err(|error| match error {
        NamesError::Invalid(diagnostics) => list_problems(diagnostics),
        NamesError::Unavailable(error) => list_lines(error),
    })?;
    let diffs = compare_with_stored_keys(services, plan).map_err(list_lines)?;
    let planned = diffs.into_iter().map(|(request, diff)| PlannedKey {
        request,
        status: match diff {
            KeyDiff::Missing => PlanStatus::ToCreate,
            KeyDiff::Unchanged(_) => PlanStatus::Unchanged,
            KeyDiff::Differs { differences, .. } => {
                let descriptions: Vec<_> = differences.iter().map(ToString::to_string).collect();
                PlanStatus::Differs(descriptions.join("; "))
            }
            KeyDiff::OtherAccount(key) => PlanStatus::Failed(key.other_account_error()),
            KeyDiff::Pending(unresolved) => PlanStatus::Failed(keys::pending_error(&unresolved)),
        },
    });
    Ok(planned.collect())
}

fn compare_with_stored_keys(
    services: &ServiceContext,
    plan: Vec<KeyRequest>,
) -> Result<Vec<(KeyRequest, KeyDiff)>, UserError> {
    let stored_keys = services.list_keys()?;
    let pending = keys::list_pending_attempts(services)?;
    Ok(plan::compare(plan, stored_keys, pending))
}

/// Returns the method for several keys and its description.
async fn choose_batch_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> (AuthMethod, String) {
    let method = actions::choose_auth_method(services, report).await;
    keys::choose_batch_auth_method(services, method, true).await
}
