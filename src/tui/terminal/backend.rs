//! Writes the changed cells of a frame in few bytes: relative moves, one sequence for a change of
//! style, and nothing for a frame without changes. ADR 14 has the figures.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveRight, MoveTo, Show};
use crossterm::queue;
use crossterm::style::Colored;
use crossterm::terminal::{Clear, ClearType as CrosstermClearType};
use ratatui::backend::{Backend, ClearType, IntoCrossterm, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// The codes that turn a modifier on.
const MODIFIER_CODES: [(Modifier, &str); 6] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
    (Modifier::CROSSED_OUT, "9"),
];

/// A backend of ratatui that writes each frame at once.
pub(super) struct FrameBackend<W> {
    out: W,
    is_cursor_visible: bool,
    /// The rows on screen. Cells that are not there are blank.
    shown: Vec<Vec<ShownCell>>,
}

/// The longest gap between two changed cells that is written rather than skipped; a longer one takes
/// more bytes than a move.
const MAX_WRITTEN_GAP: u16 = 3;

/// The most rows down that are shorter as line feeds.
const MAX_LINE_FEEDS: u16 = 3;

/// A cell on screen that may be written again.
#[derive(Clone, Copy)]
struct ShownCell {
    /// `None` for a character of several bytes, which is not shorter than a move.
    ascii: Option<u8>,
    pen: Pen,
}

impl<W: Write> FrameBackend<W> {
    /// Creates a backend for a terminal whose cursor is hidden.
    pub(super) fn new(out: W) -> Self {
        Self { out, is_cursor_visible: false, shown: Vec::new() }
    }

    /// Returns the writer, for sequences between the frames.
    pub(super) fn writer(&mut self) -> &mut W {
        &mut self.out
    }

    /// Moves along a row to the column `to`, in fewer bytes where the cells between look the same when
    /// they are written again.
    fn move_right(&mut self, (column, row): (u16, u16), to: u16, pen: Pen) -> io::Result<()> {
        let gap = to - column;
        let between = |x| {
            let cell = self.shown.get(usize::from(row)).and_then(|row| row.get(usize::from(x)));
            let cell = cell.copied().unwrap_or(ShownCell::BLANK);
            cell.ascii.filter(|ascii| cell.pen.looks_like(pen, *ascii == b' '))
        };
        if gap <= MAX_WRITTEN_GAP && (column..to).all(|x| between(x).is_some()) {
            let mut text = [0; MAX_WRITTEN_GAP as usize];
            for (byte, cell) in text.iter_mut().zip((column..to).filter_map(between)) {
                *byte = cell;
            }
            return self.out.write_all(&text[..usize::from(gap)]);
        }
        // The shortest form, which crossterm does not have.
        if gap == 1 { self.out.write_all(b"\x1b[C") } else { queue!(self.out, MoveRight(gap)) }
    }

    fn remember(&mut self, (x, y): (u16, u16), cell: ShownCell) {
        let (x, y) = (usize::from(x), usize::from(y));
        if self.shown.len() <= y {
            self.shown.resize(y + 1, Vec::new());
        }
        let row = &mut self.shown[y];
        if row.len() <= x {
            row.resize(x + 1, ShownCell::BLANK);
        }
        row[x] = cell;
    }
}

impl ShownCell {
    const BLANK: Self = Self {
        ascii: Some(b' '),
        pen: Pen { fg: Color::Reset, bg: Color::Reset, modifiers: Modifier::empty() },
    };
}

/// The style that the terminal uses for the next cell.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Pen {
    fg: Color,
    bg: Color,
    modifiers: Modifier,
}

impl Pen {
    fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifiers: cell.modifier }
    }

    /// Returns whether a cell looks the same in both styles. A blank cell shows only its background.
    fn looks_like(self, other: Self, is_blank: bool) -> bool {
        const VISIBLE_ON_BLANKS: Modifier =
            Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);
        let is_plain = !(self.modifiers | other.modifiers).intersects(VISIBLE_ON_BLANKS);
        self == other || is_blank && is_plain && self.bg == other.bg
    }

    /// Writes one sequence that changes the style to `next`.
    fn change_to(&mut self, next: Self, out: &mut impl Write) -> io::Result<()> {
        let mut separator = "\x1b[";
        let mut write_code = |code: &dyn std::fmt::Display| {
            let result = write!(out, "{separator}{code}");
            separator = ";";
            result
        };
        // A code that ends one modifier may end another too.
        if next == Self::default() || !next.modifiers.contains(self.modifiers) {
            write_code(&"0")?;
            *self = Self::default();
        }
        for (modifier, code) in MODIFIER_CODES {
            if next.modifiers.contains(modifier) && !self.modifiers.contains(modifier) {
                write_code(&code)?;
            }
        }
        if next.fg != self.fg {
            write_code(&Colored::ForegroundColor(next.fg.into_crossterm()))?;
        }
        if next.bg != self.bg {
            write_code(&Colored::BackgroundColor(next.bg.into_crossterm()))?;
        }
        *self = next;
        out.write_all(b"m")
    }
}

impl<W: Write> Backend for FrameBackend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut pen = Pen::default();
        // The position at which the terminal writes next, if it is known.
        let mut place: Option<(u16, u16)> = None;
        for (x, y, cell) in content {
            match place {
                Some(at) if at == (x, y) => {}
                Some(at @ (column, row)) if row == y && column < x => {
                    self.move_right(at, x, pen)?;
                }
                // A row that is close below needs no numbers.
                Some((_, row)) if (1..=MAX_LINE_FEEDS).contains(&y.saturating_sub(row)) => {
                    self.out.write_all(b"\r")?;
                    self.out.write_all(&b"\n\n\n"[..usize::from(y - row)])?;
                    if x > 0 {
                        self.move_right((0, y), x, pen)?;
                    }
                }
                _ => queue!(self.out, MoveTo(x, y))?,
            }
            let next = Pen::of(cell);
            let symbol = cell.symbol();
            if !pen.looks_like(next, symbol == " ") {
                pen.change_to(next, &mut self.out)?;
            }
            self.out.write_all(symbol.as_bytes())?;
            let ascii = <[u8; 1]>::try_from(symbol.as_bytes()).ok().map(|[byte]| byte);
            self.remember((x, y), ShownCell { ascii, pen: next });
            // Terminals do not agree about the width of some characters.
            place = (symbol.width() == 1).then_some((x + 1, y));
        }
        if pen == Pen::default() { Ok(()) } else { self.out.write_all(b"\x1b[0m") }
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_cursor_visible) {
            queue!(self.out, Hide)?;
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.is_cursor_visible = true;
        queue!(self.out, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        crossterm::cursor::position().map(Position::from)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        queue!(self.out, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        // ratatui clears from the first cell of the screen, or each row of it.
        self.shown.clear();
        let region = match region {
            ClearType::All => CrosstermClearType::All,
            ClearType::AfterCursor => CrosstermClearType::FromCursorDown,
            ClearType::BeforeCursor => CrosstermClearType::FromCursorUp,
            ClearType::CurrentLine => CrosstermClearType::CurrentLine,
            ClearType::UntilNewLine => CrosstermClearType::UntilNewLine,
        };
        queue!(self.out, Clear(region))
    }

    fn size(&self) -> io::Result<Size> {
        crossterm::terminal::size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let size = crossterm::terminal::window_size()?;
        Ok(WindowSize {
            columns_rows: Size::new(size.columns, size.rows),
            pixels: Size::new(size.width, size.height),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::layout::Rect;
    use ratatui::style::{Style, Stylize};
    use ratatui::text::{Line, Span};
    use ratatui::{TerminalOptions, Viewport};

    use super::*;

    /// Draws each frame and returns what was written for each.
    fn write_frames(frames: &[Vec<Line<'_>>]) -> Vec<String> {
        crossterm::style::force_color_output(true);
        let area = Rect::new(0, 0, 20, 4);
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let mut terminal = Terminal::with_options(FrameBackend::new(Vec::new()), options).unwrap();
        let write = |lines: &Vec<Line<'_>>| {
            terminal
                .draw(|frame| frame.render_widget(ratatui::text::Text::from(lines.clone()), area))
                .unwrap();
            String::from_utf8(std::mem::take(terminal.backend_mut().writer())).unwrap()
        };
        frames.iter().map(write).collect()
    }

    #[test]
    fn a_frame_without_changes_writes_nothing() {
        let frame = vec![Line::from("one".red())];
        assert_eq!(write_frames(&[frame.clone(), frame])[1], "");
    }

    #[test]
    fn a_change_of_style_is_one_sequence_and_the_frame_ends_without_style() {
        let spans = vec![Span::styled("a", Style::new().bold().red()), "b".blue(), "c".into()];
        let written = write_frames(&[vec![Line::from(spans)]]);
        assert_eq!(written[0], "\x1b[1;1H\x1b[1;38;5;1ma\x1b[0;38;5;4mb\x1b[0mc");
    }

    #[test]
    fn a_short_gap_is_written_again_where_it_looks_the_same() {
        let before = vec![Line::from("abcd efghij"), Line::from(vec!["a".red(), "b".blue()])];
        let after = vec![Line::from("AbcD EfghiJ"), Line::from(vec!["A".red(), "b".blue()])];
        let written = write_frames(&[before, after]);
        assert_eq!(written[1], "\x1b[1;1HAbcD E\x1b[4CJ\r\n\x1b[38;5;1mA\x1b[0m");
    }

    #[test]
    fn a_blank_keeps_the_colour_of_the_text_but_not_another_background() {
        let spans = vec!["a".red(), " ".into(), "b".red(), " ".on_blue(), "c".red()];
        let written = write_frames(&[vec![Line::from(spans)]]);
        assert_eq!(written[0], "\x1b[1;1H\x1b[38;5;1ma b\x1b[39;48;5;4m \x1b[38;5;1;49mc\x1b[0m");
    }

    #[test]
    fn changes_lead_to_the_same_screen_as_a_whole_frame() {
        let mut seed: u32 = 7;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(seed >> 16).unwrap() % below
        };
        let texts = ["a", "b", " ", " ", "█", "é"];
        let styles = [
            Style::new(),
            Style::new().red(),
            Style::new().on_blue(),
            Style::new().bold().red(),
            Style::new().reversed(),
            Style::new().underlined(),
        ];
        let mut row = || {
            let spans = (0..10).map(|_| Span::styled(texts[next(6)], styles[next(6)]));
            Line::from(spans.collect::<Vec<_>>())
        };
        let frames: Vec<Vec<Line<'_>>> = (0..200).map(|_| vec![row(), row()]).collect();
        let parser = || {
            let some = |size| std::num::NonZero::new(size).unwrap();
            vt100::Parser::new(some(4), some(20), 0)
        };
        let mut screen = parser();
        for (written, frame) in write_frames(&frames).iter().zip(&frames) {
            screen.process(written.as_bytes());
            let mut whole = parser();
            whole.process(write_frames(std::slice::from_ref(frame))[0].as_bytes());
            let look = |parser: &vt100::Parser| {
                let cells = (0..80).filter_map(|at| parser.screen().cell(at / 20, at % 20));
                let looks = cells.map(|cell| {
                    let text = if cell.has_contents() { cell.contents() } else { " " };
                    let hides_ink = text == " " && !cell.inverse() && !cell.underline();
                    let ink = (!hides_ink).then(|| (cell.fgcolor(), cell.bold()));
                    (text.to_owned(), ink, cell.bgcolor(), cell.inverse(), cell.underline())
                });
                looks.collect::<Vec<_>>()
            };
            assert_eq!(look(&screen), look(&whole));
        }
    }

    #[test]
    fn gaps_in_a_row_are_relative_and_absolute_after_a_wide_character() {
        let before = vec![Line::from("a–b    c"), Line::from("日 x")];
        let after = vec![Line::from("A–B    C"), Line::from("月 y")];
        let written = write_frames(&[before, after]);
        assert_eq!(written[1], "\x1b[1;1HA\x1b[CB\x1b[4CC\r\n月\x1b[2;4Hy");
    }
}
