//! The key that was just cut: what it is, where it lies, and what to do with it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Theme, details, text};
use crate::app::{Model, Reveal};

pub fn draw(reveal: &Reveal, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let held = &reveal.held;
    let mut lines = vec![Line::default()];
    if reveal.stored {
        lines.push(Line::styled(
            format!("✓ {} is cut and stored in {}.", held.label, model.place),
            theme.good(),
        ));
    } else {
        lines.push(Line::styled(
            format!("{} is cut, and stored nowhere. It exists on this screen alone.", held.label),
            theme.bad(),
        ));
    }
    if !reveal.stored {
        lines.push(if reveal.storing.is_some() {
            Line::raw("Trying to store it again.")
        } else {
            Line::raw("r stores it again, c copies it, v shows it: keep it somewhere safe first.")
        });
    }
    if let Some(trouble) = &reveal.trouble {
        lines.extend(text::trouble(trouble, theme));
    }
    lines.push(Line::default());
    let shown = reveal.shown_until.map(|until| (&reveal.key, until));
    lines.extend(details::key(held, shown, model, theme));
    lines.extend(details::policy(held, model, theme));
    if held.granted.is_some() && held.differences().is_empty() {
        lines.push(Line::styled("✓ granted as asked", theme.good()));
    }
    if reveal.stored {
        lines.push(Line::default());
        lines.extend(details::reading(held, model, theme));
    }
    text::paragraph(frame, text::inset(area), lines);
}
