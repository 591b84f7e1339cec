//! What `--fix` repairs.

use super::*;

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
    secrets.push((entry("password"), SecretString::from("a password of another program")));
    secrets.push((entry("duplicate"), SecretString::from(ci.expose_secret())));
    let location = StoreLocation::in_memory();
    inventory::upsert_keys(&location, vec![stored_key(sandbox.url(), "lost", "sk-or-v1-lost")])
        .unwrap();
    let services = ServiceContext {
        server: sandbox.url().into(),
        profile: keywright::domain::ProfileName::default(),
        other_profiles: Vec::new(),
        key_defaults: keywright::domain::KeyDefaults::default(),
        keychain_service: "keywright/test".into(),
        management_key: None,
        secret_store: SecretStore::memory_with_entries(secrets),
        secret_store_timeout: Duration::from_secs(1),
        location,
        other_stores: Vec::new(),
        is_store_fixed: false,
        local_store: None,
        pending_attempts: PendingAttempts::default(),
        skipped_rows: keywright::services::provision::SkippedRows::default(),
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
    let unlisted = "in the keychain but not in the inventory: 'agent', 'ci', 'duplicate', 'laptop', 'notebook'";
    let foreign = (
        HealthStatus::Warn,
        "in the keychain under Keywright's service name, and not Keywright's keys: ' no label ', 'password'"
            .to_owned(),
    );
    assert_eq!(checks, [missing.clone(), (HealthStatus::Warn, unlisted.into()), foreign.clone()]);
    let labels = || -> Vec<String> {
        let keys = inventory::list_keys(&services.location, &services.server).unwrap();
        keys.iter().map(|key| key.label.to_string()).collect()
    };
    assert_eq!(labels(), ["lost"]);

    let checks = run_doctor(true).await;
    assert_eq!(checks[0], missing);
    assert!(checks[1].1.starts_with("'duplicate' was not added to the inventory: "), "{checks:?}");
    assert_eq!(
        checks[2..],
        [
            (
                HealthStatus::Ok,
                "added to the inventory: 'agent', 'ci', 'laptop', 'notebook'".into()
            ),
            foreign,
        ]
    );
    for name in [" no label ", "password"] {
        let entry = services.secret_store.get(&entry(name), Duration::from_secs(1));
        assert!(entry.is_ok(), "{name} was not deleted");
    }
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

#[test]
fn a_damaged_usage_history_is_reported_and_moved_aside_with_fix() {
    let home = Home::new();
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 0 }).unwrap();
    let arguments = ["--server", sandbox.url(), "--store", "memory", "--json"];
    for damaged in ["", "{\"keys\": [", "{\"keys\": {\"a\": {\"spent\": \"x:y\"}}}"] {
        home.write("data/samples.json", damaged);
        let (_, out, _) = home.doctor(&arguments, &[]);
        let (status, message) = &checks(&out, "usage history")[0];
        assert_eq!(status, "warn", "{damaged}: {out}");
        assert!(message.contains("samples.json is damaged"), "{message}");
        assert!(out.contains("doctor --fix to move the file aside"), "{out}");
        let (_, out, err) = home.doctor(&[&arguments[..], &["--fix"]].concat(), &[]);
        assert_eq!(checks(&out, "usage history")[0], ("ok".into(), "0 keys".into()), "{out}");
        assert!(err.contains("moved the damaged usage history to"), "{err}");
    }
}
