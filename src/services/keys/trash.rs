//! Removes keys from this machine and restores them. For a week the secret stays in the store in which
//! it was, in an entry with a service of its own, so that no label can be that of such an entry.
//!
//! Each step writes before it deletes: at every moment the secret is in one entry at least, and the
//! inventory names the key or the removed key.

use jiff::Timestamp;

use super::moving_label::check_label_not_moving;
use super::remote_update::remove_copy;
pub(super) use super::shared_trash::trash_service;
use super::shared_trash::{describe_removed_key, remove_from_trash};
use super::{Error, find_secret, secrets_equal, to_api_key};
use crate::domain::{
    KnownAccounts, Label, SecretLoss, StoreKind, StoredKey, TrashedKey, UserError,
};
use crate::platform::environment::user_at_host;
use crate::services::provision::{self, ServiceContext};
use crate::services::shared_inventory;
use crate::storage::inventory;
use crate::storage::journal;
use crate::storage::secret_store::{self, EntryId};

/// Returns the entry of a removed key of `service`.
pub(super) fn trash_entry_id_for(service: &str, hash: &str) -> EntryId {
    EntryId { service: trash_service(service), account: hash.into() }
}

fn trash_entry_id(services: &ServiceContext, hash: &str) -> EntryId {
    trash_entry_id_for(&services.keychain_service, hash)
}

/// Returns the removed keys that can be restored, the last removed first: their time is not over, and
/// their store still has their text. A store that would ask for a passphrase, or that cannot be read
/// now, is not asked. Those of a shared store are as [`read_shared_trash`](super::read_shared_trash) has left them. Blocks.
pub fn list_restorable_keys(
    services: &ServiceContext,
    now: Timestamp,
) -> Result<Vec<TrashedKey>, Error> {
    let mut trash = services.list_trash()?;
    let mut hashes_in_stores: Vec<(StoreKind, Option<Vec<String>>)> = Vec::new();
    trash.retain(|trashed| {
        if trashed.is_expired(now) {
            return false;
        }
        let services = services.for_key(&trashed.key);
        let kind = services.secret_store.kind();
        if kind == StoreKind::File || trashed.key.other_store_error(&kind).is_some() {
            return true;
        }
        if !hashes_in_stores.iter().any(|(known, _)| *known == kind) {
            let service = trash_service(&services.keychain_service);
            let hashes =
                services.secret_store.list_accounts(&service, services.secret_store_timeout);
            hashes_in_stores.push((kind.clone(), hashes.ok()));
        }
        let hashes = hashes_in_stores.iter().find(|(known, _)| *known == kind);
        hashes
            .and_then(|(_, hashes)| hashes.as_ref())
            .is_none_or(|hashes| hashes.contains(&trashed.key.hash))
    });
    Ok(trash)
}

/// Removes a key from this machine; it stays valid at OpenRouter and can be restored for a week. A key
/// that is missing in the secret store is removed from the inventory; then there is nothing to restore.
/// Changes nothing if the inventory cannot be written. Blocks.
pub fn remove_key(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<Option<TrashedKey>, Error> {
    let label = &stored_key.label;
    let not_listed = || Error::NotInInventory(label.clone());
    let reserve = services.location.reserve_space()?;
    let _storing_lock = provision::lock_storing_blocking(services)?;
    // Another program may have given the label to another key since.
    let listed = services.find_key(label.as_str())?;
    if listed.is_none_or(|listed| listed.hash != stored_key.hash || listed.label != *label) {
        return Err(not_listed());
    }
    check_label_not_moving(services, stored_key)?;
    let services = &services.for_key(stored_key);
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    let entry_id = services.entry_id(label.as_str());
    let trash_id = trash_entry_id(services, &stored_key.hash);
    // A key whose text was destroyed can only be removed.
    let secret = match stored_key.secret_loss() {
        Some(SecretLoss::Destroyed) => None,
        Some(SecretLoss::Deleted) | None => find_secret(store, &entry_id, timeout)?,
    };
    // The text of another key of the inventory stays where it is; this key has none.
    let is_of_other = match &secret {
        Some(secret) if !store.kind().is_shared() => {
            let hash = to_api_key(secret).hash();
            hash != stored_key.hash && services.find_hash(&hash)?.is_some()
        }
        _ => false,
    };
    let Some(secret) = secret.filter(|_| !is_of_other) else {
        remove_copy(services, stored_key, reserve)?;
        journal::release_key(&services.location, &stored_key.hash)?;
        return Ok(None);
    };
    if store.kind().is_shared() && to_api_key(&secret).hash() != stored_key.hash {
        return Err(Error::ReplacedByOther(changed_error(stored_key)));
    }
    store.set(&trash_id, &secret, timeout)?;
    drop(reserve);
    let undo_copy = || {
        if let Err(error) = store.delete(&trash_id, timeout) {
            tracing::warn!(%error, "the copy of a key that was not removed could not be deleted");
        }
    };
    let trashed = match move_to_trash(services, stored_key) {
        Ok(Some(trashed)) => trashed,
        Ok(None) => {
            undo_copy();
            return Err(not_listed());
        }
        Err(error) => {
            undo_copy();
            return Err(error);
        }
    };
    describe_removed_key(services, &trash_id, &trashed);
    match store.delete(&entry_id, timeout) {
        Ok(()) | Err(secret_store::Error::NoEntry) => {}
        Err(error) => match find_secret(store, &entry_id, timeout) {
            // Only the response was lost.
            Ok(None) => {}
            Ok(Some(_)) if error != secret_store::Error::TimedOut => {
                take_from_trash(services, &trashed, label, true)?;
                undo_copy();
                return Err(error.into());
            }
            // The entry may be gone, or be deleted later, so the copy is kept.
            Ok(Some(_)) | Err(_) => return Err(Error::Refused(undeleted_error(&error, label))),
        },
    }
    delete_expired_keys(services, Timestamp::now());
    Ok(Some(trashed))
}

/// Returns the error for a key that is in the trash, and whose entry may still be in the store.
fn undeleted_error(error: &secret_store::Error, label: &Label) -> UserError {
    let cause = error.to_user_error();
    let mend = "keywright doctor --fix";
    let restore = label.command("trash restore");
    UserError::new(
        cause.kind,
        cause.message,
        format!("delete the entry: {mend}; or restore the key: {restore}"),
    )
    .prefixed(format!("whether the entry of '{label}' was deleted is unknown"))
    .with_meaning("the key is in the trash and can be restored")
}

/// Returns the error for a key that someone else replaced under its label.
fn changed_error(stored_key: &StoredKey) -> UserError {
    let label = &stored_key.label;
    let message = format!("someone else replaced the key of '{label}' in the meantime");
    let show = label.command("show");
    UserError::failed(message, format!("look at it: {show}")).with_meaning("nothing was removed")
}

/// Restores a removed key under `label`. Changes nothing if the label or the key is stored by now.
/// Blocks.
pub fn restore_key(
    services: &ServiceContext,
    trashed: &TrashedKey,
    label: &Label,
) -> Result<StoredKey, Error> {
    let reserve = services.location.reserve_space()?;
    let _storing_lock = provision::lock_storing_blocking(services)?;
    let find = |keys: &[StoredKey]| find_conflict(keys.iter(), &trashed.key.hash, label);
    shared_inventory::find_conflict(services, find)?.map_or(Ok(()), Err)?;
    let services = &services.for_key(&trashed.key);
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    let entry_id = services.entry_id(label.as_str());
    let trash_id = trash_entry_id(services, &trashed.key.hash);
    let Some(secret) = find_secret(store, &trash_id, timeout)? else {
        if let Some(error) = trashed.key.other_store_error(&store.kind()) {
            return Err(Error::InOtherStore(error));
        }
        let restored = find_restored(services, trashed)?;
        // The key can no longer be restored, so it is not listed any more.
        remove_from_trash(services, std::slice::from_ref(trashed))?;
        return Err(restored.unwrap_or_else(|| Error::NotInTrash(trashed.key.label.clone())));
    };
    if to_api_key(&secret).hash() != trashed.key.hash {
        return Err(Error::TrashMismatch(trashed.key.label.clone()));
    }
    let already_stored = match find_secret(store, &entry_id, timeout)? {
        // An interrupted removal or restoration left it there.
        Some(existing) if secrets_equal(&existing, &secret) => true,
        Some(_) => return Err(Error::LabelInSecretStore(label.clone())),
        None => false,
    };
    if !already_stored {
        store.create(&entry_id, &secret, timeout).map_err(|error| match error {
            secret_store::Error::EntryExists => Error::LabelInSecretStore(label.clone()),
            error => error.into(),
        })?;
    }
    drop(reserve);
    let restored = match take_from_trash(services, trashed, label, false) {
        Ok(restored) => restored,
        Err(error) => {
            if !already_stored && let Err(error) = store.delete(&entry_id, timeout) {
                tracing::warn!(%error, "the copy of a key that was not restored could not be deleted");
            }
            return Err(error);
        }
    };
    if let Err(error) = store.delete(&trash_id, timeout) {
        tracing::warn!(%error, "the trash entry of a restored key could not be deleted");
    }
    Ok(restored)
}

/// Returns the keys that this user removed, the last removed first, also those that are too old to be
/// restored and not deleted yet. What others removed from a shared store is theirs to delete. Blocks.
pub fn list_own_removed_keys(services: &ServiceContext) -> Result<Vec<TrashedKey>, Error> {
    let own_name = user_at_host();
    let mut trash = services.list_trash()?;
    trash.retain(|trashed| trashed.removed_by().is_none_or(|who| who == own_name));
    Ok(trash)
}

/// Returns the error for a removed key that someone else restored in a shared store, if that is so.
fn find_restored(services: &ServiceContext, trashed: &TrashedKey) -> Result<Option<Error>, Error> {
    if !trashed.key.is_shared() {
        return Ok(None);
    }
    shared_inventory::read_all(services, |_, _| ())?;
    let found = services.find_hash(&trashed.key.hash)?;
    Ok(found.map(|key| {
        let message = format!("someone else restored '{}' in the meantime", trashed.key.label);
        let show = key.label.command("show");
        let error = UserError::failed(message, format!("look at it: {show}"));
        Error::Refused(error.with_meaning(format!("it is stored as '{}'", key.label)))
    }))
}

/// Deletes the secrets of the keys that this user removed, and returns the keys. Those of a shared
/// store are as [`read_shared_trash`](super::read_shared_trash) has left them. Blocks.
pub fn empty_trash(services: &ServiceContext) -> Result<Vec<TrashedKey>, Error> {
    let reserve = services.location.reserve_space()?;
    let _storing_lock = provision::lock_storing_blocking(services)?;
    let trash = list_own_removed_keys(services)?;
    // Every store is opened before anything is deleted.
    for trashed in &trash {
        let services = services.for_key(&trashed.key);
        let trash_id = trash_entry_id(&services, &trashed.key.hash);
        find_secret(&services.secret_store, &trash_id, services.secret_store_timeout)?;
        if let Some(error) = trashed.key.other_store_error(&services.secret_store.kind()) {
            return Err(Error::InOtherStore(error));
        }
    }
    for trashed in &trash {
        delete_secret(services, trashed)?;
        // One by one, so that the list never names a key whose secret is gone.
        remove_from_trash(services, std::slice::from_ref(trashed))?;
    }
    // Also those that an interruption left there. In a shared store others have theirs there.
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    if !store.kind().is_shared() {
        let service = trash_service(&services.keychain_service);
        for account in store.list_accounts(&service, timeout)? {
            store.delete(&EntryId { service: service.clone(), account }, timeout)?;
        }
    }
    drop(reserve);
    Ok(trash)
}

/// Deletes the secrets of the keys that were removed more than a week ago. Opens the store only if there
/// are such keys; a failure is only logged, and the next call tries again. Blocks.
pub(super) fn delete_expired_keys(services: &ServiceContext, now: Timestamp) {
    let delete = || {
        let mut expired = services.list_trash()?;
        expired
            .retain(|trashed| trashed.is_expired(now) && delete_secret(services, trashed).is_ok());
        if expired.is_empty() { Ok(()) } else { remove_from_trash(services, &expired) }
    };
    if let Err(error) = delete() {
        tracing::warn!(%error, "keys that were removed a week ago could not be deleted");
    }
}

/// Deletes the trash entry of a key, if there is one.
fn delete_secret(services: &ServiceContext, trashed: &TrashedKey) -> Result<(), Error> {
    let services = services.for_key(&trashed.key);
    let (store, entry_id) = (&services.secret_store, trash_entry_id(&services, &trashed.key.hash));
    if let Some(error) = trashed.key.other_store_error(&store.kind()) {
        return Err(Error::InOtherStore(error));
    }
    match store.delete(&entry_id, services.secret_store_timeout) {
        Ok(()) | Err(secret_store::Error::NoEntry) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Moves a key from the inventory to the list of removed keys; `None` if it is not in the inventory.
fn move_to_trash(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<Option<TrashedKey>, Error> {
    journal::release_key(&services.location, &stored_key.hash)?;
    Ok(inventory::update_trash(&services.location, |keys, trash| {
        let is_key = |key: &StoredKey| {
            key.server == stored_key.server
                && key.hash == stored_key.hash
                && key.label == stored_key.label
        };
        let key = keys.remove(keys.iter().position(is_key)?);
        trash.retain(|trashed| !trashed.is_key(&key.server, &key.hash));
        let trashed = TrashedKey { removed_at: Timestamp::now(), key };
        trash.push(trashed.clone());
        Some(trashed)
    })?)
}

/// Moves a key back to the inventory, unless it or its label is there by now.
fn take_from_trash(
    services: &ServiceContext,
    trashed: &TrashedKey,
    label: &Label,
    keeps_rotation: bool,
) -> Result<StoredKey, Error> {
    let (server, hash) = (&trashed.key.server, &trashed.key.hash);
    inventory::update_trash(&services.location, |keys, trash| {
        let of_server = |key: &&StoredKey| key.server == *server;
        if let Some(conflict) = find_conflict(keys.iter().filter(of_server), hash, label) {
            return Err(conflict);
        }
        let index = trash
            .iter()
            .position(|other| other.is_key(server, hash))
            .ok_or_else(|| Error::NotInTrash(trashed.key.label.clone()))?;
        let mut key = trash.remove(index).key.with(|key| key.label = label.clone());
        if let Some(record) = &mut key.shared {
            // The restored entry has no version yet.
            record.version = 0;
            record.fields.remove(TrashedKey::REMOVED_BY);
        }
        // A key that the user brought back is theirs: no rotation may take its label or delete it.
        if !keeps_rotation {
            key.replaces = None;
        }
        KnownAccounts::of_keys(keys.iter().filter(of_server)).mark(&mut key);
        let after = keys.iter().position(|other| other.created_at > key.created_at);
        keys.insert(after.unwrap_or(keys.len()), key.clone());
        Ok(key)
    })?
}

/// Returns the error if one of the stored keys is the key with `hash` or has `label`.
pub(super) fn find_conflict<'a>(
    mut keys: impl Iterator<Item = &'a StoredKey>,
    hash: &str,
    label: &Label,
) -> Option<Error> {
    keys.find_map(|key| {
        if key.hash == hash {
            return Some(Error::KeyAlreadyStored(key.label.clone()));
        }
        key.label.is_same(label.as_str()).then(|| Error::LabelTaken(key.label.clone()))
    })
}
