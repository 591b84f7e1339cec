//! What is refused while a label has moved in the secret store and not yet in the inventory.

use super::*;
use keywright::domain::ExecProgram;

use crate::{Error, SecretStore, SecretString, ServiceContext, migrate_all};

/// A rotation that was killed before the inventory was written: the entry of `agent` has the only text of
/// the new key.
fn with_moved_label() -> (TestAccount, String, String) {
    let account = TestAccount::new();
    let (old, new) = interrupted(&account);
    account.put("agent (old)", &old);
    account.put("agent", &new);
    account.services.secret_store.delete(&entry_id("agent (new)"), TIMEOUT).unwrap();
    (account, old, new)
}

fn check_refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    let Err(error @ Error::Refused(_)) = result else { panic!("{result:?}") };
    let error = error.to_user_error();
    assert_eq!(error.message, "the rotation of 'agent' was interrupted while its label moved");
    assert!(error.advice.contains("keywright recover"), "{error:?}");
}

#[test]
fn no_key_of_a_rotation_is_removed_or_changed_while_its_label_moves() {
    let (account, old, new) = with_moved_label();
    let (services, management) = (&account.services, &account.management);
    let (labels, entries) = (account.labels(), account.entries());
    let count_requests = || account.proxy.count("DELETE") + account.proxy.count("PATCH");
    let sent = count_requests();
    for name in ["agent", "agent (new)"] {
        let key = account.stored_key(name);
        check_refused(keys::remove_key(services, &key));
        check_refused(block_on(keys::revoke_and_remove(services, management, &key)));
        check_refused(block_on(keys::set_disabled(services, management, &key, true)));
        check_refused(block_on(keys::rename_key(services, &key, &label("prod"), None)));
    }
    assert_eq!((account.labels(), account.entries()), (labels, entries));
    assert_eq!(count_requests(), sent);
    assert_eq!(account.get("agent"), Some(new.clone()));
    check_refused::<()>(Err(keys::missing_error(services, &label("agent (new)"))));
    // Once it is finished, both can be removed.
    assert!(block_on(keys::resume_rotations(services)).unwrap()[0].1.is_ok());
    handed_over(&account, &old);
    assert_eq!(account.get("agent"), Some(new));
    keys::remove_key(services, &account.stored_key("agent (old)")).unwrap();
    keys::remove_key(services, &account.stored_key("agent")).unwrap();
}

#[test]
fn a_leak_while_a_label_moves_disables_both_keys_and_creates_a_third() {
    let (account, old, new) = with_moved_label();
    let services = &account.services;
    let leaked = keys::add_moved_keys(services, vec![account.stored_key("agent")]);
    let hashes: Vec<_> = leaked.iter().map(|key| key.hash.clone()).collect();
    let is_other_key_added = keys::add_moved_keys(services, vec![account.stored_key("laptop")]);
    assert_eq!((hashes.len(), is_other_key_added.len()), (2, 1));
    let responses = block_on(keys::respond_to_leak(
        services,
        &leaked,
        Some(&account.management),
        &management(&account),
        &mut controls(),
        &|_| (),
    ));
    assert!(responses.iter().all(LeakResponse::is_complete), "{responses:?}");
    let current = account.get("agent").unwrap();
    assert!(current != old && current != new);
    assert_eq!(account.get("agent (old)"), Some(old));
    assert_eq!(account.get("agent (old) 2"), Some(new));
    for name in ["agent (old)", "agent (old) 2"] {
        assert_eq!(account.stored_key(name).disabled, Some(true), "{name}");
    }
    assert_eq!(account.stored_key("agent").disabled, None);
    assert_eq!(account.proxy.count("POST"), 2);
}

#[test]
fn leaked_keys_are_marked_before_the_first_request() {
    let (account, ..) = with_moved_label();
    let services = account.services.clone();
    // Whether the label has moved is not known while the store cannot be read.
    let program = ExecProgram::parse("exec:keywright-no-such-helper").unwrap();
    let locked = ServiceContext { secret_store: SecretStore::exec(program), ..services.clone() };
    let other_keychain = SecretStore::memory_with_entries(Vec::new());
    let other = ServiceContext { secret_store: other_keychain, ..services.clone() };
    let add = |services| keys::add_moved_keys(services, vec![account.stored_key("agent")]);
    let leaked = add(&locked);
    assert_eq!((leaked.len(), add(&other).len()), (2, 2));
    account.proxy.set_rule(move |request| {
        if request.starts_with("PATCH") {
            let marked = services.filter_keys(|key| key.leaked).unwrap();
            assert_eq!(marked.len(), 2, "at the first request");
        }
        Fault::Pass
    });
    let responses = block_on(keys::respond_to_leak(
        &locked,
        &leaked,
        Some(&account.management),
        &management(&account),
        &mut controls(),
        &|_| (),
    ));
    for name in ["agent", "agent (new)"] {
        assert_eq!(account.stored_key(name).disabled, Some(true), "{name}");
    }
    let errors: Vec<_> =
        responses.iter().flat_map(LeakResponse::action_results).filter(|a| !a.succeeded).collect();
    assert!(!errors.is_empty());
    assert!(!errors.iter().any(|error| error.message.contains("keys work")), "{errors:?}");
}

#[test]
fn nothing_moves_to_another_store_while_a_label_moves() {
    let (account, old, new) = with_moved_label();
    let (services, entries) = (&account.services, account.entries());
    let dir = tempfile::tempdir().unwrap();
    let ask = std::sync::Arc::new(|_| Ok(SecretString::from("passphrase")));
    let to = SecretStore::age_file(dir.path().to_owned(), ask);
    check_refused(migrate_all(services, &services.secret_store, &to));
    assert_eq!(account.entries(), entries);
    assert!(block_on(keys::resume_rotations(services)).unwrap()[0].1.is_ok());
    handed_over(&account, &old);
    assert_eq!(account.get("agent"), Some(new));
    let moved = migrate_all(services, &services.secret_store, &to).unwrap();
    assert!(moved.iter().all(|entry| entry.result.is_ok()), "{moved:?}");
}

#[test]
fn an_entry_with_the_text_of_another_listed_key_is_kept() {
    for is_revoked in [true, false] {
        let account = TestAccount::new();
        let laptop = account.get("laptop").unwrap();
        account.put("ci", &laptop);
        let (services, ci) = (&account.services, account.stored_key("ci"));
        if is_revoked {
            block_on(keys::revoke_and_remove(services, &account.management, &ci)).unwrap();
        } else {
            assert_eq!(keys::remove_key(services, &ci).unwrap(), None);
        }
        assert!(!account.labels().contains(&"ci".to_owned()));
        assert_eq!(account.get("ci"), Some(laptop));
    }
}
