//! The commands for keys that exist, as a user runs them: against the program's own sandbox, and
//! against a server in a process of its own where what is kept matters.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test pipes keys in")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use keywright::domain::{ApiKey, StoredKey};
use keywright::sandbox::{Options, Sandbox};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// A program with an empty home, no desktop and no keychain.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("KEYWRIGHT_DATA_DIR", self.data())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it in the sandbox: the exit code, and what it said on each stream.
    fn play(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["--sandbox"];
        all.extend(arguments);
        said(&self.command(&all).output().unwrap())
    }

    /// Runs it with that on standard input.
    fn pipe(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{input}").unwrap();
        said(&child.wait_with_output().unwrap())
    }

    /// Puts a key on the list, as an earlier run would have.
    fn list(&self, server: &str, label: &str, key: &str) {
        let key = ApiKey::from(key.to_owned());
        let held = StoredKey::new(
            label.parse().unwrap(),
            &key,
            server.into(),
            "memory".into(),
            "2026-11-01T00:00:00Z".parse().unwrap(),
        );
        fs::create_dir_all(self.data()).unwrap();
        let inventory = json!({"version": 1, "keys": [held]});
        fs::write(self.data().join("inventory.json"), inventory.to_string()).unwrap();
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn keys_are_switched_renamed_rotated_and_deleted_in_the_sandbox() {
    let home = Home::new();
    for (arguments, words) in [
        (vec!["disable", "laptop"], "laptop is disabled"),
        (vec!["enable", "notebook"], "notebook is enabled"),
        (vec!["rename", "ci", "build"], "ci renamed to build"),
        (vec!["rotate", "agent"], "the old key is kept as 'agent (old)'"),
        (vec!["rotate", "agent", "--quiet-for", "2d", "--delete-old", "--yes"], "is a new key"),
        (vec!["rm", "laptop", "--revoke", "--yes"], "deleted laptop at OpenRouter"),
        (vec!["rm", "laptop", "--yes"], "it stays valid"),
        (vec!["management", "show"], "from the environment"),
    ] {
        let (code, out, err) = home.play(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        assert!(out.contains(words), "{arguments:?}: {out}");
    }
    assert!(!home.data().exists(), "nothing of the sandbox is on disk");
}

#[test]
fn what_cannot_be_undone_is_not_done_without_a_yes() {
    let home = Home::new();
    for arguments in [
        vec!["rm", "laptop"],
        vec!["rm", "laptop", "--revoke"],
        vec!["panic", "laptop"],
        vec!["rotate", "laptop", "--delete-old"],
    ] {
        let (code, out, err) = home.play(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("--yes"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_panic_lists_what_was_done() {
    let home = Home::new();
    let (code, out, err) = home.play(&["panic", "agent", "laptop", "agent", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().count(), 4, "{out}");
    assert!(out.lines().all(|line| line.starts_with("done ")), "{out}");
    assert!(out.contains("the leaked key is stored as 'agent (old)'"), "{out}");
}

#[test]
fn a_panic_says_where_the_leaked_key_lies_on_this_machine() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let key = sandbox.seed_keys().into_iter().find(|seed| seed.label == "ci").unwrap().secret;
    home.list(sandbox.url(), "ci", &key);
    fs::write(home.dir.path().join(".bash_history"), format!("ls\nexport K={key}\n")).unwrap();
    let work = home.dir.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("notes"), format!("{key}\nsk-or-v1-{}", "ab12".repeat(16))).unwrap();
    let panic = |search: &str| {
        let mut command = home.command(&["panic", "ci", "--yes", "--store", "memory"]);
        command.args(["--server", sandbox.url(), "--search", search]);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        said(&command.output().unwrap())
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
fn a_label_that_is_not_held_is_code_3_for_every_command() {
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
        let (code, out, err) = home.play(&arguments);
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
        assert_eq!(home.play(&arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn a_refresh_asks_each_key_and_says_which_it_could_not_ask() {
    let home = Home::new();
    let (code, out, err) = home.play(&["list", "--refresh", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let keys: Value = serde_json::from_str(&out).unwrap();
    let states: Vec<_> =
        keys.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!((states[0], states[2]), ("active", "disabled"));
    assert!(keys[0]["usage"].as_f64().unwrap() > 0.0 && keys[0]["checked_at"].is_string());
    let (_, out, _) = home.play(&["list", "--refresh"]);
    assert!(out.lines().next().unwrap().contains("SPENT"), "{out}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    home.list(&url, "x", "sk-or-v1-x");
    let base = ["--server", &url, "--store", "memory", "list", "--refresh"];
    let (code, out, err) = said(&home.command(&base).output().unwrap());
    // The memory of an earlier run is gone: the key is on the list and nowhere else.
    assert_eq!((code, out.as_str()), (6, ""), "{err}");
    assert!(err.contains("in the inventory, but not in"), "{err}");
}

#[test]
fn without_a_management_key_the_sentence_names_the_page_and_nothing_is_sent() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let seed = sandbox.seed_keys().remove(0);
    home.list(sandbox.url(), "laptop", &seed.secret);
    let base = ["--server", sandbox.url(), "--store", "memory"];
    let page = format!("{}/keys/{}", sandbox.url(), ApiKey::from(seed.secret).hash());
    for arguments in [vec!["disable", "laptop"], vec!["rm", "laptop", "--revoke", "--yes"]] {
        let all: Vec<_> = base.iter().copied().chain(arguments).collect();
        let (code, out, err) = said(&home.command(&all).output().unwrap());
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("management key") && err.contains(&page), "{err}");
        // With one in the environment it is done.
        let mut command = home.command(&all);
        command.env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        let (code, _, err) = said(&command.output().unwrap());
        assert_eq!(code, 0, "{err}");
    }
    let list = fs::read_to_string(home.data().join("inventory.json")).unwrap();
    assert!(!list.contains("laptop"), "{list}");
}

#[test]
fn a_key_is_piped_in_checked_and_listed_and_never_shown() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
    let key = sandbox.seed_keys().remove(0).secret;
    let base = ["--server", sandbox.url(), "--store", "memory"];
    let with = |more: &[&'static str]| -> Vec<&str> {
        base.iter().copied().chain(more.iter().copied()).collect()
    };
    let (code, out, err) = home.pipe(&with(&["import", "mine"]), "sk-or-v1-unknown");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("nothing was stored"), "{err}");
    let (code, out, err) = home.pipe(&with(&["import", "mine"]), &key);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("mine  sk-or-v1-") && !out.contains(&key), "{out}");
    let (code, _, err) = home.pipe(&with(&["import", "again"]), &key);
    assert_eq!(code, 2);
    assert!(err.contains("already stored with the label mine"), "{err}");
    let (code, _, err) = home.pipe(&with(&["import", "m"]), sandbox.management_key());
    assert_eq!(code, 2);
    assert!(err.contains("store it with keywright management set"), "{err}");
    let (code, _, err) = home.pipe(&with(&["management", "set"]), &key);
    assert_eq!(code, 2);
    assert!(err.contains("not a management key"), "{err}");
    let (code, out, err) = home.pipe(&with(&["management", "set"]), sandbox.management_key());
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains(sandbox.management_key()), "{out}");
    assert_eq!(said(&home.command(&with(&["management", "show"])).output().unwrap()).0, 3);
    let list = fs::read_to_string(home.data().join("inventory.json")).unwrap();
    assert!(list.contains("\"mine\"") && !list.contains(&key), "{list}");
}

#[test]
fn show_has_what_was_asked_beside_what_was_granted() {
    let home = Home::new();
    let (code, out, _) = home.play(&["show", "agent"]);
    assert_eq!(code, 0);
    for name in ["requested", "granted", "remaining", "spent", "next reset", "expires", "page"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name}: {out}");
    }
}

/// The key travels to the process that stays behind on a pipe, and from there to tmux on another.
#[cfg(unix)]
#[test]
fn a_copy_is_held_by_a_process_that_stays_behind() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let bin = home.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let tmux = bin.join("tmux");
    let (seen, arguments) = (home.dir.path().join("seen"), home.dir.path().join("arguments"));
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{}'\n[ \"$1\" = load-buffer ] && cat > '{}'\nexit 0\n",
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
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.expose_secret().as_bytes()).unwrap();
    let mut report = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut report).unwrap();
    assert_eq!(report, "tmux\n");
    assert_eq!(fs::read_to_string(&seen).unwrap(), key.expose_secret());
    assert!(child.try_wait().unwrap().is_none(), "it stays behind");
    child.kill().unwrap();
    child.wait().unwrap();

    // As the command does it: said at once, while the one that holds it lives on.
    let mut command = home.command(&["--sandbox", "copy", "laptop", "--osc52"]);
    command.env("TMUX", "/tmp/none,1,0").env("PATH", &path);
    let (code, out, err) = said(&command.output().unwrap());
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("copied laptop to a tmux buffer"), "{out}");
    let copied = fs::read_to_string(&seen).unwrap();
    assert!(copied.starts_with("sk-or-v1-") && copied != key.expose_secret());
    let arguments = fs::read_to_string(&arguments).unwrap();
    assert!(!arguments.contains("sk-or-v1-") && !out.contains(&copied), "{arguments}");
}

#[test]
fn what_may_have_been_issued_is_listed_with_code_7_until_it_is_struck_off() {
    let home = Home::new();
    let server = "http://127.0.0.1:9";
    let base = ["--server", server, "--store", "memory", "recover"];
    let run = |more: &[&str]| {
        let all: Vec<_> = base.iter().chain(more).copied().collect();
        said(&home.command(&all).output().unwrap())
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
            "advice": advice,
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

#[test]
fn what_was_written_into_the_list_reaches_the_terminal_without_escapes() {
    let home = Home::new();
    home.list("http://127.0.0.1:1", "ci", "sk-or-v1-key");
    let path = home.data().join("inventory.json");
    let mut list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for field in ["masked", "store", "hash"] {
        list["keys"][0][field] = "\u{1b}]0;x\u{7}\u{202e}y".into();
    }
    fs::write(&path, list.to_string()).unwrap();
    for command in [&["list"][..], &["show", "ci"]] {
        let mut arguments = vec!["--server", "http://127.0.0.1:1", "--store", "memory"];
        arguments.extend(command);
        let (code, out, err) = said(&home.command(&arguments).output().unwrap());
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("ci") && !out.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{out:?}");
    }
}
