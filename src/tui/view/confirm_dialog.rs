//! Confirmation of a rotation, a leak response, a revocation or an account, and the results of an action.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{to_sentence, truncate};
use super::{Theme, text};
use crate::domain::{ActionResult, StoredKey};
use crate::tui::state::{ConfirmDialog, ConfirmKind, ExpectedLosses, Model, UNUSED_FOR_CHOICES};

pub fn draw(
    dialog: &ConfirmDialog,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let width = usize::from(area.width.saturating_sub(4));
    let mut lines = vec![Line::default()];
    let (heading, style) = match dialog.kind {
        ConfirmKind::Rotate => {
            (format!("Replace {} with a new key", format_key_names(dialog)), theme.strong())
        }
        ConfirmKind::RespondToLeak => {
            (format!("{} leaked", format_key_names(dialog)), theme.error())
        }
        ConfirmKind::ConfirmAccount => {
            (format!("{} belongs to another account", format_key_names(dialog)), theme.error())
        }
        ConfirmKind::Revoke => (
            format!("Delete {} at OpenRouter permanently", format_key_names(dialog)),
            theme.error(),
        ),
    };
    lines.push(Line::styled(truncate(&heading, width), style));
    lines.push(Line::default());
    let steps: &[&str] = match dialog.kind {
        ConfirmKind::Rotate => &[
            "A new key with the same policy is created: with the management key if one is set, \
             otherwise with your consent in the browser. It gets the old key's workspace, guardrail \
             and provider keys.",
            "The new key is stored, read back and gets the label: programs that ask for the label \
             get the new key from then on.",
        ],
        ConfirmKind::RespondToLeak => &[
            "The key is disabled at OpenRouter at once: programs that use it stop working. This \
             needs a management key; without one you see the page where you can disable it.",
            "A new key with the same policy, workspace, guardrail and provider keys is created, \
             stored, read back and gets the label.",
            "The old key stays stored, disabled, until you delete it. One new key is copied to the \
             clipboard.",
        ],
        ConfirmKind::ConfirmAccount => &[
            "Your other keys belong to another account. Someone else may have answered the sign-in \
             with theirs; they would see how this key is used.",
            "If that account is yours, confirm it: the key then gets the label for which it was \
             created. Otherwise press esc, then x to remove the key.",
        ],
        ConfirmKind::Revoke => &[
            "The key stops working everywhere, on this machine and on any other.",
            "The key is also removed from this machine. This cannot be undone.",
        ],
    };
    for (number, step) in (1..).zip(steps) {
        lines.push(Line::raw(format!("{number}. {step}")));
    }
    match dialog.kind {
        ConfirmKind::Rotate => {
            lines.extend(format_retire_policy(dialog, theme));
            lines.extend(format_losses(dialog, theme));
        }
        ConfirmKind::RespondToLeak => lines.extend(format_losses(dialog, theme)),
        ConfirmKind::Revoke | ConfirmKind::ConfirmAccount => {
            let expected = match &dialog.keys[..] {
                [_] => "the label",
                _ => "the number of keys",
            };
            lines.push(Line::default());
            lines.push(Line::raw(format!(
                "Type {expected} to confirm: {}",
                dialog.expected_confirmation()
            )));
        }
    }
    let rows: usize = lines.iter().map(|line| line.width().div_ceil(width.max(1)).max(1)).sum();
    let inner = text::inset(text::inset(area));
    text::draw_paragraph(frame, inner, lines);
    let y = inner.y + u16::try_from(rows + 1).unwrap_or(u16::MAX).min(inner.height);
    if dialog.kind.requires_text() && y < inner.bottom() {
        frame.render_widget(Span::styled("▸", theme.accent()), Rect { y, height: 1, ..inner });
        let at = Rect { x: inner.x + 2, y, width: inner.width - 2, height: 1 };
        text::draw_text_field(
            &dialog.confirmation,
            dialog.confirmation.text(),
            true,
            theme,
            frame,
            at,
        );
    } else if dialog.kind == ConfirmKind::RespondToLeak {
        draw_keys(
            &dialog.keys,
            model,
            theme,
            frame,
            Rect { y: y.min(inner.bottom()), height: inner.bottom().saturating_sub(y), ..inner },
        );
    }
}

fn format_key_names(dialog: &ConfirmDialog) -> String {
    match &dialog.keys[..] {
        [stored_key] => format!("{} ({})", stored_key.label, stored_key.masked),
        keys => format!("{} keys", keys.len()),
    }
}

/// Returns the lines that say what happens to the old key.
fn format_retire_policy(dialog: &ConfirmDialog, theme: Theme) -> Vec<Line<'static>> {
    let action = if dialog.revoke_when_unused {
        "it is deleted at OpenRouter without asking"
    } else {
        "Keywright offers to delete it"
    };
    vec![
        Line::raw("3. The old key stays valid and stored as long as it is used."),
        Line::default(),
        Line::from(vec![
            Span::raw("After "),
            Span::styled(
                format!("◂ {} ▸", UNUSED_FOR_CHOICES[dialog.unused_for_index].0),
                theme.selected(),
            ),
            Span::raw(" without use, "),
            Span::styled(action, theme.strong()),
            Span::raw("."),
        ]),
    ]
}

/// Returns the lines that say what the new keys will not have.
fn format_losses(dialog: &ConfirmDialog, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let losses = match &dialog.losses {
        ExpectedLosses::Pending(_) => {
            lines.push(Line::styled(
                "Checking what can be carried over to the new key…",
                theme.dim(),
            ));
            return lines;
        }
        ExpectedLosses::Known(losses) => losses,
    };
    for (label, losses) in losses.iter().filter(|(_, losses)| !losses.is_empty()) {
        let heading = format!("Cannot be carried over to the new key of '{label}':");
        lines.push(Line::styled(heading, theme.error()));
        lines.extend(losses.iter().map(|loss| Line::raw(format!("  {loss}"))));
    }
    if lines.len() == 1 {
        lines.clear();
    }
    lines
}

/// Draws the keys that a leak response applies to.
fn draw_keys(keys: &[StoredKey], model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = keys.iter().map(|stored_key| {
        let state = super::key_table::format_state(stored_key, model.now, theme);
        Line::from(vec![
            Span::raw(format!("  {}  ", truncate(stored_key.label.as_str(), 40))),
            Span::styled(format!("{}  ", stored_key.masked), theme.dim()),
            state,
        ])
    });
    text::draw_paragraph(frame, area, lines.collect());
}

/// Draws which actions succeeded and which failed.
pub fn draw_action_results(
    results: &[ActionResult],
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let mut lines = vec![Line::default()];
    for result in results {
        let (mark, style) = if result.succeeded {
            ("✓ done  ", theme.success())
        } else {
            ("✗ FAILED  ", theme.error())
        };
        lines.push(Line::from(vec![
            Span::styled(mark, style),
            Span::raw(to_sentence(&result.message)),
        ]));
        lines.push(Line::default());
    }
    text::draw_paragraph(frame, text::inset(area), lines);
}
