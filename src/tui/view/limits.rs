//! The screen that edits the limits of several keys, with what would change of each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::text::truncate;
use super::{Theme, text};
use crate::domain::{FieldChange, ValidationError};
use crate::tui::state::{LimitsScreen, PlannedLimit};

/// The columns of the titles of the fields.
const TITLE_WIDTH: u16 = 14;

pub fn draw(screen: &LimitsScreen, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let row = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    let heading = format!("Edit the limit of {} keys", screen.keys.len());
    frame.render_widget(Line::styled(heading, theme.strong()), row(1));
    let title = |text: &'static str, is_focused: bool| {
        let style = if is_focused { theme.accent() } else { theme.dim() };
        Span::styled(text, style)
    };
    frame.render_widget(title("Credit limit", !screen.is_reset_focused), row(3));
    frame.render_widget(title("Reset", screen.is_reset_focused), row(4));
    let value = |y: u16| {
        let width = area.width.saturating_sub(TITLE_WIDTH);
        Rect { x: area.x + TITLE_WIDTH, width, ..row(y) }
    };
    let is_focused = !screen.is_reset_focused;
    if screen.limit.text().is_empty() && !is_focused {
        frame.render_widget(Span::styled("keep each limit", theme.dim()), value(3));
    } else {
        let shown = screen.limit.text();
        text::draw_text_field(&screen.limit, shown, is_focused, theme, frame, value(3));
    }
    let reset = match screen.limit_reset {
        FieldChange::Keep => "keep each reset",
        FieldChange::Clear => "never",
        FieldChange::Set(reset) => reset.as_str(),
    };
    let style = if screen.is_reset_focused { theme.selected() } else { theme.base() };
    frame.render_widget(Span::styled(format!("◂ {reset} ▸"), style), value(4));
    let hint = match (&screen.error, screen.parse_limit()) {
        (Some(error), _) => Line::styled(error.clone(), theme.error()),
        (None, Err(ValidationError(error))) => Line::styled(error, theme.error()),
        (None, Ok(_)) if screen.is_reviewed => {
            Line::styled("Enter sends these changes, esc goes back.", theme.warning())
        }
        (None, Ok(_)) => Line::styled(
            "An amount in USD, none, or empty to keep each limit. Spending so far counts.",
            theme.dim(),
        ),
    };
    text::draw_paragraph(frame, Rect { height: 2, ..row(5) }, vec![hint]);
    let below = Rect { y: area.y + 8, height: area.height.saturating_sub(8), ..area };
    let lines = format_plan(screen, theme, usize::from(area.width), usize::from(below.height));
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
