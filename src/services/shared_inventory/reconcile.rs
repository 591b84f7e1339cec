//! Compares the local inventory with the entries of the shared store.

use std::collections::HashSet;

use crate::domain::{KeyLocation, Label, StoreKind, StoredKey, merge_fields};
use crate::storage::secret_store;

/// The changes that a reading of the shared store made in the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryChanges {
    /// Keys that are new here, or have another label than before.
    pub added: Vec<Label>,
    /// Keys that are no longer in the store.
    pub removed: Vec<Label>,
    /// Keys of the store that are not listed, since a key of another store has their label here.
    pub hidden: Vec<Label>,
    /// Why other entries are not listed: they do not say which key they have.
    pub unreadable: Vec<secret_store::Error>,
}

/// The keys of the inventory that a reading covers.
pub(super) struct ReadScope<'a> {
    pub server: &'a str,
    pub store: &'a StoreKind,
    /// The labels and hashes that the inventory had before the store was read. Only those are removed:
    /// a key that another process has added since may not have been there to be read.
    pub known_before: HashSet<(Label, String)>,
}

impl ReadScope<'_> {
    pub(super) fn contains(&self, key: &StoredKey) -> bool {
        key.server == self.server && key.is_in_store(self.store)
    }
}

/// Updates the keys of the store to what was read. Changes of this machine that are not in the
/// store yet are kept.
pub(super) fn reconcile(
    keys: &mut Vec<StoredKey>,
    scope: &ReadScope<'_>,
    read: Vec<StoredKey>,
) -> InventoryChanges {
    let mut changes = InventoryChanges::default();
    let is_private = |key: &StoredKey| {
        key.server == scope.server
            && matches!(&key.location, KeyLocation::Stored(kind) if kind != scope.store)
    };
    let private: HashSet<String> = keys
        .iter()
        .filter(|key| is_private(key))
        .map(|key| key.label.canonical().into_owned())
        .collect();
    let (mut hashes, mut labels) = (HashSet::new(), HashSet::new());
    let mut current = Vec::with_capacity(read.len());
    for key in read {
        if private.contains(&*key.label.canonical()) {
            changes.hidden.push(key.label.clone());
            continue;
        }
        // During a rotation or a renaming a key is in two entries.
        if !hashes.insert(key.hash.clone()) {
            continue;
        }
        labels.insert(key.label.clone());
        let local = keys.iter().find(|local| scope.contains(local) && local.hash == key.hash);
        if local.is_none_or(|local| local.label != key.label) {
            changes.added.push(key.label.clone());
        }
        current.push(match local {
            Some(local) => merge_with_local(local, key),
            None => key,
        });
    }
    let is_stale = |key: &StoredKey| {
        scope.contains(key)
            && !hashes.contains(&key.hash)
            && (scope.known_before.contains(&(key.label.clone(), key.hash.clone()))
                || labels.contains(&key.label))
    };
    changes.removed.extend(
        keys.iter()
            .filter(|key| is_stale(key) && !labels.contains(&key.label))
            .map(|key| key.label.clone()),
    );
    keys.retain(|key| !is_stale(key));
    for key in current {
        let same = |local: &&mut StoredKey| scope.contains(local) && local.hash == key.hash;
        if let Some(local) = keys.iter_mut().find(same) {
            *local = key;
        } else {
            let after = keys.iter().position(|other| other.created_at > key.created_at);
            keys.insert(after.unwrap_or(keys.len()), key);
        }
    }
    changes
}

/// Returns the key as the store has it, with what only this machine knows or has changed since.
fn merge_with_local(local: &StoredKey, read: StoredKey) -> StoredKey {
    let Some(remote) = read.shared.clone() else { return local.with_shared_state(read) };
    let base = local.shared.as_ref().map(|record| record.fields.clone()).unwrap_or_default();
    let mut merged = remote.clone();
    merged.fields = merge_fields(&base, &local.to_shared_fields(), &remote.fields);
    let (location, created_at) = (read.location.clone(), read.created_at);
    let merged = StoredKey::from_shared_record(*merged, &read.server, location, created_at);
    let mut merged = local.with_shared_state(merged.unwrap_or(read));
    merged.shared = Some(remote);
    merged
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::{ApiKey, KeyInfo, SharedRecord};

    const SERVER: &str = "https://s";

    fn store() -> StoreKind {
        StoreKind::Unknown("team".into())
    }

    fn local(label: &str, secret: &str, store: StoreKind) -> StoredKey {
        let secret = ApiKey::from(secret.to_owned());
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        StoredKey::new(label.parse().unwrap(), &secret, SERVER.into(), store, at)
    }

    /// Returns the key as it is read from the store, with changes of a colleague.
    fn read(label: &str, secret: &str, change: impl FnOnce(&mut StoredKey)) -> StoredKey {
        let mut key = local(label, secret, store());
        change(&mut key);
        let fields = key.to_shared_fields();
        let record = SharedRecord::new(key.label.clone(), 1, fields);
        let location = key.location.clone();
        StoredKey::from_shared_record(record, SERVER, location, key.created_at).unwrap()
    }

    fn apply(keys: &mut Vec<StoredKey>, entries: Vec<StoredKey>) -> InventoryChanges {
        let known_before = keys.iter().map(|key| (key.label.clone(), key.hash.clone())).collect();
        let store = store();
        let scope = ReadScope { server: SERVER, store: &store, known_before };
        reconcile(keys, &scope, entries)
    }

    fn labels(keys: &[StoredKey]) -> Vec<&str> {
        keys.iter().map(|key| key.label.as_str()).collect()
    }

    #[test]
    fn new_entries_appear_and_vanished_ones_go_but_private_keys_stay() {
        let mut keys = vec![local("own", "a", StoreKind::Keychain), local("gone", "b", store())];
        let changes = apply(&mut keys, vec![read("ci", "c", |_| ())]);
        assert_eq!(labels(&keys), ["own", "ci"]);
        assert_eq!(changes.added, ["ci".parse().unwrap()]);
        assert_eq!(changes.removed, ["gone".parse().unwrap()]);
        assert!(!keys[1].is_unshared());
    }

    #[test]
    fn a_key_that_another_process_added_meanwhile_is_not_removed() {
        let mut keys = vec![local("new", "a", store())];
        let store = store();
        let scope = ReadScope { server: SERVER, store: &store, known_before: HashSet::new() };
        reconcile(&mut keys, &scope, Vec::new());
        assert_eq!(labels(&keys), ["new"]);
    }

    #[test]
    fn a_private_key_keeps_its_label_and_the_shared_one_is_named() {
        let mut keys = vec![local("ci", "a", StoreKind::Keychain)];
        let changes = apply(&mut keys, vec![read("ci", "b", |_| ()), read("x", "c", |_| ())]);
        assert_eq!(labels(&keys), ["ci", "x"]);
        assert_eq!(changes.hidden, ["ci".parse().unwrap()]);
    }

    #[test]
    fn changes_of_a_colleague_arrive_and_own_ones_stay_until_they_are_written() {
        let mut key = read("ci", "a", |_| ());
        key.info = Some(Arc::new(KeyInfo { usage: Some(2.0), ..KeyInfo::default() }));
        key.disabled = Some(true);
        let mut keys = vec![key];
        let guardrail = crate::domain::GuardrailRef { id: "g".into(), name: "n".into() };
        apply(&mut keys, vec![read("ci", "a", |key| key.guardrail = Some(guardrail.clone()))]);
        assert_eq!(keys[0].guardrail, Some(guardrail));
        assert_eq!(keys[0].disabled, Some(true));
        assert_eq!(keys[0].info.as_ref().unwrap().usage, Some(2.0));
        assert!(keys[0].is_unshared(), "the own change is still to be written");
        let fields = keys[0].to_shared_fields();
        keys[0].shared.as_mut().unwrap().fields = fields;
        assert!(!keys[0].is_unshared());
    }

    #[test]
    fn renamed_and_replaced_keys_are_followed() {
        let mut keys = vec![read("old", "a", |_| ()), read("ci", "b", |_| ())];
        keys[0].info = Some(Arc::new(KeyInfo { usage: Some(2.0), ..KeyInfo::default() }));
        // One key was renamed. The other was replaced and is retiring.
        let entries =
            vec![read("new", "a", |_| ()), read("ci", "c", |_| ()), read("ci (old)", "b", |_| ())];
        let changes = apply(&mut keys, entries);
        let mut found = labels(&keys);
        found.sort_unstable();
        assert_eq!(found, ["ci", "ci (old)", "new"]);
        assert!(changes.removed.is_empty());
        let renamed = keys.iter().find(|key| key.label.as_str() == "new").unwrap();
        assert!(renamed.info.is_some());
    }

    #[test]
    fn a_key_in_two_entries_is_listed_once() {
        let mut keys = Vec::new();
        apply(&mut keys, vec![read("ci", "a", |_| ()), read("ci (new)", "a", |_| ())]);
        assert_eq!(labels(&keys), ["ci"]);
    }
}
