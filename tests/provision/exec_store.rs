//! Keys that a credential helper stores: what only this machine needs stays on it.

use keywright::domain::{StoreKind, StoredKey};
use keywright::storage::journal;

use super::*;
use crate::helper::write_helper;

/// Returns a context with a helper in `dir` and the store of this machine.
fn helper_services(
    server: &str,
    dir: &std::path::Path,
    fault: &str,
) -> (ServiceContext, SecretStore) {
    let StoreKind::Exec(program) = write_helper(dir, fault) else { unreachable!() };
    let local = SecretStore::memory_with_entries(Vec::new());
    let services = ServiceContext {
        secret_store: SecretStore::exec(program),
        local_store: Some(local.clone()),
        location: StoreLocation::Directory(dir.join("data")),
        open_browser: approve,
        request_timeout: Duration::from_secs(20),
        ..services(server)
    };
    (services, local)
}

fn entries_of(dir: &std::path::Path) -> String {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let entries = files.filter(|path| path.is_file() && !path.ends_with("helper"));
    entries.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_helper_stores_the_key_and_nothing_else() {
    let (sandbox, dir) = (sandbox(), tempfile::tempdir().unwrap());
    let (services, local) = helper_services(
        sandbox.url(),
        dir.path(),
        r#"cat "$dir"/[0-9]* >>"$dir/seen" 2>/dev/null"#,
    );
    let (outcome, _) = provision_key(&request("ci"), AuthMethod::Browser, &services);
    let ProvisioningOutcome::Stored { stored_key, key, warning: None } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(stored_key.is_in_store(&services.secret_store.kind()));
    let entries = entries_of(dir.path());
    assert!(
        entries.contains("https://openrouter.ai/keywright/test/ci")
            && entries.contains(key.expose_secret()),
        "{entries}"
    );
    assert!(!entries.contains("code_verifier") && !entries.contains("attempts"), "{entries}");
    assert!(local.get(&services.entry_id("ci"), TIMEOUT).is_err());
    assert_eq!(local.list_accounts("keywright-attempts", TIMEOUT), Ok(vec![]));
    assert_eq!(journal::list_all_attempts(&services.location).unwrap(), []);
}

#[test]
fn a_helper_that_cannot_store_stops_the_attempt_before_the_browser() {
    for fault in ["exit 1", r#"[ "$1" = store ] && exit 1"#, r#"[ "$1" = erase ] && exit"#] {
        let (sandbox, dir) = (sandbox(), tempfile::tempdir().unwrap());
        let (services, _) = helper_services(sandbox.url(), dir.path(), fault);
        let services = ServiceContext { open_browser: |_| panic!("opened"), ..services };
        let (outcome, _) = provision_key(&request("ci"), AuthMethod::Browser, &services);
        let ProvisioningOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
        assert!(error.message.contains("credential helper"), "{error:?}");
        assert_eq!(journal::list_all_attempts(&services.location).unwrap(), []);
    }
}

#[test]
fn a_received_key_that_the_helper_refuses_is_not_lost() {
    let (sandbox, dir) = (sandbox(), tempfile::tempdir().unwrap());
    // The first entry is a probe, before the browser opens.
    let fault = r#"[ "$1" = store ] && { echo >>"$dir/count"; [ "$(wc -l <"$dir/count")" -gt 1 ] && { echo 'disk full' >&2; exit 1; }; }"#;
    let (services, local) = helper_services(sandbox.url(), dir.path(), fault);
    let (outcome, _) = provision_key(&request("ci"), AuthMethod::Browser, &services);
    let ProvisioningOutcome::Stored { stored_key, key, warning: Some(warning) } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(warning.message.contains("disk full"), "{warning:?}");
    assert!(!warning.message.contains(key.expose_secret()));
    assert!(stored_key.is_in_store(&StoreKind::Memory));
    assert!(local.get(&services.entry_id("ci"), TIMEOUT).is_ok());
    // The helper works again.
    write_helper(dir.path(), "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (moved, errors) = runtime.block_on(provision::move_waiting_keys(&services)).unwrap();
    assert!(errors.is_empty() && moved[0].is_in_store(&services.secret_store.kind()), "{errors:?}");
    assert!(local.get(&services.entry_id("ci"), TIMEOUT).is_err());
    let saved = services.secret_store.get(&services.entry_id("ci"), TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), key.expose_secret());
}

#[test]
fn an_interrupted_attempt_is_recovered_into_the_store_of_the_helper() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(vec![Reply::Silence, Reply::key("sk-or-v1-recovered")]);
    let (mut services, local) = helper_services(&server.url, dir.path(), "");
    services.open_browser = server::send_code_to_callback;
    let runtime = recovery::interrupt(&services, &server);
    assert_eq!(local.list_accounts("keywright-attempts", TIMEOUT).unwrap().len(), 1);
    // The next run has another default store, and may use all others.
    let next =
        ServiceContext { secret_store: local.clone(), local_store: None, ..services.clone() };
    let fixed = ServiceContext { is_store_fixed: true, ..next.clone() };
    let recovered = runtime.block_on(provision::recover_attempts(&fixed)).unwrap();
    assert_eq!((recovered.stored.len(), server.exchange_count()), (0, 1));
    let recovered = runtime.block_on(provision::recover_attempts(&next)).unwrap();
    let stored: &StoredKey = &recovered.stored[0];
    assert!(stored.is_in_store(&services.secret_store.kind()), "{recovered:?}");
    let saved = services.secret_store.get(&services.entry_id("x"), TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "sk-or-v1-recovered");
    assert_eq!(local.list_accounts("keywright-attempts", TIMEOUT), Ok(vec![]));
}
