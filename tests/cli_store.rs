//! Stores of credential helpers on the command line: moving keys, and keys of several stores.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[path = "support/helper.rs"]
mod helper;
#[path = "support/home.rs"]
mod home;

use std::path::PathBuf;
use std::time::Duration;

use helper::write_helper;
use home::{Home, stored_key};
use keywright::domain::{ExecProgram, StoreKind};
use keywright::sandbox::{Options, Sandbox};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::{ExposeSecret, SecretString};

const SERVER: &str = "http://127.0.0.1:9";
const LABELS: [&str; 2] = ["ci", "my laptop/ü"];
const TIMEOUT: Duration = Duration::from_secs(20);

fn open(kind: &StoreKind) -> SecretStore {
    let StoreKind::Exec(program) = kind else { panic!("{kind}") };
    SecretStore::exec(program.clone())
}

fn id(label: &str) -> EntryId {
    EntryId { service: "keywright/127.0.0.1:9".into(), account: label.into() }
}

fn secret(label: &str) -> String {
    format!("sk-or-v1-{:0>64}", label.len())
}

/// Returns what the stores have under a label.
fn copies(stores: &[&SecretStore], label: &str) -> Vec<Option<String>> {
    let read = |store: &&SecretStore| {
        let secret = store.get(&id(label), TIMEOUT).ok();
        secret.map(|secret| secret.expose_secret().to_owned())
    };
    stores.iter().map(read).collect()
}

/// Stores all labels with a helper.
fn fill(home: &Home, kind: &StoreKind) {
    let keys = LABELS.map(|label| stored_key(SERVER, label, &secret(label), kind.clone()));
    home.add_to_inventory(&keys);
    for label in LABELS {
        open(kind).set(&id(label), &SecretString::from(secret(label)), TIMEOUT).unwrap();
    }
}

fn location(home: &Home) -> StoreLocation {
    StoreLocation::Directory(home.data())
}

/// Runs a move; returns its exit code and outputs.
fn move_keys(home: &Home, to: &StoreKind, labels: &[&str]) -> (Option<i32>, String, String) {
    let mut arguments = vec!["--server", SERVER, "store", "move", "--to", to.as_str()];
    arguments.extend(labels);
    let output = home.output(&arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn helpers(home: &Home) -> (StoreKind, StoreKind, PathBuf) {
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    (write_helper(&old, ""), write_helper(&new, ""), new)
}

#[test]
fn keys_move_between_helpers_and_every_command_finds_them() {
    let home = Home::new();
    let (old, new, _) = helpers(&home);
    fill(&home, &old);
    // The default store is the keychain, which does not exist here.
    let get = |label| home.run(&["--server", SERVER, "get", label]);
    assert_eq!(get("ci"), (0, format!("{}\n", secret("ci")), String::new()));
    let (code, out, err) = move_keys(&home, &new, &["ci"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("ci (keywright/127.0.0.1:9)  stored in the store of"), "{out}");
    assert!(out.ends_with("1 moved\n"), "{out}");
    let (old_store, new_store) = (open(&old), open(&new));
    let stores = [&old_store, &new_store];
    assert_eq!(copies(&stores, "ci"), [None, Some(secret("ci"))]);
    assert_eq!(copies(&stores, LABELS[1]), [Some(secret(LABELS[1])), None]);
    for label in LABELS {
        assert_eq!(get(label), (0, format!("{}\n", secret(label)), String::new()));
    }
    let shown = home.run(&["--server", SERVER, "show", "ci", "--json"]).1;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["store"], new.as_str());
    // `--store` names the only store.
    let (code, _, err) = home.run(&["--server", SERVER, "--store", old.as_str(), "get", "ci"]);
    assert!(code == 3 && err.contains(new.as_str()), "{err}");

    let (code, out, _) = move_keys(&home, &new, &[]);
    assert!(code == Some(0) && out.contains("1 moved"), "{out}");
    let (code, out, _) = move_keys(&home, &new, &[]);
    assert!(code == Some(0) && out.contains("nothing to move"), "{out}");
    let (code, out, _) = move_keys(&home, &old, &[]);
    assert!(code == Some(0) && out.contains("2 moved"), "{out}");
    for label in LABELS {
        assert_eq!(copies(&stores, label), [Some(secret(label)), None]);
    }
}

#[test]
fn keys_move_to_the_file_and_back() {
    let home = Home::new();
    let (helper, ..) = helpers(&home);
    fill(&home, &helper);
    let passphrase = home.add_file_store();
    let run = |arguments: &[&str]| {
        let mut command = home.command(&["--server", SERVER]);
        command.args(arguments).env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase);
        home::run(&mut command)
    };
    for (to, count) in [("file", 0), (helper.as_str(), 2)] {
        // Labels: without them, the entries of the keychain would move too, and there is none.
        let (code, _, err) = run(&["store", "move", "--to", to, LABELS[0], LABELS[1]]);
        assert_eq!((code, err.as_str()), (0, ""), "{to}");
        let accounts = open(&helper).list_accounts("keywright/127.0.0.1:9", TIMEOUT).unwrap();
        assert_eq!(accounts.len(), count);
        let (code, out, err) = run(&["get", "ci"]);
        assert_eq!((code, out, err), (0, format!("{}\n", secret("ci")), String::new()));
    }
}

#[test]
fn a_move_that_is_killed_at_any_call_of_a_helper_ends_right_when_it_is_run_again() {
    for call in 1.. {
        let home = Home::new();
        let (old, _, new_dir) = helpers(&home);
        fill(&home, &old);
        let kill = format!(
            r#"echo >>"$dir/../calls"; [ "$(wc -l <"$dir/../calls")" -eq {call} ] && kill -9 $PPID"#
        );
        write_helper(&home.path().join("old"), &kill);
        let new = write_helper(&new_dir, &kill);
        let (code, ..) = move_keys(&home, &new, &[]);
        let is_complete = code == Some(0);
        // The test itself calls them from now on.
        write_helper(&home.path().join("old"), "");
        write_helper(&new_dir, "");
        let (old_store, new_store) = (open(&old), open(&new));
        let stores = [&old_store, &new_store];
        for key in inventory::list_keys(&location(&home), SERVER).unwrap() {
            // The store that the inventory names has the key at every moment.
            let store = if key.is_in_store(&old) { &old_store } else { &new_store };
            assert_eq!(
                copies(&[store], key.label.as_str()),
                [Some(secret(key.label.as_str()))],
                "{call}"
            );
        }
        let (code, out, err) = move_keys(&home, &new, &[]);
        assert_eq!(code, Some(0), "{call}: {out} {err}");
        for label in LABELS {
            assert_eq!(copies(&stores, label), [None, Some(secret(label))], "{call}");
        }
        for key in inventory::list_keys(&location(&home), SERVER).unwrap() {
            assert!(key.is_in_store(&new) && key.moved_from.is_none(), "{call}: {key:?}");
        }
        if is_complete {
            assert!(call > 12, "only {call} calls");
            return;
        }
    }
}

#[test]
fn a_helper_that_fails_leaves_every_key_where_it_was() {
    let home = Home::new();
    let (old, _, new_dir) = helpers(&home);
    fill(&home, &old);
    let program = |name: &str| StoreKind::Exec(ExecProgram::parse(name).unwrap());
    for (fault, expected) in [
        (r#"[ "$1" = store ] && { echo 'quota exceeded'; exit 1; }"#, "quota exceeded"),
        (r#"[ "$1" = store ] && { cat >/dev/null; exit; }"#, "does not return it"),
        (r#"[ "$1" = get ] && { echo '<html>'; exit; }"#, "JSON"),
    ] {
        let new = write_helper(&new_dir, fault);
        let (code, _, err) = move_keys(&home, &new, &[]);
        assert!(code == Some(4) && err.contains(expected), "{err}");
        assert!(!err.contains("sk-or-v1-00"), "{err}");
        assert_eq!(copies(&[&open(&old)], "ci"), [Some(secret("ci"))]);
        let keys = inventory::list_keys(&location(&home), SERVER).unwrap();
        assert!(keys.iter().all(|key| key.is_in_store(&old) && key.moved_from.is_none()));
    }
    let (code, _, err) = move_keys(&home, &program("exec:no-such-helper"), &[]);
    assert!(code == Some(4) && err.contains("is not on PATH"), "{err}");
    let (code, _, err) = move_keys(&home, &StoreKind::Memory, &[]);
    assert!(code == Some(2) && err.contains("lost when Keywright ends"), "{err}");
    let (code, _, err) = move_keys(&home, &StoreKind::File, &["nothing"]);
    assert!(code == Some(3) && err.contains("nothing"), "{err}");
}

#[test]
fn a_plan_and_a_profile_choose_the_store_of_each_key() {
    let (home, sandbox) =
        (Home::new(), Sandbox::start(&Options { port: 0, key_count: 0 }).unwrap());
    let passphrase = home.add_file_store();
    let shared = write_helper(&home.path().join("shared"), "");
    let plan = home.path().join("plan.toml");
    let text =
        format!("[[key]]\nlabel = \"mine\"\n[[key]]\nlabel = \"ours\"\nstore = \"{shared}\"\n");
    std::fs::write(&plan, text).unwrap();
    let config = home.path().join("config.toml");
    std::fs::write(&config, "[profiles.default]\nstore = \"file\"\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command =
            home.command(&["--server", sandbox.url(), "--config", config.to_str().unwrap()]);
        command
            .args(arguments)
            .env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase)
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        home::run(&mut command)
    };
    let store_of = |label: &str| {
        let shown: serde_json::Value =
            serde_json::from_str(&run(&["show", label, "--json"]).1).unwrap();
        shown["store"].as_str().unwrap().to_owned()
    };
    let (code, out, err) = run(&["apply", plan.to_str().unwrap(), "--yes"]);
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!((store_of("mine"), store_of("ours")), ("file".to_owned(), shared.to_string()));
    let service = sandbox.url().replace("http://", "keywright/");
    assert_eq!(open(&shared).list_accounts(&service, TIMEOUT).unwrap(), ["ours"]);
    // Every command uses the key's own store.
    for label in ["mine", "ours"] {
        assert!(run(&["get", label]).1.starts_with("sk-or-v1-"), "{label}");
        let (code, out, err) = run(&["run", label, "--", "printenv", "OPENROUTER_API_KEY"]);
        assert!(code == 0 && out.starts_with("sk-or-v1-"), "{label}: {err}");
    }
    let before = run(&["get", "ours"]).1;
    let (code, out, err) = run(&["rotate", "ours", "--yes"]);
    assert_eq!(code, 0, "{out} {err}");
    assert_ne!(run(&["get", "ours"]).1, before);
    assert_eq!(store_of("ours"), shared.as_str());
    let (code, _, err) = run(&["rename", "ours", "team"]);
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = run(&["doctor", "--json"]);
    assert!(out.contains("lists") && out.contains(&shared.to_string()[5..]), "{out}");
    let (code, _, err) = run(&["rm", "team", "--yes"]);
    assert_eq!(code, 0, "{err}");
    let accounts = open(&shared).list_accounts(&service, TIMEOUT).unwrap();
    assert!(!accounts.contains(&"team".to_owned()), "{accounts:?}");

    // A profile may have a helper as its store.
    std::fs::write(&config, format!("[profiles.default]\nstore = \"{shared}\"\n")).unwrap();
    let (code, out, err) = run(&["new", "third", "--json"]);
    assert_eq!(code, 0, "{out} {err}");
    assert_eq!(store_of("third"), shared.as_str());
    std::fs::write(&config, "[profiles.default]\nstore = \"exec:bin/helper\"\n").unwrap();
    let (code, _, err) = run(&["list"]);
    assert!(code == 2 && err.contains("absolute path"), "{code} {err}");
}

/// In a session without a terminal, as under cron.
#[cfg(target_os = "linux")]
#[test]
fn a_new_passphrase_without_a_terminal_is_read_from_a_file() {
    let home = Home::new();
    let passphrase = home.add_file_store();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_keywright"), "store", "passphrase"]);
        home.set_environment(command.args(arguments));
        command.env("KEYWRIGHT_PASSPHRASE_FILE", &passphrase);
        command.stdin(std::process::Stdio::null());
        home::run(&mut command)
    };
    let (code, _, err) = run(&[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("keywright store passphrase --new-file FILE"), "{err}");
    assert!(err.contains("nothing was changed"), "{err}");
}

#[test]
fn what_another_program_removed_or_the_server_rejects_is_not_unchanged() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let dir = home.path().join("keys");
    let fault = r#"[ "$1" = erase ] && [ -f "$dir/broken" ] && exit 1"#;
    let store = write_helper(&dir, fault);
    let plan = home.path().join("plan.toml");
    std::fs::write(&plan, "[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\n").unwrap();
    std::fs::write(home.path().join("passphrase"), "pass").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command
            .args(["--server", sandbox.url(), "--store", &store.to_string()])
            .env("KEYWRIGHT_PASSPHRASE_FILE", home.path().join("passphrase"))
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        home::decode_output(&command.output().unwrap())
    };
    let apply =
        |extra: &[&str]| run(&[&["apply", plan.to_str().unwrap(), "--yes"], extra].concat());
    let (code, _, err) = apply(&[]);
    assert_eq!(code, 0, "{err}");
    assert!(apply(&[]).1.ends_with("2 unchanged\n"));

    let entry = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).find(|path| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(r#""Username":"a""#))
    });
    std::fs::remove_file(entry.unwrap()).unwrap();
    let (code, out, err) = apply(&[]);
    assert_eq!(code, 3, "{out} {err}");
    assert!(out.contains("!  a      unusable: 'a' is in the inventory, but not in "), "{out}");
    assert!(out.ends_with("1 unchanged, 1 unusable\n"), "{out}");
    assert!(err.contains("apply the plan again with --replace"), "{err}");
    let (code, out, _) = apply(&["--dry-run", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["failed"][0]["code"]), (3, &serde_json::json!(3)), "{out}");
    let (code, out, err) = apply(&["--replace"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("~  a      replaced: "), "{out}");
    assert!(err.contains("1 unusable\n") && !err.contains("failed"), "the preview: {err}");
    assert_eq!(run(&["get", "a"]).0, 0);

    // The key is deleted at the server, and its copy cannot be removed.
    std::fs::write(dir.join("broken"), "").unwrap();
    let (code, _, err) = run(&["rm", "b", "--revoke", "--yes"]);
    assert!(code != 0 && err.contains("then remove the copy: keywright "), "{err}");
    assert!(err.contains(" rm b"), "{err}");
    std::fs::remove_file(dir.join("broken")).unwrap();
    let (_, out, _) = run(&["status"]);
    assert!(out.contains("b: dead"), "{out}");
    let (code, out, err) = apply(&[]);
    assert_eq!(code, 1, "{out} {err}");
    assert!(out.contains("!  b      unusable: rejected by the server: "), "{out}");
    let (code, out, _) = run(&["rm", "b", "--yes"]);
    assert!(code == 0 && out.contains("b; it is not accepted by OpenRouter any more"), "{out}");
    assert!(!out.contains("stays valid"), "{out}");
}
