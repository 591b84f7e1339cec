//! Merges the keys of the account into the table and applies changes made at OpenRouter.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Dashboard, KeyList};
use crate::domain::{AccountKey, AccountKeys, Rotated, StoredKey};

/// Which keys the table lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// The keys stored here.
    #[default]
    Stored,
    /// All keys, those of the account included.
    All,
    /// The keys of the account that are not stored here.
    NotStored,
    /// The keys stored here that the account no longer has.
    Revoked,
}

impl KeyScope {
    /// Returns the next scope.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Stored => Self::All,
            Self::All => Self::NotStored,
            Self::NotStored => Self::Revoked,
            Self::Revoked => Self::Stored,
        }
    }

    /// Returns the scope as shown in the notice.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Stored => "stored here",
            Self::All => "all keys of the account",
            Self::NotStored => "not stored here",
            Self::Revoked => "stored here, revoked at OpenRouter",
        }
    }
}

impl Dashboard {
    /// Merges the keys of the account.
    pub fn merge_account_keys(&mut self, account: AccountKeys, server: &str, now: Timestamp) {
        let KeyList::Loaded(keys) = &mut self.keys else { return };
        let selected = self.rows.get(self.selected_row).and_then(|index| keys.get(*index));
        let selected = selected.map(|key| key.hash.clone());
        keys.truncate(self.stored_count);
        let indexes: HashMap<String, usize> =
            keys.iter().enumerate().map(|(index, key)| (key.hash.clone(), index)).collect();
        for account_key in account.keys {
            match indexes.get(&account_key.hash) {
                Some(index) => keys[*index].record_account_key(&account_key, now),
                None => keys.push(account_key.to_inventory_row(server, now)),
            }
        }
        self.revoked_hashes = account.revoked_hashes.into_iter().collect();
        self.reindex_keys(selected, now);
    }

    /// Returns where else the key is stored, as `, also stored as 'LABEL' in profile NAME`; empty if it is
    /// not.
    pub fn describe_copies(&self, key: &StoredKey) -> String {
        let copies = self.other_profiles.get(&key.hash).into_iter().flatten();
        copies.map(|copy| format!(", {copy}")).collect::<Vec<_>>().concat()
    }

    /// Sets the scope of the table.
    pub fn set_scope(&mut self, scope: KeyScope, now: Timestamp) {
        self.scope = scope;
        self.filter_rows(now);
    }

    /// Applies a finished rotation: adds the new key and updates the old one.
    pub fn apply_rotation(&mut self, rotated: Rotated, now: Timestamp) {
        let hash = rotated.new.hash.clone();
        if let KeyList::Loaded(keys) = &mut self.keys {
            for key in rotated.old.into_iter().chain([rotated.new]) {
                let index =
                    keys[..self.stored_count].iter().position(|other| other.hash == key.hash);
                if let Some(index) = index {
                    keys[index] = key;
                } else {
                    // The account may have listed it before it was known to be stored here.
                    keys.retain(|other| other.hash != key.hash);
                    keys.insert(self.stored_count, key);
                    self.stored_count += 1;
                }
            }
        }
        self.reindex_keys(Some(hash), now);
    }

    /// Records the state of one key of the account.
    pub fn record_account_key(&mut self, account_key: &AccountKey, now: Timestamp) {
        let index = self.index_of_hash(&account_key.hash);
        if let (KeyList::Loaded(keys), Some(index)) = (&mut self.keys, index) {
            keys[index].record_account_key(account_key, now);
            if !keys[index].is_stored() {
                keys[index] = account_key.to_inventory_row(&keys[index].server, now);
            }
        }
        self.update_order(now);
    }

    /// Records when the account last saw the stored keys used.
    pub fn record_last_uses(&mut self, account_keys: &[AccountKey]) {
        for account_key in account_keys {
            let index = self.index_of_hash(&account_key.hash);
            if let (KeyList::Loaded(keys), Some(index)) = (&mut self.keys, index) {
                keys[index].record_last_use(account_key.last_used_at);
            }
        }
    }

    /// Removes a revoked key.
    pub fn remove_by_hash(&mut self, hash: &str, now: Timestamp) {
        let selected = self.selected_key().map(|key| key.hash.clone());
        if let KeyList::Loaded(keys) = &mut self.keys
            && let Some(index) = keys.iter().position(|key| key.hash == hash)
        {
            keys.remove(index);
            self.stored_count -= usize::from(index < self.stored_count);
        }
        self.reindex_keys(selected, now);
    }

    /// Takes over when the shown row of the same key was last used: only the account reports that, so the
    /// inventory may not have it.
    pub(super) fn keep_last_use(&self, key: &mut StoredKey) {
        key.record_last_use(self.find_key(&key.hash).and_then(StoredKey::last_used_at));
    }

    /// Replaces a stored key whose label changed.
    pub fn rename_key(&mut self, mut renamed: StoredKey, now: Timestamp) {
        self.keep_last_use(&mut renamed);
        let index = self.index_of_hash(&renamed.hash);
        if let (KeyList::Loaded(keys), Some(index)) = (&mut self.keys, index) {
            keys[index] = renamed;
        }
        self.update_order(now);
    }
}
