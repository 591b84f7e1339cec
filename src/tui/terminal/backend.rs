//! Writes the changed cells of a frame in few bytes: relative moves, one sequence for a change of
//! style, and nothing for a frame without changes. ADR 15 has the figures.

mod order;
mod pen;

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveRight, MoveTo, MoveToColumn, Show};
use crossterm::queue;
use crossterm::terminal::{Clear, ClearType as CrosstermClearType};
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use secrecy::zeroize::Zeroize;

use order::{ChangedCell, order_by_pen};
use pen::Pen;

/// A backend of ratatui that writes each frame at once.
pub(super) struct FrameBackend<W> {
    out: W,
    is_cursor_visible: bool,
    /// The cells on screen, row by row. They may contain a revealed key.
    shown: Vec<ShownCell>,
    /// The number of cells in a row.
    columns: usize,
    /// Whether a wide character may be on screen.
    has_wide: bool,
}

/// The longest gap between two changed cells that is written rather than skipped; a longer one takes
/// more bytes than a move.
const MAX_WRITTEN_GAP: u16 = 3;

/// Up to this many blank cells are written, because it takes no more bytes than to erase them.
const MIN_ERASED: u16 = 5;

/// The bytes of most moves within a row.
const MOVE_LENGTH: u16 = 5;

/// The most rows down that are shorter as line feeds.
const MAX_LINE_FEEDS: u16 = 3;

/// A cell on screen that may be written again.
#[derive(Clone, Copy)]
struct ShownCell {
    /// `None` for a character of several bytes, which is not shorter than a move.
    ascii: Option<u8>,
    pen: Pen,
    /// Whether its character also covers the next cell.
    is_wide: bool,
}

impl<W: Write> FrameBackend<W> {
    /// Creates a backend for a terminal whose cursor is hidden.
    pub(super) fn new(out: W, size: Size) -> Self {
        let mut backend =
            Self { out, is_cursor_visible: false, shown: Vec::new(), columns: 0, has_wide: false };
        backend.resize(size);
        backend
    }

    /// Forgets what is on screen, because the terminal has another size or another program drew on it.
    pub(super) fn resize(&mut self, size: Size) {
        self.wipe();
        self.columns = usize::from(size.width);
        // The memory never moves between two sizes, which would leave a copy behind.
        self.shown = vec![ShownCell::BLANK; self.columns * usize::from(size.height)];
    }

    /// Overwrites what is known of the screen.
    pub(super) fn wipe(&mut self) {
        for cell in &mut self.shown {
            cell.ascii.zeroize();
            *cell = ShownCell::BLANK;
        }
        self.has_wide = false;
    }

    #[inline]
    fn index_of(&self, x: u16, y: u16) -> Option<usize> {
        let x = usize::from(x);
        (x < self.columns).then(|| usize::from(y) * self.columns + x)
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
            let cell = self.shown.get(self.index_of(x, row)?)?;
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

    /// Moves to a cell from the position at which the terminal writes next, if that is known.
    fn move_to(
        &mut self,
        (x, y): (u16, u16),
        place: Option<(u16, u16)>,
        pen: Pen,
    ) -> io::Result<()> {
        match place {
            Some(at) if at == (x, y) => Ok(()),
            Some(at @ (column, row)) if row == y && column < x => self.move_right(at, x, pen),
            // A row that is close below needs no numbers.
            Some((_, row)) if (1..=MAX_LINE_FEEDS).contains(&y.saturating_sub(row)) => {
                let line_feeds = &b"\n\n\n"[..usize::from(y - row)];
                if x > MAX_WRITTEN_GAP {
                    self.out.write_all(line_feeds)?;
                    return queue!(self.out, MoveToColumn(x));
                }
                self.out.write_all(b"\r")?;
                self.out.write_all(line_feeds)?;
                if x > 0 { self.move_right((0, y), x, pen) } else { Ok(()) }
            }
            _ => queue!(self.out, MoveTo(x, y)),
        }
    }

    fn is_shown_blank(&self, x: u16, y: u16) -> bool {
        let cell = self.index_of(x, y).and_then(|index| self.shown.get(index));
        cell.is_some_and(ShownCell::is_plain_blank)
    }

    /// Erases the blank cells at the beginning of `cells` if that is shorter than to write them. The
    /// position stays the same. Returns how many of `cells` are done.
    fn erase(&mut self, cells: &[ChangedCell<'_>]) -> io::Result<usize> {
        let Some(&ChangedCell { x: first, y, .. }) = cells.first() else { return Ok(0) };
        let mut end = first;
        let mut count = 0;
        for cell in cells {
            let is_erased = cell.y == y
                && cell.is_blank()
                && cell.pen.looks_like(Pen::PLAIN, true)
                && (end..cell.x).all(|x| self.is_shown_blank(x, y));
            if !is_erased {
                break;
            }
            end = cell.x + 1;
            count += 1;
        }
        let columns = u16::try_from(self.columns).unwrap_or(u16::MAX);
        // The next cell then needs a move.
        let is_followed = cells.get(count).is_some_and(|next| (next.x, next.y) == (end, y));
        let length = end - first;
        if length <= MIN_ERASED + if is_followed { MOVE_LENGTH } else { 0 } {
            return Ok(0);
        }
        if (end..columns).all(|x| self.is_shown_blank(x, y)) {
            self.out.write_all(b"\x1b[K")?;
        } else {
            write!(self.out, "\x1b[{length}X")?;
        }
        for x in first..end {
            self.remember((x, y), ShownCell::BLANK);
        }
        Ok(count)
    }

    /// Returns whether a wide character is on screen where a cell is written.
    fn touches_wide(&self, cell: &ChangedCell<'_>) -> bool {
        let is_wide = |x| {
            let index = self.index_of(x, cell.y);
            index.and_then(|index| self.shown.get(index)).is_some_and(|shown| shown.is_wide)
        };
        is_wide(cell.x) || cell.x.checked_sub(1).is_some_and(is_wide)
    }

    /// Returns how many cells from (`x`, `y`) on must be cleared, because a character of this width
    /// would leave half of a wide character; 0 if it leaves none.
    fn count_halves(&self, (x, y): (u16, u16), width: u16) -> usize {
        let shown = |x: u16| self.index_of(x, y).and_then(|index| self.shown.get(index));
        let last = x.saturating_add(width.saturating_sub(1));
        let is_halved = shown(last).is_some_and(|cell| cell.is_wide);
        if is_halved { usize::from(last - x) + 2 } else { 0 }
    }

    /// Overwrites the half that a character would leave of a wide one. Terminals show that half in
    /// the style of that character, and ratatui writes a blank only where its own style changes.
    fn clear_halves(&mut self, (x, y): (u16, u16), count: usize, pen: &mut Pen) -> io::Result<()> {
        if *pen != Pen::PLAIN {
            pen.change_to(Pen::PLAIN, &mut self.out)?;
        }
        self.out.write_all(&b"   "[..count.min(3)])?;
        // A relative move would miscount after the last column.
        queue!(self.out, MoveTo(x, y))?;
        for column in (x..).take(count) {
            self.remember((column, y), ShownCell::BLANK);
        }
        Ok(())
    }

    #[inline]
    fn remember(&mut self, (x, y): (u16, u16), cell: ShownCell) {
        let index = self.index_of(x, y);
        if let Some(shown) = index.and_then(|index| self.shown.get_mut(index)) {
            *shown = cell;
        }
    }
}

impl<W> Drop for FrameBackend<W> {
    fn drop(&mut self) {
        for cell in &mut self.shown {
            cell.ascii.zeroize();
        }
    }
}

impl ShownCell {
    const BLANK: Self = Self { ascii: Some(b' '), pen: Pen::PLAIN, is_wide: false };

    fn is_plain_blank(&self) -> bool {
        self.ascii == Some(b' ') && self.pen.looks_like(Pen::PLAIN, true)
    }
}

impl<W: Write> Backend for FrameBackend<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        // Each time a vector grows, what it leaves is wiped.
        let mut cells = Vec::with_capacity(self.shown.len() / 4);
        cells.extend(content.map(|(x, y, cell)| ChangedCell::new(x, y, cell)));
        // Beside a wide character, what is written first matters.
        let is_narrow = cells.iter().all(|cell| cell.width == 1);
        let is_simple =
            is_narrow && !(self.has_wide && cells.iter().any(|cell| self.touches_wide(cell)));
        self.has_wide |= !is_narrow;
        if is_simple {
            cells = order_by_pen(cells);
        }
        let mut pen = Pen::PLAIN;
        // The position at which the terminal writes next, if it is known.
        let mut place: Option<(u16, u16)> = None;
        let mut rest = &cells[..];
        while let [changed, after @ ..] = rest {
            let &ChangedCell { x, y, symbol, width, pen: next } = changed;
            self.move_to((x, y), place, pen)?;
            let halves = if is_simple { 0 } else { self.count_halves((x, y), width) };
            if halves > 0 && !next.looks_like(Pen::PLAIN, true) {
                self.clear_halves((x, y), halves, &mut pen)?;
            }
            if !pen.looks_like(next, changed.is_blank()) {
                pen.change_to(next, &mut self.out)?;
            }
            // A terminal may erase in another background than its own one.
            if is_simple && changed.is_blank() && pen.looks_like(Pen::PLAIN, true) {
                let erased = self.erase(rest)?;
                if erased > 0 {
                    rest = &rest[erased..];
                    place = Some((x, y));
                    continue;
                }
            }
            self.out.write_all(symbol.as_bytes())?;
            let shown = ShownCell { ascii: changed.ascii(), pen: next, is_wide: width > 1 };
            self.remember((x, y), shown);
            // Terminals do not agree about the width of some characters. What such a character may cover is
            // not written again.
            if width != 1 {
                self.remember((x + 1, y), ShownCell { ascii: None, pen: next, is_wide: false });
            }
            place = (width == 1).then_some((x + 1, y));
            rest = after;
        }
        if pen == Pen::PLAIN { Ok(()) } else { self.out.write_all(b"\x1b[0m") }
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
        self.wipe();
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
mod tests;
