//! Quitting, and keys that are not stored yet.

use super::{intents, inventory_change};
use crate::domain::{ErrorKind, KeyUpdateOutcome, UserError};
use crate::tui::state::{
    BackgroundRun, Effect, Model, Msg, NewKeyScreen, Request, Response, Screen,
};

/// Keeps a key that is not stored until it can be shown. A pending quit is cancelled, because the
/// key would be lost.
pub(super) fn queue_unstored(model: &mut Model, new_key: NewKeyScreen) {
    let hash = new_key.key.hash();
    let on_screen = match &model.screen {
        Screen::NewKey(shown) if !shown.is_stored => Some(&**shown),
        _ => None,
    };
    let is_shown = on_screen.is_some();
    if model.unstored_keys.iter().chain(on_screen).any(|other| other.key.hash() == hash) {
        return;
    }
    model.notify(Err(UserError::new(
        ErrorKind::SecretStore,
        format!("'{}' was created but could not be stored", new_key.entry.label),
        "press esc until the key is shown, then store or copy it",
    )));
    model.unstored_keys.push(new_key);
    // Any other screen may be replaced, but not that of another unstored key.
    if std::mem::take(&mut model.quit_requested) && !model.is_disconnected && !is_shown {
        model.screen = Screen::Dashboard;
    }
}

/// Returns whether `msg` ends a change of a key, and if it does, whether the change succeeded.
pub(super) fn change_result(model: &Model, msg: &Msg) -> Option<bool> {
    match msg {
        Msg::KeyDisabledSet { result, warning, .. } => Some(result.is_ok() && warning.is_none()),
        Msg::LimitEdited { outcome, .. } => {
            Some(matches!(outcome, KeyUpdateOutcome::Updated { warning: None, .. }))
        }
        Msg::KeyRevoked { result, .. } => Some(result.is_ok()),
        Msg::RetiredKeyInUse { .. } => Some(true),
        Msg::KeyRemoved { result, .. } => Some(result.is_ok()),
        Msg::KeyRestored { result, .. } => Some(result.is_ok()),
        Msg::Response(ticket, response) if model.open_requests.contains(ticket) => match response {
            Response::KeyUpdated(outcome) => {
                Some(matches!(outcome, KeyUpdateOutcome::Updated { warning: None, .. }))
            }
            Response::KeyImported(result) => Some(result.is_ok()),
            _ => None,
        },
        _ => None,
    }
}

/// Counts the changes that the effects begin, so that quitting waits for them.
pub(super) fn count_changes(model: &mut Model, effects: &[Effect]) {
    for effect in effects {
        model.changes_under_way += match effect {
            Effect::SetKeysDisabled { keys, .. }
            | Effect::RevokeKeys(keys)
            | Effect::RevokeUnusedKeys(keys) => keys.len(),
            Effect::RemoveKeys(keys) => keys.len(),
            Effect::RestoreKeys(keys) => keys.len(),
            Effect::EditLimits(updates) => updates.len(),
            Effect::Request(_, Request::UpdateKey(_) | Request::ImportKey { .. }) => 1,
            _ => 0,
        };
    }
}

/// Ends a change. A pending quit is cancelled where the change failed, so that the error is seen, and
/// the keys are read again: others may have changed them.
pub(super) fn finish_change(model: &mut Model, succeeded: bool) -> Vec<Effect> {
    model.changes_under_way = model.changes_under_way.saturating_sub(1);
    model.quit_requested &= succeeded;
    let mut effects = quit_when_idle(model);
    if !succeeded && inventory_change::is_idle(model) {
        effects.push(Effect::CheckInventory);
    } else {
        model.is_inventory_check_due |= !succeeded;
    }
    effects
}

/// Quits if that was requested and no run and no change is under way.
pub(super) fn quit_when_idle(model: &mut Model) -> Vec<Effect> {
    if !model.quit_requested && !model.is_disconnected {
        return Vec::new();
    }
    let (message, advice) = match model.background_runs.first() {
        Some(run) => (
            format!("the key '{}' is still being created", run.label),
            "Keywright quits when it is stored or has failed",
        ),
        None if model.changes_under_way > 0 => {
            ("a key is still being changed".into(), "Keywright quits when that has finished")
        }
        None => return vec![Effect::Quit],
    };
    model.notify(Err(UserError::failed(message, advice)));
    Vec::new()
}

/// Quits without questions as soon as no run is under way. A key that could not be stored stays in
/// the journal as a pending attempt.
pub(super) fn handle_disconnect(model: &mut Model) -> Vec<Effect> {
    model.is_disconnected = true;
    model.question = None;
    if let Screen::NewKey(new_key) = &model.screen
        && let Some(ticket) = new_key.store_ticket
    {
        // The storing attempt may still succeed.
        model.background_runs.push(BackgroundRun { ticket, label: new_key.entry.label.clone() });
    }
    let mut effects = intents::request_quit(model);
    if model.question.take().is_some() {
        effects.extend(quit_when_idle(model));
    }
    effects
}
