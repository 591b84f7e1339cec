//! Reveals a key for a moment.

use crate::domain::{ApiKey, Label, UserError};
use crate::tui::state::{Model, Ticket};

/// Reveals the key that was read, if it is still selected.
pub(super) fn finish_secret_read(
    model: &mut Model,
    ticket: Ticket,
    label: &Label,
    result: Result<ApiKey, UserError>,
) {
    let selected = model.dashboard.selected_key();
    let selected = selected.filter(|key| key.is_stored() && key.label == *label);
    let hash = selected.map(|key| key.hash.clone());
    let is_expected =
        model.dashboard.secret_ticket.take_if(|expected| *expected == ticket).is_some();
    let Some(hash) = hash.filter(|_| is_expected) else { return };
    match result {
        Ok(key) => {
            model.dashboard.reveal_key(hash, key, model.now);
            // Without a pane only the page shows the key.
            model.dashboard.are_details_shown |= model.layout().pane.is_none();
        }
        Err(error) => {
            model.is_inventory_check_due = true;
            model.notify(Err(error));
        }
    }
}
