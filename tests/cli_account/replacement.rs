//! What `rotate` and `panic` report about a new key that lacks something of the old one.

use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;

use super::proxy::{Fault, Proxy};
use super::*;

/// A home with two stored keys, of which `ci` was last seen under a guardrail.
fn home_with_guardrail(sandbox: &Sandbox) -> Home {
    let home = Home::new();
    fs::write(home.path().join("passphrase"), "pass").unwrap();
    for label in ["ci", "helper"] {
        let mut command = command(&home, sandbox, &["new", label, "--limit", "10"]);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        let (code, _, err) = decode_output(&command.output().unwrap());
        assert_eq!(code, 0, "{err}");
    }
    let path = home.data().join("inventory.json");
    let mut inventory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let keys = inventory["keys"].as_array_mut().unwrap();
    let ci = keys.iter_mut().find(|key| key["label"] == "ci").unwrap();
    ci["guardrail"] = json!({"id": "5a0d8c3e-0000-4000-8000-000000000004", "name": "research"});
    fs::write(&path, inventory.to_string()).unwrap();
    home
}

fn command(home: &Home, sandbox: &Sandbox, arguments: &[&str]) -> std::process::Command {
    let mut command = home.command(arguments);
    command
        .args(["--server", sandbox.url(), "--store", "file"])
        .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"));
    command
}

#[test]
fn a_loss_is_confirmed_before_a_rotation_and_reported_after_it_with_code_1() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let home = home_with_guardrail(&sandbox);
    let rotate = |extra: &[&str]| {
        let mut command = command(&home, &sandbox, &["rotate", "ci", "--via-key", "helper"]);
        decode_output(&command.args(extra).output().unwrap())
    };
    let loss = "guardrail 'research': needs a management key";
    let (code, out, err) = rotate(&[]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains(loss) && err.contains("pass --yes"), "{err}");
    let (code, out, err) = rotate(&["--yes", "--json", "--delete-old"]);
    assert_eq!(code, 1, "{err}");
    let (before, after) = err.split_once("the new key of 'ci' does not have: ").unwrap();
    assert!(before.contains(loss), "{err}");
    assert!(after.starts_with("guardrail 'research' (needs a management key"), "{err}");
    assert!(after.contains(" edit --guardrail research ci"), "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["label"], &json["old"]["label"]), (&json!("ci"), &json!("ci (old)")));
    let not_carried = json["not_carried"].as_array().unwrap();
    let what: Vec<_> = not_carried.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["guardrail", "allowed_api_key_hashes"], "{out}");
    assert!(not_carried.iter().all(|one| one["reason"].as_str().unwrap().contains("management")));
    // Nobody agreed to delete the stronger key.
    let inventory = fs::read_to_string(home.data().join("inventory.json")).unwrap();
    let inventory: Value = serde_json::from_str(&inventory).unwrap();
    let old = inventory["keys"].as_array().unwrap().iter().find(|key| key["label"] == "ci (old)");
    assert_eq!(old.unwrap()["retiring"]["delete"], false);
}

#[test]
fn what_the_management_key_may_not_read_is_asked_about_before_a_rotation() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
    let home = Home::new();
    fs::write(home.path().join("passphrase"), "pass").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .args(["--server", &proxy.url, "--store", "file"])
            .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        decode_output(&command.output().unwrap())
    };
    assert_eq!(run(&["new", "ci", "--limit", "10"]).0, 0);
    proxy.set_rule(|request| {
        if request.starts_with("GET /api/v1/guardrails/assignments") {
            Fault::Respond(403, String::new())
        } else {
            Fault::Pass
        }
    });
    let created = || proxy.count("POST /api/v1/keys");
    let before = created();
    let unknown = "guardrail: this management key may not read it (403)";
    let (code, out, err) = run(&["rotate", "ci"]);
    assert_eq!((code, out.as_str(), created()), (2, "", before), "{err}");
    assert!(err.contains(unknown) && err.contains("pass --yes"), "{err}");
    let (code, out, err) = run(&["rotate", "ci", "--yes", "--json", "--delete-old"]);
    assert_eq!(code, 1, "as `panic`: {err}");
    assert!(err.contains("could not be compared with the old one: "), "{err}");
    assert!(err.contains(unknown), "{err}");
    assert_eq!(created(), before + 1);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["not_carried"][0]["what"], "guardrail", "{out}");
    // The old key may be the stronger one.
    let location = StoreLocation::Directory(home.data());
    let old = inventory::find_key(&location, &proxy.url, "ci (old)").unwrap().unwrap();
    assert!(!old.retirement.as_ref().unwrap().revoke_when_unused);
    // A leaked key is disabled and replaced without waiting for an answer.
    let (_, out, err) = run(&["panic", "ci", "--yes", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["results"][0]["disabled"], true, "{err}");
    assert_eq!(created(), before + 2);
}

#[test]
fn a_leak_response_says_first_what_is_lost_and_then_what_was_not_done() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let home = home_with_guardrail(&sandbox);
    let panic = &["panic", "ci", "--via-key", "helper", "--yes"];
    let (code, out, err) = decode_output(&command(&home, &sandbox, panic).output().unwrap());
    assert_eq!(code, 1, "{err}");
    let (losses, disabled) = (err.find("guardrail 'research'").unwrap(), err.find("NOT disabled"));
    assert!(losses < disabled.unwrap(), "{err}");
    let marks: Vec<_> = out.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(marks, ["NOT done", "done", "NOT done", "NOT done"], "{out}");
    assert!(out.contains("not carried over to the new key of 'ci': guardrail 'research'"), "{out}");
    // With a management key the leaked key is disabled, and the new one has what it had.
    let mut command = command(&home, &sandbox, &["panic", "helper", "--yes", "--json"]);
    command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
    let (code, out, err) = decode_output(&command.output().unwrap());
    assert_eq!(code, 0, "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let result = &json["results"][0];
    assert_eq!(
        (&result["disabled"], &result["not_carried"], &json["found"]),
        (&json!(true), &json!([]), &json!([]))
    );
    assert_eq!(result["key"]["label"], "helper");
}

#[test]
fn apply_replaces_a_key_that_differs_only_if_that_is_said() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let home = home_with_guardrail(&sandbox);
    fs::write(home.path().join("plan.toml"), "[[key]]\nlabel = \"ci\"\nlimit = 20\n").unwrap();
    let apply = |extra: &[&str]| {
        let mut command = command(&home, &sandbox, &["apply", "plan.toml", "--json"]);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key()).args(extra);
        let (code, out, err) = decode_output(&command.output().unwrap());
        (code, serde_json::from_str::<Value>(&out).unwrap_or_default(), err)
    };
    let (code, json, err) = apply(&["--yes"]);
    assert_eq!((code, &json["differing"][0]["label"]), (0, &json!("ci")), "{err}");
    let (code, _, err) = apply(&["--replace"]);
    assert_eq!(code, 2, "{err}");
    let (code, json, err) = apply(&["--replace", "--yes"]);
    assert_eq!((code, &json["differing"]), (0, &json!([])), "{err}");
    let replaced = &json["replaced"][0];
    assert_eq!(
        (&replaced["label"], &replaced["limit"], &replaced["old"]["label"]),
        (&json!("ci"), &json!(20.0), &json!("ci (old)"))
    );
    assert_eq!(replaced["not_carried"], json!([]));
    let (code, json, err) = apply(&["--replace", "--yes"]);
    assert_eq!((code, &json["unchanged"][0]["label"]), (0, &json!("ci")), "{err}");
}

#[test]
fn a_plan_says_that_a_new_key_is_stored_whose_label_could_not_be_moved() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
    let home = Home::new();
    fs::write(home.path().join("passphrase"), "pass").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .args(["--server", &proxy.url, "--store", "file"])
            .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        decode_output(&command.output().unwrap())
    };
    assert_eq!(run(&["new", "ci", "--limit", "10"]).0, 0);
    fs::write(home.path().join("plan.toml"), "[[key]]\nlabel = \"ci\"\nlimit = 20\n").unwrap();
    // The inventory cannot be written any more once the new key gets its assignments.
    let blocked = home.data().join("inventory.json.new");
    let created = std::sync::atomic::AtomicBool::new(false);
    proxy.set_rule(move |request| {
        use std::sync::atomic::Ordering::Relaxed;
        if request.starts_with("POST /api/v1/keys") {
            created.store(true, Relaxed);
        } else if request.starts_with("GET /api/v1/guardrails/assignments")
            && created.swap(false, Relaxed)
        {
            fs::create_dir(&blocked).unwrap();
        }
        Fault::Pass
    });
    let (code, out, err) = run(&["apply", "plan.toml", "--replace", "--yes", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["failed"][0]["stored"]["label"]), (1, &json!("ci (new)")), "{err}");
    assert!(err.contains("the new key is stored as 'ci' and both keys work"), "{err}");
    assert!(err.contains(" recover") && !err.contains("nothing was"), "{err}");
    // What changes is said before, also with --yes.
    assert!(err.contains("differs: limit"), "{err}");
}
