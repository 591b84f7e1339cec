//! What is left to do at the server for a stored key, its name and its guardrail, is finished by the next
//! recovery, whatever happened to the key meanwhile.

use keywright::domain::{
    FinishedStep, GuardrailRef, KeyRequest, ManagementKey, ProvisioningOutcome, RotationOutcome,
    StoredKey, UserError,
};
use keywright::services::keys::{self, UpdateOutcome};
use keywright::services::provision::ServiceContext;
use keywright::storage::{inventory, journal};

use super::proxy::Fault;
use super::rotation::{controls, management, respond_to_leak, rotate};
use super::{TIMEOUT, TestAccount, block_on, entry_id, label};

const CREATE: &str = "POST /api/v1/keys";
const RENAME: &str = "PATCH /api/v1/keys/";

impl TestAccount {
    fn with_management_key(&self) -> ServiceContext {
        ServiceContext { management_key: Some(self.management.clone()), ..self.services.clone() }
    }

    fn create(
        &self,
        name: &str,
        guardrail: Option<&GuardrailRef>,
    ) -> (StoredKey, Option<UserError>) {
        let request = KeyRequest {
            label: label(name),
            guardrail: guardrail.cloned(),
            ..KeyRequest::default()
        };
        let (services, mut controls) = (self.with_management_key(), controls());
        let created =
            keys::create_key(&request, management(self), &services, &mut controls, &|_| {});
        let ProvisioningOutcome::Stored { stored_key, warning, .. } = block_on(created) else {
            panic!()
        };
        (stored_key, warning)
    }

    fn name_at_server(&self, hash: &str) -> String {
        let key = block_on(keys::fetch_account_key(&self.services, &self.management, hash));
        key.unwrap().name.unwrap()
    }

    /// Returns the names that are pending.
    fn pending_names(&self) -> Vec<String> {
        let names = keys::list_pending_names(&self.services).unwrap();
        names.into_values().map(|name| name.to_string()).collect()
    }

    fn recover(&self) -> (Vec<FinishedStep>, Vec<UserError>) {
        let recovered = block_on(keys::recover_attempts(&self.with_management_key())).unwrap();
        assert!(recovered.settled.deleted.is_empty() && recovered.unresolved.is_empty());
        (recovered.finished, recovered.errors)
    }
}

fn attempts(account: &TestAccount) -> usize {
    journal::list_all_attempts(&account.services.location).unwrap().len()
}

/// A recovery that is refused as well names the key; one that is not gives it its label.
fn finishes(account: &TestAccount, hash: &str, name: &str) {
    let at_server = account.name_at_server(hash);
    assert!(at_server.contains(" [kw:") && at_server.starts_with(name), "{at_server}");
    assert_eq!(account.pending_names(), [&*at_server]);
    let (finished, errors) = account.recover();
    assert_eq!(finished, []);
    assert!(errors[0].meaning.contains(&at_server), "{errors:?}");
    assert_eq!(errors[0].advice, "try again: keywright recover");
    // Without a management key it is said as well.
    let recovered = block_on(keys::recover_attempts(&account.services)).unwrap();
    assert!(recovered.errors[0].advice.contains("keywright management set"), "{recovered:?}");

    account.proxy.set_rule(|_| Fault::Pass);
    assert_eq!(account.recover(), (vec![FinishedStep::Renamed(label(name))], vec![]));
    assert_eq!((account.name_at_server(hash).as_str(), attempts(account)), (name, 0));
    assert_eq!(account.recover(), (vec![], vec![]));
}

fn refuse_renames(account: &TestAccount) {
    account.inject_fault(RENAME, Fault::Respond(403, r#"{"error":{"message":"no"}}"#.into()));
}

#[test]
fn a_refused_rename_is_finished_after_new_rotate_and_panic() {
    let account = TestAccount::new();
    refuse_renames(&account);
    let (key, warning) = account.create("tool", None);
    assert!(warning.unwrap().message.contains("could not be renamed"));
    finishes(&account, &key.hash, "tool");

    for is_leak in [false, true] {
        let account = TestAccount::new();
        refuse_renames(&account);
        let rotation = if is_leak {
            let method = management(&account);
            respond_to_leak(&account, &["agent"], true, &method).remove(0).rotation.unwrap()
        } else {
            rotate(&account, "agent", management(&account))
        };
        let RotationOutcome::Completed { rotated, warning } = rotation else { panic!() };
        assert_eq!(warning.unwrap().advice, "try again: keywright recover");
        finishes(&account, &rotated.new.hash, "agent");
    }
}

#[test]
fn a_removed_key_gets_its_label_at_the_server_too_unless_it_is_deleted_there() {
    let account = TestAccount::new();
    refuse_renames(&account);
    let (key, _) = account.create("tool", None);
    let trashed = keys::remove_key(&account.services, &key).unwrap().unwrap();
    keys::restore_key(&account.services, &trashed, &label("other")).unwrap();
    keys::remove_key(&account.services, &account.stored_key("other")).unwrap().unwrap();
    assert_eq!(account.recover().0, []);
    account.proxy.set_rule(|_| Fault::Pass);
    assert_eq!(account.recover(), (vec![FinishedStep::Renamed(label("other"))], vec![]));
    assert_eq!((account.name_at_server(&key.hash).as_str(), attempts(&account)), ("other", 0));

    refuse_renames(&account);
    let (key, _) = account.create("gone", None);
    block_on(keys::revoke_and_remove(&account.services, &account.management, &key)).unwrap();
    assert_eq!(attempts(&account), 0);
    // Deleted at the server, and removed here before the program knew.
    let (key, _) = account.create("gone", None);
    block_on(keys::revoke_key(&account.services, &account.management, &key.hash)).unwrap();
    keys::remove_key(&account.services, &key).unwrap();
    let renames = account.proxy.count(RENAME);
    assert_eq!((account.recover(), attempts(&account)), ((vec![], vec![]), 0));
    assert_eq!(account.proxy.count(RENAME), renames);
}

#[test]
fn a_name_that_somebody_gave_the_key_meanwhile_is_left() {
    let account = TestAccount::new();
    refuse_renames(&account);
    let (key, _) = account.create("tool", None);
    account.proxy.set_rule(|_| Fault::Pass);
    let (services, management) = (&account.services, &account.management);
    let current = block_on(keys::fetch_account_key(services, management, &key.hash)).unwrap();
    let patch = keywright::domain::KeyPatch { name: Some(label("theirs")), ..Default::default() };
    let updated = block_on(keys::update_key(services, management, &current, &patch)).unwrap();
    assert!(matches!(updated, UpdateOutcome::Applied { .. }));
    assert_eq!(account.recover(), (vec![], vec![]));
    assert_eq!((account.name_at_server(&key.hash).as_str(), attempts(&account)), ("theirs", 0));
}

#[test]
fn the_key_of_a_repeated_request_is_deleted_with_a_late_rename() {
    let account = TestAccount::new();
    let is_first = std::sync::atomic::AtomicBool::new(true);
    account.proxy.set_rule(move |request| {
        if request.starts_with(RENAME) {
            Fault::Respond(403, String::new())
        } else if request.starts_with(CREATE)
            && is_first.swap(false, std::sync::atomic::Ordering::SeqCst)
        {
            Fault::ReplaceResponse(503, String::new())
        } else {
            Fault::Pass
        }
    });
    let (key, _) = account.create("tool", None);
    account.proxy.set_rule(|_| Fault::Pass);
    account.recover();
    let (services, management) = (&account.services, &account.management);
    let listed = block_on(keys::list_account_keys(services, management)).unwrap();
    let names: Vec<_> = listed.iter().filter_map(|one| one.name.as_deref()).collect();
    assert!(
        names.contains(&"tool") && !names.iter().any(|name| name.contains("[kw:")),
        "{names:?}"
    );
    assert_eq!(account.name_at_server(&key.hash), "tool");
}

fn research(account: &TestAccount) -> GuardrailRef {
    let all = block_on(keys::list_guardrails(&account.services, &account.management)).unwrap();
    let found = all.into_iter().find(|one| one.name == "research").unwrap();
    GuardrailRef { id: found.id, name: found.name }
}

#[test]
fn a_refused_rename_and_a_refused_guardrail_are_both_said_and_both_finished() {
    let account = TestAccount::new();
    let research = research(&account);
    account.proxy.set_rule(|request| {
        if request.starts_with(RENAME) || request.starts_with("POST /api/v1/guardrails/") {
            Fault::Respond(403, String::new())
        } else {
            Fault::Pass
        }
    });
    let (key, warning) = account.create("tool", Some(&research));
    let warning = warning.unwrap();
    assert!(warning.meaning.contains("not under the guardrail 'research'"), "{warning:?}");
    assert!(warning.message.contains("could not be renamed"), "{warning:?}");
    let (_, errors) = account.recover();
    assert_eq!(errors.len(), 2, "{errors:?}");
    account.proxy.set_rule(|_| Fault::Pass);
    let expected = vec![
        FinishedStep::GuardrailAssigned(label("tool"), research.clone()),
        FinishedStep::Renamed(label("tool")),
    ];
    assert_eq!(account.recover(), (expected, vec![]));
    let assigned = keys::get_assigned_guardrail(&account.services, &account.management, &key.hash);
    assert_eq!(block_on(assigned).unwrap(), Some(research));
}

#[test]
fn a_guardrail_that_somebody_removed_is_not_assigned_again() {
    let account = TestAccount::new();
    let (services, research) = (account.with_management_key(), research(&account));
    let (key, warning) = account.create("tool", Some(&research));
    assert_eq!(warning, None);
    // The program ended before the guardrail was assigned.
    let forget = |key: &mut StoredKey| key.guardrail = None;
    inventory::update_key(&services.location, &services.server, &key.hash, forget).unwrap();
    assert!(keys::is_interrupted(&services).unwrap());
    let expected = FinishedStep::GuardrailAssigned(label("tool"), research);
    assert_eq!(account.recover().0, [expected]);

    let management: &ManagementKey = &account.management;
    block_on(keys::assign_guardrail(&services, management, &key.hash, None, None)).unwrap();
    block_on(keys::join_account_keys(&services, management)).unwrap();
    assert_eq!(account.recover(), (vec![], vec![]));
    assert_eq!(account.stored_key("tool").guardrail, None);
}

#[test]
fn a_guardrail_that_cannot_be_read_back_may_be_assigned_and_a_refused_list_is_not_a_missing_key() {
    let account = TestAccount::new();
    let (services, research) = (account.with_management_key(), research(&account));
    account.inject_fault("GET /api/v1/guardrails/assign", Fault::Respond(404, String::new()));
    let (_, warning) = account.create("tool", Some(&research));
    let warning = warning.unwrap();
    assert!(warning.message.contains("could not be read back"), "{warning:?}");
    assert!(warning.meaning.contains("may not be under the guardrail"), "{warning:?}");

    account.inject_fault("GET /api/v1/guardrails", Fault::Respond(404, String::new()));
    let error = block_on(keys::list_guardrails(&services, &account.management)).unwrap_err();
    let error = error.to_user_error();
    assert_eq!(error.meaning, "");
    assert!(error.advice.contains("the server does not have it"), "{error:?}");
    // What fails for another reason is not taken for an account with one workspace.
    account.inject_fault("GET /api/v1/workspaces", Fault::Respond(500, String::new()));
    block_on(keys::list_guardrails(&services, &account.management)).unwrap_err();
    account.inject_fault("GET /api/v1/workspaces", Fault::Respond(404, String::new()));
    block_on(keys::list_guardrails(&services, &account.management)).unwrap();
}

#[test]
fn an_interrupted_renaming_is_finished_and_deletes_no_other_key() {
    // Killed before the inventory has the new label, after that, and after the old entry was deleted.
    for (listed, other, entries) in [
        ("agent", "bot", &["agent", "bot"][..]),
        ("bot", "agent", &["agent", "bot"]),
        ("bot", "agent", &["bot"]),
        ("agent", "bot", &["agent"]),
    ] {
        let account = TestAccount::new();
        let text = account.get("agent").unwrap();
        let hash = account.stored_key("agent").hash.clone();
        account.services.secret_store.delete(&entry_id("agent"), TIMEOUT).unwrap();
        for name in entries {
            account.put(name, &text);
        }
        let interrupt = |key: &mut StoredKey| {
            key.label = label(listed);
            key.other_entry = Some(label(other));
        };
        let (location, server) = (&account.services.location, &account.services.server);
        inventory::update_key(location, server, &hash, interrupt).unwrap();
        assert!(account.stored_key(listed).is_unfinished());
        let deleted = FinishedStep::OldEntryDeleted(label(listed), label(other));
        let expected = if entries.len() == 2 { vec![deleted] } else { vec![] };
        assert_eq!(account.recover(), (expected, vec![]));
        assert_eq!((account.get(listed), account.get(other)), (Some(text), None));
        assert!(!account.stored_key(listed).is_unfinished());
        assert_eq!(account.recover(), (vec![], vec![]));
    }
    // Another key has the other label by now.
    let account = TestAccount::new();
    let hash = account.stored_key("agent").hash.clone();
    let (location, server) = (&account.services.location, &account.services.server);
    let interrupt = |key: &mut StoredKey| key.other_entry = Some(label("ci"));
    inventory::update_key(location, server, &hash, interrupt).unwrap();
    let before = account.entries();
    assert_eq!(account.recover(), (vec![], vec![]));
    assert_eq!(
        (account.entries(), account.stored_key("agent").other_entry.clone()),
        (before, None)
    );
}
