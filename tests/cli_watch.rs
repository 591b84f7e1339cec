//! `keywright status` and `keywright watch`, run as the real binary against the sandbox.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_keywright"))
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn status_is_one_line_or_a_document() {
    let short = run(&["--sandbox", "status", "--short"], &[]);
    assert_eq!(stdout(&short), "4 keys, 1 low, 1 expiring\n");
    assert!(short.status.success());
    let document: Value =
        serde_json::from_slice(&run(&["--sandbox", "status", "--json"], &[]).stdout).unwrap();
    assert_eq!(
        document["keys"],
        serde_json::json!({"active": 1, "low": 1, "expiring": 1, "disabled": 1})
    );
    assert_eq!(document["attention"][0]["label"], "ci");
    assert!(document["checked_at"].is_string());
    assert_eq!(stdout(&run(&["status", "--short"], &[])), "no keys\n");
}

#[test]
fn watch_reports_each_key_that_needs_attention_and_says_so_with_its_exit_code() {
    let watch = run(&["--sandbox", "watch", "--once", "--json", "--below", "50%"], &[]);
    let events: Vec<Value> =
        stdout(&watch).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let field = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let found: Vec<_> =
        events.iter().map(|event| (field(event, "label"), field(event, "event"))).collect();
    assert!(found.contains(&("ci".into(), "low".into())), "{found:?}");
    assert!(found.contains(&("agent".into(), "expiring".into())), "{found:?}");
    assert!(events.iter().all(|event| event["at"].is_string() && event["detail"].is_string()));
    assert_eq!(watch.status.code(), Some(1));
    let quiet = run(&["--sandbox", "watch", "--once", "--below", "0.01", "--expiring", "1h"], &[]);
    assert_eq!((quiet.status.code(), stdout(&quiet)), (Some(0), String::new()));
}

#[cfg(unix)]
#[test]
fn the_command_of_watch_gets_the_facts_and_no_secret() {
    let arguments = [
        "--sandbox",
        "watch",
        "--once",
        "--exec",
        "echo \"$KEYWRIGHT_LABEL|$KEYWRIGHT_EVENT|$KEYWRIGHT_STATE|$OPENROUTER_MANAGEMENT_KEY|\" >&2; env | grep sk-or- >&2",
    ];
    let management = format!("sk-or-v1-{}", "ab".repeat(32));
    let output = run(&arguments, &[("OPENROUTER_MANAGEMENT_KEY", &management)]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("ci|low|low||\n"), "{printed}");
    assert!(!printed.contains("sk-or-"), "{printed}");
}
