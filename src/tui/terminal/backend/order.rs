//! The order in which the cells of a frame are written. A style that often alternates with others is
//! written in a pass of its own, because moves are shorter than changes of style.

use ratatui::buffer::{Cell, CellWidth};

use super::pen::Pen;

/// A cell that is written.
#[derive(Clone, Copy)]
pub(super) struct ChangedCell<'a> {
    pub(super) x: u16,
    pub(super) y: u16,
    pub(super) symbol: &'a str,
    pub(super) width: u16,
    /// The style in which it is written; a blank cell takes that of its neighbours.
    pub(super) pen: Pen,
}

impl<'a> ChangedCell<'a> {
    pub(super) fn new(x: u16, y: u16, cell: &'a Cell) -> Self {
        Self { x, y, symbol: cell.symbol(), width: cell.cell_width(), pen: Pen::of(cell) }
    }

    /// Returns the symbol if it is one byte.
    #[inline]
    pub(super) const fn ascii(&self) -> Option<u8> {
        if let [byte] = self.symbol.as_bytes() { Some(*byte) } else { None }
    }

    #[inline]
    pub(super) fn is_blank(&self) -> bool {
        self.ascii() == Some(b' ')
    }

    /// Takes the style of a neighbour in the same row, if the cell looks the same in it.
    fn join(&mut self, neighbour: (u16, Pen)) -> bool {
        let (row, pen) = neighbour;
        let joins = self.is_blank() && row == self.y && pen.looks_like(self.pen, true);
        if joins {
            self.pen = pen;
        }
        joins
    }
}

/// A style of the frame.
struct UsedPen {
    pen: Pen,
    /// How often it would be changed to, row by row.
    run_count: usize,
}

impl UsedPen {
    /// Returns whether a pass of its own is shorter. Within a pass each run costs a move, and a gap in the
    /// pass of the other cells.
    fn needs_own_pass(&self) -> bool {
        const MOVE_LENGTH: usize = 5;
        if self.pen == Pen::PLAIN || self.run_count < 2 {
            return false;
        }
        let (mut pen, mut change) = (Pen::PLAIN, Vec::new());
        // A vector takes everything.
        let _ = pen.change_to(self.pen, &mut change);
        self.run_count * change.len().saturating_sub(MOVE_LENGTH) > change.len()
    }
}

/// Orders cells that come row by row.
pub(super) fn order_by_pen(mut cells: Vec<ChangedCell<'_>>) -> Vec<ChangedCell<'_>> {
    join_blank_cells(&mut cells);
    let mut used: Vec<UsedPen> = Vec::new();
    for run in cells.chunk_by(|one, other| one.pen == other.pen) {
        let pen = run[0].pen;
        match used.iter_mut().find(|used| used.pen == pen) {
            Some(used) => used.run_count += 1,
            None => used.push(UsedPen { pen, run_count: 1 }),
        }
    }
    used.retain(UsedPen::needs_own_pass);
    if used.is_empty() {
        return cells;
    }
    let (mut ordered, mut own_passes) = (Vec::with_capacity(cells.len()), Vec::new());
    for run in cells.chunk_by(|one, other| one.pen == other.pen) {
        match used.iter().position(|used| used.pen == run[0].pen) {
            Some(pass) => own_passes.push((pass, run)),
            None => ordered.extend_from_slice(run),
        }
    }
    for pass in 0..used.len() {
        for (_, run) in own_passes.iter().filter(|(of_run, _)| *of_run == pass) {
            ordered.extend_from_slice(run);
        }
    }
    ordered
}

fn join_blank_cells(cells: &mut [ChangedCell<'_>]) {
    let mut previous = None;
    let mut joined = vec![false; cells.len()];
    for (cell, joined) in cells.iter_mut().zip(&mut joined) {
        *joined = previous.is_some_and(|previous| cell.join(previous));
        previous = Some((cell.y, cell.pen));
    }
    let mut next = None;
    for (cell, joined) in cells.iter_mut().zip(joined).rev() {
        if !joined && !next.is_some_and(|next| cell.join(next)) {
            cell.join((cell.y, Pen::PLAIN));
        }
        next = Some((cell.y, cell.pen));
    }
}
