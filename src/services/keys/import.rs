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
    for held in inventory::list_keys(&services.location, &services.server)? {
        if held.hash == hash {
            return Err(Error::KeyAlreadyStored(held.label));
        }
        if held.label == *label {
            return Err(Error::LabelTaken(held.label));
        }
    }
    ensure_label_free(services, label, &hash).await?;
    let client = services.build_client().map_err(Error::CheckFailed)?;
    let reading = match retry_request(services, async || client.get_current_key(key).await).await {
        Ok(reading) if reading.is_management_key => return Err(Error::IsManagementKey),
        Ok(reading) => Some(reading),
        // The account has no credit: nothing is wrong with the key.
        Err(openrouter::Error::Rejected { status: 402, .. }) => None,
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::KeyRejected),
        Err(error) => return Err(Error::CheckFailed(error)),
    };
    let now = Timestamp::now();
    let store = services.secret_store.kind().to_string();
    let mut held = StoredKey::new(label.clone(), key, services.server.clone(), store, now);
    if let Some(reading) = reading {
        record_first_check(&mut held, reading, now);
    }
    // Nobody else may take the label between this look and our writing.
    let _turn = provision::lock_storing(services).await;
    ensure_label_free(services, label, &hash).await?;
    store_secret(services, label, key).await?;
    add_to_inventory(services, held)
}

/// Puts a key on the list whose entry is in the vault already: the list was lost, or another
/// program stored it. With `ask` it is asked about itself; a key that does not answer is still held.
pub async fn restore_inventory_entry(
    services: &ServiceContext,
    label: &Label,
    ask: bool,
) -> Result<StoredKey, Error> {
    let _turn = provision::lock_storing(services).await;
    let Some(key) = secret_for(services, label).await? else {
        return Err(Error::MissingSecret {
            label: label.clone(),
            store_name: services.secret_store.display_name(),
        });
    };
    let now = Timestamp::now();
    let store = services.secret_store.kind().to_string();
    let mut held = StoredKey::new(label.clone(), &key, services.server.clone(), store, now);
    if ask {
        let client = services.build_client().map_err(Error::CheckFailed)?;
        match retry_request(services, async || client.get_current_key(&key).await).await {
            Ok(reading) if reading.is_management_key => return Err(Error::IsManagementKey),
            Ok(reading) => record_first_check(&mut held, reading, now),
            refusal => held.record_check(&CheckResult::from(refusal), now),
        }
    }
    add_to_inventory(services, held)
}

/// Takes in what the key says of itself, for the first time.
fn record_first_check(held: &mut StoredKey, reading: KeyInfo, now: Timestamp) {
    // Nobody here asked for it: what it is counts as that, or all of it would be a difference.
    held.requested = reading.to_requested_policy();
    held.user_id.clone_from(&reading.creator_user_id);
    held.record_check(&CheckResult::Valid(Arc::new(reading)), now);
}

/// Puts it on the list, unless another program has taken the label or the key since.
fn add_to_inventory(services: &ServiceContext, held: StoredKey) -> Result<StoredKey, Error> {
    let taken = inventory::update_keys(&services.location, |keys| {
        let same = |other: &&StoredKey| {
            other.server == held.server && (other.label == held.label || other.hash == held.hash)
        };
        let taken = keys.iter().find(same).map(|other| other.label.clone());
        if taken.is_none() {
            keys.push(held.clone());
        }
        taken
    })?;
    taken.map_or(Ok(held), |label| Err(Error::LabelTaken(label)))
}

/// Whether the label is free in the vault, or holds this very key: a try before this one did not
/// get as far as the list.
async fn ensure_label_free(
    services: &ServiceContext,
    label: &Label,
    hash: &str,
) -> Result<(), Error> {
    match secret_for(services, label).await? {
        Some(there) if there.hash() != hash => Err(Error::LabelInSecretStore(label.clone())),
        _ => Ok(()),
    }
}
