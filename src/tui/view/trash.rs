//! The screen that lists removed keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
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
    let note = if keys.is_empty() {
        format!("No removed keys. A key that you remove can be restored for {TRASH_DAYS} days.")
    } else {
        format!(
            "Still valid at OpenRouter. Their text is deleted here after {TRASH_DAYS} days and cannot \
             be fetched again."
        )
    };
    let note_area = Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(2), ..area };
    text::draw_paragraph(frame, note_area, vec![Line::styled(note, theme.dim())]);
    if keys.is_empty() {
        return;
    }
    // Where there is little room, the label matters more than the masked key.
    let masked_width = if area.width < 76 { 0 } else { 19 };
    let longest = keys.iter().map(|trashed| trashed.key.label.as_str().width()).max().unwrap_or(0);
    let longest = u16::try_from(longest).unwrap_or(u16::MAX).max(12);
    let label_width = area.width.saturating_sub(masked_width + 14 + 10 + 3 * 2).min(longest);
    let header = Row::new(["LABEL", "KEY", "REMOVED", "UNTIL"]).style(theme.dim());
    let format_row = |trashed: &TrashedKey| {
        Row::new([
            Text::raw(truncate(trashed.key.label.as_str(), usize::from(label_width))),
            Text::styled(trashed.key.masked.clone(), theme.dim()),
            Text::raw(format_relative_time(model.now, trashed.removed_at)),
            Text::raw(format_date(trashed.deleted_at())),
        ])
    };
    let widths = [label_width, masked_width, 14, 10].map(Constraint::Length);
    let table = Table::new(keys.iter().map(format_row), widths)
        .header(header)
        .column_spacing(2)
        .row_highlight_style(theme.selected());
    let mut state = TableState::default().with_selected(screen.selected);
    let below = Rect { y: area.y + 4, height: area.height.saturating_sub(4), ..area };
    frame.render_stateful_widget(table, below, &mut state);
}
