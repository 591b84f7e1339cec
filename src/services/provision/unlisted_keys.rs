//! The keys of a batch that are stored and not yet in the inventory.

use super::{PreparedAttempt, ServiceContext};
use crate::domain::{KnownAccounts, StoredKey, UserError};
use crate::storage::inventory;
use crate::storage::journal::AttemptGuard;
use crate::storage::json_store;

/// Keys that are stored but not yet in the inventory, which is written for many keys at once. Until
/// then their attempts stay in the journal, and the next start adds them to the inventory.
#[derive(Default)]
pub struct UnlistedKeys {
    /// Each with its attempt, unless that is left to the next start.
    keys: Vec<(Option<AttemptGuard>, StoredKey)>,
    /// The accounts of the stored keys, once they were read.
    accounts: Option<KnownAccounts>,
}

/// The other keys of a batch, for the one that is being created.
pub struct BatchItem<'a> {
    /// The keys that are stored and not yet in the inventory.
    pub unlisted: &'a mut UnlistedKeys,
    /// The attempt that follows.
    pub next: Option<&'a mut PreparedAttempt>,
}

impl UnlistedKeys {
    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a key. Without `attempt`, the next start ends the attempt of the key.
    pub(super) fn push(&mut self, attempt: Option<AttemptGuard>, stored_key: StoredKey) {
        if let Some(accounts) = &mut self.accounts {
            accounts.set_owner_if_unknown(&stored_key);
        }
        self.keys.push((attempt, stored_key));
    }

    /// Adds the keys to the inventory. On an error the next start does it.
    pub fn add_to_inventory(&mut self, services: &ServiceContext) -> Result<(), UserError> {
        if self.is_empty() {
            return Ok(());
        }
        let (guards, stored_keys): (Vec<_>, Vec<_>) = self.keys.drain(..).unzip();
        inventory::upsert_keys(&services.location, stored_keys)
            .map_err(|error| not_listed_error(&error))?;
        log_error(AttemptGuard::complete_all(guards.into_iter().flatten().collect()));
        Ok(())
    }
}

/// Returns the accounts of the stored keys. A batch reads them once.
pub(super) fn known_accounts(
    unlisted: Option<&mut UnlistedKeys>,
    services: &ServiceContext,
) -> KnownAccounts {
    let read = || {
        let keys = services.list_keys().unwrap_or_default();
        KnownAccounts::of_keys(keys.iter())
    };
    match unlisted {
        Some(unlisted) => unlisted.accounts.get_or_insert_with(read).clone(),
        None => read(),
    }
}

/// Gives a planned key of an unconfirmed account another label than the planned one, which programs
/// may use already.
pub(super) fn use_separate_label(stored_key: &mut StoredKey) {
    let key = &mut **stored_key;
    if let Some(other) = key.other_account.as_mut().filter(|other| !other.confirmed) {
        let label = key.label.with_suffix("(other account)");
        other.intended_label = Some(std::mem::replace(&mut key.label, label));
    }
}

pub(super) fn not_listed_error(error: &json_store::Error) -> UserError {
    UserError::failed(
        format!("the key is stored, but the inventory could not be written: {error}"),
        format!("{}, then add it to the inventory: keywright recover", error.advice()),
    )
    .with_meaning("the key is valid and can be used")
}

pub(super) fn log_error<T, E: std::fmt::Display>(result: Result<T, E>) {
    if let Err(error) = result {
        tracing::warn!(%error, "continued after an error so that the key is not lost");
    }
}
