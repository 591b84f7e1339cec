//! What `list` and `show` print about stored keys.

use super::proxy::{Fault, Proxy};
use super::*;

#[test]
fn refresh_checks_each_key_and_reports_failures() {
    let home = Home::new();
    let (code, out, err) = home.run_in_sandbox(&["list", "--refresh", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let keys: Value = serde_json::from_str(&out).unwrap();
    let states: Vec<_> =
        keys.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!((states[0], states[2]), ("active", "disabled"));
    assert!(keys[0]["usage"].as_f64().unwrap() > 0.0 && keys[0]["checked_at"].is_string());
    let (_, out, _) = home.run_in_sandbox(&["list", "--refresh"]);
    assert!(out.lines().next().unwrap().contains("SPENT"), "{out}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    home.add_to_inventory(&[stored_key(&url, "x", "sk-or-v1-x", StoreKind::Memory)]);
    let base = ["--server", &url, "--store", "memory", "list", "--refresh"];
    let (code, out, err) = decode_output(&home.command(&base).output().unwrap());
    // The memory store of an earlier run is gone: the key is in the inventory only, and nothing is sent.
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    assert!(err.contains("in the inventory, but not in"), "{err}");
}

#[test]
fn refresh_fails_only_if_no_key_could_be_checked() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
    let home = Home::new();
    fs::write(home.path().join("passphrase"), "pass").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .args(["--server", &proxy.url, "--store", "file", "--retries", "0"])
            .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        decode_output(&command.output().unwrap())
    };
    for label in ["a", "b"] {
        assert_eq!(run(&["new", label]).0, 0);
    }
    let refresh = ["list", "--refresh", "--json"];
    for (failing, code) in [(0, 0), (1, 0), (2, 6)] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        proxy.set_rule(move |request| {
            let is_check = request == "GET /api/v1/key";
            let number =
                count.fetch_add(usize::from(is_check), std::sync::atomic::Ordering::Relaxed);
            if is_check && number < failing {
                Fault::Respond(404, String::new())
            } else {
                Fault::Pass
            }
        });
        let (actual, out, err) = run(&refresh);
        assert_eq!(actual, code, "{failing}: {err}");
        assert_eq!(err.matches("' could not be checked: ").count(), failing, "{err}");
        // One document, with the keys or with the error.
        let json: Value = serde_json::from_str(&out).unwrap();
        match code {
            0 => assert_eq!(json.as_array().map(Vec::len), Some(2), "{out}"),
            code => assert_eq!(json["error"]["code"], code, "{out}"),
        }
    }
}

#[test]
fn show_prints_the_requested_and_the_granted_policy() {
    let home = Home::new();
    let (code, out, _) = home.run_in_sandbox(&["show", "agent"]);
    assert_eq!(code, 0);
    for name in ["requested", "granted", "remaining", "spent", "next reset", "expires", "page"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name}: {out}");
    }
}

#[test]
fn the_remaining_limit_is_unknown_once_it_has_reset_since_the_check() {
    let home = Home::new();
    home.add_to_inventory(&[stored_key(
        "http://127.0.0.1:1",
        "ci",
        "sk-or-v1-key",
        StoreKind::Memory,
    )]);
    let path = home.data().join("inventory.json");
    let mut inventory: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let key = inventory["keys"][0].as_object_mut().unwrap();
    let info = json!({"limit": 5.0, "limit_remaining": 0.0, "limit_reset": "daily", "usage": 9.0});
    key.insert("reading".into(), info);
    key.insert("checked_at".into(), "2026-11-01T12:00:00Z".into());
    fs::write(&path, inventory.to_string()).unwrap();
    let show = |more: &[&str]| {
        let mut command = home.command(&["--server", "http://127.0.0.1:1", "show", "ci"]);
        decode_output(&command.args(["--store", "memory"]).args(more).output().unwrap()).1
    };
    let document: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    assert_eq!((&document["limit"], &document["limit_remaining"]), (&json!(5.0), &Value::Null));
    let text = show(&[]);
    assert!(text.contains("remaining  unknown\n"), "{text}");
}

#[test]
fn escape_sequences_in_the_inventory_are_not_printed() {
    let home = Home::new();
    home.add_to_inventory(&[stored_key(
        "http://127.0.0.1:1",
        "ci",
        "sk-or-v1-key",
        StoreKind::Memory,
    )]);
    let path = home.data().join("inventory.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for field in ["masked", "store", "hash"] {
        list["keys"][0][field] = "\u{1b}]0;x\u{7}\u{202e}y".into();
    }
    fs::write(&path, list.to_string()).unwrap();
    for command in [&["list"][..], &["show", "ci"]] {
        let mut arguments = vec!["--server", "http://127.0.0.1:1", "--store", "memory"];
        arguments.extend(command);
        let (code, out, err) = decode_output(&home.command(&arguments).output().unwrap());
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("ci") && !out.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{out:?}");
    }
}
