//! The screen that lists removed keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Row, Table, TableState};

use super::{Theme, text};
use crate::domain::{TRASH_DAYS, TrashedKey, format_date, format_relative_time};
use crate::tui::state::{Model, TrashScreen};

pub fn draw(screen: &TrashScreen, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let Some(keys) = &screen.keys else { return };
    let note = if keys.is_empty() {
        format!("No removed keys. A key that you remove can be restored for {TRASH_DAYS} days.")
    } else {
        format!(
            "Removed from this machine, and still valid at OpenRouter. After {TRASH_DAYS} days the \
             text of a key is deleted here and cannot be fetched again."
        )
    };
    let note_area = Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(2), ..area };
    text::draw_paragraph(frame, note_area, vec![Line::styled(note, theme.dim())]);
    if keys.is_empty() {
        return;
    }
    let header = Row::new(["LABEL", "KEY", "REMOVED", "UNTIL"]).style(theme.dim());
    let format_row = |trashed: &TrashedKey| {
        Row::new([
            Text::raw(trashed.key.label.to_string()),
            Text::styled(trashed.key.masked.clone(), theme.dim()),
            Text::raw(format_relative_time(model.now, trashed.removed_at)),
            Text::raw(format_date(trashed.deleted_at())),
        ])
    };
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(19),
        Constraint::Length(14),
        Constraint::Length(10),
    ];
    let table = Table::new(keys.iter().map(format_row), widths)
        .header(header)
        .column_spacing(2)
        .row_highlight_style(theme.selected());
    let mut state = TableState::default().with_selected(screen.selected);
    let below = Rect { y: area.y + 4, height: area.height.saturating_sub(4), ..area };
    frame.render_stateful_widget(table, below, &mut state);
}
