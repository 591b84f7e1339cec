//! Styles by role. They use the 16 ANSI colours, so that the terminal's palette decides how they
//! look, or no colours at all.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::KeyState;

/// The colours that fit the terminal's background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// For light text on a dark background.
    Dark,
    /// For dark text on a light background.
    Light,
    /// No colours (`NO_COLOR`), only bold, dim and reversed text.
    NoColor,
}

impl Theme {
    fn foreground(self, dark: Color, light: Color) -> Style {
        match self {
            Self::Dark => Style::new().fg(dark),
            Self::Light => Style::new().fg(light),
            Self::NoColor => Style::new(),
        }
    }

    /// For names and headings.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// For secondary text.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// For keys to press and the focused field.
    pub fn accent(self) -> Style {
        self.foreground(Color::Cyan, Color::Blue)
    }

    /// For success.
    pub fn success(self) -> Style {
        self.foreground(Color::Green, Color::Green)
    }

    /// For warnings.
    pub fn warning(self) -> Style {
        self.foreground(Color::Yellow, Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// For errors.
    pub fn error(self) -> Style {
        self.foreground(Color::LightRed, Color::Red).add_modifier(Modifier::BOLD)
    }

    /// For the selected row and text that typing replaces.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
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
