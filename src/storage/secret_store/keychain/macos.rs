//! The login keychain of macOS.

use std::collections::HashMap;
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Entry};
use secrecy::SecretString;

use super::UnlockOutcome;
use crate::storage::secret_store::{EntryId, Error, Provider, ProviderInfo, system_error};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the macOS keychain";

/// True, because the system shows its own prompt. Over SSH it refuses without one.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    true
}

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

/// Returns `None`: reading through the store is fast here.
pub(super) fn try_fast_read(_entry_id: &EntryId) -> Option<SecretString> {
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

/// The system itself is the provider.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    Ok(ProviderInfo { provider: Provider::default(), locked: false })
}

/// Converts a "no access" error, as [`platform_error`] does.
pub(super) fn no_access_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    platform_error(cause)
}

/// Converts an error of the Security framework by its code.
pub(super) fn platform_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    cause.downcast_ref::<security_framework::base::Error>().map_or_else(
        || Error::other(&cause.to_string()),
        |error| system_error::from_os_status(error.code(), &error.to_string()),
    )
}

/// Returns `None`: the store's own message says everything that is known.
pub(super) fn diagnose_access() -> Option<Error> {
    None
}

/// Does nothing: the system unlocks the keychain before it answers.
pub(super) fn unlock() -> UnlockOutcome {
    UnlockOutcome::AlreadyUnlocked
}
