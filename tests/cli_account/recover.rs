//! `keywright recover`: interrupted attempts.

use keywright::domain::{RequestedPolicy, StoredKey};
use keywright::storage::journal::{Attempt, AttemptGuard, AttemptStage};
use keywright::storage::json_store::StoreLocation;

use super::home::labels;
use super::proxy::{Fault, Proxy};
use super::*;

/// Records an attempt that ended without a known result; with the key that it received.
fn record_attempt(home: &SandboxHome, label: &str, received: Option<&ApiKey>) {
    let label: keywright::domain::Label = label.parse().unwrap();
    let (at, server) = (jiff::Timestamp::now(), home.sandbox.url().to_owned());
    let received_key = received
        .map(|key| StoredKey::new(label.clone(), key, server.clone(), StoreKind::Memory, at));
    let attempt = Attempt {
        id: ApiKey::from(label.to_string()).hash()[..32].to_owned(),
        started_at: at,
        label,
        server,
        stage: AttemptStage::Unresolved,
        store: Some(StoreKind::Memory),
        local_store: None,
        send_count: 1,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::default(),
        replaces: None,
        received_key,
        management_key: None,
        has_entry: None,
        unknown: serde_json::Map::default(),
    };
    drop(AttemptGuard::begin_all(&StoreLocation::Directory(home.data()), vec![attempt]).unwrap());
}

#[test]
fn recover_revokes_the_key_of_an_attempt_that_is_known_by_its_hash() {
    let home = SandboxHome::new();
    let seed = home.sandbox.seed_keys().remove(0);
    record_attempt(&home, "lost", Some(&ApiKey::from(seed.secret)));
    record_attempt(&home, "unknown", None);

    let (code, _, err) = home.run_with_management_key(&["recover", "--revoke", "lost"]);
    assert_eq!(code, 2, "it asks: {err}");
    let (code, _, err) = home.run(&["recover", "--revoke", "lost", "--yes"]);
    assert!(code == 1 && err.contains("keywright management set"), "{err}");
    let (code, _, err) = home.run_with_management_key(&["recover", "--revoke", "unknown", "--yes"]);
    assert!(code == 7 && err.contains("not known by hash"), "{err}");

    let revoke = ["recover", "--revoke", "lost", "--yes", "--json"];
    let (code, out, err) = home.run_with_management_key(&revoke);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["deleted"]), (7, &json!(["lost"])), "{err}");
    assert_eq!(labels(&document, "unresolved"), ["unknown"]);
    let (code, out, _) = home.run_with_management_key(&["recover", "--dismiss", "unknown"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("dismissed"), "{out}");
}

#[test]
fn recover_never_deletes_a_key_that_only_has_the_label_and_the_time_of_an_attempt() {
    let home = SandboxHome::new();
    let (code, _, err) = home.run_with_management_key(&["new", "found"]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = home.run(&["rm", "found", "--yes"]);
    assert_eq!(code, 0, "{err}");
    record_attempt(&home, "found", None);
    // Someone else may have created the key, so it is only reported.
    let (code, _, err) = home.run_with_management_key(&["recover", "--revoke", "found", "--yes"]);
    assert_eq!(code, 7, "{err}");
    let page = format!("{}/keys/", home.sandbox.url());
    assert!(err.contains("nothing was deleted") && err.contains(&page), "{err}");
    let (_, out, _) = home.run_with_management_key(&["usage", "found", "--json"]);
    assert!(out.contains("\"found\""), "{out}");
}

#[test]
fn a_name_that_is_pending_is_in_the_json_of_new_and_named_by_doctor_until_recover_gives_it() {
    let home = SandboxHome::new();
    let proxy = Proxy::before(home.sandbox.url());
    let refused = |request: &str| request.starts_with("PATCH");
    let refuse = Fault::Respond(403, r#"{"error":{"message":"no"}}"#.into());
    proxy.set_rule(move |request| if refused(request) { refuse.clone() } else { Fault::Pass });
    let run = |arguments: &[&str]| {
        let mut all = vec!["--server", &proxy.url];
        all.extend(arguments);
        home.run_with_management_key(&all)
    };
    let (code, out, err) = run(&["new", "tool", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let name = document["pending_rename"].as_str().unwrap();
    assert!(code == 1 && name.starts_with("tool [kw:"), "{out} {err}");
    assert!(err.contains(name) && err.contains("recover"), "{err}");

    let (_, out, _) = run(&["doctor", "--json"]);
    let named = format!("still have the names of their attempts at the server: '{name}'");
    assert!(out.contains(&named), "{out}");
    let (code, _, err) = run(&["recover"]);
    assert!(code == 1 && err.contains(name) && err.contains("not every key"), "{err}");
    // A removed key is renamed as well.
    assert_eq!(run(&["rm", "tool", "--yes"]).0, 0);

    proxy.set_rule(|_| Fault::Pass);
    let (code, out, err) = run(&["recover", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let finished = json!([{"label": "tool", "step": "renamed"}]);
    assert_eq!((code, &document["finished"]), (0, &finished), "{err}");
    assert_eq!(run(&["recover"]).1, "every attempt ended cleanly\n");
}

#[test]
fn keys_of_attempts_that_cannot_be_listed_or_deleted_are_not_said_to_be_missing() {
    let home = SandboxHome::new();
    let proxy = Proxy::before(home.sandbox.url());
    let fault =
        |beginning: &'static str, fault: Fault| {
            proxy.set_rule(move |request| {
                if request.starts_with(beginning) { fault.clone() } else { Fault::Pass }
            });
        };
    let run = |arguments: &[&str]| {
        let mut all = vec!["--server", &proxy.url, "--retries", "0"];
        all.extend(arguments);
        home.run_with_management_key(&all)
    };
    fault("POST /api/v1/keys", Fault::LoseResponse);
    let (code, _, err) = run(&["new", "lost"]);
    assert!(code == 7 && err.contains("'lost [kw:") && err.contains(" recover"), "{err}");
    let refused = Fault::Respond(403, r#"{"error":{"message":"no"}}"#.into());
    fs::write(home.home.path().join("plan.toml"), "[[key]]\nlabel = \"lost\"\n").unwrap();
    for (request, verb) in [("DELETE", "deleted"), ("GET /api/v1/keys", "listed")] {
        fault(request, refused.clone());
        for arguments in
            [&["recover"][..], &["recover", "--json"], &["apply", "plan.toml", "--yes"]]
        {
            let (code, out, err) = run(arguments);
            assert_ne!(code, 0, "{arguments:?}");
            let all = out + &err;
            assert!(all.contains(&format!("could not be {verb}")), "{arguments:?}: {all}");
            assert!(!all.contains("no key was created and nothing"), "{arguments:?}: {all}");
            assert_eq!(all.contains("'lost [kw:"), verb == "deleted", "{arguments:?}: {all}");
        }
    }
    proxy.set_rule(|_| Fault::Pass);
    let (code, out, err) = run(&["recover", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["deleted"]), (0, &json!(["lost"])), "{err}");
}

#[test]
fn recover_fails_with_what_could_not_be_compared_and_doctor_names_an_interrupted_rotation() {
    use keywright::domain::PendingReplacement;
    use keywright::storage::inventory;

    let home = SandboxHome::new();
    let proxy = Proxy::before(home.sandbox.url());
    let run = |arguments: &[&str]| {
        let mut all = vec!["--server", &proxy.url];
        all.extend(arguments);
        home.run_with_management_key(&all)
    };
    assert_eq!(run(&["new", "tool (new)"]).0, 0);
    // The key that it replaces is gone.
    inventory::update_keys(&StoreLocation::Directory(home.data()), |keys| {
        keys[0].replaces = Some(PendingReplacement {
            hash: "0".repeat(64),
            unused_for: 0,
            revoke_when_unused: false,
            is_planned: false,
        });
    })
    .unwrap();
    let (_, out, _) = run(&["doctor", "--json"]);
    assert!(out.contains("rotations were interrupted") && out.contains("'tool (new)'"), "{out}");
    let (code, out, err) = run(&["recover", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["rotated"]), (1, &json!(["tool (new)"])), "{err}");
    assert!(err.contains("the new key of 'tool (new)' could not be compared"), "{err}");
    let parts = document["not_carried"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["what"] == "guardrail" && part["label"] == "tool (new)"));
    assert_eq!(run(&["recover"]).0, 0);
}

#[test]
fn edit_withdraws_a_guardrail_that_is_pending_and_apply_fails_as_long_as_it_is() {
    let home = SandboxHome::new();
    let proxy = Proxy::before(home.sandbox.url());
    let refuse = || {
        proxy.set_rule(|request| {
            if request.starts_with("POST /api/v1/guardrails/") {
                Fault::Respond(403, String::new())
            } else {
                Fault::Pass
            }
        });
    };
    let run = |arguments: &[&str]| {
        let mut all = vec!["--server", &proxy.url];
        all.extend(arguments);
        home.run_with_management_key(&all)
    };
    let plan = home.write_plan("[[key]]\nlabel = \"tool\"\nlimit = 5\nguardrail = \"research\"\n");
    refuse();
    for _ in 0..2 {
        let (code, _, err) = run(&["apply", &plan, "--yes"]);
        assert_eq!(code, 1, "{err}");
    }
    let (code, out, err) = run(&["edit", "tool", "--guardrail", "none", "--yes"]);
    assert!(
        code == 0
            && out.is_empty()
            && err.contains("'research' is not requested for tool any more"),
        "{out}{err}"
    );
    proxy.set_rule(|_| Fault::Pass);
    assert_eq!(run(&["recover"]).1, "every attempt ended cleanly\n");
}

#[test]
fn a_half_rotation_is_counted_and_apply_finishes_it() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    fs::write(home.path().join("passphrase"), "pass").unwrap();
    fs::write(
        home.path().join("plan.toml"),
        "[[key]]\nlabel = \"work\"\nlimit = 10\nreset = \"never\"\nexpires = \"never\"\n",
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .args(["--server", sandbox.url(), "--store", "file"])
            .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key())
            .current_dir(home.path());
        decode_output(&command.output().unwrap())
    };
    let apply = |option: &str| run(&["apply", "plan.toml", "--yes", option]);
    assert_eq!(apply("--json").0, 0);
    let policy = ["--limit", "10", "--reset", "never", "--expires", "never"];
    assert_eq!(run(&[&["new", "work (new)"], &policy[..]].concat()).0, 0);
    // The program was killed before the new key got the label.
    let path = home.data().join("inventory.json");
    let mut inventory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let hash = inventory["keys"][0]["hash"].clone();
    inventory["keys"][1]["replaces"] = serde_json::json!({"hash": hash, "quiet_for": 3600});
    fs::write(&path, inventory.to_string()).unwrap();

    assert_eq!(run(&["status", "--short"]).1, "2 keys, 1 not finished\n");
    let unfinished = "it does not have the label of the key that it replaces yet";
    let (_, out, _) = run(&["status"]);
    assert!(out.contains(&format!("work (new): {unfinished}; keywright ")), "{out}");
    let (_, out, _) = run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["attention"][0]["unfinished"], true, "{out}");
    for (_, _, err) in [run(&["list"]), apply("--dry-run")] {
        assert!(err.contains(&format!("'work (new)' is not finished: {unfinished}")), "{err}");
        assert!(err.contains("finish it: keywright "), "{err}");
    }
    let (code, out, err) = apply("--json");
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("rotated work: an interrupted run is finished"), "{err}");
    let applied: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(applied["unchanged"][0]["label"], "work", "{out}");
    let (_, out, _) = run(&["list"]);
    assert!(out.contains("work (old)") && !out.contains("(new)"), "{out}");
    assert_eq!(run(&["status", "--short"]).1, "2 keys ok\n");
}
