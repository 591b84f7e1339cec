//! Updates at the server and refreshes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keywright::domain::{CheckResult, FieldChange, KeyPatch, Reported, Retirement, UsageSample};
use keywright::services::keys::{self, Error, UpdateOutcome};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use serde_json::json;
use tokio::sync::watch;

use super::proxy::Fault;
use super::{TIMEOUT, TestAccount, block_on, entry_id, label};

#[test]
fn disabling_is_recorded_and_the_response_is_compared() {
    let world = TestAccount::new();
    let stored_key = world.stored_key("laptop");
    let set_disabled =
        |off| block_on(keys::set_disabled(&world.services, &world.management, &stored_key, off));
    assert_eq!(set_disabled(true).unwrap().account_key.disabled, Some(true));
    assert_eq!(world.stored_key("laptop").disabled, Some(true));
    // The response shows the old values, so no change is reported.
    let row = json!({"data": {"hash": stored_key.hash, "disabled": true}}).to_string();
    world.inject_fault("", Fault::Respond(200, row));
    assert!(
        matches!(set_disabled(false), Err(Error::UpdateNotApplied { fields, .. }) if fields == ["disabled"])
    );
    assert_eq!(world.stored_key("laptop").disabled, Some(true));
    // After a response about another key, or a page, the key is fetched to see whether it was changed.
    let mut off = false;
    for response in [json!({"data": {"hash": "b".repeat(64)}}).to_string(), "<html>".into()] {
        world.inject_fault("PATCH", Fault::ReplaceResponse(200, response));
        assert_eq!(set_disabled(off).unwrap().account_key.disabled, Some(off));
        off = !off;
    }
    world.inject_fault("PATCH", Fault::LoseResponse);
    assert_eq!(set_disabled(off).unwrap().account_key.disabled, Some(off));
    // A page instead of a response, and no change.
    world.inject_fault("PATCH", Fault::Respond(200, "<html>".into()));
    assert!(matches!(set_disabled(!off), Err(Error::ManagementRequestFailed { .. })));
    assert_eq!(world.stored_key("laptop").disabled, Some(off));
    world.inject_fault("PATCH", Fault::Respond(404, String::new()));
    assert!(set_disabled(!off).unwrap_err().is_not_found());
}

/// Blocks the writing of the inventory in that directory, as a full disk does.
fn block_inventory(dir: &std::path::Path) {
    std::fs::create_dir(dir.join("inventory.json.new")).unwrap();
}

#[test]
fn a_change_at_the_server_is_reported_though_the_inventory_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let world = TestAccount::of(4, StoreLocation::Directory(dir.path().to_owned()));
    let stored_key = world.stored_key("laptop");
    let client = world.services.build_management_client(&world.management).unwrap();
    let account_key = || block_on(client.get_key(&stored_key.hash)).unwrap();
    block_inventory(dir.path());
    let updated =
        block_on(keys::set_disabled(&world.services, &world.management, &stored_key, true))
            .unwrap();
    assert_eq!(updated.account_key.disabled, Some(true));
    let warning = updated.warning.unwrap();
    assert!(warning.message.contains("the inventory could not be written"), "{warning:?}");
    assert_eq!(warning.meaning, "'laptop' is disabled at OpenRouter");
    assert_eq!(account_key().disabled, Some(true));
    let patch = KeyPatch { limit: FieldChange::Set("50".parse().unwrap()), ..KeyPatch::default() };
    let outcome =
        block_on(keys::update_key(&world.services, &world.management, &account_key(), &patch))
            .unwrap();
    let UpdateOutcome::Applied { current, warning: Some(warning), .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (current.info.limit.value(), account_key().info.limit.value()),
        (Some(50.0), Some(50.0))
    );
    assert_eq!(warning.meaning, "the key is changed at OpenRouter");
    let responses = super::rotation::respond_to_leak(
        &world,
        &["ci"],
        true,
        &keywright::services::provision::AuthMethod::ManagementKey(world.management.clone()),
    );
    let disabled = &responses[0].disable_result;
    assert!(disabled.succeeded, "{disabled:?}");
    assert!(disabled.message.contains("is disabled; the inventory could not"), "{disabled:?}");
}

#[test]
fn update_does_not_overwrite_a_concurrent_change() {
    let world = TestAccount::new();
    let client = world.services.build_management_client(&world.management).unwrap();
    let hash = world.stored_key("laptop").hash.clone();
    let seen = block_on(client.get_key(&hash)).unwrap();
    let edit = |patch: &KeyPatch| {
        block_on(keys::update_key(&world.services, &world.management, &seen, patch)).unwrap()
    };
    let limit = |usd: &str| KeyPatch {
        limit: FieldChange::from_option(usd.parse().ok()),
        ..KeyPatch::default()
    };
    block_on(client.update_key(&hash, &limit("77"))).unwrap();
    let before = world.proxy.count("PATCH");
    let ours = KeyPatch { name: Some(label("mine")), ..KeyPatch::default() };
    let UpdateOutcome::Conflict { current: now, changed_fields: differences, .. } = edit(&ours)
    else {
        panic!()
    };
    assert_eq!((now.info.limit.value(), differences), (Some(77.0), vec!["limit"]));
    assert_eq!(world.proxy.count("PATCH"), before);
    // Restored to the fetched values: null clears a field, and an absent field is unchanged.
    block_on(client.update_key(&hash, &limit("10"))).unwrap();
    let cleared = KeyPatch {
        limit: FieldChange::Clear,
        limit_reset: FieldChange::Clear,
        ..KeyPatch::default()
    };
    let UpdateOutcome::Applied { current: now, unapplied_fields: differences, .. } = edit(&cleared)
    else {
        panic!()
    };
    assert_eq!(
        (now.info.limit, now.info.limit_reset, differences),
        (Reported::None, Reported::None, vec![])
    );
    assert_eq!(now.name.as_deref(), Some("laptop"));
    assert_eq!(world.stored_key("laptop").limit(), Reported::None, "the inventory has it");
}

#[test]
fn fields_that_the_server_did_not_apply_are_named() {
    let world = TestAccount::new();
    let client = world.services.build_management_client(&world.management).unwrap();
    let hash = world.stored_key("laptop").hash.clone();
    let seen = block_on(client.get_key(&hash)).unwrap();
    let response = json!({"data": {"hash": hash, "name": "laptop", "limit": 5}}).to_string();
    world.inject_fault("PATCH", Fault::ReplaceResponse(200, response));
    let patch = KeyPatch { limit: FieldChange::Set("50".parse().unwrap()), ..KeyPatch::default() };
    let edited =
        block_on(keys::update_key(&world.services, &world.management, &seen, &patch)).unwrap();
    assert!(
        matches!(edited, UpdateOutcome::Applied { unapplied_fields, .. } if unapplied_fields == ["limit"])
    );
}

#[test]
fn a_replaced_key_is_unused_only_if_the_account_says_so() {
    let world = TestAccount::new();
    let mut key = world.stored_key("laptop");
    let now = Timestamp::now();
    let replaced_at = now - SignedDuration::from_hours(2);
    key.retirement = Some(Retirement { revoke_when_unused: true, ..Retirement::new(replaced_at) });
    key.info = None;
    let find = |fields: serde_json::Value| {
        let mut data = json!({"hash": key.hash, "name": "laptop (old)"});
        data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let response = json!({"data": data}).to_string();
        world.inject_fault("GET", Fault::ReplaceResponse(200, response));
        let found = block_on(keys::find_recent_use(&world.services, &world.management, &key));
        found.unwrap().map(|(account_key, reason)| (account_key.last_used_at.is_some(), reason))
    };
    let used_at = |minutes| (now - SignedDuration::from_mins(minutes)).to_string();
    assert_eq!(find(json!({"last_used_at": used_at(61), "byok_usage": 3})), None);
    assert_eq!(find(json!({"last_used_at": null})), None);
    let used = find(json!({"last_used_at": used_at(5)}));
    assert_eq!(used, Some((true, "last used 5 minutes ago".into())));
    let (is_known, reason) = find(json!({"byok_usage": 3})).unwrap();
    assert!(!is_known && reason.contains("BYOK"), "{reason}");
    world.inject_fault("GET", Fault::Respond(500, String::new()));
    let found = block_on(keys::find_recent_use(&world.services, &world.management, &key));
    assert!(found.is_err(), "{found:?}");
}

#[test]
fn failed_check_of_one_key_does_not_affect_the_others() {
    let world = TestAccount::new();
    world.services.secret_store.delete(&entry_id("ci"), TIMEOUT).unwrap();
    let keys = || inventory::list_keys(&world.services.location, &world.services.server).unwrap();
    let round = |results: Arc<Mutex<Vec<CheckResult>>>| {
        let record =
            move |_: &str, read: &CheckResult, _| results.lock().unwrap().push(read.clone());
        block_on(keys::refresh_keys(
            &world.services,
            keys(),
            Timestamp::now,
            record,
            watch::channel(false).1,
        ))
    };
    let results: Arc<Mutex<Vec<CheckResult>>> = Arc::default();
    let ended = round(Arc::clone(&results));
    assert!(ended.error.is_none() && ended.unchecked.is_empty(), "{ended:?}");
    assert_eq!(results.lock().unwrap().len(), 4);
    assert!(
        world.stored_key("laptop").info.is_some() && world.stored_key("agent").checked_at.is_some()
    );
    assert!(world.stored_key("notebook").rejected_at.is_some(), "it is disabled: 401");
    assert_eq!(world.stored_key("ci").checked_at, None);
    // Without credit the key is neither rejected nor checked.
    world.inject_fault("", Fault::Respond(402, String::new()));
    let results: Arc<Mutex<Vec<CheckResult>>> = Arc::default();
    round(Arc::clone(&results));
    assert_eq!(
        results
            .lock()
            .unwrap()
            .iter()
            .filter(|read| **read == CheckResult::InsufficientCredits)
            .count(),
        3
    );
    assert!(world.stored_key("laptop").rejected_at.is_none());
    // After a rate limit nothing more is sent, and the delay is returned.
    world.inject_fault("", Fault::RateLimit(7));
    let ended = round(Arc::default());
    assert_eq!(ended.retry_after, Some(Duration::from_secs(7)));
    assert!(!ended.unchecked.is_empty() && ended.error.is_some());
}

#[test]
fn invalid_responses_never_change_the_stored_values() {
    let world = TestAccount::new();
    let key_info = |over: serde_json::Value| {
        let mut data = json!({"limit": 10, "limit_remaining": 9, "usage": 1});
        data.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        Fault::Respond(200, json!({ "data": data }).to_string())
    };
    let refresh = || {
        let results: Arc<Mutex<Vec<CheckResult>>> = Arc::default();
        let recorder = Arc::clone(&results);
        let record =
            move |_: &str, read: &CheckResult, _| recorder.lock().unwrap().push(read.clone());
        let stored_key = world.stored_key("laptop");
        let stop = watch::channel(false).1;
        let keys = vec![stored_key];
        let ended =
            block_on(keys::refresh_keys(&world.services, keys, Timestamp::now, record, stop));
        (results.lock().unwrap().pop(), ended)
    };
    world.inject_fault("", key_info(json!({})));
    refresh();
    let before = world.stored_key("laptop");
    assert_eq!(before.info.as_ref().unwrap().limit_remaining, Some(9.0));

    let other = world.stored_key("ci").masked.clone();
    for (fault, words) in [
        (Fault::Respond(500, String::new()), "500"),
        (Fault::Respond(200, "<html>hello</html>".into()), "instead of a description of a key"),
        (Fault::Respond(200, json!({"data": []}).to_string()), "instead of a description of a key"),
        (Fault::TruncateResponse, "incomplete"),
        (Fault::LoseResponse, "closed the connection"),
        (key_info(json!({"label": other, "limit_remaining": 0})), "another key"),
    ] {
        let case = format!("{fault:?}");
        world.inject_fault("", fault);
        let (result, ended) = refresh();
        assert!(
            matches!(&result, Some(CheckResult::Failed(why)) if why.contains(words)),
            "{case}: {result:?}"
        );
        assert!(ended.error.is_none(), "{case}: {ended:?}");
        assert_eq!(world.stored_key("laptop"), before, "{case}");
    }

    // What is not understood is shown in the server's words and is never "never" or "none".
    for (over, expected) in [
        (json!({"expires_at": 1_830_297_599, "limit_reset": "yearly"}), "10 yearly 1830297599"),
        (json!({"limit": "lots", "expires_at": "2027-01-01"}), "lots unknown 2027-01-01"),
        (json!({"limit_reset": null, "expires_at": ""}), "10 never unknown"),
    ] {
        world.inject_fault("", key_info(over));
        refresh();
        let stored_key = world.stored_key("laptop");
        let shown = format!(
            "{} {} {}",
            stored_key.limit().describe("none", |usd| usd.to_string()),
            stored_key.reset().describe("never", |_| String::new()),
            stored_key.expires_at().describe("never", |at| at.to_string())
        );
        assert_eq!(shown, expected);
    }
    // Unusual values of this key are recorded as they are, sanitized.
    let long = "é\u{202e}\u{1b}[31m".repeat(3_000);
    for (over, limit, remaining) in [
        (json!({"limit": null, "limit_remaining": null}), None, None),
        (json!({"limit": 0, "limit_remaining": 0}), Some(0.0), Some(0.0)),
        (json!({"limit": 1e12, "limit_remaining": -5}), Some(1e12), Some(-5.0)),
        (json!({"limit_remaining": 99, "label": long}), Some(10.0), Some(99.0)),
        (json!({"expires_at": "2027-01-01T00:00:00.123456+02:00"}), Some(10.0), Some(9.0)),
        (json!({"label": "sk-or-v1-000...0000"}), Some(10.0), Some(9.0)),
    ] {
        world.inject_fault("", key_info(over.clone()));
        let (result, _) = refresh();
        assert!(matches!(result, Some(CheckResult::Valid(_))), "{over}");
        let read = world.stored_key("laptop").info.clone().unwrap();
        assert_eq!((read.limit.value(), read.limit_remaining), (limit, remaining), "{over}");
        let shown = read.masked.clone().unwrap_or_default();
        assert!(shown.chars().count() <= 101 && !shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
    // Nothing for longer than a request may take.
    let mut services = world.services.clone();
    services.request_timeout = Duration::from_millis(200);
    world.proxy.set_rule(|_| {
        std::thread::sleep(Duration::from_millis(600));
        Fault::Pass
    });
    let before = world.stored_key("laptop");
    let keys = vec![before.clone()];
    let stop = watch::channel(false).1;
    let record = |_: &str, read: &CheckResult, _| {
        assert!(matches!(read, CheckResult::Failed(_)), "{read:?}");
    };
    block_on(keys::refresh_keys(&services, keys, Timestamp::now, record, stop));
    assert_eq!(world.stored_key("laptop"), before);
}

#[test]
fn removing_a_key_removes_its_usage_history() {
    let world = TestAccount::new();
    let stored_key = world.stored_key("laptop");
    let spent = |hash: &str| {
        let known =
            keywright::storage::usage_history::read_samples(&world.services.location).unwrap();
        known.get(hash).map_or(0, Vec::len)
    };
    let now = Timestamp::now();
    let other = world.stored_key("ci");
    let both = [&stored_key, &other].map(|key| (key.hash.as_str(), UsageSample::new(now, 1.0)));
    keywright::storage::usage_history::record_usage(&world.services.location, &both).unwrap();
    keys::remove_key(&world.services, &stored_key).unwrap();
    assert_eq!((spent(&stored_key.hash), spent(&other.hash)), (1, 1), "it can be restored");
    keys::empty_trash(&world.services).unwrap();
    assert_eq!((spent(&stored_key.hash), spent(&other.hash)), (0, 1));
    assert!(!world.labels().contains(&"laptop".to_owned()));
    assert_eq!(world.get("laptop"), None);
}
