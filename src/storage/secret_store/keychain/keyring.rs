//! The keychains of macOS and Windows, accessed through `keyring-core`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error as KeyringError};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use crate::storage::secret_store::{
    EntryId, Error, Provider, ProviderInfo, check_read_back, system_error,
};

#[cfg(windows)]
mod credential_list;
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

pub(in crate::storage::secret_store) use system::DISPLAY_NAME;

/// True: macOS shows its own prompt, except over SSH, and the store of Windows is unlocked while the
/// user is logged in.
pub(in crate::storage::secret_store) fn can_prompt() -> bool {
    true
}

/// A connection to the keychain, made at the first call and again after an error.
#[derive(Default)]
pub(in crate::storage::secret_store) struct Keychain {
    store: Option<Arc<CredentialStore>>,
}

impl Keychain {
    pub(in crate::storage::secret_store) fn get(
        &mut self,
        entry_id: &EntryId,
    ) -> Result<SecretString, Error> {
        self.call(|store| {
            let password = build_entry(store, entry_id)?.get_password()?;
            Ok(SecretString::from(password))
        })
    }

    pub(in crate::storage::secret_store) fn set(
        &mut self,
        entry_id: &EntryId,
        secret: &SecretString,
    ) -> Result<(), Error> {
        #[expect(clippy::disallowed_methods, reason = "writes the secret to the keychain")]
        self.call(|store| build_entry(store, entry_id)?.set_password(secret.expose_secret()))?;
        check_read_back(&self.get(entry_id)?, secret)
    }

    /// Does what [`Keychain::set`] does if there is no such entry.
    pub(in crate::storage::secret_store) fn create(
        &mut self,
        entry_id: &EntryId,
        secret: &SecretString,
    ) -> Result<(), Error> {
        match self.get(entry_id) {
            Err(Error::NoEntry) => self.set(entry_id, secret),
            found => found.and(Err(Error::EntryExists)),
        }
    }

    pub(in crate::storage::secret_store) fn delete(
        &mut self,
        entry_id: &EntryId,
    ) -> Result<(), Error> {
        self.call(|store| build_entry(store, entry_id)?.delete_credential())
    }

    pub(in crate::storage::secret_store) fn list_accounts(
        &mut self,
        service: &str,
    ) -> Result<Vec<String>, Error> {
        self.call(|store| {
            let accounts: BTreeSet<String> = system::search_entries(store, service)?
                .iter()
                .filter_map(Entry::get_specifiers)
                .filter(|(entry_service, _)| entry_service == service)
                .map(|(_, account)| account)
                .collect();
            Ok(accounts.into_iter().collect())
        })
        .or_else(|error| if error == Error::NoEntry { Ok(Vec::new()) } else { Err(error) })
    }

    /// The system itself is the provider.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(in crate::storage::secret_store) fn provider_info(
        &mut self,
    ) -> Result<ProviderInfo, Error> {
        Ok(ProviderInfo { provider: Provider::default(), locked: false })
    }

    /// Makes the call, connecting first if there is no connection. A call that fails on an old
    /// connection is repeated once on a new one. All calls are idempotent.
    fn call<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> Result<T, Error> {
        let was_connected = self.store.is_some();
        let mut outcome = self.call_once(&call);
        if was_connected && matches!(outcome, Err(KeyringError::PlatformFailure(_))) {
            outcome = self.call_once(&call);
        }
        outcome.map_err(convert_error)
    }

    fn call_once<T>(
        &mut self,
        call: impl Fn(&CredentialStore) -> keyring_core::Result<T>,
    ) -> keyring_core::Result<T> {
        let store = match self.store.take() {
            Some(store) => store,
            None => system::connect()?,
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
    let modifiers: HashMap<&str, &str> = system::ENTRY_MODIFIERS.iter().copied().collect();
    store.build(&entry_id.service, &entry_id.account, Some(&modifiers))
}

/// Converts an error of the keyring crates. Wipes the bytes that it may contain.
fn convert_error(error: KeyringError) -> Error {
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
        KeyringError::NoStorageAccess(cause) | KeyringError::PlatformFailure(cause) => {
            system::platform_error(&*cause)
        }
        KeyringError::BadStoreFormat(text) | KeyringError::NotSupportedByStore(text) => {
            Error::other(&text)
        }
        KeyringError::Invalid(attribute, reason) => Error::other(&format!("{attribute} {reason}")),
        _ => Error::other("unknown error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_not_shown() {
        let error = KeyringError::BadEncoding(b"sk-or-\xff".to_vec());
        assert_eq!(convert_error(error), Error::NotText);
        let error = KeyringError::BadDataFormat(b"sk-or-".to_vec(), "odd".into());
        assert_eq!(convert_error(error), Error::NotText);
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
            assert_eq!(convert_error(error), expected);
        }
    }
}
