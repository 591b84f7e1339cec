//! The public interface of the secret stores, on the memory store. The OS keychain needs a real
//! provider and is tested in tests/e2e.

#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keywright::domain::{ParseStoreKindError, StoreKind};
use keywright::storage::secret_store::{EntryId, Error, SecretStore, keychain_timeout};
use secrecy::{ExposeSecret, SecretString};

const SOON: Duration = Duration::from_secs(1);

fn entry_id(service: &str, account: &str) -> EntryId {
    EntryId { service: service.to_owned(), account: account.to_owned() }
}

#[test]
fn a_stored_secret_is_returned_until_it_is_deleted() {
    let store = SecretStore::memory_with_entries(Vec::new());
    let laptop = entry_id("keywright", "laptop");
    assert_eq!(store.get(&laptop, SOON).unwrap_err(), Error::NoEntry);
    for secret in ["first", "second"] {
        store.set(&laptop, &SecretString::from(secret), SOON).unwrap();
        assert_eq!(store.get(&laptop, SOON).unwrap().expose_secret(), secret);
    }
    assert_eq!(store.delete(&laptop, SOON), Ok(()));
    assert_eq!(store.delete(&laptop, SOON), Err(Error::NoEntry));
    assert_eq!(store.get(&laptop, SOON).unwrap_err(), Error::NoEntry);
}

#[test]
fn accounts_are_listed_by_service_and_sorted() {
    let store = SecretStore::memory_with_entries(vec![
        (entry_id("keywright", "notebook"), SecretString::from("1")),
        (entry_id("keywright/localhost:9", "other"), SecretString::from("2")),
        (entry_id("keywright", "ci"), SecretString::from("3")),
    ]);
    assert_eq!(store.list_accounts("keywright", SOON).unwrap(), ["ci", "notebook"]);
    assert_eq!(store.check_writable("keywright", SOON), Ok(()));
    assert_eq!(store.list_accounts("keywright", SOON).unwrap().len(), 2);
    assert!(store.list_accounts("other", SOON).unwrap().is_empty());
}

#[test]
fn clones_share_the_store() {
    let store = SecretStore::memory_with_entries(Vec::new());
    let ci = entry_id("keywright", "ci");
    store.clone().set(&ci, &SecretString::from("x"), SOON).unwrap();
    assert_eq!(store.get(&ci, SOON).unwrap().expose_secret(), "x");
    assert!(format!("{store:?}").starts_with("SecretStore(memory)"));
}

#[test]
fn an_entry_that_exists_is_not_replaced_by_a_new_one() {
    let store = SecretStore::memory_with_entries(Vec::new());
    let ci = entry_id("keywright", "ci");
    store.create(&ci, &SecretString::from("first"), SOON).unwrap();
    let again = store.create(&ci, &SecretString::from("second"), SOON);
    assert_eq!(again, Err(Error::EntryExists));
    assert_eq!(store.get(&ci, SOON).unwrap().expose_secret(), "first");
}

#[test]
fn stores_are_created_without_io_and_have_a_display_name() {
    let store = SecretStore::keychain();
    assert_eq!(store.kind(), StoreKind::Keychain);
    assert!(!store.display_name().is_empty());
    assert_eq!(
        SecretStore::memory_with_entries(Vec::new()).display_name(),
        "memory, until Keywright ends"
    );
    let no_prompt = Arc::new(|_| panic!("the passphrase is not needed yet"));
    let file = SecretStore::age_file("/nonexistent".into(), no_prompt);
    let name = Path::new("/nonexistent").join("vault.age").display().to_string();
    assert_eq!((file.kind(), file.display_name()), (StoreKind::File, name));
    assert_eq!(file.get(&entry_id("keywright", "x"), SOON).unwrap_err(), Error::NoEntry);
    assert!([5, 120].contains(&keychain_timeout().as_secs()));
}

#[test]
fn store_kinds_parse_what_they_display() {
    for kind in [StoreKind::Keychain, StoreKind::File, StoreKind::Memory] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("keyutils".parse::<StoreKind>(), Err(ParseStoreKindError::UnknownName));
}
