//! The commands run as by a user: the real binary, its output and its exit codes. No test uses the
//! keychain; tests that need a store use the memory store or a sandbox.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// An environment with an empty home directory, no desktop and no keychain.
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

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must fail with `code`, and returns its standard error.
    fn run_failing(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr_text = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr_text}");
        assert!(!stderr_text.is_empty(), "{arguments:?} printed nothing");
        stderr_text
    }
}

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

/// Runs `new` against a sandbox, and answers the consent page at the address it prints.
fn run_with_consent(home: &Home, arguments: &[&str], approve: bool) -> Output {
    let mut child = home
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut stderr_text = String::new();
    let address = loop {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no address: {stderr_text}");
        stderr_text.push_str(&line);
        if line.starts_with("http") {
            break line.trim().to_owned();
        }
    };
    let code = keywright::sandbox::answer_consent(&address, approve).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    if let Some(code) = code {
        writeln!(stdin, "{code}").unwrap();
    }
    drop(stdin);
    stderr.read_to_string(&mut stderr_text).unwrap();
    let mut output = child.wait_with_output().unwrap();
    output.stderr = stderr_text.into_bytes();
    output
}

#[test]
fn version_and_help_are_printed() {
    let home = Home::new();
    assert!(text(&home.run(&["--version"]).stdout).starts_with("keywright "));
    let help = text(&home.run(&["--help"]).stdout);
    for word in
        ["new", "list", "get", "rm", "sandbox", "--server", "KEYWRIGHT_SERVER", "Exit codes"]
    {
        assert!(help.contains(word), "{word}");
    }
    for command in ["new", "list", "show", "get", "rm", "sandbox"] {
        assert!(home.run(&[command, "--help"]).status.success(), "{command}");
    }
    assert!(!home.data().exists(), "help touches nothing");
}

#[test]
fn color_options_and_variables_apply_to_help() {
    let home = Home::new();
    let is_colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = home.command(arguments);
        text(&command.envs(variables.iter().copied()).output().unwrap().stdout).contains('\u{1b}')
    };
    assert!(!is_colored(&["--help"], &[]) && is_colored(&["--help"], &[("CLICOLOR_FORCE", "1")]));
    assert!(is_colored(&["--color", "always", "list", "--help"], &[("NO_COLOR", "1")]));
    assert!(is_colored(&["--help", "--color=always"], &[]));
    assert!(!is_colored(&["--color=never", "--help"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn wrong_usage_names_the_valid_values() {
    let home = Home::new();
    assert!(home.run_failing(2, &["lst"]).contains("list"));
    assert!(home.run_failing(2, &["new"]).contains("LABEL"));
    for (arguments, expected) in [
        (["--limit", "0"], "above zero"),
        (["--limit", "-5"], "unexpected"),
        (["--limit", "1e9"], "such as 10 or 12.50"),
        (["--limit", "12,50"], "with a point"),
        (["--limit", "0.001"], "two decimals"),
        (["--reset", "hourly"], "daily, weekly, monthly or never"),
        (["--reset", "daily"], "a reset needs a limit"),
        (["--expires", "2026-02-31"], "no such date"),
        (["--expires", "2020-01-01"], "future"),
        (["--expires", "9999-01-01"], "ten years"),
        (["--expires", "5x"], "30d"),
        (["--workspace", "mine"], "UUID"),
    ] {
        let mut all = vec!["new", "x"];
        all.extend(arguments);
        let stderr_text = home.run_failing(2, &all);
        assert!(stderr_text.contains(expected), "{arguments:?}: {stderr_text}");
    }
    for label in ["", "a\nb", "a\u{1b}[31mb", &"x".repeat(101)] {
        let stderr_text = home.run_failing(2, &["new", label]);
        assert!(stderr_text.contains("label") && !stderr_text.contains('\u{1b}'), "{stderr_text}");
    }
    assert!(!home.data().exists(), "nothing was written");
}

#[test]
fn an_unsafe_server_address_is_wrong_usage() {
    let home = Home::new();
    for server in
        ["http://example.com", "ftp://127.0.0.1", "https://me:pw@example.com", "openrouter.ai"]
    {
        let stderr_text = home.run_failing(2, &["--server", server, "list"]);
        assert!(!stderr_text.contains("pw"), "{stderr_text}");
    }
    let mut command = home.command(&["list"]);
    let output = command.env("KEYWRIGHT_SERVER", "http://example.com").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_missing_keychain_is_code_4_before_any_request() {
    let home = Home::new();
    let began = std::time::Instant::now();
    let stderr_text = home.run_failing(4, &["new", "x", "--no-open"]);
    assert!(
        stderr_text.contains("bus") && stderr_text.contains("no key was created"),
        "{stderr_text}"
    );
    assert!(!stderr_text.contains("http"), "no address was shown: {stderr_text}");
    home.run_failing(4, &["get", "x"]);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn an_empty_inventory_says_how_to_create_a_key() {
    let home = Home::new();
    assert!(text(&home.run(&["list"]).stdout).contains("keywright new LABEL"));
    assert_eq!(text(&home.run(&["list", "--json"]).stdout).trim(), "[]");
}

#[test]
fn an_unknown_label_is_code_3_and_names_a_similar_one() {
    let home = Home::new();
    let stderr_text = home.run_failing(3, &["--sandbox", "show", "laptpo"]);
    assert!(stderr_text.contains("did you mean 'laptop'"), "{stderr_text}");
    home.run_failing(3, &["--sandbox", "get", "nothing-like-it"]);
    home.run_failing(3, &["--sandbox", "rm", "nothing-like-it", "--yes"]);
    let output = home.run(&["--sandbox", "show", "laptpo", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], 3);
    assert!(error["error"]["advice"].as_str().unwrap().contains("laptop"));
}

#[test]
fn the_sandbox_starts_with_four_keys() {
    let home = Home::new();
    let output = home.run(&["--sandbox", "list", "--json"]);
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
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
    }
    let key = text(&home.run(&["--sandbox", "get", "laptop"]).stdout);
    assert!(key.starts_with("sk-or-v1-") && key.ends_with('\n') && key.lines().count() == 1);
    assert!(!home.data().exists(), "nothing of the sandbox is on disk");
}

#[test]
fn new_prints_the_key_only_with_print_key() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let base = ["--server", &sandbox.url, "--store", "memory"];
    let mut arguments = vec!["new", "a b", "--limit", "5", "--reset", "weekly", "--expires", "30d"];
    arguments.extend(["--no-open", "--json"]);
    arguments.extend(base);
    let output = run_with_consent(&home, &arguments, true);
    let stderr_text = text(&output.stderr);
    assert!(output.status.success(), "{stderr_text}");
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&key["label"], &key["limit"], &key["limit_reset"]),
        (&"a b".into(), &5.0.into(), &"weekly".into())
    );
    assert_eq!(key["differences"], Value::Array(Vec::new()));
    assert!(
        key.get("key").is_none()
            && !text(&output.stdout).contains(&key["hash"].as_str().unwrap().repeat(2))
    );
    assert!(
        stderr_text.lines().any(|line| line.starts_with(&format!("{}/auth?", sandbox.url))),
        "{stderr_text}"
    );

    arguments.extend(["--print-key"]);
    arguments[1] = "second";
    let output = run_with_consent(&home, &arguments, true);
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(key["key"].as_str().unwrap().starts_with("sk-or-v1-"));
    assert!(!text(&output.stderr).contains(key["key"].as_str().unwrap()));
}

#[test]
fn a_code_can_be_piped_without_a_browser() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments = ["--server", &sandbox.url, "--store", "memory", "new", "ssh", "--no-browser"];
    let output = run_with_consent(&home, &arguments, true);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("ssh  sk-or-v1-"));
    // The command ends when the pipe ends without a code.
    let mut arguments = arguments;
    arguments[5] = "ssh 2";
    assert!(home.run_failing(5, &arguments).contains("no code was entered"));
}

#[test]
fn a_refusal_is_code_5_in_json_too() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments =
        ["--server", &sandbox.url, "--store", "memory", "new", "x", "--no-open", "--json"];
    let output = run_with_consent(&home, &arguments, false);
    assert_eq!(output.status.code(), Some(5));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], 5);
}

#[test]
fn an_unreachable_server_is_code_6() {
    let home = Home::new();
    let sandbox = Sandbox::start(&home);
    let arguments = [
        "--server",
        &sandbox.url,
        "--store",
        "memory",
        "--retries",
        "0",
        "new",
        "x",
        "--no-browser",
    ];
    let mut child =
        home.command(&arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("http") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0);
    }
    drop(sandbox);
    writeln!(child.stdin.take().unwrap(), "a-code").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
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
    let real = home.dir.path().join("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, home.data()).unwrap();
    assert!(home.run_failing(1, &["list"]).contains("symbolic link"));
    home.run_failing(1, &["--store", "memory", "new", "x", "--no-open"]);
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let home = Home::new();
    let output = home.run(&["--sandbox"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("needs a terminal"));
    assert!(output.stdout.is_empty(), "the terminal is untouched");
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
    let home = Home { dir: home.dir };
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
