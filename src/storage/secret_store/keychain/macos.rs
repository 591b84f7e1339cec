//! The login keychain of macOS.
//! Owns: the store and how it is searched. Must not know: secrets.

use std::collections::HashMap;
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Entry};
use secrecy::SecretString;

use super::Unlocked;
use crate::storage::secret_store::{EntryId, Error, ProviderInfo};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the macOS keychain";

/// The system asks in a window of its own; over SSH it refuses at once.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    true
}

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// The store's road is short here.
pub(super) fn try_fast_read(_slot: &EntryId) -> Option<SecretString> {
    None
}

pub(super) fn entry_modifiers(_title: &str) -> [(&'static str, &str); 0] {
    []
}

pub(super) fn search_entries(
    store: &CredentialStore,
    service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// The system itself.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    Ok(ProviderInfo { by: None, locked: false })
}

/// What "no access" means: the store says it of a keychain that is missing or cannot be written.
pub(super) fn no_access_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::other(&cause.to_string())
}

/// The store's own words are all there is.
pub(super) fn diagnose_access() -> Option<Error> {
    None
}

/// Nothing to do: the system unlocks before it answers.
pub(super) fn unlock() -> Unlocked {
    Unlocked::Already
}
