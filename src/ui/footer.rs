//! The bottom two lines: what was last worth saying or is asked, and the keys that do something.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{fit, sentence};
use super::{Theme, text};
use crate::app::{Model, Question, Screen, bindings};

pub fn notice(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let width = usize::from(area.width);
    let line = if let Some(question) = &model.question {
        let words = match question {
            Question::QuitUnstored => {
                "Stored nowhere: quit and lose this key? You would have to revoke it by hand."
                    .to_owned()
            }
            Question::DropUnstored => {
                "Stored nowhere: leave and lose this key? You would have to revoke it by hand."
                    .to_owned()
            }
            Question::Remove(label) => {
                let label = fit(label.as_str(), width.saturating_sub(54).max(8));
                format!("Forget {label} here? The key itself stays valid at the server.")
            }
        };
        Line::styled(fit(&words, width), theme.warning())
    } else {
        match &model.notice {
            Some(Ok(words)) => Line::styled(fit(&sentence(words), width), theme.good()),
            Some(Err(trouble)) => {
                // One line: the head gets what it needs, the advice the rest.
                let head = format!("✗ {} ", sentence(&trouble.message));
                let head = fit(&head, width);
                let left = width.saturating_sub(Span::raw(&*head).width());
                let advice =
                    if left > 8 { fit(&sentence(&trouble.advice), left) } else { String::new() };
                Line::from(vec![Span::styled(head, theme.bad()), Span::raw(advice)])
            }
            None => standing(model, theme, width),
        }
    };
    frame.render_widget(line, area);
}

/// What is worth saying while nothing else is.
fn standing(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let words = match (&model.screen, model.unfinished.first()) {
        (Screen::Dashboard | Screen::Form(_), Some(unfinished)) => {
            format!("ending the login for {}", unfinished.label)
        }
        _ => return Line::default(),
    };
    Line::styled(fit(&sentence(&words), width), theme.dim())
}

pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let area = text::inset(area);
    let mut line = Line::default();
    let mut used = 0;
    for binding in bindings(model).into_iter().flatten().filter(|binding| binding.footer) {
        let shown = Span::styled(binding.shown, theme.accent());
        let does = Span::raw(format!(" {}  ", binding.does));
        used += shown.width() + does.width();
        if used > usize::from(area.width) + 2 {
            break;
        }
        line.push_span(shown);
        line.push_span(does);
    }
    frame.render_widget(line, area);
}
