//! Effects on a plan: read, compared, applied by one queue.

use std::fs::File;
use std::path::PathBuf;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{EffectRunner, actions, recover_interrupted, send_message};
use crate::domain::{KeyRequest, ProvisioningEvent, UserError};
use crate::services::keys::{self, BatchControls, ItemResult, Progress};
use crate::services::plan::{self, KeyDiff};
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};
use crate::storage::inventory;
use crate::tui::state::{Msg, PlanComparison, PlanStatus, PlannedKey, Ticket};

/// The most problems of a plan that are said.
const MAX_PROBLEMS: usize = 100;

impl EffectRunner {
    pub(super) fn read_plan(&self, ticket: Ticket, path: String) {
        let now = self.clock.now();
        self.spawn_task(move |services, _| async move {
            let plan = async {
                let (looking, typed) = (services.clone(), path);
                let keys =
                    tokio::task::spawn_blocking(move || load_plan(&looking, &typed, now)).await;
                let keys = keys.unwrap_or_else(|_| Err(vec!["the plan cannot be read".into()]))?;
                let (_, road) = choose_batch_auth_method(&services, &|_| {}).await;
                Ok(PlanComparison { keys, auth_description: road })
            };
            Msg::PlanLoaded { ticket, result: plan.await }
        });
    }

    pub(super) fn apply_plan(&mut self, ticket: Ticket, requests: Vec<KeyRequest>) {
        let ProvisioningControls { cancel: mut cancelled, pasted_codes: pasted } =
            self.register_run(ticket);
        let (wishes, wished) = mpsc::channel(4);
        if let Some(journey) = self.runs.get_mut(&ticket) {
            journey.batch_commands = Some(wishes);
        }
        self.spawn_task(move |services, results| async move {
            let told =
                |report| send_message(&results, Msg::ProvisioningEvent { ticket, event: report });
            let waits = || {
                told(ProvisioningEvent::Notice(
                    "another apply is under way: waiting for its end".into(),
                ))
            };
            let turn = match keys::lock_apply(&services, &mut cancelled, waits).await {
                Ok(Some(turn)) => turn,
                Ok(None) => return Msg::PlanApplied { ticket, error: None },
                Err(error) => {
                    return Msg::PlanApplied { ticket, error: Some(error.to_user_error()) };
                }
            };
            let ended = |label, result, note| {
                send_message(&results, Msg::ItemFinished { ticket, label, result, warning: note });
            };
            // What a program that died meanwhile left behind comes first: a label whose code it had
            // received already would be cut twice.
            send_message(&results, recover_interrupted(&services).await);
            // The list may have grown since the plan was read.
            let mut missing = Vec::new();
            for (request, standing) in match compare_with_stored_keys(&services, requests) {
                Ok(standings) => standings,
                Err(trouble) => return Msg::PlanApplied { ticket, error: Some(trouble) },
            } {
                match standing {
                    KeyDiff::Missing => missing.push(request),
                    KeyDiff::Unchanged(held) | KeyDiff::Differs { stored: held, .. } => {
                        ended(request.label, Ok(held), None);
                    }
                    KeyDiff::Pending(unresolved) => {
                        ended(request.label, Err(keys::pending_error(&unresolved)), None);
                    }
                }
            }
            let (way, _) = choose_batch_auth_method(&services, &told).await;
            let hear = |news: Progress<'_>| match news {
                Progress::ItemStarted { label, .. } => {
                    send_message(&results, Msg::ItemStarted { ticket, label: label.clone() });
                }
                Progress::Provisioning(report) => told(report),
                Progress::ItemFinished(ItemResult { label, result, warning: note }) => {
                    ended(label.clone(), result.clone(), note.clone());
                }
            };
            let hands = BatchControls { commands: wished, pasted_codes: pasted };
            keys::create_keys(&missing, way, &services, hands, &hear).await;
            drop(turn);
            Msg::PlanApplied { ticket, error: None }
        });
    }
}

/// The plan at that path beside what is held; or what is wrong with it.
fn load_plan(
    services: &ServiceContext,
    typed: &str,
    now: Timestamp,
) -> Result<Vec<PlannedKey>, Vec<String>> {
    let path = match (typed.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(typed),
    };
    let bytes = (File::open(&path).and_then(plan::read_plan_bytes)).map_err(|error| {
        vec![format!("the plan {} cannot be read: {}", path.display(), error.kind())]
    })?;
    let plan = plan::parse(&bytes, now).map_err(|wrong| {
        let more = wrong.len().saturating_sub(MAX_PROBLEMS);
        let words = wrong.iter().take(MAX_PROBLEMS).map(ToString::to_string);
        words.chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>()
    })?;
    let standings = compare_with_stored_keys(services, plan)
        .map_err(|trouble| vec![trouble.message, trouble.advice])?;
    let planned = standings.into_iter().map(|(request, standing)| PlannedKey {
        request,
        status: match standing {
            KeyDiff::Missing => PlanStatus::ToCreate,
            KeyDiff::Unchanged(_) => PlanStatus::Unchanged,
            KeyDiff::Differs { differences, .. } => {
                let words: Vec<_> = differences.iter().map(ToString::to_string).collect();
                PlanStatus::Differs(words.join("; "))
            }
            KeyDiff::Pending(unresolved) => PlanStatus::Failed(keys::pending_error(&unresolved)),
        },
    });
    Ok(planned.collect())
}

fn compare_with_stored_keys(
    services: &ServiceContext,
    plan: Vec<KeyRequest>,
) -> Result<Vec<(KeyRequest, KeyDiff)>, UserError> {
    let held = inventory::list_keys(&services.location, &services.server)
        .map_err(|error| error.to_user_error())?;
    let owed = keys::list_pending_attempts(services).map_err(|error| error.to_user_error())?;
    Ok(plan::compare(plan, held, owed))
}

/// The best road to many keys, and in words.
async fn choose_batch_auth_method(
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> (AuthMethod, String) {
    let way = actions::choose_auth_method(services, report).await;
    keys::choose_batch_auth_method(services, way, true).await
}
