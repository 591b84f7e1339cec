//! What someone changes or deletes at OpenRouter while a key is replaced.

use super::*;

#[test]
fn a_guardrail_that_was_deleted_before_it_is_assigned_is_reported() {
    let case = Case::new(Assignments { guardrail: true, byok: false, workspace: false });
    let guardrail = case.guardrail.clone();
    case.account.inject_fault("POST /api/v1/guardrails/", Fault::Respond(404, String::new()));
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(names(&rotated.not_carried, true), ["guardrail"]);
    let text = rotated.not_carried[0].to_string();
    assert!(text.starts_with("guardrail 'research': ") && text.contains("404"), "{text}");
    assert!(!text.contains(&guardrail), "{text}");
    let json = serde_json::to_value(&rotated.not_carried).unwrap();
    assert_eq!((&json[0]["what"], json[0]["reason"].is_string()), (&"guardrail".into(), true));
}

#[test]
fn a_guardrail_that_the_inventory_remembers_of_a_deleted_key_is_carried() {
    let case = Case::new(Assignments { guardrail: true, byok: true, workspace: false });
    let (services, management_key) = (&case.account.services, &case.account.management);
    block_on(keys::join_account_keys(services, management_key)).unwrap();
    let client = services.build_management_client(management_key).unwrap();
    block_on(client.delete_key(&case.old.hash)).unwrap();
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    let assigned =
        block_on(keys::get_assigned_guardrail(services, management_key, &rotated.new.hash));
    assert_eq!(assigned.unwrap().unwrap().id, case.guardrail);
    // Nothing knows its provider keys any more.
    assert_eq!(names(&rotated.not_carried, false), ["allowed_api_key_hashes"]);
}

#[test]
fn a_guardrail_that_was_deleted_before_it_is_read_again_is_reported() {
    let case = Case::new(Assignments { guardrail: true, byok: false, workspace: false });
    // Nothing but the rotation itself has read the guardrail.
    assert_eq!(case.account.stored_key(KEY).guardrail, None);
    let guardrail = format!("GET /api/v1/guardrails/{}", case.guardrail);
    let is_deleted = AtomicBool::new(false);
    case.account.proxy.set_rule(move |request| {
        if request.starts_with("POST /api/v1/keys") {
            is_deleted.store(true, Ordering::Relaxed);
        }
        if !is_deleted.load(Ordering::Relaxed) {
            Fault::Pass
        } else if request.starts_with("GET /api/v1/guardrails/assignments") {
            Fault::ReplaceResponse(200, r#"{"data":[],"total_count":0}"#.into())
        } else if request.starts_with(&guardrail) {
            Fault::Respond(404, String::new())
        } else {
            Fault::Pass
        }
    });
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(names(&rotated.not_carried, true), ["guardrail"]);
    let text = rotated.not_carried[0].to_string();
    assert_eq!(text, "guardrail 'research': the guardrail no longer exists (404)");
    // No command gives it to the new key.
    let advice = rotated.weaker_error().unwrap().advice;
    assert!(!advice.contains("--guardrail"), "{advice}");
}

#[test]
fn what_is_sent_and_cannot_be_read_back_is_not_known() {
    let case = Case::new(Assignments { guardrail: false, byok: false, workspace: true });
    case.account.inject_fault("GET /api/v1/keys/", Fault::Respond(403, String::new()));
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    // `GET /key` reports the workspace, and the new key has it.
    assert_eq!(case.lacks(&rotated.new.hash), [""; 0]);
    assert_eq!(names(&rotated.not_carried, true), [""; 0], "{:?}", rotated.not_carried);
    let said = names(&rotated.not_carried, false);
    assert!(!said.contains(&"workspace_id"), "{said:?}");
    assert!(said.contains(&"allowed_api_key_hashes"), "{said:?}");
}

#[test]
fn a_limit_that_was_changed_meanwhile_is_that_of_the_new_key() {
    for (body, limit) in
        [("{\"limit\":3}", Some(3.0)), ("{\"limit\":30}", Some(30.0)), ("{\"limit\":null}", None)]
    {
        check_changed_limit(body, limit);
    }
}

fn check_changed_limit(body: &'static str, limit: Option<f64>) {
    let case = Case::new(Assignments { guardrail: false, byok: false, workspace: false });
    let (url, hash) = (case.account.sandbox.url().to_owned(), case.old.hash.clone());
    let token = case.account.sandbox.management_key().to_owned();
    let is_changed = AtomicBool::new(false);
    case.account.proxy.set_rule(move |request| {
        if request.starts_with("POST /api/v1/keys") && !is_changed.swap(true, Ordering::Relaxed) {
            patch_key(&url, &token, &hash, body);
        }
        Fault::Pass
    });
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.not_carried, []);
    assert_eq!(rotated.new.limit().value(), limit, "{body}");
    assert_eq!(rotated.new.differing_fields(), [""; 0], "{body}");
}

#[test]
fn a_reset_that_was_changed_meanwhile_is_that_of_the_new_key() {
    for body in [
        r#"{"limit_reset":"daily"}"#,
        r#"{"limit_reset":"weekly"}"#,
        r#"{"limit_reset":null}"#,
        r#"{"limit":30,"limit_reset":"daily"}"#,
        r#"{"limit":null,"limit_reset":null}"#,
    ] {
        let case = Case::new(Assignments { guardrail: false, byok: false, workspace: false });
        let (url, hash) = (case.account.sandbox.url().to_owned(), case.old.hash.clone());
        let token = case.account.sandbox.management_key().to_owned();
        let is_changed = AtomicBool::new(false);
        case.account.proxy.set_rule(move |request| {
            if request.starts_with("POST /api/v1/keys") && !is_changed.swap(true, Ordering::Relaxed)
            {
                patch_key(&url, &token, &hash, body);
            }
            Fault::Pass
        });
        let rotation = rotate(&case.account, KEY, management(&case.account));
        let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
        let account_keys =
            block_on(keys::list_account_keys(&case.account.services, &case.account.management));
        let account_keys = account_keys.unwrap();
        let policy_of = |hash: &str| {
            let key = account_keys.iter().find(|key| key.hash == hash).unwrap();
            (key.info.limit.clone(), key.info.limit_reset.clone())
        };
        assert_eq!(policy_of(&rotated.new.hash), policy_of(&case.old.hash), "{body}");
        assert_eq!(rotated.not_carried, [], "{body}");
    }
}

#[test]
fn a_key_that_was_moved_meanwhile_is_followed_to_its_workspace() {
    let case = Case::new(Assignments { guardrail: true, byok: true, workspace: false });
    let (services, management_key) = (&case.account.services, &case.account.management);
    let workspaces = block_on(keys::list_workspaces(services, management_key)).unwrap();
    let target = workspaces[1].id.clone();
    // Someone moves the old key right after the new one was created.
    let (url, hash) = (case.account.sandbox.url().to_owned(), case.old.hash.clone());
    let token = case.account.sandbox.management_key().to_owned();
    let is_moved = AtomicBool::new(false);
    let is_created = AtomicBool::new(false);
    case.account.proxy.set_rule(move |request| {
        if request.starts_with("POST /api/v1/keys") {
            is_created.store(true, Ordering::Relaxed);
        } else if is_created.load(Ordering::Relaxed) && !is_moved.swap(true, Ordering::Relaxed) {
            move_key(&url, &token, &hash, &target);
        }
        Fault::Pass
    });
    let rotation = rotate(&case.account, KEY, management(&case.account));
    let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
    assert_eq!(rotated.not_carried, []);
    assert_eq!(rotated.new.workspace_id(), Some(&workspaces[1].id));
    // Neither key can use the provider key of the old workspace.
    assert_eq!(case.lacks(&rotated.new.hash), ["allowed_api_key_hashes"]);
}

fn move_key(url: &str, token: &str, hash: &str, workspace: &str) {
    patch_key(url, token, hash, &format!("{{\"workspace_id\":\"{workspace}\"}}"));
}

fn patch_key(url: &str, token: &str, hash: &str, body: &str) {
    use std::io::{Read as _, Write as _};
    let mut socket = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    write!(
        socket,
        "PATCH /api/v1/keys/{hash} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[test]
fn without_a_management_key_a_limit_that_was_changed_meanwhile_is_read_with_the_key() {
    let lower = r#"{"data":{"label":"x","limit":1,"limit_remaining":1,"limit_reset":"daily"}}"#;
    for (second, is_lost) in [
        (Fault::ReplaceResponse(200, lower.into()), true),
        (Fault::Respond(403, String::new()), false),
    ] {
        let case = Case::new(Assignments { guardrail: false, byok: false, workspace: false });
        let count = AtomicUsize::new(0);
        let is_created = AtomicBool::new(false);
        case.account.proxy.set_rule(move |request| {
            is_created.fetch_or(request == "POST /api/v1/auth/keys", Ordering::Relaxed);
            // The first reading after the creation is that of the new key.
            let is_read = request == "GET /api/v1/key" && is_created.load(Ordering::Relaxed);
            if is_read && count.fetch_add(1, Ordering::Relaxed) == 1 {
                return second.clone();
            }
            Fault::Pass
        });
        let helper = keywright::domain::ApiKey::from(case.account.get("laptop").unwrap());
        let paste = Box::new(keywright::services::provision::AuthMethod::PasteCode);
        let method = keywright::services::provision::AuthMethod::ExistingKey(helper, paste);
        let rotation = rotate(&case.account, KEY, method);
        let RotationOutcome::Completed { rotated, .. } = rotation else { panic!("{rotation:?}") };
        assert_eq!(names(&rotated.not_carried, is_lost).last(), Some(&"limit"), "{rotated:?}");
        if is_lost {
            let error = rotated.weaker_error().unwrap();
            assert!(error.message.contains("limit $1.00"), "{error:?}");
            assert!(error.advice.contains("edit --limit 1"), "{error:?}");
        } else {
            let text = rotated.not_carried.last().unwrap().to_string();
            assert!(
                text.starts_with("not known whether its limit was changed meanwhile: "),
                "{text}"
            );
        }
    }
}
