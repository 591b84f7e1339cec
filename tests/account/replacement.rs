//! A replacement is never weaker than the replaced key unless that is reported: every combination of
//! guardrail, provider key and workspace, with a fault at each step.

#[path = "replacement/changes_meanwhile.rs"]
mod changes_meanwhile;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keywright::domain::{
    AccountKey, FieldChange, KeyPatch, KeyRequest, LeakResponse, NotCarried, RotationOutcome,
};
use keywright::services::keys;

use super::proxy::Fault;
use super::rotation::{controls, management, respond_to_leak, rotate};
use super::{TestAccount, block_on};

const KEY: &str = "agent";

/// The assignments of the key in one case.
#[derive(Clone, Copy, Debug)]
struct Assignments {
    guardrail: bool,
    byok: bool,
    workspace: bool,
}

impl Assignments {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            guardrail: bits & 1 != 0,
            byok: bits & 2 != 0,
            workspace: bits & 4 != 0,
        })
    }
}

/// An account whose key has these assignments, and what the account reports about it.
struct Case {
    account: TestAccount,
    guardrail: String,
    credential: String,
    workspace: Option<String>,
    old: AccountKey,
}

impl Case {
    fn new(assignments: Assignments) -> Self {
        let account = TestAccount::new();
        let (services, management) = (&account.services, &account.management);
        let client = services.build_management_client(management).unwrap();
        let hash = account.stored_key(KEY).hash.clone();
        let guardrail = block_on(keys::list_guardrails(services, management)).unwrap().remove(0).id;
        let credential =
            block_on(client.list_byok_credentials(None, 0)).unwrap().items.remove(0).id;
        let workspaces = block_on(keys::list_workspaces(services, management)).unwrap();
        let workspace = assignments.workspace.then(|| workspaces[1].id.clone());
        let patch = KeyPatch {
            workspace_id: workspace.clone(),
            include_byok_in_limit: Some(assignments.byok),
            limit: FieldChange::Set("12.34".parse().unwrap()),
            ..KeyPatch::default()
        };
        let old = block_on(client.update_key(&hash, &patch)).unwrap();
        let hashes = [hash];
        if assignments.guardrail {
            block_on(client.assign_guardrail(&guardrail, &hashes)).unwrap();
        }
        // The sandbox's provider key is in the default workspace.
        if assignments.byok && !assignments.workspace {
            block_on(client.set_byok_key_hashes(&credential, &hashes)).unwrap();
        }
        Self { account, guardrail, credential, workspace, old }
    }

    /// Returns OpenRouter's names of what the new key lacks, as the account shows.
    fn lacks(&self, new_hash: &str) -> Vec<&'static str> {
        let (services, management) = (&self.account.services, &self.account.management);
        let client = services.build_management_client(management).unwrap();
        self.account.proxy.set_rule(|_| Fault::Pass);
        let read = |hash: &str| block_on(client.get_key(hash)).unwrap();
        let guardrail = |hash: &str| {
            block_on(keys::get_assigned_guardrail(services, management, hash)).unwrap()
        };
        let allowed = block_on(client.get_byok_credential(&self.credential)).unwrap();
        let allowed = allowed.allowed_api_key_hashes.unwrap_or_default();
        let (old, new) = (read(&self.old.hash), read(new_hash));
        let mut lacks = Vec::new();
        for (field, is_same) in [
            ("workspace_id", old.workspace_id == new.workspace_id),
            (
                "include_byok_in_limit",
                old.info.include_byok_in_limit == new.info.include_byok_in_limit,
            ),
            (
                "guardrail",
                guardrail(&old.hash).is_none() || guardrail(&old.hash) == guardrail(&new.hash),
            ),
            ("allowed_api_key_hashes", !allowed.contains(&old.hash) || allowed.contains(&new.hash)),
            ("limit", new.info.limit.value() == Some(12.34)),
            ("limit_reset", old.info.limit_reset == new.info.limit_reset),
        ] {
            if !is_same {
                lacks.push(field);
            }
        }
        lacks
    }
}

fn names(not_carried: &[NotCarried], lost_only: bool) -> Vec<&'static str> {
    let mut names: Vec<_> =
        not_carried.iter().filter(|one| !lost_only || one.is_lost()).map(|one| one.what).collect();
    names.dedup();
    names
}

/// The requests of a replacement, each by its beginning, and the faults that each may have.
const STEPS: &[&str] = &[
    "GET /api/v1/keys/",
    "GET /api/v1/guardrails/assignments",
    "GET /api/v1/byok",
    "GET /api/v1/byok/",
    "PATCH /api/v1/keys/",
    "POST /api/v1/guardrails/",
    "PATCH /api/v1/byok/",
];

/// The faults of a step. A missing right may be missing everywhere; the others are tried where each
/// step happens.
fn faults(assignments: Assignments) -> Vec<Fault> {
    let mut faults = vec![Fault::Respond(403, String::new())];
    if assignments.guardrail && assignments.byok {
        faults.push(Fault::Respond(404, String::new()));
        faults.push(Fault::RateLimit(0));
        faults.push(Fault::Respond(500, String::new()));
    }
    faults
}

#[test]
fn a_rotated_key_has_the_guardrail_the_workspace_and_the_provider_keys_of_the_old_one() {
    for assignments in Assignments::all() {
        let case = Case::new(assignments);
        let preview = block_on(keys::preview_replacement(
            &case.account.services,
            &case.account.stored_key(KEY),
            Some(&case.account.management),
        ));
        assert_eq!(preview, [], "{assignments:?}");
        let rotation = rotate(&case.account, KEY, management(&case.account));
        let RotationOutcome::Completed { rotated, warning } = rotation else {
            panic!("{assignments:?}: {rotation:?}")
        };
        assert_eq!((warning, &rotated.not_carried[..]), (None, &[][..]), "{assignments:?}");
        assert_eq!(case.lacks(&rotated.new.hash), [""; 0], "{assignments:?}");
        assert_eq!(rotated.new.guardrail.is_some(), assignments.guardrail);
        assert!(rotated.old.unwrap().retirement.clone().unwrap().revoke_when_unused);
        let there = case.account.stored_key(KEY).workspace_id().cloned();
        assert_eq!(there, case.old.workspace_id, "{assignments:?}");
        assert!(case.workspace.is_none() || there == case.workspace);
    }
}

#[test]
fn with_a_fault_at_any_step_a_rotated_key_is_not_weaker_without_being_said() {
    for assignments in Assignments::all() {
        for step in STEPS {
            for fault in faults(assignments) {
                let case = Case::new(assignments);
                case.account.inject_fault(step, fault.clone());
                let rotation = rotate(&case.account, KEY, management(&case.account));
                let at = format!("{assignments:?}, {step}: {fault:?}");
                let RotationOutcome::Completed { rotated, .. } = rotation else {
                    panic!("{at}: {rotation:?}")
                };
                let said = names(&rotated.not_carried, false);
                let lacks = case.lacks(&rotated.new.hash);
                assert!(lacks.iter().all(|part| said.contains(part)), "{at}: {lacks:?}, {said:?}");
                let old = rotated.old.as_ref().unwrap();
                // What could not be compared may be weaker as well.
                let is_equal = rotated.not_carried.is_empty();
                assert_eq!(old.retirement.as_ref().unwrap().revoke_when_unused, is_equal, "{at}");
                for part in &rotated.not_carried {
                    assert!(!part.reason.is_empty(), "{at}: {part:?}");
                }
            }
        }
    }
}

#[test]
fn a_leaked_key_is_disabled_before_anything_else_whatever_fails() {
    for assignments in Assignments::all() {
        for step in STEPS.iter().filter(|step| !step.starts_with("PATCH /api/v1/keys")) {
            let case = Case::new(assignments);
            let before = case.account.proxy.requests().len();
            case.account.inject_fault(step, Fault::Respond(403, String::new()));
            let responses =
                respond_to_leak(&case.account, &[KEY], true, &management(&case.account));
            let at = format!("{assignments:?}, {step}");
            let requests = case.account.proxy.requests();
            assert!(requests[before].starts_with("PATCH /api/v1/keys/"), "{at}: {requests:?}");
            let response = &responses[0];
            assert!(response.disable_result.succeeded, "{at}: {response:?}");
            let Some(RotationOutcome::Completed { rotated, .. }) = &response.rotation else {
                panic!("{at}: {response:?}")
            };
            let lacks = case.lacks(&rotated.new.hash);
            let said = names(response.not_carried(), false);
            assert!(lacks.iter().all(|part| said.contains(part)), "{at}: {lacks:?}, {said:?}");
            let results = response.action_results();
            assert_eq!(
                response.is_complete(),
                results.iter().all(|result| result.succeeded),
                "{at}"
            );
            let warned = usize::from(matches!(
                &response.rotation,
                Some(RotationOutcome::Completed { warning: Some(_), .. })
            ));
            assert_eq!(results.len(), 2 + said.len() + warned, "{at}: {results:?}");
        }
    }
}

#[test]
fn an_assignment_that_cannot_be_read_is_not_taken_for_no_guardrail() {
    let case = Case::new(Assignments { guardrail: true, byok: true, workspace: false });
    case.account.proxy.set_rule(|request| {
        let is_list = request.starts_with("GET /api/v1/guardrails/assignments")
            || request.starts_with("GET /api/v1/byok?");
        if !is_list {
            Fault::Pass
        } else if request.contains("offset=0") {
            Fault::Respond(200, r#"{"data":[{"new":"form"}],"total_count":1}"#.into())
        } else {
            Fault::Respond(200, r#"{"data":[],"total_count":1}"#.into())
        }
    });
    let preview = block_on(keys::preview_replacement(
        &case.account.services,
        &case.account.stored_key(KEY),
        Some(&case.account.management),
    ));
    assert_eq!(names(&preview, false), ["guardrail", "allowed_api_key_hashes"]);
    let text = preview[0].to_string();
    assert!(text.contains("a list whose rows can all be read"), "{text}");
}

#[test]
fn without_a_management_key_the_key_itself_says_whether_provider_key_spending_counts() {
    let case = Case::new(Assignments { guardrail: false, byok: true, workspace: false });
    let stored_key = case.account.stored_key(KEY);
    let before = block_on(keys::preview_replacement(&case.account.services, &stored_key, None));
    assert_eq!(names(&before, true), ["include_byok_in_limit"]);
}

#[test]
fn a_rate_limit_in_the_middle_is_waited_for() {
    let case = Case::new(Assignments { guardrail: true, byok: true, workspace: false });
    let count = Arc::new(AtomicUsize::new(0));
    case.account.proxy.set_rule(move |request| {
        let is_page = request.starts_with("GET /api/v1/guardrails")
            || request.starts_with("GET /api/v1/byok");
        let is_limited = is_page && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        if is_limited { Fault::RateLimit(0) } else { Fault::Pass }
    });
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.not_carried, []);
    assert_eq!(case.lacks(&rotated.new.hash), [""; 0]);
}

#[test]
fn without_a_management_key_it_is_said_before_and_after_what_cannot_be_carried() {
    let case = Case::new(Assignments { guardrail: true, byok: true, workspace: true });
    // The last list of the account showed the guardrail.
    block_on(keys::join_account_keys(&case.account.services, &case.account.management)).unwrap();
    let stored_key = case.account.stored_key(KEY);
    let before = block_on(keys::preview_replacement(&case.account.services, &stored_key, None));
    assert_eq!(before, keys::preview_without_management_key(&stored_key));
    assert_eq!(names(&before, true), ["include_byok_in_limit", "guardrail"]);
    assert_eq!(
        names(&before, false),
        ["include_byok_in_limit", "guardrail", "allowed_api_key_hashes"]
    );
    let helper = keywright::domain::ApiKey::from(case.account.get("laptop").unwrap());
    let method = keywright::services::provision::AuthMethod::ExistingKey(
        helper,
        Box::new(keywright::services::provision::AuthMethod::PasteCode),
    );
    let before_it = case.account.proxy.requests().len();
    let responses = respond_to_leak(&case.account, &[KEY], false, &method);
    let Some(RotationOutcome::Completed { rotated, .. }) = &responses[0].rotation else {
        panic!("{responses:?}")
    };
    assert_eq!(rotated.not_carried, before);
    let requests = case.account.proxy.requests().split_off(before_it);
    assert!(requests.iter().all(|one| !one.contains("/guardrails") && !one.contains("/byok")));
    assert_eq!(
        case.lacks(&rotated.new.hash),
        ["include_byok_in_limit", "guardrail"],
        "the workspace is requested with the key"
    );
    assert!(!LeakResponse::is_complete(&responses[0]));
}

#[test]
fn a_leaked_key_that_was_replaced_before_is_disabled_and_gets_no_new_key() {
    let account = TestAccount::new();
    assert!(matches!(
        rotate(&account, "laptop", management(&account)),
        RotationOutcome::Completed { .. }
    ));
    let keys = account.labels();
    let responses = respond_to_leak(&account, &["laptop (old)"], true, &management(&account));
    let [response] = &responses[..] else { panic!("{responses:?}") };
    assert!(response.rotation.is_none() && response.is_complete(), "{response:?}");
    let results = response.action_results();
    assert!(results.iter().all(|result| result.succeeded), "{results:?}");
    assert!(results[1].message.contains("keywright rm --revoke 'laptop (old)'"), "{results:?}");
    assert_eq!(account.labels(), keys);
    assert_eq!(account.stored_key("laptop (old)").disabled, Some(true));
}

#[test]
fn amounts_with_more_decimals_than_cents_are_never_rounded_up() {
    use keywright::domain::Cents;
    for (dollars, expected) in
        [(1.239_999_999, "1.23"), (0.29, "0.29"), (0.011, "0.01"), (10.0, "10.00"), (2.675, "2.67")]
    {
        assert_eq!(Cents::at_most(dollars).unwrap().to_string(), expected, "{dollars}");
    }
    assert!(Cents::at_most(0.009_999_999).is_err());
}

#[test]
fn a_key_replaced_by_a_plan_has_the_planned_policy_and_keeps_the_rest() {
    for workspace in [false, true] {
        let case = Case::new(Assignments { guardrail: true, byok: true, workspace: false });
        let (services, management_key) = (&case.account.services, &case.account.management);
        let workspaces = block_on(keys::list_workspaces(services, management_key)).unwrap();
        let planned = KeyRequest {
            label: KEY.parse().unwrap(),
            limit: Some("20".parse().unwrap()),
            workspace_id: workspace.then(|| workspaces[1].id.clone()),
            ..KeyRequest::default()
        };
        let rotation = block_on(keys::replace_key(
            services,
            &case.account.stored_key(KEY),
            &planned,
            management(&case.account),
            &mut controls(),
            &|_| (),
        ));
        let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
        let said: &[_] = if workspace { &["allowed_api_key_hashes"] } else { &[] };
        assert_eq!(names(&rotated.not_carried, true), said);
        assert_eq!(rotated.new.limit().value(), Some(20.0));
        assert_eq!(rotated.new.requested.workspace_id, planned.workspace_id);
        assert_eq!(rotated.new.guardrail.as_ref().unwrap().name, "research");
        let expected: &[_] = if workspace {
            &["workspace_id", "allowed_api_key_hashes", "limit", "limit_reset"]
        } else {
            &["limit", "limit_reset"]
        };
        assert_eq!(case.lacks(&rotated.new.hash), expected, "only what the plan says differs");
    }
}
