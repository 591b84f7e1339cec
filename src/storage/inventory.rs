//! `inventory.json`: the stored keys without their secrets. `doctor` can rebuild it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{CheckResult, StoredKey, TrashedKey, mark_other_accounts};
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "inventory.json";

/// When the inventory was written last, and its length; `None` in memory and if there is no file. Another
/// value means that it was written since.
pub type InventoryStamp = Option<(SystemTime, u64)>;

/// Returns the current stamp. Blocks.
pub fn inventory_stamp(location: &StoreLocation) -> InventoryStamp {
    let StoreLocation::Directory(dir) = location else { return None };
    let metadata = std::fs::metadata(dir.join(FILE_NAME)).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Inventory {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    keys: Vec<StoredKey>,
    /// Removed keys that can be restored, in the order of their removal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trash: Vec<TrashedKey>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Returns the keys stored for `server`, oldest first.
pub fn list_keys(location: &StoreLocation, server: &str) -> Result<Vec<StoredKey>, Error> {
    filter_keys(location, server, |_| true)
}

/// Returns the keys stored for `server` for which `predicate` returns `true`, oldest first.
pub fn filter_keys(
    location: &StoreLocation,
    server: &str,
    predicate: impl Fn(&StoredKey) -> bool,
) -> Result<Vec<StoredKey>, Error> {
    let matches = |key: &StoredKey| key.server == server && predicate(key);
    location.read_with(FILE_NAME, |inventory: Cow<'_, Inventory>| match inventory {
        Cow::Borrowed(inventory) => {
            inventory.keys.iter().filter(|key| matches(key)).cloned().collect()
        }
        Cow::Owned(Inventory { mut keys, .. }) => {
            keys.retain(matches);
            keys
        }
    })
}

/// Returns the stored keys of all servers.
pub fn list_all_keys(location: &StoreLocation) -> Result<Vec<StoredKey>, Error> {
    Ok(location.read::<Inventory>(FILE_NAME)?.keys)
}

/// Returns the key stored under `label` for `server`: the one with exactly this label, else one whose
/// label looks the same.
pub fn find_key(
    location: &StoreLocation,
    server: &str,
    label: &str,
) -> Result<Option<StoredKey>, Error> {
    let mut keys = filter_keys(location, server, |key| key.label.is_same(label))?;
    let exact = keys.iter().position(|key| key.label.as_str() == label);
    Ok(exact.map(|index| keys.swap_remove(index)).or_else(|| keys.pop()))
}

/// Updates the inventory. Every change marks the keys of other accounts.
fn update<R>(
    location: &StoreLocation,
    change: impl FnOnce(&mut Inventory) -> R,
) -> Result<R, Error> {
    location.update(FILE_NAME, |inventory: &mut Inventory| {
        let result = change(inventory);
        mark_other_accounts(&mut inventory.keys);
        result
    })
}

/// Adds keys and replaces those with the same server and label.
pub fn upsert_keys(location: &StoreLocation, keys: Vec<StoredKey>) -> Result<(), Error> {
    update(location, |inventory| {
        if inventory.keys.is_empty() {
            inventory.keys = keys;
            return;
        }
        let id = |key: &StoredKey| (key.server.clone(), key.label.clone());
        // A map pays off only for more than one key.
        let indices: Option<HashMap<_, _>> = (keys.len() > 1).then(|| {
            inventory.keys.iter().enumerate().map(|(index, key)| (id(key), index)).collect()
        });
        let old_len = inventory.keys.len();
        for key in keys {
            let index = match &indices {
                Some(indices) => indices.get(&id(&key)).copied(),
                None => inventory.keys[..old_len]
                    .iter()
                    .position(|other| other.label == key.label && other.server == key.server),
            };
            match index {
                Some(index) => inventory.keys[index] = key,
                None => inventory.keys.push(key),
            }
        }
    })
}

/// Updates the keys of all servers in one transaction.
pub fn update_keys<R>(
    location: &StoreLocation,
    change: impl FnOnce(&mut Vec<StoredKey>) -> R,
) -> Result<R, Error> {
    update(location, |inventory| change(&mut inventory.keys))
}

/// Updates the keys and the removed keys of all servers in one transaction.
pub fn update_trash<R>(
    location: &StoreLocation,
    change: impl FnOnce(&mut Vec<StoredKey>, &mut Vec<TrashedKey>) -> R,
) -> Result<R, Error> {
    update(location, |inventory| change(&mut inventory.keys, &mut inventory.trash))
}

/// Returns the removed keys of `server`, the last removed first.
pub fn list_trash(location: &StoreLocation, server: &str) -> Result<Vec<TrashedKey>, Error> {
    location.read_with(FILE_NAME, |inventory: Cow<'_, Inventory>| {
        inventory
            .trash
            .iter()
            .rev()
            .filter(|trashed| trashed.key.server == server)
            .cloned()
            .collect()
    })
}

/// Returns the removed keys of all servers.
pub fn list_whole_trash(location: &StoreLocation) -> Result<Vec<TrashedKey>, Error> {
    location.read_with(FILE_NAME, |inventory: Cow<'_, Inventory>| inventory.trash.clone())
}

/// Updates the key with `hash`. Returns the updated key, or `None` if it is no longer stored.
pub fn update_key(
    location: &StoreLocation,
    server: &str,
    hash: &str,
    change: impl FnOnce(&mut StoredKey),
) -> Result<Option<StoredKey>, Error> {
    update_keys(location, |keys| {
        let key = keys.iter_mut().find(|key| key.server == server && key.hash == hash)?;
        change(key);
        Some(key.clone())
    })
}

/// Records the results of checks by the hash of the key. Ignores keys that are no longer stored; without
/// results nothing is written.
pub fn record_checks(
    location: &StoreLocation,
    server: &str,
    results: &HashMap<String, (Timestamp, CheckResult)>,
) -> Result<(), Error> {
    if results.is_empty() {
        return Ok(());
    }
    update(location, |inventory| {
        for key in inventory.keys.iter_mut().filter(|key| key.server == server) {
            if let Some((checked_at, result)) = results.get(&key.hash) {
                key.record_check(result, *checked_at);
            }
        }
    })
}

/// Removes the key stored under `label`. Returns whether there was one.
pub fn remove_key(location: &StoreLocation, server: &str, label: &str) -> Result<bool, Error> {
    update(location, |inventory| {
        let before = inventory.keys.len();
        inventory.keys.retain(|key| key.server != server || key.label.as_str() != label);
        inventory.keys.len() < before
    })
}
