//! The keys that the configuration binds to actions instead of the built-in ones.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyModifiers};

/// A key that is pressed together with its modifiers. Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// Control and alt.
    pub modifiers: KeyModifiers,
    /// The key.
    pub code: KeyCode,
}

/// Names of the keys that are not characters, as written in the configuration.
const KEY_NAMES: [(&str, KeyCode); 16] = [
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

/// Reads for example `D`, `ctrl-p`, `alt-x`, `space` or `f5`.
impl FromStr for KeyPress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (mut modifiers, mut rest) = (KeyModifiers::NONE, text);
        loop {
            let stripped = [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT)]
                .into_iter()
                .find_map(|(prefix, modifier)| Some((rest.strip_prefix(prefix)?, modifier)));
            let Some((name, modifier)) = stripped.filter(|(name, _)| !name.is_empty()) else {
                break;
            };
            modifiers |= modifier;
            rest = name;
        }
        let named = KEY_NAMES.iter().find(|(name, _)| rest.eq_ignore_ascii_case(name));
        let function = rest.strip_prefix(['f', 'F']).and_then(|number| number.parse().ok());
        let mut chars = rest.chars();
        let code = match (named, function, (chars.next(), chars.next())) {
            (Some((_, code)), ..) => *code,
            (None, Some(number @ 1..=12), _) => KeyCode::F(number),
            (None, None, (Some(c), None)) if !c.is_control() && !c.is_whitespace() => {
                KeyCode::Char(c)
            }
            _ => return Err(()),
        };
        Ok(Self { modifiers, code })
    }
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.modifiers.contains(KeyModifiers::CONTROL) {
            f.write_str("ctrl-")?;
        }
        if self.modifiers.contains(KeyModifiers::ALT) {
            f.write_str("alt-")?;
        }
        if let Some((name, _)) = KEY_NAMES.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(number) => write!(f, "F{number}"),
            _ => Ok(()),
        }
    }
}

/// The configured keys by the name of their action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyOverrides(pub(in crate::tui) Vec<(&'static str, KeyPress)>);

impl KeyOverrides {
    /// Returns whether all actions have their built-in keys.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the configured key of an action.
    pub fn key_of(&self, action_name: &str) -> Option<KeyPress> {
        self.0.iter().find(|(name, _)| *name == action_name).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written_the_same_way() {
        for text in ["D", "ctrl-p", "alt-x", "ctrl-alt-q", "space", "F5", "-", "ctrl--", "pageup"] {
            assert_eq!(text.parse::<KeyPress>().unwrap().to_string(), text);
        }
        for text in ["", "dd", "ctrl-", "hyper-x", "f13", " ", "\t"] {
            assert_eq!(text.parse::<KeyPress>(), Err(()), "{text}");
        }
    }
}
