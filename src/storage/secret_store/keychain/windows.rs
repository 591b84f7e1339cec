//! The Credential Manager of Windows.
//! Owns: the store, how its targets are named and searched. Must not know: secrets.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use secrecy::SecretString;
use windows_native_keyring_store::Store;

use super::Unlocked;
use crate::storage::secret_store::{EntryId, Error, ProviderInfo};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "Windows Credential Manager";

/// It is open whenever its person is logged in.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    true
}

/// Targets are named `label@service`. The store's own `.` would split `keywright/example.com`
/// in the wrong place on the way back; a service never holds an `@`.
pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new_with_configuration(&HashMap::from([("divider", "@")]))?)
}

/// The store's road is short here.
pub(super) fn try_fast_read(_slot: &EntryId) -> Option<SecretString> {
    None
}

/// On this machine only: the default would let a key roam with the account.
pub(super) fn entry_modifiers(_title: &str) -> [(&'static str, &str); 1] {
    [("persistence", "local")]
}

/// All that end in `@service`; the caller looks at each.
pub(super) fn search_entries(
    store: &CredentialStore,
    _service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::new())
}

/// The system itself.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    Ok(ProviderInfo { by: None, locked: false })
}

/// What "no access" means: the store says it of a session that was never logged on.
pub(super) fn no_access_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    Error::other(&cause.to_string())
}

/// The store's own words are all there is.
pub(super) fn diagnose_access() -> Option<Error> {
    None
}

/// Nothing to do: there is no lock.
pub(super) fn unlock() -> Unlocked {
    Unlocked::Already
}
