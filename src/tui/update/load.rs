//! Handles loaded keys: first those of the inventory, then those of the shared store.

use super::{refresh, update_used_labels};
use crate::domain::{StoredKey, UserError};
use crate::tui::state::{Effect, Model, Question, Request};

/// Shows the inventory. If a shared store is in use, it is read next.
pub(super) fn finish_inventory(
    model: &mut Model,
    keys: Result<Vec<StoredKey>, UserError>,
) -> Vec<Effect> {
    model.dashboard.load_ticket = None;
    let is_read = keys.is_ok();
    show_keys(model, keys);
    if is_read && model.shared_store.is_in_use {
        let ticket = model.next_ticket();
        model.dashboard.load_ticket = Some(ticket);
        return vec![Effect::Request(ticket, Request::ReadSharedKeys)];
    }
    finish(model, is_read)
}

/// Shows the keys as the shared store has them.
pub(super) fn finish_shared_store(
    model: &mut Model,
    keys: Result<Vec<StoredKey>, UserError>,
    error: Option<UserError>,
) -> Vec<Effect> {
    model.dashboard.load_ticket = None;
    let is_read = keys.is_ok();
    show_keys(model, keys);
    if let Some(error) = error {
        model.notify(Err(error));
    }
    finish(model, is_read)
}

fn show_keys(model: &mut Model, keys: Result<Vec<StoredKey>, UserError>) {
    model.dashboard.set_keys(keys, model.now);
    model.account.is_spending_stale = true;
    update_used_labels(model);
}

fn finish(model: &mut Model, is_read: bool) -> Vec<Effect> {
    let refresh_requested = std::mem::take(&mut model.refresh.refresh_after_load);
    // Interrupted runs and figures come after the inventory, because both refer to it.
    let mut effects = Vec::new();
    // A rotation that goes on needs the management key, so the question about it is answered first.
    if !model.asks_about_environment_key && model.question != Some(Question::UseEnvironmentKey) {
        effects.push(Effect::RecoverInterrupted);
    }
    if is_read && (model.refresh.refresh_interval.is_some() || refresh_requested) {
        effects.extend(refresh::start(model));
    }
    effects
}
