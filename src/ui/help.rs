//! The help screen: every key of the screen beneath, from the tables that the keys are read from.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::Theme;
use crate::app::{Model, screen_bindings};

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = screen_bindings(model)
        .into_iter()
        .flatten()
        .filter(|binding| !binding.does.is_empty())
        .map(|binding| {
            Line::from(vec![
                Span::styled(format!(" {:<12}", binding.shown), theme.accent()),
                Span::raw(binding.does),
            ])
        })
        .collect();
    // Two columns where one is not enough, three where two are not.
    let rows = usize::from(area.height.saturating_sub(2)).max(1);
    let width = area.width / u16::try_from(lines.len().div_ceil(rows)).unwrap_or(1).max(1);
    for (column, part) in (0..).zip(lines.chunks(rows)) {
        let area = Rect { x: area.x + column * width, width, height: area.height - 2, ..area };
        // Not wrapped: a line more would push the last ones out.
        frame.render_widget(Paragraph::new(part.to_vec()), area);
    }
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    let words = " ctrl-c quits from anywhere, ctrl-z stops. Every command: keywright --help";
    frame.render_widget(Line::styled(words, theme.dim()), last);
}
