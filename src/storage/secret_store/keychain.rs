//! The operating system's keychain, through keyring's stores.
//! Owns: the connection, on the worker's thread alone; and what the stores' errors mean.
//! Must not know: deadlines, threads, what a secret is for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyring_core::{CredentialStore, Entry, Error as Failure};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use super::{EntryId, Error};

#[cfg_attr(all(unix, not(target_os = "macos")), path = "keychain/secret_service.rs")]
#[cfg_attr(target_os = "macos", path = "keychain/macos.rs")]
#[cfg_attr(windows, path = "keychain/windows.rs")]
mod native;

pub(super) use native::{DISPLAY_NAME, can_prompt, provider_info};

/// How asking for an unlocked keychain went.
#[cfg_attr(
    any(target_os = "macos", windows),
    expect(dead_code, reason = "there the system unlocks by itself, before it answers")
)]
enum UnlockOutcome {
    /// It was open all along.
    AlreadyUnlocked,
    /// It was locked, and a person opened it.
    JustUnlocked,
    /// It is not open.
    Failed(Error),
}

/// A person needs longer than this to dismiss a question; what is dismissed sooner was never asked.
const MIN_DISMISS_TIME: Duration = Duration::from_millis(400);

/// Connects at the first call, and again after a failure.
#[derive(Default)]
pub(super) struct Keychain {
    store: Option<Arc<CredentialStore>>,
    /// Whether the quick road was taken: it is for the one key of a short life.
    tried_fast_read: bool,
}

impl Keychain {
    pub(super) fn get(&mut self, slot: &EntryId) -> Result<SecretString, Error> {
        let hurry = self.store.is_none() && !std::mem::replace(&mut self.tried_fast_read, true);
        if let Some(secret) = hurry.then(|| native::try_fast_read(slot)).flatten() {
            return Ok(secret);
        }
        self.call_unlocked(|store| {
            let password = build_entry(store, slot)?.get_password()?;
            Ok(SecretString::from(password))
        })
    }

    pub(super) fn set(&mut self, slot: &EntryId, secret: &SecretString) -> Result<(), Error> {
        #[expect(clippy::disallowed_methods, reason = "the door into the keychain")]
        self.call_with_reconnect(|store| {
            build_entry(store, slot)?.set_password(secret.expose_secret())
        })?;
        let kept = self.get(slot)?;
        #[expect(clippy::disallowed_methods, reason = "the comparison after writing")]
        if kept.expose_secret() == secret.expose_secret() {
            Ok(())
        } else {
            Err(Error::ReadBackMismatch)
        }
    }

    pub(super) fn delete(&mut self, slot: &EntryId) -> Result<(), Error> {
        self.call_unlocked(|store| build_entry(store, slot)?.delete_credential())
    }

    pub(super) fn list_accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let accounts = self.call_unlocked(|store| {
            let found: BTreeSet<String> = native::search_entries(store, service)?
                .iter()
                .filter_map(Entry::get_specifiers)
                .filter(|(of, _)| of == service)
                .map(|(_, account)| account)
                .collect();
            // Nothing found and nothing readable look alike until the keychain is known to be open.
            if found.is_empty() {
                return Err(Failure::NoEntry);
            }
            Ok(found.into_iter().collect())
        });
        match accounts {
            Err(Error::NoEntry) => Ok(Vec::new()),
            other => other,
        }
    }

    pub(super) fn check_writable(&mut self, slot: &EntryId) -> Result<(), Error> {
        let written = self.set(slot, &SecretString::from("probe"));
        let removed = match written {
            Err(Error::ReadBackMismatch) | Ok(()) => self.delete(slot),
            Err(_) => Ok(()),
        };
        written.and(removed)
    }

    /// [`Self::with`], not taking "no entry" for an answer from a keychain that is locked:
    /// some providers cannot see into it, and say so that way.
    fn call_unlocked<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        match self.call_with_reconnect(&call) {
            Err(Error::NoEntry) => {
                let began = Instant::now();
                match native::unlock() {
                    UnlockOutcome::AlreadyUnlocked => Err(Error::NoEntry),
                    UnlockOutcome::JustUnlocked => self.call_with_reconnect(&call),
                    UnlockOutcome::Failed(why) => Err(classify_failure(why, began.elapsed())),
                }
            }
            other => other,
        }
    }

    /// Makes the call on the store, connecting first if need be. A provider that was restarted
    /// fails every call on an old connection, so such a failure is tried once more on a new one.
    /// Every call here may be made twice: a write writes the same, and what was deleted is gone.
    fn call_with_reconnect<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let was_connected = self.store.is_some();
        let mut outcome = self.call_once(&call);
        if was_connected && matches!(outcome, Err(Failure::PlatformFailure(_))) {
            outcome = self.call_once(&call);
        }
        outcome.map_err(|failure| convert_error(failure, began.elapsed()))
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
        // Only a connection that is known to work is kept.
        if matches!(
            outcome,
            Ok(_) | Err(Failure::NoEntry | Failure::NoStorageAccess(_) | Failure::Ambiguous(_))
        ) {
            self.store = Some(store);
        }
        outcome
    }
}

fn build_entry(store: &CredentialStore, slot: &EntryId) -> keyring_core::Result<Entry> {
    let title = format!("Keywright: {}", slot.account);
    let modifiers: HashMap<&str, &str> = native::entry_modifiers(&title).into_iter().collect();
    store.build(&slot.service, &slot.account, Some(&modifiers))
}

/// Takes the failure, so that bytes it carries can be wiped; prints none of them.
fn convert_error(failure: Failure, took: Duration) -> Error {
    match failure {
        Failure::NoEntry => Error::NoEntry,
        Failure::Ambiguous(entries) => Error::Ambiguous(entries.len()),
        Failure::BadEncoding(mut bytes) | Failure::BadDataFormat(mut bytes, _) => {
            bytes.zeroize();
            Error::NotText
        }
        Failure::TooLong(..) => Error::TooLong,
        Failure::NoStorageAccess(cause) => classify_failure(
            native::diagnose_access().unwrap_or_else(|| native::no_access_error(&*cause)),
            took,
        ),
        Failure::PlatformFailure(cause) => native::diagnose_access()
            .map_or_else(|| Error::other(&cause.to_string()), |why| classify_failure(why, took)),
        Failure::BadStoreFormat(words) | Failure::NotSupportedByStore(words) => {
            Error::other(&words)
        }
        Failure::Invalid(what, why) => Error::other(&format!("{what} {why}")),
        _ => Error::other("a failure of an unknown kind"),
    }
}

/// Locked, or refused? A question that was dismissed faster than any person could was not seen.
fn classify_failure(why: Error, took: Duration) -> Error {
    match why {
        Error::Locked if can_prompt() && took > MIN_DISMISS_TIME => Error::PromptDismissed,
        why => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_named_and_not_shown() {
        let failure = Failure::BadEncoding(b"sk-or-\xff".to_vec());
        assert_eq!(convert_error(failure, Duration::ZERO), Error::NotText);
        let failure = Failure::BadDataFormat(b"sk-or-".to_vec(), "odd".into());
        assert_eq!(convert_error(failure, Duration::ZERO), Error::NotText);
    }

    #[test]
    fn what_needs_no_look_at_the_system_keeps_its_meaning() {
        let cases = [
            (Failure::NoEntry, Error::NoEntry),
            (Failure::Ambiguous(Vec::new()), Error::Ambiguous(0)),
            (Failure::TooLong("password".into(), 2560), Error::TooLong),
            (
                Failure::Invalid("user".into(), "cannot be empty".into()),
                Error::Other("user cannot be empty".into()),
            ),
        ];
        for (failure, expected) in cases {
            assert_eq!(convert_error(failure, Duration::ZERO), expected);
        }
    }
}
