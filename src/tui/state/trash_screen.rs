//! State of the screen that lists removed keys.

use super::ticket::Ticket;
use crate::domain::TrashedKey;

/// State of the screen.
#[derive(Clone, Debug)]
pub struct TrashScreen {
    /// The ticket of the list being loaded, if it is.
    pub ticket: Option<Ticket>,
    /// The removed keys, the last removed first; `None` until they are loaded.
    pub keys: Option<Vec<TrashedKey>>,
    /// The index of the selected key.
    pub selected: usize,
}

impl TrashScreen {
    /// Returns the screen while the list is loaded.
    pub const fn new(ticket: Ticket) -> Self {
        Self { ticket: Some(ticket), keys: None, selected: 0 }
    }

    /// Returns the selected key.
    pub fn selected_key(&self) -> Option<&TrashedKey> {
        self.keys.as_ref()?.get(self.selected)
    }

    /// Moves the selection by rows.
    pub fn move_selection(&mut self, by: isize) {
        let last = self.keys.as_ref().map_or(0, |keys| keys.len().saturating_sub(1));
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Removes a key from the list.
    pub fn remove(&mut self, restored: &TrashedKey) {
        if let Some(keys) = &mut self.keys {
            keys.retain(|key| !key.is_key(&restored.key.server, &restored.key.hash));
        }
        self.move_selection(0);
    }
}
