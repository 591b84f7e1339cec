//! Keys in another store than the default one, and keys that another keychain does not have.

use std::sync::Arc;

use keywright::domain::{ApiKey, ErrorKind, KeyLocation, ProfileName, RotationOutcome, StoreKind};
use keywright::services::config;
use keywright::services::keys;
use keywright::services::provision::ServiceContext;
use keywright::storage::inventory;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::SecretString;

use super::rotation::{management, rotate};
use super::{TIMEOUT, TestAccount, block_on, entry_id, label};

/// An account whose key `name` moved to another store; `agent` and the others stay in the first.
fn account_with_two_stores(name: &str) -> (TestAccount, SecretStore) {
    let mut account = TestAccount::new();
    let secret = SecretString::from(account.get(name).unwrap());
    account.services.secret_store.delete(&entry_id(name), TIMEOUT).unwrap();
    let file = tempfile::tempdir().unwrap().keep();
    let other = SecretStore::age_file(file, Arc::new(|_| Ok(SecretString::from("correct horse"))));
    other.set(&entry_id(name), &secret, TIMEOUT).unwrap();
    inventory::update_key(
        &account.services.location,
        &account.services.server,
        &account.stored_key(name).hash,
        |key| {
            key.location = KeyLocation::Stored(StoreKind::File);
        },
    )
    .unwrap();
    account.services.other_stores = vec![other.clone()];
    (account, other)
}

#[test]
fn a_key_is_used_from_the_store_that_the_inventory_records() {
    let (mut account, other) = account_with_two_stores("ci");
    let ci = account.stored_key("ci");
    assert_eq!(keys::load_key(&account.services, &ci.label).unwrap().hash(), ci.hash);
    let renamed = block_on(keys::rename_key(&account.services, &ci, &label("cd"), None));
    let ci = renamed.unwrap().stored_key;
    assert!(
        other.get(&entry_id("cd"), TIMEOUT).is_ok() && other.get(&entry_id("ci"), TIMEOUT).is_err()
    );
    assert!(account.get("cd").is_none());
    let trashed = keys::remove_key(&account.services, &ci).unwrap().unwrap();
    assert!(other.get(&entry_id("cd"), TIMEOUT).is_err());
    keys::restore_key(&account.services, &trashed, &ci.label).unwrap();
    assert!(other.get(&entry_id("cd"), TIMEOUT).is_ok() && account.trash_entries().is_empty());
    // `--store` names the only store to use.
    let (named, _) = account_with_two_stores("ci");
    account.services = ServiceContext { other_stores: Vec::new(), ..named.services.clone() };
    let error = keys::load_key(&account.services, &label("ci")).unwrap_err().to_user_error();
    assert!(error.message.contains("is in the file store"), "{}", error.message);
}

#[test]
fn a_rotated_key_stays_in_its_store() {
    let (account, other) = account_with_two_stores("ci");
    let old = account.stored_key("ci");
    let outcome = rotate(&account, "ci", management(&account));
    assert!(matches!(outcome, RotationOutcome::Completed { .. }), "{outcome:?}");
    let new = account.stored_key("ci");
    assert_ne!(new.hash, old.hash);
    assert!(new.is_in_store(&StoreKind::File));
    assert_eq!(keys::load_key(&account.services, &new.label).unwrap().hash(), new.hash);
    assert!(other.get(&entry_id("ci (old)"), TIMEOUT).is_ok());
    assert!(account.get("ci").is_none() && account.get("ci (old)").is_none());
}

#[test]
fn where_no_entry_is_left_another_keychain_is_named_as_the_cause() {
    let account = TestAccount::new();
    for name in account.labels() {
        account.services.secret_store.delete(&entry_id(&name), TIMEOUT).unwrap();
    }
    let error = keys::load_key(&account.services, &label("ci")).unwrap_err().to_user_error();
    assert_eq!(error.kind, ErrorKind::SecretStore);
    assert!(error.message.contains("none of the 4 stored keys"), "{}", error.message);
    assert!(!error.one_line().contains("removed the secret"), "{}", error.one_line());
}

#[test]
fn an_old_entry_of_https_on_loopback_is_read_for_https_only() {
    let account = TestAccount::new();
    let at = |server: &str| ServiceContext {
        server: server.into(),
        keychain_service: config::keychain_service(&ProfileName::default(), server),
        ..account.services.clone()
    };
    let (https, http) = (at("https://localhost:4000"), at("http://localhost:4000"));
    // Until 0.1.0 the service of an entry had no scheme.
    let entry = |service: &str| EntryId { service: service.into(), account: "old".into() };
    let set = |service: &str, key: &str| {
        let key = SecretString::from(key.to_owned());
        account.services.secret_store.set(&entry(service), &key, TIMEOUT).unwrap();
    };
    set("keywright/localhost:4000", "sk-or-v1-old");
    let load = |services: &ServiceContext| keys::load_key(services, &label("old"));
    assert_eq!(load(&https).unwrap().hash(), ApiKey::from(String::from("sk-or-v1-old")).hash());
    // A new entry is the one of https, and http never reads it.
    set("keywright/https://localhost:4000", "sk-or-v1-new");
    assert_eq!(load(&https).unwrap().hash(), ApiKey::from(String::from("sk-or-v1-new")).hash());
    account.services.secret_store.delete(&entry("keywright/localhost:4000"), TIMEOUT).unwrap();
    assert!(load(&http).is_err());
    // Another host has no such old name.
    assert!(load(&at("https://example.com:4000")).is_err());
}

#[test]
fn keys_with_one_label_in_two_stores_are_listed_and_removed_apart() {
    let account = TestAccount::new();
    let location = &account.services.location;
    let ci = account.stored_key("ci");
    let in_file = ci.clone().with(|key| {
        key.location = KeyLocation::Stored(StoreKind::File);
        key.hash = "other".into();
    });
    let hashes = || {
        let found = account.services.filter_keys(|key| key.label == ci.label).unwrap();
        found.into_iter().map(|key| key.hash.clone()).collect::<Vec<_>>()
    };
    for rows in [vec![in_file.clone()], vec![ci.clone(), in_file.clone()]] {
        inventory::upsert_keys(location, rows).unwrap();
        assert_eq!(hashes(), [ci.hash.as_str(), "other"]);
    }
    // An entry has one key, and a key that was moved keeps its row.
    let newer = in_file.with(|key| key.hash = "newer".into());
    inventory::upsert_keys(location, vec![newer.clone()]).unwrap();
    let moved = ci.clone().with(|key| key.location = newer.location.clone());
    inventory::remove_key(location, &newer).unwrap();
    inventory::upsert_keys(location, vec![moved]).unwrap();
    assert_eq!(hashes(), [ci.hash.as_str()]);
    inventory::upsert_keys(location, vec![ci.clone()]).unwrap();
    assert!(inventory::remove_key(location, &ci).unwrap());
    assert_eq!(hashes(), Vec::<String>::new());
}
