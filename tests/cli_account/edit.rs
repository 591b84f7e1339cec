//! `keywright edit` and `keywright guardrail`, against a sandbox server that keeps its state.

use keywright::domain::StoreKind;
use serde_json::{Value, json};

use super::home::{SandboxHome, stored_key};

/// A home whose inventory has the sandbox's key `laptop`.
fn home() -> SandboxHome {
    let home = SandboxHome::new();
    let seed = home.sandbox.seed_keys().remove(0);
    let key = stored_key(home.sandbox.url(), &seed.label, &seed.secret, StoreKind::Memory);
    home.home.add_to_inventory(&[key]);
    home
}

/// Runs a command that must succeed, and returns its JSON.
fn run_json(home: &SandboxHome, arguments: &[&str]) -> Value {
    let (code, out, err) = home.run_with_management_key(arguments);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn edit_changes_what_differs_and_says_what_it_changed() {
    let home = home();
    let arguments =
        ["edit", "laptop", "--limit", "40", "--reset", "weekly", "--guardrail", "research"];
    // Without a terminal to confirm on, the changes are printed and nothing is sent.
    let (code, out, err) = home.run_with_management_key(&arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("guardrail: none → research") && err.contains("--yes"), "{err}");
    let (code, _, err) =
        home.run_with_management_key(&[&arguments[..], &["--yes", "--quiet"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    let edited = run_json(
        &home,
        &["edit", "laptop", "--include-byok", "--workspace", "Research", "--yes", "--json"],
    );
    assert_eq!(
        edited["changes"][0],
        json!({"field": "include_byok_in_limit", "from": "do not count", "to": "count"})
    );
    assert_eq!(edited["changes"][1]["to"], "research");
    assert_eq!(
        (&edited["limit"], &edited["limit_reset"], &edited["guardrail"]),
        (&json!(40.0), &json!("weekly"), &json!("research"))
    );
    // The same again is no change, and needs no confirmation.
    let again = run_json(
        &home,
        &[
            "edit",
            "laptop",
            "--limit",
            "40.00",
            "--workspace",
            "research",
            "--guardrail",
            "RESEARCH",
            "--json",
        ],
    );
    assert_eq!(again["changes"], json!([]));
    let edited = run_json(
        &home,
        &["edit", "laptop", "--guardrail", "none", "--limit", "none", "--yes", "--json"],
    );
    let fields: Vec<_> =
        edited["changes"].as_array().unwrap().iter().map(|it| &it["field"]).collect();
    assert_eq!(fields, ["limit", "limit_reset", "guardrail"]);
    assert_eq!(edited["guardrail"], Value::Null);
}

#[test]
fn edit_refuses_unknown_names_and_values_before_it_sends_anything() {
    let home = home();
    for (arguments, expected) in [
        (vec!["--guardrail", "reserch"], "no guardrail 'reserch'; did you mean research?"),
        (vec!["--workspace", "defalt"], "no workspace 'defalt'; did you mean default?"),
        (vec!["--limit", "-5"], "--limit: a limit is above zero"),
        (vec!["--limit", "none", "--reset", "daily"], "a reset needs a limit"),
        (vec!["--include-byok", "--no-include-byok"], "cannot be used with"),
        (vec![], "required arguments were not provided"),
    ] {
        let all = [&["edit", "laptop", "--yes"][..], &arguments].concat();
        let (code, out, err) = home.run_with_management_key(&all);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
    let (code, _, err) = home.run(&["edit", "laptop", "--limit", "5", "--yes"]);
    assert_eq!(code, 1);
    assert!(err.contains("a management key is required") && err.contains("/keys/"), "{err}");
    assert_eq!(home.run_with_management_key(&["edit", "labtop", "--limit", "5"]).0, 3);
}

#[test]
fn guardrails_are_listed_and_shown_with_the_keys_under_them() {
    let home = home();
    run_json(&home, &["edit", "laptop", "--guardrail", "research", "--yes", "--json"]);
    let listed = run_json(&home, &["guardrail", "list", "--json"]);
    assert_eq!(listed[0]["name"], "research");
    assert_eq!(listed[0]["keys"], json!(["laptop"]));
    let shown = run_json(&home, &["guardrail", "show", "Research", "--json"]);
    assert_eq!(shown, listed[0]);
    let (_, out, _) = home.run_with_management_key(&["guardrail", "show", "research"]);
    assert!(out.contains("limit             $20.00 monthly for each key\n"), "{out}");
    assert!(out.contains("keys              laptop\n"), "{out}");
    let (code, out, _) = home.run_with_management_key(&["guardrail", "list"]);
    assert!(code == 0 && out.starts_with("NAME "), "{out}");
    let (code, _, err) = home.run_with_management_key(&["guardrail", "show", "reserch"]);
    assert!(code == 2 && err.contains("did you mean research?"), "{err}");
    let (code, out, _) = home.run(&["guardrail", "open"]);
    assert_eq!((code, out), (0, format!("{}/settings/privacy\n", home.sandbox.url())));
    let (code, _, err) = home.run(&["guardrail", "list"]);
    assert!(code == 1 && err.contains("keywright management set"), "{err}");
}

#[test]
fn a_new_key_is_put_into_its_workspace_and_under_its_guardrail_by_name() {
    let home = home();
    let new = |label: &str, options: &[&str]| {
        let all = [&["new", label, "--json"][..], options].concat();
        home.run_with_management_key(&all)
    };
    let (code, out, err) = new("a", &["--guardrail", "Research", "--workspace", "research"]);
    assert_eq!(code, 0, "{err}");
    let key: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(key["guardrail"], "research");
    assert_eq!(key["workspace_id"], key["requested"]["workspace_id"]);
    assert_eq!(key["workspace_id"].as_str().map(str::len), Some(36));
    let listed = run_json(&home, &["guardrail", "list", "--json"]);
    assert_eq!(listed[0]["keys"], json!(["a"]));
    // Nothing is created if a name is unknown, or without a management key to look it up.
    let keys = || run_json(&home, &["list", "--json"]).as_array().unwrap().len();
    let before = keys();
    for (option, name, message) in [
        ("--guardrail", "reserch", "no guardrail 'reserch'; did you mean research?"),
        ("--workspace", "labs", "no workspace 'labs'"),
    ] {
        let (code, out, err) = new("b", &[option, name]);
        assert_eq!(code, 2, "{out}{err}");
        assert!(err.contains(message), "{err}");
        let (code, _, err) = home.run(&["new", "b", option, name]);
        assert_eq!(code, 2);
        assert!(err.contains("needs a management key, and none is known"), "{err}");
        assert!(err.contains("keywright management set"), "{err}");
    }
    assert_eq!(keys(), before);
}

#[test]
fn a_plan_names_workspace_and_guardrail_and_unknown_ones_stop_it_before_anything_is_created() {
    let home = home();
    let plan = home.write_plan(
        "[defaults]\nguardrail = \"reserch\"\n[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\nworkspace = \"labs\"\n",
    );
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes"]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("plan.toml has 2 errors"), "{err}");
    assert!(
        err.contains(
            "line 2, column 13: the account has no guardrail 'reserch'; did you mean research?"
        ),
        "{err}"
    );
    assert!(err.contains("line 7, column 13: the account has no workspace 'labs'"), "{err}");
    let text = "[defaults]\nguardrail = \"research\"\nworkspace = \"research\"\n[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\n";
    let plan = home.write_plan(text);
    let (code, _, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert!(code == 2 && err.contains("keywright management set"), "{err}");
    let applied = run_json(&home, &["apply", &plan, "--yes", "--json"]);
    let created = applied["created"].as_array().unwrap();
    assert_eq!(created.len(), 2, "{applied}");
    assert!(created.iter().all(|key| key["guardrail"] == "research"), "{applied}");
    let listed = run_json(&home, &["guardrail", "list", "--json"]);
    assert_eq!(listed[0]["keys"], json!(["a", "b"]));
    let again = run_json(&home, &["apply", &plan, "--yes", "--json"]);
    assert_eq!(again["unchanged"].as_array().unwrap().len(), 2, "{again}");
    // A key that lost its guardrail differs from the plan.
    run_json(&home, &["edit", "b", "--guardrail", "none", "--yes", "--json"]);
    let again = run_json(&home, &["apply", &plan, "--dry-run", "--json"]);
    assert_eq!(again["differing"][0]["label"], "b", "{again}");
    let (_, _, err) = home.run_with_management_key(&["apply", &plan, "--dry-run"]);
    assert!(err.contains("left as they are") && err.contains("with --replace"), "{err}");
    let (_, _, err) = home.run_with_management_key(&["apply", &plan, "--dry-run", "--replace"]);
    assert!(err.contains("would be replaced") && !err.contains("left as they are"), "{err}");
}
