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
}

impl<W: Write> FrameBackend<W> {
    /// Creates a backend for a terminal whose cursor is hidden.
    pub(super) fn new(out: W) -> Self {
        Self { out, is_cursor_visible: false }
    }

    /// The writer, for sequences between the frames.
    pub(super) fn writer(&mut self) -> &mut W {
        &mut self.out
    }
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
        // Where the terminal writes next, if that is certain.
        let mut place: Option<(u16, u16)> = None;
        for (x, y, cell) in content {
            match place {
                Some(at) if at == (x, y) => {}
                // The shortest form, which crossterm does not have.
                Some((column, row)) if row == y && column + 1 == x => {
                    self.out.write_all(b"\x1b[C")?;
                }
                Some((column, row)) if row == y && column < x => {
                    queue!(self.out, MoveRight(x - column))?;
                }
                _ => queue!(self.out, MoveTo(x, y))?,
            }
            let next = Pen::of(cell);
            if next != pen {
                pen.change_to(next, &mut self.out)?;
            }
            let symbol = cell.symbol();
            self.out.write_all(symbol.as_bytes())?;
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
    fn gaps_in_a_row_are_relative_and_absolute_after_a_wide_character() {
        let before = vec![Line::from("a b c"), Line::from("日 x")];
        let after = vec![Line::from("A B C"), Line::from("月 y")];
        let written = write_frames(&[before, after]);
        assert_eq!(written[1], "\x1b[1;1HA\x1b[CB\x1b[CC\x1b[2;1H月\x1b[2;4Hy");
    }
}
