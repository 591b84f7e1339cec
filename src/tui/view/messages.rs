//! The message log: the messages of this session, newest first, each in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::line::draw_line;
use super::text::to_sentence;
use super::{Theme, text};
use crate::tui::keymap::undo_hint;
use crate::tui::state::{LoggedMessage, MessageView, Model};

/// The columns of the time before each message.
const TIME_WIDTH: usize = 14;

pub fn draw(view: MessageView, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    if model.messages.is_empty() {
        draw_line(&Line::styled("No messages yet.", theme.dim()), area, frame.buffer_mut());
        return;
    }
    let width = usize::from(area.width);
    let mut lines: Vec<Line<'static>> = Vec::new();
    let undo_hint = undo_hint(model);
    let rest = model.messages.iter().rev().enumerate().skip(view.selected);
    for (index, logged) in rest {
        if lines.len() >= usize::from(area.height) {
            break;
        }
        let mut wrapped = format_message(logged, &undo_hint, width, theme);
        if index == view.selected && model.messages.len() > 1 {
            wrapped = wrapped.into_iter().map(|line| line.patch_style(theme.strong())).collect();
        }
        lines.extend(wrapped);
    }
    lines.truncate(usize::from(area.height));
    frame.render_widget(ratatui::widgets::Paragraph::new(lines), area);
}

/// Returns the lines of a message, indented below its time. The hint how to undo is left out, because it is
/// true only of the last change.
fn format_message(
    logged: &LoggedMessage,
    undo_hint: &str,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let (text, style) = match &logged.message {
        Ok(message) => {
            let message = message.split(undo_hint).next().unwrap_or_default();
            (format!("✓ {}", to_sentence(message)), theme.success())
        }
        Err(error) => {
            let details = text::format_error_details(error);
            (format!("✗ {} {details}", to_sentence(&error.message)), theme.error())
        }
    };
    let rows = wrap_words(&text, width.saturating_sub(TIME_WIDTH).max(10));
    let time = logged.at.strftime("%H:%M:%S UTC").to_string();
    let to_line = |(index, row): (usize, String)| {
        let head = if index == 0 { time.clone() } else { String::new() };
        let sign = row.chars().next().filter(|_| index == 0).map(String::from).unwrap_or_default();
        let rest = row[sign.len()..].to_owned();
        Line::from(vec![
            Span::styled(format!("{head:<TIME_WIDTH$}"), theme.dim()),
            Span::styled(sign, style),
            Span::raw(rest),
        ])
    };
    rows.into_iter().enumerate().map(to_line).collect()
}

/// Wraps a text at words; later lines are indented by two columns.
fn wrap_words(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let row = rows.last_mut().map(|row| (row.width(), row.trim().is_empty()));
        let (used, is_empty) = row.unwrap_or((0, true));
        if !is_empty && used + 1 + word.width() > width {
            rows.push("  ".to_owned());
        }
        let Some(row) = rows.last_mut() else { break };
        if !row.trim().is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    rows
}
