//! The Credential Manager of Windows.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error as KeyringError};
use windows_native_keyring_store::Store;

use super::credential_list;
use crate::storage::secret_store::{Error, system_error};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "Windows Credential Manager";

/// Targets are named `label@service`.
const DIVIDER: &str = "@";

/// Connects to the store with `@` as divider, which a service never contains. The default divider
/// `.` would split `keywright/example.com` at the wrong position.
pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new_with_configuration(&HashMap::from([("divider", DIVIDER)]))?)
}

/// Keeps entries on this machine. By default they would roam with the Windows account.
pub(super) const ENTRY_MODIFIERS: [(&str, &str); 1] = [("persistence", "local")];

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

/// Converts an error of Windows by the code in its message.
pub(super) fn platform_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    system_error::from_windows_message(&cause.to_string())
}
