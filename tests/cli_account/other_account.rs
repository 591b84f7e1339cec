//! Keys that belong to another account than the user's other keys.

use super::home::labels;
use super::*;

/// Stores a key of the user's own account, which is not the one of the sandbox.
fn store_own_key(home: &SandboxHome) {
    let mine = stored_key(home.sandbox.url(), "mine", "mine", StoreKind::Memory);
    let mine = mine.with(|key| key.user_id = Some("user_mine".into()));
    home.home.add_to_inventory(&[mine]);
}

#[test]
fn a_key_of_another_account_is_reported_by_every_command_that_shows_it() {
    let home = SandboxHome::new();
    store_own_key(&home);
    let words = "belongs to another account (user_2sandbox";
    let new = ["new", "x", "--json"];
    let (code, out, err) = home.run_with_management_key(&new);
    let created: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &created["other_account"]), (1, &json!(true)), "{err}");
    assert!(created["user_id"].as_str().unwrap().starts_with("user_2sandbox"));
    assert!(err.contains(words) && err.contains("keywright new --other-account x"), "{err}");
    for arguments in [&["list", "--json"][..], &["show", "x", "--json"]] {
        let (code, out, err) = home.run(arguments);
        let shown: Value = serde_json::from_str(&out).unwrap();
        let key = shown.as_array().map_or(&shown, |keys| &keys[1]);
        assert_eq!((code, &key["other_account"]), (0, &json!(true)), "{out}");
        assert_eq!(err.matches(words).count(), 1, "{err}");
    }
    let (_, out, _) = home.run(&["doctor", "--json"]);
    assert!(out.contains("\"accounts\"") && out.contains(words), "{out}");
    let (_, out, _) = home.run(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed[0]["other_account"], json!(false));

    let (code, out, err) = home.run(&["new", "x", "--other-account"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("its account is confirmed"), "{out}");
    let (_, _, err) = home.run(&["list"]);
    assert!(!err.contains(words), "{err}");
}

#[test]
fn apply_stops_at_a_key_of_another_account_unless_the_account_is_accepted() {
    let home = SandboxHome::new();
    store_own_key(&home);
    let plan = home.write_plan("[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\n");
    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, labels(&done, "failed")), (1, vec!["a".into(), "b".to_owned()]), "{err}");
    assert_eq!(done["failed"][0]["stored"]["other_account"], json!(true));
    assert_eq!(done["failed"][1]["error"], json!("not started"));
    assert!(err.contains("otherwise do not use the key and remove it: keywright rm"), "{err}");
    let accept = ["apply", &plan, "--yes", "--other-account", "--json"];
    let (code, out, err) = home.run_with_management_key(&accept);
    assert_eq!(code, 0, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(labels(&done, "created"), ["a", "b"]);
    assert_eq!(done["created"][1]["other_account"], json!(true));
}
