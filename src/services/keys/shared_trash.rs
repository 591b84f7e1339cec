//! The removed keys of a shared store. Their entries say which keys they are, so that everyone who uses
//! the store can list and restore them.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Error;
use crate::domain::{
    KeyLocation, Label, SharedRecord, StoredKey, TrashedKey, collect_ordered, is_key_hash,
    join_pairs, sort_by_key, split_fields,
};
use crate::platform::environment::user_at_host;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory::{read_all, shared_services};
use crate::storage::inventory;
use crate::storage::secret_store::bao::BaoStore;
use crate::storage::secret_store::{self, EntryId};
use crate::storage::usage_history;

const LABEL: &str = "label";
const REMOVED_AT: &str = "removed_at";

/// Returns the keychain service of the removed keys of `service`.
pub(super) fn trash_service(service: &str) -> String {
    format!("{service} trash")
}

/// Writes which key was removed, when and by whom, to its entry in the trash. Does nothing for another
/// store; what fails is only logged, and then only this machine lists the key. Blocks.
pub(super) fn describe_removed_key(
    services: &ServiceContext,
    entry_id: &EntryId,
    trashed: &TrashedKey,
) {
    let Some(store) = services.secret_store.as_bao() else { return };
    let mut fields = trashed.key.to_shared_fields();
    fields.insert(LABEL.into(), trashed.key.label.as_str().to_owned());
    fields.insert(REMOVED_AT.into(), trashed.removed_at.to_string());
    fields.insert(TrashedKey::REMOVED_BY.into(), user_at_host());
    let pairs = split_fields(&fields).into_iter().map(|(name, value)| (name, Some(value)));
    let pairs = collect_ordered(pairs);
    if let Err(error) = store.write_metadata(&store.entry_path(entry_id), pairs) {
        tracing::warn!(%error, "the record of a removed key could not be written");
    }
}

/// Reads the shared store: its keys into the inventory, and its removed keys into the list of removed
/// keys, which loses those that others restored or deleted. Does nothing without a shared store.
/// Blocks.
pub fn read_shared_trash(services: &ServiceContext) -> Result<(), Error> {
    let Some(services) = shared_services(services) else { return Ok(()) };
    let Some(store) = services.secret_store.as_bao() else { return Ok(()) };
    let service = trash_service(&services.keychain_service);
    let known = services.list_trash()?;
    // A key that is listed as stored would not be listed as removed.
    read_all(&services, |_, _| ())?;
    let stored = services.list_keys()?;
    let folder = store.folder_path(&service);
    let mut names = store.list(&folder)?;
    let hashes: HashSet<String> =
        names.iter().filter_map(|name| BaoStore::decode_name(name)).collect();
    let kind = services.secret_store.kind();
    let is_in_trash = |hash: &String| {
        hashes.contains(hash) && !stored.iter().any(|stored_key| stored_key.hash == *hash)
    };
    let is_outdated =
        |trashed: &&TrashedKey| trashed.key.is_in_store(&kind) && !is_in_trash(&trashed.key.hash);
    let outdated: Vec<_> = known.iter().filter(is_outdated).cloned().collect();
    if !outdated.is_empty() {
        remove_from_trash(&services, &outdated)?;
    }
    let is_new =
        |hash: &String| is_key_hash(hash) && !known.iter().any(|trashed| trashed.key.hash == *hash);
    names.retain(|name| BaoStore::decode_name(name).is_some_and(|hash| is_new(&hash)));
    if names.is_empty() {
        return Ok(());
    }
    let mut removed = Vec::new();
    for metadata in store.read_all_metadata(&folder, names, std::sync::Arc::new(|_| ()))? {
        match metadata {
            Ok(metadata) => removed.extend(to_trashed_key(&services, metadata.custom_metadata)),
            Err(secret_store::Error::NoEntry) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if removed.is_empty() {
        return Ok(());
    }
    Ok(inventory::update_trash(&services.location, |keys, trash| {
        removed.retain(|removed| {
            let (server, hash) = (&removed.key.server, &removed.key.hash);
            let is_stored = keys.iter().any(|key| removed.is_key(&key.server, &key.hash));
            !is_stored && !trash.iter().any(|trashed| trashed.is_key(server, hash))
        });
        trash.extend(removed);
        sort_by_key(trash, |trashed| trashed.removed_at);
    })?)
}

fn to_trashed_key(
    services: &ServiceContext,
    pairs: std::collections::BTreeMap<String, String>,
) -> Option<TrashedKey> {
    let mut fields = join_pairs(pairs);
    let label = Label::parse_existing(&fields.remove(LABEL)?).ok()?;
    let removed_at: Timestamp = fields.remove(REMOVED_AT)?.parse().ok()?;
    let record = SharedRecord::new(label, 0, fields);
    let location = KeyLocation::Stored(services.secret_store.kind());
    let key = StoredKey::from_shared_record(record, &services.server, location, removed_at)?;
    Some(TrashedKey { removed_at, key })
}

/// Removes keys from the list of removed keys, and the usage history of those that are not stored again.
pub(super) fn remove_from_trash(
    services: &ServiceContext,
    deleted: &[TrashedKey],
) -> Result<(), Error> {
    let is_deleted = |trashed: &TrashedKey| {
        deleted.iter().any(|other| other.is_key(&trashed.key.server, &trashed.key.hash))
    };
    let not_stored: Vec<String> = inventory::update_trash(&services.location, |keys, trash| {
        trash.retain(|trashed| !is_deleted(trashed));
        let is_stored =
            |removed: &&TrashedKey| keys.iter().any(|key| removed.is_key(&key.server, &key.hash));
        deleted
            .iter()
            .filter(|removed| !is_stored(removed))
            .map(|removed| removed.key.hash.clone())
            .collect()
    })?;
    for hash in not_stored {
        if let Err(error) = usage_history::remove_key(&services.location, &hash) {
            tracing::warn!(%error, "the usage history of a removed key could not be deleted");
        }
    }
    Ok(())
}
