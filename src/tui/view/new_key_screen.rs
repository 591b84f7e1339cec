//! The screen of a key that was just created: its policy and where it is stored.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::line::draw_line;
use super::{Theme, key_details, text};
use crate::tui::keymap::key_text;
use crate::tui::state::{Intent, Model, NewKeyScreen, PassphraseForm};

/// Column in which the passphrase fields begin.
const FIELD_COLUMN: u16 = 14;

/// Draws the screen and returns by how many lines it can be scrolled.
pub fn draw(
    state: &NewKeyScreen,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> u16 {
    if let Some(form) = &state.passphrase_form {
        draw_passphrase_form(form, state, model, theme, frame, area);
        return 0;
    }
    let stored_key = &state.entry;
    let width = usize::from(area.width.saturating_sub(4));
    let mut lines = Vec::new();
    if state.is_stored {
        lines.push(Line::styled(
            format!(
                "✓ {} was created and stored in {}.",
                stored_key.label,
                model.store_name_of(stored_key)
            ),
            theme.success(),
        ));
    } else {
        lines.push(Line::styled(
            format!(
                "{} was created but not stored. It exists only on this screen.",
                stored_key.label
            ),
            theme.error(),
        ));
    }
    if !state.is_stored {
        lines.push(if state.store_ticket.is_some() {
            Line::raw("Storing the key.")
        } else {
            let key = |intent| key_text(model, &intent);
            Line::raw(format!(
                "{} retries storing, {} copies the key, {} shows it. Save it somewhere safe first.",
                key(Intent::Retry),
                key(Intent::Copy),
                key(Intent::ToggleReveal)
            ))
        });
        if let Some(store) = &model.alternate_store {
            lines.push(Line::raw(format!(
                "{} stores it in {} instead.",
                key_text(model, &Intent::StoreInAlternate),
                store.display_name
            )));
        }
    }
    if let Some(error) = &state.error {
        lines.extend(text::format_error(error, theme));
    }
    lines.push(Line::default());
    let until = state.revealed_until;
    lines.extend(key_details::format_key(stored_key, until, model, theme, width));
    lines.extend(key_details::format_policies(stored_key, theme, width));
    if stored_key.granted.is_some() && stored_key.differing_fields().is_empty() {
        lines.push(Line::styled("✓ granted as requested", theme.success()));
    }
    if state.is_stored {
        lines.push(Line::default());
        lines.extend(key_details::format_access(stored_key, model, theme, width));
    }
    let top = u16::from(area.height > 11);
    let area = Rect { y: area.y + top, height: area.height - top, ..area };
    let area = Rect { x: area.x + 1, width: area.width - 1, ..area };
    text::draw_page(frame, area, lines, state.scroll, theme)
}

/// Draws the masked passphrase fields for the alternate store.
fn draw_passphrase_form(
    form: &PassphraseForm,
    state: &NewKeyScreen,
    model: &Model,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let location = model.alternate_store.as_ref().map_or("", |store| &store.display_name);
    let text = format!(
        "{} will be stored in {location}, encrypted. A new file cannot be opened without the \
         passphrase that you choose now.",
        state.entry.label
    );
    let inner = text::inset(area);
    text::draw_paragraph(
        frame,
        Rect { height: inner.height.min(3), ..inner },
        vec![Line::raw(text)],
    );
    for (row, (name, field)) in (4..).zip(["Passphrase", "Repeat"].iter().zip(&form.fields)) {
        let y = area.y + row;
        if y >= area.bottom() {
            return;
        }
        let focused = form.focus_index == usize::from(row - 4);
        let marker = if focused { "▸" } else { " " };
        let style = if focused { theme.accent() } else { theme.dim() };
        let at = Rect { y, height: 1, ..area };
        draw_line(&Line::styled(format!(" {marker} {name}"), style), at, frame.buffer_mut());
        let masked = "•".repeat(field.text().chars().count());
        let width = area.width.saturating_sub(FIELD_COLUMN + 1);
        let at = Rect { x: area.x + FIELD_COLUMN, width, ..at };
        text::draw_text_field(field, &masked, focused, theme, frame, at);
    }
    if let (Some(error), true) = (form.error, area.height > 6) {
        let at = Rect {
            x: area.x + FIELD_COLUMN,
            y: area.y + 6,
            height: 1,
            width: area.width - FIELD_COLUMN,
        };
        draw_line(&Line::styled(format!("✗ {error}"), theme.error()), at, frame.buffer_mut());
    }
}
