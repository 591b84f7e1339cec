//! The operating system's keychain, through keyring's stores.
//! Owns: the connection, on the worker's thread alone; and what the stores' errors mean.
//! Must not know: deadlines, threads, what a secret is for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyring_core::{CredentialStore, Entry, Error as Failure};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use super::{Error, Slot};

#[cfg_attr(all(unix, not(target_os = "macos")), path = "os/secret_service.rs")]
#[cfg_attr(target_os = "macos", path = "os/macos.rs")]
#[cfg_attr(windows, path = "os/windows.rs")]
mod native;

pub(super) use native::{PLACE, can_ask, served};

/// How asking for an unlocked keychain went.
#[cfg_attr(
    any(target_os = "macos", windows),
    expect(dead_code, reason = "there the system unlocks by itself, before it answers")
)]
enum Unlocked {
    /// It was open all along.
    Already,
    /// It was locked, and a person opened it.
    Now,
    /// It is not open.
    Not(Error),
}

/// A person needs longer than this to dismiss a question; what is dismissed sooner was never asked.
const NOBODY_IS_SO_QUICK: Duration = Duration::from_millis(400);

/// Connects at the first call, and again after a failure.
#[derive(Default)]
pub(super) struct Os {
    store: Option<Arc<CredentialStore>>,
    /// Whether the quick road was taken: it is for the one key of a short life.
    hurried: bool,
}

impl Os {
    pub(super) fn get(&mut self, slot: &Slot) -> Result<SecretString, Error> {
        let hurry = self.store.is_none() && !std::mem::replace(&mut self.hurried, true);
        if let Some(secret) = hurry.then(|| native::read_quickly(slot)).flatten() {
            return Ok(secret);
        }
        self.with_unlocked(|store| {
            let password = entry(store, slot)?.get_password()?;
            Ok(SecretString::from(password))
        })
    }

    pub(super) fn set(&mut self, slot: &Slot, secret: &SecretString) -> Result<(), Error> {
        #[expect(clippy::disallowed_methods, reason = "the door into the keychain")]
        self.with(|store| entry(store, slot)?.set_password(secret.expose_secret()))?;
        let kept = self.get(slot)?;
        #[expect(clippy::disallowed_methods, reason = "the comparison after writing")]
        if kept.expose_secret() == secret.expose_secret() {
            Ok(())
        } else {
            Err(Error::ReadBackDiffers)
        }
    }

    pub(super) fn delete(&mut self, slot: &Slot) -> Result<(), Error> {
        self.with_unlocked(|store| entry(store, slot)?.delete_credential())
    }

    pub(super) fn accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let accounts = self.with_unlocked(|store| {
            let found: BTreeSet<String> = native::search(store, service)?
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

    pub(super) fn probe(&mut self, slot: &Slot) -> Result<(), Error> {
        let written = self.set(slot, &SecretString::from("probe"));
        let removed = match written {
            Err(Error::ReadBackDiffers) | Ok(()) => self.delete(slot),
            Err(_) => Ok(()),
        };
        written.and(removed)
    }

    /// [`Self::with`], not taking "no entry" for an answer from a keychain that is locked:
    /// some providers cannot see into it, and say so that way.
    fn with_unlocked<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        match self.with(&call) {
            Err(Error::NoEntry) => {
                let began = Instant::now();
                match native::unlock() {
                    Unlocked::Already => Err(Error::NoEntry),
                    Unlocked::Now => self.with(&call),
                    Unlocked::Not(why) => Err(whose_fault(why, began.elapsed())),
                }
            }
            other => other,
        }
    }

    /// Makes the call on the store, connecting first if need be. A provider that was restarted
    /// fails every call on an old connection, so such a failure is tried once more on a new one.
    /// Every call here may be made twice: a write writes the same, and what was deleted is gone.
    fn with<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let was_connected = self.store.is_some();
        let mut outcome = self.attempt(&call);
        if was_connected && matches!(outcome, Err(Failure::PlatformFailure(_))) {
            outcome = self.attempt(&call);
        }
        outcome.map_err(|failure| explain(failure, began.elapsed()))
    }

    fn attempt<T>(
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

fn entry(store: &CredentialStore, slot: &Slot) -> keyring_core::Result<Entry> {
    let title = format!("Keywright: {}", slot.account);
    let modifiers: HashMap<&str, &str> = native::modifiers(&title).into_iter().collect();
    store.build(&slot.service, &slot.account, Some(&modifiers))
}

/// Takes the failure, so that bytes it carries can be wiped; prints none of them.
fn explain(failure: Failure, took: Duration) -> Error {
    match failure {
        Failure::NoEntry => Error::NoEntry,
        Failure::Ambiguous(entries) => Error::Ambiguous(entries.len()),
        Failure::BadEncoding(mut bytes) | Failure::BadDataFormat(mut bytes, _) => {
            bytes.zeroize();
            Error::NotText
        }
        Failure::TooLong(..) => Error::TooLong,
        Failure::NoStorageAccess(cause) => {
            whose_fault(native::diagnose().unwrap_or_else(|| native::closed(&*cause)), took)
        }
        Failure::PlatformFailure(cause) => native::diagnose()
            .map_or_else(|| Error::other(&cause.to_string()), |why| whose_fault(why, took)),
        Failure::BadStoreFormat(words) | Failure::NotSupportedByStore(words) => {
            Error::other(&words)
        }
        Failure::Invalid(what, why) => Error::other(&format!("{what} {why}")),
        _ => Error::other("a failure of an unknown kind"),
    }
}

/// Locked, or refused? A question that was dismissed faster than any person could was not seen.
fn whose_fault(why: Error, took: Duration) -> Error {
    match why {
        Error::Locked if can_ask() && took > NOBODY_IS_SO_QUICK => Error::Refused,
        why => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_named_and_not_shown() {
        let failure = Failure::BadEncoding(b"sk-or-\xff".to_vec());
        assert_eq!(explain(failure, Duration::ZERO), Error::NotText);
        let failure = Failure::BadDataFormat(b"sk-or-".to_vec(), "odd".into());
        assert_eq!(explain(failure, Duration::ZERO), Error::NotText);
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
            assert_eq!(explain(failure, Duration::ZERO), expected);
        }
    }
}
