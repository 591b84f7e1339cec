//! Everything from one store to the other: keys of all servers, management keys, what is kept of
//! attempts. Owns: the order, in which no secret is ever in neither. Must not know: which stores.
//!
//! 1. each is written there and read back; another secret that lies there is left alone
//! 2. the list and the journal say where they lie now
//! 3. each is removed here, if it is the same there
//!
//! Interrupted anywhere, the same call goes on: what is there already is only compared.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Error;
use super::management_key::management_entry_id_for;
use crate::domain::{StoredKey, UserError};
use crate::services::provision::ATTEMPTS_SERVICE;
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptStage};
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::{self, EntryId, SecretStore};

/// What became of one entry.
#[derive(Debug)]
pub struct MigratedEntry {
    /// What it is, for a person: its label, and its server's service.
    pub description: String,
    /// Why it was left where it was.
    pub result: Result<(), UserError>,
}

/// Moves everything; `service` names the keychain service of a server. Blocks.
///
/// # Errors
///
/// Nothing was moved: a store cannot be asked, or an attempt is still open.
pub fn migrate_entries(
    place: &StoreLocation,
    from: &SecretStore,
    to: &SecretStore,
    patience: Duration,
    default_server: &str,
    service: fn(&str) -> String,
) -> Result<Vec<MigratedEntry>, Error> {
    let held = inventory::list_all_keys(place)?;
    let attempts = journal::list_all_attempts(place)?;
    if let Some(open) = attempts.iter().find(|attempt| attempt.stage != AttemptStage::Unresolved) {
        return Err(Error::AttemptPending(open.label.clone()));
    }
    to.check_writable(&service(default_server), patience)?;

    let servers: BTreeSet<&str> =
        held.iter().map(|held| held.server.as_str()).chain([default_server]).collect();
    let mut slots = Vec::new();
    for server in servers {
        let service = service(server);
        let listed = held.iter().filter(|held| held.server == server);
        let mut accounts: BTreeSet<String> =
            listed.map(|held| held.label.as_str().to_owned()).collect();
        // Also what lies there and is not on the list.
        accounts.extend(from.list_accounts(&service, patience)?);
        slots.extend(accounts.into_iter().map(|account| {
            let held = held
                .iter()
                .find(|held| held.server == server && held.label.as_str() == account)
                .cloned();
            (EntryId { service: service.clone(), account }, held)
        }));
        slots.push((management_entry_id_for(&service), None));
    }
    slots.extend(attempts.iter().map(|attempt| {
        (EntryId { service: ATTEMPTS_SERVICE.into(), account: attempt.id.clone() }, None)
    }));

    let mut moved = Vec::new();
    let mut there = Vec::new();
    for (slot, held) in slots {
        let result = match copy_entry(&slot, held.as_ref(), from, to, patience) {
            Ok(true) => Ok(()),
            Ok(false) => continue,
            Err(error) => Err(error.to_user_error()),
        };
        if result.is_ok() {
            there.push((slot.clone(), held));
        }
        moved.push(MigratedEntry {
            description: format!("{} ({})", slot.account, slot.service),
            result,
        });
    }

    let store = to.kind().to_string();
    inventory::update_keys(place, |keys| {
        for key in keys {
            let same = |held: &StoredKey| held.server == key.server && held.hash == key.hash;
            if there.iter().any(|(_, held)| held.as_ref().is_some_and(same)) {
                store.clone_into(&mut key.store);
            }
        }
    })?;
    journal::set_store_of_unresolved(place, &store)?;

    for (slot, _) in there {
        if let Err(error) = delete_old_copy(&slot, from, to, patience) {
            moved.push(MigratedEntry {
                description: format!("the old copy of {} ({})", slot.account, slot.service),
                result: Err(error.to_user_error()),
            });
        }
    }
    Ok(moved)
}

/// Sees to it that the secret is there; `false` where there is none to see to.
fn copy_entry(
    slot: &EntryId,
    held: Option<&StoredKey>,
    from: &SecretStore,
    to: &SecretStore,
    patience: Duration,
) -> Result<bool, Error> {
    match (find_secret(from, slot, patience)?, find_secret(to, slot, patience)?) {
        (None, None) => match held {
            Some(held) => Err(Error::MissingSecret {
                label: held.label.clone(),
                store_name: from.display_name(),
            }),
            None => Ok(false),
        },
        (Some(here), None) => {
            to.set(slot, &here, patience)?;
            Ok(true)
        }
        (Some(here), Some(there)) if !secrets_equal(&here, &there) => {
            Err(Error::SecretConflict(slot.account.clone(), to.display_name()))
        }
        // An earlier run came that far.
        (_, Some(_)) => Ok(true),
    }
}

/// Removes the old copy, if it is one.
fn delete_old_copy(
    slot: &EntryId,
    from: &SecretStore,
    to: &SecretStore,
    patience: Duration,
) -> Result<(), Error> {
    match (find_secret(from, slot, patience)?, find_secret(to, slot, patience)?) {
        (Some(here), Some(there)) if secrets_equal(&here, &there) => {
            Ok(from.delete(slot, patience)?)
        }
        _ => Ok(()),
    }
}

fn find_secret(
    vault: &SecretStore,
    slot: &EntryId,
    patience: Duration,
) -> Result<Option<SecretString>, Error> {
    match vault.get(slot, patience) {
        Ok(secret) => Ok(Some(secret)),
        Err(secret_store::Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "door: two copies of a secret are compared")]
fn secrets_equal(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}
