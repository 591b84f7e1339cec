//! Removed keys: they can be restored for a week.

use jiff::SignedDuration;
use jiff::Timestamp;
use keywright::domain::{KeyLocation, TrashedKey};
use keywright::services::keys::{StrayEntry, unlisted_label};
use tokio::sync::watch;

use super::*;
#[cfg(unix)]
use crate::helper::write_helper;

fn remove(account: &TestAccount, label: &str) -> TrashedKey {
    keys::remove_key(&account.services, &account.stored_key(label)).unwrap().unwrap()
}

fn rename(account: &TestAccount, old: &str, new: &str) {
    let old = account.stored_key(old);
    block_on(keys::rename_key(&account.services, &old, &label(new), None)).unwrap();
}

fn trash(account: &TestAccount) -> Vec<TrashedKey> {
    inventory::list_trash(&account.services.location, &account.services.server).unwrap()
}

#[test]
fn a_removed_key_is_restored_with_its_text_and_its_place_in_the_inventory() {
    let account = TestAccount::new();
    let (labels, entries, text) = (account.labels(), account.entries(), account.get("ci"));
    let before = account.stored_key("ci");
    let trashed = remove(&account, "ci");
    assert_eq!((account.get("ci"), account.trash_entries()), (None, vec![before.hash.clone()]));
    assert!(!account.labels().contains(&"ci".to_owned()));
    assert_eq!(trash(&account), std::slice::from_ref(&trashed));
    let restored = keys::restore_key(&account.services, &trashed, &before.label).unwrap();
    assert_eq!(restored, before);
    assert_eq!((account.labels().len(), account.entries()), (labels.len(), entries));
    assert_eq!(account.get("ci"), text);
    assert!(trash(&account).is_empty() && account.trash_entries().is_empty());
    let again = keys::restore_key(&account.services, &trashed, &label("other"));
    assert!(matches!(again, Err(Error::KeyAlreadyStored(_))), "{again:?}");
}

#[test]
fn a_label_that_another_key_has_by_now_is_kept_and_the_removed_key_gets_another() {
    let account = TestAccount::new();
    let (trashed, text) = (remove(&account, "ci"), account.get("ci"));
    assert_eq!(text, None);
    rename(&account, "laptop", "ci");
    let taken = keys::restore_key(&account.services, &trashed, &label("ci"));
    assert!(matches!(taken, Err(Error::LabelTaken(_))), "{taken:?}");
    let restored = keys::restore_key(&account.services, &trashed, &label("ci 2")).unwrap();
    assert_eq!(restored.hash, trashed.key.hash);
    assert!(account.get("ci 2").is_some());
    // Two removed keys may have the same label.
    remove(&account, "ci 2");
    block_on(keys::rename_key(&account.services, &account.stored_key("ci"), &label("ci 2"), None))
        .unwrap();
    remove(&account, "ci 2");
    assert_eq!((trash(&account).len(), account.trash_entries().len()), (2, 2));
}

#[test]
fn a_key_that_another_program_replaced_since_is_not_removed() {
    let account = TestAccount::new();
    let seen = account.stored_key("ci");
    block_on(keys::rename_key(&account.services, &seen, &label("old"), None)).unwrap();
    rename(&account, "laptop", "ci");
    let result = keys::remove_key(&account.services, &seen);
    assert!(matches!(result, Err(Error::NotInInventory(_))), "{result:?}");
    assert!(account.get("ci").is_some() && account.get("old").is_some());
}

#[test]
fn a_removed_key_is_deleted_after_a_week_by_a_command_that_opens_the_store() {
    let account = TestAccount::new();
    let removed = remove(&account, "ci");
    let refresh = |after: SignedDuration| {
        let now = move || Timestamp::now().checked_add(after).unwrap();
        let (_stop, stopped) = watch::channel(false);
        block_on(keys::refresh_keys(&account.services, Vec::new(), now, |_, _, _| (), stopped));
    };
    refresh(SignedDuration::from_hours(7 * 24 - 1));
    assert_eq!((trash(&account), account.trash_entries().len()), (vec![removed], 1));
    refresh(SignedDuration::from_hours(7 * 24 + 1));
    assert!(trash(&account).is_empty() && account.trash_entries().is_empty());
}

#[test]
fn a_revoked_key_is_deleted_at_once() {
    let account = TestAccount::new();
    let ci = account.stored_key("ci");
    block_on(keys::revoke_and_remove(&account.services, &account.management, &ci)).unwrap();
    assert!(trash(&account).is_empty() && account.trash_entries().is_empty());
    assert_eq!(account.get("ci"), None);
}

#[test]
fn emptying_the_trash_deletes_also_what_an_interruption_left_there() {
    let account = TestAccount::new();
    remove(&account, "ci");
    let left = EntryId { service: "keywright/test trash".into(), account: "left".into() };
    account.services.secret_store.set(&left, &SecretString::from("x"), TIMEOUT).unwrap();
    assert_eq!(keys::empty_trash(&account.services).unwrap().len(), 1);
    assert!(trash(&account).is_empty() && account.trash_entries().is_empty());
    assert_eq!(account.labels().len(), 3);
}

#[test]
fn removed_keys_move_with_the_others_to_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut account = TestAccount::new();
    let trashed = remove(&account, "ci");
    let ask = std::sync::Arc::new(|_| Ok(SecretString::from("passphrase")));
    let to = SecretStore::age_file(dir.path().to_owned(), ask);
    let services = &account.services;
    let moved = migrate_all(services, &services.secret_store, &to).unwrap();
    assert!(moved.iter().all(|entry| entry.result.is_ok()), "{moved:?}");
    assert!(account.trash_entries().is_empty());
    account.services.secret_store = to;
    let trashed = TrashedKey { key: trash(&account).remove(0).key, ..trashed };
    assert!(trashed.key.is_in_store(&StoreKind::File));
    keys::restore_key(&account.services, &trashed, &trashed.key.label).unwrap();
    assert!(account.get("ci").is_some());
}

#[test]
fn a_key_that_was_renamed_while_it_was_revoked_is_removed_under_its_new_label() {
    let account = TestAccount::new();
    let (seen, laptop) = (account.stored_key("ci"), account.get("laptop"));
    rename(&account, "ci", "old");
    rename(&account, "laptop", "ci");
    block_on(keys::revoke_and_remove(&account.services, &account.management, &seen)).unwrap();
    assert_eq!((account.get("old"), account.get("ci")), (None, laptop));
    assert!(!account.labels().contains(&"old".to_owned()));
}

#[test]
fn another_text_in_the_trash_is_not_restored() {
    let account = TestAccount::new();
    let trashed = remove(&account, "ci");
    let store = &account.services.secret_store;
    let service = format!("{} trash", account.services.keychain_service);
    let entry = EntryId { service, account: trashed.key.hash.clone() };
    store
        .set(&entry, &"another text".to_owned().into(), account.services.secret_store_timeout)
        .unwrap();
    let restored = keys::restore_key(&account.services, &trashed, &label("ci"));
    assert!(matches!(restored, Err(Error::TrashMismatch(_))), "{restored:?}");
    assert_eq!((account.get("ci"), trash(&account).len()), (None, 1));
}

/// Sets when a removed key was removed.
fn age(account: &TestAccount, removed_at: Timestamp) {
    inventory::update_trash(&account.services.location, |_, trash| {
        for trashed in trash.iter_mut() {
            trashed.removed_at = removed_at;
        }
    })
    .unwrap();
}

fn restorable(account: &TestAccount) -> Vec<String> {
    let trash = keys::list_restorable_keys(&account.services, Timestamp::now()).unwrap();
    trash.into_iter().map(|trashed| trashed.key.label.to_string()).collect()
}

fn trash_entry(hash: &str) -> EntryId {
    EntryId { service: "keywright/test trash".into(), account: hash.into() }
}

#[test]
fn only_a_key_that_can_be_restored_is_offered() {
    let account = TestAccount::new();
    let removed = remove(&account, "ci");
    assert_eq!(restorable(&account), ["ci"]);
    age(&account, Timestamp::now() - SignedDuration::from_hours(7 * 24));
    assert_eq!((restorable(&account).len(), trash(&account).len()), (0, 1));
    age(&account, Timestamp::now());
    account.services.secret_store.delete(&trash_entry(&removed.key.hash), TIMEOUT).unwrap();
    assert_eq!((restorable(&account).len(), trash(&account).len()), (0, 1));
    // For a store that is not asked, the missing text is noticed when the key is restored. Then the key is no longer listed.
    let restored = keys::restore_key(&account.services, &removed, &removed.key.label);
    assert!(matches!(restored, Err(Error::NotInTrash(_))), "{restored:?}");
    assert_eq!(trash(&account), []);
}

#[test]
fn nothing_is_deleted_from_the_trash_unless_every_store_can_be_opened() {
    let account = TestAccount::new();
    let in_file = account.stored_key("laptop");
    remove(&account, "laptop");
    remove(&account, "ci");
    let (dir, before) = (tempfile::tempdir().unwrap(), trash(&account));
    // The key that was removed first, which is the last to be deleted, is in a store that does not open.
    inventory::update_trash(&account.services.location, |_, trash| {
        let trashed = trash.iter_mut().find(|trashed| trashed.key.hash == in_file.hash).unwrap();
        trashed.key.location = KeyLocation::Stored(StoreKind::File);
    })
    .unwrap();
    let open = std::sync::Arc::new(|_| Ok(SecretString::from("passphrase")));
    let store = SecretStore::age_file(dir.path().to_owned(), open);
    store.set(&trash_entry(&in_file.hash), &SecretString::from("x"), TIMEOUT).unwrap();
    let wrong = std::sync::Arc::new(|_| Ok(SecretString::from("another passphrase")));
    let services = ServiceContext {
        other_stores: vec![SecretStore::age_file(dir.path().to_owned(), wrong)],
        ..account.services.clone()
    };
    keys::empty_trash(&services).unwrap_err();
    assert_eq!((trash(&account).len(), account.trash_entries().len()), (before.len(), 2));
}

/// Returns what the doctor finds, and checks that repairing it leaves nothing.
fn mend(account: &TestAccount) -> Vec<StrayEntry> {
    let found = keys::find_stray_entries(&account.services).unwrap();
    assert_eq!(keys::mend_stray_entries(&account.services).unwrap(), found);
    assert_eq!(keys::find_stray_entries(&account.services).unwrap(), []);
    found
}

#[test]
fn a_removal_that_was_interrupted_at_any_step_is_named_and_finished() {
    let account = TestAccount::new();
    let (before, entries) = (account.stored_key("ci"), account.entries());
    let text = account.get("ci").unwrap();
    account.put("someone else's", "x");
    assert_eq!(mend(&account), []);
    // Before the inventory was written: the key is stored, and its copy goes.
    let copy = trash_entry(&before.hash);
    account.services.secret_store.set(&copy, &text.as_str().into(), TIMEOUT).unwrap();
    let (hash, ci) = (before.hash.clone(), label("ci"));
    assert_eq!(mend(&account), [StrayEntry::CopyInTrash { hash, label: ci.clone() }]);
    assert_eq!((account.get("ci").as_ref(), account.trash_entries().len()), (Some(&text), 0));
    // After it: the key is in the trash, and its entry goes.
    let trashed = remove(&account, "ci");
    account.put("ci", &text);
    assert_eq!(
        mend(&account),
        [StrayEntry::RemovedKey { account: "ci".into(), label: ci.clone() }]
    );
    assert_eq!((account.get("ci"), trash(&account)), (None, vec![trashed.clone()]));
    keys::restore_key(&account.services, &trashed, &ci).unwrap();
    assert_eq!(account.entries(), [&entries[..], &["someone else's".into()]].concat());
}

#[test]
fn a_restoration_that_was_interrupted_under_another_label_leaves_one_entry() {
    let account = TestAccount::new();
    let text = account.get("ci").unwrap();
    let trashed = remove(&account, "ci");
    account.put("other", &text);
    keys::restore_key(&account.services, &trashed, &trashed.key.label).unwrap();
    let second = StrayEntry::SecondEntry { account: "other".into(), label: label("ci") };
    assert_eq!(mend(&account), [second]);
    assert_eq!((account.get("ci"), account.get("other")), (Some(text), None));
}

#[test]
fn a_removed_key_that_no_list_names_is_listed_again() {
    let account = TestAccount::new();
    let text = account.get("ci").unwrap();
    let hash = remove(&account, "ci").key.hash.clone();
    inventory::update_trash(&account.services.location, |_, trash| trash.clear()).unwrap();
    assert_eq!(mend(&account), [StrayEntry::UnlistedInTrash { hash: hash.clone() }]);
    let listed = trash(&account).remove(0);
    assert_eq!((listed.key.label.as_str(), &listed.key.hash), (&*unlisted_label(&hash), &hash));
    keys::restore_key(&account.services, &listed, &label("ci")).unwrap();
    assert_eq!(account.get("ci"), Some(text));
}

/// Removes a key from the store of a helper for which this shell code fails once, and returns the text of
/// the key with the outcome.
#[cfg(unix)]
fn remove_with_fault(
    account: &mut TestAccount,
    dir: &std::path::Path,
    fault: &str,
) -> (String, Result<Option<TrashedKey>, Error>) {
    let text = account.get("ci").unwrap();
    let kind = write_helper(dir, fault);
    let StoreKind::Exec(program) = kind.clone() else { unreachable!() };
    account.services.secret_store = SecretStore::exec(program);
    account.put("ci", &text);
    inventory::update_keys(&account.services.location, |keys| {
        let ci = keys.iter_mut().find(|key| key.label.as_str() == "ci").unwrap();
        ci.location = KeyLocation::Stored(kind);
    })
    .unwrap();
    let outcome = keys::remove_key(&account.services, &account.stored_key("ci"));
    (text, outcome)
}

#[cfg(unix)]
#[test]
fn a_removal_whose_response_is_lost_keeps_the_copy_in_the_trash() {
    let (mut account, dir) = (TestAccount::new(), tempfile::tempdir().unwrap());
    let fault = r#"[ "$1" = erase ] && mkdir "$dir/once" && trap 'exit 1' EXIT"#;
    let (text, outcome) = remove_with_fault(&mut account, dir.path(), fault);
    let trashed = outcome.unwrap().unwrap();
    assert_eq!((account.get("ci"), trash(&account)), (None, vec![trashed.clone()]));
    keys::restore_key(&account.services, &trashed, &label("ci")).unwrap();
    assert_eq!(account.get("ci"), Some(text));
}

#[cfg(unix)]
#[test]
fn a_removal_that_fails_is_undone_unless_what_the_store_has_is_unknown() {
    let (mut account, dir) = (TestAccount::new(), tempfile::tempdir().unwrap());
    let fault = r#"[ "$1" = erase ] && mkdir "$dir/once" && exit 1"#;
    let (text, outcome) = remove_with_fault(&mut account, dir.path(), fault);
    assert!(matches!(outcome, Err(Error::SecretStore(_))), "{outcome:?}");
    assert_eq!((account.get("ci").as_ref(), trash(&account)), (Some(&text), vec![]));
    assert_eq!(account.trash_entries().len(), 0);

    let (mut account, dir) = (TestAccount::new(), tempfile::tempdir().unwrap());
    let fault = r#"[ "$1" = erase ] && mkdir "$dir/once" && mkdir "$dir/down"; [ -d "$dir/down" ] && exit 1"#;
    let (text, outcome) = remove_with_fault(&mut account, dir.path(), fault);
    let error = outcome.unwrap_err().to_user_error();
    assert_eq!(exit_code(error.kind), 4);
    assert!(error.meaning.contains("in the trash"), "{error:?}");
    std::fs::remove_dir(dir.path().join("down")).unwrap();
    let trashed = trash(&account).remove(0);
    keys::restore_key(&account.services, &trashed, &label("ci")).unwrap();
    assert_eq!(account.get("ci"), Some(text));
}
