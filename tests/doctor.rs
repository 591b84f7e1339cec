//! `keywright doctor` as a user runs it, and its repairs: no keychain, no network, no display.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test plants keys")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::domain::{ApiKey, StoredKey};
use keywright::sandbox::{Options, Sandbox};
use keywright::services::doctor::{self, DoctorProgress, HealthStatus};
use keywright::services::provision::{PendingAttempts, ServiceContext};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A program with an empty home, no desktop and no keychain.
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

    /// Puts keys on the list, as an earlier run would have.
    fn list(&self, server: &str, keys: &[(&str, &str)]) {
        let keys: Vec<_> = keys.iter().map(|(label, key)| held(server, label, key)).collect();
        self.write("data/inventory.json", &json!({"version": 1, "keys": keys}).to_string());
    }
}

fn held(server: &str, label: &str, key: &str) -> StoredKey {
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let key = ApiKey::from(key.to_owned());
    StoredKey::new(label.parse().unwrap(), &key, server.into(), "memory".into(), at)
}

/// Status and message of the checks of that name.
fn checks(document: &str, name: &str) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(document).unwrap();
    let word = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = document["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["name"] == name)
        .map(|check| (word(check, "status"), word(check, "message")))
        .collect()
}

/// A server that answers everything with this, and remembers what it was asked.
fn server(answer: &'static str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap_or(0);
            heard.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..read]));
            let _ = write!(
                stream,
                "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    (url, asked)
}

#[test]
fn in_the_sandbox_nothing_fails_and_nothing_is_left_on_disk() {
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
            "proxy",
            "data directory",
            "list of keys",
            "attempts",
            "keychain",
            "server",
            "clock",
            "held keys",
            "keys in clear",
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
    assert!(out.contains("\nok    held keys       4 keys, each with its entry\n"), "{out}");
}

#[test]
fn a_keychain_that_fails_alone_is_code_4_and_anything_else_code_1() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let (code, out, err) = home.doctor(&["--server", sandbox.url()], &[]);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains("FAIL  keychain        there is no D-Bus session bus"), "{out}");
    assert!(err.contains("not in order: keychain\n"), "{err}");
    let (code, out, err) = home.doctor(&["--server", "http://127.0.0.1:1", "--json"], &[]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("not in order: keychain, server\n"), "{err}");
    assert_eq!(checks(&out, "server")[0].0, "fail");
}

#[test]
fn a_server_that_is_not_itself_and_a_clock_that_is_wrong_are_named() {
    let home = Home::new();
    let late = "401 Unauthorized\r\nDate: Sat, 01 Jan 2022 00:00:00 GMT";
    for (answer, name, status, words) in [
        (
            "302 Found\r\nLocation: https://login.example/",
            "server",
            "warn",
            "with 302 where 401 was due",
        ),
        ("429 Too Many Requests", "server", "warn", "slow down"),
        (late, "server", "ok", "answered in"),
        (late, "clock", "warn", "s ahead of the server's"),
        ("401 Unauthorized", "clock", "ok", "does not tell the time"),
    ] {
        let (url, _) = server(answer);
        let (code, out, _) = home.doctor(&["--store", "memory", "--json", "--server", &url], &[]);
        let check = &checks(&out, name)[0];
        assert_eq!((code, check.0.as_str()), (0, status), "{answer}: {out}");
        assert!(check.1.contains(words), "{answer}: {}", check.1);
    }
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let home = Home::new();
    let proxy = [("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1")];
    let (_, out, err) = home.doctor(&["--store", "memory", "--json"], &proxy);
    let check = &checks(&out, "proxy")[0];
    assert_eq!(check.1, "requests go through HTTPS_PROXY=http://127.0.0.1:1");
    assert!(!out.contains("hunter2") && !err.contains("hunter2"), "{out}{err}");
}

#[test]
fn keys_in_clear_are_told_apart_and_none_is_printed() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let key = |label: &str| {
        sandbox.seed_keys().into_iter().find(|seed| seed.label == label).unwrap().secret
    };
    let stranger = format!("sk-or-v1-{}", "ab12".repeat(16));
    home.list(sandbox.url(), &[("ci", &key("ci")), ("old one", &key("notebook"))]);
    home.write(".zshrc", &format!("a\nb\nexport OPENROUTER_API_KEY={}\n", key("ci")));
    home.write(".codex/auth.json", &format!("{{\"key\": \"{}\"}}", key("notebook")));
    home.write("work/a/.env", &format!("K={}\nL={stranger}\n", key("agent")));
    home.write(&format!("work/{stranger}"), sandbox.management_key());
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
    let mut told: Vec<_> = checks(&out, "keys in clear").into_iter().map(|check| check.1).collect();
    let masked = |key: &str| ApiKey::from(key.to_owned()).masked();
    let mut expected = vec![
        format!(
            "your `ci` key lies in clear in ~/.zshrc line 3; it is live ({})",
            masked(&key("ci"))
        ),
        format!(
            "your `old one` key lies in clear in ~/.codex/auth.json line 1; it does not work any more, or is switched off ({})",
            masked(&key("notebook"))
        ),
        format!(
            "your account's `agent` key lies in clear in ~/work/a/.env line 1; it is live ({})",
            masked(&key("agent"))
        ),
        format!(
            "a key that is not held here lies in clear in ~/work/a/.env line 2; whether it is live was not asked ({})",
            masked(&stranger)
        ),
        format!(
            "your management key lies in clear in ~/work/{} line 1; it is live ({})",
            masked(&stranger),
            masked(sandbox.management_key())
        ),
        "on 5 lines in 4 files looked through".into(),
    ];
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    for whole in [&key("ci"), &key("notebook"), &key("agent"), &stranger] {
        assert!(!out.contains(whole.as_str()) && !err.contains(whole.as_str()));
    }
    assert!(!out.contains(sandbox.management_key()));
    let document: Value = serde_json::from_str(&out).unwrap();
    let found = document["checks"].as_array().unwrap().iter().find(|check| check["label"] == "ci");
    let found = found.unwrap();
    assert_eq!((&found["line"], &found["live"]), (&json!(3), &json!(true)));
    assert!(found["path"].as_str().unwrap().ends_with("/.zshrc"));
    assert!(found["advice"].as_str().unwrap().starts_with("keywright rotate ci puts"));
}

#[test]
fn a_strangers_key_is_shown_to_no_server() {
    let home = Home::new();
    let (url, asked) = server("401 Unauthorized");
    let (mine, stranger) = ("ab12".repeat(16), "cd34".repeat(16));
    home.list(&url, &[("mine", &format!("sk-or-v1-{mine}"))]);
    home.write(".env", &format!("A=sk-or-v1-{mine}\nB=sk-or-v1-{stranger}\n"));
    home.doctor(&["--store", "memory", "--server", &url], &[]);
    let asked = asked.lock().unwrap();
    assert!(asked.contains(&mine) && !asked.contains(&stranger), "{asked}");
}

#[test]
fn a_directory_that_is_not_there_fails_by_name() {
    let home = Home::new();
    let (code, out, _) = home.doctor(&["--sandbox", "--search", "/no/such", "--json"], &[]);
    assert_eq!(code, 1);
    assert_eq!(
        checks(&out, "keys in clear"),
        [("fail".into(), "/no/such cannot be looked through: entity not found".into())]
    );
}

#[cfg(unix)]
#[test]
fn a_damaged_list_and_open_files_are_repaired_only_when_told_to() {
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
    assert_eq!(checks(&out, "list of keys")[0].0, "fail");
    assert_eq!((mode(&data), fs::read_to_string(&file).unwrap().as_str()), (0o755, "{\"keys\": ["));

    let (code, out, err) = home.doctor(&[&arguments[..], &["--fix"]].concat(), &[]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(checks(&out, "data directory")[0].0, "ok");
    assert_eq!(checks(&out, "list of keys")[0].1, format!("0 keys for {}", sandbox.url()));
    assert!(err.contains("moved aside"), "{err}");
    let aside = data.join("inventory.json.broken");
    assert_eq!(fs::read_to_string(&aside).unwrap(), "{\"keys\": [");
    assert_eq!((mode(&data), mode(&aside)), (0o700, 0o600));
}

#[cfg(unix)]
#[test]
fn a_directory_that_holds_more_than_ours_is_not_closed() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.write("data/inventory.json", "");
    home.write("data/somebody's", "");
    let mode =
        |name: &str| fs::metadata(home.0.path().join(name)).unwrap().permissions().mode() & 0o777;
    for (name, mode) in
        [("data", 0o755), ("data/inventory.json", 0o644), ("data/somebody's", 0o644)]
    {
        fs::set_permissions(home.0.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (_, out, _) = home.doctor(&["--store", "memory", "--fix", "--json"], &[]);
    assert!(
        checks(&out, "data directory")[0]
            .1
            .ends_with("others could use inventory.json, and now cannot")
    );
    assert_eq!(
        (mode("data"), mode("data/inventory.json"), mode("data/somebody's")),
        (0o755, 0o600, 0o644)
    );
}

#[tokio::test]
async fn a_lost_list_is_made_anew_from_the_keychain() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap();
    let slot =
        |account: &str| EntryId { service: "keywright/test".into(), account: account.into() };
    let mut secrets: Vec<_> = sandbox
        .seed_keys()
        .into_iter()
        .map(|seed| (slot(&seed.label), SecretString::from(seed.secret)))
        .collect();
    let ci = ApiKey::from(
        secrets.iter().find(|(slot, _)| slot.account == "ci").unwrap().1.expose_secret().to_owned(),
    );
    secrets.push((slot(" no label "), SecretString::from("x")));
    secrets.push((slot("twin"), SecretString::from(ci.expose_secret())));
    let place = StoreLocation::in_memory();
    inventory::upsert_keys(&place, vec![held(sandbox.url(), "lost", "sk-or-v1-lost")]).unwrap();
    let services = ServiceContext {
        server: sandbox.url().into(),
        keychain_service: "keywright/test".into(),
        management_key: None,
        secret_store: SecretStore::memory_with_entries(secrets),
        secret_store_timeout: Duration::from_secs(1),
        location: place,
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
    let examined = async |fix| {
        let options = doctor::Options { fix, extra_paths: Vec::new() };
        let mut told = Vec::new();
        doctor::run_checks(&services, &options, &mut |news| {
            if let DoctorProgress::CheckFinished(check) = news
                && check.name == "held keys"
            {
                told.push((check.status, check.message));
            }
        })
        .await;
        told
    };
    let missing = (HealthStatus::Fail, "on the list, and not in the keychain: 'lost'".to_owned());
    let told = examined(false).await;
    let unlisted = "in the keychain, and not on the list: ' no label ', 'agent', 'ci', 'laptop', 'notebook', 'twin'";
    assert_eq!(told, [missing.clone(), (HealthStatus::Warn, unlisted.into())]);
    let labels = || -> Vec<String> {
        let keys = inventory::list_keys(&services.location, &services.server).unwrap();
        keys.iter().map(|held| held.label.to_string()).collect()
    };
    assert_eq!(labels(), ["lost"]);

    let told = examined(true).await;
    assert_eq!(told[0], missing);
    assert!(told[1].1.starts_with("' no label ' is not on the list: this is no label"), "{told:?}");
    assert_eq!(told[2].1, "'twin' is not on the list: a key with the label ci is already stored");
    assert_eq!(
        told[3],
        (HealthStatus::Ok, "put back on the list: 'agent', 'ci', 'laptop', 'notebook'".into())
    );
    assert_eq!(labels(), ["lost", "agent", "ci", "laptop", "notebook"]);
    let back = inventory::find_key(&services.location, &services.server, "ci").unwrap().unwrap();
    assert_eq!((back.hash.clone(), back.masked.clone()), (ci.hash(), ci.masked()));
    assert!(back.info.is_some() && back.differing_fields().is_empty(), "it was asked about itself");
    let off =
        inventory::find_key(&services.location, &services.server, "notebook").unwrap().unwrap();
    assert!(off.rejected_at.is_some(), "switched off, and still on the list");
}
