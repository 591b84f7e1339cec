//! Small pieces of text that several regions share.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::Theme;
use crate::domain::UserError;
pub use crate::domain::{quote_shell_word, truncate};
use crate::tui::state::TextField;

/// Columns of the names on the left of facts.
const NAME_WIDTH: usize = 10;

/// Lines, wrapped at words.
pub fn draw_paragraph(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

/// `area` with a margin of one column on both sides.
pub fn inset(area: Rect) -> Rect {
    area.inner(ratatui::layout::Margin { horizontal: 1, vertical: 0 })
}

/// A name on the left and what it names.
pub fn format_property<'a>(name: &'a str, value: impl Into<Span<'a>>, theme: Theme) -> Line<'a> {
    Line::from(vec![Span::styled(format!("{name:<NAME_WIDTH$}"), theme.dim()), value.into()])
}

/// UserError in two lines.
pub fn format_error(trouble: &UserError, theme: Theme) -> Vec<Line<'static>> {
    vec![
        Line::styled(format!("✗ {}", to_sentence(&trouble.message)), theme.error()),
        Line::raw(format_error_details(trouble)),
    ]
}

/// Returns what the error means and what to do, in sentences.
pub fn format_error_details(error: &UserError) -> String {
    if error.meaning.is_empty() {
        return to_sentence(&error.advice);
    }
    format!("{} {}", to_sentence(&error.meaning), to_sentence(&error.advice))
}

/// A capital at its start and a full stop at its end.
pub fn to_sentence(words: &str) -> String {
    let mut letters = words.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if words.ends_with(['.', '?', '!', ':']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// A text field on one row, with the cursor in it where it has the focus.
pub fn draw_text_field(
    field: &TextField,
    shown: &str,
    focused: bool,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let width = usize::from(area.width.saturating_sub(1)).max(1);
    let scroll = field.scroll_offset(width);
    let style = match (focused, field.is_selected()) {
        (true, true) => theme.selected(),
        (true, false) => theme.strong(),
        (false, _) => Style::new(),
    };
    let columns = u16::try_from(scroll).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(Span::styled(shown, style)).scroll((0, columns)), area);
    if focused {
        let column = field.cursor_column().saturating_sub(scroll).min(width);
        frame.set_cursor_position((area.x + u16::try_from(column).unwrap_or(0), area.y));
    }
}
