//! Names of profiles: an account or a server of its own, with its own keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ValidationError;

/// The name of a profile: `[a-z][a-z0-9-]{0,31}`. Not `localhost`, whose keychain service is that of
/// a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// The name of the profile that needs no configuration.
    pub const DEFAULT: &'static str = "default";

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the profile that needs no configuration.
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl Default for ProfileName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let is_valid = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        match text {
            "localhost" => Err(ValidationError("a profile cannot be named localhost".into())),
            _ if is_valid => Ok(Self(text.into())),
            _ => Err(ValidationError(
                "a profile name has 1 to 32 lower-case letters, digits and hyphens, and begins with a letter".into(),
            )),
        }
    }
}

impl TryFrom<String> for ProfileName {
    type Error = ValidationError;

    fn try_from(text: String) -> Result<Self, ValidationError> {
        text.parse()
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_names_are_short_and_plain() {
        for name in ["a", "work", "team-2", &"a".repeat(32)] {
            assert!(name.parse::<ProfileName>().is_ok(), "{name}");
        }
        for name in ["", "Work", "2nd", "-a", "a/b", "..", "a.b", "localhost", &"a".repeat(33)] {
            assert!(name.parse::<ProfileName>().is_err(), "{name}");
        }
    }
}
