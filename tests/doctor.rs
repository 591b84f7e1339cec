//! Runs `keywright doctor` and its repairs, without a keychain, a network or a display.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test plants keys")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
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
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn doctor(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_keywright"))
            .arg("doctor")
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .env("KEYWRIGHT_DATA_DIR", self.0.path().join("data"))
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("XDG_RUNTIME_DIR", self.0.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes an inventory with these keys.
    fn write_inventory(&self, server: &str, keys: &[(&str, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(label, key)| stored_key(server, label, key)).collect();
        self.write("data/inventory.json", &json!({"version": 1, "keys": keys}).to_string());
    }
}

fn stored_key(server: &str, label: &str, key: &str) -> StoredKey {
    let created_at = "2026-11-01T00:00:00Z".parse().unwrap();
    let key = ApiKey::from(key.to_owned());
    StoredKey::new(label.parse().unwrap(), &key, server.into(), StoreKind::Memory, created_at)
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
        "the proxy http://127.0.0.1:1 (HTTPS_PROXY) could not be reached (Connection refused";
    assert!(check.1.starts_with(shown), "{check:?}");
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}

#[test]
fn plaintext_keys_are_reported_with_their_owner_and_only_masked() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let key = |label: &str| {
        sandbox.seed_keys().into_iter().find(|seed| seed.label == label).unwrap().secret
    };
    let unknown = format!("sk-or-v1-{}", "ab12".repeat(16));
    home.write_inventory(sandbox.url(), &[("ci", &key("ci")), ("old one", &key("notebook"))]);
    home.write(".zshrc", &format!("a\nb\nexport OPENROUTER_API_KEY={}\n", key("ci")));
    home.write(".codex/auth.json", &format!("{{\"key\": \"{}\"}}", key("notebook")));
    home.write("work/a/.env", &format!("K={}\nL={unknown}\n", key("agent")));
    home.write(&format!("work/{unknown}"), sandbox.management_key());
    let management = [("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key())];
    let work = home.0.path().join("work");
    let arguments = [
        "--store",
        "memory",
        "--server",
        sandbox.url(),
        "--json",
        "--search",
        work.to_str().unwrap(),
    ];
    let (_, out, err) = home.doctor(&arguments, &management);
    let mut messages: Vec<_> =
        checks(&out, "plaintext keys").into_iter().map(|check| check.1).collect();
    let masked = |key: &str| ApiKey::from(key.to_owned()).masked();
    let mut expected = vec![
        format!(
            "your `ci` key is in plaintext in ~/.zshrc line 3; it is live ({})",
            masked(&key("ci"))
        ),
        format!(
            "your `old one` key is in plaintext in ~/.codex/auth.json line 1; it no longer works or is disabled ({})",
            masked(&key("notebook"))
        ),
        format!(
            "your account's `agent` key is in plaintext in ~/work/a/.env line 1; it is live ({})",
            masked(&key("agent"))
        ),
        format!(
            "a key that is not stored here is in plaintext in ~/work/a/.env line 2; not checked at the server ({})",
            masked(&unknown)
        ),
        format!(
            "your management key is in plaintext in ~/work/{} line 1; it is live ({})",
            masked(&unknown),
            masked(sandbox.management_key())
        ),
        "on 5 lines in 4 files scanned".into(),
    ];
    messages.sort();
    expected.sort();
    assert_eq!(messages, expected);
    for whole in [&key("ci"), &key("notebook"), &key("agent"), &unknown] {
        assert!(!out.contains(whole.as_str()) && !err.contains(whole.as_str()));
    }
    assert!(!out.contains(sandbox.management_key()));
    let document: Value = serde_json::from_str(&out).unwrap();
    let found = document["checks"].as_array().unwrap().iter().find(|check| check["label"] == "ci");
    let found = found.unwrap();
    assert_eq!((&found["line"], &found["live"]), (&json!(3), &json!(true)));
    assert!(found["path"].as_str().unwrap().ends_with("/.zshrc"));
    assert!(found["advice"].as_str().unwrap().starts_with("run keywright rotate ci to replace"));
}

#[test]
fn an_unknown_key_is_not_sent_to_the_server() {
    let home = Home::new();
    let (url, requests) = start_server("401 Unauthorized");
    let (mine, unknown) = ("ab12".repeat(16), "cd34".repeat(16));
    home.write_inventory(&url, &[("mine", &format!("sk-or-v1-{mine}"))]);
    home.write(".env", &format!("A=sk-or-v1-{mine}\nB=sk-or-v1-{unknown}\n"));
    home.doctor(&["--store", "memory", "--server", &url], &[]);
    let requests = requests.lock().unwrap();
    assert!(requests.contains(&mine) && !requests.contains(&unknown), "{requests}");
}

#[test]
fn a_missing_search_directory_fails_with_its_path() {
    let home = Home::new();
    let (code, out, _) = home.doctor(&["--sandbox", "--search", "/no/such", "--json"], &[]);
    assert_eq!(code, 1);
    assert_eq!(
        checks(&out, "plaintext keys"),
        [("fail".into(), "cannot scan /no/such: no such file or directory".into())]
    );
}

#[cfg(unix)]
#[test]
fn a_damaged_inventory_and_file_modes_are_repaired_only_with_fix() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.write("data/inventory.json", "{\"keys\": [");
    let (data, file) = (home.0.path().join("data"), home.0.path().join("data/inventory.json"));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let arguments = ["--store", "memory", "--server", sandbox.url(), "--json"];
    let (code, out, _) = home.doctor(&arguments, &[]);
    assert_eq!(code, 1);
    assert_eq!(checks(&out, "data directory")[0].0, "warn");
    assert_eq!(checks(&out, "inventory")[0].0, "fail");
    assert_eq!((mode(&data), fs::read_to_string(&file).unwrap().as_str()), (0o755, "{\"keys\": ["));

    let (code, out, err) = home.doctor(&[&arguments[..], &["--fix"]].concat(), &[]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(checks(&out, "data directory")[0].0, "ok");
    assert_eq!(checks(&out, "inventory")[0].1, format!("0 keys for {}", sandbox.url()));
    assert!(err.contains("moved the damaged inventory to"), "{err}");
    let aside = data.join("inventory.json.broken");
    assert_eq!(fs::read_to_string(&aside).unwrap(), "{\"keys\": [");
    assert_eq!((mode(&data), mode(&aside)), (0o700, 0o600));
}

#[test]
fn fix_keeps_earlier_damaged_inventories_and_reports_only_moves_that_happened() {
    let home = Home::new();
    home.write("data/inventory.json.broken", "earlier");
    home.write("data/inventory.json", "{\"keys\": [");
    let read = |name: &str| fs::read_to_string(home.0.path().join("data").join(name)).unwrap();
    let arguments = ["--store", "memory", "--server", "http://127.0.0.1:1", "--json", "--fix"];
    let (_, out, err) = home.doctor(&arguments, &[]);
    assert_eq!(checks(&out, "inventory")[0].0, "ok", "{out}");
    assert!(err.contains("inventory.json.broken-2; it is rebuilt"), "{err}");
    assert_eq!(read("inventory.json.broken"), "earlier");
    assert_eq!(read("inventory.json.broken-2"), "{\"keys\": [");

    for copy in 3..100 {
        home.write(&format!("data/inventory.json.broken-{copy}"), "");
    }
    home.write("data/inventory.json", "{\"keys\": 1");
    let (code, out, err) = home.doctor(&arguments, &[]);
    let check = &checks(&out, "inventory")[0];
    assert_eq!((code, check.0.as_str()), (1, "fail"), "{out}");
    assert!(check.1.ends_with(", and could not be moved aside: entity already exists"), "{out}");
    assert!(!err.contains("moved"), "{err}");
    assert_eq!(read("inventory.json"), "{\"keys\": 1");
}

#[cfg(unix)]
#[test]
fn a_directory_that_also_holds_other_files_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.write("data/inventory.json", "{}");
    home.write("data/other", "");
    let mode =
        |name: &str| fs::metadata(home.0.path().join(name)).unwrap().permissions().mode() & 0o777;
    for (name, mode) in [("data", 0o755), ("data/inventory.json", 0o644), ("data/other", 0o644)] {
        fs::set_permissions(home.0.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (_, out, _) = home.doctor(&["--store", "memory", "--fix", "--json"], &[]);
    assert!(
        checks(&out, "data directory")[0]
            .1
            .ends_with("removed the access of other users to inventory.json")
    );
    assert_eq!(
        (mode("data"), mode("data/inventory.json"), mode("data/other")),
        (0o755, 0o600, 0o644)
    );
}

#[tokio::test]
async fn missing_inventory_entries_are_restored_from_the_keychain() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let entry =
        |account: &str| EntryId { service: "keywright/test".into(), account: account.into() };
    let mut secrets: Vec<_> = sandbox
        .seed_keys()
        .into_iter()
        .map(|seed| (entry(&seed.label), SecretString::from(seed.secret)))
        .collect();
    let ci = ApiKey::from(
        secrets
            .iter()
            .find(|(entry, _)| entry.account == "ci")
            .unwrap()
            .1
            .expose_secret()
            .to_owned(),
    );
    secrets.push((entry(" no label "), SecretString::from("x")));
    secrets.push((entry("duplicate"), SecretString::from(ci.expose_secret())));
    let location = StoreLocation::in_memory();
    inventory::upsert_keys(&location, vec![stored_key(sandbox.url(), "lost", "sk-or-v1-lost")])
        .unwrap();
    let services = ServiceContext {
        server: sandbox.url().into(),
        keychain_service: "keywright/test".into(),
        management_key: None,
        secret_store: SecretStore::memory_with_entries(secrets),
        secret_store_timeout: Duration::from_secs(1),
        location,
        pending_attempts: PendingAttempts::default(),
        attribution: Attribution {
            url: "https://example.com".into(),
            title: "Keywright".into(),
            categories: "cli-agent".into(),
        },
        request_timeout: Duration::from_secs(5),
        max_retries: 0,
        callback_port: 0,
        open_browser: |_| Ok(()),
    };
    let run_doctor = async |fix| {
        let options = doctor::Options { fix, extra_paths: Vec::new() };
        let mut checks = Vec::new();
        doctor::run_checks(&services, &options, &mut |progress| {
            if let DoctorProgress::CheckFinished(check) = progress
                && check.name == "stored keys"
            {
                checks.push((check.status, check.message));
            }
        })
        .await;
        checks
    };
    let missing =
        (HealthStatus::Fail, "in the inventory but not in the keychain: 'lost'".to_owned());
    let checks = run_doctor(false).await;
    let unlisted = "in the keychain but not in the inventory: ' no label ', 'agent', 'ci', 'duplicate', 'laptop', 'notebook'";
    assert_eq!(checks, [missing.clone(), (HealthStatus::Warn, unlisted.into())]);
    let labels = || -> Vec<String> {
        let keys = inventory::list_keys(&services.location, &services.server).unwrap();
        keys.iter().map(|key| key.label.to_string()).collect()
    };
    assert_eq!(labels(), ["lost"]);

    let checks = run_doctor(true).await;
    assert_eq!(checks[0], missing);
    assert!(
        checks[1]
            .1
            .starts_with("' no label ' was not added to the inventory: this is not a valid label"),
        "{checks:?}"
    );
    assert!(checks[2].1.starts_with("'duplicate' was not added to the inventory: "), "{checks:?}");
    assert_eq!(
        checks[3],
        (HealthStatus::Ok, "added to the inventory: 'agent', 'ci', 'laptop', 'notebook'".into())
    );
    assert_eq!(labels(), ["lost", "agent", "ci", "laptop", "notebook"]);
    let restored =
        inventory::find_key(&services.location, &services.server, "ci").unwrap().unwrap();
    assert_eq!((restored.hash.clone(), restored.masked.clone()), (ci.hash(), ci.masked()));
    assert!(
        restored.info.is_some() && restored.differing_fields().is_empty(),
        "checked at the server"
    );
    let disabled =
        inventory::find_key(&services.location, &services.server, "notebook").unwrap().unwrap();
    assert!(disabled.rejected_at.is_some(), "disabled, and in the inventory");
}
