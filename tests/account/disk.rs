//! A data directory that cannot be written: before anything was done, and after it.
//!
//! A directory under the name of a temporary file or of a lock file fails every write, also for root.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{ErrorKind, FieldChange, KeyPatch, RetirePolicy, RotationOutcome};
use keywright::services::keys::{RevokeOutcome, recover_interrupted};
use keywright::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};
use keywright::storage::journal::{self, Attempt, AttemptGuard, AttemptStage};
use keywright::storage::json_store;
use tokio::sync::{mpsc, watch};

use super::*;

fn account_on_disk() -> (TestAccount, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let account = TestAccount::of(4, StoreLocation::Directory(dir.path().to_owned()));
    (account, dir)
}

/// Fails every write to the inventory from the start, as on a full disk.
fn block_all(dir: &Path) {
    let lock = dir.join("inventory.json.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(lock).unwrap();
}

/// Fails writing the inventory, although it was writable a moment before.
fn block_inventory(dir: &Path) {
    std::fs::create_dir(dir.join("inventory.json.new")).unwrap();
}

fn unblock_inventory(dir: &Path) {
    std::fs::remove_dir(dir.join("inventory.json.new")).unwrap();
}

fn controls() -> ProvisioningControls {
    ProvisioningControls { cancel: watch::channel(false).1, pasted_codes: mpsc::channel(1).1 }
}

/// Creates a key at the sandbox that is stored nowhere.
fn new_key(account: &TestAccount) -> ApiKey {
    use std::io::{Read, Write};
    let body = r#"{"name":"elsewhere"}"#;
    let address = account.sandbox.url().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let token = account.management.expose_secret();
    write!(
        stream,
        "POST /api/v1/keys HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    ApiKey::from(json["key"].as_str().unwrap().to_owned())
}

#[test]
fn nothing_is_sent_or_deleted_unless_the_inventory_can_be_written() {
    let (account, dir) = account_on_disk();
    let (services, management) = (&account.services, &account.management);
    let key = new_key(&account);
    let remote =
        block_on(keys::fetch_account_key(services, management, &account.stored_key("ci").hash))
            .unwrap();
    block_all(dir.path());
    let before = (account.labels(), account.entries());
    let stored_key = account.stored_key("ci");
    let policy = RetirePolicy { unused_for: 0, revoke_when_unused: false };
    let method = AuthMethod::ManagementKey(management.clone());
    let rotation = block_on(keys::rotate_key(
        services,
        &stored_key,
        &FieldChange::Keep,
        method,
        policy,
        &mut controls(),
        &|_| (),
    ));
    assert!(matches!(&rotation, RotationOutcome::Failed(error) if error.kind == ErrorKind::Failed));
    let errors = [
        keys::remove_key(services, &stored_key).err(),
        block_on(keys::revoke_and_remove(services, management, &stored_key)).err(),
        block_on(keys::set_disabled(services, management, &stored_key, true)).err(),
        block_on(keys::update_key(services, management, &remote, &KeyPatch::default())).err(),
        block_on(keys::rename_key(services, &stored_key, &label("build"), None)).err(),
        block_on(keys::import_key(services, &label("other"), &key)).err(),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert!(matches!(error, Some(Error::JsonStore(_))), "{index}: {error:?}");
    }
    for method in ["POST", "PATCH", "DELETE"] {
        assert_eq!(account.proxy.count(method), 0, "{method}");
    }
    assert_eq!((account.labels(), account.entries()), before);
}

#[test]
fn a_removal_or_a_restoration_that_is_not_recorded_changes_nothing() {
    let (account, dir) = account_on_disk();
    let ci = account.stored_key("ci");
    let before = (account.labels(), account.entries(), account.trash_entries());
    block_inventory(dir.path());
    let error = keys::remove_key(&account.services, &ci).unwrap_err().to_user_error();
    assert_eq!(exit_code(error.kind), 1);
    assert_eq!((account.labels(), account.entries(), account.trash_entries()), before);
    unblock_inventory(dir.path());
    let trashed = keys::remove_key(&account.services, &ci).unwrap().unwrap();
    let before = (account.labels(), account.entries(), account.trash_entries());
    assert_eq!((account.labels().len(), before.2.len()), (3, 1));
    block_inventory(dir.path());
    assert!(keys::restore_key(&account.services, &trashed, &ci.label).is_err());
    assert_eq!((account.labels(), account.entries(), account.trash_entries()), before);
}

#[test]
fn removing_a_key_without_a_secret_that_is_not_recorded_says_what_is_left() {
    let (account, dir) = account_on_disk();
    let ci = account.stored_key("ci");
    account.services.secret_store.delete(&entry_id("ci"), TIMEOUT).unwrap();
    block_inventory(dir.path());
    let error = keys::remove_key(&account.services, &ci).unwrap_err().to_user_error();
    assert!(error.message.contains("still in the inventory"), "{error:?}");
    assert!(error.advice.ends_with("keywright rm ci"), "{error:?}");
    unblock_inventory(dir.path());
    assert_eq!(keys::remove_key(&account.services, &ci).unwrap(), None, "nothing to restore");
    assert_eq!(account.labels().len(), 3);
}

#[test]
fn a_revocation_that_is_not_recorded_says_that_the_copy_is_gone_too() {
    let (account, dir) = account_on_disk();
    let stored_key = account.stored_key("ci");
    let revoke =
        || block_on(keys::revoke_and_remove(&account.services, &account.management, &stored_key));
    block_inventory(dir.path());
    let error = revoke().unwrap_err().to_user_error();
    assert_eq!(exit_code(error.kind), 1);
    assert!(error.message.contains("no longer in"), "{error:?}");
    assert!(error.meaning.contains("deleted at OpenRouter"), "{error:?}");
    assert_eq!(account.get("ci"), None);
    unblock_inventory(dir.path());
    assert_eq!(revoke().unwrap(), RevokeOutcome::AlreadyRevoked);
    assert_eq!(account.labels().len(), 3);
}

#[test]
fn a_leaked_key_is_disabled_even_where_nothing_can_be_written() {
    let (account, dir) = account_on_disk();
    block_all(dir.path());
    let stored_key = account.stored_key("ci");
    let responses = block_on(keys::respond_to_leak(
        &account.services,
        &[stored_key],
        Some(&account.management),
        &AuthMethod::ManagementKey(account.management.clone()),
        &mut controls(),
        &|_| (),
    ));
    let [response] = &responses[..] else { panic!("{responses:?}") };
    assert!(response.disable_result.succeeded, "{response:?}");
    assert!(response.disable_result.message.contains("inventory could not be written"));
    assert!(matches!(response.rotation, Some(RotationOutcome::Failed(_))));
    assert_eq!((account.proxy.count("PATCH"), account.proxy.count("POST")), (1, 0));
}

#[test]
fn an_import_that_is_not_listed_is_undone() {
    let (account, dir) = account_on_disk();
    let key = new_key(&account);
    let import = || block_on(keys::import_key(&account.services, &label("other"), &key));
    let before = (account.labels(), account.entries());
    block_inventory(dir.path());
    let error = import().unwrap_err();
    assert!(matches!(error, Error::JsonStore(_)), "{error:?}");
    assert_eq!((account.labels(), account.entries()), before);
    unblock_inventory(dir.path());
    import().unwrap();
}

#[test]
fn labels_do_not_change_while_another_process_is_storing_a_key() {
    let (account, _dir) = account_on_disk();
    let services = ServiceContext {
        secret_store_timeout: Duration::from_millis(10),
        ..account.services.clone()
    };
    let key = new_key(&account);
    account.put("orphan", "sk-or-v1-0");
    let _lock = services.location.try_lock("storing.lock").unwrap();
    let before = (account.labels(), account.entries());
    for error in [
        block_on(keys::rename_key(&services, &account.stored_key("ci"), &label("build"), None))
            .err(),
        block_on(keys::import_key(&services, &label("other"), &key)).err(),
        block_on(keys::restore_inventory_entry(&services, &label("orphan"), false)).err(),
    ] {
        let is_locked = matches!(error, Some(Error::JsonStore(json_store::Error::LockHeld(_))));
        assert!(is_locked, "{error:?}");
    }
    assert_eq!((account.labels(), account.entries()), before);
}

fn interrupted_attempt(account: &TestAccount, name: &str, stage: AttemptStage) -> Attempt {
    Attempt {
        id: ApiKey::from(name.to_owned()).hash()[..32].to_owned(),
        started_at: Timestamp::now() - SignedDuration::from_mins(60),
        label: label(name),
        server: account.services.server.clone(),
        stage,
        store: Some(StoreKind::Memory),
        local_store: None,
        send_count: 1,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::default(),
        replaces: None,
        received_key: None,
        management_key: None,
        has_entry: None,
        unknown: serde_json::Map::default(),
    }
}

#[test]
fn a_key_stored_under_a_numbered_label_is_found_after_a_crash() {
    let account = TestAccount::new();
    let key = new_key(&account);
    // The label was taken since the preflight, and the program died before the journal was written.
    account.put("other", "sk-or-v1-1");
    account.put("other 2", key.expose_secret());
    let received = StoredKey::new(
        label("other"),
        &key,
        account.services.server.clone(),
        StoreKind::Memory,
        Timestamp::now(),
    );
    let attempt = Attempt {
        received_key: Some(received),
        ..interrupted_attempt(&account, "other", AttemptStage::KeyReceived)
    };
    drop(AttemptGuard::begin_all(&account.services.location, vec![attempt]).unwrap());
    let report = block_on(recover_interrupted(&account.services)).unwrap();
    assert!(report.unresolved.is_empty(), "{report:?}");
    assert_eq!(report.stored[0].label.as_str(), "other 2");
    assert_eq!(account.stored_key("other 2").hash, key.hash());
}

#[test]
fn an_attempt_whose_secrets_were_not_copied_stays_in_its_store() {
    let account = TestAccount::new();
    let location = &account.services.location;
    let entry = |attempt: &Attempt| EntryId {
        service: "keywright-attempts".into(),
        account: attempt.id.clone(),
    };
    let secret = |text: &str| SecretString::from(text);
    let [moved, kept] = ["moved", "kept"].map(|name| Attempt {
        store: Some(StoreKind::Keychain),
        ..interrupted_attempt(&account, name, AttemptStage::Unresolved)
    });
    for attempt in [&moved, &kept] {
        drop(AttemptGuard::begin_all(location, vec![attempt.clone()]).unwrap());
        account.services.secret_store.set(&entry(attempt), &secret("a"), TIMEOUT).unwrap();
    }
    let to = SecretStore::memory_with_entries(vec![(entry(&kept), secret("b"))]);
    let from = &account.services.secret_store;
    migrate_all(&account.services, from, &to).unwrap();
    let store = |attempt: &Attempt| {
        let attempts = journal::list_all_attempts(location).unwrap();
        attempts.into_iter().find(|other| other.id == attempt.id).unwrap().store.unwrap()
    };
    assert_eq!((store(&moved), store(&kept)), (StoreKind::Memory, StoreKind::Keychain));
}
