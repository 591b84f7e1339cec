//! The style of what is written next, and the sequence that changes it.

use std::io::{self, Write};

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

/// The colours with a name, in the order of their codes.
const NAMED_COLORS: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// The bits of a colour: 0 for that of the terminal, then the named ones, those with an index, and those
/// of three bytes.
const COLOR_BITS: u32 = 25;
const COLOR_MASK: u64 = (1 << COLOR_BITS) - 1;
const FIRST_INDEXED: u64 = 0x100;
const FIRST_RGB: u64 = 1 << 24;

/// The style that the terminal uses for the next cell: modifiers, background and foreground in one
/// number, because styles are compared for each cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pen(u64);

impl Pen {
    /// The terminal's own colours without modifiers.
    pub(super) const PLAIN: Self = Self(0);
    /// What a blank cell shows of its style.
    const SHOWN_ON_BLANKS: u64 = (COLOR_MASK << COLOR_BITS) | Self::VISIBLE_ON_BLANKS;
    const VISIBLE_ON_BLANKS: u64 =
        modifier_bits(Modifier::REVERSED.union(Modifier::UNDERLINED).union(Modifier::CROSSED_OUT));

    pub(super) fn of(cell: &Cell) -> Self {
        let colors = encode(cell.fg) | encode(cell.bg) << COLOR_BITS;
        Self(colors | modifier_bits(cell.modifier))
    }

    /// Returns whether a cell looks the same in both styles. A blank cell shows only its background.
    #[inline]
    pub(super) const fn looks_like(self, other: Self, is_blank: bool) -> bool {
        let is_plain = (self.0 | other.0) & Self::VISIBLE_ON_BLANKS == 0;
        self.0 == other.0 || is_blank && is_plain && (self.0 ^ other.0) & Self::SHOWN_ON_BLANKS == 0
    }

    /// Writes one sequence that changes the style to `next`.
    pub(super) fn change_to(&mut self, next: Self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"\x1b[")?;
        let mut separator = "";
        let mut write_separator = |out: &mut dyn Write| {
            let result = out.write_all(separator.as_bytes());
            separator = ";";
            result
        };
        // A code that ends one modifier may end another too.
        if next == Self::PLAIN || !next.modifiers().contains(self.modifiers()) {
            write_separator(out)?;
            out.write_all(b"0")?;
            *self = Self::PLAIN;
        }
        for (modifier, code) in MODIFIER_CODES {
            if next.modifiers().contains(modifier) && !self.modifiers().contains(modifier) {
                write_separator(out)?;
                out.write_all(code.as_bytes())?;
            }
        }
        for (shift, first_code) in [(0, 30), (COLOR_BITS, 40)] {
            let color = next.0 >> shift & COLOR_MASK;
            if color != self.0 >> shift & COLOR_MASK {
                write_separator(out)?;
                write_color(color, first_code, out)?;
            }
        }
        *self = next;
        out.write_all(b"m")
    }

    const fn modifiers(self) -> Modifier {
        Modifier::from_bits_truncate((self.0 >> (2 * COLOR_BITS)) as u16)
    }
}

const fn modifier_bits(modifier: Modifier) -> u64 {
    (modifier.bits() as u64) << (2 * COLOR_BITS)
}

fn encode(color: Color) -> u64 {
    match color {
        Color::Reset => 0,
        Color::Indexed(index) => FIRST_INDEXED + u64::from(index),
        Color::Rgb(red, green, blue) => {
            FIRST_RGB | u64::from(u32::from_be_bytes([0, red, green, blue]))
        }
        named => (1..).zip(NAMED_COLORS).find(|(_, of)| *of == named).map_or(0, |(code, _)| code),
    }
}

/// Writes the code of a colour; `first_code` is that of black.
fn write_color(color: u64, first_code: u64, out: &mut impl Write) -> io::Result<()> {
    match color {
        0 => write!(out, "{}", first_code + 9),
        1..=8 => write!(out, "{}", first_code + color - 1),
        9..FIRST_INDEXED => write!(out, "{}", first_code + 60 + color - 9),
        FIRST_INDEXED..FIRST_RGB => {
            write!(out, "{};5;{}", first_code + 8, color - FIRST_INDEXED)
        }
        _ => {
            let [.., red, green, blue] = color.to_be_bytes();
            write!(out, "{};2;{red};{green};{blue}", first_code + 8)
        }
    }
}
