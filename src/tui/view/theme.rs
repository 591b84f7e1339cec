//! What a colour stands for. Roles, not colours: the sixteen of the terminal, so that its own
//! palette decides how they look, and none at all where none are wanted.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::KeyState;

/// The colours of one terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Light letters on a dark background.
    Dark,
    /// Dark letters on a light background.
    Light,
    /// No colours (`NO_COLOR`): weight alone.
    Plain,
}

impl Theme {
    fn colour(self, dark: Color, light: Color) -> Style {
        match self {
            Self::Dark => Style::new().fg(dark),
            Self::Light => Style::new().fg(light),
            Self::Plain => Style::new(),
        }
    }

    /// Names and headings.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What can be passed over.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Keys to press, the field with the cursor.
    pub fn accent(self) -> Style {
        self.colour(Color::Cyan, Color::Blue)
    }

    /// As it should be.
    pub fn good(self) -> Style {
        self.colour(Color::Green, Color::Green)
    }

    /// Worth a look.
    pub fn warning(self) -> Style {
        self.colour(Color::Yellow, Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Wrong.
    pub fn bad(self) -> Style {
        self.colour(Color::LightRed, Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The row under the cursor, text that typing replaces.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A state's colour and sign; its word stands beside them.
    pub fn state(self, state: KeyState) -> (&'static str, Style) {
        match state {
            KeyState::Active => ("●", self.good()),
            KeyState::Low => ("◐", self.warning()),
            KeyState::Expiring => ("◔", self.warning()),
            KeyState::LimitReached => ("○", self.bad()),
            KeyState::Expired => ("×", self.bad()),
            KeyState::Disabled => ("–", self.dim()),
            KeyState::Dead => ("×", self.bad()),
            KeyState::Unknown => ("?", self.dim()),
        }
    }
}
