//! What of the view survives a restart: order, filter and pane.

use serde::{Deserialize, Serialize};

use super::dashboard::Dashboard;
use super::sort_filter::SortOrder;

/// The view as kept on disk. A field that is missing or unknown has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewState {
    /// The name of the sort order; empty for the configured one.
    pub sort: String,
    /// Whether the order is reversed.
    pub is_reversed: bool,
    /// The filter.
    pub filter: String,
    /// Whether the pane is closed.
    pub is_pane_closed: bool,
}

impl Dashboard {
    /// Returns what of the view is kept on disk.
    pub fn view_state(&self) -> ViewState {
        ViewState {
            sort: self.sort_order.name().to_owned(),
            is_reversed: self.is_reversed,
            filter: self.filter.text().to_owned(),
            is_pane_closed: !self.is_pane_open,
        }
    }

    /// Restores the view of an earlier run, before the keys are loaded.
    pub(in crate::tui) fn restore_view(&mut self, view: &ViewState) {
        if SortOrder::NAMES.contains(&view.sort.as_str()) {
            self.sort_order = SortOrder::from_name(&view.sort);
            self.is_reversed = view.is_reversed;
        }
        self.filter.paste(&view.filter);
        self.is_pane_open = !view.is_pane_closed;
    }
}
