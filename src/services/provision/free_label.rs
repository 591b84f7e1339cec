//! Stores a key under a label that no other key has.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::ServiceContext;
use crate::domain::{ApiKey, Label, StoredKey, UserError};
use crate::storage::secret_store::{EntryId, Error, SecretStore};

/// The highest number that a label takes.
pub(crate) const MAX_NUMBER: u8 = 99;

/// How often an entry is created while another program creates and deletes one of this name.
const MAX_CREATE_TRIES: u8 = 3;

/// Stores the key without overwriting another one. If the label was taken since the preflight, the
/// key gets a numbered label, and a warning is returned; in a shared store this is `EntryExists`.
pub(super) async fn store_under_free_label(
    stored_key: &mut StoredKey,
    key: &ApiKey,
    services: &ServiceContext,
) -> Result<Option<UserError>, Error> {
    let requested = stored_key.label.clone();
    let (hash, kind) = (stored_key.hash.clone(), services.secret_store.kind());
    for label in numbered_labels(&requested) {
        let rename_warning = (label != requested).then(|| {
            UserError::failed(
                format!("the label {requested} was taken in the meantime"),
                format!("the key is stored as {label}"),
            )
        });
        // The inventory is for all stores, and another program may have listed a key of another store
        // since. An inventory that cannot be read must not keep the key from being stored.
        let is_taken = |other: &StoredKey| {
            !other.is_in_store(&kind) && other.hash != hash && other.label.is_same(label.as_str())
        };
        if services.filter_keys(is_taken).is_ok_and(|keys| !keys.is_empty()) {
            continue;
        }
        let (entry_id, secret) = (services.entry_id(label.as_str()), to_secret_string(key));
        let create =
            move |store: &SecretStore, timeout| create_or_get(store, &entry_id, &secret, timeout);
        match services.call_secret_store(create).await {
            Ok(None) => {}
            // A previous attempt already stored this key.
            Ok(Some(existing)) if hash_secret(&existing) == stored_key.hash => {}
            Ok(Some(_)) if services.secret_store.kind().is_shared() => {
                return Err(Error::EntryExists);
            }
            Ok(Some(_)) => continue,
            Err(error) => return Err(error),
        }
        stored_key.label = label;
        return Ok(rename_warning);
    }
    Err(Error::Ambiguous(MAX_NUMBER.into()))
}

/// Creates the entry. Returns the secret that it already has, or `None` if it is new.
fn create_or_get(
    store: &SecretStore,
    entry_id: &EntryId,
    secret: &SecretString,
    timeout: Duration,
) -> Result<Option<SecretString>, Error> {
    for _ in 0..MAX_CREATE_TRIES {
        match store.create(entry_id, secret, timeout) {
            Ok(()) => return Ok(None),
            Err(Error::EntryExists) => {}
            Err(error) => return Err(error),
        }
        match store.get(entry_id, timeout) {
            // It was deleted in between, so the name is free now.
            Err(Error::NoEntry) => {}
            existing => return existing.map(Some),
        }
    }
    // In a shared store a deleted version keeps the name.
    Err(Error::EntryExists)
}

/// Returns `label` and its numbered variants, in the order in which a key takes them.
pub(super) fn numbered_labels(label: &Label) -> impl Iterator<Item = Label> {
    (1..=MAX_NUMBER).map(|number| match number {
        1 => label.clone(),
        _ => label.with_suffix(&number.to_string()),
    })
}

#[expect(clippy::disallowed_methods, reason = "the secret store takes plain secrets")]
fn to_secret_string(key: &ApiKey) -> SecretString {
    SecretString::from(key.expose_secret())
}

#[expect(clippy::disallowed_methods, reason = "the secret store returns plain secrets")]
pub(super) fn to_api_key(secret: &SecretString) -> ApiKey {
    ApiKey::from(secret.expose_secret().to_owned())
}

pub(super) fn hash_secret(secret: &SecretString) -> String {
    to_api_key(secret).hash()
}
