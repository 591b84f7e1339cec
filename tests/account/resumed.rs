//! Interrupted rotations and pending guardrails: whatever could not be finished or compared is said, and a
//! guardrail that nobody wants any more is not assigned.

use std::path::{Path, PathBuf};

use keywright::domain::{
    ApiKey, ErrorKind, ExecProgram, FinishedStep, GuardrailRef, KeyRequest, NotCarried,
    ProvisioningEvent, ProvisioningOutcome, ProvisioningStep, RotationOutcome, StoredKey,
};
use keywright::services::keys::{self, RecoveryReport};
use keywright::services::provision::{self, ServiceContext};
use keywright::storage::inventory;
use keywright::storage::journal::{self, Attempt, AttemptGuard, AttemptStage};
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::SecretStore;

use super::proxy::Fault;
use super::rotation::{controls, interrupted, management, respond_to_leak, rotate};
use super::{TestAccount, block_on, label};

const KEY: &str = "agent";

fn with_management_key(account: &TestAccount) -> ServiceContext {
    ServiceContext { management_key: Some(account.management.clone()), ..account.services.clone() }
}

fn recover(account: &TestAccount) -> RecoveryReport {
    block_on(keys::recover_interrupted(&with_management_key(account))).unwrap()
}

fn refuse(account: &TestAccount, beginning: &'static str) {
    account.inject_fault(beginning, Fault::Respond(403, String::new()));
}

fn research(account: &TestAccount) -> GuardrailRef {
    let all = block_on(keys::list_guardrails(&account.services, &account.management)).unwrap();
    let found = all.into_iter().find(|one| one.name == "research").unwrap();
    GuardrailRef { id: found.id, name: found.name }
}

fn assigned(account: &TestAccount, hash: &str) -> Option<GuardrailRef> {
    block_on(keys::get_assigned_guardrail(&account.services, &account.management, hash)).unwrap()
}

fn assign(account: &TestAccount, guardrail: Option<&GuardrailRef>) {
    let (services, hash) = (&account.services, account.stored_key(KEY).hash.clone());
    let assign = keys::assign_guardrail(services, &account.management, &hash, None, guardrail);
    block_on(assign).unwrap();
}

/// Changes the inventory entry of the key.
fn change(account: &TestAccount, change: impl FnOnce(&mut StoredKey)) {
    let (services, hash) = (&account.services, account.stored_key(KEY).hash.clone());
    inventory::update_key(&services.location, &services.server, &hash, change).unwrap();
}

/// The guardrail was requested for the key, and is not assigned yet.
fn with_pending_guardrail() -> (TestAccount, GuardrailRef) {
    let account = TestAccount::new();
    let research = research(&account);
    let requested = research.clone();
    change(&account, |key| key.requested.guardrail = Some(requested));
    assert!(account.stored_key(KEY).awaits_guardrail());
    (account, research)
}

/// The account deleted the guardrail.
fn delete(account: &TestAccount, guardrail: &GuardrailRef) {
    let id = guardrail.id.clone();
    account.proxy.set_rule(move |request| {
        if request.contains(&format!("/guardrails/{id}")) {
            Fault::Respond(404, String::new())
        } else {
            Fault::Pass
        }
    });
}

#[test]
fn a_resumed_rotation_says_what_could_not_be_compared() {
    let account = TestAccount::new();
    interrupted(&account);
    refuse(&account, "GET /api/v1/byok");
    let report = recover(&account);
    let error = &report.errors[0];
    assert!(error.message.contains("which provider keys allow it"), "{error:?}");
    assert!(error.message.contains("403") && error.meaning.contains("agent (old)"), "{error:?}");
    assert_eq!(report.rotated[0].not_carried[0].what, "allowed_api_key_hashes");

    // Without a management key that is so for every rotation, and no error of this one.
    let account = TestAccount::new();
    interrupted(&account);
    let report = block_on(keys::recover_interrupted(&account.services)).unwrap();
    assert_eq!(report.errors, []);
    assert!(report.rotated[0].unread_error().is_some());
}

#[test]
fn a_resumed_rotation_of_a_removed_key_says_that_nothing_could_be_compared() {
    let account = TestAccount::new();
    interrupted(&account);
    let (services, old) = (&account.services, account.stored_key(KEY));
    block_on(keys::revoke_and_remove(services, &account.management, &old)).unwrap();
    let report = recover(&account);
    let error = &report.errors[0];
    assert!(error.message.contains("whether it has a guardrail"), "{error:?}");
    assert!(error.advice.contains("not stored here any more"), "{error:?}");
    assert!(error.meaning.contains("the new key works"), "{error:?}");
}

#[test]
fn a_replacement_gets_the_guardrail_that_was_still_to_be_assigned_or_is_not_done() {
    for (is_leak, is_refused) in [(false, false), (false, true), (true, false), (true, true)] {
        let (account, research) = with_pending_guardrail();
        if is_refused {
            refuse(&account, "POST /api/v1/guardrails/");
        }
        let (rotation, is_complete) = if is_leak {
            let response = respond_to_leak(&account, &[KEY], true, &management(&account)).remove(0);
            let is_complete = response.is_complete();
            (response.rotation.unwrap(), is_complete)
        } else {
            (rotate(&account, KEY, management(&account)), !is_refused)
        };
        let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
        assert_eq!(is_complete, !is_refused, "{is_leak}");
        assert_eq!(rotated.not_carried.iter().any(NotCarried::is_lost), is_refused);
        assert_eq!(assigned(&account, &rotated.new.hash).is_none(), is_refused);
        if is_refused {
            account.proxy.set_rule(|_| Fault::Pass);
            let expected = FinishedStep::GuardrailAssigned(label(KEY), research);
            assert_eq!(recover(&account).finished, [expected]);
        }
    }
}

#[test]
fn a_guardrail_that_somebody_removed_is_not_given_to_the_replacement() {
    for is_interrupted in [false, true] {
        let account = TestAccount::new();
        let research = research(&account);
        assign(&account, Some(&research));
        change(&account, |key| {
            key.requested.guardrail = Some(research.clone());
            key.guardrail = Some(research.clone());
        });
        if is_interrupted {
            interrupted(&account);
        }
        assign(&account, None);
        if is_interrupted {
            assert_eq!(recover(&account).errors, []);
        } else {
            let rotation = rotate(&account, KEY, management(&account));
            let RotationOutcome::Completed { rotated, .. } = rotation else {
                panic!("{rotation:?}")
            };
            assert_eq!(rotated.not_carried, []);
        }
        let report = recover(&account);
        assert_eq!((report.finished, report.errors), (vec![], vec![]));
        assert_eq!(assigned(&account, &account.stored_key(KEY).hash), None, "{is_interrupted}");
    }
}

#[test]
fn a_request_for_a_deleted_guardrail_ends_with_a_sentence_and_is_no_loss_of_a_replacement() {
    let (account, research) = with_pending_guardrail();
    delete(&account, &research);
    let report = recover(&account);
    assert_eq!(report.errors, []);
    assert_eq!(report.finished, [FinishedStep::GuardrailDeleted(label(KEY), research)]);
    assert!(report.finished[0].to_string().contains("no longer exists"));
    let report = recover(&account);
    assert_eq!((report.finished, report.errors), (vec![], vec![]));

    let (account, research) = with_pending_guardrail();
    delete(&account, &research);
    let rotation = rotate(&account, KEY, management(&account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.not_carried, []);
    assert_eq!(recover(&account).errors, []);

    // A server that has no guardrails says nothing about this one.
    let (account, _) = with_pending_guardrail();
    account.inject_fault("GET /api/v1/guardrails", Fault::Respond(404, String::new()));
    assert_eq!(recover(&account).errors.len(), 1);
    assert!(account.stored_key(KEY).awaits_guardrail());
}

#[test]
fn without_a_management_key_the_advice_for_a_pending_guardrail_is_to_store_one() {
    let (account, _) = with_pending_guardrail();
    let recovered = block_on(keys::recover_attempts(&account.services)).unwrap();
    let advice = &recovered.errors[0].advice;
    assert!(advice.contains("management set") && !advice.contains("edit"), "{advice}");
}

#[test]
fn a_received_key_is_not_said_to_be_lost_as_long_as_the_secret_store_cannot_be_read() {
    let mut account = TestAccount::new();
    account.services.management_key = Some(account.management.clone());
    let received = account.stored_key(KEY);
    inventory::update_keys(&account.services.location, |keys| {
        keys.retain(|key| key.label != received.label);
    })
    .unwrap();
    let attempt = Attempt {
        id: "0".repeat(32),
        started_at: jiff::Timestamp::now(),
        label: received.label.clone(),
        server: account.services.server.clone(),
        stage: AttemptStage::KeyReceived,
        send_count: 1,
        received_key: Some(received),
        management_key: Some(account.management.fingerprint()),
        ..Attempt::default()
    };
    drop(AttemptGuard::begin_all(&account.services.location, vec![attempt]).unwrap());
    let program = ExecProgram::parse("exec:keywright-no-such-helper").unwrap();
    let locked =
        ServiceContext { secret_store: SecretStore::exec(program), ..account.services.clone() };
    // A store that has none of the stored keys is another one than that in which they were stored.
    let other_keychain = SecretStore::memory_with_entries(Vec::new());
    let other = ServiceContext { secret_store: other_keychain, ..account.services.clone() };
    let now = jiff::Timestamp::now();
    for (services, message) in [(&other, "none of the 3 stored keys"), (&locked, "not on PATH")] {
        let report = block_on(keys::recover_and_reconcile(services, now)).unwrap();
        let (attempt, advice) = &report.unresolved[0];
        assert!(attempt.waits_for_store && advice.contains("unlock"), "{advice}");
        assert!(!advice.contains("delete"), "{advice}");
        assert!(report.errors[0].message.contains(message), "{report:?}");
        assert_eq!(account.proxy.count("DELETE"), 0);
    }
    let pending = keys::pending_error(&keys::list_pending_attempts(&locked).unwrap()[0]);
    assert_eq!(pending.kind, ErrorKind::SecretStore);
    assert!(pending.meaning.contains("do not delete it"), "{pending:?}");

    // An earlier version may have given it up meanwhile.
    let mut given_up = journal::list_all_attempts(&account.services.location).unwrap().remove(0);
    journal::dismiss_attempt(&account.services.location, &given_up.id).unwrap();
    given_up.stage = AttemptStage::Unresolved;
    given_up.management_key = None;
    drop(AttemptGuard::begin_all(&account.services.location, vec![given_up]).unwrap());
    // With the store open the key is listed again.
    let report = block_on(keys::recover_and_reconcile(&account.services, now)).unwrap();
    assert_eq!((report.stored.len(), report.unresolved.len()), (1, 0), "{report:?}");
    assert_eq!(journal::list_all_attempts(&account.services.location).unwrap().len(), 0);
}

/// Creates the key `new` with a journal and an inventory that cannot be written once the server has
/// answered, as on a full disk, until the returned directories are removed.
fn create_on_full_disk(account: &TestAccount, dir: &Path) -> [PathBuf; 2] {
    let blocked = ["journal.json.new", "inventory.json.new"].map(|name| dir.join(name));
    let block = |event| {
        if matches!(event, ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey)) {
            for path in &blocked {
                std::fs::create_dir(path).unwrap();
            }
        }
    };
    let request = KeyRequest { label: label("new"), ..KeyRequest::default() };
    let services = &account.services;
    let auth_method = management(account);
    let outcome =
        block_on(provision::run(&request, auth_method, services, &mut controls(), &block));
    let ProvisioningOutcome::Stored { warning, .. } = outcome else { panic!("{outcome:?}") };
    let warning = warning.unwrap();
    assert!(warning.message.contains("is stored"), "{warning:?}");
    blocked
}

#[test]
fn a_stored_key_that_the_journal_does_not_know_is_listed_and_not_deleted() {
    for is_named in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let account = TestAccount::of(4, StoreLocation::Directory(dir.path().to_owned()));
        if !is_named {
            refuse(&account, "PATCH");
        }
        let blocked = create_on_full_disk(&account, dir.path());
        let key = account.get("new").unwrap();
        for path in &blocked {
            std::fs::remove_dir(path).unwrap();
        }
        account.proxy.set_rule(|_| Fault::Pass);
        let report = recover(&account);
        assert!(report.deleted.is_empty() && report.errors.is_empty(), "{report:?}");
        assert!(report.unresolved.is_empty() && report.foreign.is_empty(), "{report:?}");
        assert_eq!(account.get("new").as_ref(), Some(&key));
        let hash = ApiKey::from(key).hash();
        let found = block_on(keys::list_account_keys(&account.services, &account.management));
        let found = found.unwrap().into_iter().find(|row| row.hash == hash);
        let name = found.expect("the key works").name;
        assert_eq!(name.as_deref(), Some("new"), "{is_named}");
        assert_eq!(account.stored_key("new").hash, hash);
        assert_eq!(report.stored[0].hash, hash);
    }
}
