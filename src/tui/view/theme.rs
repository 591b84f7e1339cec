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
        self.foreground(Color::Cyan, Color::Blue)
    }

    /// As it should be.
    pub fn success(self) -> Style {
        self.foreground(Color::Green, Color::Green)
    }

    /// Worth a look.
    pub fn warning(self) -> Style {
        self.foreground(Color::Yellow, Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Wrong.
    pub fn error(self) -> Style {
        self.foreground(Color::LightRed, Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The row under the cursor, text that typing replaces.
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A state's colour and sign; its word stands beside them.
    pub fn state_marker(self, state: KeyState) -> (&'static str, Style) {
        match state {
            KeyState::Active => ("●", self.success()),
            KeyState::Low => ("◐", self.warning()),
            KeyState::Expiring => ("◔", self.warning()),
            KeyState::LimitReached => ("○", self.error()),
            KeyState::Expired => ("×", self.error()),
            KeyState::Disabled => ("–", self.dim()),
            KeyState::Rejected => ("×", self.error()),
            KeyState::Unknown => ("?", self.dim()),
        }
    }
}
