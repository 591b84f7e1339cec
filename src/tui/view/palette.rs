//! The palette: a field and the actions that match it, over the screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType};
use unicode_width::UnicodeWidthStr;

use super::Theme;
use super::dialog_box::clear_below;
use super::line::draw_line;
use super::text::{draw_scrollbar, draw_text_field, truncate};
use crate::tui::keymap::{PaletteEntry, palette_entries, run_entry, selected_entry};
use crate::tui::state::{Intent, Model, Palette};

/// The widest palette in columns.
const MAX_WIDTH: u16 = 66;

/// Returns the area of the palette over the body of the screen; on a small screen it also covers the
/// rule above the body. It has room for all commands, whatever is typed.
fn palette_area(model: &Model, body: Rect) -> Rect {
    let width = body.width.saturating_sub(4).min(MAX_WIDTH);
    let count = palette_entries(model, &Palette::default()).len();
    let height = u16::try_from(count + 3).unwrap_or(u16::MAX).max(20);
    let (y, height) = if body.height < 21 {
        (body.y - 1, body.height + 1)
    } else {
        (body.y, height.min(body.height))
    };
    Rect { x: body.x + (body.width - width) / 2, y, width, height }
}

/// Returns the area of the listed actions and the index of the first one.
fn list_area(selected: Option<usize>, area: Rect) -> (Rect, usize) {
    let list =
        Rect { x: area.x + 1, y: area.y + 2, width: area.width - 2, height: area.height - 3 };
    let first = selected.map_or(0, |index| index + 1).saturating_sub(usize::from(list.height));
    (list, first)
}

pub fn draw(palette: &Palette, model: &Model, theme: Theme, frame: &mut Frame<'_>, body: Rect) {
    let area = palette_area(model, body);
    let entries = palette_entries(model, palette);
    let selected = selected_entry(palette, &entries);
    let (list, first) = list_area(selected, area);
    let count = match entries.len() {
        1 => "1 command".to_owned(),
        count => format!("{count} commands"),
    };
    let is_choice_open = selected.is_none() && !entries.is_empty();
    let hint = if is_choice_open {
        format!(" ↓ or enter selects · {count} ")
    } else {
        format!(" {count} ")
    };
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent())
        .title(Span::styled(" Commands ", theme.strong()))
        .title_bottom(Line::from(hint).right_aligned());
    clear_below(area, theme, frame);
    frame.render_widget(block, area);
    let field = Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: 1 };
    frame.render_widget(Span::styled(" :", theme.accent()), field);
    let field = Rect { x: field.x + 3, width: field.width - 3, ..field };
    draw_text_field(&palette.query, palette.query.text(), true, theme, frame, field);
    if entries.is_empty() {
        draw_line(&Line::styled("   No command matches.", theme.dim()), list, frame.buffer_mut());
    }
    let rows = entries.iter().enumerate().skip(first).take(usize::from(list.height));
    for (y, (index, entry)) in (list.y..).zip(rows) {
        let row = Rect { y, height: 1, ..list };
        let mut line = format_entry(entry, usize::from(list.width), theme);
        if Some(index) == selected {
            // One style, so that the key is as readable as the text.
            line.spans.iter_mut().for_each(|span| span.style = Style::new());
            line.style = theme.selected();
        }
        draw_line(&line, row, frame.buffer_mut());
    }
    let bar = Rect { x: area.right() - 1, width: 1, ..list };
    draw_scrollbar(entries.len(), usize::from(list.height), first, theme, frame, bar);
}

/// Returns an action with the matched characters emphasised and its key at the right end.
fn format_entry(entry: &PaletteEntry, width: usize, theme: Theme) -> Line<'static> {
    let key_width = entry.key_text.width();
    let shown = truncate(entry.text, width.saturating_sub(key_width + 4));
    let base = if entry.is_enabled { Style::new() } else { theme.dim() };
    let mut spans = vec![Span::raw("  ")];
    for (index, c) in shown.chars().enumerate() {
        let is_matched = entry.matched_chars.contains(&index);
        let style = if is_matched { base.patch(theme.accent()) } else { base };
        spans.push(Span::styled(c.to_string(), style));
    }
    let gap = width.saturating_sub(shown.width() + key_width + 3);
    spans.push(Span::raw(" ".repeat(gap)));
    spans.push(Span::styled(entry.key_text.to_string(), base.patch(theme.accent())));
    spans.push(Span::raw(" "));
    Line::from(spans)
}

/// Returns what a click requests: the action at that place, or to close the palette outside.
pub fn intent_at(
    palette: &Palette,
    model: &Model,
    body: Rect,
    (column, row): (u16, u16),
) -> Option<Intent> {
    let at = ratatui::layout::Position { x: column, y: row };
    let area = palette_area(model, body);
    if !area.contains(at) {
        return Some(Intent::Back);
    }
    let entries = palette_entries(model, palette);
    let selected = selected_entry(palette, &entries);
    let (list, first) = list_area(selected, area);
    let index = first + usize::from(row.checked_sub(list.y)?);
    run_entry(&entries, index)
}
