//! Prints the results of `apply`, and says what its end means.

use super::results::{format_rows, results_to_json};
use super::{ApplyArgs, PlanRow};
use crate::cli::json;
use crate::cli::output::{eprintln, print, print_result, print_warning};
use crate::cli::repeated_options::complete_commands;
use crate::domain::{ErrorKind, Rotated, UserError, format_command};
use crate::services::plan;
use crate::services::provision::ServiceContext;

/// Prints what was done or would be done, and returns an error where a key failed.
pub(super) fn report_results(
    args: &ApplyArgs,
    rows: &[PlanRow],
    services: &ServiceContext,
) -> Result<(), UserError> {
    if args.json {
        let names = json::PendingNames::load(services);
        print(&results_to_json(rows, args.dry_run, &names))
            .map_err(|error| error.with_meaning(format_rows(rows.iter()).trim_end()))?;
    } else {
        print_result(&format_rows(rows.iter()))?;
        if rows.iter().any(PlanRow::is_editable) {
            eprintln(if args.replace && args.dry_run {
                "keys that differ would be replaced with new keys: apply again without --dry-run"
            } else {
                "keys that differ are left as they are: change limit, reset, workspace and guardrail with keywright edit LABEL, \
                 or replace them with new keys: apply again with --replace"
            });
        }
        print_moves(rows);
    }
    let failed = rows.iter().filter_map(|row| match row {
        PlanRow::Failed(label, error) | PlanRow::LabelNotMoved(label, _, error) => {
            Some((label, error.clone()))
        }
        PlanRow::Unusable(key, error) => Some((&key.label, error.clone())),
        PlanRow::OtherAccount(label, key) => Some((label, key.other_account_error())),
        PlanRow::Replaced(rotated, _) => Some((&rotated.new.label, rotated.weaker_error()?)),
        _ => None,
    });
    // The first one is the error of the command.
    let of_other_account =
        failed.clone().filter(|(_, error)| error.kind == ErrorKind::OtherAccount);
    of_other_account.skip(1).for_each(|(_, error)| print_warning(&error));
    let count = failed.clone().count();
    let reported = failed
        .clone()
        .find(|(_, error)| error.kind == ErrorKind::Unresolved)
        .or(failed.clone().find(|(_, error)| error.kind == ErrorKind::OtherAccount))
        .or(failed.clone().next())
        .or_else(|| {
            rows.iter().find_map(|row| match row {
                PlanRow::NotStarted(label, error) => Some((label, error.clone())),
                _ => None,
            })
        });
    let Some((label, error)) = reported else { return ensure_no_warnings(rows) };
    let message = format!("{label}: {}", error.message);
    let message = if count <= 1 { message } else { format!("{count} keys failed; {message}") };
    let meaning = match (rows, error.meaning.as_str()) {
        ([_], _) => error.meaning,
        (_, "") => describe_end(rows),
        (_, meaning) => format!("{}; for '{label}': {meaning}", describe_end(rows)),
    };
    Err(UserError { message, meaning, ..error })
}

/// Says what was done for how many keys, as `28 keys were created and stored, 1 failed, 1 was not started`.
pub(super) fn describe_end(rows: &[PlanRow]) -> String {
    let count = |is: fn(&PlanRow) -> bool| rows.iter().filter(|row| is(row)).count();
    let created = match count(PlanRow::is_done) {
        0 => "no key was created and stored".into(),
        1 => "1 key was created and stored".into(),
        count => format!("{count} keys were created and stored"),
    };
    let failed = count(|row| matches!(row, PlanRow::Failed(..) | PlanRow::OtherAccount(..)));
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    let unusable = match count(|row| matches!(row, PlanRow::Unusable(..))) {
        0 => String::new(),
        1 => ", 1 stored key cannot be used".into(),
        count => format!(", {count} stored keys cannot be used"),
    };
    let not_started = match count(|row| matches!(row, PlanRow::NotStarted(..))) {
        0 => String::new(),
        1 => ", 1 was not started".into(),
        count => format!(", {count} were not started"),
    };
    format!("{created}{failed}{unusable}{not_started}")
}

/// Says how to move the keys that are in another store than the plan says.
fn print_moves(rows: &[PlanRow]) {
    let mut moves: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows {
        let PlanRow::Differs { stored, differences, .. } = row else { continue };
        let Some(other) =
            differences.iter().find(|difference| difference.field == plan::STORE_FIELD)
        else {
            continue;
        };
        let label = stored.label.as_str();
        match moves.iter_mut().find(|(store, _)| *store == other.planned) {
            Some((_, labels)) => labels.push(label),
            None => moves.push((&other.planned, vec![label])),
        }
    }
    for (store, labels) in moves {
        let command = format_command(&["store", "move", "--to", store], &labels);
        eprintln(&format!("move keys to the store of the plan: {}", complete_commands(&command)));
    }
}

/// Returns an error where a key was created and something else failed, such as the inventory.
fn ensure_no_warnings(rows: &[PlanRow]) -> Result<(), UserError> {
    let labels: Vec<String> = rows
        .iter()
        .filter_map(|row| match row {
            PlanRow::Created(key, Some(warning))
            | PlanRow::Replaced(Rotated { new: key, .. }, Some(warning))
                if warning.kind != ErrorKind::Unreachable =>
            {
                Some(format!("'{}'", key.label))
            }
            _ => None,
        })
        .collect();
    if labels.is_empty() {
        return Ok(());
    }
    Err(UserError::failed(
        format!("not everything was done for {}", labels.join(", ")),
        "follow the advice given above for each key",
    )
    .with_meaning("the keys are created and stored"))
}
