//! The login keychain of macOS.

use std::collections::HashMap;
use std::sync::Arc;

use apple_native_keyring_store::keychain::Store;
use keyring_core::{CredentialStore, Entry};

use crate::storage::secret_store::{Error, system_error};

pub(in crate::storage::secret_store) const DISPLAY_NAME: &str = "the macOS keychain";

pub(super) const ENTRY_MODIFIERS: [(&str, &str); 0] = [];

pub(super) fn connect() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(Store::new()?)
}

pub(super) fn search_entries(
    store: &CredentialStore,
    service: &str,
) -> keyring_core::Result<Vec<Entry>> {
    store.search(&HashMap::from([("service", service)]))
}

/// Converts an error of the Security framework by its code.
pub(super) fn platform_error(cause: &(dyn std::error::Error + 'static)) -> Error {
    cause.downcast_ref::<security_framework::base::Error>().map_or_else(
        || Error::other(&cause.to_string()),
        |error| system_error::from_os_status(error.code(), &error.to_string()),
    )
}
