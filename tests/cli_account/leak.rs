//! `keywright panic`: the response to a leak.

use super::proxy::{Fault, Proxy};
use super::*;

#[test]
fn panic_lists_its_steps() {
    let home = Home::new();
    let (code, out, err) = home.run_in_sandbox(&["panic", "agent", "laptop", "agent", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(out.lines().all(|line| line.starts_with("done ")), "{out}");
    assert!(out.contains("the leaked key is stored as 'agent (old)'"), "{out}");
    assert!(!err.contains("is disabled"), "each result is said once: {err}");
}

#[test]
fn panic_lists_the_files_that_contain_the_leaked_key() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let key = sandbox.seed_keys().into_iter().find(|seed| seed.label == "ci").unwrap().secret;
    home.add_to_inventory(&[stored_key(sandbox.url(), "ci", &key, StoreKind::Memory)]);
    fs::write(home.path().join(".bash_history"), format!("ls\nexport K={key}\n")).unwrap();
    let work = home.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("notes"), format!("{key}\nsk-or-v1-{}", "ab12".repeat(16))).unwrap();
    let panic = |search: &str| {
        let mut command = home.command(&["panic", "ci", "--yes", "--store", "memory"]);
        command.args(["--server", sandbox.url(), "--search", search]);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        decode_output(&command.output().unwrap())
    };
    let (code, out, err) = panic("/no/such");
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("nothing was disabled"), "{err}");
    let (_, out, _) = panic(work.to_str().unwrap());
    let found: Vec<_> = out.lines().filter(|line| line.starts_with("found ")).collect();
    assert_eq!(
        found,
        [
            "found     the leaked key of 'ci' in plaintext in ~/.bash_history line 2: delete it there",
            "found     the leaked key of 'ci' in plaintext in ~/work/notes line 1: delete it there",
        ]
    );
    assert!(!out.contains(&key), "{out}");
}

#[test]
fn a_leaked_key_that_could_not_be_disabled_is_shown_until_it_is() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let proxy = Proxy::before(sandbox.url());
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
        if request.starts_with("PATCH") { Fault::Respond(403, "{}".into()) } else { Fault::Pass }
    });
    assert_eq!(run(&["panic", "ci", "--yes"]).0, 1);
    proxy.set_rule(|_| Fault::Pass);
    // The new key still has the name of its attempt at the server, too.
    let short = "2 keys, 1 leaked and not disabled, 1 not finished\n";
    assert_eq!(run(&["status", "--short"]).1, short);
    let (_, out, _) = run(&["status"]);
    assert!(
        out.contains("ci (old): leaked and not disabled; ") && out.contains(" disable"),
        "{out}"
    );
    let (code, out, err) = run(&["watch", "--once"]);
    assert!(code == 1 && out.contains("ci (old)  leaked"), "{out} {err}");
    let is_named = |text: &str| {
        text.contains("'ci (old)' is leaked and not disabled")
            && text.contains("disable 'ci (old)'")
    };
    let (_, out, err) = run(&["list"]);
    let first = out.lines().nth(1).unwrap();
    assert!(first.contains("ci (old)  leaked and not disabled, retiring"), "{out}");
    assert!(is_named(&err), "{err}");
    let keys: Value = serde_json::from_str(&run(&["list", "--json"]).1).unwrap();
    assert_eq!((&keys[0]["label"], &keys[0]["leaked"]), (&json!("ci (old)"), &json!(true)));
    assert_eq!(keys[1]["leaked"], json!(false));
    let (_, out, err) = run(&["show", "ci (old)"]);
    assert!(out.contains("state      leaked and not disabled") && is_named(&err), "{out} {err}");
    let (code, out, _) = run(&["doctor"]);
    assert!(code == 1 && out.contains("FAIL  leaked keys") && is_named(&out), "{out}");
    let (code, _, err) = run(&["recover"]);
    assert!(code == 1 && is_named(&err), "{err}");
    assert_eq!(run(&["disable", "ci (old)"]).0, 0);
    assert_eq!(run(&["recover"]).0, 0);
    assert_eq!(run(&["status", "--short"]).1, "2 keys ok\n");
    let (code, _, err) = run(&["watch", "--once"]);
    assert_eq!(code, 0, "{err}");
}
