//! Quitting, and keys that are not stored yet.

use super::intents;
use crate::domain::{ErrorKind, UserError};
use crate::tui::state::{BackgroundRun, Effect, Model, NewKeyScreen, Screen};

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
    model.notice = Some(Err(UserError::new(
        ErrorKind::SecretStore,
        format!("'{}' was created but could not be stored", new_key.entry.label),
        "press esc until the key is shown, then store or copy it",
    )));
    model.unstored_keys.push(new_key);
    // Only the screen of another unstored key must stay.
    if std::mem::take(&mut model.quit_requested) && !model.is_disconnected && !is_shown {
        model.screen = Screen::Dashboard;
    }
}

/// Quits if that was requested and no run is under way.
pub(super) fn quit_when_idle(model: &mut Model) -> Vec<Effect> {
    if !model.quit_requested && !model.is_disconnected {
        return Vec::new();
    }
    let Some(run) = model.background_runs.first() else { return vec![Effect::Quit] };
    model.notice = Some(Err(UserError::new(
        ErrorKind::Failed,
        format!("the key '{}' is still being created", run.label),
        "Keywright quits when it is stored or has failed",
    )));
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
