//! The kinds of secret store, and where the secret of a key is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ExecProgram, ValidationError, sanitize};

/// A kind of secret store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum StoreKind {
    /// The operating system's keychain.
    Keychain,
    /// A file encrypted with a passphrase.
    File,
    /// Memory only; the secrets are lost when Keywright ends.
    Memory,
    /// The KV engine of OpenBao or HashiCorp Vault, which a team shares.
    Bao,
    /// A program that speaks the protocol of Docker's credential helpers.
    Exec(ExecProgram),
    /// A store that this version does not know, by the name that a file on disk has for it.
    Unknown(Box<str>),
}

impl StoreKind {
    /// Returns the name of the kind: `os`, `file`, `memory`, `bao`, `exec:PROGRAM` or the unknown name.
    pub const fn as_str(&self) -> &str {
        match self {
            Self::Keychain => "os",
            Self::File => "file",
            Self::Memory => "memory",
            Self::Bao => "bao",
            Self::Exec(program) => program.store_name(),
            Self::Unknown(name) => name,
        }
    }

    /// Returns whether other people and machines read and change the same entries.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Bao)
    }

    /// Parses the name of a store that keeps keys after the program has ended.
    pub fn parse_lasting(text: &str) -> Result<Self, ValidationError> {
        match text.trim().parse() {
            Ok(Self::Memory) => {
                Err(ValidationError("keys in memory are lost when Keywright ends".into()))
            }
            Ok(kind) => Ok(kind),
            Err(ParseStoreKindError::UnknownName) => {
                Err(ValidationError("the store must be os, file, bao or exec:PROGRAM".into()))
            }
            Err(error) => Err(ValidationError(error.to_string())),
        }
    }

    /// Returns whether the secrets stay on this machine. What only this machine needs, such as the
    /// secrets of an attempt and the management key, is in no other store.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Keychain | Self::File | Self::Memory)
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Parses the name of a store that this version knows.
impl FromStr for StoreKind {
    type Err = ParseStoreKindError;

    fn from_str(name: &str) -> Result<Self, ParseStoreKindError> {
        match name {
            "os" => Ok(Self::Keychain),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            "bao" | "vault" => Ok(Self::Bao),
            _ if name.starts_with(ExecProgram::PREFIX) => {
                ExecProgram::parse(name).map(Self::Exec).ok_or(ParseStoreKindError::InvalidProgram)
            }
            _ => Err(ParseStoreKindError::UnknownName),
        }
    }
}

/// Reads a name from a file, which may be of another version.
impl From<String> for StoreKind {
    fn from(name: String) -> Self {
        name.parse().unwrap_or_else(|_| Self::Unknown(sanitize(&name, 300).into()))
    }
}

impl From<StoreKind> for String {
    fn from(kind: StoreKind) -> Self {
        kind.as_str().into()
    }
}

/// The error for a text that names no store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseStoreKindError {
    /// No store has this name.
    #[error("the store must be `os`, `file`, `memory`, `bao` or `exec:PROGRAM`")]
    UnknownName,
    /// The program of `exec:PROGRAM` cannot be started from every directory.
    #[error(
        "the program of `exec:PROGRAM` must be a name on PATH, an absolute path, or a path that starts with ~/"
    )]
    InvalidProgram,
}

/// Where the secret of a key is. Files and JSON documents have the name of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum KeyLocation {
    /// In a secret store of this machine.
    Stored(StoreKind),
    /// Not on this machine: only the account's key list has the key.
    #[default]
    AccountOnly,
}

impl KeyLocation {
    /// Returns the name of the store, or an empty string for a key that is not stored.
    pub const fn store_name(&self) -> &str {
        match self {
            Self::Stored(kind) => kind.as_str(),
            Self::AccountOnly => "",
        }
    }
}

impl From<String> for KeyLocation {
    fn from(store: String) -> Self {
        if store.is_empty() { Self::AccountOnly } else { Self::Stored(store.into()) }
    }
}

impl From<KeyLocation> for String {
    fn from(location: KeyLocation) -> Self {
        location.store_name().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_from_any_version_and_written_back_the_same() {
        for (name, location) in [
            ("os", KeyLocation::Stored(StoreKind::Keychain)),
            ("file", KeyLocation::Stored(StoreKind::File)),
            ("memory", KeyLocation::Stored(StoreKind::Memory)),
            ("bao", KeyLocation::Stored(StoreKind::Bao)),
            ("exec:pass", KeyLocation::Stored("exec:pass".parse().unwrap())),
            ("exec:bin/pass", KeyLocation::Stored(StoreKind::Unknown("exec:bin/pass".into()))),
            ("", KeyLocation::AccountOnly),
        ] {
            let json = serde_json::to_string(name).unwrap();
            assert_eq!(serde_json::from_str::<KeyLocation>(&json).unwrap(), location);
            assert_eq!(serde_json::to_string(&location).unwrap(), json);
            assert_eq!(location.store_name(), name);
        }
        let escape = serde_json::from_str::<StoreKind>(r#""a\u001b[31mb""#).unwrap();
        assert!(!escape.as_str().contains('\u{1b}'), "{escape:?}");
    }
}
