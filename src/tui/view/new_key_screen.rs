//! The key that was just cut: what it is, where it lies, and what to do with it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Theme, key_details, text};
use crate::tui::state::{Model, NewKeyScreen, PassphraseForm};

/// Where the fields of a passphrase begin.
const FIELD_COLUMN: u16 = 14;

pub fn draw(reveal: &NewKeyScreen, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if let Some(typed) = &reveal.passphrase_form {
        return draw_passphrase_form(typed, reveal, model, theme, frame, area);
    }
    let held = &reveal.entry;
    let mut lines = vec![Line::default()];
    if reveal.is_stored {
        lines.push(Line::styled(
            format!("✓ {} is cut and stored in {}.", held.label, model.store_name_of(held)),
            theme.success(),
        ));
    } else {
        lines.push(Line::styled(
            format!("{} is cut, and stored nowhere. It exists on this screen alone.", held.label),
            theme.error(),
        ));
    }
    if !reveal.is_stored {
        lines.push(if reveal.store_ticket.is_some() {
            Line::raw("Trying to store it.")
        } else {
            Line::raw("r stores it again, c copies it, v shows it: keep it somewhere safe first.")
        });
        if let Some(elsewhere) = &model.alternate_store {
            lines.push(Line::raw(format!("s stores it in {} instead.", elsewhere.display_name)));
        }
    }
    if let Some(trouble) = &reveal.error {
        lines.extend(text::format_error(trouble, theme));
    }
    lines.push(Line::default());
    let shown = reveal.revealed_until.map(|until| (&reveal.key, until));
    lines.extend(key_details::format_key(held, shown, model, theme));
    lines.extend(key_details::format_policy(held, model, theme));
    if held.granted.is_some() && held.differing_fields().is_empty() {
        lines.push(Line::styled("✓ granted as asked", theme.success()));
    }
    if reveal.is_stored {
        lines.push(Line::default());
        lines.extend(key_details::format_access(held, model, theme));
    }
    text::draw_paragraph(frame, text::inset(area), lines);
}

/// The passphrase of the other store, never shown.
fn draw_passphrase_form(
    typed: &PassphraseForm,
    reveal: &NewKeyScreen,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let place = model.alternate_store.as_ref().map_or("", |elsewhere| &elsewhere.display_name);
    let head = format!(
        "{} goes into {place}, encrypted. Whoever forgets the passphrase of a new file cannot open \
         it again.",
        reveal.entry.label
    );
    let inner = text::inset(area);
    text::draw_paragraph(
        frame,
        Rect { height: inner.height.min(3), ..inner },
        vec![Line::raw(head)],
    );
    for (row, (name, field)) in (4..).zip(["Passphrase", "Once more"].iter().zip(&typed.fields)) {
        let y = area.y + row;
        if y >= area.bottom() {
            return;
        }
        let focused = typed.focus_index == usize::from(row - 4);
        let marker = if focused { "▸" } else { " " };
        let style = if focused { theme.accent() } else { theme.dim() };
        let at = Rect { y, height: 1, ..area };
        frame.render_widget(Line::styled(format!(" {marker} {name}"), style), at);
        let masked = "•".repeat(field.text().chars().count());
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        let at = Rect { x: area.x + FIELD_COLUMN, width, ..at };
        text::draw_text_field(field, &masked, focused, theme, frame, at);
    }
    if let (Some(words), true) = (typed.error, area.height > 6) {
        let at = Rect {
            x: area.x + FIELD_COLUMN,
            y: area.y + 6,
            height: 1,
            width: area.width - FIELD_COLUMN,
        };
        frame.render_widget(Line::styled(format!("✗ {words}"), theme.error()), at);
    }
}
