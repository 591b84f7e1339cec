//! Taking over a key that was cut elsewhere. Must not know: where it was read from.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Error, retry_request, secret_for, store_secret};
use crate::api::openrouter;
use crate::domain::{ApiKey, CheckResult, KeyInfo, Label, StoredKey};
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;

/// Checks a key, stores it under `label`, reads it back and puts it on the list. Nothing is stored
/// of a key that the server does not know.
pub async fn import_key(
    services: &ServiceContext,
    label: &Label,
    key: &ApiKey,
) -> Result<StoredKey, Error> {
    let hash = key.hash();
    for stored_key in inventory::list_keys(&services.location, &services.server)? {
        if stored_key.hash == hash {
            return Err(Error::KeyAlreadyStored(stored_key.label));
        }
        if stored_key.label == *label {
            return Err(Error::LabelTaken(stored_key.label));
        }
    }
    ensure_label_free(services, label, &hash).await?;
    let client = services.build_client().map_err(Error::CheckFailed)?;
    let info = match retry_request(services, async || client.get_current_key(key).await).await {
        Ok(info) if info.is_management_key => return Err(Error::IsManagementKey),
        Ok(info) => Some(info),
        // The account has no credit: nothing is wrong with the key.
        Err(openrouter::Error::Rejected { status: 402, .. }) => None,
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::KeyRejected),
        Err(error) => return Err(Error::CheckFailed(error)),
    };
    let now = Timestamp::now();
    let store = services.secret_store.kind().to_string();
    let mut stored_key = StoredKey::new(label.clone(), key, services.server.clone(), store, now);
    if let Some(info) = info {
        record_first_check(&mut stored_key, info, now);
    }
    // Nobody else may take the label between this look and our writing.
    let _storing_lock = provision::lock_storing(services).await;
    ensure_label_free(services, label, &hash).await?;
    store_secret(services, label, key).await?;
    add_to_inventory(services, stored_key)
}

/// Puts a key on the list whose entry is in the vault already: the list was lost, or another
/// program stored it. With `ask` it is asked about itself; a key that does not answer is still held.
pub async fn restore_inventory_entry(
    services: &ServiceContext,
    label: &Label,
    check: bool,
) -> Result<StoredKey, Error> {
    let _storing_lock = provision::lock_storing(services).await;
    let Some(key) = secret_for(services, label).await? else {
        return Err(Error::MissingSecret {
            label: label.clone(),
            store_name: services.secret_store.display_name(),
        });
    };
    let now = Timestamp::now();
    let store = services.secret_store.kind().to_string();
    let mut stored_key = StoredKey::new(label.clone(), &key, services.server.clone(), store, now);
    if check {
        let client = services.build_client().map_err(Error::CheckFailed)?;
        match retry_request(services, async || client.get_current_key(&key).await).await {
            Ok(info) if info.is_management_key => return Err(Error::IsManagementKey),
            Ok(info) => record_first_check(&mut stored_key, info, now),
            error => stored_key.record_check(&CheckResult::from(error), now),
        }
    }
    add_to_inventory(services, stored_key)
}

/// Takes in what the key says of itself, for the first time.
fn record_first_check(stored_key: &mut StoredKey, info: KeyInfo, now: Timestamp) {
    // Nobody here asked for it: what it is counts as that, or all of it would be a difference.
    stored_key.requested = info.to_requested_policy();
    stored_key.user_id.clone_from(&info.creator_user_id);
    stored_key.record_check(&CheckResult::Valid(Arc::new(info)), now);
}

/// Puts it on the list, unless another program has taken the label or the key since.
fn add_to_inventory(services: &ServiceContext, stored_key: StoredKey) -> Result<StoredKey, Error> {
    let conflict = inventory::update_keys(&services.location, |keys| {
        let conflicts = |other: &&StoredKey| {
            other.server == stored_key.server
                && (other.label == stored_key.label || other.hash == stored_key.hash)
        };
        let conflict = keys.iter().find(conflicts).map(|other| other.label.clone());
        if conflict.is_none() {
            keys.push(stored_key.clone());
        }
        conflict
    })?;
    conflict.map_or(Ok(stored_key), |label| Err(Error::LabelTaken(label)))
}

/// Whether the label is free in the vault, or holds this very key: a try before this one did not
/// get as far as the list.
async fn ensure_label_free(
    services: &ServiceContext,
    label: &Label,
    hash: &str,
) -> Result<(), Error> {
    match secret_for(services, label).await? {
        Some(existing) if existing.hash() != hash => Err(Error::LabelInSecretStore(label.clone())),
        _ => Ok(()),
    }
}
