//! Text helpers and widgets that several screens share.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::symbols;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Scrollbar, ScrollbarOrientation, ScrollbarState, Widget, Wrap};

use super::Theme;
use super::line::{draw_line, draw_lines};
use crate::domain::{KEY_PREFIX, UserError};
pub use crate::domain::{quote_shell_word, truncate};
use crate::tui::state::TextField;

/// Width of the names in a list of properties.
const NAME_WIDTH: usize = 10;

/// Rows below a paragraph in which text is looked for that does not fit.
const ROWS_BELOW: u16 = 8;

/// Draws lines, wrapped at words. Where they do not fit, the last row ends in an ellipsis.
pub fn draw_paragraph(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    let width = usize::from(area.width);
    if lines.len() <= usize::from(area.height) && lines.iter().all(|l| l.width() <= width) {
        return draw_lines(&lines, frame, area);
    }
    let paragraph = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(&paragraph, area);
    if area.is_empty() {
        return;
    }
    let all = Rect::new(0, 0, area.width, area.height + ROWS_BELOW);
    let mut page = Buffer::empty(all);
    paragraph.render(all, &mut page);
    let below = Rect { y: area.height, height: ROWS_BELOW, ..all };
    if below.positions().any(|at| page.cell(at).is_some_and(|cell| cell.symbol() != " ")) {
        end_with_ellipsis(frame.buffer_mut(), Rect { y: area.bottom() - 1, height: 1, ..area });
    }
}

/// Fills an area with a symbol that takes one cell.
pub fn fill(symbol: &'static str, style: Style, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    for y in area.top()..area.bottom() {
        let first = buffer.index_of(area.x, y);
        for cell in &mut buffer.content[first..first + usize::from(area.width)] {
            cell.set_symbol(symbol).set_style(style);
        }
    }
}

/// Draws a horizontal rule.
pub fn draw_rule(theme: Theme, frame: &mut Frame<'_>, row: Rect) {
    fill(symbols::line::HORIZONTAL, theme.rule(), row, frame.buffer_mut());
}

/// Rows of the longest page.
const MAX_PAGE_ROWS: u16 = 200;

/// Draws lines, wrapped at words, from the row `scroll` on, as [`draw_scrolled`] does.
pub fn draw_page(
    frame: &mut Frame<'_>,
    area: Rect,
    lines: Vec<Line<'_>>,
    scroll: u16,
    theme: Theme,
) -> u16 {
    let all = Rect::new(0, 0, area.width.saturating_sub(2), MAX_PAGE_ROWS);
    let mut page = Buffer::empty(all);
    Paragraph::new(lines).wrap(Wrap { trim: false }).render(all, &mut page);
    let is_blank = |y: &u16| {
        (0..all.width).all(|x| page.cell((x, *y)).is_none_or(|cell| cell.symbol() == " "))
    };
    let count = (0..MAX_PAGE_ROWS).rev().find(|y| !is_blank(y)).map_or(0, |y| y + 1);
    draw_scrolled(frame, area, &page, count, scroll, theme)
}

/// Draws the first `count` rows of a page, which is two columns narrower than `area`, from the row `scroll`
/// on. Where they do not fit, a scrollbar and the last row say so. Returns by how many rows they can be
/// scrolled.
pub fn draw_scrolled(
    frame: &mut Frame<'_>,
    area: Rect,
    page: &Buffer,
    count: u16,
    scroll: u16,
    theme: Theme,
) -> u16 {
    let end = if count <= area.height { 0 } else { (count + 1).saturating_sub(area.height) };
    let scroll = scroll.min(end);
    // The last row says how much is below it.
    let rows = if end > 0 { area.height.saturating_sub(1) } else { area.height };
    for position in (Rect { height: rows, width: page.area.width, ..area }).positions() {
        let source = (position.x - area.x, position.y - area.y + scroll);
        if let (Some(from), Some(to)) = (page.cell(source), frame.buffer_mut().cell_mut(position)) {
            to.clone_from(from);
        }
    }
    if end > 0 {
        let left = count.saturating_sub(scroll + rows);
        let text = match left {
            0 => "↑ scrolls back".to_owned(),
            1 => "… 1 more line, ↓ scrolls".to_owned(),
            left => format!("… {left} more lines, ↓ scrolls"),
        };
        let last = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        draw_line(&Line::styled(text, theme.accent()), last, frame.buffer_mut());
        let bar = Rect { x: area.right().saturating_sub(1), width: 1, ..area };
        let (count, rows) = (usize::from(count), usize::from(rows));
        draw_scrollbar(count, rows, usize::from(scroll), theme, frame, bar);
    }
    end
}

/// Puts an ellipsis after the last word of a row that leaves room for it.
fn end_with_ellipsis(buffer: &mut Buffer, row: Rect) {
    let is_blank =
        |buffer: &Buffer, x: u16| buffer.cell((x, row.y)).is_none_or(|cell| cell.symbol() == " ");
    let mut end = row.right();
    while end > row.x && is_blank(buffer, end - 1) {
        end -= 1;
    }
    if end == row.right() {
        while end > row.x && !is_blank(buffer, end - 1) {
            end -= 1;
        }
        while end > row.x && is_blank(buffer, end - 1) {
            end -= 1;
        }
    }
    // One word over the whole row loses its end.
    let at = if end == row.x && !is_blank(buffer, end) { row.right() - 1 } else { end };
    for x in at..row.right() {
        if let Some(cell) = buffer.cell_mut((x, row.y)) {
            cell.set_symbol(if x == at { "…" } else { " " });
        }
    }
}

/// Returns `area` with a margin of one column on both sides.
pub fn inset(area: Rect) -> Rect {
    area.inner(ratatui::layout::Margin { horizontal: 1, vertical: 0 })
}

/// Returns the first `columns` columns and the rest.
fn split_columns(area: Rect, columns: u16) -> (Rect, Rect) {
    let width = columns.min(area.width);
    let rest = Rect { x: area.x + width, width: area.width - width, ..area };
    (Rect { width, ..area }, rest)
}

/// Draws a rule with a heading in it and returns the area below.
pub fn draw_heading(heading: Line<'_>, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Rect {
    let row = Rect { height: 1.min(area.height), ..area };
    let (start, rest) = split_columns(row, 2);
    let width = u16::try_from(heading.width()).unwrap_or(u16::MAX).saturating_add(2);
    let (place, end) = split_columns(rest, width);
    draw_rule(theme, frame, start);
    draw_rule(theme, frame, end);
    draw_line(&heading, inset(place), frame.buffer_mut());
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// Returns a line with a name and its value.
pub fn format_property<'a>(name: &'a str, value: impl Into<Span<'a>>, theme: Theme) -> Line<'a> {
    Line::from(vec![Span::styled(format!("{name:<NAME_WIDTH$}"), theme.dim()), value.into()])
}

/// Breaks a text at words into lines of at most `width` cells.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    // A key or an address must not be broken at its hyphens.
    let options = textwrap::Options::new(width.max(1));
    let options = options.word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// Returns a name and its value; a long value continues below its beginning.
pub fn wrap_property(
    name: &str,
    value: impl Into<Span<'static>>,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let value: Span<'_> = value.into();
    let rows = wrap(&value.content, width.saturating_sub(NAME_WIDTH).max(10));
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    let lines = names.zip(rows).map(|(name, row)| {
        let name = Span::styled(format!("{name:<NAME_WIDTH$}"), theme.dim());
        Line::from(vec![name, Span::styled(row, value.style)])
    });
    lines.collect()
}

/// Returns the message and the advice of an error, each on its own line.
pub fn format_error(error: &UserError, theme: Theme) -> Vec<Line<'static>> {
    vec![
        Line::styled(format!("✗ {}", to_sentence(&error.message)), theme.error()),
        Line::raw(format_error_details(error)),
    ]
}

/// Returns what the error means and what to do, in sentences.
pub fn format_error_details(error: &UserError) -> String {
    if error.meaning.is_empty() {
        return to_sentence(&error.advice);
    }
    format!("{} {}", to_sentence(&error.meaning), to_sentence(&error.advice))
}

/// Capitalises the first letter, unless it is that of an address or a path, and adds a full stop if
/// there is no end mark.
pub fn to_sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    // A full stop after an address would be copied with it.
    let ends_with_address = text.rsplit(' ').next().is_some_and(|word| word.contains("://"));
    let has_end = text.ends_with(['.', '?', '!', ':']);
    let stop = if has_end || ends_with_address { "" } else { "." };
    if text.split(' ').next().is_some_and(|word| word.contains('/')) {
        return format!("{text}{stop}");
    }
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// Draws the position in what is longer than its region.
pub fn draw_scrollbar(
    count: usize,
    page: usize,
    first: usize,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    if count <= page {
        return;
    }
    let mut state =
        ScrollbarState::new(count - page + 1).viewport_content_length(page).position(first);
    let scrollbar = Scrollbar::new(ScrollbarOrientation::VerticalRight)
        .begin_symbol(None)
        .end_symbol(None)
        .track_symbol(Some("│"))
        .track_style(theme.rule())
        .thumb_symbol("┃")
        .thumb_style(theme.dim());
    frame.render_stateful_widget(scrollbar, area, &mut state);
}

/// Draws a text field on one row, with the cursor if it has the focus. A text that contains a key is
/// masked in every field.
pub fn draw_text_field(
    field: &TextField,
    shown: &str,
    focused: bool,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let width = usize::from(area.width.saturating_sub(1)).max(1);
    let scroll = field.scroll_offset(width);
    let style = match (focused, field.is_selected()) {
        (true, true) => theme.selected(),
        (true, false) => theme.strong(),
        (false, _) => Style::new(),
    };
    let columns = u16::try_from(scroll).unwrap_or(u16::MAX);
    frame.buffer_mut().set_style(area, theme.field());
    let masked = shown.contains(KEY_PREFIX).then(|| "•".repeat(Span::raw(shown).width()));
    let shown = masked.as_deref().unwrap_or(shown);
    frame.render_widget(Paragraph::new(Span::styled(shown, style)).scroll((0, columns)), area);
    if focused {
        let column = field.cursor_column().saturating_sub(scroll).min(width);
        frame.set_cursor_position((area.x + u16::try_from(column).unwrap_or(0), area.y));
    }
}
