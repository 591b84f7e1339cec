//! The commands run as by a user: the real binary, its output and its exit codes. No test uses the
//! keychain; tests that need a store use the memory store or a sandbox.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;
#[path = "cli/new.rs"]
mod new;
#[path = "cli/usage.rs"]
mod usage;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use home::Home;
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A `keywright sandbox` process that ends with the test.
struct Sandbox {
    child: Child,
    url: String,
    management_key: String,
}

impl Sandbox {
    fn start(home: &Home) -> Self {
        let mut child = home.command(&["sandbox"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |prefix: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let url = after("listening on ");
        let management_key = after("management key: ");
        Self { child, url, management_key }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_empty_inventory_says_how_to_create_a_key() {
    let home = Home::new();
    assert!(text(&home.output(&["list"]).stdout).contains("keywright new LABEL"));
    assert_eq!(text(&home.output(&["list", "--json"]).stdout).trim(), "[]");
}

#[test]
fn an_unknown_label_is_code_3_and_names_a_similar_one() {
    let home = Home::new();
    let stderr_text = home.run_failing(3, &["--sandbox", "show", "laptpo"]);
    assert!(stderr_text.contains("did you mean 'laptop'"), "{stderr_text}");
    home.run_failing(3, &["--sandbox", "get", "nothing-like-it"]);
    home.run_failing(3, &["--sandbox", "rm", "nothing-like-it", "--yes"]);
    let output = home.output(&["--sandbox", "show", "laptpo", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], 3);
    assert!(error["error"]["advice"].as_str().unwrap().contains("laptop"));
}

#[test]
fn the_sandbox_starts_with_four_keys() {
    let home = Home::new();
    let output = home.output(&["--sandbox", "list", "--json"]);
    let keys: Value = serde_json::from_slice(&output.stdout).unwrap();
    let labels: Vec<_> =
        keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["laptop", "ci", "notebook", "agent"]);
    for key in keys.as_array().unwrap() {
        assert_eq!(key["differences"], Value::Array(Vec::new()));
        let mut fields: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        let mut expected = [
            "label",
            "hash",
            "masked",
            "server",
            "store",
            "created_at",
            "created_by",
            "requested",
            "granted",
            "differences",
            "state",
            "disabled",
            "limit",
            "limit_remaining",
            "limit_reset",
            "next_reset_at",
            "expires_at",
            "usage",
            "usage_daily",
            "usage_weekly",
            "usage_monthly",
            "checked_at",
            "allowed_data_regions",
            "budgets",
            "dormant",
            "effective_budget",
            "guardrail",
            "last_used_at",
            "leaked",
            "other_account",
            "remaining",
            "secret_loss",
            "unrecognized",
            "user_id",
            "workspace_id",
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
    }
    let key = text(&home.output(&["--sandbox", "get", "laptop"]).stdout);
    assert!(key.starts_with("sk-or-v1-") && key.ends_with('\n') && key.lines().count() == 1);
    assert!(!home.data().exists(), "nothing of the sandbox is on disk");
}

#[test]
fn a_damaged_or_newer_inventory_is_reported_and_not_changed() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    let file = home.data().join("inventory.json");
    for (content, expected) in
        [("{\"keys\": [", "damaged at line 1"), ("{\"version\": 99}", "newer")]
    {
        fs::write(&file, content).unwrap();
        assert!(home.run_failing(1, &["list"]).contains(expected));
        home.run_failing(1, &["--store", "memory", "new", "x", "--no-open"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
}

#[cfg(unix)]
#[test]
fn a_data_directory_that_is_a_link_is_rejected() {
    let home = Home::new();
    let real = home.path().join("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, home.data()).unwrap();
    assert!(home.run_failing(1, &["list"]).contains("symbolic link"));
    home.run_failing(1, &["--store", "memory", "new", "x", "--no-open"]);
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

#[test]
fn the_sandbox_prints_its_address_and_management_key() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    assert!(sandbox.url.starts_with("http://127.0.0.1:"));
    assert!(sandbox.management_key.starts_with("sk-or-v1-"));
}

#[test]
fn the_log_contains_no_secret() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments = [
        "--server",
        &sandbox.url,
        "--store",
        "memory",
        "new",
        "x",
        "--no-open",
        "--json",
        "--print-key",
    ];
    let mut command = home.command(&arguments);
    command.env("KEYWRIGHT_LOG", "trace").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("http") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    keywright::sandbox::answer_consent(line.trim(), true).unwrap();
    let output = child.wait_with_output().unwrap();
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nonce = line.split("state=").nth(1).unwrap().trim().to_owned();
    let log = fs::read_to_string(home.data().join("keywright.log")).unwrap();
    assert!(log.contains("started"), "{log}");
    for file in files(&home.data()) {
        let content = fs::read_to_string(&file).unwrap();
        assert!(!content.contains(key["key"].as_str().unwrap()), "{}", file.display());
        assert!(!content.contains(&nonce), "{}", file.display());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn negative_limits_and_words_for_dates_say_what_is_accepted() {
    let home = Home::new();
    for (option, value, message) in [
        ("--limit", "-5", "--limit: a limit is above zero"),
        ("--limit", "-0.00", "--limit: a limit is above zero"),
        ("--expires", "yesterday", "--expires: an expiry is 30d, 12h"),
        ("--expires", "-30d", "--expires: an expiry must be in the future"),
    ] {
        let mut command = home.command(&["new", "x", option, value]);
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{value}: {err}");
        assert!(err.contains(message), "{value}: {err}");
    }
}
