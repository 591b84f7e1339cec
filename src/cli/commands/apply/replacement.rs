//! `apply --replace`: replaces the keys that differ from the plan.

use super::results::format_rows;
use super::{ApplyArgs, PlanRow};
use crate::cli::losses::{print_expected_losses, print_losses};
use crate::cli::output::{confirm, eprint, print_status, print_warning};
use crate::cli::run_async;
use crate::cli::sign_in::run_with_prompts;
use crate::cli::unstored_keys::{label_not_moved_error, store_replacement};
use crate::domain::{ErrorKind, KeyRequest, ManagementKey, NotCarried, RotationOutcome, UserError};
use crate::services::keys::{self, management_key};
use crate::services::provision::{self, ServiceContext};

/// Replaces each key that differs, after one confirmation for all of them. `rows` are those of `plan`.
pub(super) fn replace_differing_keys(
    args: &ApplyArgs,
    plan: &[KeyRequest],
    rows: &mut [PlanRow],
    services: &ServiceContext,
) -> Result<(), UserError> {
    let differing: Vec<_> = rows.iter().filter_map(PlanRow::replaceable_key).cloned().collect();
    if differing.is_empty() {
        return Ok(());
    }
    services.unlock()?;
    let management = run_async(management_key::load_management_key(services))??;
    let losses = run_async(async {
        let mut losses = Vec::with_capacity(differing.len());
        for key in &differing {
            losses.push(keys::preview_replacement(services, key, management.as_ref()).await);
        }
        losses
    })?;
    // What the new keys will have instead, also where nobody is asked.
    eprint(&format_rows(rows.iter().filter(|row| row.replaceable_key().is_some())));
    print_expected_losses(differing.iter().map(|key| &key.label).zip(losses));
    if !args.yes {
        let labels: Vec<_> = differing.iter().map(|key| format!("'{}'", key.label)).collect();
        confirm(&format!("Replace {} with new keys?", labels.join(", ")))?;
    }
    let mut is_cancelled = false;
    for (row, planned) in rows.iter_mut().zip(plan) {
        if row.replaceable_key().is_none() {
            continue;
        }
        if is_cancelled {
            let error = keys::not_started_error(ErrorKind::Cancelled);
            *row = PlanRow::NotStarted(planned.label.clone(), error);
            continue;
        }
        print_status(&format!("replacing {}", planned.label));
        is_cancelled = replace_key(args, planned, row, management.clone(), services)?;
    }
    Ok(())
}

/// Replaces one key, and makes `row` the result. Returns whether the user cancelled meanwhile; a key that
/// was created by then is stored all the same.
fn replace_key(
    args: &ApplyArgs,
    planned: &KeyRequest,
    row: &mut PlanRow,
    management: Option<ManagementKey>,
    services: &ServiceContext,
) -> Result<bool, UserError> {
    let Some(stored) = row.replaceable_key() else { return Ok(false) };
    let has_management = management.is_some();
    let method = args.sign_in.choose_auth_method(services, management)?;
    let opens_manually = method.opens_manually();
    let (rotation, is_cancelled) = run_async(async {
        let (rotation, mut controls) =
            run_with_prompts(opens_manually, async |controls, report| {
                keys::replace_key(services, stored, planned, method, controls, report).await
            })
            .await;
        let rotation = store_replacement(rotation, &mut controls, services).await;
        (rotation, *controls.cancel.borrow())
    })?;
    let label = planned.label.clone();
    *row = match rotation {
        RotationOutcome::Completed { rotated, warning } => {
            let warning = if has_management {
                warning.or(rotated.unread_error())
            } else {
                let unknown: Vec<NotCarried> =
                    rotated.not_carried.iter().filter(|loss| !loss.is_lost()).cloned().collect();
                let heading = format!("could not be compared for the new key of '{label}'");
                print_losses(&heading, &unknown);
                warning
            };
            warning.iter().for_each(print_warning);
            PlanRow::Replaced(rotated, warning)
        }
        RotationOutcome::LabelNotMoved { new, .. } if new.is_of_unconfirmed_account() => {
            PlanRow::OtherAccount(label, new)
        }
        RotationOutcome::LabelNotMoved { new, error } => {
            let error = label_not_moved_error(&new, error, "move it: keywright recover");
            PlanRow::LabelNotMoved(label, new, error)
        }
        RotationOutcome::Failed(error) => PlanRow::Failed(label, error),
        RotationOutcome::NotStored { error, .. } => {
            PlanRow::Failed(label, provision::key_lost_error(error))
        }
    };
    Ok(is_cancelled)
}
