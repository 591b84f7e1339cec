//! `keywright apply`: creates the keys that a plan lists and that do not exist yet.

use crate::cli::exit_code;
use std::collections::HashMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::list::format_policy;
use crate::cli::interactive_batch::BatchPrompter;
use crate::cli::output::{confirm, eprintln, print, print_result, print_status, usage_error};
use crate::cli::sign_in::SignInArgs;
use crate::cli::table::{self, Column};
use crate::cli::unstored_keys::{report_lost_keys, store_recovered_keys};
use crate::cli::{json, run_async};
use crate::domain::{
    Cents, ErrorKind, KeyRequest, KeyState, Label, ManagementKey, RequestedPolicy, ResetInterval,
    StoredKey, UserError, format_date, io_error_text,
};
use crate::services::keys::{self, management_key};
use crate::services::plan::{self, Difference, KeyDiff};
use crate::services::provision::{self, AuthMethod, ServiceContext};
use crate::storage::inventory;

/// The maximum number of errors of a plan that are printed.
const MAX_PROBLEMS: usize = 20;

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The plan: [[key]] tables with label, limit, reset, expires, workspace; [defaults] for all
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    /// Print what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
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
    Unchanged(StoredKey),
    Differs { stored: StoredKey, planned: RequestedPolicy, differences: Vec<Difference> },
    Failed(Label, UserError),
}

impl ApplyArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let plan = self.read_plan()?;
        let rows = compare_with_stored_keys(&plan, services)?;
        let missing = rows.iter().any(|row| matches!(row, PlanRow::Create(_)));
        let rows = if missing && !self.dry_run {
            run_async(self.apply_plan(&plan, services))??
        } else {
            rows
        };
        self.report_results(&rows)
    }

    fn read_plan(&self) -> Result<Vec<KeyRequest>, UserError> {
        const NOTHING_DONE: &str = "no key was created";
        let path = self.plan.display();
        let bytes = plan::read_plan_file(&self.plan).map_err(|error| {
            usage_error(
                format!("{path} cannot be read: {}", io_error_text(&error)),
                "give the path of a readable TOML file",
            )
            .with_meaning(NOTHING_DONE)
        })?;
        plan::parse(&bytes, Timestamp::now()).map_err(|diagnostics| {
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
        })
    }

    /// Recovers interrupted attempts, then creates the missing keys. Only one process applies a plan
    /// at a time.
    async fn apply_plan(
        &self,
        plan: &[KeyRequest],
        services: &ServiceContext,
    ) -> Result<Vec<PlanRow>, UserError> {
        // Until an attempt starts, ctrl-c ends the program in the default way.
        let mut never_cancelled = watch::channel(false).1;
        let lock = keys::lock_apply(services, &mut never_cancelled, || {
            print_status(
                "another apply is under way with this data directory: waiting until it ends (press ctrl-c to stop)",
            );
        });
        let lock = lock.await.map_err(|error| error.to_user_error())?;
        let recovered =
            provision::recover_attempts(services).await.map_err(|error| error.to_user_error())?;
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
        let management = management_key::load_management_key(services)
            .await
            .map_err(|error| error.to_user_error())?;
        let (auth_method, description) =
            self.choose_auth_method(services, management.map(|(key, _)| key)).await?;
        let count = requests.len();
        let keys = if count == 1 { "1 key".into() } else { format!("{count} keys") };
        if !self.yes {
            confirm(&format!("Create {keys} {description}?"))?;
        }
        let (prompter, controls) =
            BatchPrompter::start(!matches!(auth_method, AuthMethod::ManagementKey(_)));
        let results = keys::create_keys(&requests, auth_method, services, controls, &|event| {
            prompter.print_progress(event);
        })
        .await;
        prompter.clear_progress_line();
        drop(lock);

        let mut results: HashMap<Label, keys::ItemResult> =
            results.into_iter().map(|result| (result.label.clone(), result)).collect();
        for row in &mut rows {
            let PlanRow::Create(request) = row else { continue };
            let Some(item) = results.remove(&request.label) else { continue };
            *row = match item.result {
                Ok(key) => PlanRow::Created(key, item.warning),
                Err(error) => PlanRow::Failed(item.label, error),
            };
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

    /// Prints what was done or would be done, and returns an error where a key failed.
    fn report_results(&self, rows: &[PlanRow]) -> Result<(), UserError> {
        if self.json {
            print(&self.results_to_json(rows))
                .map_err(|error| error.with_meaning(format_rows(rows).trim_end()))?;
        } else {
            print_result(&format_rows(rows))?;
            if rows.iter().any(|row| matches!(row, PlanRow::Differs { .. })) {
                eprintln(
                    "keys that differ are left as they are: press e in the dashboard to change limit and reset; \
                     for another expiry or workspace remove the key (keywright rm) and apply again",
                );
            }
        }
        let failed = rows.iter().filter_map(|row| match row {
            PlanRow::Failed(label, error) => Some((label, error)),
            _ => None,
        });
        let count = failed.clone().count();
        let reported = failed
            .clone()
            .find(|(_, error)| error.kind == ErrorKind::Unresolved)
            .or(failed.clone().next());
        let Some((label, error)) = reported else { return ensure_no_warnings(rows) };
        let message = format!("{label}: {}", error.message);
        let message =
            if count == 1 { message } else { format!("{count} keys were not created; {message}") };
        Err(UserError { message, ..error.clone() })
    }

    fn results_to_json(&self, rows: &[PlanRow]) -> String {
        let now = Timestamp::now();
        let created = |row: &PlanRow| match row {
            PlanRow::Create(request) => Some(json::planned_key_to_json(request)),
            PlanRow::Created(key, _) => Some(json::key_to_json(key, now)),
            PlanRow::Unchanged(_) | PlanRow::Differs { .. } | PlanRow::Failed(..) => None,
        };
        let unchanged = |row: &PlanRow| match row {
            PlanRow::Unchanged(key) => Some(json::key_to_json(key, now)),
            PlanRow::Create(_)
            | PlanRow::Created(..)
            | PlanRow::Differs { .. }
            | PlanRow::Failed(..) => None,
        };
        let differing = |row: &PlanRow| {
            let PlanRow::Differs { stored, planned, differences } = row else { return None };
            let mut key = json::key_to_json(stored, now);
            key["differences"] = differences.iter().map(|one| one.field).collect();
            key["planned"] = json::requested_to_json(planned);
            Some(key)
        };
        let failed = |row: &PlanRow| {
            let PlanRow::Failed(label, UserError { kind, message, meaning, advice }) = row else {
                return None;
            };
            Some(json!({
                "label": label, "error": message, "meaning": meaning, "advice": advice,
                "code": exit_code(*kind),
            }))
        };
        let mut text = format!("{{\n  \"dry_run\": {}", self.dry_run);
        write_json_array(&mut text, "created", rows.iter().filter_map(created));
        write_json_array(&mut text, "unchanged", rows.iter().filter_map(unchanged));
        write_json_array(&mut text, "differing", rows.iter().filter_map(differing));
        write_json_array(&mut text, "failed", rows.iter().filter_map(failed));
        text.push_str("\n}\n");
        text
    }
}

/// Returns an error where a key was created and something else failed, such as the inventory.
fn ensure_no_warnings(rows: &[PlanRow]) -> Result<(), UserError> {
    let labels: Vec<String> = rows
        .iter()
        .filter_map(|row| match row {
            PlanRow::Created(key, Some(warning)) if warning.kind != ErrorKind::Unreachable => {
                Some(format!("'{}'", key.label))
            }
            _ => None,
        })
        .collect();
    if labels.is_empty() {
        return Ok(());
    }
    Err(UserError::new(
        ErrorKind::Failed,
        format!("not everything was done for {}", labels.join(", ")),
        "follow the advice given above for each key",
    )
    .with_meaning("the keys are created and stored"))
}

/// Appends an array to the document, one element at a time: the values of a large plan would take a
/// gigabyte together.
fn write_json_array(text: &mut String, name: &str, elements: impl Iterator<Item = Value>) {
    // Writing to a string does not fail.
    let _ = write!(text, ",\n  \"{name}\": [");
    let mut before = "";
    for element in elements {
        let _ = write!(text, "{before}\n    {}", format!("{element:#}").replace('\n', "\n    "));
        before = ",";
    }
    text.push_str(if before.is_empty() { "]" } else { "\n  ]" });
}

/// Compares the plan with the inventory. A key that may have been created already is not created.
fn compare_with_stored_keys(
    plan: &[KeyRequest],
    services: &ServiceContext,
) -> Result<Vec<PlanRow>, UserError> {
    let stored = inventory::list_keys(&services.location, &services.server)
        .map_err(|error| error.to_user_error())?;
    let pending = keys::list_pending_attempts(services).map_err(|error| error.to_user_error())?;
    Ok(plan::compare(plan.to_vec(), stored, pending)
        .into_iter()
        .map(|(request, diff)| match diff {
            KeyDiff::Missing => PlanRow::Create(request),
            KeyDiff::Unchanged(key) => PlanRow::Unchanged(key),
            KeyDiff::Differs { stored, planned, differences } => {
                PlanRow::Differs { stored, planned, differences }
            }
            KeyDiff::Pending(unresolved) => {
                PlanRow::Failed(request.label, keys::pending_error(&unresolved))
            }
        })
        .collect())
}

const COLUMNS: [Column; 3] = [Column("", 0), Column("LABEL", 0), Column("PLAN", 0)];

/// Formats one line per key and one line of totals. The sign only repeats what the text says.
fn format_rows(rows: &[PlanRow]) -> String {
    let now = Timestamp::now();
    let mut counts =
        [(0_usize, "to create"), (0, "created"), (0, "unchanged"), (0, "differing"), (0, "failed")];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let (index, sign, label, text) = match row {
                PlanRow::Create(request) => {
                    (0, "+", &request.label, format!("create: {}", format_request(request)))
                }
                PlanRow::Created(key, _) => {
                    let limit = format_policy(key.limit(), key.reset().map(ResetInterval::as_str));
                    (1, "+", &key.label, format!("created: limit {limit}  {}", key.masked))
                }
                PlanRow::Unchanged(key) => {
                    let text = match key.state(now) {
                        state @ (KeyState::Disabled | KeyState::Rejected | KeyState::Expired) => {
                            format!("unchanged, and {}", state.as_str())
                        }
                        _ => "unchanged".into(),
                    };
                    (2, "=", &key.label, text)
                }
                PlanRow::Differs { stored, differences, .. } => {
                    let each: Vec<_> = differences.iter().map(ToString::to_string).collect();
                    (3, "~", &stored.label, format!("differs: {}", each.join("; ")))
                }
                PlanRow::Failed(label, error) => {
                    (4, "!", label, format!("failed: {}", error.message))
                }
            };
            counts[index].0 += 1;
            vec![sign.into(), label.to_string(), text]
        })
        .collect();
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if counts.is_empty() {
        return "the plan lists no keys\n".into();
    }
    format!("{}{}\n", table::format_table(&COLUMNS, &lines, None), counts.join(", "))
}

fn format_request(request: &KeyRequest) -> String {
    let limit = format_policy(
        request.limit.map(Cents::to_dollars),
        request.limit_reset.map(ResetInterval::as_str),
    );
    let expires = request.expiry.as_ref().map_or("never".into(), |expiry| format_date(expiry.at));
    format!("limit {limit}, expires {expires}")
}
