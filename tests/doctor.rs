//! Runs `keywright doctor` and its repairs, without a keychain, a network or a display.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test plants keys")]

#[path = "support/home.rs"]
mod home;
#[path = "doctor/plaintext_keys.rs"]
mod plaintext_keys;
#[path = "doctor/repair.rs"]
mod repair;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::domain::{ApiKey, StoreKind, StoredKey};
use keywright::sandbox::{Options, Sandbox};
use keywright::services::doctor::{self, DoctorProgress, HealthStatus};
use keywright::services::provision::{PendingAttempts, ServiceContext};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A home directory in which no desktop and no keychain are available.
struct Home(home::Home);

impl Home {
    fn new() -> Self {
        Self(home::Home::new())
    }

    fn doctor(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
        self.keywright("doctor", arguments, environment)
    }

    fn keywright(
        &self,
        command: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> (i32, String, String) {
        let mut program = self.0.command(&[&[command], arguments].concat());
        home::run(program.envs(environment.iter().copied()))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes an inventory with these keys.
    fn write_inventory(&self, server: &str, keys: &[(&str, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(label, key)| stored_key(server, label, key)).collect();
        self.0.add_to_inventory(&keys);
    }
}

fn stored_key(server: &str, label: &str, key: &str) -> StoredKey {
    home::stored_key(server, label, key, StoreKind::Memory)
}

/// Returns status and message of the checks with this name.
fn checks(document: &str, name: &str) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(document).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = document["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["name"] == name)
        .map(|check| (text(check, "status"), text(check, "message")))
        .collect()
}

/// Starts a server that sends the same response to every request and records the requests.
fn start_server(response: &'static str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(String::new()));
    let recorded = Arc::clone(&requests);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            recorded.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..read]));
            let _ = write!(
                stream,
                "HTTP/1.1 {response}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    (url, requests)
}

#[test]
fn all_checks_pass_in_the_sandbox_and_write_nothing_to_disk() {
    let home = Home::new();
    let (code, out, err) = home.doctor(&["--sandbox", "--json"], &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "versions",
            "terminal",
            "browser",
            "clipboard",
            "data directory",
            "inventory",
            "usage history",
            "attempts",
            "keychain",
            "proxy",
            "server",
            "clock",
            "stored keys",
            "plaintext keys",
        ]
    );
    for check in checks {
        let fields: Vec<_> = check.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["advice", "message", "name", "status"]);
        assert_ne!(check["status"], "fail", "{check}");
    }
    assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 0);

    let (code, out, err) = home.doctor(&["--sandbox"], &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\nok    stored keys     4 keys, each with a keychain entry\n"), "{out}");
}

/// As after a request that something on the way to the server repeated.
#[test]
fn a_key_with_the_name_of_an_attempt_that_is_not_known_here_is_named() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 0 }).unwrap();
    let management = [("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key())];
    let name = "k0 [kw:7639676b79627668753041564f5a5577]";
    let options = ["--store", "memory", "--server", sandbox.url(), "--json"];
    for label in [name, "ci", "a [kw:b"] {
        let (code, _, err) =
            elsewhere.keywright("new", &[&[label][..], &options].concat(), &management);
        assert_eq!(code, 0, "{err}");
    }
    let (_, out, _) = home.doctor(&options, &management);
    let message =
        format!("'{name}' has the name of a creation that did not finish, and is not stored here");
    assert_eq!(checks(&out, "account keys"), [("warn".into(), message)]);
    let (_, out, _) = home.doctor(&options, &[]);
    assert_eq!(checks(&out, "account keys"), []);
    let (_, out, _) = elsewhere.doctor(&options, &management);
    assert_eq!(checks(&out, "account keys"), []);
}

/// Other systems always have a keychain.
#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn exit_code_is_4_if_only_the_keychain_fails_and_1_otherwise() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let (code, out, err) = home.doctor(&["--server", sandbox.url()], &[]);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains("FAIL  keychain        the D-Bus session bus that DBUS_SESSION_BUS_ADDRESS names does not answer"), "{out}");
    assert!(err.contains("1 check failed: keychain\n"), "{err}");
    let (code, out, err) = home.doctor(&["--server", "http://127.0.0.1:1", "--json"], &[]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("2 checks failed: keychain, server\n"), "{err}");
    assert_eq!(checks(&out, "server")[0].0, "fail");
}

#[test]
fn unexpected_responses_and_a_wrong_clock_are_reported() {
    let home = Home::new();
    let late = "401 Unauthorized\r\nDate: Sat, 01 Jan 2022 00:00:00 GMT";
    for (response, name, status, message) in [
        (
            "302 Found\r\nLocation: https://login.example/",
            "server",
            "warn",
            "with status 302 instead of 401",
        ),
        ("429 Too Many Requests", "server", "warn", "too many requests"),
        (late, "server", "ok", "answered in"),
        (late, "clock", "warn", "s ahead of the server's"),
        ("401 Unauthorized", "clock", "ok", "sent no date"),
    ] {
        let (url, _) = start_server(response);
        let (code, out, _) = home.doctor(&["--store", "memory", "--json", "--server", &url], &[]);
        let check = &checks(&out, name)[0];
        assert_eq!((code, check.0.as_str()), (0, status), "{response}: {out}");
        assert!(check.1.contains(message), "{response}: {}", check.1);
    }
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let home = Home::new();
    let proxy = [("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1")];
    let (_, out, err) = home.doctor(&["--store", "memory", "--json"], &proxy);
    let check = &checks(&out, "proxy")[0];
    let shown =
        "the proxy http://127.0.0.1:1 (HTTPS_PROXY) could not be reached (connection refused)";
    assert_eq!(check.1, shown);
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}
