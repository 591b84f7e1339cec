//! `apply` run without a terminal: its output, its JSON and its exit codes. Longer than 400
//! lines, because the tests of `recover` and of another account share its sandbox and its helpers.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use keywright::domain::{ApiKey, RequestedPolicy, StoreKind, StoredKey};
use keywright::sandbox::{self, Options, Sandbox};
use keywright::storage::inventory;
use keywright::storage::journal::{Attempt, AttemptGuard, AttemptStage};
use keywright::storage::json_store::StoreLocation;
use serde_json::{Value, json};

const THREE: &str = "[defaults]\nlimit = 5\n[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b b\"\n\
                     reset = \"daily\"\nexpires = \"30d\"\n[[key]]\nlabel = \"c\"\nlimit = \"none\"\n";

struct Home {
    dir: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Home {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            sandbox: Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap(),
        }
    }

    fn write_plan(&self, text: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join("plan.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        command
            .args(["--server", self.sandbox.url(), "--store", "memory"])
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("KEYWRIGHT_DATA_DIR", self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        decode_output(&self.command(arguments).output().unwrap())
    }

    /// Runs a command with the account's management key.
    fn run_with_management_key(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments);
        command.env("OPENROUTER_MANAGEMENT_KEY", self.sandbox.management_key());
        decode_output(&command.output().unwrap())
    }
}

fn decode_output(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn labels(document: &Value, name: &str) -> Vec<String> {
    let keys = document[name].as_array().unwrap().iter();
    keys.map(|key| key["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plan_is_previewed_applied_and_then_unchanged() {
    let home = Home::new();
    let plan = home.write_plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("+  a      create: limit $5.00, expires never\n"), "{out}");
    assert!(out.contains("+  b b    create: limit $5.00 daily, expires 20"), "{out}");
    assert!(out.ends_with("3 to create\n"), "{out}");
    assert!(!home.data().exists(), "nothing was written");

    let (code, out, err) = home.run_with_management_key(&["apply", &plan]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--yes"), "{err}");

    let (code, out, err) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(labels(&done, "created"), ["a", "b b", "c"]);
    assert_eq!((&done["created"][1]["limit"], &done["dry_run"]), (&json!(5.0), &json!(false)));
    assert_eq!(done["created"][1]["differences"], json!([]));

    let (code, out, _) = home.run(&["apply", &plan]);
    assert_eq!(code, 0, "no confirmation is needed when there is nothing to create");
    assert!(out.ends_with("3 unchanged\n") && out.contains("=  c      unchanged"), "{out}");
    let changed = THREE.replace("limit = 5", "limit = 20").replace("daily", "weekly");
    let (code, out, err) = home.run(&["apply", &home.write_plan(changed), "--json"]);
    assert_eq!(code, 0);
    assert!(err.is_empty(), "{err}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&seen, "unchanged"), labels(&seen, "differing")),
        (vec!["c".into()], vec!["a".to_owned(), "b b".into()])
    );
    let key = &seen["differing"][1];
    assert_eq!(key["differences"], json!(["limit", "limit_reset"]));
    assert_eq!((&key["planned"]["limit"], &key["limit"]), (&json!(20.0), &json!(5.0)));
    let (_, out, err) =
        home.run(&["apply", &home.dir.path().join("plan.toml").display().to_string()]);
    assert!(
        out.contains(
            "~  b b    differs: limit is $5.00, the plan says $20.00; limit reset is daily"
        ),
        "{out}"
    );
    assert!(err.contains("left as they are"), "{err}");
}

#[test]
fn dry_run_json_has_the_fields_of_a_key_with_null_values() {
    let home = Home::new();
    let plan = home.write_plan(THREE);
    let (code, out, _) = home.run(&["apply", &plan, "--dry-run", "--json"]);
    assert_eq!(code, 0);
    let planned: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(planned["dry_run"], true);
    let (_, out, _) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    let done: Value = serde_json::from_str(&out).unwrap();
    for (would, did) in [0, 1, 2].map(|n| (&planned["created"][n], &done["created"][n])) {
        let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(would), names(did));
        assert_eq!(would["label"], did["label"]);
        assert_eq!(would["requested"]["limit"], did["requested"]["limit"]);
        assert_eq!(
            (&would["hash"], &would["limit"], &would["state"]),
            (&Value::Null, &Value::Null, &json!("unknown"))
        );
    }
}

#[test]
fn errors_of_a_plan_are_listed_in_order_and_nothing_is_created() {
    let home = Home::new();
    let text = "[[key]]\nlabel = \"a\"\nlimt = 5\n[[key]]\nlabel = \"a\"\n";
    let (code, out, err) = home.run(&["apply", &home.write_plan(text), "--json"]);
    assert_eq!(code, 2);
    let first = err.find("line 3, column 1: unknown field 'limt'").unwrap();
    let second =
        err.find("line 5, column 9: the label 'a' is already used, at line 2, column 9").unwrap();
    assert!(
        first < second && err.contains("has 2 errors") && err.contains("did you mean limit?"),
        "{err}"
    );
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["error"]["code"], 2);
    let many: String = (0..50).map(|n| format!("x{n} = 1")).collect::<Vec<_>>().join("\n");
    let (_, _, err) = home.run(&["apply", &home.write_plan(many)]);
    assert!(err.contains("and 30 more"), "{err}");
    let (code, _, err) = home.run(&["apply", "/nonexistent/plan.toml"]);
    assert!(code == 2 && err.contains("cannot be read"), "{err}");
    assert_eq!(home.run(&["apply", &home.write_plan("")]).1, "the plan lists no keys\n");
    assert!(!home.data().exists());
}

#[test]
fn a_key_that_may_have_been_issued_is_not_requested_again() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let attempt = json!({
        "id": "0123456789abcdef0123456789abcdef", "at": "2026-11-25T10:00:00Z", "label": "b b",
        "server": home.sandbox.url(), "stage": "unresolved", "store": "memory",
    });
    let journal = json!({"version": 1, "attempts": [attempt]}).to_string();
    fs::write(home.data().join("journal.json"), journal).unwrap();
    let plan = home.write_plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!(code, 7);
    assert!(
        out.contains("!  b b    failed: a key may have been created")
            && out.contains("2 to create, 1 failed"),
        "{out}"
    );
    let (code, out, err_2) = home.run_with_management_key(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(code, 7, "{err_2}");
    assert!(err.contains("dismiss") && err_2.contains("may have been created"), "{err} {err_2}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("may have been created"));
    assert_eq!(home.run_with_management_key(&["apply", &plan, "--yes"]).0, 7, "and again");
}

/// Runs a command and answers each consent page whose address it prints; writes the codes to its
/// standard input.
fn run_with_consents(
    home: &Home,
    arguments: &[&str],
    decide: impl Fn(&str) -> bool,
) -> (i32, String, String) {
    let mut child = home.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr_text = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("http")
            && let Some(code) = sandbox::answer_consent(&line, decide(&line)).unwrap()
        {
            writeln!(stdin, "{code}").unwrap();
        }
        stderr_text.push_str(&line);
        stderr_text.push('\n');
    }
    let (code, out, _) = decode_output(&child.wait_with_output().unwrap());
    (code, out, stderr_text)
}

#[test]
fn without_a_terminal_consents_are_requested_one_at_a_time() {
    let home = Home::new();
    let plan = home.write_plan(THREE);
    let refuse_b = |address: &str| !address.contains("key_label=b");
    let arguments = ["apply", &plan, "--yes", "--no-open", "--json"];
    let (code, out, err) = run_with_consents(&home, &arguments, refuse_b);
    assert_eq!(code, 5, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("denied"), "{done}");
    assert!(err.contains("2 of 3: b b") && err.contains("3 of 3: c"), "{err}");
    // The remaining key, with piped codes.
    let (code, out, err) =
        run_with_consents(&home, &["apply", &plan, "--yes", "--no-browser"], |_| true);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("1 created, 2 unchanged\n"), "{out}");
    assert!(!err.contains('█') && !err.contains('\u{1b}'), "no picture without a terminal: {err}");
}

#[test]
fn a_pipe_without_codes_stops_the_batch() {
    let home = Home::new();
    let (code, out, err) = home.run(&["apply", &home.write_plan(THREE), "--yes", "--no-browser"]);
    assert_eq!(code, 5);
    assert!(err.contains("no further code was entered"), "{err}");
    assert!(out.contains("!  c      failed: not started"), "{out}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let home = Home::new();
    let keys: Vec<String> = (0..20_000).map(|n| format!("[[key]]\nlabel = \"k{n}\"")).collect();
    let plan = home.write_plan(keys.join("\n"));
    let mut child = home.command(&["apply", &plan, "--dry-run"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn over_ssh_a_code_or_a_tunnel_is_used() {
    let home = Home::new();
    let ssh = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 2222").env("USER", "me");
        let mut child = command.spawn().unwrap();
        let mut stderr_text = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            stderr_text.push_str(&line);
            stderr_text.push('\n');
            if line.starts_with("http") {
                let _ = sandbox::answer_consent(&line, true);
            }
        }
        child.wait().unwrap();
        stderr_text
    };
    let stderr_text = ssh(&["new", "x"]);
    assert!(
        stderr_text.contains("no browser is available (over SSH)")
            && stderr_text.contains("paste the code"),
        "{stderr_text}"
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let stderr_text = ssh(&["new", "x", "--callback-port", &port]);
    let tunnel = format!("\nssh -p 2222 -L {port}:127.0.0.1:{port} me@192.0.2.2\n");
    assert!(stderr_text.contains(&tunnel) && stderr_text.contains("callback_url"), "{stderr_text}");
}

#[test]
fn a_key_without_a_stored_secret_authorises_nothing() {
    let home = Home::new();
    let key = ApiKey::from(home.sandbox.seed_keys().remove(0).secret);
    let stored_key = StoredKey::new(
        "mine".parse().unwrap(),
        &key,
        home.sandbox.url().into(),
        StoreKind::Memory,
        "2026-11-01T00:00:00Z".parse().unwrap(),
    );
    fs::create_dir(home.data()).unwrap();
    let list = json!({"version": 1, "keys": [stored_key]}).to_string();
    fs::write(home.data().join("inventory.json"), list).unwrap();
    // The key is in the inventory but not in this run's memory store, so consent is requested.
    let (code, _, err) = home.run(&["apply", &home.write_plan(THREE), "--yes"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("paste the code"), "{err}");
}

/// Stores a key of the user's own account, which is not the one of the sandbox.
fn store_own_key(home: &Home) {
    let key = ApiKey::from(String::from("mine"));
    let (at, server) = (jiff::Timestamp::UNIX_EPOCH, home.sandbox.url().to_owned());
    let mine = StoredKey::new("mine".parse().unwrap(), &key, server, StoreKind::Memory, at);
    let mine = StoredKey { user_id: Some("user_mine".into()), ..mine };
    let location = StoreLocation::Directory(home.data());
    inventory::upsert_keys(&location, vec![mine]).unwrap();
}

#[test]
fn a_key_of_another_account_is_reported_by_every_command_that_shows_it() {
    let home = Home::new();
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
    let home = Home::new();
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

/// Records an attempt that ended without a known result; with the key that it received.
fn record_attempt(home: &Home, label: &str, received: Option<&ApiKey>) {
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
        send_count: 1,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::default(),
        replaces: None,
        received_key,
        management_key: None,
        unknown: serde_json::Map::default(),
    };
    drop(AttemptGuard::begin(&StoreLocation::Directory(home.data()), attempt).unwrap());
}

#[test]
fn recover_revokes_the_key_of_an_attempt_that_is_known_by_its_hash() {
    let home = Home::new();
    let seed = home.sandbox.seed_keys().remove(0);
    record_attempt(&home, "lost", Some(&ApiKey::from(seed.secret)));
    record_attempt(&home, "unknown", None);

    let (code, _, err) = home.run_with_management_key(&["recover", "--revoke", "lost"]);
    assert_eq!(code, 2, "it asks: {err}");
    let (code, _, err) = home.run(&["recover", "--revoke", "lost", "--yes"]);
    assert!(code == 1 && err.contains("keywright management set"), "{err}");
    let (code, _, err) = home.run_with_management_key(&["recover", "--revoke", "unknown", "--yes"]);
    assert!(code == 1 && err.contains("not known by hash"), "{err}");

    let revoke = ["recover", "--revoke", "lost", "--yes", "--json"];
    let (code, out, err) = home.run_with_management_key(&revoke);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["deleted"]), (7, &json!(["lost"])), "{err}");
    assert_eq!(labels(&document, "unresolved"), ["unknown"]);
    let (code, out, _) = home.run_with_management_key(&["recover", "--dismiss", "unknown"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("dismissed"), "{out}");
}
