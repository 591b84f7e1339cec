//! Entries of the secret store that an interrupted removal, restoration or renaming left there.

use std::collections::{HashMap, HashSet};

use super::trash::trash_service;
use super::{Error, find_secret, to_api_key};
use crate::domain::{Label, StoredKey, TrashedKey};
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;
use crate::storage::journal;
use crate::storage::secret_store::{self, EntryId};

/// An entry that an interrupted command left in the secret store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrayEntry {
    /// Another entry of a stored key.
    SecondEntry {
        /// The account of the entry.
        account: String,
        /// The label of the key.
        label: Label,
    },
    /// The entry of a key that is in the trash.
    RemovedKey {
        /// The account of the entry.
        account: String,
        /// The label of the removed key.
        label: Label,
    },
    /// A copy in the trash of a key that is stored.
    CopyInTrash {
        /// The hash of the key.
        hash: String,
        /// The label of the stored key.
        label: Label,
    },
    /// A key in the trash that the list of removed keys does not name.
    UnlistedInTrash {
        /// The hash of the key.
        hash: String,
    },
}

impl StrayEntry {
    /// Returns the account of an entry beside those of the stored keys.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::SecondEntry { account, .. } | Self::RemovedKey { account, .. } => Some(account),
            Self::CopyInTrash { .. } | Self::UnlistedInTrash { .. } => None,
        }
    }
}

/// Returns what interrupted commands left in the store in use. Reads only entries that no list names.
/// Blocks.
pub fn find_stray_entries(services: &ServiceContext) -> Result<Vec<StrayEntry>, Error> {
    let keys = services.list_keys()?;
    let trash = services.list_trash()?;
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    let accounts = store.list_accounts(&services.keychain_service, timeout)?;
    let trash_hashes = store.list_accounts(&trash_service(&services.keychain_service), timeout)?;
    let kind = store.kind();
    let labels: HashSet<&str> = keys.iter().map(|key| key.label.as_str()).collect();
    let has_entry = |key: &StoredKey| {
        accounts.binary_search_by(|account| account.as_str().cmp(key.label.as_str())).is_ok()
    };
    let stored: HashMap<&str, &StoredKey> = keys
        .iter()
        .filter(|key| key.is_in_store(&kind) && has_entry(key))
        .map(|key| (&*key.hash, key))
        .collect();
    let removed: HashMap<&str, &TrashedKey> = trash
        .iter()
        .filter(|trashed| trash_hashes.contains(&trashed.key.hash))
        .map(|trashed| (&*trashed.key.hash, trashed))
        .collect();
    // A rotation that goes on later has two entries for a key.
    let is_interrupted = !journal::list_all_attempts(&services.location)?.is_empty();
    let mut found = Vec::new();
    if !stored.is_empty() || !removed.is_empty() {
        for account in accounts.iter().filter(|account| !labels.contains(account.as_str())) {
            let Some(hash) = read_hash(services, services.entry_id(account))? else { continue };
            let account = account.clone();
            if let Some(key) = stored.get(&*hash) {
                if is_interrupted {
                    continue;
                }
                // An entry may be deleted only if there is a second copy.
                if read_hash(services, services.entry_id(key.label.as_str()))?.as_ref()
                    == Some(&hash)
                {
                    found.push(StrayEntry::SecondEntry { account, label: key.label.clone() });
                }
            } else if let Some(trashed) = removed.get(&*hash)
                && read_hash(services, trash_entry(services, &hash))?.as_ref() == Some(&hash)
            {
                found.push(StrayEntry::RemovedKey { account, label: trashed.key.label.clone() });
            }
        }
    }
    for hash in trash_hashes {
        if trash.iter().any(|trashed| trashed.key.hash == hash) {
            continue;
        }
        let Some(key) = stored.get(&*hash) else {
            found.push(StrayEntry::UnlistedInTrash { hash });
            continue;
        };
        if read_hash(services, services.entry_id(key.label.as_str()))?.as_ref() == Some(&hash) {
            found.push(StrayEntry::CopyInTrash { hash, label: key.label.clone() });
        }
    }
    Ok(found)
}

/// Deletes duplicate entries and lists removed keys again. Returns what was found. Blocks.
pub fn mend_stray_entries(services: &ServiceContext) -> Result<Vec<StrayEntry>, Error> {
    // Another process may be in the middle of a removal, which looks like an interrupted one.
    let _storing_lock = provision::lock_storing_blocking(services)?;
    let found = find_stray_entries(services)?;
    for stray in &found {
        let entry_id = match stray {
            StrayEntry::SecondEntry { account, .. } | StrayEntry::RemovedKey { account, .. } => {
                services.entry_id(account)
            }
            StrayEntry::CopyInTrash { hash, .. } => trash_entry(services, hash),
            StrayEntry::UnlistedInTrash { hash } => {
                list_in_trash(services, hash)?;
                continue;
            }
        };
        match services.secret_store.delete(&entry_id, services.secret_store_timeout) {
            Ok(()) | Err(secret_store::Error::NoEntry) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Lists a key of the trash again, with a label of its own: that of the key is not known.
fn list_in_trash(services: &ServiceContext, hash: &str) -> Result<(), Error> {
    let entry_id = trash_entry(services, hash);
    let secret = find_secret(&services.secret_store, &entry_id, services.secret_store_timeout)?;
    let Some(key) = secret.as_ref().map(to_api_key).filter(|key| key.hash() == hash) else {
        return Ok(());
    };
    let Ok(label) = unlisted_label(hash).parse::<Label>() else { return Ok(()) };
    let key = services.new_stored_key(label, &key);
    inventory::update_trash(&services.location, |_, trash| {
        trash.push(TrashedKey { removed_at: key.created_at, key });
    })?;
    Ok(())
}

/// Returns the label under which a removed key is listed again.
pub fn unlisted_label(hash: &str) -> String {
    format!("removed-{}", hash.get(..8).unwrap_or(hash))
}

fn trash_entry(services: &ServiceContext, hash: &str) -> EntryId {
    super::trash::trash_entry_id_for(&services.keychain_service, hash)
}

/// Returns the hash of the key in an entry; `None` if there is no key that can be read.
fn read_hash(services: &ServiceContext, entry_id: EntryId) -> Result<Option<String>, Error> {
    match find_secret(&services.secret_store, &entry_id, services.secret_store_timeout) {
        Ok(secret) => Ok(secret.map(|secret| to_api_key(&secret).hash())),
        Err(error) if error.is_about_one_key() => Ok(None),
        Err(error) => Err(error),
    }
}
