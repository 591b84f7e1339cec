//! Draws lines as ratatui's widget does, without measuring their characters where each takes one cell.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Draws each line in a row of its own.
pub fn draw_lines(lines: &[Line<'_>], frame: &mut Frame<'_>, area: Rect) {
    for (line, row) in lines.iter().zip(area.rows()) {
        draw_line(line, row, frame.buffer_mut());
    }
}

/// Draws a line as ratatui's widget does, but does not find and measure the characters of a text in which
/// each takes one cell, which would take a quarter of a frame (ADR 15).
pub fn draw_line(line: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    if !try_draw(&line.spans, line.style, line.alignment.unwrap_or_default(), area, buffer) {
        check_fits(line, area);
        line.render(area, buffer);
    }
}

/// Draws spans as [`draw_line`] does a line of them.
pub fn draw_spans(spans: &[Span<'_>], alignment: Alignment, area: Rect, buffer: &mut Buffer) {
    if !try_draw(spans, Style::new(), alignment, area, buffer) {
        let line = Line::from(spans.to_vec()).alignment(alignment);
        check_fits(&line, area);
        line.render(area, buffer);
    }
}

/// Panics in a debug build if a text would be cut without an ellipsis: the tests draw every screen at every size.
fn check_fits(line: &Line<'_>, area: Rect) {
    let width = area.width;
    debug_assert!(area.is_empty() || line.width() <= width.into(), "cut to {width} cells: {line}");
}

/// Draws the spans if each of their characters takes one cell and all of them fit.
fn try_draw(
    spans: &[Span<'_>],
    style: Style,
    alignment: Alignment,
    area: Rect,
    buffer: &mut Buffer,
) -> bool {
    let row = Rect { height: 1, ..area }.intersection(area).intersection(buffer.area);
    let count = spans.iter().try_fold(0, |sum, span| Some(sum + count_cells(&span.content)?));
    let width = count.and_then(|count: usize| u16::try_from(count).ok());
    let Some(width) = width.filter(|width| (1..=row.width).contains(width)) else { return false };
    if row.is_empty() {
        return true;
    }
    let x = match alignment {
        Alignment::Right => row.right() - width,
        Alignment::Center => row.x + (row.width - width) / 2,
        Alignment::Left => row.x,
    };
    if style != Style::new() {
        buffer.set_style(row, style);
    }
    let first = buffer.index_of(x, row.y);
    let mut cells = buffer.content[first..first + usize::from(width)].iter_mut();
    for span in spans {
        let is_styled = span.style != Style::new();
        for (symbol, cell) in span.content.chars().zip(&mut cells) {
            cell.set_char(symbol);
            if is_styled {
                cell.set_style(span.style);
            }
        }
    }
    true
}

/// Returns the length of the first character if it always takes one cell and never joins another one, otherwise
/// 0: printable ASCII, Latin letters and signs, dashes, arrows, operators, and the lines, blocks and circles of
/// which charts and states are made.
#[inline]
const fn one_cell_length(text: &[u8]) -> usize {
    match text {
        [b' '..=b'~', ..] => 1,
        // U+00A1 to U+00FF without the soft hyphen.
        [0xC2, 0xA1..=0xAC | 0xAE..=0xBF, ..] | [0xC3, 0x80..=0xBF, ..] => 2,
        // U+2010 to U+2015, U+2020 to U+2027, U+2190 to U+21BF, U+2200 to U+22FF, U+2500 to U+25D7.
        [0xE2, 0x80, 0x90..=0x95 | 0xA0..=0xA7, ..]
        | [0xE2, 0x86, 0x90..=0xBF, ..]
        | [0xE2, 0x88..=0x8B | 0x94..=0x96, ..]
        | [0xE2, 0x97, 0x80..=0x97, ..] => 3,
        _ => 0,
    }
}

/// Returns the number of characters if each takes one cell.
fn count_cells(text: &str) -> Option<usize> {
    let mut rest = text.as_bytes();
    let mut count = 0;
    while !rest.is_empty() {
        let length = one_cell_length(rest);
        if length == 0 {
            return None;
        }
        rest = &rest[length..];
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Cell;
    use unicode_segmentation::UnicodeSegmentation;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn characters_that_take_one_cell_do_so_beside_each_other() {
        let takes_one_cell = |c: &char| one_cell_length(c.to_string().as_bytes()) > 0;
        let all: Vec<char> = ('\0'..='\u{ffff}').filter(takes_one_cell).collect();
        assert!(all.len() > 300);
        for c in &all {
            for text in [format!("{c}"), format!("{c}{c}"), format!("a{c}–{c}█")] {
                let count = text.chars().count();
                assert_eq!(
                    (text.as_str().width(), count_cells(&text)),
                    (count, Some(count)),
                    "{c:?}"
                );
                assert_eq!(text.graphemes(true).count(), count, "{c:?}");
            }
        }
    }

    #[test]
    fn a_line_is_drawn_as_its_widget_draws_it() {
        let texts = ["", "ab", "a–b", "日本", "e\u{301}x", "~ ", "of nine  ", "●█▁▁", "●\u{fe0f}"];
        let styles = [Style::new(), Style::new().bold(), Style::new().red().on_blue()];
        let alignments =
            [None, Some(Alignment::Left), Some(Alignment::Center), Some(Alignment::Right)];
        let mut number = 0_usize;
        for (one, other) in texts.iter().flat_map(|one| texts.iter().map(move |two| (one, two))) {
            for alignment in alignments {
                for area in [Rect::new(2, 1, 9, 1), Rect::new(2, 0, 30, 2), Rect::new(9, 2, 9, 9)] {
                    number += 1;
                    let style = |add: usize| styles[(number + add) % styles.len()];
                    let spans = vec![Span::styled(*one, style(0)), Span::styled(*other, style(1))];
                    let mut line = Line::from(spans).style(style(number / 3));
                    line.alignment = alignment;
                    if line.width() > usize::from(area.width) {
                        continue;
                    }
                    let mut expected = Buffer::filled(Rect::new(0, 0, 20, 3), Cell::new("."));
                    let mut drawn = expected.clone();
                    (&line).render(area, &mut expected);
                    draw_line(&line, area, &mut drawn);
                    assert_eq!(drawn, expected, "{line:?} in {area:?}");
                    line.style = Style::new();
                    let alignment = alignment.unwrap_or_default();
                    let mut expected = Buffer::filled(Rect::new(0, 0, 20, 3), Cell::new("."));
                    let mut drawn = expected.clone();
                    (&line).render(area, &mut expected);
                    draw_spans(&line.spans, alignment, area, &mut drawn);
                    assert_eq!(drawn, expected, "the spans of {line:?} in {area:?}");
                }
            }
        }
    }
}
