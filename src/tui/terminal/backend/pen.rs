//! The style of what is written next, and the sequence that changes it.

use std::io::{self, Write};

use crossterm::style::Colored;
use ratatui::backend::IntoCrossterm;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

/// The codes that turn a modifier on.
const MODIFIER_CODES: [(Modifier, &str); 6] = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
    (Modifier::CROSSED_OUT, "9"),
];

/// The style that the terminal uses for the next cell.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pen {
    pub(super) fg: Color,
    pub(super) bg: Color,
    pub(super) modifiers: Modifier,
}

impl Pen {
    pub(super) fn of(cell: &Cell) -> Self {
        Self { fg: cell.fg, bg: cell.bg, modifiers: cell.modifier }
    }

    /// Returns whether a cell looks the same in both styles. A blank cell shows only its background.
    pub(super) fn looks_like(self, other: Self, is_blank: bool) -> bool {
        const VISIBLE_ON_BLANKS: Modifier =
            Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT);
        let is_plain = !(self.modifiers | other.modifiers).intersects(VISIBLE_ON_BLANKS);
        self == other || is_blank && is_plain && self.bg == other.bg
    }

    /// Writes one sequence that changes the style to `next`.
    pub(super) fn change_to(&mut self, next: Self, out: &mut impl Write) -> io::Result<()> {
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
