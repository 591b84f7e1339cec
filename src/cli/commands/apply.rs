//! `keywright apply`: creates the keys that a plan lists and that do not exist yet.

mod replacement;
mod report;
mod results;
mod unusable;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::cli::interactive_batch::BatchPrompter;
use crate::cli::output::{
    confirm, eprint, print_status, print_warning, stored_meaning, usage_error,
};
use crate::cli::run_async;
use crate::cli::shared_keys::write_shared_records;
use crate::cli::shared_store::{check_may_write, print_unfinished_keys};
use crate::cli::sign_in::SignInArgs;
use crate::cli::unstored_keys::{
    print_finished, print_settled, report_lost_keys, store_recovered_keys,
};
use crate::domain::{
    ErrorKind, KeyRequest, Label, ManagementKey, RequestedPolicy, Rotated, StoredKey, UserError,
    io_error_text,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::diagnostic::Diagnostic;
use crate::services::keys::{self, management_key};
use crate::services::plan::{self, Difference, KeyDiff, NamesError};
use crate::services::provision::{AuthMethod, ServiceContext};
use report::{describe_end, report_results};
use results::format_rows;
use unusable::mark_unusable_keys;

/// The maximum number of errors of a plan that are printed.
const MAX_PROBLEMS: usize = 20;

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The plan: [[key]] tables with label, limit, reset, expires, workspace, guardrail; [defaults] for all
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    /// Print what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
    /// Also replace the keys that differ from the plan, each with a new one; the old ones are kept as 'LABEL (old)'
    #[arg(long)]
    replace: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// The planned or actual result for one key of the plan.
enum PlanRow {
    Create(KeyRequest),
    Created(StoredKey, Option<UserError>),
    /// Differed from the plan, and was replaced with a key that has the planned policy.
    Replaced(Rotated, Option<UserError>),
    Unchanged(StoredKey),
    Differs {
        stored: StoredKey,
        planned: RequestedPolicy,
        differences: Vec<Difference>,
    },
    /// Is in the inventory, and its text is missing or the server rejects it.
    Unusable(StoredKey, UserError),
    Failed(Label, UserError),
    /// Not tried, because an earlier key ended the batch.
    NotStarted(Label, UserError),
    /// Created, and stored under another label than the planned one: the account is not confirmed.
    OtherAccount(Label, StoredKey),
    /// The new key is stored under another label than the planned one, which could not be moved.
    LabelNotMoved(Label, StoredKey, UserError),
}

impl ApplyArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let plan = self.read_plan(services)?;
        let mut rows = compare_with_stored_keys(&plan, services)?;
        let mut unfinished = Vec::new();
        if self.dry_run {
            let stored_keys = services.list_keys()?;
            print_unfinished_keys(&stored_keys);
            mark_unusable_keys(&mut rows, services);
        } else {
            // One label is checked for all. A missing right for another label fails at its key.
            let missing = rows.iter().find_map(|row| match row {
                PlanRow::Create(request) => Some(request.label.as_str()),
                _ => None,
            });
            check_may_write(services, missing)?;
            rows = self.create_missing_keys(&plan, rows, &mut unfinished, services)?;
            mark_unusable_keys(&mut rows, services);
            if self.replace
                && let Err(error) =
                    replacement::replace_differing_keys(self, &plan, &mut rows, services)
            {
                if !rows.iter().any(PlanRow::is_done) {
                    return Err(error);
                }
                // What was done before is reported all the same.
                if let Err(reported) = report_results(self, &rows, services) {
                    print_warning(&reported);
                }
                return Err(error.with_meaning(describe_end(&rows)));
            }
        }
        report_results(self, &rows, services)?;
        let Some(error) = unfinished.first() else { return Ok(()) };
        let message = "not everything of an earlier run could be finished";
        Err(UserError::new(error.kind, message, "follow the advice given above")
            .with_meaning(stored_meaning(error)))
    }

    /// Creates the missing keys. A key of another account ends the batch, which goes on if the account
    /// is confirmed.
    fn create_missing_keys(
        &self,
        plan: &[KeyRequest],
        mut rows: Vec<PlanRow>,
        unfinished: &mut Vec<UserError>,
        services: &ServiceContext,
    ) -> Result<Vec<PlanRow>, UserError> {
        let mut created = HashMap::new();
        let mut is_confirmed = self.yes;
        loop {
            let has_missing = rows.iter().any(|row| matches!(row, PlanRow::Create(_)));
            if has_missing || keys::is_interrupted(services)? {
                let applied = run_async(self.apply_plan(plan, is_confirmed, unfinished, services))?;
                rows = applied.map_err(|error| match created.len() {
                    0 => error,
                    1 => error.with_meaning("one key was created and stored before"),
                    count => {
                        error.with_meaning(format!("{count} keys were created and stored before"))
                    }
                })?;
                is_confirmed = true;
            }
            let mut has_confirmed = false;
            for row in &mut rows {
                let PlanRow::OtherAccount(_, key) = row else { continue };
                let may_ask = !self.yes && !self.json;
                let confirmed = self.sign_in.other_account.confirm_account(services, key, may_ask);
                if let Ok(confirmed) = confirmed {
                    *row = PlanRow::Created(confirmed.new, None);
                    has_confirmed = true;
                } else if may_ask {
                    break;
                }
            }
            created.extend(rows.iter().filter_map(|row| match row {
                PlanRow::Created(key, warning) => {
                    Some((key.label.clone(), (key.clone(), warning.clone())))
                }
                _ => None,
            }));
            if !has_confirmed {
                break;
            }
            rows = compare_with_stored_keys(plan, services)?;
        }
        for row in &mut rows {
            if let PlanRow::Unchanged(key) | PlanRow::Differs { stored: key, .. } = row
                && let Some((key, warning)) = created.remove(&key.label)
            {
                *row = PlanRow::Created(key, warning);
            }
        }
        Ok(rows)
    }

    fn read_plan(&self, services: &ServiceContext) -> Result<Vec<KeyRequest>, UserError> {
        const NOTHING_DONE: &str = "no key was created";
        let path = self.plan.display();
        let bytes = plan::read_plan_file(&self.plan).map_err(|error| {
            usage_error(
                format!("{path} cannot be read: {}", io_error_text(&error)),
                "give the path of a readable TOML file",
            )
            .with_meaning(NOTHING_DONE)
        })?;
        let invalid = |diagnostics: Vec<Diagnostic>| {
            let count = diagnostics.len();
            let mut lines: Vec<String> = diagnostics
                .iter()
                .take(MAX_PROBLEMS)
                .map(|diagnostic| format!("\n  {diagnostic}"))
                .collect();
            if count > MAX_PROBLEMS {
                lines.push(format!("\n  and {} more", count - MAX_PROBLEMS));
            }
            let errors = if count == 1 { "error" } else { "errors" };
            usage_error(
                format!("{path} has {count} {errors}:{}", lines.concat()),
                "correct the plan and run the command again",
            )
            .with_meaning(NOTHING_DONE)
        };
        let plan =
            plan::parse(&bytes, &services.key_defaults, Timestamp::now()).map_err(invalid)?;
        if !plan.names.is_empty() {
            services.unlock()?;
        }
        run_async(plan::resolve_names(plan, services))?.map_err(|error| match error {
            NamesError::Invalid(diagnostics) => invalid(diagnostics),
            NamesError::Unavailable(error) => error.with_meaning(NOTHING_DONE),
        })
    }

    /// Recovers interrupted attempts, then creates the missing keys. Only one process applies a plan
    /// at a time.
    async fn apply_plan(
        &self,
        plan: &[KeyRequest],
        is_confirmed: bool,
        unfinished: &mut Vec<UserError>,
        services: &ServiceContext,
    ) -> Result<Vec<PlanRow>, UserError> {
        // Until an attempt starts, ctrl-c ends the program as by default.
        let mut never_cancelled = watch::channel(false).1;
        let lock = keys::lock_apply(services, &mut never_cancelled, |holder| {
            let place = match holder {
                Some(holder) => format!("on the shared store, by {holder}"),
                None => "with this data directory".into(),
            };
            print_status(&format!(
                "another apply is under way {place}: waiting until it ends (press ctrl-c to stop)",
            ));
        });
        let lock = lock.await?;
        let recovered = keys::recover_attempts(services).await?;
        print_settled(&recovered.settled.deleted, &recovered.settled.foreign, services);
        print_finished(&recovered.finished);
        *unfinished = recovered.errors;
        let (rotated, errors) = keys::finish_rotations(services).await?;
        for Rotated { new, .. } in rotated {
            print_status(&format!("rotated {}: an interrupted run is finished", new.label));
        }
        unfinished.extend(errors);
        unfinished.iter().for_each(print_warning);
        let (stored, lost) = store_recovered_keys(recovered.not_stored, services).await;
        for key in recovered.stored.iter().chain(&stored) {
            print_status(&format!("stored {} from an interrupted run", key.label));
        }
        report_lost_keys(&lost)?;

        let mut rows = compare_with_stored_keys(plan, services)?;
        let requests: Vec<KeyRequest> = rows
            .iter()
            .filter_map(|row| match row {
                PlanRow::Create(request) => Some(request.clone()),
                _ => None,
            })
            .collect();
        if requests.is_empty() {
            return Ok(rows);
        }
        let management = management_key::load_management_key(services).await?;
        let (auth_method, description) = self.choose_auth_method(services, management).await?;
        let count = requests.len();
        let keys = if count == 1 { "1 key".into() } else { format!("{count} keys") };
        if !is_confirmed {
            if io::stdin().is_terminal() {
                let missing: Vec<PlanRow> = requests.iter().cloned().map(PlanRow::Create).collect();
                eprint(&format_rows(missing.iter()));
            }
            confirm(&format!("Create {keys} {description}?"))?;
        }
        let (prompter, controls) =
            BatchPrompter::start(!matches!(auth_method, AuthMethod::ManagementKey(_)));
        let results = keys::create_keys(&requests, auth_method, services, controls, &|event| {
            prompter.print_progress(event);
        })
        .await;
        prompter.clear_progress_line();
        // Written before the lock is released, so that the next batch reads them.
        let services_copy = services.clone();
        let written = run_blocking(move || write_shared_records(&services_copy));
        if let Some(Err(error)) = written.await {
            print_warning(&error);
        }
        drop(lock);

        let mut results: HashMap<Label, keys::ItemResult> =
            results.into_iter().map(|result| (result.label.clone(), result)).collect();
        for row in &mut rows {
            let PlanRow::Create(request) = row else { continue };
            let Some(item) = results.remove(&request.label) else { continue };
            *row = match item.result {
                Ok(key) => PlanRow::Created(key, item.warning),
                Err(error) if item.is_started => PlanRow::Failed(item.label, error),
                Err(error) => PlanRow::NotStarted(item.label, error),
            };
        }
        // The inventory knows under which label a key of another account is stored.
        let compared = compare_with_stored_keys(plan, services)?;
        for (row, compared) in rows.iter_mut().zip(compared) {
            if let PlanRow::OtherAccount(..) = compared {
                *row = compared;
            }
        }
        Ok(rows)
    }

    /// Returns the method to authorise with and its description: the requested method, else the
    /// management key, an existing key where the account allows it, or the browser.
    async fn choose_auth_method(
        &self,
        services: &ServiceContext,
        management: Option<ManagementKey>,
    ) -> Result<(AuthMethod, String), UserError> {
        let auth_method = self.sign_in.choose_auth_method(services, management)?;
        Ok(keys::choose_batch_auth_method(services, auth_method, self.sign_in.is_unspecified())
            .await)
    }
}

impl PlanRow {
    /// Returns whether a key was created for it.
    const fn is_done(&self) -> bool {
        matches!(self, Self::Created(..) | Self::Replaced(..) | Self::LabelNotMoved(..))
    }

    /// Returns the key if it is unusable, or differs in something that a new key would have.
    fn replaceable_key(&self) -> Option<&StoredKey> {
        match self {
            Self::Differs { stored, .. } if self.is_editable() => Some(stored),
            // Of what another keychain may have, no second key is created.
            Self::Unusable(key, error) if error.kind != ErrorKind::SecretStore => Some(key),
            _ => None,
        }
    }

    /// Returns whether it differs in something other than the store.
    fn is_editable(&self) -> bool {
        let Self::Differs { differences, .. } = self else { return false };
        differences.iter().any(|difference| difference.field != plan::STORE_FIELD)
    }
}

/// Compares the plan with the inventory. A key that may have been created already is not created.
fn compare_with_stored_keys(
    plan: &[KeyRequest],
    services: &ServiceContext,
) -> Result<Vec<PlanRow>, UserError> {
    let stored = services.list_keys()?;
    let pending = keys::list_pending_attempts(services)?;
    Ok(plan::compare(plan.to_vec(), stored, pending)
        .into_iter()
        .map(|(request, diff)| match diff {
            KeyDiff::Missing => PlanRow::Create(request),
            KeyDiff::Unchanged(key) => PlanRow::Unchanged(key),
            KeyDiff::Differs { stored, planned, differences } => {
                PlanRow::Differs { stored, planned, differences }
            }
            KeyDiff::OtherAccount(key) => PlanRow::OtherAccount(request.label, key),
            KeyDiff::Pending(unresolved) => {
                PlanRow::Failed(request.label, keys::pending_error(&unresolved))
            }
        })
        .collect())
}
