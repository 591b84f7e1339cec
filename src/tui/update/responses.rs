//! Handles the results of actions on existing keys.

use super::form::show_submit_error;
use super::{actions, bulk, limits};
use crate::domain::{
    AccountKey, AccountKeys, ActionResult, ErrorKind, KeyUpdateOutcome, Label, LeakResponse,
    NotCarried, ProvisioningOutcome, Rotated, RotationOutcome, UserError, format_date,
};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    Effect, ExpectedLosses, Intent, KeyScope, Model, NewKeyScreen, ResultsScreen, Screen, Ticket,
    UndoableChange,
};

/// Closes the run with that ticket. Returns whether it is on screen, or `None` if it was closed
/// before.
fn finish_run(model: &mut Model, ticket: Ticket) -> Option<bool> {
    // Retrying to store the key of a rotation sends a second message, which closes the request.
    let is_retry =
        matches!(&model.screen, Screen::NewKey(new_key) if new_key.store_ticket == Some(ticket));
    if !is_retry && !model.close_request(ticket) {
        return None;
    }
    model.background_runs.retain(|run| is_retry || run.ticket != ticket);
    Some(matches!(&model.screen, Screen::SignIn(sign_in) if sign_in.ticket == ticket))
}

/// Keeps the unstored key of a run that was closed before.
fn keep_unstored_key(model: &mut Model, rotation: RotationOutcome) {
    if let RotationOutcome::NotStored { .. } = rotation {
        // `queue_unstored` sets the notice.
        let _ = apply_rotation_outcome(model, rotation);
    }
}

/// Handles the end of a rotation.
pub(super) fn finish_rotation(
    model: &mut Model,
    ticket: Ticket,
    rotation: RotationOutcome,
) -> Vec<Effect> {
    let Some(is_shown) = finish_run(model, ticket) else {
        keep_unstored_key(model, rotation);
        return Vec::new();
    };
    if let (RotationOutcome::Failed(error), true) = (&rotation, is_shown) {
        if let Screen::SignIn(sign_in) = &mut model.screen {
            sign_in.error = Some(error.clone());
        }
        return super::quit_when_idle(model);
    }
    if is_shown {
        model.screen = Screen::Dashboard;
    }
    let message = apply_rotation_outcome(model, rotation);
    model.notify(message);
    super::update_used_labels(model);
    super::quit_when_idle(model)
}

/// Handles the end of the rotations of several keys, with a result for each.
pub(super) fn finish_rotations(
    model: &mut Model,
    ticket: Ticket,
    outcomes: Vec<(Label, RotationOutcome)>,
) -> Vec<Effect> {
    let Some(is_shown) = finish_run(model, ticket) else {
        for (_, outcome) in outcomes {
            keep_unstored_key(model, outcome);
        }
        return Vec::new();
    };
    let mut results = Vec::with_capacity(outcomes.len());
    for (label, outcome) in outcomes {
        let is_failed = matches!(outcome, RotationOutcome::Failed(_));
        let message = apply_rotation_outcome(model, outcome);
        model.log_message(message.clone());
        let result = match (message, is_failed) {
            // A cancelled rotation has a message instead of an error.
            (Ok(message), true) => ActionResult {
                succeeded: false,
                message: format!("'{label}' was not rotated: {message}"),
            },
            (Ok(message), false) => ActionResult { succeeded: true, message },
            (Err(error), _) => ActionResult {
                succeeded: false,
                message: format!("'{label}': {}", error.one_line()),
            },
        };
        results.push(result);
    }
    bulk::show_results(model, ResultsScreen::new(results, false), is_shown);
    super::update_used_labels(model);
    super::quit_when_idle(model)
}

/// Shows in the dialog what the new keys will lack.
pub(super) fn set_expected_losses(
    model: &mut Model,
    ticket: Ticket,
    losses: Vec<(Label, Vec<NotCarried>)>,
) {
    if let Screen::Confirm(dialog) = &mut model.screen
        && dialog.losses == ExpectedLosses::Pending(ticket)
    {
        dialog.losses = ExpectedLosses::Known(losses);
    }
}

/// Handles the result of a resumed rotation.
pub(super) fn finish_resumed_rotation(
    model: &mut Model,
    label: &Label,
    result: Result<Rotated, UserError>,
) {
    let message = match result {
        Ok(rotated) => {
            apply_rotation_outcome(model, RotationOutcome::Completed { rotated, warning: None })
        }
        Err(error) => Err(error.prefixed(format!("the rotation of '{label}' is not finished"))),
    };
    model.notify(message);
}

/// Handles the confirmation of a key's account.
pub(super) fn finish_account_confirmation(
    model: &mut Model,
    label: &Label,
    result: Result<Rotated, UserError>,
) {
    let message = match result {
        Ok(rotated) if rotated.old.is_some() => {
            apply_rotation_outcome(model, RotationOutcome::Completed { rotated, warning: None })
        }
        Ok(rotated) => {
            let message = format!("the account of '{}' is confirmed", rotated.new.label);
            model.dashboard.rename_key(rotated.new, model.now);
            Ok(message)
        }
        Err(error) => Err(error.prefixed(format!("'{label}' did not get its label"))),
    };
    model.notify(message);
}

/// Applies the outcome of a rotation and returns the notice about it.
fn apply_rotation_outcome(
    model: &mut Model,
    rotation: RotationOutcome,
) -> Result<String, UserError> {
    let now = model.now;
    match rotation {
        RotationOutcome::Completed { rotated, warning } => {
            let message = match &rotated.old {
                Some(old) => format!(
                    "'{}' was rotated; the old key is stored as '{}' until it is unused",
                    rotated.new.label, old.label
                ),
                None => format!("'{}' was rotated", rotated.new.label),
            };
            let unknown: Vec<String> =
                rotated.not_carried.iter().map(ToString::to_string).collect();
            let message = match &unknown[..] {
                [] => message,
                unknown => format!("{message}; not carried over: {}", unknown.join("; ")),
            };
            model.undoable = Some(UndoableChange::Final(explain_rotation(model, &rotated)));
            let weaker = rotated.weaker_error();
            model.dashboard.apply_rotation(rotated, now);
            UserError::join([weaker, warning]).map_or(Ok(message), Err)
        }
        RotationOutcome::LabelNotMoved { new, error } => {
            let label = new.label.clone();
            // The next rotation asks about the account again.
            model.dashboard.shown_account_dialogs.remove(&new.hash);
            model.dashboard.upsert_key(new, now);
            Err(error.prefixed(format!(
                "the new key is stored as '{label}' and does not have its final label yet"
            )))
        }
        RotationOutcome::NotStored { entry, key, error } => {
            let notice = error.clone();
            if let Ok(new_key) =
                NewKeyScreen::from_outcome(ProvisioningOutcome::NotStored { entry, key, error })
            {
                super::queue_unstored(model, new_key);
            }
            Err(notice)
        }
        // The user cancelled the run.
        RotationOutcome::Failed(error) if error.kind == ErrorKind::Cancelled => {
            Ok("no key was created".into())
        }
        RotationOutcome::Failed(error) => Err(error),
    }
}

/// Returns why a rotation cannot be undone and what can be done with the old key.
fn explain_rotation(model: &Model, rotated: &Rotated) -> String {
    let label = &rotated.new.label;
    let Some(old) = &rotated.old else {
        return format!("the rotation of '{label}' cannot be undone: its old key is gone");
    };
    let [disable, remove] =
        [Intent::ToggleDisabled, Intent::Remove].map(|intent| key_text(model, &intent));
    let state = match (old.disabled, old.expires_at().value()) {
        (Some(true), _) => "is disabled".to_owned(),
        (_, Some(at)) => format!("works until {}", format_date(at)),
        (_, None) => "works until it is revoked".to_owned(),
    };
    format!(
        "the rotation of '{label}' cannot be undone: programs may use the new key already. The old \
         key '{}' {state}; {disable} disables or enables it, {remove} removes or revokes it",
        old.label
    )
}

/// Handles the end of a leak response. A single new key is copied, because it is needed at once.
pub(super) fn finish_leak_response(
    model: &mut Model,
    ticket: Ticket,
    responses: Vec<LeakResponse>,
) -> Vec<Effect> {
    let Some(is_shown) = finish_run(model, ticket) else {
        for rotation in responses.into_iter().filter_map(|response| response.rotation) {
            keep_unstored_key(model, rotation);
        }
        return Vec::new();
    };
    let results: Vec<_> = responses.iter().flat_map(LeakResponse::action_results).collect();
    let mut effects = Vec::new();
    if let [response] = &responses[..]
        && let Some(RotationOutcome::Completed { rotated, .. }) = &response.rotation
        && is_shown
    {
        effects.push(Effect::CopyStoredKey(rotated.new.clone()));
    }
    for rotation in responses.into_iter().filter_map(|response| response.rotation) {
        // The result list already contains each outcome.
        let _ = apply_rotation_outcome(model, rotation);
    }
    let reason =
        "the response to a leak cannot be undone: whoever has the old key could use it again";
    model.undoable = Some(UndoableChange::Final(reason.to_owned()));
    if is_shown {
        bulk::show_results(model, ResultsScreen::new(results, false), true);
    } else if let Some(failed) = results.iter().find(|result| !result.succeeded) {
        model.notice = Some(Err(UserError::failed(failed.message.clone(), String::new())));
    }
    effects.extend(super::load_keys(model));
    effects.extend(super::quit_when_idle(model));
    effects
}

/// Handles the outcome of a key update.
pub(super) fn finish_key_update(model: &mut Model, ticket: Ticket, outcome: KeyUpdateOutcome) {
    let now = model.now;
    let is_shown =
        matches!(&model.screen, Screen::Form(form) if form.submit_ticket == Some(ticket));
    match outcome {
        KeyUpdateOutcome::Updated { account_key, stored_key, warning } => {
            let mut label = None;
            let (submitted, differences) = match &mut model.screen {
                Screen::Form(form) if is_shown => {
                    (form.submitted_update.take(), std::mem::take(&mut form.diff))
                }
                _ => (None, Vec::new()),
            };
            let mut end = String::new();
            if let Some(account_key) = account_key {
                let restoring = submitted.and_then(|update| update.restore_limit(&account_key));
                if restoring.is_some() {
                    model.undoable = None;
                }
                end = limits::record_undoable(model, restoring);
                model.dashboard.record_account_key(&account_key, now);
                label = model.dashboard.find_key(&account_key.hash).map(|key| key.label.clone());
            }
            if let Some(key) = stored_key {
                label = Some(key.label.clone());
                model.dashboard.rename_key(key, now);
            }
            if is_shown {
                model.screen = Screen::Dashboard;
            }
            if let (Some(label), true) = (&label, end.is_empty()) {
                let [undo, edit] =
                    [Intent::Undo, Intent::EditKey].map(|intent| key_text(model, &intent));
                model.undoable = Some(UndoableChange::Final(format!(
                    "this change of '{label}' is not undone by {undo}; {edit} edits the key again"
                )));
            }
            let name = label.map_or("the key".to_owned(), |label| format!("'{label}'"));
            let what = if differences.is_empty() {
                "changed".to_owned()
            } else {
                format!("changed ({})", differences.join(", "))
            };
            model.notify(warning.map_or(Ok(format!("{name} was {what}{end}")), Err));
            super::update_used_labels(model);
        }
        KeyUpdateOutcome::Conflict { current: account_key, guardrail, changed_fields } => {
            let conflict = UserError::failed(
                format!(
                    "the key was changed at OpenRouter in the meantime: {}",
                    changed_fields.join(", ")
                ),
                "nothing was sent; check the current values in the form and submit again",
            );
            model.dashboard.record_account_key(&account_key, now);
            match &mut model.screen {
                Screen::Form(form) if is_shown => {
                    form.set_account_key(account_key);
                    if changed_fields.contains(&"guardrail") {
                        form.set_assigned_guardrail(guardrail);
                    }
                    form.submit_ticket = None;
                    form.error = Some(conflict);
                }
                _ => model.notify(Err(conflict)),
            }
        }
        KeyUpdateOutcome::Failed(error) => show_submit_error(model, is_shown, error),
    }
}

/// Handles the result of disabling or enabling a key.
pub(super) fn finish_set_disabled(
    model: &mut Model,
    label: &Label,
    result: Result<AccountKey, UserError>,
    warning: Option<UserError>,
) {
    let notice = result.map(|account_key| {
        model.dashboard.record_account_key(&account_key, model.now);
        let disabled = account_key.disabled == Some(true);
        let state = if disabled { "disabled" } else { "enabled" };
        let end = bulk::record_undoable(model, account_key.hash, label.clone(), disabled);
        format!("'{label}' is {state}{end}")
    });
    bulk::record_result(model, label, warning.map_or(notice, Err));
}

/// Handles the loaded keys of the account.
pub(super) fn finish_account_load(
    model: &mut Model,
    ticket: Ticket,
    account: Result<AccountKeys, UserError>,
) {
    if model.dashboard.account_keys_ticket.take_if(|expected| *expected == ticket).is_none() {
        return;
    }
    match account {
        Ok(account) => {
            let server = model.server.clone();
            model.dashboard.merge_account_keys(account, &server, model.now);
            super::account::update_figures(model);
            if model.dashboard.scope == KeyScope::Stored {
                actions::show_scope(model, KeyScope::All);
            }
        }
        Err(error) => model.notify(Err(error)),
    }
}
