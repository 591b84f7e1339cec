//! The results of `apply` as text and as JSON.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::PlanRow;
use crate::cli::commands::list::format_policy;
use crate::cli::exit_code;
use crate::cli::json;
use crate::cli::table::{self, Column};
use crate::domain::{Cents, KeyRequest, KeyState, Rotated, UserError, format_date};
use crate::services::plan;

/// Returns the JSON document of the results.
pub(super) fn results_to_json(
    rows: &[PlanRow],
    is_dry_run: bool,
    names: &json::PendingNames,
) -> String {
    let now = Timestamp::now();
    let named = |mut key: Value| {
        names.add_to(&mut key);
        key
    };
    let created = |row: &PlanRow| match row {
        PlanRow::Create(request) => Some(json::planned_key_to_json(request)),
        PlanRow::Created(key, _) => Some(named(json::key_to_json(key, now))),
        _ => None,
    };
    let unchanged = |row: &PlanRow| {
        let PlanRow::Unchanged(key) = row else { return None };
        Some(json::key_to_json(key, now))
    };
    let replaced = |row: &PlanRow| {
        let PlanRow::Replaced(rotated, _) = row else { return None };
        Some(named(json::rotated_to_json(rotated, now)))
    };
    let differing = |row: &PlanRow| {
        let PlanRow::Differs { stored, planned, differences } = row else { return None };
        let mut key = json::key_to_json(stored, now);
        key["differences"] = differences.iter().map(|difference| difference.field).collect();
        key["planned"] = json::requested_to_json(planned);
        if let Some(store) =
            differences.iter().find(|difference| difference.field == plan::STORE_FIELD)
        {
            key["planned"]["store"] = store.planned.as_str().into();
        }
        Some(key)
    };
    let failed = |row: &PlanRow| {
        let (label, error, stored) = match row {
            PlanRow::Failed(label, error) | PlanRow::NotStarted(label, error) => {
                (label, error.clone(), None)
            }
            PlanRow::Unusable(key, error) => {
                (&key.label, error.clone(), Some(json::key_to_json(key, now)))
            }
            PlanRow::OtherAccount(label, key) => {
                (label, key.other_account_error(), Some(json::key_to_json(key, now)))
            }
            PlanRow::LabelNotMoved(label, key, error) => {
                (label, error.clone(), Some(named(json::key_to_json(key, now))))
            }
            _ => return None,
        };
        let UserError { kind, message, meaning, advice } = error;
        let mut failed = json!({
            "label": label, "error": message, "meaning": meaning, "advice": advice,
            "code": exit_code(kind),
        });
        if let Some(stored) = stored {
            failed["stored"] = stored;
        }
        Some(failed)
    };
    let mut text = format!("{{\n  \"dry_run\": {is_dry_run}");
    write_json_array(&mut text, "created", rows.iter().filter_map(created));
    write_json_array(&mut text, "replaced", rows.iter().filter_map(replaced));
    write_json_array(&mut text, "unchanged", rows.iter().filter_map(unchanged));
    write_json_array(&mut text, "differing", rows.iter().filter_map(differing));
    write_json_array(&mut text, "failed", rows.iter().filter_map(failed));
    text.push_str("\n}\n");
    text
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

const COLUMNS: [Column; 3] = [Column("", 0), Column("LABEL", 0), Column("PLAN", 0)];

/// Formats one line per key and one line of totals. The sign only repeats what the text says.
pub(super) fn format_rows<'a>(rows: impl Iterator<Item = &'a PlanRow>) -> String {
    let now = Timestamp::now();
    let mut counts = [
        (0_usize, "to create"),
        (0, "created"),
        (0, "replaced"),
        (0, "unchanged"),
        (0, "differing"),
        (0, "unusable"),
        (0, "failed"),
        (0, "not started"),
    ];
    let lines: Vec<Vec<String>> = rows
        .map(|row| {
            let (index, sign, label, text) = match row {
                PlanRow::Create(request) => {
                    (0, "+", &request.label, format!("create: {}", format_request(request)))
                }
                PlanRow::Created(key, _) => {
                    let limit = format_policy(&key.limit(), &key.reset());
                    (1, "+", &key.label, format!("created: limit {limit}  {}", key.masked))
                }
                PlanRow::Replaced(Rotated { new, old, .. }, _) => {
                    let old = old.as_ref().map_or(String::new(), |old| {
                        format!("; the old key is kept as '{}'", old.label)
                    });
                    let limit = format_policy(&new.limit(), &new.reset());
                    (2, "~", &new.label, format!("replaced: limit {limit}  {}{old}", new.masked))
                }
                PlanRow::Unchanged(key) => {
                    let text = match key.state(now) {
                        state @ (KeyState::Disabled | KeyState::Expired) => {
                            format!("unchanged, and {}", state.as_str())
                        }
                        _ => "unchanged".into(),
                    };
                    (3, "=", &key.label, text)
                }
                PlanRow::Differs { stored, differences, .. } => {
                    let each: Vec<_> = differences.iter().map(ToString::to_string).collect();
                    (4, "~", &stored.label, format!("differs: {}", each.join("; ")))
                }
                PlanRow::Failed(label, error) | PlanRow::LabelNotMoved(label, _, error) => {
                    (6, "!", label, format!("failed: {}", error.message))
                }
                PlanRow::Unusable(key, error) => {
                    (5, "!", &key.label, format!("unusable: {}", error.message))
                }
                PlanRow::NotStarted(label, _) => (7, "!", label, "not started".into()),
                PlanRow::OtherAccount(label, key) => {
                    (6, "!", label, format!("failed: {}", key.other_account_error().message))
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
    let limit =
        format_policy(&request.limit.map(Cents::to_dollars).into(), &request.limit_reset.into());
    let expires = request.expiry.as_ref().map_or("never".into(), |expiry| format_date(expiry.at));
    format!("limit {limit}, expires {expires}")
}
