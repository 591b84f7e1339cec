//! Starts a refresh round.

use crate::domain::StoredKey;
use crate::tui::state::{Effect, Model, Request};

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
