//! Draws the model. Does no I/O and makes no decisions.
//!
//! ```text
//! header    on the dashboard what was spent and is left, else the name of the screen
//! ───────
//! body      the current screen: for the dashboard what needs attention, the list of keys, and the
//!           selected key below or beside it; help covers the body
//! ───────
//! notice    last result or error, filter
//! footer    the active key bindings
//! ```
//!
//! A question or the result of an action is a dialog over the dimmed screen.

mod account;
mod bars;
mod charts;
mod confirm_dialog;
mod dialog;
mod dialog_box;
mod footer;
mod form;
mod header;
mod help;
mod key_charts;
mod key_details;
mod key_page;
mod key_table;
mod limits;
mod line;
mod management;
mod messages;
mod new_key_screen;
mod overview;
mod palette;
mod pane;
mod plan;
mod profiles;
mod question;
mod ranking;
mod sign_in_screen;
mod text;
mod theme;
mod trash;
mod warnings;

pub use theme::Theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::tui::state::{Intent, KeyList, Model, Overlay, Region, Screen, ScreenLayout};

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

/// What is known only after drawing.
#[derive(Debug, Default)]
pub struct Drawn {
    /// The address to write over its own text, if one is shown.
    pub link: Option<WrappedLink>,
    /// By how many lines the page can be scrolled.
    pub scroll_end: u16,
}

impl From<Region> for Rect {
    fn from(region: Region) -> Self {
        Self::new(region.x, region.y, region.width, region.height)
    }
}

/// Returns what a click at a place on the screen requests.
pub fn intent_at(model: &Model, column: u16, row: u16) -> Option<Intent> {
    let screen = ScreenLayout::new(model.terminal_size);
    if row == screen.footer.y {
        return footer::intent_at(model, screen.footer.into(), column);
    }
    if dialog_box::is_open(model)
        && !matches!(model.overlay, Some(Overlay::Palette(_) | Overlay::Profiles(_)))
    {
        return dialog_box::intent_at(model, (column, row));
    }
    match (&model.overlay, &model.screen) {
        (Some(Overlay::Palette(state)), _) => {
            palette::intent_at(state, model, screen.body.into(), (column, row))
        }
        (Some(Overlay::Profiles(picker)), _) => {
            profiles::intent_at(*picker, model, screen.body.into(), (column, row))
        }
        (Some(Overlay::Help { .. } | Overlay::Messages(_) | Overlay::Account { .. }), _) => None,
        (None, Screen::Dashboard)
            if model.dashboard.is_filtering || model.dashboard.are_details_shown =>
        {
            None
        }
        (None, Screen::Dashboard) => {
            let layout = model.layout();
            let sort_order = key_table::sort_order_at(model, &layout, column, row);
            let is_row =
                layout.rows.contains(column, row) && model.dashboard.row_at(row, &layout).is_some();
            let urgent = warnings::intent_at(model, &layout, (column, row));
            urgent
                .or(sort_order.map(Intent::SortBy))
                .or_else(|| is_row.then_some(Intent::ClickRow(row)))
        }
        (None, _) => None,
    }
}

/// Draws the whole screen and returns what is known only after drawing.
pub fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) -> Drawn {
    let area = frame.area();
    let mut drawn = Drawn::default();
    // Most themes leave the background to the terminal.
    if theme.base() != Style::new() {
        frame.buffer_mut().set_style(area, theme.base());
    }
    if area.width < MIN_TERMINAL_SIZE.0 || area.height < MIN_TERMINAL_SIZE.1 {
        let text =
            format!("Keywright needs {} x {} characters", MIN_TERMINAL_SIZE.0, MIN_TERMINAL_SIZE.1);
        text::draw_paragraph(frame, area, vec![text.into()]);
        return drawn;
    }
    let screen = ScreenLayout::new((area.width, area.height));
    let (body, rule) = (Rect::from(screen.body), Rect::from(screen.rule));
    header::draw(model, theme, frame, screen.header.into());
    for line in [Rect { y: 1, ..rule }, rule] {
        text::draw_rule(theme, frame, line);
    }
    if let Some(Overlay::Help { page }) = &model.overlay {
        help::draw(model, *page, theme, frame, body, screen.footer.into());
    } else if let Some(Overlay::Messages(view)) = &model.overlay {
        messages::draw(*view, model, theme, frame, body);
    } else if let Some(Overlay::Account { scroll }) = model.overlay {
        drawn.scroll_end = account::draw(scroll, model, theme, frame, body);
    } else if let Screen::SignIn(state) = &model.screen {
        drawn.link = sign_in_screen::draw(state, model, theme, frame, body);
    } else {
        drawn.scroll_end = draw_body(model, theme, frame, body);
    }
    footer::draw_notice(model, theme, frame, rule, screen.message.into());
    if dialog_box::is_open(model) {
        let scroll_end = dialog_box::draw(model, theme, frame);
        drawn.scroll_end = drawn.scroll_end.max(scroll_end);
        drawn.link = None;
    }
    if let Some(Overlay::Palette(state)) = &model.overlay {
        dialog_box::dim(screen, theme, frame);
        palette::draw(state, model, theme, frame, body);
        // The terminal would write the address over the palette.
        drawn.link = None;
    }
    if let Some(Overlay::Profiles(picker)) = &model.overlay {
        profiles::draw(*picker, model, theme, frame, body);
    }
    footer::draw(model, theme, frame, screen.footer.into());
    if let Some(colors) = theme.own_colors(model.background) {
        paint(frame, colors);
    }
    drawn
}

/// Gives the cells that have the terminal's colours these colours of text and background.
fn paint(frame: &mut Frame<'_>, (text, background): (Color, Color)) {
    for cell in &mut frame.buffer_mut().content {
        if cell.fg == Color::Reset {
            cell.fg = text;
        }
        if cell.bg == Color::Reset {
            cell.bg = background;
        }
    }
}

/// Draws the screen in the body and returns by how many lines it can be scrolled.
fn draw_body(model: &Model, theme: Theme, frame: &mut Frame<'_>, body: Rect) -> u16 {
    match &model.screen {
        Screen::Form(state) => form::draw(state, model, theme, frame, body),
        Screen::SignIn(state) => {
            sign_in_screen::draw(state, model, theme, frame, body);
        }
        Screen::NewKey(state) => {
            return new_key_screen::draw(state, model, theme, frame, body);
        }
        Screen::Plan(state) => plan::draw(state, theme, frame, body),
        Screen::Management(state) => management::draw(state, theme, frame, body),
        Screen::Trash(state) => trash::draw(state, model, theme, frame, body),
        Screen::Limits(state) => limits::draw(state, theme, frame, body),
        Screen::Dashboard | Screen::Confirm(_) | Screen::ActionResults(_) => {
            return draw_dashboard(model, theme, frame, body);
        }
    }
    0
}

fn draw_dashboard(model: &Model, theme: Theme, frame: &mut Frame<'_>, body: Rect) -> u16 {
    // The frame may be newer than the size that the model knows.
    let area = frame.area();
    let layout = model.layout_of((area.width, area.height));
    let keys = &model.dashboard.keys;
    match (keys, model.dashboard.selected_key()) {
        (KeyList::Loaded(_), Some(key)) if model.dashboard.are_details_shown => {
            return key_page::draw(key, model, theme, frame, body);
        }
        (KeyList::Loaded(_), Some(key)) => {
            warnings::draw(model, &layout, theme, frame);
            key_table::draw(model, &layout, theme, frame);
            overview::draw_totals(model, &layout, theme, frame);
            pane::draw(key, model, &layout, theme, frame);
        }
        _ => {
            warnings::draw_row(model, theme, frame, layout.attention.into());
            let below = Rect { y: body.y + 1, height: body.height - 1, ..body };
            warnings::draw_empty_state(keys, model, theme, frame, below);
        }
    }
    0
}
