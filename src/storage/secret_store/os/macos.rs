//! The login keychain of macOS.
//! Owns: the store and how it is searched. Must not know: secrets.

use std::collections::HashMap;
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Entry};
use secrecy::SecretString;

use super::Unlocked;
use crate::storage::vault::{Error, Served, Slot};

pub(in crate::storage::vault) const PLACE: &str = "the macOS keychain";

/// The system asks in a window of its own; over SSH it refuses at once.
pub(in crate::storage::vault) fn can_ask() -> bool {
    true
}

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// The store's road is short here.
pub(super) fn read_quickly(_slot: &Slot) -> Option<SecretString> {
    None
}

pub(super) fn modifiers(_title: &str) -> [(&'static str, &str); 0] {
    []
}

pub(super) fn search(store: &CredentialStore, service: &str) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// The system itself.
pub(in crate::storage::vault) fn served() -> Result<Served, Error> {
    Ok(Served { by: None, locked: false })
}

/// What "no access" means: the store says it of a keychain that is missing or cannot be written.
pub(super) fn closed(cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::other(&cause.to_string())
}

/// The store's own words are all there is.
pub(super) fn diagnose() -> Option<Error> {
    None
}

/// Nothing to do: the system unlocks before it answers.
pub(super) fn unlock() -> Unlocked {
    Unlocked::Already
}
