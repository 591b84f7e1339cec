//! Moves secrets from one secret store to another: keys, removed keys, and between the stores of this
//! machine also management keys and the secrets of attempts. A few at a time:
//!
//! 1. copy each entry without overwriting a different secret, and read it back
//! 2. update the store in the inventory, which also records the old one, and in the journal
//! 3. delete each old entry whose copy is equal, and its record
//!
//! At every moment each secret is in one store at least, and the inventory names a store that has it.
//! After an interruption the same call continues.

use std::collections::BTreeSet;
use std::time::Duration;

use super::management_key::management_entry_id_for;
use super::moving_label::{check_rotation, list_rotations};
use super::trash::{trash_entry_id_for, trash_service};
use super::{Error, find_secret, secrets_equal};
use crate::domain::{KeyLocation, Label, StoreKind, StoredKey, TrashedKey, UserError};
use crate::services::provision::ATTEMPTS_SERVICE;
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt, AttemptStage};
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::{EntryId, SecretStore};

/// How many entries are moved at a time: few, so that each result is reported soon.
const BATCH_SIZE: usize = 8;

/// What is moved, and to where.
pub struct Migration<'a> {
    /// Where the inventory and the journal are.
    pub location: &'a StoreLocation,
    /// The new store.
    pub to: &'a SecretStore,
    /// The store of this machine from which everything else moves: whatever is not a key of the
    /// inventory.
    pub local_from: Option<&'a SecretStore>,
    /// Opens the store of a key.
    pub open_store: &'a dyn Fn(&StoreKind) -> Result<SecretStore, UserError>,
    /// The timeout of one secret store call.
    pub timeout: Duration,
    /// The server whose keys `labels` names.
    pub server: &'a str,
    /// Returns the keychain service of a server.
    pub service: &'a dyn Fn(&str) -> String,
    /// The keys to move; everything if there are none.
    pub labels: &'a [Label],
}

/// The result for one entry.
#[derive(Clone, Debug)]
pub struct MigratedEntry {
    /// The label and the keychain service.
    pub description: String,
    /// An error if it was not moved.
    pub result: Result<(), UserError>,
}

/// An entry to be moved.
struct Entry {
    id: EntryId,
    owner: Owner,
    from: Result<SecretStore, UserError>,
}

/// What an entry belongs to.
enum Owner {
    Key(StoredKey),
    Trashed(StoredKey),
    Attempt(String),
    Unlisted,
}

impl Entry {
    fn description(&self) -> String {
        format!("{} ({})", self.id.account, self.id.service)
    }

    /// Returns whether this is the entry of a key or a removed key.
    fn is_of(&self, key: &StoredKey, is_trashed: bool) -> bool {
        let owner = match &self.owner {
            Owner::Key(owner) if !is_trashed => owner,
            Owner::Trashed(owner) if is_trashed => owner,
            _ => return false,
        };
        owner.server == key.server && owner.hash == key.hash && owner.label == key.label
    }
}

/// Moves entries and passes each result to `on_result` as soon as it is known. Blocks.
///
/// # Errors
///
/// Returns an error, and moves nothing more, if a store is unavailable, an attempt is still open, a rotation
/// was interrupted while its label moved, or the inventory cannot be written.
pub fn migrate_entries(
    migration: &Migration<'_>,
    on_result: &mut dyn FnMut(&MigratedEntry),
) -> Result<(), Error> {
    let Migration { location, to, timeout, .. } = *migration;
    let attempts = journal::list_all_attempts(location)?;
    // A name that is pending at the server concerns no store.
    let is_open =
        |attempt: &&Attempt| attempt.stage != AttemptStage::Unresolved && !attempt.awaits_rename();
    if let Some(pending) = attempts.iter().find(is_open) {
        return Err(Error::AttemptPending(pending.label.clone()));
    }
    migration.check_labels_not_moving()?;
    let mut entries = migration.list_keys()?;
    if migration.labels.is_empty() {
        migration.add_trash(&mut entries)?;
        migration.add_unlisted(&mut entries, &attempts)?;
    }
    if entries.is_empty() {
        return Ok(());
    }
    to.check_writable(&(migration.service)(migration.server), timeout)?;
    for batch in entries.chunks(BATCH_SIZE) {
        migration.move_batch(batch, on_result)?;
    }
    Ok(())
}

impl Migration<'_> {
    fn is_chosen(&self, key: &StoredKey) -> bool {
        self.labels.is_empty() || (key.server == self.server && self.labels.contains(&key.label))
    }

    /// Fails if the label of a rotation has moved in the store and not yet in the inventory: its two keys
    /// would end in different stores, where the rotation cannot continue.
    fn check_labels_not_moving(&self) -> Result<(), Error> {
        let keys = inventory::list_all_keys(self.location)?;
        for (old, new) in list_rotations(&keys) {
            if !self.is_chosen(old) && !self.is_chosen(new) {
                continue;
            }
            let Some(Ok(store)) = self.old_store(new) else { continue };
            let service = (self.service)(&new.server);
            let id = EntryId { service, account: old.label.as_str().to_owned() };
            check_rotation(old, new, find_secret(&store, &id, self.timeout))?;
        }
        Ok(())
    }

    /// Returns the keys of the inventory that are in another store, or may have a copy there.
    fn list_keys(&self) -> Result<Vec<Entry>, Error> {
        let keys = inventory::list_all_keys(self.location)?;
        let chosen = keys.into_iter().filter(|key| self.is_chosen(key));
        Ok(chosen
            .filter_map(|key| {
                let from = self.old_store(&key)?;
                let service = (self.service)(&key.server);
                let id = EntryId { service, account: key.label.as_str().to_owned() };
                Some(Entry { id, owner: Owner::Key(key), from })
            })
            .collect())
    }

    /// Returns the store from which the key moves; `None` if it is in the new one alone.
    fn old_store(&self, key: &StoredKey) -> Option<Result<SecretStore, UserError>> {
        let kind = match (&key.moved_from, &key.location) {
            (Some(kind), _) | (None, KeyLocation::Stored(kind)) => kind,
            (None, KeyLocation::AccountOnly) => return None,
        };
        match self.local_from {
            Some(from) if from.kind() == *kind => Some(Ok(from.clone())),
            // A key of the memory store ended with its process.
            _ if *kind == self.to.kind() || *kind == StoreKind::Memory => None,
            _ => Some((self.open_store)(kind)),
        }
    }

    fn add_trash(&self, entries: &mut Vec<Entry>) -> Result<(), Error> {
        for TrashedKey { key, .. } in inventory::list_whole_trash(self.location)? {
            let Some(from) = self.old_store(&key) else { continue };
            let id = trash_entry_id_for(&(self.service)(&key.server), &key.hash);
            entries.push(Entry { id, owner: Owner::Trashed(key), from });
        }
        Ok(())
    }

    /// Adds the other entries of the other store of this machine.
    fn add_unlisted(&self, entries: &mut Vec<Entry>, attempts: &[Attempt]) -> Result<(), Error> {
        let Some(from) = self.local_from else { return Ok(()) };
        let mut servers = BTreeSet::from([self.server.to_owned()]);
        servers.extend(
            inventory::list_all_keys(self.location)?.into_iter().map(|key| key.server.clone()),
        );
        servers.extend(
            inventory::list_whole_trash(self.location)?
                .into_iter()
                .map(|trashed| trashed.key.server.clone()),
        );
        let mut ids = Vec::new();
        for server in servers {
            let service = (self.service)(&server);
            for service in [service.clone(), trash_service(&service)] {
                let accounts = from.list_accounts(&service, self.timeout)?;
                ids.extend(
                    accounts
                        .into_iter()
                        .map(|account| EntryId { service: service.clone(), account }),
                );
            }
            ids.push(management_entry_id_for(&service, &server));
        }
        ids.retain(|id| entries.iter().all(|entry| entry.id != *id));
        let entry = |id, owner| Entry { id, owner, from: Ok(from.clone()) };
        entries.extend(ids.into_iter().map(|id| entry(id, Owner::Unlisted)));
        entries.extend(attempts.iter().map(|attempt| {
            let id = EntryId { service: ATTEMPTS_SERVICE.into(), account: attempt.id.clone() };
            entry(id, Owner::Attempt(attempt.id.clone()))
        }));
        Ok(())
    }

    fn move_batch(
        &self,
        batch: &[Entry],
        on_result: &mut dyn FnMut(&MigratedEntry),
    ) -> Result<(), Error> {
        let mut report = |entry: &Entry, result: Result<(), Error>| {
            let description = entry.description();
            on_result(&MigratedEntry { description, result: result.map_err(UserError::from) });
        };
        let reserve = self.location.reserve_space()?;
        let mut copied = Vec::new();
        for entry in batch {
            match self.copy(entry) {
                Ok(true) => copied.push(entry),
                Ok(false) => {}
                Err(error) => report(entry, Err(error)),
            }
        }
        drop(reserve);
        let store_name = || self.to.display_name();
        let recorded = self
            .record_move(&copied)
            .map_err(|error| Error::MoveNotRecorded { store_name: store_name(), error })?;
        let (moved, changed): (Vec<_>, Vec<_>) =
            copied.into_iter().zip(recorded).partition(|(_, is_recorded)| *is_recorded);
        for (entry, _) in changed {
            // Another program has removed or replaced the key since: its copy is not used.
            let _ = self.delete_if_equal(entry, true);
            report(entry, Err(Error::KeyChanged(entry.id.account.clone())));
        }
        let mut done = Vec::new();
        for (entry, _) in moved {
            match self.delete_if_equal(entry, false) {
                Ok(()) => done.push(entry),
                Err(error) => report(
                    entry,
                    Err(Error::OldCopyNotDeleted {
                        store_name: store_name(),
                        error: Box::new(error),
                    }),
                ),
            }
        }
        let is_listed =
            done.iter().any(|entry| matches!(entry.owner, Owner::Key(_) | Owner::Trashed(_)));
        if is_listed {
            inventory::update_trash(self.location, |keys, trash| {
                for_each_owner(keys, trash, &done, |key, _| key.moved_from = None);
            })?;
        }
        for entry in done {
            report(entry, Ok(()));
        }
        Ok(())
    }

    /// Records the new store, and returns for each entry whether it is still the one that was copied.
    fn record_move(
        &self,
        copied: &[&Entry],
    ) -> Result<Vec<bool>, crate::storage::json_store::Error> {
        let store = self.to.kind();
        let mut recorded: Vec<bool> = copied
            .iter()
            .map(|entry| matches!(entry.owner, Owner::Attempt(_) | Owner::Unlisted))
            .collect();
        if recorded.contains(&false) {
            inventory::update_trash(self.location, |keys, trash| {
                for_each_owner(keys, trash, copied, |key, index| {
                    recorded[index] = true;
                    let old =
                        std::mem::replace(&mut key.location, KeyLocation::Stored(store.clone()));
                    if let KeyLocation::Stored(old) = old
                        && old != store
                    {
                        key.moved_from = Some(old);
                        key.move_to = None;
                        key.shared = None;
                    }
                });
            })?;
        }
        let is_copied = |attempt: &Attempt| {
            copied
                .iter()
                .any(|entry| matches!(&entry.owner, Owner::Attempt(id) if *id == attempt.id))
        };
        if copied.iter().any(|entry| matches!(entry.owner, Owner::Attempt(_))) {
            journal::set_store_of_unresolved(self.location, &store, is_copied)?;
        }
        Ok(recorded)
    }

    /// Copies a secret; returns `false` if there is none.
    fn copy(&self, entry: &Entry) -> Result<bool, Error> {
        let from = entry.from.as_ref().map_err(|error| Error::InOtherStore(error.clone()))?;
        let find = |store| find_secret(store, &entry.id, self.timeout);
        match (find(from)?, find(self.to)?) {
            (None, None) => match &entry.owner {
                Owner::Key(key) => Err(Error::MissingSecret {
                    label: key.label.clone(),
                    store_name: from.display_name(),
                }),
                Owner::Trashed(_) | Owner::Attempt(_) | Owner::Unlisted => Ok(false),
            },
            (Some(old), None) => {
                self.to.set(&entry.id, &old, self.timeout)?;
                Ok(true)
            }
            (Some(old), Some(new)) if !secrets_equal(&old, &new) => {
                Err(Error::SecretConflict(entry.id.account.clone(), self.to.display_name()))
            }
            // An interrupted run already copied it.
            (_, Some(_)) => Ok(true),
        }
    }

    /// Deletes the old entry, or with `new` the new one, if both are equal.
    fn delete_if_equal(&self, entry: &Entry, new: bool) -> Result<(), Error> {
        let Ok(from) = &entry.from else { return Ok(()) };
        let find = |store| find_secret(store, &entry.id, self.timeout);
        match (find(from)?, find(self.to)?) {
            (Some(one), Some(other)) if secrets_equal(&one, &other) => {
                let store = if new { self.to } else { from };
                Ok(store.delete(&entry.id, self.timeout)?)
            }
            _ => Ok(()),
        }
    }
}

/// Calls `change` for each key and removed key that is the owner of an entry, with the entry's index.
fn for_each_owner(
    keys: &mut [StoredKey],
    trash: &mut [TrashedKey],
    entries: &[&Entry],
    mut change: impl FnMut(&mut StoredKey, usize),
) {
    let keys = keys.iter_mut().map(|key| (key, false));
    let trash = trash.iter_mut().map(|trashed| (&mut trashed.key, true));
    for (key, is_trashed) in keys.chain(trash) {
        if let Some(index) = entries.iter().position(|entry| entry.is_of(key, is_trashed)) {
            change(key, index);
        }
    }
}
