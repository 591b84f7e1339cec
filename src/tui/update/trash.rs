//! Removed keys: undoing a removal, the screen that lists them, and their restoration.

use super::bulk;
use crate::domain::{Label, StoredKey, TrashedKey, UserError};
use crate::tui::keymap::undo_hint;
use crate::tui::state::{
    Effect, Intent, Model, Request, Screen, Ticket, TrashScreen, UndoableChange,
};

/// Opens the screen and loads the removed keys.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    model.dashboard.hide_revealed_key();
    let ticket = model.next_ticket();
    model.screen = Screen::Trash(TrashScreen::new(ticket));
    vec![Effect::Request(ticket, Request::LoadTrash)]
}

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let page = model.layout().page_size().cast_signed();
    let Screen::Trash(screen) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back | Intent::OpenTrash => model.screen = Screen::Dashboard,
        Intent::Move(by) => screen.move_selection(by),
        Intent::MovePage(by) => screen.move_selection(by.saturating_mul(page)),
        Intent::Enter => {
            if let Some(trashed) = screen.selected_key().cloned() {
                return vec![Effect::RestoreKeys(vec![trashed])];
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Handles the loaded list.
pub(super) fn finish_load(
    model: &mut Model,
    ticket: Ticket,
    keys: Result<Vec<TrashedKey>, UserError>,
) {
    let Screen::Trash(screen) = &mut model.screen else { return };
    if screen.ticket.take_if(|expected| *expected == ticket).is_none() {
        return;
    }
    match keys {
        Ok(keys) => {
            screen.keys = Some(keys);
            screen.move_selection(0);
        }
        Err(error) => {
            model.screen = Screen::Dashboard;
            model.notify(Err(error));
        }
    }
}

/// Handles the result of removing a key from this machine.
pub(super) fn finish_remove(
    model: &mut Model,
    label: &Label,
    result: Result<Option<TrashedKey>, UserError>,
) {
    let message = result.map(|trashed| {
        let listed = model.dashboard.stored_keys().iter().find(|key| key.label == *label);
        let place = listed.map_or("here", StoredKey::removal_place);
        let validity = listed.map_or("stays valid at OpenRouter", StoredKey::validity_when_removed);
        model.dashboard.remove_key(label, model.now);
        let removed = format!("'{label}' was removed {place} and {validity}");
        match trashed {
            Some(trashed) => {
                match &mut model.undoable {
                    Some(UndoableChange::Removed(keys)) => keys.push(trashed),
                    undoable => *undoable = Some(UndoableChange::Removed(vec![trashed])),
                }
                format!("{removed}{}", undo_hint(model))
            }
            None => removed,
        }
    });
    bulk::record_result(model, label, message);
}

/// Restores the keys of the last removal.
pub(super) fn undo_removal(model: &mut Model, keys: Vec<TrashedKey>) -> Vec<Effect> {
    bulk::begin_action(model, keys.iter().map(|trashed| trashed.key.label.clone()));
    vec![Effect::RestoreKeys(keys)]
}

/// Handles the result of restoring a key. If that failed, the list is loaded again: someone else may have
/// restored the key.
pub(super) fn finish_restore(
    model: &mut Model,
    trashed: &TrashedKey,
    result: Result<StoredKey, UserError>,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    if result.is_err() && matches!(model.screen, Screen::Trash(_)) {
        let ticket = model.next_ticket();
        if let Screen::Trash(screen) = &mut model.screen {
            screen.ticket = Some(ticket);
        }
        effects.push(Effect::Request(ticket, Request::LoadTrash));
    }
    let message = result.map(|restored| {
        if let Screen::Trash(screen) = &mut model.screen {
            screen.remove(trashed);
        }
        if let Some(UndoableChange::Removed(keys)) = &mut model.undoable {
            keys.retain(|other| !other.is_key(&trashed.key.server, &trashed.key.hash));
            if keys.is_empty() {
                model.undoable = None;
            }
        }
        let message = format!("'{}' is stored again", restored.label);
        model.dashboard.upsert_key(restored, model.now);
        super::update_used_labels(model);
        message
    });
    bulk::record_result(model, &trashed.key.label, message);
    effects
}
