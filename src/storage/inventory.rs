//! `inventory.json`: the stored keys without their secrets. `doctor` can rebuild it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    CheckResult, StateFields, StateRows, StoredKey, TrashedKey, mark_other_accounts,
};
use crate::storage::json_store::{self, Error, RowsAndRest, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "inventory.json";

/// Identifies a written version of the inventory; `None` in memory and if there is no file. Another value
/// means that it was written since.
pub type InventoryStamp = Option<FileStamp>;

/// The modification time and the length of a file, and its inode number where the system has one;
/// that changes with each replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    modified: SystemTime,
    length: u64,
    number: u64,
}

/// Returns the current stamp. Blocks.
pub fn inventory_stamp(location: &StoreLocation) -> InventoryStamp {
    let StoreLocation::Directory(dir) = location else { return None };
    file_stamp(&dir.join(FILE_NAME))
}

fn file_stamp(path: &Path) -> Option<FileStamp> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some(FileStamp { modified: metadata.modified().ok()?, length: metadata.len(), number })
}

/// The inventory as this process read or wrote it last. A large one takes long to parse, and several parts
/// of the program need it at the same time.
static LAST_READ: Mutex<Option<ReadInventory>> = Mutex::new(None);

struct ReadInventory {
    path: PathBuf,
    stamp: FileStamp,
    inventory: Arc<Inventory>,
}

/// Calls `map` with the inventory. A file is parsed only if it changed since it was parsed last.
fn read_with<R>(location: &StoreLocation, map: impl FnOnce(&Inventory) -> R) -> Result<R, Error> {
    let StoreLocation::Directory(dir) = location else {
        return location.read_with(FILE_NAME, |inventory: Cow<'_, Inventory>| map(&inventory));
    };
    let path = dir.join(FILE_NAME);
    // Held while the file is parsed, so that other threads wait for the result.
    let mut last_read = LAST_READ.lock().unwrap_or_else(PoisonError::into_inner);
    let stamp = file_stamp(&path);
    let known = last_read.as_ref().filter(|last| last.path == path && Some(last.stamp) == stamp);
    let inventory = if let Some(known) = known {
        Arc::clone(&known.inventory)
    } else {
        // Freed before the new inventory is read, so that both are not in memory at once.
        *last_read = None;
        let inventory = Arc::new(match read_in_pieces(dir) {
            Some(inventory) => inventory,
            None => location.read(FILE_NAME)?,
        });
        // A file that was replaced meanwhile is read again by the next call.
        *last_read = stamp
            .filter(|stamp| file_stamp(&path) == Some(*stamp))
            .map(|stamp| ReadInventory { path, stamp, inventory: Arc::clone(&inventory) });
        inventory
    };
    drop(last_read);
    Ok(map(&inventory))
}

/// Reads the inventory as Keywright writes it; `None` for any other file.
fn read_in_pieces(dir: &Path) -> Option<Inventory> {
    let RowsAndRest { rows, rest } = json_store::read_rows(dir, &dir.join(FILE_NAME), HEAD)?;
    Some(Inventory { keys: rows, ..serde_json::from_str(&rest).ok()? })
}

/// What a written inventory starts with.
const HEAD: &str = r#"{"version":1,"keys":["#;

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
    filter_keys_by(location, server, &predicate)
}

/// Returns the keys of [`filter_keys`]. Not generic, because each predicate would add a copy of the code.
fn filter_keys_by(
    location: &StoreLocation,
    server: &str,
    predicate: &dyn Fn(&StoredKey) -> bool,
) -> Result<Vec<StoredKey>, Error> {
    read_with(location, |inventory| {
        let of_server = inventory.keys.iter().filter(|key| key.server == server);
        of_server.filter(|key| predicate(key)).cloned().collect()
    })
}

/// Calls `visit` with the keys stored for `server`, oldest first. Only the fields that decide the state of a
/// key are read: see [`StateFields`].
pub fn for_each_state(
    location: &StoreLocation,
    server: &str,
    mut visit: impl FnMut(&StoredKey),
) -> Result<(), Error> {
    let StoreLocation::Directory(dir) = location else {
        return read_with(location, |inventory| {
            inventory.keys.iter().filter(|key| key.server == server).for_each(visit);
        });
    };
    let path = dir.join(FILE_NAME);
    let Some(text) = json_store::read_text(dir, &path)? else { return Ok(()) };
    let mut key = StateFields::empty_key();
    let mut visit_row = |row: StateFields<'_>| {
        if row.server == server {
            row.fill(&mut key)?;
            visit(&key);
        }
        Ok(())
    };
    json_store::parse_document(&path, &text, StateRows(&mut visit_row))
}

/// Returns the stored keys of all servers.
pub fn list_all_keys(location: &StoreLocation) -> Result<Vec<StoredKey>, Error> {
    read_with(location, |inventory| inventory.keys.clone())
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
    let mut change = Some(change);
    let mut result = None;
    update_with(location, &mut |inventory| {
        result = change.take().map(|change| change(inventory));
    })?;
    result.ok_or_else(|| Error::Empty(FILE_NAME.into()))
}

/// Calls `change` once. Not generic, because each change would add a copy of the code.
fn update_with(
    location: &StoreLocation,
    change: &mut dyn FnMut(&mut Inventory),
) -> Result<(), Error> {
    let change = |inventory: &mut Inventory| {
        change(inventory);
        mark_other_accounts(&mut inventory.keys);
    };
    let lock_last_read = || LAST_READ.lock().unwrap_or_else(PoisonError::into_inner);
    let known = |path: &Path| {
        let last = lock_last_read().take_if(|last| last.path == path);
        let current = last.filter(|last| Some(last.stamp) == file_stamp(path));
        current
            .map(|current| Arc::unwrap_or_clone(current.inventory))
            .or_else(|| read_in_pieces(path.parent()?))
    };
    location.update_known(FILE_NAME, known, change, |path, inventory| {
        let (path, inventory) = (path.to_owned(), Arc::new(inventory));
        *lock_last_read() = file_stamp(&path).map(|stamp| ReadInventory { path, stamp, inventory });
    })
}

/// Adds keys and replaces those with the same entry. Another key that has the label in another store keeps
/// its place, since nothing else would name it.
pub fn upsert_keys(location: &StoreLocation, keys: Vec<StoredKey>) -> Result<(), Error> {
    update(location, |inventory| {
        if inventory.keys.is_empty() {
            inventory.keys = keys;
            return;
        }
        let id = |key: &StoredKey| (key.server.clone(), key.label.clone());
        // A set pays off only for more than one key.
        let ids: Option<HashSet<_>> =
            (keys.len() > 1).then(|| inventory.keys.iter().map(id).collect());
        let old_len = inventory.keys.len();
        for key in keys {
            let is_new = ids.as_ref().is_some_and(|ids| !ids.contains(&id(&key)));
            let find = || inventory.keys[..old_len].iter().position(|old| is_same_entry(old, &key));
            match if is_new { None } else { find() } {
                Some(index) => inventory.keys[index] = key,
                None => inventory.keys.push(key),
            }
        }
    })
}

/// Returns whether both are the key of one entry: one label in one store, or one key that was moved.
fn is_same_entry(one: &StoredKey, other: &StoredKey) -> bool {
    one.label == other.label
        && one.server == other.server
        && (one.location == other.location || one.hash == other.hash)
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
    read_with(location, |inventory| {
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
    read_with(location, |inventory| inventory.trash.clone())
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

/// Removes the key that has the entry of `key`. Returns whether there was one.
pub fn remove_key(location: &StoreLocation, key: &StoredKey) -> Result<bool, Error> {
    update(location, |inventory| {
        let before = inventory.keys.len();
        inventory.keys.retain(|other| !is_same_entry(other, key));
        inventory.keys.len() < before
    })
}

#[cfg(test)]
mod tests;
