//! The Credential Manager of Windows.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error as KeyringError};
use secrecy::SecretString;
use windows_native_keyring_store::Store;

use super::{UnlockOutcome, credential_list};
use crate::storage::secret_store::{EntryId, Error, Provider, ProviderInfo, system_error};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "Windows Credential Manager";

/// True, because the store is unlocked while the user is logged in.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    true
}

/// Targets are named `label@service`.
const DIVIDER: &str = "@";

/// Connects to the store with `@` as divider, which a service never contains. The default divider
/// `.` would split `keywright/example.com` at the wrong position.
pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new_with_configuration(&HashMap::from([("divider", DIVIDER)]))?)
}

/// Returns `None`: reading through the store is fast here.
pub(super) fn try_fast_read(_entry_id: &EntryId) -> Option<SecretString> {
    None
}

/// Keeps entries on this machine. By default they would roam with the Windows account.
pub(super) fn entry_modifiers(_title: &str) -> [(&'static str, &str); 1] {
    [("persistence", "local")]
}

/// Returns the entries of `service`, whose targets end with it.
pub(super) fn search_entries(
    store: &CredentialStore,
    service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    let names = credential_list::list_target_names().map_err(|code| {
        // In the words of the store, which `platform_error` reads.
        KeyringError::PlatformFailure(format!("Windows error code {code}").into())
    })?;
    let suffix = format!("{DIVIDER}{service}");
    let labels = names.iter().filter_map(|name| name.strip_suffix(&suffix));
    labels.map(|label| store.build(service, label, None)).collect()
}

/// The system itself is the provider.
pub(in crate::storage::secret_store) fn provider_info() -> Result<ProviderInfo, Error> {
    Ok(ProviderInfo { provider: Provider::default(), locked: false })
}

/// Converts a "no access" error, as [`platform_error`] does.
pub(super) fn no_access_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    platform_error(cause)
}

/// Converts an error of Windows by the code in its message.
pub(super) fn platform_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    system_error::from_windows_message(&cause.to_string())
}

/// Returns `None`: the store's own message says everything that is known.
pub(super) fn diagnose_access() -> Option<Error> {
    None
}

/// Does nothing: the store has no lock.
pub(super) fn unlock() -> UnlockOutcome {
    UnlockOutcome::AlreadyUnlocked
}
