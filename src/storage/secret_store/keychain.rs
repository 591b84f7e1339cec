//! The OS keychain, accessed through `keyring-core` on the worker's thread.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyring_core::{CredentialStore, Entry, Error as KeyringError};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use super::{EntryId, Error, check_read_back, system_error};

#[cfg(windows)]
mod credential_list;
#[cfg_attr(all(unix, not(target_os = "macos")), path = "keychain/secret_service.rs")]
#[cfg_attr(target_os = "macos", path = "keychain/macos.rs")]
#[cfg_attr(windows, path = "keychain/windows.rs")]
mod native;

pub(super) use native::{DISPLAY_NAME, can_prompt, provider_info};

/// The outcome of unlocking the keychain.
#[cfg_attr(
    any(target_os = "macos", windows),
    expect(dead_code, reason = "the system unlocks its keychain by itself")
)]
enum UnlockOutcome {
    /// It was not locked.
    AlreadyUnlocked,
    /// It was locked, and the user unlocked it.
    JustUnlocked,
    /// It is still locked or cannot be reached.
    Failed(Error),
}

/// A prompt that is dismissed sooner than this was never shown to a user.
const MIN_DISMISS_TIME: Duration = Duration::from_millis(400);

/// A connection to the keychain, made at the first call and again after an error.
#[derive(Default)]
pub(super) struct Keychain {
    store: Option<Arc<CredentialStore>>,
    /// Whether the fast read was tried. It is only used for the first read of a process.
    tried_fast_read: bool,
}

impl Keychain {
    pub(super) fn get(&mut self, entry_id: &EntryId) -> Result<SecretString, Error> {
        let can_read_fast =
            self.store.is_none() && !std::mem::replace(&mut self.tried_fast_read, true);
        if let Some(secret) = can_read_fast.then(|| native::try_fast_read(entry_id)).flatten() {
            return Ok(secret);
        }
        self.call_unlocked(|store| {
            let password = build_entry(store, entry_id)?.get_password()?;
            Ok(SecretString::from(password))
        })
    }

    pub(super) fn set(&mut self, entry_id: &EntryId, secret: &SecretString) -> Result<(), Error> {
        #[expect(clippy::disallowed_methods, reason = "writes the secret to the keychain")]
        self.call_with_reconnect(|store| {
            build_entry(store, entry_id)?.set_password(secret.expose_secret())
        })?;
        check_read_back(&self.get(entry_id)?, secret)
    }

    pub(super) fn delete(&mut self, entry_id: &EntryId) -> Result<(), Error> {
        self.call_unlocked(|store| build_entry(store, entry_id)?.delete_credential())
    }

    pub(super) fn list_accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let accounts = self.call_unlocked(|store| {
            let accounts: BTreeSet<String> = native::search_entries(store, service)?
                .iter()
                .filter_map(Entry::get_specifiers)
                .filter(|(entry_service, _)| entry_service == service)
                .map(|(_, account)| account)
                .collect();
            // A locked keychain may look empty; `NoEntry` makes `call_unlocked` check the lock.
            if accounts.is_empty() {
                return Err(KeyringError::NoEntry);
            }
            Ok(accounts.into_iter().collect())
        });
        match accounts {
            Err(Error::NoEntry) => Ok(Vec::new()),
            other => other,
        }
    }

    pub(super) fn check_writable(&mut self, entry_id: &EntryId) -> Result<(), Error> {
        let written = self.set(entry_id, &SecretString::from("probe"));
        let removed = match written {
            Err(Error::ReadBackMismatch) | Ok(()) => self.delete(entry_id),
            Err(_) => Ok(()),
        };
        written.and(removed)
    }

    /// Makes the call and, if it finds no entry, unlocks the keychain and repeats it. Some providers
    /// report "no entry" while they are locked.
    fn call_unlocked<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        match self.call_with_reconnect(&call) {
            Err(Error::NoEntry) => {
                let started = Instant::now();
                match native::unlock() {
                    UnlockOutcome::AlreadyUnlocked => Err(Error::NoEntry),
                    UnlockOutcome::JustUnlocked => self.call_with_reconnect(&call),
                    UnlockOutcome::Failed(error) => Err(classify_failure(error, started.elapsed())),
                }
            }
            other => other,
        }
    }

    /// Makes the call, connecting first if there is no connection. After the provider was restarted
    /// every call on an old connection fails, so the call is repeated once on a new connection.
    /// All calls are idempotent.
    fn call_with_reconnect<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let was_connected = self.store.is_some();
        let mut outcome = self.call_once(&call);
        if was_connected && matches!(outcome, Err(KeyringError::PlatformFailure(_))) {
            outcome = self.call_once(&call);
        }
        outcome.map_err(|error| convert_error(error, started.elapsed()))
    }

    fn call_once<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> keyring_core::Result<T> {
        let store = match self.store.take() {
            Some(store) => store,
            None => native::connect()?,
        };
        let outcome = call(&*store);
        // Keep the connection only if it works.
        if matches!(
            outcome,
            Ok(_)
                | Err(KeyringError::NoEntry
                    | KeyringError::NoStorageAccess(_)
                    | KeyringError::Ambiguous(_))
        ) {
            self.store = Some(store);
        }
        outcome
    }
}

fn build_entry(store: &CredentialStore, entry_id: &EntryId) -> keyring_core::Result<Entry> {
    let title = format!("Keywright: {}", entry_id.account);
    let modifiers: HashMap<&str, &str> = native::entry_modifiers(&title).into_iter().collect();
    store.build(&entry_id.service, &entry_id.account, Some(&modifiers))
}

/// Converts an error of the keyring crates. Wipes the bytes that it may contain.
fn convert_error(error: KeyringError, elapsed: Duration) -> Error {
    match error {
        KeyringError::NoEntry => Error::NoEntry,
        KeyringError::Ambiguous(entries) => Error::Ambiguous(entries.len()),
        KeyringError::BadEncoding(mut bytes) | KeyringError::BadDataFormat(mut bytes, _) => {
            bytes.zeroize();
            Error::NotText
        }
        KeyringError::TooLong(attribute, limit) => {
            system_error::from_length_limit(&attribute, limit)
        }
        KeyringError::NoStorageAccess(cause) => classify_failure(
            native::diagnose_access().unwrap_or_else(|| native::no_access_error(&*cause)),
            elapsed,
        ),
        KeyringError::PlatformFailure(cause) => native::diagnose_access().map_or_else(
            || native::platform_error(&*cause),
            |error| classify_failure(error, elapsed),
        ),
        KeyringError::BadStoreFormat(text) | KeyringError::NotSupportedByStore(text) => {
            Error::other(&text)
        }
        KeyringError::Invalid(attribute, reason) => Error::other(&format!("{attribute} {reason}")),
        _ => Error::other("unknown error"),
    }
}

/// Tells a dismissed unlock prompt from a locked keychain by how long the call took.
fn classify_failure(error: Error, elapsed: Duration) -> Error {
    match error {
        Error::Locked if can_prompt() && elapsed > MIN_DISMISS_TIME => Error::PromptDismissed,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_not_shown() {
        let error = KeyringError::BadEncoding(b"sk-or-\xff".to_vec());
        assert_eq!(convert_error(error, Duration::ZERO), Error::NotText);
        let error = KeyringError::BadDataFormat(b"sk-or-".to_vec(), "odd".into());
        assert_eq!(convert_error(error, Duration::ZERO), Error::NotText);
    }

    #[test]
    fn errors_that_need_no_diagnosis_are_converted_directly() {
        let cases = [
            (KeyringError::NoEntry, Error::NoEntry),
            (KeyringError::Ambiguous(Vec::new()), Error::Ambiguous(0)),
            (KeyringError::TooLong("user".into(), 513), Error::TooLong),
            (
                KeyringError::Invalid("user".into(), "cannot be empty".into()),
                Error::Other("user cannot be empty".into()),
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(convert_error(error, Duration::ZERO), expected);
        }
    }
}
