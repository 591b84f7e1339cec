//! Finds the text of a new key in the secret stores.

use super::ServiceContext;
use super::free_label::{hash_secret, numbered_labels};
use super::other_keychain::find_other_keychain;
use crate::domain::{KeyLocation, Label, StoredKey};
use crate::platform::blocking_call::run_blocking;
use crate::storage::secret_store;

/// Returns the key with the label under which [`store_under_free_label`] stored it, if it is stored: in
/// the store of `services`, or on this machine where that store could not take it. Fails if that cannot be
/// known, as when another keychain answers.
pub(super) async fn find_stored(
    stored_key: &StoredKey,
    services: &ServiceContext,
) -> Result<Option<StoredKey>, secret_store::Error> {
    let kind = services.secret_store.kind();
    let (label, hash) = (&stored_key.label, &stored_key.hash);
    let found = find_stored_label(label, hash, services).await;
    if let Ok(Some(label)) = found {
        let location = KeyLocation::Stored(kind);
        return Ok(Some(stored_key.clone().with(|key| {
            key.label = label;
            key.location = location;
            key.move_to = None;
        })));
    }
    if !kind.is_local() {
        let local = services.local();
        if let Some(label) = find_stored_label(label, hash, &local).await? {
            let location = KeyLocation::Stored(local.secret_store.kind());
            let move_to = Some(kind);
            return Ok(Some(stored_key.clone().with(|key| {
                key.label = label;
                key.location = location;
                key.move_to = move_to;
            })));
        }
    }
    if found?.is_none() {
        check_keychain(label, services).await?;
    }
    Ok(None)
}

/// Fails if another keychain probably answers: then a key that is not found may be stored all the same.
async fn check_keychain(
    label: &Label,
    services: &ServiceContext,
) -> Result<(), secret_store::Error> {
    let (services, label) = (services.clone(), label.clone());
    let find = move || {
        let keys = services.list_keys().unwrap_or_default();
        find_other_keychain(&services, &label, &keys)
    };
    match run_blocking(find).await {
        Some(None) => Ok(()),
        Some(Some(error)) => Err(secret_store::Error::OtherKeychain(Box::new(error))),
        None => Err(secret_store::Error::TimedOut),
    }
}

/// Returns the label under which the key is stored: `label` or one with a number.
async fn find_stored_label(
    label: &Label,
    hash: &str,
    services: &ServiceContext,
) -> Result<Option<Label>, secret_store::Error> {
    for label in numbered_labels(label) {
        let entry_id = services.entry_id(label.as_str());
        match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await
        {
            Ok(secret) if hash_secret(&secret) == hash => return Ok(Some(label)),
            Ok(_) | Err(secret_store::Error::NoEntry) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
