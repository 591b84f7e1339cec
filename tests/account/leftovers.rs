//! Recovery of interrupted attempts, and migration to another secret store.

use jiff::{SignedDuration, Timestamp};
use keywright::services::keys::{Error, MigratedEntry, RecoveryReport, recover_and_reconcile};
use keywright::storage::journal::{self, Attempt, AttemptGuard, AttemptStage};

use super::*;

/// An attempt whose program is gone.
fn attempt(world: &TestAccount, name: &str, minutes_ago: i64, stage: AttemptStage) -> Attempt {
    attempt_with(world, name, minutes_ago, stage, None)
}

/// Does what [`attempt`] does; with the management key that sent the request.
fn attempt_with(
    world: &TestAccount,
    name: &str,
    minutes_ago: i64,
    stage: AttemptStage,
    management_key: Option<String>,
) -> Attempt {
    let attempt = Attempt {
        id: ApiKey::from(format!("{name}{minutes_ago}")).hash()[..32].to_owned(),
        started_at: Timestamp::now() - SignedDuration::from_mins(minutes_ago),
        label: label(name),
        server: world.services.server.clone(),
        stage,
        store: Some(StoreKind::Memory),
        local_store: None,
        send_count: 1,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::default(),
        replaces: None,
        received_key: None,
        management_key,
        has_entry: None,
        unknown: serde_json::Map::default(),
    };
    drop(AttemptGuard::begin_all(&world.services.location, vec![attempt.clone()]).unwrap());
    attempt
}

fn recover(world: &TestAccount) -> RecoveryReport {
    block_on(recover_and_reconcile(&world.services, Timestamp::now())).unwrap()
}

fn advice(left: &RecoveryReport, name: &str) -> String {
    let found = left.unresolved.iter().find(|(attempt, _)| attempt.label.as_str() == name);
    found.unwrap_or_else(|| panic!("{name} is not listed: {left:?}")).1.clone()
}

/// Records the account of the management key as that of every stored key.
fn assign_account_to_stored_keys(world: &TestAccount) {
    let client = world.services.build_client().unwrap();
    let account = block_on(
        client.get_current_key(&ApiKey::from(world.management.expose_secret().to_owned())),
    );
    let account = account.unwrap().creator_user_id;
    assert!(account.is_some());
    inventory::update_keys(&world.services.location, |keys| {
        for stored_key in keys {
            stored_key.user_id.clone_from(&account);
        }
    })
    .unwrap();
}

#[test]
fn without_a_management_key_every_attempt_stays_unresolved() {
    let world = TestAccount::new();
    let lost = attempt(&world, "lost", 60, AttemptStage::Unresolved);
    attempt(&world, "sent", 60, AttemptStage::RequestSent);
    attempt(&world, "waiting", 60, AttemptStage::Prepared);
    let left = recover(&world);
    for name in ["lost", "sent"] {
        assert!(advice(&left, name).contains(&format!("{}/keys", world.services.server)));
    }
    assert_eq!((left.unresolved.len(), left.dismissed.len()), (2, 0));
    assert_eq!(
        journal::list_all_attempts(&world.services.location).unwrap().len(),
        2,
        "no key without a code"
    );
    keywright::services::provision::dismiss_attempt(&world.services, &lost.id).unwrap();
    assert_eq!(recover(&world).unresolved.len(), 1);
}

#[test]
fn account_keys_show_whether_an_attempt_created_a_key() {
    let mut world = TestAccount::new();
    world.services.management_key = Some(world.management.clone());
    assign_account_to_stored_keys(&world);
    let request = keywright::domain::KeyRequest {
        label: label("exists"),
        ..keywright::domain::KeyRequest::default()
    };
    let client = world.services.build_management_client(&world.management).unwrap();
    block_on(client.create_key(&request, &request.label)).unwrap();
    attempt(&world, "exists", 1, AttemptStage::Unresolved);
    attempt(&world, "just now", 1, AttemptStage::Unresolved);
    let never = attempt(&world, "never", 31, AttemptStage::Unresolved);
    // A key with that name exists, but was created at another time.
    attempt(&world, "exists", 90, AttemptStage::Unresolved);
    // A stored key is never a match, whatever its name and time.
    attempt(&world, "laptop", 40, AttemptStage::Unresolved);
    let left = recover(&world);
    assert!(advice(&left, "exists").contains("it exists at OpenRouter"), "{left:?}");
    assert!(advice(&left, "exists").contains(&format!("{}/keys/", world.services.server)));
    assert!(advice(&left, "just now").contains("one may still be created"), "{left:?}");
    let dismissed: Vec<_> = left.dismissed.iter().map(|attempt| attempt.label.as_str()).collect();
    assert_eq!((dismissed, left.unresolved.len()), (vec!["never", "exists", "laptop"], 2));
    let still = journal::list_all_attempts(&world.services.location).unwrap();
    assert!(still.iter().all(|attempt| attempt.id != never.id));
}

#[test]
fn another_account_or_a_failing_server_dismisses_no_attempt() {
    let mut world = TestAccount::new();
    world.services.management_key = Some(world.management.clone());
    attempt(&world, "never", 60, AttemptStage::Unresolved);
    assert!(
        advice(&recover(&world), "never").contains("If you signed in to that account"),
        "no stored key names the account"
    );
    assign_account_to_stored_keys(&world);
    let other = |stored_key: &mut StoredKey| stored_key.user_id = Some("someone else".into());
    let hash = world.stored_key("ci").hash.clone();
    inventory::update_key(&world.services.location, &world.services.server, &hash, other).unwrap();
    assert!(advice(&recover(&world), "never").contains("If you signed in to that account"));
    assign_account_to_stored_keys(&world);
    assign_account_to_stored_keys(&world);
    world.inject_fault("GET /api/v1/keys", Fault::Respond(500, String::new()));
    let left = recover(&world);
    assert_eq!((left.unresolved.len(), left.dismissed.len(), left.errors.len()), (1, 0, 1));
    // The key may be in a workspace that this management key may not see.
    world.inject_fault("GET /api/v1/workspaces", Fault::Respond(403, String::new()));
    assert!(advice(&recover(&world), "never").contains("the others could not be listed"));
}

#[test]
fn attempts_of_running_processes_and_other_stores_are_not_recovered() {
    let world = TestAccount::new();
    let alive = Attempt {
        stage: AttemptStage::RequestSent,
        ..attempt(&world, "x", 1, AttemptStage::Unresolved)
    };
    keywright::services::provision::dismiss_attempt(&world.services, &alive.id).unwrap();
    let open = AttemptGuard::begin_all(&world.services.location, vec![alive]).unwrap();
    let elsewhere = attempt(&world, "y", 1, AttemptStage::Unresolved);
    keywright::services::provision::dismiss_attempt(&world.services, &elsewhere.id).unwrap();
    let elsewhere =
        Attempt { stage: AttemptStage::RequestSent, store: Some(StoreKind::Keychain), ..elsewhere };
    drop(AttemptGuard::begin_all(&world.services.location, vec![elsewhere]).unwrap());
    let left = recover(&world);
    assert!(left.unresolved.is_empty(), "{left:?}");
    assert_eq!(
        left.attempts_elsewhere,
        [(label("y"), world.services.server.clone(), StoreKind::Keychain)]
    );
    assert_eq!(journal::list_all_attempts(&world.services.location).unwrap().len(), 2);
    drop(open);
    assert_eq!(recover(&world).unresolved.len(), 1, "its program is gone now");
}

fn migrate(world: &TestAccount, to: &SecretStore) -> Result<Vec<MigratedEntry>, Error> {
    migrate_all(&world.services, &world.services.secret_store, to)
}

/// Returns how many entries were moved and how many failed.
fn count_migrated(world: &TestAccount, to: &SecretStore) -> (usize, usize) {
    let entries = migrate(world, to).unwrap();
    let failed = entries.iter().filter(|entry| entry.result.is_err()).count();
    (entries.len() - failed, failed)
}

#[test]
fn migration_moves_all_entries_also_those_not_in_the_inventory() {
    let world = TestAccount::new();
    let to = SecretStore::memory_with_entries(Vec::new());
    let management =
        EntryId { service: "keywright/test http management".into(), account: "management".into() };
    world.services.secret_store.set(&management, &SecretString::from("m"), TIMEOUT).unwrap();
    world.put("not listed", "k");
    let lost = attempt(&world, "lost", 60, AttemptStage::Unresolved);
    let kept = EntryId { service: "keywright-attempts".into(), account: lost.id };
    world.services.secret_store.set(&kept, &SecretString::from("answer"), TIMEOUT).unwrap();
    let before: Vec<_> = world.entries().iter().map(|name| world.get(name)).collect();
    assert_eq!(count_migrated(&world, &to), (7, 0));
    let after = to.list_accounts("keywright/test", TIMEOUT).unwrap();
    let secrets: Vec<_> = after
        .iter()
        .map(|name| {
            to.get(&entry_id(name), TIMEOUT).ok().map(|secret| secret.expose_secret().to_owned())
        })
        .collect();
    assert_eq!((secrets, world.entries()), (before, Vec::new()));
    assert_eq!(to.get(&management, TIMEOUT).unwrap().expose_secret(), "m");
    assert_eq!(to.get(&kept, TIMEOUT).unwrap().expose_secret(), "answer");
    assert!(world.services.secret_store.get(&kept, TIMEOUT).is_err());
    // A second migration finds them in the new store; the unlisted key is in no list any more.
    assert_eq!(count_migrated(&world, &to), (6, 0));
}

#[test]
fn interrupted_migration_continues_and_overwrites_no_other_secret() {
    let world = TestAccount::new();
    let to = SecretStore::memory_with_entries(Vec::new());
    // Copied and not removed yet; removed already; another key with the same name.
    to.set(&entry_id("laptop"), &SecretString::from(world.get("laptop").unwrap()), TIMEOUT)
        .unwrap();
    to.set(&entry_id("ci"), &SecretString::from(world.get("ci").unwrap()), TIMEOUT).unwrap();
    world.services.secret_store.delete(&entry_id("ci"), TIMEOUT).unwrap();
    to.set(&entry_id("agent"), &SecretString::from("another"), TIMEOUT).unwrap();
    assert_eq!(count_migrated(&world, &to), (3, 1));
    assert_eq!(world.entries(), ["agent"]);
    assert_eq!(to.get(&entry_id("agent"), TIMEOUT).unwrap().expose_secret(), "another");
    to.delete(&entry_id("agent"), TIMEOUT).unwrap();
    assert_eq!(count_migrated(&world, &to), (4, 0));
    assert_eq!(to.list_accounts("keywright/test", TIMEOUT).unwrap().len(), 4);
    // A key that is in neither store is reported.
    to.delete(&entry_id("agent"), TIMEOUT).unwrap();
    assert_eq!(count_migrated(&world, &to), (3, 1));
}

#[test]
fn an_attempt_stays_unresolved_while_a_row_of_the_account_cannot_be_read() {
    let mut world = TestAccount::new();
    world.services.management_key = Some(world.management.clone());
    assign_account_to_stored_keys(&world);
    attempt(&world, "never", 31, AttemptStage::Unresolved);
    let mut managed = attempt(&world, "managed", 31, AttemptStage::Unresolved);
    journal::dismiss_attempt(&world.services.location, &managed.id).unwrap();
    managed.management_key = Some(world.management.fingerprint());
    drop(AttemptGuard::begin_all(&world.services.location, vec![managed]).unwrap());
    world.proxy.set_rule(|request| {
        if request.starts_with("GET /api/v1/keys?") {
            let rows = if request.contains("offset=0") { r#"[{"hash":"new form"}]"# } else { "[]" };
            Fault::Respond(200, format!(r#"{{"data":{rows}}}"#))
        } else {
            Fault::Pass
        }
    });
    let left = recover(&world);
    assert_eq!((left.unresolved.len(), left.dismissed.len()), (2, 0), "{left:?}");
    assert!(advice(&left, "never").contains("2 rows of it could not be read"), "{left:?}");
    world.proxy.set_rule(|_| Fault::Pass);
    let left = recover(&world);
    assert_eq!((left.unresolved.len(), left.dismissed.len()), (0, 1), "{left:?}");
}

#[test]
fn migration_fails_while_an_attempt_is_open() {
    let world = TestAccount::new();
    attempt(&world, "x", 1, AttemptStage::RequestSent);
    let to = SecretStore::memory_with_entries(Vec::new());
    assert!(matches!(migrate(&world, &to), Err(Error::AttemptPending(_))));
    assert_eq!(
        (world.entries().len(), to.list_accounts("keywright/test", TIMEOUT).unwrap().len()),
        (4, 0)
    );
}

#[test]
fn attempt_is_kept_while_the_secret_store_fails() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("vault.age"), "no vault").unwrap();
    let mut world = TestAccount::new();
    let ask = std::sync::Arc::new(|_| Ok(SecretString::from("p")));
    world.services.secret_store = SecretStore::age_file(dir.path().to_owned(), ask);
    for stage in [AttemptStage::CodeReceived, AttemptStage::RequestSent, AttemptStage::KeyReceived]
    {
        let mut attempt = attempt(&world, "x", 1, AttemptStage::Unresolved);
        keywright::services::provision::dismiss_attempt(&world.services, &attempt.id).unwrap_err();
        journal::dismiss_attempt(&world.services.location, &attempt.id).unwrap();
        attempt.store = Some(StoreKind::File);
        attempt.stage = stage;
        attempt.code_received_at = Some(Timestamp::now());
        // It is not in the inventory yet.
        let received = world.stored_key("ci").with(|key| key.hash = "0".repeat(64));
        attempt.received_key = (stage == AttemptStage::KeyReceived).then_some(received);
        drop(AttemptGuard::begin_all(&world.services.location, vec![attempt.clone()]).unwrap());
        let left = recover(&world);
        assert_eq!((left.unresolved.len(), left.errors.len()), (1, 1), "{stage:?}: {left:?}");
        assert_eq!(
            journal::list_all_attempts(&world.services.location).unwrap(),
            [attempt.clone()],
            "{stage:?}"
        );
        journal::dismiss_attempt(&world.services.location, &attempt.id).unwrap();
    }
}

#[test]
fn the_key_of_an_attempt_that_was_moved_to_another_workspace_is_deleted() {
    const OTHER: &str = "5a0d8c3e-0000-4000-8000-000000000002";
    let world = TestAccount::new();
    let services =
        ServiceContext { management_key: Some(world.management.clone()), ..world.services.clone() };
    let fingerprint = Some(world.management.fingerprint());
    let begun = attempt_with(&world, "moved", 60, AttemptStage::Unresolved, fingerprint);
    let client = services.build_management_client(&world.management).unwrap();
    let request = keywright::domain::KeyRequest {
        label: label("moved"),
        ..keywright::domain::KeyRequest::default()
    };
    let name = begun.key_name();
    block_on(client.create_key(&request, &name)).unwrap();
    let keys = || block_on(keys::list_account_keys(&services, &world.management)).unwrap();
    let named = || keys().into_iter().find(|key| key.name.as_deref() == Some(name.as_str()));
    let patch = keywright::domain::KeyPatch {
        workspace_id: Some(OTHER.into()),
        ..keywright::domain::KeyPatch::default()
    };
    block_on(client.update_key(&named().unwrap().hash, &patch)).unwrap();

    let recover = || block_on(recover_and_reconcile(&services, Timestamp::now())).unwrap();
    // Whether it is in another workspace is not known, so the attempt stays.
    world.inject_fault("GET /api/v1/workspaces", Fault::Respond(403, String::new()));
    let report = recover();
    assert_eq!((report.unresolved.len(), report.deleted.len()), (1, 0), "{report:?}");
    world.proxy.set_rule(|_| Fault::Pass);
    let report = recover();
    assert_eq!(report.deleted, [label("moved")], "{report:?}");
    assert_eq!((named(), report.unresolved.len()), (None, 0));
}
