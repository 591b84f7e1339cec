//! What can stand between Keywright and a keychain, and what to do about it.
//! Owns: the sentences. Must not know: which library said so.

use std::borrow::Cow;

use crate::domain::{ErrorKind, UserError};

/// Why the vault did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No D-Bus session bus, so no Secret Service (Linux).
    #[error("there is no D-Bus session bus, so no keychain can be reached")]
    NoSessionBus,
    /// A bus, but nobody on it provides the Secret Service (Linux).
    #[error("no keychain is running: nothing on the session bus provides the Secret Service")]
    NoProvider,
    /// The provider runs, but has no collection to write to.
    #[error("the keychain has no default collection to keep keys in")]
    NoDefaultCollection,
    /// Locked, and nobody was there to unlock it.
    #[error("the keychain is locked")]
    Locked,
    /// The person dismissed the question, or denied access.
    #[error("the keychain stayed closed: the question to unlock it was dismissed")]
    PromptDismissed,
    /// The deadline passed. Whether a write took place is unknown.
    #[error("the keychain did not answer in time")]
    TimedOut,
    /// Nothing under this service and account.
    #[error("the keychain holds nothing under this name")]
    NoEntry,
    /// So many entries match the same service and account.
    #[error("the keychain holds {0} entries under this name, and cannot tell which is meant")]
    Ambiguous(usize),
    /// What was read back after writing is not what was written.
    #[error("the keychain gave back something else than was stored")]
    ReadBackMismatch,
    /// The entry's bytes are not text, so they are no key.
    #[error("the keychain's entry is not text, so it is no key")]
    NotText,
    /// A name or secret longer than this keychain takes.
    #[error("the name or the secret is longer than this keychain takes")]
    TooLong,
    /// No passphrase for the file, in words.
    #[error("{0}")]
    NoPassphrase(String),
    /// The file's passphrase is another.
    #[error("the passphrase does not open the vault")]
    WrongPassphrase,
    /// The file is no vault.
    #[error("vault.age is not a file that a passphrase opens")]
    UnsupportedFormat,
    /// The file's bytes are not those that were written.
    #[error("vault.age is damaged")]
    Damaged,
    /// A later Keywright wrote the file.
    #[error("vault.age has version {0}, newer than this Keywright knows")]
    UnsupportedVersion(u64),
    /// The file asks for more memory and time than is spent on a passphrase.
    #[error("vault.age asks for more work than a passphrase is worth")]
    WorkFactorTooHigh,
    /// The file cannot be read, written or locked.
    #[error("{message}")]
    FileAccess {
        /// What happened.
        message: String,
        /// What to do now.
        advice: String,
    },
    /// Anything else, in the keychain's own words, without control characters.
    #[error("the keychain failed: {0}")]
    Other(String),
}

impl Error {
    /// What to do now, and what it means for the key. One or two sentences for a person.
    pub fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoSessionBus => {
                "Start Keywright in a desktop session, or under `dbus-run-session -- sh` followed by \
                 `eval $(gnome-keyring-daemon --unlock)`; or keep keys in a file under a passphrase, with \
                 `--store file`."
            }
            Self::NoProvider => {
                "Install and start one (gnome-keyring, KWallet or KeePassXC), for instance with \
                 `eval $(gnome-keyring-daemon --unlock)`; or keep keys in a file under a passphrase, with \
                 `--store file`."
            }
            Self::NoDefaultCollection => {
                "Create a default keyring once, in Passwords and Keys (seahorse) or with \
                 `eval $(gnome-keyring-daemon --unlock)`, and try again."
            }
            Self::Locked => {
                "Unlock it and try again: log in to the desktop, or where nobody can be asked run \
                 `eval $(gnome-keyring-daemon --unlock)`. The keys in it are safe; nothing was \
                 written."
            }
            Self::PromptDismissed => {
                "Try again and answer the question; the keys in it are safe, and nothing was \
                 written. `--store memory` works without, and forgets every key when Keywright ends."
            }
            Self::TimedOut => {
                "Look for a window that asks to unlock it, answer it and try again. If there is \
                 none, restart the keychain. The keys in it are safe; whether this write arrived \
                 is unknown."
            }
            Self::NoEntry => {
                "`keywright list` shows the labels there are; the entry may have been removed by \
                 another program. A key that was lost can be replaced with `keywright rotate`."
            }
            Self::Ambiguous(_) => {
                "Another program made entries with the same service and username. Remove all but \
                 one in Passwords and Keys (seahorse); no key was touched."
            }
            Self::ReadBackMismatch => {
                "Another program may be writing the same entry. Copy the key before leaving, then \
                 try again or choose another store."
            }
            Self::NotText => {
                "Another program wrote this entry. It was left as it is; remove it by hand, or \
                 choose another label."
            }
            Self::TooLong => "Choose a shorter label.",
            Self::NoPassphrase(_) => {
                "Nothing was changed. Type it on a terminal, or give it with \
                 KEYWRIGHT_PASSPHRASE_FILE or --passphrase-fd."
            }
            Self::WrongPassphrase => {
                "Nothing was changed, and the keys in it are safe. Try again; `age -d` opens it \
                 with the same passphrase."
            }
            Self::UnsupportedFormat | Self::Damaged => {
                "Nothing was overwritten. Put a copy back from your backup, or move it aside and \
                 begin a new one; keys that were in it can be replaced with `keywright rotate`."
            }
            Self::UnsupportedVersion(_) => "Nothing was overwritten. Use the newer Keywright.",
            Self::WorkFactorTooHigh => {
                "Nothing was changed. Open it with `age -d` and seal it again with `age -p`."
            }
            Self::FileAccess { advice, .. } => return advice.clone().into(),
            Self::Other(_) => {
                "Try again; `keywright doctor` looks closer. If the key is on screen, copy it \
                 before leaving."
            }
        })
    }

    /// As trouble outside a journey.
    pub fn to_user_error(&self) -> UserError {
        let kind =
            if *self == Self::NoEntry { ErrorKind::NotFound } else { ErrorKind::SecretStore };
        UserError::new(kind, self.to_string(), self.advice())
    }

    /// Another's words as [`Error::Other`]: control characters and line breaks become spaces.
    pub(super) fn other(words: &str) -> Self {
        let words: String =
            words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        Self::Other(words.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_lower_case_and_has_no_full_stop() {
        for error in [
            Error::NoSessionBus,
            Error::NoProvider,
            Error::NoDefaultCollection,
            Error::Locked,
            Error::PromptDismissed,
            Error::TimedOut,
            Error::NoEntry,
            Error::Ambiguous(2),
            Error::ReadBackMismatch,
            Error::NotText,
            Error::TooLong,
            Error::NoPassphrase("no passphrase was given".into()),
            Error::WrongPassphrase,
            Error::UnsupportedFormat,
            Error::Damaged,
            Error::UnsupportedVersion(2),
            Error::WorkFactorTooHigh,
            Error::other("gone"),
        ] {
            let sentence = error.to_string();
            assert!(sentence.starts_with(char::is_lowercase), "{sentence}");
            assert!(!sentence.ends_with('.'), "{sentence}");
            assert!(error.advice().ends_with('.'), "{}", error.advice());
        }
    }

    #[test]
    fn another_programs_words_reach_the_terminal_without_escapes() {
        assert_eq!(Error::other("\u{1b}[2Jbad\r\nnews\n"), Error::Other("[2Jbad  news".to_owned()));
    }
}
