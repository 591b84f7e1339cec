//! Errors of the secret stores, with what they mean for the keys and what to do about them.

use std::borrow::Cow;

use super::helper_error::HelperError;
use super::{SystemError, bao};
use crate::domain::{ErrorKind, UserError};

/// An error of a secret store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No D-Bus session bus, so no Secret Service (Linux).
    #[error("there is no D-Bus session bus, so no keychain can be reached")]
    NoSessionBus,
    /// `DBUS_SESSION_BUS_ADDRESS` names a bus that does not answer (Linux).
    #[error("the D-Bus session bus that DBUS_SESSION_BUS_ADDRESS names does not answer")]
    BusUnreachable {
        /// Whether the system's usual address has a bus.
        has_default_bus: bool,
    },
    /// No program on the session bus provides the Secret Service (Linux).
    #[error("no keychain is running: nothing on the session bus provides the Secret Service")]
    NoProvider,
    /// The provider has no default collection.
    #[error("the keychain has no default collection to store keys in")]
    NoDefaultCollection,
    /// The keychain is locked and was not unlocked.
    #[error("the keychain is locked")]
    Locked,
    /// The user dismissed the unlock prompt or denied access.
    #[error("the keychain unlock prompt was dismissed")]
    PromptDismissed,
    /// The user cancelled a prompt of Keywright.
    #[error("cancelled")]
    PromptCancelled,
    /// The timeout passed. Whether a write was saved is unknown.
    #[error("the keychain did not answer in time")]
    TimedOut,
    /// No entry with this service and account.
    #[error("the secret store has no entry with this name")]
    NoEntry,
    /// Someone else created the entry in the meantime.
    #[error("someone else stored a key with this label in the meantime")]
    EntryExists,
    /// Several entries match the same service and account.
    #[error("the keychain has {0} entries with this name, and the right one is unknown")]
    Ambiguous(usize),
    /// The secret that was written could not be read back: there is another one, or none.
    #[error("the secret store did not return the secret that was stored")]
    ReadBackMismatch,
    /// The entry contains bytes that are not text.
    #[error("the keychain entry is not text, so it is not a key")]
    NotText,
    /// The name or the secret is longer than this keychain accepts.
    #[error("the label or the key is longer than this keychain accepts")]
    TooLong,
    /// There is no passphrase for the file store. Contains the reason.
    #[error("{0}")]
    NoPassphrase(String),
    /// The passphrase does not decrypt the file.
    #[error("the passphrase of vault.age is wrong")]
    WrongPassphrase,
    /// The file is not a passphrase-encrypted age file.
    #[error("vault.age is not a passphrase-encrypted age file")]
    UnsupportedFormat,
    /// The content of the file fails authentication or cannot be parsed.
    #[error("vault.age is damaged")]
    Damaged,
    /// A later version of Keywright wrote the file.
    #[error("vault.age has version {0}, newer than this Keywright knows")]
    UnsupportedVersion(u64),
    /// The file needs more memory and time for scrypt than the limit allows.
    #[error("the scrypt work factor of vault.age is too high")]
    WorkFactorTooHigh,
    /// The file cannot be read, written or locked.
    #[error("{message}")]
    FileAccess {
        /// What happened.
        message: String,
        /// What to do now.
        advice: String,
    },
    /// A known error of the keychain of macOS or Windows.
    #[error("{}", .0.message)]
    System(&'static SystemError),
    /// An error of the program of `exec:PROGRAM`.
    #[error("{0}")]
    Helper(Box<HelperError>),
    /// An error of a shared store.
    #[error(transparent)]
    Bao(#[from] bao::Error),
    /// Another keychain answers than the one in which keys were stored.
    #[error("{}", .0.message)]
    OtherKeychain(Box<UserError>),
    /// Another error, in the keychain's words, without control characters.
    #[error("the keychain failed: {0}")]
    Other(String),
}

/// Starts gnome-keyring with an unlocked login keyring, which it creates if there is none. It replaces a
/// running gnome-keyring, since that stays locked otherwise. The password is not echoed, and ends before
/// the newline. Runs from any shell.
const UNLOCK_COMMAND: &str = "sh -c 'stty -echo; printf \"keyring password: \"; IFS= read -r p; \
    stty echo; echo; printf %s \"$p\" | gnome-keyring-daemon --replace --unlock --components=secrets'";

impl Error {
    /// Returns what the error means for the stored keys; empty where it means nothing for them.
    pub fn meaning(&self) -> &'static str {
        match self {
            Self::Locked | Self::PromptDismissed | Self::System(_) => {
                "nothing was written and the stored keys are safe"
            }
            Self::TimedOut => {
                "the stored keys are safe; if a key was being stored, it may not have been saved"
            }
            Self::Ambiguous(_) | Self::NotText => "the keychain was not changed",
            Self::Bao(error) => error.meaning(),
            Self::EntryExists => "nothing was overwritten",
            Self::NoPassphrase(_) | Self::PromptCancelled | Self::WorkFactorTooHigh => {
                "nothing was changed"
            }
            Self::WrongPassphrase => "nothing was changed and the stored keys are safe",
            Self::UnsupportedFormat | Self::Damaged | Self::UnsupportedVersion(_) => {
                "vault.age was not changed"
            }
            Self::Helper(error) => error.meaning(),
            _ => "",
        }
    }

    /// Returns what to do now.
    pub fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::OtherKeychain(error) => return Cow::Owned(error.advice.clone()),
            Self::NoSessionBus | Self::BusUnreachable { has_default_bus: false } => {
                return Cow::Owned(format!(
                    "start Keywright in a desktop session, or run `dbus-run-session -- sh` and \
                     then, in that shell, `{UNLOCK_COMMAND}`; or store keys in an encrypted file \
                     with `--store file`"
                ));
            }
            Self::BusUnreachable { has_default_bus: true } => {
                "the variable is out of date: run Keywright as `env -u DBUS_SESSION_BUS_ADDRESS \
                 keywright`, or start a new shell"
            }
            Self::NoProvider => {
                return Cow::Owned(format!(
                    "start KWallet or KeePassXC, or install gnome-keyring and run \
                     `{UNLOCK_COMMAND}`; or store keys in an encrypted file with `--store file`"
                ));
            }
            Self::NoDefaultCollection => {
                return Cow::Owned(format!(
                    "create a default keyring in Passwords and Keys (seahorse), or with \
                     gnome-keyring run `{UNLOCK_COMMAND}`, then try again"
                ));
            }
            Self::Locked => {
                return Cow::Owned(format!(
                    "log in to the desktop to unlock it, or with gnome-keyring and without a \
                     desktop run `{UNLOCK_COMMAND}`, then try again"
                ));
            }
            Self::Bao(error) => return error.advice(),
            Self::EntryExists => "choose another label, or use that key",
            Self::PromptCancelled => "",
            Self::PromptDismissed => {
                "try again and answer the prompt; or store keys in an encrypted file with \
                 `--store file`"
            }
            Self::TimedOut => {
                "answer the unlock prompt if one is open, or restart the keychain, then try again"
            }
            Self::NoEntry => {
                "list the stored keys with `keywright list`, or replace a lost key with \
                 `keywright rotate LABEL`"
            }
            Self::Ambiguous(_) => {
                "another program created entries with the same service and username; remove all \
                 but one in Passwords and Keys (seahorse)"
            }
            Self::ReadBackMismatch => {
                "another program may be writing the same entry; copy the key before you quit, then \
                 try again or choose another store with `--store`"
            }
            Self::NotText => {
                "another program wrote this entry; remove it in the keychain, or choose another \
                 label"
            }
            Self::TooLong => "choose a shorter label",
            Self::NoPassphrase(_) if cfg!(windows) => {
                "enter the passphrase in a terminal, or set KEYWRIGHT_PASSPHRASE_FILE to a file \
                 that contains it"
            }
            Self::NoPassphrase(_) => {
                "enter the passphrase in a terminal, set KEYWRIGHT_PASSPHRASE_FILE to a file that \
                 contains it, or pass --passphrase-fd"
            }
            Self::WrongPassphrase => {
                "try again; `age -d vault.age` decrypts the file with the same passphrase"
            }
            Self::UnsupportedFormat | Self::Damaged => {
                "restore vault.age from a backup; or move it aside, start a new one and replace the \
                 lost keys with `keywright rotate LABEL`"
            }
            Self::UnsupportedVersion(_) => "install the newer version of Keywright",
            Self::WorkFactorTooHigh => {
                "encrypt it again in its directory: `sh -c 'p=$(age -d vault.age) && printf %s \
                 \"$p\" | age -p > vault.new && mv vault.new vault.age'`"
            }
            Self::FileAccess { advice, .. } => return advice.clone().into(),
            Self::System(error) => error.advice,
            Self::Helper(error) => return error.advice(),
            Self::Other(_) => {
                "run `keywright doctor`, then try again; if a key is on screen, copy it before you \
                 quit"
            }
        })
    }

    /// Returns whether the error is about one entry; the store itself works.
    pub const fn is_about_entry(&self) -> bool {
        if let Self::Bao(error) = self {
            return error.is_about_entry();
        }
        matches!(
            self,
            Self::NoEntry
                | Self::EntryExists
                | Self::Ambiguous(_)
                | Self::NotText
                | Self::TooLong
                | Self::ReadBackMismatch
        )
    }

    /// Returns whether this machine has no such store.
    pub const fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::NoSessionBus
                | Self::BusUnreachable { .. }
                | Self::NoProvider
                | Self::NoDefaultCollection
                | Self::NoPassphrase(_)
        )
    }

    /// Converts into the error that is shown outside of provisioning.
    pub fn to_user_error(&self) -> UserError {
        let kind = match self {
            Self::OtherKeychain(error) => return (**error).clone(),
            Self::NoEntry => ErrorKind::NotFound,
            Self::PromptCancelled => ErrorKind::Cancelled,
            _ => ErrorKind::SecretStore,
        };
        UserError::new(kind, self.to_string(), self.advice()).with_meaning(self.meaning())
    }

    /// Returns [`Error::Other`] for a foreign message, with control characters and line breaks
    /// replaced by spaces.
    pub(super) fn other(text: &str) -> Self {
        let text: String =
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        Self::Other(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_advice_are_lower_case_without_a_full_stop() {
        for error in [
            Error::NoSessionBus,
            Error::BusUnreachable { has_default_bus: true },
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
            Error::NoPassphrase("no passphrase was entered".into()),
            Error::WrongPassphrase,
            Error::UnsupportedFormat,
            Error::Damaged,
            Error::UnsupportedVersion(2),
            Error::WorkFactorTooHigh,
            Error::other("gone"),
        ] {
            for text in [error.to_string(), error.advice().into_owned()] {
                assert!(text.starts_with(char::is_lowercase), "{text}");
                assert!(!text.ends_with('.'), "{text}");
            }
        }
    }

    #[test]
    fn foreign_messages_contain_no_control_characters() {
        assert_eq!(Error::other("\u{1b}[2Jbad\r\nnews\n"), Error::Other("[2Jbad  news".to_owned()));
    }
}
