//! Moves all secrets from one secret store to another: keys of all servers, removed keys, management
//! keys and the secrets of attempts.
//!
//! 1. copy each entry without overwriting a different secret
//! 2. update the store in the inventory and the journal
//! 3. delete each old entry whose copy is equal
//!
//! At every moment each secret is in one store at least. After an interruption the same call
//! continues.

use std::collections::BTreeSet;
use std::time::Duration;

use super::management_key::management_entry_id_for;
use super::trash::{trash_entry_id_for, trash_service};
use super::{Error, find_secret, secrets_equal};
use crate::domain::{KeyLocation, StoredKey, TrashedKey, UserError};
use crate::services::provision::ATTEMPTS_SERVICE;
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt, AttemptStage};
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::{EntryId, SecretStore};

/// The result for one entry.
#[derive(Debug)]
pub struct MigratedEntry {
    /// The label and the keychain service.
    pub description: String,
    /// An error if it was not moved.
    pub result: Result<(), UserError>,
}

/// Moves everything; `service` returns the keychain service of a server. Blocks.
///
/// # Errors
///
/// Returns an error, and moves nothing, if a store is unavailable or an attempt is still open.
pub fn migrate_entries(
    location: &StoreLocation,
    from: &SecretStore,
    to: &SecretStore,
    timeout: Duration,
    default_server: &str,
    service: impl Fn(&str) -> String,
) -> Result<Vec<MigratedEntry>, Error> {
    let stored_keys = inventory::list_all_keys(location)?;
    let attempts = journal::list_all_attempts(location)?;
    if let Some(pending) = attempts.iter().find(|attempt| attempt.stage != AttemptStage::Unresolved)
    {
        return Err(Error::AttemptPending(pending.label.clone()));
    }
    let reserve = location.reserve_space()?;
    to.check_writable(&service(default_server), timeout)?;

    let trash = inventory::list_whole_trash(location)?;
    let servers: BTreeSet<&str> = stored_keys
        .iter()
        .chain(trash.iter().map(|trashed| &trashed.key))
        .map(|stored_key| stored_key.server.as_str())
        .chain([default_server])
        .collect();
    let mut entry_ids = Vec::new();
    for server in servers {
        let service = service(server);
        let listed = stored_keys.iter().filter(|stored_key| stored_key.server == server);
        let mut accounts: BTreeSet<String> =
            listed.map(|stored_key| stored_key.label.as_str().to_owned()).collect();
        // Also entries that are not in the inventory.
        accounts.extend(from.list_accounts(&service, timeout)?);
        entry_ids.extend(accounts.into_iter().map(|account| {
            let stored_key = stored_keys
                .iter()
                .find(|stored_key| {
                    stored_key.server == server && stored_key.label.as_str() == account
                })
                .cloned();
            (EntryId { service: service.clone(), account }, stored_key)
        }));
        entry_ids.push((management_entry_id_for(&service, server), None));
        let trash_service = trash_service(&service);
        let trashed = from.list_accounts(&trash_service, timeout)?.into_iter();
        entry_ids.extend(
            trashed.map(|account| (EntryId { service: trash_service.clone(), account }, None)),
        );
    }
    entry_ids.extend(attempts.iter().map(|attempt| {
        (EntryId { service: ATTEMPTS_SERVICE.into(), account: attempt.id.clone() }, None)
    }));

    let mut entries = Vec::new();
    let mut copied = Vec::new();
    let mut failed = BTreeSet::new();
    for (entry_id, stored_key) in entry_ids {
        let result = match copy_entry(&entry_id, stored_key.as_ref(), from, to, timeout) {
            Ok(true) => Ok(()),
            Ok(false) => continue,
            Err(error) => Err(error.to_user_error()),
        };
        if result.is_ok() {
            copied.push((entry_id.clone(), stored_key));
        } else {
            failed.insert((entry_id.service.clone(), entry_id.account.clone()));
        }
        entries.push(MigratedEntry {
            description: format!("{} ({})", entry_id.account, entry_id.service),
            result,
        });
    }

    drop(reserve);
    let not_recorded = |error| Error::MoveNotRecorded { store_name: to.display_name(), error };
    let store = to.kind();
    inventory::update_trash(location, |keys, trash| {
        for key in keys {
            let same = |stored_key: &StoredKey| {
                stored_key.server == key.server && stored_key.hash == key.hash
            };
            if copied.iter().any(|(_, stored_key)| stored_key.as_ref().is_some_and(same)) {
                key.location = KeyLocation::Stored(store.clone());
            }
        }
        for TrashedKey { key, .. } in trash {
            let entry_id = trash_entry_id_for(&service(&key.server), &key.hash);
            if copied.iter().any(|(copied, _)| *copied == entry_id) {
                key.location = KeyLocation::Stored(store.clone());
            }
        }
    })
    .map_err(not_recorded)?;
    let is_moved =
        |attempt: &Attempt| !failed.contains(&(ATTEMPTS_SERVICE.into(), attempt.id.clone()));
    journal::set_store_of_unresolved(location, &store, is_moved).map_err(not_recorded)?;

    for (entry_id, _) in copied {
        if let Err(error) = delete_old_copy(&entry_id, from, to, timeout) {
            entries.push(MigratedEntry {
                description: format!("the old copy of {} ({})", entry_id.account, entry_id.service),
                result: Err(error.to_user_error()),
            });
        }
    }
    Ok(entries)
}

/// Copies a secret; returns `false` if there is none.
fn copy_entry(
    entry_id: &EntryId,
    stored_key: Option<&StoredKey>,
    from: &SecretStore,
    to: &SecretStore,
    timeout: Duration,
) -> Result<bool, Error> {
    match (find_secret(from, entry_id, timeout)?, find_secret(to, entry_id, timeout)?) {
        (None, None) => match stored_key {
            Some(stored_key) => Err(Error::MissingSecret {
                label: stored_key.label.clone(),
                store_name: from.display_name(),
            }),
            None => Ok(false),
        },
        (Some(old), None) => {
            to.set(entry_id, &old, timeout)?;
            Ok(true)
        }
        (Some(old), Some(new)) if !secrets_equal(&old, &new) => {
            Err(Error::SecretConflict(entry_id.account.clone(), to.display_name()))
        }
        // An interrupted run already copied it.
        (_, Some(_)) => Ok(true),
    }
}

/// Deletes the old entry if its copy is equal.
fn delete_old_copy(
    entry_id: &EntryId,
    from: &SecretStore,
    to: &SecretStore,
    timeout: Duration,
) -> Result<(), Error> {
    match (find_secret(from, entry_id, timeout)?, find_secret(to, entry_id, timeout)?) {
        (Some(old), Some(new)) if secrets_equal(&old, &new) => Ok(from.delete(entry_id, timeout)?),
        _ => Ok(()),
    }
}
