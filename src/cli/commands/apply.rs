//! `keywright apply PLAN.toml`: the keys of a plan, those that are missing cut one after the other.
//! Owns: what is asked before, and the account of it at the end. Must not know: how one is cut.

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
use crate::cli::output::{confirm, eprintln, print, print_status, usage_error};
use crate::cli::sign_in::{SignInArgs, store_recovered_keys};
use crate::cli::table::{self, Column};
use crate::cli::{json, run_async};
use crate::domain::{
    Cents, ErrorKind, KeyRequest, KeyState, Label, ManagementKey, RequestedPolicy, ResetInterval,
    StoredKey, UserError, format_date,
};
use crate::services::keys::{self, management_key};
use crate::services::plan::{self, Difference, KeyDiff};
use crate::services::provision::{self, AuthMethod, ServiceContext};
use crate::storage::inventory;

/// The most errors of a plan that are said.
const MAX_PROBLEMS: usize = 20;

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The plan: [[key]] tables with label, limit, reset, expires, workspace; [defaults] for all
    #[arg(value_name = "PLAN.toml")]
    plan: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// What becomes, or became, of one key of the plan.
enum PlanRow {
    Create(KeyRequest),
    Created(StoredKey),
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
        const NOTHING_DONE: &str = "nothing was done";
        let path = self.plan.display();
        let bytes =
            std::fs::File::open(&self.plan).and_then(plan::read_plan_bytes).map_err(|error| {
                usage_error(format!("{path} cannot be read: {}", error.kind()), NOTHING_DONE)
            })?;
        plan::parse(&bytes, Timestamp::now()).map_err(|wrong| {
            let mut words: Vec<String> = wrong
                .iter()
                .take(MAX_PROBLEMS)
                .map(|complaint| format!("\n  {complaint}"))
                .collect();
            if wrong.len() > MAX_PROBLEMS {
                words.push(format!("\n  and {} more", wrong.len() - MAX_PROBLEMS));
            }
            let errors = if wrong.len() == 1 { "error" } else { "errors" };
            usage_error(
                format!("{path} has {} {errors}:{}", wrong.len(), words.concat()),
                NOTHING_DONE,
            )
        })
    }

    /// What is missing is cut, by one queue at a time, after what an earlier run left behind.
    async fn apply_plan(
        &self,
        plan: &[KeyRequest],
        services: &ServiceContext,
    ) -> Result<Vec<PlanRow>, UserError> {
        // Until something is begun, ctrl-c ends the program as it would any other.
        let mut never = watch::channel(false).1;
        let turn = keys::lock_apply(services, &mut never, || {
            print_status(
                "another apply is under way with this data directory: waiting for its end (ctrl-c leaves)",
            );
        });
        let turn = turn.await.map_err(|error| error.to_user_error())?;
        let recovered =
            provision::recover_attempts(services).await.map_err(|error| error.to_user_error())?;
        for held in &recovered.stored {
            print_status(&format!("{}, of an earlier run, is stored", held.label));
        }
        store_recovered_keys(recovered.not_stored, services).await?;

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
        let known = management_key::load_management_key(services)
            .await
            .map_err(|error| error.to_user_error())?;
        let (way, road) = self.choose_auth_method(services, known.map(|(key, _)| key)).await?;
        let count = requests.len();
        let keys = if count == 1 { "1 key".into() } else { format!("{count} keys") };
        if !self.yes {
            confirm(&format!("Cut {keys} {road}?"))?;
        }
        let (person, hands) = BatchPrompter::start(!matches!(way, AuthMethod::ManagementKey(_)));
        let ends =
            keys::create_keys(&requests, way, services, hands, &|news| person.print_progress(news))
                .await;
        person.clear_progress_line();
        drop(turn);

        let mut ends: HashMap<Label, keys::ItemResult> =
            ends.into_iter().map(|end| (end.label.clone(), end)).collect();
        for row in &mut rows {
            let PlanRow::Create(request) = row else { continue };
            let Some(end) = ends.remove(&request.label) else { continue };
            *row = match end.result {
                Ok(held) => PlanRow::Created(held),
                Err(trouble) => PlanRow::Failed(end.label, trouble),
            };
        }
        Ok(rows)
    }

    /// The best road there is, and its name: what was asked for, the management key, a held key that
    /// vouches where the account allows it, the person's browser.
    async fn choose_auth_method(
        &self,
        services: &ServiceContext,
        management: Option<ManagementKey>,
    ) -> Result<(AuthMethod, String), UserError> {
        let way = self.sign_in.choose_auth_method(services, management)?;
        Ok(keys::choose_batch_auth_method(services, way, self.sign_in.is_unspecified()).await)
    }

    /// What was done, or would be.
    fn report_results(&self, rows: &[PlanRow]) -> Result<(), UserError> {
        if self.json {
            print(&self.results_to_json(rows))?;
        } else {
            print(&format_rows(rows))?;
            if rows.iter().any(|row| matches!(row, PlanRow::Differs { .. })) {
                eprintln(
                    "keys that differ are left as they are: change limit and reset with e in the dashboard, \
                     an expiry or a workspace by cutting another key (keywright rm, then apply)",
                );
            }
        }
        let failed = rows.iter().filter_map(|row| match row {
            PlanRow::Failed(label, trouble) => Some((label, trouble)),
            _ => None,
        });
        let count = failed.clone().count();
        let gravest = failed
            .clone()
            .find(|(_, trouble)| trouble.kind == ErrorKind::Unresolved)
            .or(failed.clone().next());
        let Some((label, trouble)) = gravest else { return Ok(()) };
        let message = format!("{label}: {}", trouble.message);
        let message =
            if count == 1 { message } else { format!("{count} keys were not cut; {message}") };
        Err(UserError { message, ..trouble.clone() })
    }

    fn results_to_json(&self, rows: &[PlanRow]) -> String {
        let now = Timestamp::now();
        let created = |row: &PlanRow| match row {
            PlanRow::Create(request) => Some(json::planned_key_to_json(request)),
            PlanRow::Created(held) => Some(json::key_to_json(held, now)),
            PlanRow::Unchanged(_) | PlanRow::Differs { .. } | PlanRow::Failed(..) => None,
        };
        let unchanged = |row: &PlanRow| match row {
            PlanRow::Unchanged(held) => Some(json::key_to_json(held, now)),
            PlanRow::Create(_)
            | PlanRow::Created(_)
            | PlanRow::Differs { .. }
            | PlanRow::Failed(..) => None,
        };
        let differing = |row: &PlanRow| {
            let PlanRow::Differs { stored: held, planned, differences } = row else { return None };
            let mut key = json::key_to_json(held, now);
            key["differences"] = differences.iter().map(|one| one.field).collect();
            key["planned"] = json::requested_to_json(planned);
            Some(key)
        };
        let failed = |row: &PlanRow| {
            let PlanRow::Failed(label, UserError { kind, message, advice, .. }) = row else {
                return None;
            };
            Some(
                json!({"label": label, "error": message, "advice": advice, "code": exit_code(*kind)}),
            )
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

/// A field of the document, one element at a time: all of a large plan's at once are a gigabyte.
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

/// The plan beside the list; what may have been issued already is not to be cut.
fn compare_with_stored_keys(
    plan: &[KeyRequest],
    services: &ServiceContext,
) -> Result<Vec<PlanRow>, UserError> {
    let held = inventory::list_keys(&services.location, &services.server)
        .map_err(|error| error.to_user_error())?;
    let owed = keys::list_pending_attempts(services).map_err(|error| error.to_user_error())?;
    Ok(plan::compare(plan.to_vec(), held, owed)
        .into_iter()
        .map(|(request, standing)| match standing {
            KeyDiff::Missing => PlanRow::Create(request),
            KeyDiff::Unchanged(held) => PlanRow::Unchanged(held),
            KeyDiff::Differs { stored: held, planned, differences } => {
                PlanRow::Differs { stored: held, planned, differences }
            }
            KeyDiff::Pending(unresolved) => {
                PlanRow::Failed(request.label, keys::pending_error(&unresolved))
            }
        })
        .collect())
}

const COLUMNS: [Column; 3] = [Column("", 0), Column("LABEL", 0), Column("PLAN", 0)];

/// One line a key and one for all. The sign is not the only one that says it.
fn format_rows(rows: &[PlanRow]) -> String {
    let now = Timestamp::now();
    let mut counts =
        [(0_usize, "to create"), (0, "created"), (0, "unchanged"), (0, "differing"), (0, "failed")];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let (at, sign, label, words) = match row {
                PlanRow::Create(request) => {
                    (0, "+", &request.label, format!("create: {}", format_request(request)))
                }
                PlanRow::Created(held) => {
                    let limit =
                        format_policy(held.limit(), held.reset().map(ResetInterval::as_str));
                    (1, "+", &held.label, format!("created: limit {limit}  {}", held.masked))
                }
                PlanRow::Unchanged(held) => {
                    let words = match held.state(now) {
                        KeyState::Disabled | KeyState::Rejected | KeyState::Expired => {
                            format!("unchanged, and {}", held.state(now).as_str())
                        }
                        _ => "unchanged".into(),
                    };
                    (2, "=", &held.label, words)
                }
                PlanRow::Differs { stored: held, differences, .. } => {
                    let each: Vec<_> = differences.iter().map(ToString::to_string).collect();
                    let words = each.join("; ");
                    (3, "~", &held.label, format!("differs: {words}"))
                }
                PlanRow::Failed(label, trouble) => {
                    (4, "!", label, format!("failed: {}", trouble.message))
                }
            };
            counts[at].0 += 1;
            vec![sign.into(), label.to_string(), words]
        })
        .collect();
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if counts.is_empty() {
        return "the plan names no key\n".into();
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
