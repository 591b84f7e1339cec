//! The list beside the account's own, and what changes in it when keys are changed there.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Dashboard, KeyList};
use crate::domain::{AccountKey, AccountKeys, Rotated, StoredKey};

/// Which keys are listed, once the account's list was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyScope {
    /// Those held here.
    #[default]
    Stored,
    /// Those of the account too.
    All,
    /// Those of the account that are not held here.
    NotStored,
    /// Those held here that the account no longer knows.
    Revoked,
}

impl KeyScope {
    /// The one after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Stored => Self::All,
            Self::All => Self::NotStored,
            Self::NotStored => Self::Revoked,
            Self::Revoked => Self::Stored,
        }
    }

    /// In words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Stored => "held here",
            Self::All => "all of the account",
            Self::NotStored => "of the account, not held here",
            Self::Revoked => "held here, deleted at the server",
        }
    }
}

impl Dashboard {
    /// Takes in what the account knows.
    pub fn merge_account_keys(&mut self, account: AccountKeys, server: &str, now: Timestamp) {
        let KeyList::Loaded(keys) = &mut self.keys else { return };
        let selected = self.rows.get(self.selected_row).and_then(|place| keys.get(*place));
        let selected = selected.map(|held| held.hash.clone());
        keys.truncate(self.stored_count);
        let places: HashMap<String, usize> =
            keys.iter().enumerate().map(|(at, held)| (held.hash.clone(), at)).collect();
        for remote in account.keys {
            match places.get(&remote.hash) {
                Some(place) => keys[*place].record_account_key(&remote, now),
                None => keys.push(remote.to_inventory_row(server, now)),
            }
        }
        self.revoked_hashes = account.revoked_hashes.into_iter().collect();
        self.reindex_keys(selected, now);
    }

    /// Lists other keys.
    pub fn set_scope(&mut self, scope: KeyScope, now: Timestamp) {
        self.scope = scope;
        self.update_rows(now);
    }

    /// The label went over from one key to the other.
    pub fn apply_rotation(&mut self, handed: Rotated, now: Timestamp) {
        let hash = handed.new.hash.clone();
        if let KeyList::Loaded(keys) = &mut self.keys {
            for row in handed.old.into_iter().chain([handed.new]) {
                let place = keys[..self.stored_count].iter().position(|held| held.hash == row.hash);
                if let Some(place) = place {
                    keys[place] = row;
                } else {
                    keys.insert(self.stored_count, row);
                    self.stored_count += 1;
                }
            }
        }
        self.reindex_keys(Some(hash), now);
    }

    /// Takes in what the account says of one key.
    pub fn record_account_key(&mut self, remote: &AccountKey, now: Timestamp) {
        let place = self.index_of_hash(&remote.hash);
        if let (KeyList::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place].record_account_key(remote, now);
            if !keys[place].is_stored() {
                keys[place] = remote.to_inventory_row(&keys[place].server, now);
            }
        }
    }

    /// Takes out a key that was deleted at the server, wherever it was listed.
    pub fn remove_by_hash(&mut self, hash: &str, now: Timestamp) {
        let selected = self.selected_key().map(|held| held.hash.clone());
        if let KeyList::Loaded(keys) = &mut self.keys
            && let Some(at) = keys.iter().position(|row| row.hash == hash)
        {
            keys.remove(at);
            self.stored_count -= usize::from(at < self.stored_count);
        }
        self.reindex_keys(selected, now);
    }

    /// A held key has another label.
    pub fn rename_key(&mut self, renamed: StoredKey, now: Timestamp) {
        let place = self.index_of_hash(&renamed.hash);
        if let (KeyList::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place] = renamed;
        }
        self.update_rows(now);
    }
}
