//! The vault as the rest of the house uses it, on the memory store. The OS keychain needs a real
//! one, and has its checks elsewhere.

#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

use std::sync::Arc;
use std::time::Duration;

use keywright::storage::secret_store::{
    EntryId, Error, ParseStoreKindError, SecretStore, StoreKind, keychain_timeout,
};
use secrecy::{ExposeSecret, SecretString};

const SOON: Duration = Duration::from_secs(1);

fn slot(service: &str, account: &str) -> EntryId {
    EntryId { service: service.to_owned(), account: account.to_owned() }
}

#[test]
fn what_is_set_comes_back_until_it_is_deleted() {
    let vault = SecretStore::memory_with_entries(Vec::new());
    let laptop = slot("keywright", "laptop");
    assert_eq!(vault.get(&laptop, SOON).unwrap_err(), Error::NoEntry);
    for secret in ["first", "second"] {
        vault.set(&laptop, &SecretString::from(secret), SOON).unwrap();
        assert_eq!(vault.get(&laptop, SOON).unwrap().expose_secret(), secret);
    }
    assert_eq!(vault.delete(&laptop, SOON), Ok(()));
    assert_eq!(vault.delete(&laptop, SOON), Err(Error::NoEntry));
    assert_eq!(vault.get(&laptop, SOON).unwrap_err(), Error::NoEntry);
}

#[test]
fn accounts_are_sorted_and_of_their_service_alone() {
    let vault = SecretStore::memory_with_entries(vec![
        (slot("keywright", "notebook"), SecretString::from("1")),
        (slot("keywright/localhost:9", "else"), SecretString::from("2")),
        (slot("keywright", "ci"), SecretString::from("3")),
    ]);
    assert_eq!(vault.list_accounts("keywright", SOON).unwrap(), ["ci", "notebook"]);
    assert_eq!(vault.check_writable("keywright", SOON), Ok(()));
    assert_eq!(vault.list_accounts("keywright", SOON).unwrap().len(), 2);
    assert!(vault.list_accounts("other", SOON).unwrap().is_empty());
}

#[test]
fn a_clone_is_a_handle_to_the_same_store() {
    let vault = SecretStore::memory_with_entries(Vec::new());
    let ci = slot("keywright", "ci");
    vault.clone().set(&ci, &SecretString::from("x"), SOON).unwrap();
    assert_eq!(vault.get(&ci, SOON).unwrap().expose_secret(), "x");
    assert!(format!("{vault:?}").starts_with("SecretStore(memory)"));
}

#[test]
fn opening_the_keychain_touches_nothing_and_says_where_it_is() {
    let vault = SecretStore::keychain();
    assert_eq!(vault.kind(), StoreKind::Keychain);
    assert!(!vault.display_name().is_empty());
    assert_eq!(
        SecretStore::memory_with_entries(Vec::new()).display_name(),
        "memory, until Keywright ends"
    );
    let nobody = Arc::new(|_| panic!("nobody is asked yet"));
    let file = SecretStore::age_file("/nonexistent".into(), nobody);
    assert_eq!(
        (file.kind(), file.display_name()),
        (StoreKind::File, "/nonexistent/vault.age".into())
    );
    assert_eq!(file.get(&slot("keywright", "x"), SOON).unwrap_err(), Error::NoEntry);
    assert!([5, 120].contains(&keychain_timeout().as_secs()));
}

#[test]
fn a_store_reads_back_as_it_is_written() {
    for kind in [StoreKind::Keychain, StoreKind::File, StoreKind::Memory] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("keyutils".parse::<StoreKind>(), Err(ParseStoreKindError));
}
