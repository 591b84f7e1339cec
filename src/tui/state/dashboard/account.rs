//! The list beside the account's own, and what changes in it when keys are changed there.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Dashboard, Keys};
use crate::domain::{AccountKey, AccountKeys, Rotated, StoredKey};

/// Which keys are listed, once the account's list was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those held here.
    #[default]
    Here,
    /// Those of the account too.
    All,
    /// Those of the account that are not held here.
    Elsewhere,
    /// Those held here that the account no longer knows.
    Gone,
}

impl Scope {
    /// The one after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Here => Self::All,
            Self::All => Self::Elsewhere,
            Self::Elsewhere => Self::Gone,
            Self::Gone => Self::Here,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "held here",
            Self::All => "all of the account",
            Self::Elsewhere => "of the account, not held here",
            Self::Gone => "held here, deleted at the server",
        }
    }
}

impl Dashboard {
    /// Takes in what the account knows.
    pub fn join(&mut self, account: AccountKeys, server: &str, now: Timestamp) {
        let Keys::Loaded(keys) = &mut self.keys else { return };
        let selected = self.rows.get(self.selected).and_then(|place| keys.get(*place));
        let selected = selected.map(|held| held.hash.clone());
        keys.truncate(self.here);
        let places: HashMap<String, usize> =
            keys.iter().enumerate().map(|(at, held)| (held.hash.clone(), at)).collect();
        for remote in account.keys {
            match places.get(&remote.hash) {
                Some(place) => keys[*place].record_account_key(&remote, now),
                None => keys.push(remote.to_inventory_row(server, now)),
            }
        }
        self.gone = account.revoked_hashes.into_iter().collect();
        self.arrange_around(selected, now);
    }

    /// Lists other keys.
    pub fn show_scope(&mut self, scope: Scope, now: Timestamp) {
        self.scope = scope;
        self.arrange(now);
    }

    /// The label went over from one key to the other.
    pub fn hand_over(&mut self, handed: Rotated, now: Timestamp) {
        let hash = handed.new.hash.clone();
        if let Keys::Loaded(keys) = &mut self.keys {
            for row in handed.old.into_iter().chain([handed.new]) {
                let place = keys[..self.here].iter().position(|held| held.hash == row.hash);
                if let Some(place) = place {
                    keys[place] = row;
                } else {
                    keys.insert(self.here, row);
                    self.here += 1;
                }
            }
        }
        self.arrange_around(Some(hash), now);
    }

    /// Takes in what the account says of one key.
    pub fn note_remote(&mut self, remote: &AccountKey, now: Timestamp) {
        let place = self.place(&remote.hash);
        if let (Keys::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place].record_account_key(remote, now);
            if !keys[place].is_stored() {
                keys[place] = remote.to_inventory_row(&keys[place].server, now);
            }
        }
    }

    /// Takes out a key that was deleted at the server, wherever it was listed.
    pub fn drop_key(&mut self, hash: &str, now: Timestamp) {
        let selected = self.current().map(|held| held.hash.clone());
        if let Keys::Loaded(keys) = &mut self.keys
            && let Some(at) = keys.iter().position(|row| row.hash == hash)
        {
            keys.remove(at);
            self.here -= usize::from(at < self.here);
        }
        self.arrange_around(selected, now);
    }

    /// A held key has another label.
    pub fn relabel(&mut self, renamed: StoredKey, now: Timestamp) {
        let place = self.place(&renamed.hash);
        if let (Keys::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place] = renamed;
        }
        self.arrange(now);
    }
}
