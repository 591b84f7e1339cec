//! Starts a refresh round.

use super::inventory_change;
use crate::domain::StoredKey;
use crate::tui::state::{Effect, Model, Request};

/// Starts a round that is due. The keys of a shared store are read first, since others change them.
pub(super) fn start_due(model: &mut Model) -> Vec<Effect> {
    if !model.shared_store.is_in_use {
        return start(model);
    }
    if model.dashboard.load_ticket.is_some() || !inventory_change::is_idle(model) {
        model.refresh.postpone(model.now);
        return Vec::new();
    }
    model.refresh.refresh_after_load = true;
    super::load_keys(model)
}

/// Starts a refresh round; the visible keys are checked first.
pub(super) fn start(model: &mut Model) -> Vec<Effect> {
    if model.refresh.current_round.is_some() {
        return Vec::new();
    }
    if model.dashboard.stored_keys().is_empty() {
        model.refresh.postpone(model.now);
        return Vec::new();
    }
    let ticket = model.next_ticket();
    let dashboard = &model.dashboard;
    let visible: Vec<&StoredKey> = model.visible_keys().map(|(_, key)| key).collect();
    let rest = dashboard
        .stored_keys()
        .iter()
        .filter(|key| !visible.iter().any(|other| other.hash == key.hash));
    let keys: Vec<_> = visible
        .iter()
        .copied()
        .chain(rest)
        .map(|key| (key.hash.clone(), key.label.clone()))
        .collect();
    model.refresh.start_round(ticket, keys.len());
    vec![Effect::Request(ticket, Request::RefreshKeys(keys))]
}
