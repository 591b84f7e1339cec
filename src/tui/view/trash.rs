//! The screen that lists removed keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Row, Table, TableState};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::text::{self, truncate};
use crate::domain::{TRASH_DAYS, TrashedKey, format_date, format_relative_time};
use crate::tui::state::{Model, TrashScreen};

pub fn draw(screen: &TrashScreen, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let Some(keys) = &screen.keys else { return };
    let note = match keys.get(screen.selected) {
        None => {
            format!("No removed keys. A key that you remove can be restored for {TRASH_DAYS} days.")
        }
        Some(selected) => format!(
            "The selected key {}; its text is kept here for {TRASH_DAYS} days.",
            selected.key.validity_when_removed()
        ),
    };
    let note_area = Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(2), ..area };
    text::draw_paragraph(frame, note_area, vec![Line::styled(note, theme.dim())]);
    if keys.is_empty() {
        return;
    }
    // Where there is little room, the label matters more than the masked key.
    let is_shared = keys.iter().any(|trashed| trashed.removed_by().is_some());
    let by_width = if is_shared && area.width >= 58 { 16 } else { 0 };
    let masked_width = if area.width < 76 + by_width { 0 } else { 19 };
    let longest = keys.iter().map(|trashed| trashed.key.label.as_str().width()).max().unwrap_or(0);
    let longest = u16::try_from(longest).unwrap_or(u16::MAX).max(12);
    let label_width = area
        .width
        .saturating_sub(masked_width + 14 + 10 + by_width + 3 * 2 + 2 * u16::from(by_width > 0))
        .min(longest);
    let column_count = if by_width == 0 { 4 } else { 5 };
    let titles = ["LABEL", "KEY", "REMOVED", "UNTIL", "BY"].into_iter().take(column_count);
    let header = Row::new(titles).style(theme.dim());
    let format_row = |(index, trashed): (usize, &TrashedKey)| {
        let dim = if index == screen.selected { Style::new() } else { theme.dim() };
        let cells = [
            Text::raw(truncate(trashed.key.label.as_str(), usize::from(label_width))),
            Text::styled(trashed.key.masked.clone(), dim),
            Text::raw(format_relative_time(model.now, trashed.removed_at)),
            Text::raw(format_date(trashed.deleted_at())),
            Text::styled(
                truncate(&trashed.removed_by().unwrap_or_default(), usize::from(by_width)),
                dim,
            ),
        ];
        Row::new(cells.into_iter().take(column_count))
    };
    let widths = [label_width, masked_width, 14, 10, by_width].map(Constraint::Length);
    let widths = widths.into_iter().take(column_count);
    let table = Table::new(keys.iter().enumerate().map(format_row), widths)
        .header(header)
        .column_spacing(2)
        .row_highlight_style(theme.selected());
    let mut state = TableState::default().with_selected(screen.selected);
    let below = Rect { y: area.y + 4, height: area.height.saturating_sub(4), ..area };
    frame.render_stateful_widget(table, below, &mut state);
}
