//! The selected row, the rows on screen, and clicks on them.

use jiff::{SignedDuration, Timestamp};

use super::Dashboard;
use crate::domain::StoredKey;
use crate::tui::state::{DashboardLayout, scroll_by};

/// The longest time between the two clicks of a double click.
const DOUBLE_CLICK: SignedDuration = SignedDuration::from_millis(400);

impl Dashboard {
    /// Moves the selection by `by` rows.
    pub fn move_selection(&mut self, by: isize) {
        self.select_row(self.selected_row.saturating_add_signed(by));
    }

    /// Selects the row, or the last row if there are fewer.
    pub fn select_row(&mut self, row: usize) {
        let row = row.min(self.rows.len().saturating_sub(1));
        if row != self.selected_row {
            self.hide_revealed_key();
            self.details_scroll = 0;
        }
        self.selected_row = row;
    }

    /// Scrolls the details by `by` lines; the last line limits it when they are drawn.
    pub(in crate::tui) fn scroll_details(&mut self, by: isize) {
        self.details_scroll = scroll_by(self.details_scroll, by);
    }

    /// Scrolls as little as is needed to show the selected row among `page_size` rows.
    pub(in crate::tui) fn scroll_to_selection(&mut self, page_size: usize) {
        let last_first_row = self.rows.len().saturating_sub(page_size);
        let first_row = self.first_row.min(self.selected_row).min(last_first_row);
        self.first_row = first_row.max((self.selected_row + 1).saturating_sub(page_size));
    }

    /// Returns the index in `rows` of the key at a row of the screen.
    pub fn row_at(&self, screen_row: u16, layout: &DashboardLayout) -> Option<usize> {
        let below =
            screen_row.checked_sub(layout.rows.y).filter(|row| *row < layout.rows.height)?;
        let row = self.first_row + usize::from(below);
        (row < self.rows.len()).then_some(row)
    }

    /// Selects the row. Returns whether this is the second click on it within the time of a double click.
    pub fn click_row(&mut self, row: usize, now: Timestamp) -> bool {
        self.select_row(row);
        let first = self.last_click.replace((row, now));
        let is_double = first.is_some_and(|(first_row, at)| {
            first_row == row
                && (SignedDuration::ZERO..=DOUBLE_CLICK).contains(&now.duration_since(at))
        });
        self.last_click.take_if(|_| is_double);
        is_double
    }

    /// Returns the rows on screen and their keys, if the screen has `page_size` rows.
    pub fn visible_keys(&self, page_size: usize) -> impl Iterator<Item = (usize, &StoredKey)> {
        let keys = self.all_keys();
        let rows = self.rows.iter().enumerate().skip(self.first_row).take(page_size);
        rows.filter_map(|(row, index)| Some((row, keys.get(*index)?)))
    }
}
