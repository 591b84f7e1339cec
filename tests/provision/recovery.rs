//! Interrupted attempts: the journal, repeated runs and recovery.

use keywright::domain::StoreKind;

use super::*;

#[test]
fn code_is_sent_at_most_three_times_over_all_runs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(vec![Reply::Silence]);
    let services = ServiceContext {
        location: StoreLocation::Directory(dir.path().to_owned()),
        ..services(&server.url)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Each run is stopped as soon as the code has been sent.
    let (_cancel_sender, cancel) = watch::channel(false);
    let (_paste, pasted) = mpsc::channel(1);
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let sent = server.exchange_received();
    let request = request("x");
    runtime.block_on(async {
        let run = provision::run(&request, AuthMethod::Browser, &services, &mut controls, &|_| ());
        tokio::select! { outcome = run => panic!("{outcome:?}"), () = sent.notified() => {} }
    });
    runtime.block_on(async {
        let again = provision::recover_attempts(&services);
        tokio::select! { _ = again => panic!("the run ended"), () = sent.notified() => {} }
    });
    for _ in 0..3 {
        let recovered = runtime.block_on(provision::recover_attempts(&services)).unwrap();
        assert_eq!(recovered.unresolved.len(), 1);
    }
    assert_eq!(server.exchange_count(), 3);
}

#[test]
fn journal_records_the_sent_code_without_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.json");
    let journal_text = Arc::new(Mutex::new(String::new()));
    let recorder = (path, Arc::clone(&journal_text));
    let server = Server::with(vec![Reply::key("sk-or-v1-x")], move || {
        *recorder.1.lock().unwrap() = std::fs::read_to_string(&recorder.0).unwrap();
    });
    let services = ServiceContext {
        location: StoreLocation::Directory(dir.path().to_owned()),
        ..services(&server.url)
    };
    stored(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    let journal = journal_text.lock().unwrap().clone();
    assert!(journal.contains(r#""stage":"sent""#), "{journal}");
    assert!(!journal.contains("the-code") && !journal.contains("verifier"), "{journal}");
    let after = std::fs::read_to_string(dir.path().join("journal.json")).unwrap();
    assert!(!after.contains("stage"), "{after}");
}

/// Starts creating the key "x" and drops the run while its code is on the way, as a kill would end it.
pub(super) fn interrupt(services: &ServiceContext, server: &Server) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_cancel_sender, cancel) = watch::channel(false);
    let (_paste, pasted) = mpsc::channel(1);
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let sent = server.exchange_received();
    runtime.block_on(async {
        let request = request("x");
        let run = provision::run(&request, AuthMethod::Browser, services, &mut controls, &|_| ());
        tokio::select! {
            outcome = run => panic!("{outcome:?}"),
            () = sent.notified() => {}
        }
    });
    runtime
}

#[test]
fn interrupted_attempt_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let secret_store = SecretStore::memory_with_entries(Vec::new());
    let server = Server::new(vec![Reply::Silence, Reply::key("sk-or-v1-recovered")]);
    let services = ServiceContext {
        secret_store,
        location: StoreLocation::Directory(dir.path().to_owned()),
        request_timeout: Duration::from_secs(20),
        ..services(&server.url)
    };
    let runtime = interrupt(&services, &server);
    let recovered = runtime.block_on(provision::recover_attempts(&services)).unwrap();
    assert_eq!(recovered.stored[0].label.as_str(), "x");
    assert_eq!(recovered.unresolved.len(), 0);
    let saved = services.secret_store.get(&services.entry_id("x"), TIMEOUT).unwrap();
    assert_eq!((saved.expose_secret(), server.exchange_count()), ("sk-or-v1-recovered", 2));
}

#[test]
fn an_attempt_is_recovered_in_the_store_that_it_records() {
    let dir = tempfile::tempdir().unwrap();
    let memory = SecretStore::memory_with_entries(Vec::new());
    let server = Server::new(vec![Reply::Silence, Reply::key("sk-or-v1-recovered")]);
    let location = StoreLocation::Directory(dir.path().to_owned());
    let services = ServiceContext {
        secret_store: memory.clone(),
        location,
        request_timeout: Duration::from_secs(20),
        ..services(&server.url)
    };
    let runtime = interrupt(&services, &server);
    // The next run uses another store, and knows this one.
    let file = SecretStore::age_file(dir.path().to_owned(), Arc::new(|_| panic!("not needed")));
    let only_file =
        ServiceContext { secret_store: file, other_stores: Vec::new(), ..services.clone() };
    let recovered = runtime.block_on(provision::recover_attempts(&only_file)).unwrap();
    assert_eq!((recovered.stored.len(), server.exchange_count()), (0, 1));
    let next = ServiceContext { other_stores: vec![memory.clone()], ..only_file };
    let recovered = runtime.block_on(provision::recover_attempts(&next)).unwrap();
    assert!(recovered.stored[0].is_in_store(&StoreKind::Memory), "{recovered:?}");
    let saved = memory.get(&services.entry_id("x"), TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "sk-or-v1-recovered");
}

#[test]
fn a_kept_response_that_can_be_read_by_now_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(vec![Reply::Response(
        200,
        "text/plain",
        "{\"token\":\"sk-or-v1-odd\"}".into(),
    )]);
    let services = ServiceContext {
        location: StoreLocation::Directory(dir.path().to_owned()),
        ..services(&server.url)
    };
    provision_key(&request("x"), AuthMethod::Browser, &services);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recover = || runtime.block_on(provision::recover_attempts(&services)).unwrap();
    let unresolved = recover().unresolved;
    assert_eq!(unresolved.len(), 1, "this version finds no key in it");
    let entry = EntryId { service: "keywright-attempts".into(), account: unresolved[0].id.clone() };
    let saved = services.secret_store.get(&entry, TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "{\"token\":\"sk-or-v1-odd\"}");
    // As an earlier version kept a compressed response.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, br#"{"key":"sk-or-v1-late"}"#).unwrap();
    let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, encoder.finish().unwrap());
    let text = SecretString::from(format!("base64:{text}"));
    services.secret_store.set(&entry, &text, TIMEOUT).unwrap();
    let recovered = recover();
    assert_eq!((recovered.stored.len(), recovered.unresolved.len()), (1, 0));
    let saved = services.secret_store.get(&services.entry_id("x"), TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "sk-or-v1-late");
}
