//! `apply` as a user runs it without a terminal: its words, its documents and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use keywright::domain::{ApiKey, StoredKey};
use keywright::sandbox::{self, Options, Sandbox};
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

    fn plan(&self, text: impl AsRef<[u8]>) -> String {
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
        said(&self.command(arguments).output().unwrap())
    }

    /// With the account's management key.
    fn manage(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments);
        command.env("OPENROUTER_MANAGEMENT_KEY", self.sandbox.management_key());
        said(&command.output().unwrap())
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn labels(document: &Value, name: &str) -> Vec<String> {
    let keys = document[name].as_array().unwrap().iter();
    keys.map(|key| key["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plan_is_shown_applied_and_then_there_is_nothing_to_do() {
    let home = Home::new();
    let plan = home.plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("+  a      create: limit $5.00, expires never\n"), "{out}");
    assert!(out.contains("+  b b    create: limit $5.00 daily, expires 20"), "{out}");
    assert!(out.ends_with("3 to create\n"), "{out}");
    assert!(!home.data().exists(), "nothing was written");

    let (code, out, err) = home.manage(&["apply", &plan]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--yes"), "{err}");

    let (code, out, err) = home.manage(&["apply", &plan, "--yes", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(labels(&done, "created"), ["a", "b b", "c"]);
    assert_eq!((&done["created"][1]["limit"], &done["dry_run"]), (&json!(5.0), &json!(false)));
    assert_eq!(done["created"][1]["differences"], json!([]));

    let (code, out, _) = home.run(&["apply", &plan]);
    assert_eq!(code, 0, "no yes is needed for nothing");
    assert!(out.ends_with("3 unchanged\n") && out.contains("=  c      unchanged"), "{out}");
    let changed = THREE.replace("limit = 5", "limit = 20").replace("daily", "weekly");
    let (code, out, err) = home.run(&["apply", &home.plan(changed), "--json"]);
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
fn a_dry_run_as_a_document_has_the_fields_of_keys_and_knows_nothing_of_them() {
    let home = Home::new();
    let plan = home.plan(THREE);
    let (code, out, _) = home.run(&["apply", &plan, "--dry-run", "--json"]);
    assert_eq!(code, 0);
    let planned: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(planned["dry_run"], true);
    let (_, out, _) = home.manage(&["apply", &plan, "--yes", "--json"]);
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
fn what_is_wrong_with_a_plan_is_said_in_its_order_and_nothing_is_begun() {
    let home = Home::new();
    let text = "[[key]]\nlabel = \"a\"\nlimt = 5\n[[key]]\nlabel = \"a\"\n";
    let (code, out, err) = home.run(&["apply", &home.plan(text), "--json"]);
    assert_eq!(code, 2);
    let first = err.find("line 3, column 1: unknown field 'limt'").unwrap();
    let second = err
        .find("line 5, column 9: the label 'a' is taken by a key above, at line 2, column 9")
        .unwrap();
    assert!(
        first < second && err.contains("has 2 errors") && err.contains("did you mean limit?"),
        "{err}"
    );
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["error"]["code"], 2);
    let many: String = (0..50).map(|n| format!("x{n} = 1")).collect::<Vec<_>>().join("\n");
    let (_, _, err) = home.run(&["apply", &home.plan(many)]);
    assert!(err.contains("and 30 more"), "{err}");
    let (code, _, err) = home.run(&["apply", "/nonexistent/plan.toml"]);
    assert!(code == 2 && err.contains("cannot be read"), "{err}");
    assert_eq!(home.run(&["apply", &home.plan("")]).1, "the plan lists no keys\n");
    assert!(!home.data().exists());
}

#[test]
fn what_may_have_been_issued_is_listed_and_not_asked_for_again() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let attempt = json!({
        "id": "0123456789abcdef0123456789abcdef", "at": "2026-11-25T10:00:00Z", "label": "b b",
        "server": home.sandbox.url(), "stage": "unresolved", "store": "memory",
    });
    let journal = json!({"version": 1, "attempts": [attempt]}).to_string();
    fs::write(home.data().join("journal.json"), journal).unwrap();
    let plan = home.plan(THREE);
    let (code, out, err) = home.run(&["apply", &plan, "--dry-run"]);
    assert_eq!(code, 7);
    assert!(
        out.contains("!  b b    failed: a key may have been issued")
            && out.contains("2 to create, 1 failed"),
        "{out}"
    );
    let (code, out, err_2) = home.manage(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(code, 7, "{err_2}");
    assert!(err.contains("dismiss") && err_2.contains("may have been issued"), "{err} {err_2}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("may have been issued"));
    assert_eq!(home.manage(&["apply", &plan, "--yes"]).0, 7, "and again");
}

/// The consents that standard error asks for, decided as they come; with codes where it pastes.
fn consenting(
    home: &Home,
    arguments: &[&str],
    decide: impl Fn(&str) -> bool,
) -> (i32, String, String) {
    let mut child = home.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("http")
            && let Some(code) = sandbox::answer_consent(&line, decide(&line)).unwrap()
        {
            writeln!(stdin, "{code}").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    let (code, out, _) = self::said(&child.wait_with_output().unwrap());
    (code, out, said)
}

#[test]
fn without_a_terminal_the_consents_come_one_after_the_other() {
    let home = Home::new();
    let plan = home.plan(THREE);
    let refuse_b = |address: &str| !address.contains("key_label=b");
    let arguments = ["apply", &plan, "--yes", "--no-open", "--json"];
    let (code, out, err) = consenting(&home, &arguments, refuse_b);
    assert_eq!(code, 5, "{err}");
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (labels(&done, "created"), labels(&done, "failed")),
        (vec!["a".to_owned(), "c".into()], vec!["b b".into()])
    );
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("denied"), "{done}");
    assert!(err.contains("2 of 3: b b") && err.contains("3 of 3: c"), "{err}");
    // The rest, by codes that are piped.
    let (code, out, err) = consenting(&home, &["apply", &plan, "--yes", "--no-browser"], |_| true);
    assert_eq!(code, 0, "{err}");
    assert!(out.ends_with("1 created, 2 unchanged\n"), "{out}");
    assert!(!err.contains('█') && !err.contains('\u{1b}'), "no picture without a terminal: {err}");
}

#[test]
fn a_pipe_without_codes_ends_the_queue() {
    let home = Home::new();
    let (code, out, err) = home.run(&["apply", &home.plan(THREE), "--yes", "--no-browser"]);
    assert_eq!(code, 5);
    assert!(err.contains("no further code was entered"), "{err}");
    assert!(out.contains("!  c      failed: not begun"), "{out}");
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let home = Home::new();
    let keys: Vec<String> = (0..20_000).map(|n| format!("[[key]]\nlabel = \"k{n}\"")).collect();
    let plan = home.plan(keys.join("\n"));
    let mut child = home.command(&["apply", &plan, "--dry-run"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn over_ssh_the_road_is_chosen_and_said() {
    let home = Home::new();
    let ssh = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 2222").env("USER", "me");
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("http") {
                let _ = sandbox::answer_consent(&line, true);
            }
        }
        child.wait().unwrap();
        said
    };
    let said = ssh(&["new", "x"]);
    assert!(
        said.contains("no browser is available (over SSH)") && said.contains("paste the code"),
        "{said}"
    );
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let said = ssh(&["new", "x", "--callback-port", &port]);
    let tunnel = format!("\nssh -p 2222 -L {port}:127.0.0.1:{port} me@192.0.2.2\n");
    assert!(said.contains(&tunnel) && said.contains("callback_url"), "{said}");
}

#[test]
fn a_key_that_is_listed_and_not_there_vouches_for_nothing() {
    let home = Home::new();
    let key = ApiKey::from(home.sandbox.seed_keys().remove(0).secret);
    let held = StoredKey::new(
        "mine".parse().unwrap(),
        &key,
        home.sandbox.url().into(),
        "memory".into(),
        "2026-11-01T00:00:00Z".parse().unwrap(),
    );
    fs::create_dir(home.data()).unwrap();
    let list = json!({"version": 1, "keys": [held]}).to_string();
    fs::write(home.data().join("inventory.json"), list).unwrap();
    // It is on the list and not in this run's memory: then nobody vouches, and consent is asked for.
    let (code, _, err) = home.run(&["apply", &home.plan(THREE), "--yes"]);
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("paste the code"), "{err}");
}
