//! What is thought over before it is done, spelled out; and afterwards what was done of it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{ActionResult, StoredKey};
use crate::tui::state::{ConfirmDialog, ConfirmKind, Model, UNUSED_FOR_CHOICES};

pub fn draw(ask: &ConfirmDialog, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width.saturating_sub(4));
    let mut lines = vec![Line::default()];
    let (head, style) = match ask.kind {
        ConfirmKind::Rotate => {
            (format!("Another key in the place of {}", format_key_names(ask)), theme.strong())
        }
        ConfirmKind::RespondToLeak => (format!("{} leaked", format_key_names(ask)), theme.error()),
        ConfirmKind::Revoke => {
            (format!("Delete {} at OpenRouter, for good", format_key_names(ask)), theme.error())
        }
    };
    lines.push(Line::styled(truncate(&head, width), style));
    lines.push(Line::default());
    let steps: &[&str] = match ask.kind {
        ConfirmKind::Rotate => &[
            "A new key with the same limit, reset and expiry is cut: by the management key where \
             one is known, else with your consent in the browser.",
            "It is stored and read back, and gets the label: programs that ask for it get the new \
             one from then on.",
        ],
        ConfirmKind::RespondToLeak => &[
            "It is disabled at OpenRouter at once: whatever uses it stops working. This takes a \
             management key; without one you are told where to do it.",
            "A new key with the same limit, reset and expiry is cut, stored, read back, and gets \
             the label.",
            "The old one is kept, disabled, until you delete it; one new key goes to the clipboard.",
        ],
        ConfirmKind::Revoke => &[
            "The key itself dies: nobody can use it any more, on this machine or any other.",
            "What is held of it here is forgotten too. This cannot be taken back.",
        ],
    };
    for (number, step) in (1..).zip(steps) {
        lines.push(Line::raw(format!("{number}. {step}")));
    }
    match ask.kind {
        ConfirmKind::Rotate => lines.extend(format_retire_policy(ask, theme)),
        ConfirmKind::RespondToLeak => {}
        ConfirmKind::Revoke => {
            let word = match &ask.keys[..] {
                [_] => "its label",
                _ => "how many keys that are",
            };
            lines.push(Line::default());
            lines.push(Line::raw(format!(
                "Type {word} to confirm: {}",
                ask.expected_confirmation()
            )));
        }
    }
    let rows: usize = lines.iter().map(|line| line.width().div_ceil(width.max(1)).max(1)).sum();
    let inside = text::inset(text::inset(area));
    text::draw_paragraph(frame, inside, lines);
    let y = inside.y + u16::try_from(rows + 1).unwrap_or(u16::MAX).min(inside.height);
    if ask.kind == ConfirmKind::Revoke && y < inside.bottom() {
        frame.render_widget(Span::styled("▸", theme.accent()), Rect { y, height: 1, ..inside });
        let at = Rect { x: inside.x + 2, y, width: inside.width - 2, height: 1 };
        text::draw_text_field(&ask.confirmation, ask.confirmation.text(), true, theme, frame, at);
    } else if ask.kind == ConfirmKind::RespondToLeak {
        draw_keys(
            &ask.keys,
            model,
            theme,
            frame,
            Rect { y: y.min(inside.bottom()), height: inside.bottom().saturating_sub(y), ..inside },
        );
    }
}

fn format_key_names(ask: &ConfirmDialog) -> String {
    match &ask.keys[..] {
        [held] => format!("{} ({})", held.label, held.masked),
        keys => format!("{} keys", keys.len()),
    }
}

/// What becomes of the old key.
fn format_retire_policy(ask: &ConfirmDialog, theme: Theme) -> Vec<Line<'static>> {
    let then = if ask.revoke_when_unused {
        "it is deleted at OpenRouter without a question"
    } else {
        "its deletion is offered"
    };
    vec![
        Line::raw("3. The old key is kept and watched: while it is used, it lives."),
        Line::default(),
        Line::from(vec![
            Span::raw("Once unused for "),
            Span::styled(
                format!("◂ {} ▸", UNUSED_FOR_CHOICES[ask.unused_for_index].0),
                theme.selected(),
            ),
            Span::raw(" "),
            Span::styled(then, theme.strong()),
            Span::raw("."),
        ]),
    ]
}

/// Which keys it is about.
fn draw_keys(keys: &[StoredKey], model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = keys.iter().map(|held| {
        let state = super::key_table::format_state(held, model.now, theme);
        Line::from(vec![
            Span::raw(format!("  {}  ", truncate(held.label.as_str(), 40))),
            Span::styled(format!("{}  ", held.masked), theme.dim()),
            state,
        ])
    });
    text::draw_paragraph(frame, area, lines.collect());
}

/// What was done, and what was not.
pub fn draw_action_results(
    deeds: &[ActionResult],
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let mut lines = vec![Line::default()];
    for deed in deeds {
        let (mark, style) = if deed.succeeded {
            ("✓ done      ", theme.success())
        } else {
            ("✗ NOT done  ", theme.error())
        };
        lines.push(Line::from(vec![
            Span::styled(mark, style),
            Span::raw(to_sentence(&deed.message)),
        ]));
        lines.push(Line::default());
    }
    text::draw_paragraph(frame, text::inset(area), lines);
}
