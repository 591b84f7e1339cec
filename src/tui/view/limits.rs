//! The screen that edits the limits of several keys, with what would change of each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::form::{FIELD_COLUMN, format_choices};
use super::line::draw_line;
use super::text::truncate;
use super::{Theme, text};
use crate::domain::{FieldChange, ResetInterval, ValidationError};
use crate::tui::state::{LimitsScreen, PlannedLimit};

/// The rows above the changes.
const HEAD_ROWS: u16 = 8;

pub fn draw(screen: &LimitsScreen, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let row = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    let title = |y: u16, text: &'static str, is_focused: bool| {
        let (mark, style) = if is_focused { ("▸", theme.accent()) } else { (" ", theme.base()) };
        (
            Line::from(vec![Span::styled(format!(" {mark} "), style), Span::styled(text, style)]),
            row(y),
        )
    };
    let is_limit_focused = !screen.is_reset_focused;
    for (line, at) in
        [title(3, "Credit limit", is_limit_focused), title(6, "Reset", screen.is_reset_focused)]
    {
        draw_line(&line, at, frame.buffer_mut());
    }
    let value = |y: u16| {
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        Rect { x: area.x + FIELD_COLUMN, width, ..row(y) }
    };
    let shown = screen.limit.text();
    let field = Rect { width: value(3).width.min(16), ..value(3) };
    text::draw_text_field(&screen.limit, shown, is_limit_focused, theme, frame, field);
    let names = ["keep", "never"].into_iter().chain(ResetInterval::ALL.map(ResetInterval::as_str));
    let chosen = match screen.limit_reset {
        FieldChange::Keep => 0,
        FieldChange::Clear => 1,
        FieldChange::Set(reset) => {
            2 + ResetInterval::ALL.iter().position(|interval| *interval == reset).unwrap_or(0)
        }
    };
    let names: Vec<&str> = names.collect();
    // The bracket before the first choice stands left of the values.
    let at = Rect { x: value(6).x - 1, width: value(6).width + 1, ..value(6) };
    let choices = format_choices(&names, chosen, screen.is_reset_focused, theme, at.width);
    draw_line(&choices, at, frame.buffer_mut());
    let hint = match (&screen.error, screen.parse_limit()) {
        (Some(error), _) => Line::styled(format!("✗ {error}"), theme.error()),
        (None, Err(ValidationError(error))) => Line::styled(format!("✗ {error}"), theme.error()),
        (None, Ok(_)) => Line::styled(
            "an amount in USD, none, or empty to keep each limit; spending so far counts",
            theme.dim(),
        ),
    };
    text::draw_paragraph(frame, Rect { height: 2, ..value(4) }, vec![hint]);
    let inner = Rect { x: area.x + 3, width: area.width.saturating_sub(4), ..area };
    let heading = format!("Edit the limit of {} keys", screen.keys.len());
    let heading = Line::styled(heading, theme.strong());
    draw_line(&heading, Rect { y: area.y + 1, height: 1, ..inner }, frame.buffer_mut());
    if screen.is_reviewed {
        let note = Line::styled("Enter sends these changes, esc goes back:", theme.warning());
        draw_line(
            &note,
            Rect { y: area.y + HEAD_ROWS - 1, height: 1, ..inner },
            frame.buffer_mut(),
        );
    }
    let height = area.height.saturating_sub(HEAD_ROWS);
    let below = Rect { y: area.y + HEAD_ROWS, height, ..inner };
    let lines = format_plan(screen, theme, usize::from(below.width), usize::from(below.height));
    frame.render_widget(ratatui::widgets::Paragraph::new(lines), below);
}

/// Returns a line for each key, at most `rows`.
fn format_plan(
    screen: &LimitsScreen,
    theme: Theme,
    width: usize,
    rows: usize,
) -> Vec<Line<'static>> {
    if screen.current.is_none() {
        return vec![Line::styled("Reading the limits at OpenRouter.", theme.dim())];
    }
    let Some(plan) = screen.plan() else { return Vec::new() };
    let longest = screen.keys.iter().map(|key| key.label.as_str().width()).max().unwrap_or(0);
    let label_width = longest.min(width / 3);
    let format_key = |(key, planned): (&crate::domain::StoredKey, PlannedLimit)| {
        let label = truncate(key.label.as_str(), label_width);
        let padding = " ".repeat(label_width.saturating_sub(label.width()) + 2);
        let room = width.saturating_sub(label_width + 2);
        let (what, style) = match planned {
            PlannedLimit::Change(_, differences) => (differences, theme.strong()),
            PlannedLimit::Unchanged => ("stays as it is".to_owned(), theme.dim()),
            PlannedLimit::Impossible(reason) => (reason, theme.error()),
        };
        Line::from(vec![
            Span::raw(label),
            Span::raw(padding),
            Span::styled(truncate(&what, room), style),
        ])
    };
    let mut lines: Vec<Line<'static>> = screen.keys.iter().zip(plan).map(format_key).collect();
    if lines.len() > rows {
        let hidden = lines.len() - rows.saturating_sub(1);
        lines.truncate(rows.saturating_sub(1));
        lines.push(Line::styled(format!("and {hidden} more keys"), theme.dim()));
    }
    lines
}
