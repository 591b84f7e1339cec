//! A dialog over the dimmed screen, with its actions as buttons.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear};
use unicode_width::UnicodeWidthStr;

use super::bars::LEVELS;
use super::dialog::Dialog;
use super::line::draw_line;
use super::{Theme, confirm_dialog, question, text};
use crate::tui::keymap::{Binding, active_bindings};
use crate::tui::state::{Intent, Model, Overlay, Screen, ScreenLayout};

/// The widest dialog in columns.
const MAX_WIDTH: u16 = 72;
/// The columns of the border and the margin on one side.
const MARGIN: u16 = 2;
/// The rows of the border, of the buttons and of the blank row above these.
const FRAME_ROWS: usize = 4;

/// Where a dialog and its buttons are.
struct Placed {
    area: Rect,
    rows: Vec<Line<'static>>,
    /// By how many rows the text can be scrolled.
    scroll_end: u16,
    buttons: Vec<(Rect, Binding)>,
}

/// Returns the dialog on the screen, if one is open.
fn open_dialog(model: &Model, theme: Theme, width: usize) -> Option<Dialog<'_>> {
    if let Some(question) = &model.question {
        return Some(question::dialog(question, model, theme, width));
    }
    if let Some(Overlay::Help { .. } | Overlay::Messages(_) | Overlay::Account { .. }) =
        model.overlay
    {
        return None;
    }
    match &model.screen {
        Screen::Confirm(state) => Some(confirm_dialog::dialog(state, model, theme, width)),
        Screen::ActionResults(state) => Some(confirm_dialog::results_dialog(state, theme, width)),
        _ => None,
    }
}

/// Returns whether a dialog covers the screen.
pub fn is_open(model: &Model) -> bool {
    open_dialog(model, Theme::NoColor, 80).is_some()
}

fn is_button(binding: &Binding, model: &Model) -> bool {
    let answers = matches!(
        binding.intent(),
        Intent::Yes | Intent::No | Intent::Enter | Intent::Revoke | Intent::Undo | Intent::Back
    );
    answers && binding.action.is_in_footer && binding.action.is_enabled(model)
}

fn place_dialog(
    model: &Model,
    theme: Theme,
    size: (u16, u16),
) -> Option<(Placed, bool, Option<Rect>)> {
    let screen = ScreenLayout::new(size);
    let outer = Rect { height: screen.rule.y, ..Rect::from(screen.header) };
    let width = outer.width.saturating_sub(4).min(MAX_WIDTH);
    let inner_width = width.saturating_sub(2 * MARGIN);
    let dialog = open_dialog(model, theme, usize::from(inner_width))?;
    let (is_dangerous, has_field) = (dialog.is_dangerous, dialog.field.is_some());
    // The buttons flow into as many rows as they need.
    let mut buttons: Vec<(Rect, Binding)> = Vec::new();
    let (mut column, mut row) = (0, 0);
    for binding in active_bindings(model) {
        if !is_button(&binding, model) {
            continue;
        }
        let text_width = binding.key_text().width() + 3 + binding.action.description.width();
        let button_width = u16::try_from(text_width).unwrap_or(inner_width).min(inner_width);
        if column > 0 && column + button_width > inner_width {
            (column, row) = (0, row + 1);
        }
        buttons.push((Rect { x: column, y: row, width: button_width, height: 1 }, binding));
        column += button_width + 3;
    }
    let field_rows = if has_field { 2 } else { 0 };
    let other_rows = FRAME_ROWS + usize::from(row) + field_rows;
    let (rows, scroll_end) = dialog.fit(usize::from(outer.height).saturating_sub(other_rows));
    let height = u16::try_from(rows.len() + other_rows).unwrap_or(outer.height).min(outer.height);
    let area = Rect {
        x: outer.x + (outer.width - width) / 2,
        y: outer.y + (outer.height - height) / 2,
        width,
        height,
    };
    let first_button_row = area.bottom().saturating_sub(2 + row);
    for (button, _) in &mut buttons {
        button.x += area.x + MARGIN;
        button.y += first_button_row;
    }
    let field = has_field.then(|| Rect {
        x: area.x + MARGIN,
        y: first_button_row.saturating_sub(2),
        width: inner_width,
        height: 1,
    });
    Some((Placed { area, rows, scroll_end, buttons }, is_dangerous, field))
}

/// Draws the open dialog over the dimmed screen and returns by how many rows it can be scrolled.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) -> u16 {
    let size = (frame.area().width, frame.area().height);
    let Some((placed, is_dangerous, field)) = place_dialog(model, theme, size) else { return 0 };
    dim(ScreenLayout::new(size), theme, frame);
    let area = placed.area;
    clear_below(area, theme, frame);
    let style = if is_dangerous { theme.error() } else { theme.accent() };
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(style);
    frame.render_widget(block.style(theme.base()), area);
    let width = area.width.saturating_sub(2 * MARGIN);
    for (y, line) in (area.y + 1..area.bottom().saturating_sub(1)).zip(placed.rows) {
        draw_line(&line, Rect { x: area.x + MARGIN, y, width, height: 1 }, frame.buffer_mut());
    }
    if let (Some(at), Screen::Confirm(state)) = (field, &model.screen) {
        frame.render_widget(Span::styled("▸", theme.accent()), at);
        let at = Rect { x: at.x + 2, width: at.width.saturating_sub(2), ..at };
        let text = state.confirmation.text();
        text::draw_text_field(&state.confirmation, text, true, theme, frame, at);
    }
    for (at, binding) in placed.buttons {
        let key_text = binding.key_text();
        let description = binding.action.description;
        // The key alone is inverted: no button looks like a choice that is already made.
        let line = Line::from(vec![
            Span::styled(format!(" {key_text} "), theme.selected()),
            Span::raw(format!(" {description}")),
        ]);
        draw_line(&line, at, frame.buffer_mut());
    }
    placed.scroll_end
}

/// Columns beside a dialog in which the text of the screen cannot be read.
const MIN_READABLE_COLUMNS: u16 = 12;

/// Clears what a dialog covers, and the rest of its rows where only slivers of text would remain.
pub fn clear_below(area: Rect, theme: Theme, frame: &mut Frame<'_>) {
    let screen = frame.area();
    let cleared = if area.x < MIN_READABLE_COLUMNS {
        Rect { x: screen.x, width: screen.width, ..area }
    } else {
        area
    };
    frame.render_widget(Clear, cleared);
    frame.buffer_mut().set_style(cleared, theme.base());
    // A wide character that ends below the border would hide it.
    for y in cleared.top()..cleared.bottom() {
        let left = cleared.x.checked_sub(1).and_then(|x| frame.buffer_mut().cell_mut((x, y)));
        if let Some(cell) = left.filter(|cell| cell.symbol().width() > 1) {
            cell.set_char(' ');
        }
    }
}

/// Dims all above the footer.
pub fn dim(screen: ScreenLayout, theme: Theme, frame: &mut Frame<'_>) {
    let area = Rect { height: screen.footer.y, ..screen.header.into() };
    frame.buffer_mut().set_style(area, theme.backdrop());
    fade_bars(theme, frame.buffer_mut());
}

/// Returns what a click requests while a dialog is open: the action of a button, or to close it outside.
pub fn intent_at(model: &Model, (column, row): (u16, u16)) -> Option<Intent> {
    let (placed, ..) = place_dialog(model, Theme::NoColor, model.terminal_size)?;
    let at = Position { x: column, y: row };
    if !placed.area.contains(at) {
        return Some(Intent::Back);
    }
    placed.buttons.iter().find(|(area, _)| area.contains(at)).map(|(_, binding)| binding.intent())
}

/// Makes the bars and charts that a dialog covers fainter than the text: by a colour, or else by a
/// light pattern.
fn fade_bars(theme: Theme, buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let Some(level) = LEVELS.iter().position(|bar| *bar == cell.symbol()) else {
            continue;
        };
        match theme.covered_bar() {
            Some(color) => drop(cell.set_fg(color)),
            // The lowest line is no bar.
            None if level > 0 => drop(cell.set_char('░')),
            None => {}
        }
    }
}
