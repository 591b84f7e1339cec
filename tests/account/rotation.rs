//! Rotation and leak response, with a fault at each step.

#[path = "rotation/at_once.rs"]
mod at_once;
#[path = "rotation/moving_label.rs"]
mod moving_label;
#[path = "rotation/new_end.rs"]
mod new_end;
#[path = "rotation/other_process.rs"]
mod other_process;

use keywright::cli::exit_code;
use keywright::domain::{
    ApiKey, FieldChange, GrantedPolicy, KeyRequest, LeakResponse, PendingReplacement,
    ProvisioningOutcome, Reported, ResetInterval, RetirePolicy, RotationOutcome, StoredKey,
};
use keywright::services::keys;
use keywright::services::provision::{self, AuthMethod, ProvisioningControls, Replacement};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use tokio::sync::{mpsc, watch};

use super::proxy::Fault;
use super::{TIMEOUT, TestAccount, block_on, entry_id, label};

/// A change that someone else makes to a row in the meantime.
type ChangeKey = fn(&mut StoredKey);

const TERMS: RetirePolicy = RetirePolicy { unused_for: 3_600, revoke_when_unused: true };

pub fn controls() -> ProvisioningControls {
    ProvisioningControls { cancel: watch::channel(false).1, pasted_codes: mpsc::channel(1).1 }
}

pub fn rotate(account: &TestAccount, name: &str, auth_method: AuthMethod) -> RotationOutcome {
    let stored_key = account.stored_key(name);
    block_on(keys::rotate_key(
        &account.services,
        &stored_key,
        &FieldChange::Keep,
        auth_method,
        TERMS,
        &mut controls(),
        &|_| (),
    ))
}

pub fn management(account: &TestAccount) -> AuthMethod {
    AuthMethod::ManagementKey(account.management.clone())
}

/// The label is the new key, the old one is beside it, and nothing else is left.
fn handed_over(account: &TestAccount, old: &str) {
    let new = account.get("agent").unwrap();
    assert_ne!(new, old);
    assert_eq!(account.get("agent (old)").as_deref(), Some(old));
    assert_eq!(account.entries(), ["agent", "agent (old)", "ci", "laptop", "notebook"]);
    assert_eq!(account.labels().len(), 5);
    let (stored_key, retired) = (account.stored_key("agent"), account.stored_key("agent (old)"));
    assert_eq!(stored_key.hash, ApiKey::from(new).hash());
    assert_eq!((stored_key.replaces.clone(), stored_key.retirement.clone()), (None, None));
    let retiring = retired.retirement.clone().unwrap();
    assert_eq!((retiring.unused_for, retiring.revoke_when_unused), (3_600, true));
}

#[test]
fn rotation_creates_a_key_with_the_same_policy_and_moves_the_label() {
    let account = TestAccount::new();
    let old = account.get("agent").unwrap();
    let rotation = rotate(&account, "agent", management(&account));
    let RotationOutcome::Completed { rotated: handed, warning: note } = rotation else {
        panic!("{rotation:?}")
    };
    assert_eq!(note, None);
    handed_over(&account, &old);
    let before = handed.old.unwrap();
    assert_eq!(handed.new.limit().value(), Some(8.0));
    assert_eq!(handed.new.reset().value(), Some(ResetInterval::Daily));
    assert_eq!(handed.new.expires_at().value(), before.requested.expires_at);
    assert_eq!(handed.new.differing_fields(), [""; 0]);
    let client = account.services.build_management_client(&account.management).unwrap();
    let there = block_on(client.get_key(&handed.new.hash)).unwrap();
    assert_eq!(there.name.as_deref(), Some("agent"), "the server knows it by its label");
    // The old key was replaced already; the new one can be replaced again.
    let again = rotate(&account, "agent (old)", management(&account));
    assert!(matches!(again, RotationOutcome::Failed(error) if error.message.contains("already")));
    for number in 2..=11 {
        let next = rotate(&account, "agent", management(&account));
        assert!(matches!(next, RotationOutcome::Completed { .. }), "{number}: {next:?}");
        assert!(account.labels().contains(&format!("agent (old) {number}")));
    }
}

#[test]
fn stored_key_can_authorise_its_own_replacement() {
    let account = TestAccount::new();
    let old = account.get("agent").unwrap();
    let rotation = rotate(
        &account,
        "agent",
        AuthMethod::ExistingKey(ApiKey::from(old.clone()), Box::new(AuthMethod::PasteCode)),
    );
    assert!(matches!(rotation, RotationOutcome::Completed { .. }), "{rotation:?}");
    handed_over(&account, &old);
}

#[test]
fn policy_that_cannot_be_requested_again_creates_no_key() {
    let account = TestAccount::new();
    let change = |how: ChangeKey| {
        let stored_key = account.stored_key("agent");
        inventory::update_key(
            &account.services.location,
            &account.services.server,
            &stored_key.hash,
            how,
        )
        .unwrap();
    };
    let cases: [(ChangeKey, &str); 5] = [
        (|stored_key| stored_key.requested.expires_input = Some("2020-01-01".into()), "2020-01-01"),
        (
            |stored_key| {
                stored_key.requested.expires_input = None;
                stored_key.requested.expires_at = "2020-01-01T00:00:00Z".parse().ok();
            },
            "it expired",
        ),
        (
            |stored_key| {
                stored_key.requested.expires_at = None;
                stored_key.granted =
                    Some(GrantedPolicy { limit: Some(0.0).into(), ..GrantedPolicy::default() });
            },
            "above zero",
        ),
        (
            |stored_key| stored_key.granted = Some(GrantedPolicy::default()),
            "its limit is not known",
        ),
        (
            |stored_key| {
                stored_key.granted = Some(GrantedPolicy {
                    limit: Some(5.0).into(),
                    limit_reset: Reported::Other("yearly".into()),
                    expires_at: Reported::None,
                });
            },
            "its reset is 'yearly'",
        ),
    ];
    // The account is asked first; the inventory is used only for what the account does not report.
    account.inject_fault("GET /api/v1/key", Fault::Respond(403, String::new()));
    for (how, words) in cases {
        change(how);
        let rotation = rotate(&account, "agent", management(&account));
        let RotationOutcome::Failed(error) = rotation else { panic!("{rotation:?}") };
        assert!(error.message.contains(words), "{error:?}");
    }
    assert_eq!(account.proxy.count("POST"), 0);
    // A relative expiry counts from today.
    change(|stored_key| {
        stored_key.granted = None;
        stored_key.requested.expires_input = Some("30d".into());
    });
    let rotation = rotate(&account, "agent", management(&account));
    let RotationOutcome::Completed { rotated: handed, .. } = rotation else {
        panic!("{rotation:?}")
    };
    let hours =
        handed.new.expires_at().value().unwrap().duration_since(jiff::Timestamp::now()).as_hours();
    assert!((29 * 24..=31 * 24).contains(&hours), "{hours}");
}

#[test]
fn lost_response_is_retried_after_its_key_was_deleted_and_then_unresolved() {
    for (fault, code, sends) in [
        (Fault::LoseResponse, 7, 2),
        (Fault::Respond(500, String::new()), 7, 2),
        (Fault::ReplaceResponse(201, "<html>".into()), 7, 1),
        (Fault::Respond(403, String::new()), 1, 1),
        (Fault::RateLimit(0), 6, 2),
    ] {
        let account = TestAccount::new();
        let old = account.get("agent").unwrap();
        let case = format!("{fault:?}");
        account.inject_fault("POST /api/v1/keys", fault);
        let RotationOutcome::Failed(error) = rotate(&account, "agent", management(&account)) else {
            panic!("{case}")
        };
        assert_eq!(
            (exit_code(error.kind), account.proxy.count("POST")),
            (code, sends),
            "{case}: {error:?}"
        );
        assert_eq!(account.get("agent"), Some(old), "{case}");
        assert_eq!(account.labels().len(), 4, "{case}");
        let recovered = block_on(provision::recover_attempts(&account.services)).unwrap();
        assert_eq!(recovered.unresolved.len(), usize::from(code == 7), "{case}");
        assert_eq!(account.proxy.count("POST"), sends, "{case}: nor at the next start");
        let mut services = account.services.clone();
        services.management_key = Some(account.management.clone());
        let recovered = block_on(keys::recover_attempts(&services)).unwrap();
        assert!(recovered.unresolved.is_empty(), "{case}: {recovered:?}");
        let listed = block_on(keys::list_account_keys(&services, &account.management)).unwrap();
        assert_eq!(listed.len(), 4, "{case}: no key is left at the server");
    }
}

/// The two keys of a rotation that was interrupted after the new key was created.
pub fn interrupted(account: &TestAccount) -> (String, String) {
    let old = account.get("agent").unwrap();
    let outcome = create_replacement(account, "agent (new)");
    let ProvisioningOutcome::Stored { stored_key, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(stored_key.label.as_str(), "agent (new)");
    (old, account.get("agent (new)").unwrap())
}

/// Creates a key that will replace `agent`, under a label of its own.
fn create_replacement(account: &TestAccount, name: &str) -> ProvisioningOutcome {
    let replacement = Replacement {
        label: label(name),
        replaces: PendingReplacement {
            hash: account.stored_key("agent").hash.clone(),
            unused_for: 3_600,
            revoke_when_unused: true,
            is_planned: false,
        },
    };
    let old = account.stored_key("agent").requested.clone();
    let (limit, limit_reset) = (old.limit, old.limit_reset);
    let request = KeyRequest { label: label("agent"), limit, limit_reset, ..KeyRequest::default() };
    block_on(provision::run_replacement(
        &request,
        &replacement,
        management(account),
        &account.services,
        &mut controls(),
        &|_| (),
    ))
}

#[test]
fn interrupted_rotation_continues_from_every_step() {
    for steps in 0..=4 {
        let account = TestAccount::new();
        let (old, new) = interrupted(&account);
        // The steps before the program was killed; a write that was interrupted stored nothing.
        if steps > 0 {
            account.put("agent (old)", &old);
        }
        match steps {
            0 | 1 => {}
            4 => account.services.secret_store.delete(&entry_id("agent"), TIMEOUT).unwrap(),
            _ => account.put("agent", &new),
        }
        if steps == 3 {
            account.services.secret_store.delete(&entry_id("agent (new)"), TIMEOUT).unwrap();
        }
        let resumed = block_on(keys::resume_rotations(&account.services)).unwrap();
        assert_eq!(resumed.len(), 1);
        assert!(resumed[0].1.is_ok(), "{steps}: {resumed:?}");
        let text = format!("{resumed:?}");
        assert!(!text.contains("could not be read"), "{steps}: the old key is found: {text}");
        handed_over(&account, &old);
        assert_eq!(account.get("agent"), Some(new), "{steps}");
        assert!(block_on(keys::resume_rotations(&account.services)).unwrap().is_empty());
        assert_eq!(account.proxy.count("POST"), 1, "no second key was created");
    }
}

#[test]
fn rotation_continues_after_the_old_key_was_renamed_or_removed() {
    let account = TestAccount::new();
    let (old, new) = interrupted(&account);
    block_on(keys::rename_key(
        &account.services,
        &account.stored_key("agent"),
        &label("bot"),
        None,
    ))
    .unwrap();
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap()[0].1.is_ok());
    assert_eq!((account.get("bot"), account.get("bot (old)")), (Some(new), Some(old)));

    let account = TestAccount::new();
    interrupted(&account);
    keys::remove_key(&account.services, &account.stored_key("agent")).unwrap();
    let resumed = block_on(keys::resume_rotations(&account.services)).unwrap();
    assert!(matches!(&resumed[0].1, Ok(handed) if handed.old.is_none()), "{resumed:?}");
    assert_eq!(account.stored_key("agent (new)").replaces, None);
    assert!(account.get("agent (new)").is_some());
}

#[test]
fn rotation_continues_after_the_inventory_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let account = TestAccount::of(4, StoreLocation::Directory(dir.path().to_owned()));
    let (old, new) = interrupted(&account);
    let blocked = dir.path().join("inventory.json.new");
    std::fs::create_dir(&blocked).unwrap();
    let rotation = rotate(&account, "agent", management(&account));
    let RotationOutcome::LabelNotMoved { error, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(error.meaning, "the new key is stored as 'agent' and both keys work");
    assert!([&old, &new].contains(&&account.get("agent").unwrap()));
    assert_eq!(account.get("agent (old)").as_ref(), Some(&old));
    std::fs::remove_dir(&blocked).unwrap();
    assert!(block_on(keys::resume_rotations(&account.services)).unwrap()[0].1.is_ok());
    handed_over(&account, &old);
}

pub(super) fn respond_to_leak(
    account: &TestAccount,
    names: &[&str],
    with: bool,
    auth_method: &AuthMethod,
) -> Vec<LeakResponse> {
    let leaked: Vec<_> = names.iter().map(|name| account.stored_key(name)).collect();
    let management = with.then_some(&account.management);
    block_on(keys::respond_to_leak(
        &account.services,
        &leaked,
        management,
        auth_method,
        &mut controls(),
        &|_| (),
    ))
}

#[test]
fn leaked_keys_are_disabled_before_they_are_replaced() {
    let account = TestAccount::new();
    let old = account.get("agent").unwrap();
    let leak_responses =
        respond_to_leak(&account, &["agent", "laptop"], true, &management(&account));
    assert!(leak_responses.iter().all(LeakResponse::is_complete), "{leak_responses:?}");
    assert!(
        leak_responses.iter().flat_map(LeakResponse::action_results).all(|action| action.succeeded)
    );
    let requests = account.proxy.requests();
    let switches = requests.iter().take_while(|request| request.starts_with("PATCH")).count();
    assert_eq!(switches, 2, "{requests:?}");
    assert_ne!(account.get("agent"), Some(old));
    assert_eq!(account.stored_key("agent (old)").disabled, Some(true));
    assert_eq!(account.stored_key("agent").disabled, None);
}

#[test]
fn without_a_management_key_the_leak_response_names_the_page_to_disable_the_key() {
    let account = TestAccount::new();
    let auth_method = AuthMethod::ExistingKey(
        ApiKey::from(account.get("laptop").unwrap()),
        Box::new(AuthMethod::PasteCode),
    );
    let leak_responses = respond_to_leak(&account, &["agent"], false, &auth_method);
    let action_results = leak_responses[0].action_results();
    assert_eq!(
        (action_results[0].succeeded, action_results[1].succeeded),
        (false, true),
        "{action_results:?}"
    );
    assert!(!leak_responses[0].is_complete());
    let page = account.stored_key("agent (old)").page_url();
    assert!(
        action_results[0].message.contains("NOT disabled")
            && action_results[0].message.contains(&page),
        "{action_results:?}"
    );
}

#[test]
fn leak_response_reports_failures_and_continues() {
    let account = TestAccount::new();
    account.inject_fault("PATCH", Fault::Respond(403, String::new()));
    let first = respond_to_leak(&account, &["agent"], true, &management(&account));
    let done: Vec<_> = first[0].action_results().iter().map(|action| action.succeeded).collect();
    assert_eq!(done, [false, true, false], "{first:?}");
    let old = account.get("laptop").unwrap();
    account.inject_fault("POST", Fault::LoseResponse);
    let second = respond_to_leak(&account, &["laptop"], true, &management(&account));
    let action_results = second[0].action_results();
    assert_eq!(
        (action_results[0].succeeded, action_results[1].succeeded),
        (true, false),
        "{action_results:?}"
    );
    assert!(action_results[1].message.contains("may have been created"), "{action_results:?}");
    assert_eq!(account.get("laptop"), Some(old));
}
