//! Draws the model. Does no I/O and makes no decisions.
//!
//! ```text
//! header    name of the screen, server or sandbox
//! ───────
//! body      the current screen: for the dashboard the warnings and the table of keys, with the
//!           details beside it on a wide terminal; help covers the body
//! ───────
//! notice    question, last result or error, filter
//! footer    the active key bindings
//! ```

mod confirm_dialog;
mod footer;
mod form;
mod header;
mod help;
mod key_details;
mod key_table;
mod management;
mod messages;
mod new_key_screen;
mod palette;
mod plan;
mod sign_in_screen;
mod text;
mod theme;
mod warnings;

pub use theme::Theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Borders};

use crate::tui::state::{Intent, KeyList, Model, Overlay, SIDE_DETAILS_MIN_COLUMNS, Screen};

pub use crate::platform::environment::MIN_TERMINAL_SIZE;

/// An address that fills whole rows. Written as one text, it is wrapped by the terminal itself, which
/// then copies it without line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedLink {
    /// The row of the first character, which is in the first column.
    pub row: u16,
    /// The address.
    pub url: String,
    /// The style of the text.
    pub style: Style,
}

/// Draws the whole screen and returns the address to write over its own text, if one is shown.
pub fn draw_with_link(model: &Model, theme: Theme, frame: &mut Frame<'_>) -> Option<WrappedLink> {
    let area = frame.area();
    if area.width < MIN_TERMINAL_SIZE.0 || area.height < MIN_TERMINAL_SIZE.1 {
        let text =
            format!("Keywright needs {} x {} characters", MIN_TERMINAL_SIZE.0, MIN_TERMINAL_SIZE.1);
        text::draw_paragraph(frame, area, vec![text.into()]);
        return None;
    }
    let [head, rule, body, bottom, notice, foot] = split_screen(area);
    header::draw(model, theme, frame, head);
    for line in [rule, bottom] {
        frame.render_widget(Block::new().borders(Borders::TOP).border_style(theme.dim()), line);
    }
    let mut link = None;
    if let Some(Overlay::Help { page }) = &model.overlay {
        help::draw(model, *page, theme, frame, body);
    } else if let Some(Overlay::Messages(view)) = &model.overlay {
        messages::draw(*view, model, theme, frame, body);
    } else if let Screen::SignIn(state) = &model.screen {
        link = sign_in_screen::draw(state, model, theme, frame, body);
    } else {
        draw_body(model, theme, frame, body);
    }
    if let Some(Overlay::Palette(state)) = &model.overlay {
        palette::draw(state, model, theme, frame, body);
        // The terminal would write the address over the palette.
        link = None;
    }
    footer::draw_notice(model, theme, frame, bottom, notice);
    footer::draw(model, theme, frame, foot);
    link
}

/// Returns the header, a rule, the body, a rule, the notice and the footer.
fn split_screen(area: Rect) -> [Rect; 6] {
    Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area)
}

/// Returns what a click at a place on the screen requests.
pub fn intent_at(model: &Model, column: u16, row: u16) -> Option<Intent> {
    let (columns, rows) = model.terminal_size;
    let [_, _, body, _, _, foot] = split_screen(Rect::new(0, 0, columns, rows));
    if row == foot.y {
        return footer::intent_at(model, foot, column);
    }
    // A question is answered with its words in the footer.
    if model.question.is_some() {
        return None;
    }
    match (&model.overlay, &model.screen) {
        (Some(Overlay::Palette(state)), _) => palette::intent_at(state, model, body, (column, row)),
        (Some(Overlay::Help { .. } | Overlay::Messages(_)), _) => None,
        (None, Screen::Dashboard) if model.dashboard.is_filtering => None,
        (None, Screen::Dashboard) => key_table::sort_order_at(model, body, column, row)
            .map(Intent::SortBy)
            .or_else(|| model.dashboard.row_at(row, rows).map(|_| Intent::ClickRow(row))),
        (None, _) => None,
    }
}

/// Draws the whole screen.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    draw_with_link(model, theme, frame);
}

fn draw_body(model: &Model, theme: Theme, frame: &mut Frame<'_>, body: Rect) {
    match &model.screen {
        Screen::Form(state) => form::draw(state, model, theme, frame, body),
        Screen::SignIn(state) => {
            sign_in_screen::draw(state, model, theme, frame, body);
        }
        Screen::NewKey(state) => new_key_screen::draw(state, model, theme, frame, body),
        Screen::Confirm(state) => confirm_dialog::draw(state, model, theme, frame, body),
        Screen::ActionResults(results) => {
            confirm_dialog::draw_action_results(results, theme, frame, body);
        }
        Screen::Plan(state) => plan::draw(state, theme, frame, body),
        Screen::Management(state) => management::draw(state, theme, frame, body),
        Screen::Dashboard => {
            let body = warnings::draw(model, theme, frame, body);
            match (&model.dashboard.keys, model.dashboard.selected_key()) {
                (KeyList::Loaded(_), Some(held)) if model.dashboard.are_details_shown => {
                    key_details::draw(held, model, theme, frame, body);
                }
                (KeyList::Loaded(_), Some(held)) if body.width >= SIDE_DETAILS_MIN_COLUMNS => {
                    let [list, side] =
                        Layout::horizontal([Constraint::Fill(1), Constraint::Length(58)])
                            .areas(body);
                    key_table::draw(model, theme, frame, list);
                    let block = Block::new().borders(Borders::LEFT).border_style(theme.dim());
                    let inner = block.inner(side);
                    frame.render_widget(block, side);
                    key_details::draw(held, model, theme, frame, inner);
                }
                (KeyList::Loaded(_), Some(_)) => key_table::draw(model, theme, frame, body),
                (keys, _) => warnings::draw_empty_state(keys, model, theme, frame, body),
            }
        }
    }
}
