//! `inventory.json`: what is known of every key that is held, and nothing that is secret.
//! Losing it loses no key. Must not know: keychains, networks.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{CheckResult, StoredKey};
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "inventory.json";

#[derive(Clone, Default, Serialize, Deserialize)]
struct Inventory {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    keys: Vec<StoredKey>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Every key held for `server`, in the order in which they were cut.
pub fn list_keys(place: &StoreLocation, server: &str) -> Result<Vec<StoredKey>, Error> {
    filter_keys(place, server, |_| true)
}

/// Those of them that are wanted.
pub fn filter_keys(
    place: &StoreLocation,
    server: &str,
    wanted: impl Fn(&StoredKey) -> bool,
) -> Result<Vec<StoredKey>, Error> {
    let wanted = |held: &StoredKey| held.server == server && wanted(held);
    place.read_with(FILE_NAME, |inventory: Cow<'_, Inventory>| match inventory {
        Cow::Borrowed(inventory) => {
            inventory.keys.iter().filter(|held| wanted(held)).cloned().collect()
        }
        Cow::Owned(Inventory { mut keys, .. }) => {
            keys.retain(wanted);
            keys
        }
    })
}

/// Every key of every server.
pub fn list_all_keys(place: &StoreLocation) -> Result<Vec<StoredKey>, Error> {
    Ok(place.read::<Inventory>(FILE_NAME)?.keys)
}

/// The key held under `label` for `server`.
pub fn find_key(
    place: &StoreLocation,
    server: &str,
    label: &str,
) -> Result<Option<StoredKey>, Error> {
    Ok(filter_keys(place, server, |held| held.label.as_str() == label)?.pop())
}

/// Adds keys; one that is there already (same server and label) is replaced.
pub fn upsert_keys(place: &StoreLocation, held: Vec<StoredKey>) -> Result<(), Error> {
    place.update(FILE_NAME, |inventory: &mut Inventory| {
        if inventory.keys.is_empty() {
            inventory.keys = held;
            return;
        }
        let name = |held: &StoredKey| (held.server.clone(), held.label.clone());
        // Looking for one takes no index.
        let places: Option<HashMap<_, _>> = (held.len() > 1).then(|| {
            inventory.keys.iter().enumerate().map(|(at, held)| (name(held), at)).collect()
        });
        let known = inventory.keys.len();
        for held in held {
            let place = match &places {
                Some(places) => places.get(&name(&held)).copied(),
                None => inventory.keys[..known]
                    .iter()
                    .position(|other| other.label == held.label && other.server == held.server),
            };
            match place {
                Some(place) => inventory.keys[place] = held,
                None => inventory.keys.push(held),
            }
        }
    })
}

/// Changes any of the keys of all servers, in one transaction.
pub fn update_keys<R>(
    place: &StoreLocation,
    change: impl FnOnce(&mut Vec<StoredKey>) -> R,
) -> Result<R, Error> {
    place.update(FILE_NAME, |inventory: &mut Inventory| change(&mut inventory.keys))
}

/// Changes one key, by its hash: the key afterwards, or `None` where it is no longer held.
pub fn update_key(
    place: &StoreLocation,
    server: &str,
    hash: &str,
    change: impl FnOnce(&mut StoredKey),
) -> Result<Option<StoredKey>, Error> {
    update_keys(place, |keys| {
        let held = keys.iter_mut().find(|held| held.server == server && held.hash == hash)?;
        change(held);
        Some(held.clone())
    })
}

/// Notes what keys said about themselves, by their hash; one that is no longer held is passed over.
pub fn record_checks(
    place: &StoreLocation,
    server: &str,
    reads: &HashMap<String, (Timestamp, CheckResult)>,
) -> Result<(), Error> {
    place.update(FILE_NAME, |inventory: &mut Inventory| {
        for held in inventory.keys.iter_mut().filter(|held| held.server == server) {
            if let Some((at, read)) = reads.get(&held.hash) {
                held.record_check(read, *at);
            }
        }
    })
}

/// Forgets the key under `label`; whether there was one.
pub fn remove_key(place: &StoreLocation, server: &str, label: &str) -> Result<bool, Error> {
    place.update(FILE_NAME, |inventory: &mut Inventory| {
        let before = inventory.keys.len();
        inventory.keys.retain(|held| held.server != server || held.label.as_str() != label);
        inventory.keys.len() < before
    })
}
