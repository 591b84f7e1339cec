//! Finds the text of a new key in the secret stores.

use super::ServiceContext;
use super::free_label::{hash_secret, numbered_labels};
use crate::domain::{KeyLocation, Label, StoredKey};
use crate::storage::secret_store;

/// Returns the key with the label under which [`store_under_free_label`] stored it, if it is stored: in
/// the store of `services`, or on this machine where that store could not take it.
pub(super) async fn find_stored(
    stored_key: &StoredKey,
    services: &ServiceContext,
) -> Result<Option<StoredKey>, secret_store::Error> {
    let kind = services.secret_store.kind();
    let (label, hash) = (&stored_key.label, &stored_key.hash);
    let found = find_stored_label(label, hash, services).await;
    if let Ok(Some(label)) = found {
        let location = KeyLocation::Stored(kind);
        return Ok(Some(StoredKey { label, location, move_to: None, ..stored_key.clone() }));
    }
    if !kind.is_local() {
        let local = services.local();
        if let Some(label) = find_stored_label(label, hash, &local).await? {
            let location = KeyLocation::Stored(local.secret_store.kind());
            let move_to = Some(kind);
            return Ok(Some(StoredKey { label, location, move_to, ..stored_key.clone() }));
        }
    }
    found.map(|_| None)
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
