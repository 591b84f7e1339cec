//! Taking over a key that was cut elsewhere. Must not know: where it was read from.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Error, held_under, patiently, put};
use crate::api::openrouter;
use crate::domain::{ApiKey, CheckResult, KeyInfo, Label, StoredKey};
use crate::services::provision::{self, Services};
use crate::storage::inventory;

/// Checks a key, stores it under `label`, reads it back and puts it on the list. Nothing is stored
/// of a key that the server does not know.
pub async fn import(services: &Services, label: &Label, key: &ApiKey) -> Result<StoredKey, Error> {
    let hash = key.hash();
    for held in inventory::list_keys(&services.place, &services.server)? {
        if held.hash == hash {
            return Err(Error::KeyHeld(held.label));
        }
        if held.label == *label {
            return Err(Error::LabelHeld(held.label));
        }
    }
    free(services, label, &hash).await?;
    let client = services.client().map_err(Error::Unchecked)?;
    let reading = match patiently(services, async || client.get_current_key(key).await).await {
        Ok(reading) if reading.is_management_key => return Err(Error::IsManagement),
        Ok(reading) => Some(reading),
        // The account has no credit: nothing is wrong with the key.
        Err(openrouter::Error::Rejected { status: 402, .. }) => None,
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::DeadKey),
        Err(error) => return Err(Error::Unchecked(error)),
    };
    let now = Timestamp::now();
    let store = services.vault.kind().to_string();
    let mut held = StoredKey::new(label.clone(), key, services.server.clone(), store, now);
    if let Some(reading) = reading {
        introduce(&mut held, reading, now);
    }
    // Nobody else may take the label between this look and our writing.
    let _turn = provision::turn(services).await;
    free(services, label, &hash).await?;
    put(services, label, key).await?;
    enlist(services, held)
}

/// Puts a key on the list whose entry is in the vault already: the list was lost, or another
/// program stored it. With `ask` it is asked about itself; a key that does not answer is still held.
pub async fn adopt(services: &Services, label: &Label, ask: bool) -> Result<StoredKey, Error> {
    let _turn = provision::turn(services).await;
    let Some(key) = held_under(services, label).await? else {
        return Err(Error::Absent { label: label.clone(), place: services.vault.display_name() });
    };
    let now = Timestamp::now();
    let store = services.vault.kind().to_string();
    let mut held = StoredKey::new(label.clone(), &key, services.server.clone(), store, now);
    if ask {
        let client = services.client().map_err(Error::Unchecked)?;
        match patiently(services, async || client.get_current_key(&key).await).await {
            Ok(reading) if reading.is_management_key => return Err(Error::IsManagement),
            Ok(reading) => introduce(&mut held, reading, now),
            refusal => held.record_check(&CheckResult::from(refusal), now),
        }
    }
    enlist(services, held)
}

/// Takes in what the key says of itself, for the first time.
fn introduce(held: &mut StoredKey, reading: KeyInfo, now: Timestamp) {
    // Nobody here asked for it: what it is counts as that, or all of it would be a difference.
    held.requested = reading.to_requested_policy();
    held.user_id.clone_from(&reading.creator_user_id);
    held.record_check(&CheckResult::Valid(Arc::new(reading)), now);
}

/// Puts it on the list, unless another program has taken the label or the key since.
fn enlist(services: &Services, held: StoredKey) -> Result<StoredKey, Error> {
    let taken = inventory::update_keys(&services.place, |keys| {
        let same = |other: &&StoredKey| {
            other.server == held.server && (other.label == held.label || other.hash == held.hash)
        };
        let taken = keys.iter().find(same).map(|other| other.label.clone());
        if taken.is_none() {
            keys.push(held.clone());
        }
        taken
    })?;
    taken.map_or(Ok(held), |label| Err(Error::LabelHeld(label)))
}

/// Whether the label is free in the vault, or holds this very key: a try before this one did not
/// get as far as the list.
async fn free(services: &Services, label: &Label, hash: &str) -> Result<(), Error> {
    match held_under(services, label).await? {
        Some(there) if there.hash() != hash => Err(Error::LabelInVault(label.clone())),
        _ => Ok(()),
    }
}
