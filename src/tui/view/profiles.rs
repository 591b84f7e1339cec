//! The list of profiles, over the screen.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::line::draw_line;
use super::text::truncate;
use crate::tui::state::{Intent, Model, ProfileChoice, ProfilePicker};

/// The widest list in columns.
const MAX_WIDTH: u16 = 66;

fn list_area(model: &Model, body: Rect) -> Rect {
    let width = body.width.saturating_sub(4).min(MAX_WIDTH);
    let rows = u16::try_from(model.profiles.len()).unwrap_or(u16::MAX).saturating_add(2);
    let height = rows.min(body.height);
    let y = body.y + (body.height - height) / 3;
    Rect { x: body.x + (body.width - width) / 2, y, width, height }
}

/// Returns the first profile that is shown.
fn first_row(picker: ProfilePicker, area: Rect) -> usize {
    (picker.selected + 1).saturating_sub(usize::from(area.height.saturating_sub(2)))
}

pub fn draw(picker: ProfilePicker, model: &Model, theme: Theme, frame: &mut Frame<'_>, body: Rect) {
    let area = list_area(model, body);
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.dim())
        .title(" Profiles ");
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    let rows = area.inner(ratatui::layout::Margin { horizontal: 1, vertical: 1 });
    let name_width =
        model.profiles.iter().map(|choice| choice.name.as_str().width()).max().unwrap_or(0);
    let first = first_row(picker, area);
    let choices = model.profiles.iter().enumerate().skip(first).take(usize::from(rows.height));
    for (y, (index, choice)) in (rows.y..).zip(choices) {
        let row = Rect { y, height: 1, ..rows };
        let mut line = format_choice(choice, model, (name_width, usize::from(rows.width)), theme);
        if index == picker.selected {
            line.spans.iter_mut().for_each(|span| span.style = Style::new());
            line.style = theme.selected();
        }
        draw_line(&line, row, frame.buffer_mut());
    }
}

fn format_choice(
    choice: &ProfileChoice,
    model: &Model,
    (name_width, width): (usize, usize),
    theme: Theme,
) -> Line<'static> {
    let mark = if choice.name == model.profile { "●" } else { " " };
    let name = format!(" {mark} {:<name_width$}  ", choice.name.as_str());
    let room = width.saturating_sub(name.width() + 1);
    let detail = match &choice.server {
        Ok(server) => {
            let host = server.split_once("://").map_or(server.as_str(), |(_, host)| host);
            Span::styled(truncate(host, room), theme.dim())
        }
        // `enter` shows the reason.
        Err(_) => Span::styled(truncate("cannot be used", room), theme.error()),
    };
    Line::from(vec![Span::raw(name), detail])
}

/// Returns what a click requests: the profile at that place, or to close the list outside.
pub fn intent_at(
    picker: ProfilePicker,
    model: &Model,
    body: Rect,
    (column, row): (u16, u16),
) -> Option<Intent> {
    let area = list_area(model, body);
    if !area.contains(Position { x: column, y: row }) {
        return Some(Intent::Back);
    }
    let index = first_row(picker, area) + usize::from(row.checked_sub(area.y + 1)?);
    (index < model.profiles.len() && row + 1 < area.bottom())
        .then_some(Intent::SwitchProfile(index))
}
