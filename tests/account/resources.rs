//! Guardrails, workspaces, provider keys, credits and activity, and the state of a key that a budget
//! around it blocks.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use keywright::cli::exit_code;
use keywright::domain::{
    CheckResult, FieldChange, GuardrailRef, KeyEdit, KeyRequest, KeyState, KeyUpdateOutcome,
    ProvisioningOutcome,
};
use keywright::services::keys;
use keywright::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};
use keywright::storage::{inventory, journal};
use tokio::sync::watch;

use super::proxy::Fault;
use super::{ApiKey, StoreKind, StoredKey, TestAccount, block_on};

/// Checks a key with `GET /key`.
fn refresh(account: &TestAccount, label: &str) {
    let results: Arc<Mutex<Vec<CheckResult>>> = Arc::default();
    let sink = Arc::clone(&results);
    let record = move |_: &str, result: &CheckResult, _| sink.lock().unwrap().push(result.clone());
    let stop = watch::channel(false).1;
    let keys = vec![account.stored_key(label)];
    block_on(keys::refresh_keys(&account.services, keys, Timestamp::now, record, stop));
    assert!(matches!(results.lock().unwrap()[..], [CheckResult::Valid(_)]));
}

/// The start of the requests that assign a guardrail.
const ASSIGN: &str = "POST /api/v1/guardrails/";

#[test]
fn a_key_whose_guardrail_is_spent_is_blocked_by_its_name_until_the_reset() {
    let account = TestAccount::new();
    let (services, management) = (&account.services, &account.management);
    let client = services.build_management_client(management).unwrap();
    let guardrails = block_on(keys::list_guardrails(services, management)).unwrap();
    let research = guardrails.into_iter().find(|one| one.name == "research").unwrap();
    // $24.31 are spent: more than the guardrail's $20.00, less than the key's own $25.00.
    let hashes = [account.stored_key("ci").hash.clone()];
    let assigned = block_on(client.assign_guardrail(&research.id, &hashes)).unwrap();
    assert_eq!(assigned, 1);
    refresh(&account, "ci");
    block_on(keys::join_account_keys(services, management)).unwrap();
    let stored_key = account.stored_key("ci");
    let now = Timestamp::now();
    assert_eq!(stored_key.state(now), KeyState::Blocked);
    assert!(stored_key.remaining(now).unwrap() > 0.0, "its own limit has money left");
    let words = stored_key.describe_block(now, |at| at.strftime("%d").to_string()).unwrap();
    assert_eq!(words, "by guardrail 'research': $24.31 spent of $20.00, until 01");
    assert!(stored_key.last_used_at().is_some());
    // The budgets stay known after listing the keys, and on disk.
    let file = serde_json::to_string(&stored_key).unwrap();
    let read: StoredKey = serde_json::from_str(&file).unwrap();
    assert_eq!(read, stored_key);

    let removed = block_on(client.unassign_guardrail(&research.id, &hashes)).unwrap();
    assert_eq!(removed, 1);
    refresh(&account, "ci");
    // Without the right to read guardrails the last known name stays.
    account.inject_fault("GET /api/v1/guardrails", Fault::Respond(403, String::new()));
    block_on(keys::join_account_keys(services, management)).unwrap();
    assert_eq!(account.stored_key("ci").guardrail.clone().unwrap().name, "research");
    account.proxy.set_rule(|_| Fault::Pass);
    block_on(keys::join_account_keys(services, management)).unwrap();
    let stored_key = account.stored_key("ci");
    assert_eq!((stored_key.state(now), stored_key.guardrail.clone()), (KeyState::Low, None));
}

#[test]
fn the_account_is_read_through_typed_calls() {
    let account = TestAccount::new();
    let (services, management) = (&account.services, &account.management);
    let workspaces = block_on(keys::list_workspaces(services, management)).unwrap();
    let slugs: Vec<_> = workspaces.iter().map(|one| one.slug.as_str()).collect();
    assert_eq!(slugs, ["default", "research"]);
    let client = services.build_management_client(management).unwrap();
    let budgets = block_on(client.list_workspace_budgets("default")).unwrap();
    assert_eq!(budgets.items.len(), 0);
    for odd in ["", "../keys", "a/b", "a?b"] {
        assert!(block_on(client.list_workspace_budgets(odd)).is_err(), "{odd}");
    }
    let credits = block_on(client.get_credits()).unwrap();
    assert!(credits.remaining() > 0.0 && credits.remaining() < credits.total_credits);
    let all = block_on(client.list_activity(None)).unwrap();
    let hash = account.stored_key("ci").hash.clone();
    let one = block_on(client.list_activity(Some(&hash))).unwrap();
    assert!(!one.items.is_empty() && one.row_count < all.row_count);
    let credential = block_on(client.list_byok_credentials(None, 0)).unwrap().items.remove(0);
    assert_eq!(credential.allowed_api_key_hashes, None);
    let hashes = [hash];
    let set = block_on(client.set_byok_key_hashes(&credential.id, &hashes)).unwrap();
    assert_eq!(set.allowed_api_key_hashes.as_deref(), Some(&hashes[..]));
    let read = block_on(client.get_byok_credential(&credential.id)).unwrap();
    assert_eq!(read, set);

    // One missing right does not hide the rest, and an older server has none of it.
    for status in [403, 404] {
        account.inject_fault("GET /api/v1/workspaces", Fault::Respond(status, String::new()));
        assert_eq!(block_on(keys::list_guardrails(services, management)).unwrap().len(), 1);
        account.inject_fault("GET /api/v1/credits", Fault::Respond(status, String::new()));
        assert!(block_on(client.get_credits()).is_err());
        assert!(block_on(client.list_activity(None)).is_ok());
    }
}

#[test]
fn a_refresh_records_the_guardrail_that_the_account_reports_now() {
    let account = TestAccount::new();
    let services = ServiceContext {
        management_key: Some(account.management.clone()),
        ..account.services.clone()
    };
    let (management, hash) = (&account.management, account.stored_key("ci").hash.clone());
    let refresh = || block_on(keys::refresh_guardrails(&services));
    let recorded = || account.stored_key("ci").guardrail.clone().map(|guardrail| guardrail.name);
    let research = block_on(keys::find_guardrail(&services, management, "research")).unwrap();
    let hashes = [hash.clone()];
    let client = services.build_management_client(management).unwrap();
    block_on(client.assign_guardrail(&research.id, &hashes)).unwrap();
    refresh().unwrap();
    assert_eq!(recorded().as_deref(), Some("research"));
    // A key of another account has no assignment in this one, which says nothing.
    let foreign = ApiKey::from(String::from("sk-or-v1-foreign"));
    let foreign = StoredKey::new(
        "foreign".parse().unwrap(),
        &foreign,
        services.server.clone(),
        StoreKind::Memory,
        Timestamp::now(),
    )
    .with(|key| key.guardrail = account.stored_key("ci").guardrail.clone());
    inventory::upsert_keys(&services.location, vec![foreign]).unwrap();
    block_on(client.unassign_guardrail(&research.id, &hashes)).unwrap();
    // Nothing is read, so the last known one stays.
    account.inject_fault("GET /api/v1/guardrails", Fault::Respond(403, String::new()));
    assert!(refresh().is_err());
    assert_eq!(recorded().as_deref(), Some("research"));
    account.proxy.set_rule(|_| Fault::Pass);
    refresh().unwrap();
    assert_eq!(recorded(), None);
    assert!(account.stored_key("foreign").guardrail.is_some());
}

#[test]
fn a_guardrail_is_found_by_name_assigned_and_read_back() {
    let account = TestAccount::new();
    let (services, management) = (&account.services, &account.management);
    let hash = account.stored_key("laptop").hash.clone();
    let assigned = || block_on(keys::get_assigned_guardrail(services, management, &hash)).unwrap();
    let assign = |guardrail: Option<&GuardrailRef>| {
        block_on(keys::assign_guardrail(services, management, &hash, None, guardrail))
    };
    let found = block_on(keys::find_guardrail(services, management, "Research")).unwrap();
    let research = GuardrailRef { id: found.id, name: found.name };
    assert_eq!(assigned(), None);
    assign(None).unwrap();
    assign(Some(&research)).unwrap();
    assert_eq!(assigned(), Some(research.clone()));
    assign(None).unwrap();
    assert_eq!(assigned(), None);

    // Each answer is accepted only if the key has the guardrail afterwards.
    account.inject_fault(ASSIGN, Fault::LoseResponse);
    assign(Some(&research)).unwrap();
    account.inject_fault(ASSIGN, Fault::Respond(200, r#"{"unassigned_count": 1}"#.into()));
    let error = assign(None).unwrap_err().to_user_error();
    assert_eq!(error.message, "the guardrail of the key was not removed");
    account.proxy.set_rule(|_| Fault::Pass);
    assign(None).unwrap();
    account.inject_fault(ASSIGN, Fault::Respond(403, String::new()));
    let error = assign(Some(&research)).unwrap_err().to_user_error();
    assert!(error.message.starts_with("the guardrail 'research' was not assigned to the key: "));
    assert!(error.advice.contains("/settings/privacy"), "{}", error.advice);
    // It was deleted after its name was found.
    account.proxy.set_rule(|_| Fault::Pass);
    let gone = GuardrailRef { id: "5a0d8c3e-0000-4000-8000-0000000000ff".into(), ..research };
    let error = assign(Some(&gone)).unwrap_err().to_user_error();
    assert!(error.advice.starts_with("it was deleted"), "{}", error.advice);
    assert_eq!(assigned(), None);
}

#[test]
fn a_workspace_is_found_by_uuid_slug_or_name() {
    let account = TestAccount::new();
    let (services, management) = (&account.services, &account.management);
    let find = |text: &str| block_on(keys::find_workspace(services, management, text));
    let id = find("research").unwrap().id;
    assert_eq!((find("Research").unwrap().id, find(&id).unwrap().id), (id.clone(), id));
    let error = find("defalt").unwrap_err().to_user_error();
    assert_eq!(error.message, "the account has no workspace 'defalt'; did you mean default?");
    assert_eq!(error.advice, "the account's workspaces: default, research");
}

/// The services with a management key, and the guardrail `research`.
fn with_guardrail(account: &TestAccount) -> (ServiceContext, GuardrailRef) {
    let management_key = Some(account.management.clone());
    let services = ServiceContext { management_key, ..account.services.clone() };
    let found = block_on(keys::find_guardrail(&services, &account.management, "research")).unwrap();
    (services, GuardrailRef { id: found.id, name: found.name })
}

#[test]
fn a_new_key_that_does_not_get_its_guardrail_is_reported() {
    let account = TestAccount::new();
    let (services, research) = with_guardrail(&account);
    let create = |label: &str| {
        let request = KeyRequest {
            label: label.parse().unwrap(),
            guardrail: Some(research.clone()),
            ..KeyRequest::default()
        };
        let mut controls = ProvisioningControls {
            cancel: watch::channel(false).1,
            pasted_codes: tokio::sync::mpsc::channel(1).1,
        };
        let method = AuthMethod::ManagementKey(account.management.clone());
        block_on(keys::create_key(&request, method, &services, &mut controls, &|_| {}))
    };
    let ProvisioningOutcome::Stored { stored_key, warning, .. } = create("new one") else {
        panic!()
    };
    assert_eq!((stored_key.guardrail.clone(), warning), (Some(research.clone()), None));
    assert_eq!(account.stored_key("new one").guardrail, Some(research.clone()));

    account.inject_fault("POST /api/v1/guardrails/", Fault::Respond(403, String::new()));
    let ProvisioningOutcome::Stored { stored_key, warning, .. } = create("new two") else {
        panic!()
    };
    let warning = warning.unwrap();
    assert_eq!((stored_key.guardrail.clone(), exit_code(warning.kind)), (None, 1));
    assert!(warning.meaning.contains("is not under the guardrail 'research'"), "{warning:?}");
    assert!(
        warning.advice.contains("keywright edit --guardrail research 'new two'"),
        "{warning:?}"
    );
}

#[test]
fn a_recovered_key_is_put_under_the_guardrail_that_was_requested_for_it() {
    let account = TestAccount::new();
    let (services, research) = with_guardrail(&account);
    account.inject_fault("POST /api/v1/guardrails/", Fault::Respond(403, String::new()));
    let request = KeyRequest {
        label: "new one".parse().unwrap(),
        guardrail: Some(research.clone()),
        ..KeyRequest::default()
    };
    let mut controls = ProvisioningControls {
        cancel: watch::channel(false).1,
        pasted_codes: tokio::sync::mpsc::channel(1).1,
    };
    let method = AuthMethod::ManagementKey(account.management.clone());
    block_on(keys::create_key(&request, method, &services, &mut controls, &|_| {}));
    let key = account.stored_key("new one");
    assert_eq!((&key.guardrail, &key.requested.guardrail), (&None, &Some(research.clone())));
    // As if the program had ended before it wrote the inventory.
    let interrupted = journal::Attempt {
        id: key.hash[..32].to_owned(),
        started_at: Timestamp::now(),
        label: key.label.clone(),
        server: services.server.clone(),
        stage: journal::AttemptStage::KeyReceived,
        store: Some(services.secret_store.kind()),
        local_store: None,
        send_count: 1,
        has_saved_response: false,
        code_received_at: None,
        requested: key.requested.clone(),
        replaces: None,
        received_key: Some(key.clone()),
        management_key: Some(account.management.fingerprint()),
        has_entry: None,
        unknown: serde_json::Map::default(),
    };
    let interrupt = || {
        drop(
            journal::AttemptGuard::begin_all(&services.location, vec![interrupted.clone()])
                .unwrap(),
        );
        inventory::update_keys(&services.location, |keys| {
            keys.retain(|one| one.label != key.label);
        })
        .unwrap();
    };
    interrupt();
    let recovered = block_on(keys::recover_attempts(&services)).unwrap();
    let error = &recovered.errors[0];
    assert!(error.meaning.contains("is not under the guardrail 'research'"), "{error:?}");
    assert!(error.advice.ends_with("keywright edit --guardrail none 'new one'"), "{error:?}");

    account.proxy.set_rule(|_| Fault::Pass);
    interrupt();
    let recovered = block_on(keys::recover_attempts(&services)).unwrap();
    assert_eq!((recovered.errors, recovered.stored.len()), (vec![], 1));
    assert_eq!(account.stored_key("new one").guardrail, Some(research.clone()));
    let assigned =
        block_on(keys::get_assigned_guardrail(&services, &account.management, &key.hash));
    assert_eq!(assigned.unwrap(), Some(research));
    assert_eq!(journal::list_all_attempts(&services.location).unwrap(), []);
}

#[test]
fn a_guardrail_that_someone_changed_meanwhile_is_a_conflict() {
    let account = TestAccount::new();
    let (services, research) = with_guardrail(&account);
    let key = account.stored_key("ci");
    let current =
        block_on(keys::fetch_editable_key(&services, &account.management, &key.hash, true))
            .unwrap();
    let edit = KeyEdit {
        limit: FieldChange::Set("99".parse().unwrap()),
        guardrail: FieldChange::Set(research.clone()),
        ..KeyEdit::default()
    };
    let (update, differences) = edit.to_update(&key, Some(&current)).unwrap();
    assert_eq!(differences.len(), 2);
    let assign =
        keys::assign_guardrail(&services, &account.management, &key.hash, None, Some(&research));
    block_on(assign).unwrap();
    let outcome = block_on(keys::apply_key_update(&services, update));
    let KeyUpdateOutcome::Conflict { guardrail, changed_fields, current: now } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((guardrail, changed_fields), (Some(research), vec!["guardrail"]));
    assert_eq!(now.info.limit, current.account_key.info.limit, "nothing was sent");

    // A refused assignment is reported together with the other change.
    let (update, _) =
        KeyEdit { guardrail: FieldChange::Clear, ..edit }.to_update(&key, Some(&current)).unwrap();
    assert!(update.guardrail.is_none());
    let current =
        block_on(keys::fetch_editable_key(&services, &account.management, &key.hash, true))
            .unwrap();
    let edit = KeyEdit {
        limit: FieldChange::Set("98".parse().unwrap()),
        guardrail: FieldChange::Clear,
        ..KeyEdit::default()
    };
    let (update, _) = edit.to_update(&key, Some(&current)).unwrap();
    account.inject_fault("POST /api/v1/guardrails/", Fault::Respond(403, String::new()));
    let outcome = block_on(keys::apply_key_update(&services, update));
    let KeyUpdateOutcome::Updated { account_key, warning: Some(warning), .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(account_key.unwrap().info.limit.value(), Some(98.0));
    assert!(warning.message.starts_with("the other changes were made, but the guardrail was not"));
}
