//! The screen that takes a management key, and what the stored key may do.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::line::draw_line;
use super::{Theme, text};
use crate::tui::state::{ManagementScreen, StoredManagementKey};

pub fn draw(screen: &ManagementScreen, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let inner = text::inset(area);
    if let Some(stored) = &screen.stored {
        return text::draw_paragraph(frame, inner, format_stored(stored, theme));
    }
    let lines = vec![
        Line::default(),
        Line::styled("Paste a management key", theme.strong()),
        Line::default(),
        Line::raw(
            "With it Keywright reads the credits and the keys of the account, edits and disables \
             them, and creates keys without the browser.",
        ),
        Line::raw("Create one at openrouter.ai/settings/management-keys."),
    ];
    text::draw_paragraph(frame, Rect { height: inner.height.min(7), ..inner }, lines);
    let y = inner.y + 8;
    if y >= inner.bottom() {
        return;
    }
    frame.render_widget(Span::styled("▸", theme.accent()), Rect { y, height: 1, ..inner });
    let at = Rect { x: inner.x + 2, y, width: inner.width.saturating_sub(4), height: 1 };
    let masked = "•".repeat(screen.field.text().chars().count());
    text::draw_text_field(&screen.field, &masked, screen.ticket.is_none(), theme, frame, at);
    let below = Rect { y: y + 2, height: inner.bottom().saturating_sub(y + 2), ..inner };
    match (&screen.error, screen.ticket) {
        (Some(error), _) => text::draw_paragraph(frame, below, text::format_error(error, theme)),
        (None, Some(_)) => {
            draw_line(&Line::styled("Checking the key.", theme.dim()), below, frame.buffer_mut());
        }
        (None, None) => {}
    }
}

fn format_stored(stored: &StoredManagementKey, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::default(),
        Line::styled(
            format!("✓ {} is stored in {}.", stored.masked, stored.store_name),
            theme.success(),
        ),
        Line::default(),
        Line::styled("It may:", theme.strong()),
    ];
    for right in &stored.rights {
        lines.push(match &right.refused {
            None => Line::from(vec![Span::styled("  ✓ ", theme.success()), Span::raw(right.name)]),
            Some(why) => Line::from(vec![
                Span::styled("  ✗ ", theme.error()),
                Span::raw(format!("not {}: ", right.name)),
                Span::styled(why.clone(), theme.dim()),
            ]),
        });
    }
    if stored.is_overridden {
        lines.push(Line::default());
        lines.push(Line::styled(
            "OPENROUTER_MANAGEMENT_KEY is set and is used instead.",
            theme.warning(),
        ));
    }
    lines
}
