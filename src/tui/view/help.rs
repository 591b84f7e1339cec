//! The help screen: the key bindings of the current screen, from the tables that the keymap uses.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::Theme;
use crate::tui::keymap::{KeyBinding, screen_bindings};
use crate::tui::state::Model;

/// Minimum width of a column.
const MIN_COLUMN_WIDTH: u16 = 40;

pub fn draw(model: &Model, page: usize, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let bindings: Vec<_> = screen_bindings(model)
        .into_iter()
        .flatten()
        .filter(|binding| !binding.description.is_empty())
        .collect();
    let key_width = bindings.iter().map(|binding| binding.key_text.width()).max().unwrap_or(0) + 2;
    let rows = usize::from(area.height.saturating_sub(2)).max(1);
    // As few columns as hold all bindings, then as few pages as possible.
    let columns =
        bindings.len().div_ceil(rows).clamp(1, usize::from(area.width / MIN_COLUMN_WIDTH).max(1));
    let pages = bindings.len().div_ceil(rows * columns).max(1);
    let shown = bindings.chunks(rows * columns).nth(page % pages).unwrap_or_default();
    let width = area.width / u16::try_from(columns).unwrap_or(1);
    for (column, chunk) in (0..).zip(shown.chunks(rows)) {
        let line = |binding: &&KeyBinding| {
            let key = format!(" {:<key_width$}", binding.key_text);
            Line::from(vec![Span::styled(key, theme.accent()), Span::raw(binding.description)])
        };
        let lines: Vec<_> = chunk.iter().map(line).collect();
        let area = Rect { x: area.x + column * width, width, height: area.height - 2, ..area };
        // Not wrapped: an extra line would push the last ones out of the area.
        frame.render_widget(Paragraph::new(lines), area);
    }
    let last_line = Rect { y: area.bottom() - 1, height: 1, ..area };
    let text = if pages > 1 {
        format!(" ↓ next page ({pages} pages). All commands: keywright --help")
    } else {
        " ctrl-c quits from anywhere, ctrl-z suspends. All commands: keywright --help".to_owned()
    };
    frame.render_widget(Line::styled(text, theme.dim()), last_line);
}
