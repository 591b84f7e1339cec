//! The names of the dashboard's themes.

use std::fmt;
use std::str::FromStr;

/// The theme that the user chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeChoice {
    /// Dark or light, after the terminal's background.
    #[default]
    Auto,
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// White on black, without shades.
    HighContrast,
    /// The 16 colours of the terminal's palette only.
    Terminal,
}

impl ThemeChoice {
    /// All choices, in the order in which they follow each other.
    pub const ALL: [Self; 5] =
        [Self::Auto, Self::Dark, Self::Light, Self::HighContrast, Self::Terminal];

    /// The names of all choices.
    pub const NAMES: [&str; 5] = {
        let [auto, dark, light, high_contrast, terminal] = Self::ALL;
        [auto.as_str(), dark.as_str(), light.as_str(), high_contrast.as_str(), terminal.as_str()]
    };

    /// Returns the name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::HighContrast => "high-contrast",
            Self::Terminal => "terminal",
        }
    }

    /// Returns the next choice.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|choice| *choice == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

impl fmt::Display for ThemeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ThemeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let choice = Self::ALL.into_iter().find(|choice| choice.as_str() == text);
        choice.ok_or_else(|| format!("theme is one of {}", Self::NAMES.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_and_every_choice_is_reached() {
        let mut choice = ThemeChoice::default();
        for expected in ThemeChoice::ALL {
            assert_eq!(choice, expected);
            assert_eq!(expected.to_string().parse(), Ok(expected));
            choice = choice.next();
        }
        assert_eq!(choice, ThemeChoice::default());
        assert!("blue".parse::<ThemeChoice>().is_err());
    }
}
