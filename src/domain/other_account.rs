//! Keys of another account. Someone who can read the sign-in address can consent with their own
//! account: the new key is then theirs, and they see how it is used.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ErrorKind, Label, StoredKey, UserError, format_command, sanitize};

/// Set on a key that belongs to another account than the keys stored before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherAccount {
    /// Whether the user confirmed that the account is theirs.
    pub confirmed: bool,
    /// The label that the key gets then, if it was stored under another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intended_label: Option<Label>,
}

impl StoredKey {
    /// Returns the id of the account's user, if the server returned it.
    pub fn account_id(&self) -> Option<&str> {
        let checked = || self.info.as_ref()?.creator_user_id.as_deref();
        self.user_id.as_deref().or_else(checked)
    }

    /// Returns whether the key belongs to another account, and the user has not confirmed that
    /// account.
    pub fn is_of_unconfirmed_account(&self) -> bool {
        self.other_account.as_ref().is_some_and(|other| !other.confirmed)
    }

    /// Returns the error about a key of an account that the user has not confirmed.
    pub fn other_account_error(&self) -> UserError {
        let label = [self.label.as_str()];
        let id = self.account_id().map_or(String::new(), |id| format!(" ({})", sanitize(id, 100)));
        UserError::new(
            ErrorKind::OtherAccount,
            format!(
                "the key stored as '{}' belongs to another account{id} than the other stored keys",
                self.label
            ),
            format!(
                "if that account is yours, confirm it: {}; otherwise do not use the key and remove it: {}",
                format_command(&["new", "--other-account"], &label),
                format_command(&["rm"], &label)
            ),
        )
        .with_meaning(
            "someone else may have answered the sign-in; they would see how the key is used",
        )
    }
}

/// The accounts to which the stored keys of one server belong.
#[derive(Clone, Debug, Default)]
pub struct KnownAccounts {
    owner: Option<String>,
    confirmed: Vec<String>,
}

impl KnownAccounts {
    /// Returns the accounts of `keys`. The owner is the account to which most keys belong; between
    /// equally many the oldest key decides. Marked keys do not count.
    pub fn of_keys<'a>(keys: impl Iterator<Item = &'a StoredKey>) -> Self {
        let mut known = Self::default();
        let mut accounts: HashMap<&str, (usize, Timestamp)> = HashMap::new();
        for key in keys {
            let Some(id) = key.account_id() else { continue };
            match &key.other_account {
                Some(other) if other.confirmed => known.confirmed.push(id.to_owned()),
                Some(_) => {}
                None => {
                    let (count, oldest) = accounts.entry(id).or_insert((0, key.created_at));
                    *count += 1;
                    *oldest = key.created_at.min(*oldest);
                }
            }
        }
        let rank = |(_, (count, oldest)): &(&str, (usize, Timestamp))| (*count, Reverse(*oldest));
        known.owner = accounts.into_iter().max_by_key(rank).map(|(id, _)| id.to_owned());
        known
    }

    /// Marks `key` if it belongs to another account than the owner. The key of an account that the
    /// user has confirmed is confirmed as well. A key with a record in a shared store was already
    /// compared on the machine that created it.
    pub fn mark(&self, key: &mut StoredKey) {
        if key.other_account.is_none()
            && key.shared.is_none()
            && let (Some(owner), Some(id)) = (self.owner.as_deref(), key.account_id())
            && owner != id
        {
            let confirmed = self.confirmed.iter().any(|other| other == id);
            key.other_account = Some(OtherAccount { confirmed, intended_label: None });
        }
    }

    /// Makes the account of the first key the owner.
    pub fn set_owner_if_unknown(&mut self, key: &StoredKey) {
        if self.owner.is_none() {
            self.owner = key.account_id().map(String::from);
        }
    }
}

/// Marks the keys that belong to another account than the owner of the keys of their server.
pub fn mark_other_accounts(keys: &mut [StoredKey]) {
    let mut servers: Vec<String> = keys.iter().map(|key| key.server.clone()).collect();
    servers.sort_unstable();
    servers.dedup();
    for server in servers {
        let known = KnownAccounts::of_keys(keys.iter().filter(|key| key.server == server));
        keys.iter_mut().filter(|key| key.server == server).for_each(|key| known.mark(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(label: &str, user: Option<&str>, second: i64) -> StoredKey {
        let at = Timestamp::from_second(second).unwrap();
        StoredKey::sample(label, at).with(|key| key.user_id = user.map(String::from))
    }

    fn marked(keys: &[StoredKey]) -> Vec<&str> {
        let marked = keys.iter().filter(|key| key.other_account.is_some());
        marked.map(|key| key.label.as_str()).collect()
    }

    #[test]
    fn keys_of_another_account_than_most_are_marked_and_the_oldest_decides() {
        let mut keys = [key("b", Some("B"), 2), key("a", Some("A"), 1), key("none", None, 0)];
        mark_other_accounts(&mut keys);
        assert_eq!(marked(&keys), ["b"]);
        let mut keys = [key("a", Some("A"), 1), key("b", Some("B"), 2), key("c", Some("B"), 3)];
        mark_other_accounts(&mut keys);
        assert_eq!(marked(&keys), ["a"]);
        let other_server = key("b", Some("B"), 2).with(|key| key.server = "t".into());
        let mut keys = [key("a", Some("A"), 1), other_server];
        mark_other_accounts(&mut keys);
        assert_eq!(marked(&keys), [""; 0]);
    }

    #[test]
    fn marked_keys_do_not_decide_and_a_confirmed_account_stays_confirmed() {
        let mut keys = vec![key("a", Some("A"), 1), key("b", Some("B"), 2)];
        mark_other_accounts(&mut keys);
        keys.push(key("c", Some("B"), 3));
        keys.push(key("d", Some("B"), 4));
        mark_other_accounts(&mut keys[..3]);
        assert_eq!(marked(&keys), ["b", "c"]);
        assert!(keys[2].is_of_unconfirmed_account());
        keys[1].other_account = Some(OtherAccount { confirmed: true, intended_label: None });
        mark_other_accounts(&mut keys);
        assert_eq!(marked(&keys), ["b", "c", "d"]);
        assert!(!keys[3].is_of_unconfirmed_account());
    }
}
