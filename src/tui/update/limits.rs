//! Edits of limits: their results, and undo.

use super::bulk;
use crate::domain::{ErrorKind, KeyUpdate, KeyUpdateOutcome, Label, UserError};
use crate::tui::state::{Effect, Model, Question, UndoableChange};

/// Remembers how to revert an edit of a limit; edits of several keys are reverted together. Returns the
/// end of the message.
pub(super) fn record_undoable(model: &mut Model, restoring: Option<KeyUpdate>) -> &'static str {
    let Some(restoring) = restoring else { return "" };
    match &mut model.undoable {
        Some(UndoableChange::LimitsEdited(updates)) => updates.push(restoring),
        undoable => *undoable = Some(UndoableChange::LimitsEdited(vec![restoring])),
    }
    "; press u to undo"
}

/// Asks whether to set the earlier limits again.
pub(super) fn confirm_restore(model: &mut Model, updates: &[KeyUpdate]) {
    let describe = |update: &KeyUpdate| (current_label(model, update), update.describe_limit());
    model.question = Some(Question::RestoreLimits(updates.iter().map(describe).collect()));
}

/// Sets the limits again that the answered question named.
pub(super) fn restore(model: &mut Model) -> Vec<Effect> {
    match model.undoable.take() {
        Some(UndoableChange::LimitsEdited(updates)) => send(model, updates),
        other => {
            model.undoable = other;
            Vec::new()
        }
    }
}

/// Sends changes of limits. What is undone next are these.
fn send(model: &mut Model, updates: Vec<KeyUpdate>) -> Vec<Effect> {
    model.undoable = None;
    bulk::begin(model, updates.iter().map(|update| update.key.label.clone()));
    model.dashboard.marked_hashes.clear();
    model.notice = Some(Ok(match &updates[..] {
        [update] => format!("changing the limit of '{}'", current_label(model, update)),
        updates => format!("changing {} limits", updates.len()),
    }));
    vec![Effect::EditLimits(updates)]
}

/// Handles the result for one key.
pub(super) fn finish_edit(model: &mut Model, update: &KeyUpdate, outcome: KeyUpdateOutcome) {
    let now = model.now;
    let label = current_label(model, update);
    let result = match outcome {
        KeyUpdateOutcome::Updated { account_key, warning, .. } => {
            let restoring = account_key.as_ref().and_then(|account_key| {
                model.dashboard.record_account_key(account_key, now);
                update.restore_limit(account_key)
            });
            let end = record_undoable(model, restoring);
            let limit = update.describe_limit();
            warning.map_or_else(|| Ok(format!("the limit of '{label}' is {limit}{end}")), Err)
        }
        KeyUpdateOutcome::Conflict { current, changed_fields, .. } => {
            model.dashboard.record_account_key(&current, now);
            Err(UserError::new(
                ErrorKind::Failed,
                format!(
                    "'{label}' was changed at OpenRouter in the meantime: {}",
                    changed_fields.join(", ")
                ),
                "nothing was sent; press e to edit it with its current values",
            ))
        }
        KeyUpdateOutcome::Failed(error) => Err(UserError {
            message: format!("the limit of '{label}' was not changed: {}", error.message),
            ..error
        }),
    };
    bulk::record(model, &update.key.label, result);
}

/// Returns the label that the key has now.
fn current_label(model: &Model, update: &KeyUpdate) -> Label {
    let key = model.dashboard.find_key(&update.key.hash).unwrap_or(&update.key);
    key.label.clone()
}
