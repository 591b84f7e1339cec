//! The commands for stored keys, run as by a user: with `--sandbox`, and against a separate sandbox
//! server where the data directory is checked.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test pipes keys in")]

#[path = "cli_account/edit.rs"]
mod edit;
#[path = "support/home.rs"]
mod home;
#[path = "cli_account/leak.rs"]
mod leak;
#[path = "cli_account/new_defaults.rs"]
mod new_defaults;
#[path = "cli_account/other_account.rs"]
mod other_account;
#[path = "cli_account/other_profiles.rs"]
mod other_profiles;
#[path = "account/proxy.rs"]
mod proxy;
#[path = "cli_account/recover.rs"]
mod recover;
#[path = "cli_account/replacement.rs"]
mod replacement;
#[path = "cli_account/show.rs"]
mod show;
#[path = "cli_account/unstored.rs"]
mod unstored;
#[path = "cli_account/usage.rs"]
mod usage;

use std::fs;

use home::{Home, SandboxHome, decode_output, stored_key};
use keywright::domain::{ApiKey, StoreKind};
use keywright::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

#[test]
fn keys_are_disabled_renamed_rotated_and_deleted_in_the_sandbox() {
    let home = Home::new();
    for (arguments, expected) in [
        (vec!["disable", "laptop"], "laptop is disabled"),
        (vec!["enable", "notebook"], "notebook is enabled"),
        (vec!["rename", "ci", "build"], "ci renamed to build"),
        (vec!["rotate", "agent"], "the old key is kept as 'agent (old)'"),
        (vec!["rotate", "agent", "--quiet-for", "2d", "--delete-old", "--yes"], "is a new key"),
        (vec!["rm", "laptop", "--revoke", "--yes"], "deleted laptop at OpenRouter"),
        (vec!["rm", "laptop", "--yes"], "it stays valid"),
        (vec!["management", "show"], "from the environment"),
    ] {
        let (code, out, err) = home.run_in_sandbox(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        assert!(out.contains(expected), "{arguments:?}: {out}");
    }
    assert!(!home.data().exists(), "nothing of the sandbox is on disk");
}

#[test]
fn destructive_commands_need_yes_without_a_terminal() {
    let home = Home::new();
    for arguments in [
        vec!["rm", "laptop"],
        vec!["rm", "laptop", "--revoke"],
        vec!["panic", "laptop"],
        vec!["rotate", "laptop", "--delete-old"],
    ] {
        let (code, out, err) = home.run_in_sandbox(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("--yes"), "{arguments:?}: {err}");
    }
}

#[test]
fn an_unknown_label_is_code_3_for_every_command() {
    let home = Home::new();
    for arguments in [
        vec!["copy", "laptpo"],
        vec!["rename", "laptpo", "x"],
        vec!["rotate", "laptpo"],
        vec!["disable", "laptpo"],
        vec!["enable", "laptpo"],
        vec!["rm", "laptpo", "--revoke", "--yes"],
        vec!["panic", "laptop", "laptpo", "--yes"],
    ] {
        let (code, out, err) = home.run_in_sandbox(&arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}");
        assert!(err.contains("did you mean 'laptop'"), "{arguments:?}: {err}");
    }
    for arguments in [
        vec!["rename", "laptop", "a\nb"],
        vec!["rename", "laptop", "ci"],
        vec!["rotate", "laptop", "--quiet-for", "soon"],
        vec!["panic"],
        vec!["import", ""],
        vec!["import", "x"],
        vec!["management", "set"],
    ] {
        assert_eq!(home.run_in_sandbox(&arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn without_a_management_key_the_error_names_the_keys_page() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let seed = sandbox.seed_keys().remove(0);
    home.add_to_inventory(&[stored_key(sandbox.url(), "laptop", &seed.secret, StoreKind::Memory)]);
    let base = ["--server", sandbox.url(), "--store", "memory"];
    let page = format!("{}/keys/{}", sandbox.url(), ApiKey::from(seed.secret).hash());
    for arguments in [vec!["disable", "laptop"], vec!["rm", "laptop", "--revoke", "--yes"]] {
        let all: Vec<_> = base.iter().copied().chain(arguments).collect();
        let (code, out, err) = decode_output(&home.command(&all).output().unwrap());
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("management key") && err.contains(&page), "{err}");
        // With a management key in the environment the command succeeds.
        let mut command = home.command(&all);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        let (code, _, err) = decode_output(&command.output().unwrap());
        assert_eq!(code, 0, "{err}");
    }
    let list = fs::read_to_string(home.data().join("inventory.json")).unwrap();
    assert!(!list.contains("laptop"), "{list}");
}

#[test]
fn import_checks_and_stores_a_piped_key_without_printing_it() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let key = sandbox.seed_keys().remove(0).secret;
    let base = ["--server", sandbox.url(), "--store", "memory"];
    let with = |more: &[&'static str]| -> Vec<&str> {
        base.iter().copied().chain(more.iter().copied()).collect()
    };
    let (code, out, err) = home.run_with_input(&with(&["import", "mine"]), "sk-or-v1-unknown");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("nothing was stored"), "{err}");
    // Text without exactly one OpenRouter key is refused before the network: exit code 2, not 6.
    let offline = ["--server", "http://127.0.0.1:9", "--store", "memory"];
    for (text, reason) in [
        ("OPENAI_API_KEY=sk-proj-0123456789abcdef", "a key of OpenAI"),
        ("sk-ant-api03-0123456789abcdef", "a key of Anthropic"),
        ("AIzaSyA0123456789abcdef", "a key of Google"),
        ("hunter2hunter2", "not an OpenRouter key"),
        ("sk-or-v1-ab1...ab12", "incomplete"),
    ] {
        for command in [&["import", "other"][..], &["management", "set"]] {
            let arguments = [&offline[..], command].concat();
            let (code, _, err) = home.run_with_input(&arguments, text);
            assert_eq!(code, 2, "{command:?} {text}: {err}");
            assert!(err.contains(reason) && err.contains("nothing was sent"), "{err}");
            assert!(!err.contains("0123456789"), "{err}");
        }
        let mut command = home.command(&[&offline[..], &["management", "show"]].concat());
        let (code, _, err) =
            decode_output(&command.env("OPENROUTER_MANAGEMENT_KEY", text).output().unwrap());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("OPENROUTER_MANAGEMENT_KEY") && err.contains(reason), "{err}");
    }
    let pasted = format!("\u{feff}export OPENROUTER_API_KEY=\"{key}\"\n");
    let (code, out, err) = home.run_with_input(&with(&["import", "mine"]), &pasted);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("mine  sk-or-v1-") && !out.contains(&key), "{out}");
    let (code, _, err) = home.run_with_input(&with(&["import", "again"]), &key);
    assert_eq!(code, 2);
    assert!(err.contains("already stored with the label mine"), "{err}");
    let (code, _, err) = home.run_with_input(&with(&["import", "m"]), sandbox.management_key());
    assert_eq!(code, 2);
    assert!(
        err.contains("store it with keywright --server") && err.contains(" management set"),
        "{err}"
    );
    let (code, _, err) = home.run_with_input(&with(&["management", "set"]), &key);
    assert_eq!(code, 2);
    assert!(err.contains("not a management key"), "{err}");
    let (code, out, err) =
        home.run_with_input(&with(&["management", "set"]), sandbox.management_key());
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains(sandbox.management_key()), "{out}");
    assert_eq!(decode_output(&home.command(&with(&["management", "show"])).output().unwrap()).0, 3);
    let list = fs::read_to_string(home.data().join("inventory.json")).unwrap();
    assert!(list.contains("\"mine\"") && !list.contains(&key), "{list}");
}

/// The key is sent to the helper process through a pipe, and from there to tmux through another.
#[cfg(unix)]
#[test]
fn copy_starts_a_helper_process_that_keeps_running() {
    use std::io::Write as _;
    use std::process::Stdio;

    use secrecy::ExposeSecret as _;
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let tmux = bin.join("tmux");
    let (seen, arguments) = (home.path().join("seen"), home.path().join("arguments"));
    let script = format!(
        "#!/bin/sh\necho \"$@\" $OPENROUTER_MANAGEMENT_KEY >> '{}'\n[ \"$1\" = load-buffer ] && cat > '{}'\n\
        [ \"$1\" = display-message ] && echo 'off||'\nexit 0\n",
        arguments.display(),
        seen.display()
    );
    fs::write(&tmux, script).unwrap();
    fs::set_permissions(&tmux, fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let key = ApiKey::from(sandbox.seed_keys().remove(0).secret);
    let mut command = home.command(&["hold-clipboard", "--osc52"]);
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("TMUX", "/tmp/none,1,0").env("PATH", &path);
    command.env("OPENROUTER_MANAGEMENT_KEY", "sk-or-v1-management");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.expose_secret().as_bytes()).unwrap();
    let mut report = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut report).unwrap();
    assert_eq!(report, "copied\n");
    assert_eq!(fs::read_to_string(&seen).unwrap(), key.expose_secret());
    assert!(child.try_wait().unwrap().is_none(), "it keeps running");
    child.kill().unwrap();
    child.wait().unwrap();

    // `copy` itself ends at once, while the helper process keeps running.
    let mut command = home.command(&["--sandbox", "copy", "laptop", "--osc52"]);
    command.env("TMUX", "/tmp/none,1,0").env("PATH", &path);
    let (code, out, err) = decode_output(&command.output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("copied laptop to a tmux buffer"), "{out}");
    let copied = fs::read_to_string(&seen).unwrap();
    assert!(copied.starts_with("sk-or-v1-") && copied != key.expose_secret());
    let arguments = fs::read_to_string(&arguments).unwrap();
    assert!(!arguments.contains("sk-or-v1-") && !out.contains(&copied), "{arguments}");
}

#[test]
fn unresolved_attempts_are_listed_with_code_7_until_dismissed() {
    let home = Home::new();
    let server = "http://127.0.0.1:9";
    let base = ["--server", server, "--store", "memory", "recover"];
    let run = |more: &[&str]| {
        let all: Vec<_> = base.iter().chain(more).copied().collect();
        decode_output(&home.command(&all).output().unwrap())
    };
    assert_eq!(run(&[]), (0, "every attempt ended cleanly\n".into(), String::new()));
    let attempt = |id: &str, label: &str, server: &str| {
        json!({
            "id": id, "label": label, "server": server, "stage": "unresolved",
            "at": "2026-11-01T10:00:00.123Z", "store": "memory", "sends": 3,
        })
    };
    let journal = json!({"version": 1, "attempts": [
        attempt("a1", "ci", server),
        attempt("a2", "ci", server),
        attempt("a3", "agent", server),
        attempt("a4", "elsewhere", "https://openrouter.ai"),
    ]});
    fs::create_dir_all(home.data()).unwrap();
    fs::write(home.data().join("journal.json"), journal.to_string()).unwrap();

    let (code, out, err) = run(&["--json"]);
    assert_eq!(code, 7, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let listed = document["unresolved"].as_array().unwrap();
    let advice = listed[2]["advice"].as_str().unwrap().to_owned();
    assert_eq!(
        listed[2],
        json!({
            "id": "a3", "label": "agent", "server": server, "at": "2026-11-01T10:00:00Z",
            "advice": advice, "waits_for_store": false,
        })
    );
    assert!(advice.contains("http://127.0.0.1:9/keys") && advice.contains("--dismiss a3"));
    assert_eq!((listed.len(), document["stored"].clone()), (3, json!([])));
    assert!(err.contains("recover --server https://openrouter.ai"), "{err}");

    let (code, out, _) = run(&[]);
    assert_eq!((code, out.matches("possibly issued").count()), (7, 3), "{out}");
    for (name, code) in [("nobody", 3), ("ci", 2), ("a1", 7), ("ci", 7), ("agent", 0)] {
        let (ended, _, err) = run(&["--dismiss", name]);
        assert_eq!(ended, code, "{name}: {err}");
    }
    assert_eq!(run(&[]).0, 0);
    let left = fs::read_to_string(home.data().join("journal.json")).unwrap();
    assert!(left.contains("elsewhere") && !left.contains("agent"), "{left}");
}
