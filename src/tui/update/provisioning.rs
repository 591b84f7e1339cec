//! Handles the end of a provisioning run.

use super::{queue_unstored, quit_when_idle, update_used_labels};
use crate::domain::{ErrorKind, Label, ProvisioningOutcome};
use crate::tui::keymap::key_text;
use crate::tui::state::{Effect, Intent, Model, NewKeyScreen, Screen, Ticket, UndoableChange};

/// Remembers that the last change added a key, which undo does not revert, and what removes it.
pub(super) fn record_addition(model: &mut Model, change: &str, label: &Label) {
    let [undo, remove] = [Intent::Undo, Intent::Remove].map(|intent| key_text(model, &intent));
    model.undoable = Some(UndoableChange::Final(format!(
        "the {change} of '{label}' is not undone by {undo}; {remove} removes or revokes the key"
    )));
}

/// Handles the end of a provisioning run: on its screen if that is shown, otherwise by a notice.
pub(super) fn finish_provisioning(
    model: &mut Model,
    ticket: Ticket,
    outcome: ProvisioningOutcome,
) -> Vec<Effect> {
    if !model.close_request(ticket) {
        // The request was closed before, but a key that is not stored must never be dropped.
        if let Ok(new_key) = NewKeyScreen::from_outcome(outcome)
            && !new_key.is_stored
        {
            queue_unstored(model, new_key);
        }
        return Vec::new();
    }
    let is_shown = match &model.screen {
        Screen::SignIn(sign_in) => sign_in.ticket == ticket,
        Screen::NewKey(new_key) => new_key.store_ticket == Some(ticket),
        _ => false,
    };
    let background_run = model.background_runs.iter().position(|run| run.ticket == ticket);
    let background_run = background_run.map(|index| model.background_runs.remove(index));
    if let ProvisioningOutcome::Stored { stored_key, .. } = &outcome {
        model.dashboard.upsert_key(stored_key.clone(), model.now);
        record_addition(model, "creation", &stored_key.label);
        update_used_labels(model);
    }
    let created = |label: &Label| format!("'{label}' was created and stored");
    match (NewKeyScreen::from_outcome(outcome), background_run) {
        (Ok(new_key), None) if is_shown => {
            if new_key.is_stored {
                model.log_message(Ok(created(&new_key.entry.label)));
            }
            let hash = new_key.key.hash();
            let previous = std::mem::replace(&mut model.screen, Screen::NewKey(Box::new(new_key)));
            // A result for another key must not drop the unstored key on screen.
            if let Screen::NewKey(previous) = previous
                && previous.key.hash() != hash
            {
                model.unstored_keys.push(NewKeyScreen { store_ticket: None, ..*previous });
            }
        }
        (Ok(new_key), _) if !new_key.is_stored => queue_unstored(model, new_key),
        (Ok(new_key), _) => {
            model.notify(Ok(created(&new_key.entry.label)));
        }
        (Err(error), None) => match &mut model.screen {
            Screen::SignIn(sign_in) if is_shown => sign_in.error = Some(error),
            Screen::NewKey(new_key) if is_shown => {
                new_key.store_ticket = None;
                new_key.error = Some(error);
            }
            _ => {}
        },
        // The user cancelled the run.
        (Err(error), Some(_)) if error.kind == ErrorKind::Cancelled => {}
        (Err(error), Some(_)) => {
            model.notify(Err(error));
        }
    }
    quit_when_idle(model)
}
