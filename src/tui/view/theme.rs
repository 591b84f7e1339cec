//! Styles by role. What a style means is also shown by a word, a symbol or its place, because a
//! theme may have no colours.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::{KeyState, ThemeChoice};
use crate::tui::state::{Background, Model};

/// The styles of the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// For light text on a dark background.
    Dark,
    /// For dark text on a light background.
    Light,
    /// White on black, whatever the terminal's colours are.
    HighContrast,
    /// The 16 colours of the terminal's palette, which decides how they look.
    Terminal,
    /// No colours (`NO_COLOR`), only bold, dim and reversed text.
    NoColor,
}

/// The colours of the roles in the themes [`Theme::Dark`], [`Theme::Light`], [`Theme::HighContrast`]
/// and [`Theme::Terminal`].
struct Palette([Color; 4]);

const ACCENT: Palette =
    Palette([Color::Indexed(80), Color::Indexed(25), Color::Indexed(51), Color::Cyan]);
const SUCCESS: Palette =
    Palette([Color::Indexed(114), Color::Indexed(28), Color::Indexed(46), Color::Green]);
const WARNING: Palette =
    Palette([Color::Indexed(221), Color::Indexed(130), Color::Indexed(226), Color::Yellow]);
const ERROR: Palette =
    Palette([Color::Indexed(210), Color::Indexed(124), Color::Indexed(217), Color::LightRed]);
const MUTED: Palette =
    Palette([Color::Indexed(247), Color::Indexed(241), Color::Indexed(255), Color::Reset]);
const RULE: Palette =
    Palette([Color::Indexed(240), Color::Indexed(250), Color::Indexed(250), Color::Reset]);
const BAR: Palette =
    Palette([Color::Indexed(74), Color::Indexed(31), Color::Indexed(51), Color::Cyan]);

impl Theme {
    /// Returns the theme of the choice and the terminal.
    pub fn of(model: &Model) -> Self {
        if !model.uses_color {
            return Self::NoColor;
        }
        match model.resolve_theme(model.theme_choice) {
            ThemeChoice::Light => Self::Light,
            ThemeChoice::Auto | ThemeChoice::Dark => Self::Dark,
            ThemeChoice::HighContrast => Self::HighContrast,
            ThemeChoice::Terminal => Self::Terminal,
        }
    }

    fn color(self, palette: &Palette) -> Style {
        let index = match self {
            Self::Dark => 0,
            Self::Light => 1,
            Self::HighContrast => 2,
            Self::Terminal => 3,
            Self::NoColor => return Style::new(),
        };
        match palette.0[index] {
            Color::Reset => Style::new(),
            color => Style::new().fg(color),
        }
    }

    /// Returns the style of the whole screen, below everything else.
    pub fn base(self) -> Style {
        match self {
            Self::HighContrast => Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(16)),
            Self::Dark | Self::Light | Self::Terminal | Self::NoColor => Style::new(),
        }
    }

    /// Returns the colours of text and background of a theme for another background than the terminal's;
    /// `None` where the terminal's own colours serve.
    pub const fn own_colors(self, background: Background) -> Option<(Color, Color)> {
        match (self, background) {
            (Self::Light, Background::Dark) => Some((Color::Indexed(16), Color::Indexed(231))),
            (Self::Dark, Background::Light) => Some((Color::Indexed(255), Color::Indexed(234))),
            _ => None,
        }
    }

    /// Returns the style of what a dialog covers: the text without its colours.
    pub fn backdrop(self) -> Style {
        let plain = Style::new().remove_modifier(Modifier::BOLD | Modifier::REVERSED);
        match self {
            Self::Terminal | Self::NoColor => {
                plain.fg(Color::Reset).bg(Color::Reset).add_modifier(Modifier::DIM)
            }
            Self::HighContrast => plain.fg(Color::Indexed(247)).bg(Color::Indexed(16)),
            Self::Dark | Self::Light => plain.patch(self.color(&RULE)).bg(Color::Reset),
        }
    }

    /// Returns the colour of bars and charts that a dialog covers: filled cells draw the eye more than
    /// text. `None` for a theme without a colour that is known to be fainter.
    pub const fn covered_bar(self) -> Option<Color> {
        match self {
            Self::Dark => Some(Color::Indexed(236)),
            Self::Light => Some(Color::Indexed(254)),
            Self::HighContrast => Some(Color::Indexed(238)),
            Self::Terminal | Self::NoColor => None,
        }
    }

    /// Returns the style of names and headings.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns the style of secondary text.
    pub fn dim(self) -> Style {
        match self {
            Self::Terminal | Self::NoColor => Style::new().add_modifier(Modifier::DIM),
            Self::Dark | Self::Light | Self::HighContrast => self.color(&MUTED),
        }
    }

    /// Returns the style of rules, the axes of charts and the empty part of gauges.
    pub fn rule(self) -> Style {
        match self {
            Self::Terminal | Self::NoColor => Style::new().add_modifier(Modifier::DIM),
            Self::Dark | Self::Light | Self::HighContrast => self.color(&RULE),
        }
    }

    /// Returns the style of the cells of a text field.
    pub fn field(self) -> Style {
        match self {
            Self::Dark => Style::new().bg(Color::Indexed(236)),
            Self::Light => Style::new().bg(Color::Indexed(254)),
            Self::HighContrast => Style::new().bg(Color::Indexed(238)),
            Self::Terminal | Self::NoColor => Style::new().add_modifier(Modifier::UNDERLINED),
        }
    }

    /// Returns the style of keys to press and of the focused field.
    pub fn accent(self) -> Style {
        self.color(&ACCENT)
    }

    /// Returns the style of gauges and charts.
    pub fn bar(self) -> Style {
        self.color(&BAR)
    }

    /// Returns the style of a success.
    pub fn success(self) -> Style {
        self.color(&SUCCESS)
    }

    /// Returns the style of a warning.
    pub fn warning(self) -> Style {
        self.color(&WARNING).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of an error.
    pub fn error(self) -> Style {
        self.color(&ERROR).add_modifier(Modifier::BOLD)
    }

    /// Returns the style of the selected row and of text that typing replaces.
    pub fn selected(self) -> Style {
        match self {
            Self::Dark => Style::new().fg(Color::Indexed(234)).bg(Color::Indexed(152)),
            Self::Light => Style::new().fg(Color::Indexed(231)).bg(Color::Indexed(24)),
            Self::HighContrast => Style::new().fg(Color::Indexed(16)).bg(Color::Indexed(231)),
            Self::Terminal | Self::NoColor => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// Returns the symbol and the style of a state; the state's name is always shown beside the symbol.
    pub fn state_marker(self, state: KeyState) -> (&'static str, Style) {
        match state {
            KeyState::Active => ("●", self.success()),
            KeyState::Low => ("◐", self.warning()),
            KeyState::Expiring => ("◔", self.warning()),
            KeyState::LimitReached => ("○", self.error()),
            KeyState::Blocked => ("⊘", self.error()),
            KeyState::Expired => ("×", self.error()),
            KeyState::Disabled => ("–", self.dim()),
            KeyState::Rejected => ("×", self.error()),
            KeyState::Unknown => ("?", self.dim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: u8 = 16;
    const WHITE: u8 = 231;
    /// The lightest usual background of a dark terminal.
    const DARK_GREY: u8 = 235;

    /// Returns the relative luminance of a colour of the 256-colour palette (WCAG 2.2).
    fn luminance(index: u8) -> f64 {
        let rgb = match index {
            0..16 => panic!("the terminal decides what colour {index} is"),
            16..=231 => [36, 6, 1].map(|step| match (index - 16) / step % 6 {
                0 => 0,
                level => 55 + 40 * level,
            }),
            232.. => [8 + 10 * (index - 232); 3],
        };
        let [red, green, blue] = rgb.map(|channel| match f64::from(channel) / 255.0 {
            channel if channel <= 0.040_45 => channel / 12.92,
            channel => ((channel + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: u8, other: u8) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn index(color: Option<Color>, default: u8) -> u8 {
        match color {
            Some(Color::Indexed(index)) => index,
            None | Some(Color::Reset) => default,
            color => panic!("{color:?} is not in the palette"),
        }
    }

    #[test]
    fn every_text_has_the_contrast_that_its_theme_promises() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 0.01);
        for (theme, text, backgrounds, least) in [
            (Theme::HighContrast, WHITE, &[BLACK][..], 7.0_f64),
            (Theme::Dark, WHITE, &[BLACK, DARK_GREY], 4.5),
            (Theme::Light, BLACK, &[WHITE], 4.5),
        ] {
            let field = index(theme.field().bg, BLACK);
            let on_screen = [
                ("base", theme.base()),
                ("strong", theme.strong()),
                ("dim", theme.dim()),
                ("accent", theme.accent()),
                ("success", theme.success()),
                ("warning", theme.warning()),
                ("error", theme.error()),
                ("bar", theme.bar()),
                ("selected", theme.selected()),
            ];
            for (role, style) in on_screen {
                for background in backgrounds {
                    let on = index(style.bg, *background);
                    let found = contrast(index(style.fg, text), on);
                    let least = if role == "bar" { least.min(3.0) } else { least };
                    assert!(found >= least, "{theme:?} {role} on {on}: {found:.1}");
                }
            }
            // Text, hints and errors in a field.
            for style in [theme.base(), theme.dim(), theme.accent()] {
                let found = contrast(index(style.fg, text), field);
                assert!(found >= least, "{theme:?} {style:?} in a field: {found:.1}");
            }
        }
        let Style { fg, bg, .. } = Theme::HighContrast.backdrop();
        assert!(contrast(index(fg, WHITE), index(bg, BLACK)) >= 7.0);
        assert!(contrast(index(Theme::HighContrast.rule().fg, WHITE), BLACK) >= 7.0);
    }
}
