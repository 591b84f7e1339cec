//! Complete provisioning runs against the sandbox and against faulty servers, which count requests.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[cfg(unix)]
#[path = "provision/exec_store.rs"]
mod exec_store;
#[path = "provision/faults.rs"]
mod faults;
#[cfg(unix)]
#[path = "support/helper.rs"]
mod helper;
#[path = "provision/recovery.rs"]
mod recovery;
#[path = "provision/server.rs"]
mod server;
#[path = "provision/sign_in.rs"]
mod sign_in;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::cli::exit_code;
use keywright::domain::{
    ApiKey, AuthCode, AuthorizationResponse, KeyLocation, KeyRequest, ProvisioningEvent,
    ProvisioningOutcome, ProvisioningStep, ResetInterval, StoreKind, StoredKey, UserError,
};
use keywright::sandbox::{self, Options, Sandbox};
use keywright::services::provision::{
    self, AuthMethod, PendingAttempts, ProvisioningControls, ServiceContext, SkippedRows,
};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::{ExposeSecret, SecretString};
use server::{Reply, Server};
use tokio::sync::{mpsc, watch};
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(1);

fn request(label: &str) -> KeyRequest {
    KeyRequest {
        label: label.parse().unwrap(),
        limit: Some("12.50".parse().unwrap()),
        limit_reset: Some(ResetInterval::Weekly),
        expiry: keywright::domain::Expiry::parse("30d", jiff::Timestamp::now()).unwrap(),
        ..KeyRequest::default()
    }
}

fn services(server: &str) -> ServiceContext {
    ServiceContext {
        server: server.into(),
        profile: keywright::domain::ProfileName::default(),
        other_profiles: Vec::new(),
        key_defaults: keywright::domain::KeyDefaults::default(),
        keychain_service: "keywright/test".into(),
        management_key: None,
        secret_store: SecretStore::memory_with_entries(Vec::new()),
        secret_store_timeout: TIMEOUT,
        location: StoreLocation::in_memory(),
        other_stores: Vec::new(),
        is_store_fixed: false,
        local_store: None,
        pending_attempts: PendingAttempts::default(),
        skipped_rows: SkippedRows::default(),
        attribution: Attribution {
            url: "https://example.com".into(),
            title: "Keywright".into(),
            categories: "cli-agent".into(),
        },
        request_timeout: Duration::from_millis(700),
        max_retries: 3,
        callback_port: 0,
        open_browser: server::send_code_to_callback,
    }
}

/// Approves on the sandbox's consent page in the background, like a browser.
fn approve(url: &Url) -> Result<(), String> {
    let url = url.to_string();
    std::thread::spawn(move || sandbox::answer_consent(&url, true));
    Ok(())
}

fn deny(url: &Url) -> Result<(), String> {
    let url = url.to_string();
    std::thread::spawn(move || sandbox::answer_consent(&url, false));
    Ok(())
}

fn sandbox() -> Sandbox {
    Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap()
}

/// Runs provisioning and returns its outcome and events.
fn provision_key(
    request: &KeyRequest,
    method: AuthMethod,
    services: &ServiceContext,
) -> (ProvisioningOutcome, Vec<ProvisioningEvent>) {
    provision_with(request, method, services, |_, _, _| ())
}

/// Like [`provision_key`], but calls `on_event`, which can paste a code or cancel.
fn provision_with(
    request: &KeyRequest,
    method: AuthMethod,
    services: &ServiceContext,
    on_event: impl Fn(&ProvisioningEvent, &mpsc::Sender<AuthorizationResponse>, &watch::Sender<bool>)
    + Sync,
) -> (ProvisioningOutcome, Vec<ProvisioningEvent>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = Mutex::new(Vec::new());
    let (cancel_sender, cancel) = watch::channel(false);
    let (paste, pasted) = mpsc::channel(1);
    let report = |event: ProvisioningEvent| {
        on_event(&event, &paste, &cancel_sender);
        events.lock().unwrap().push(event);
    };
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let outcome =
        runtime.block_on(provision::run(request, method, services, &mut controls, &report));
    (outcome, events.into_inner().unwrap())
}

fn failed(outcome: ProvisioningOutcome) -> UserError {
    match outcome {
        ProvisioningOutcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn stored(outcome: ProvisioningOutcome) -> (StoredKey, ApiKey) {
    match outcome {
        ProvisioningOutcome::Stored { stored_key, key, .. } => (stored_key, key),
        other => panic!("{other:?}"),
    }
}

fn unresolved_count(services: &ServiceContext) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(provision::recover_attempts(services)).unwrap().unresolved.len()
}

#[test]
fn key_is_created_as_requested_stored_and_listed() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: approve, ..services(sandbox.url()) };
    let (outcome, events) = provision_key(&request("a&limit=9 é#"), AuthMethod::Browser, &services);
    let (stored_key, key) = stored(outcome);
    assert_eq!(stored_key.differing_fields(), Vec::<&str>::new());
    assert_eq!(stored_key.info.as_ref().unwrap().limit.value(), Some(12.5));
    let entry = EntryId { service: "keywright/test".into(), account: "a&limit=9 é#".into() };
    assert_eq!(
        services.secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(),
        key.expose_secret()
    );
    assert_eq!(inventory::list_keys(&services.location, &services.server).unwrap(), [stored_key]);
    let steps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            ProvisioningEvent::StepStarted(step) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, ProvisioningStep::ALL);
    // The attempt leaves no entry.
    assert_eq!(
        services.secret_store.list_accounts("keywright-attempts", TIMEOUT).unwrap(),
        [""; 0]
    );
    assert_eq!(unresolved_count(&services), 0);
}

#[test]
fn existing_key_authorizes_a_new_one() {
    let sandbox = sandbox();
    let services = services(sandbox.url());
    let key = ApiKey::from(sandbox.seed_keys()[0].secret.clone());
    let (outcome, _) = provision_key(
        &request("via"),
        AuthMethod::ExistingKey(key, Box::new(AuthMethod::PasteCode)),
        &services,
    );
    assert_eq!(stored(outcome).0.differing_fields(), Vec::<&str>::new());
    let dead = ApiKey::from("sk-or-v1-dead".to_owned());
    let error = failed(
        provision_key(
            &request("via2"),
            AuthMethod::ExistingKey(dead, Box::new(AuthMethod::PasteCode)),
            &services,
        )
        .0,
    );
    assert!(error.advice.contains("--via-key"), "{error:?}");
}

#[test]
fn label_that_is_already_used_is_rejected_before_anything_is_sent() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: approve, ..services(sandbox.url()) };
    stored(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(
        exit_code(failed(provision_key(&request("x"), AuthMethod::Browser, &services).0).kind),
        2
    );
    let entry = EntryId { service: "keywright/test".into(), account: "foreign".into() };
    services.secret_store.set(&entry, &SecretString::from("theirs"), TIMEOUT).unwrap();
    let error = failed(provision_key(&request("foreign"), AuthMethod::Browser, &services).0);
    assert!(error.message.contains("not in the inventory"), "{error:?}");
    assert_eq!(services.secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), "theirs");
}

#[test]
fn cancelling_while_waiting_ends_immediately_and_closes_the_port() {
    let server = Server::new(vec![]);
    let services = ServiceContext { open_browser: |_| Ok(()), ..services(&server.url) };
    let port = Mutex::new(0);
    let began = std::time::Instant::now();
    let (outcome, _) =
        provision_with(&request("x"), AuthMethod::OpenManually, &services, |event, _, cancel| {
            match event {
                ProvisioningEvent::SignInUrl { url, .. } => {
                    *port.lock().unwrap() = server::callback_port(url);
                }
                ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent) => {
                    cancel.send_replace(true);
                }
                _ => {}
            }
        });
    assert_eq!(exit_code(failed(outcome).kind), 5);
    assert!(began.elapsed() < Duration::from_secs(5));
    let port = port.into_inner().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(server.exchange_count(), 0);
}

#[test]
fn label_used_meanwhile_gets_a_number_and_no_key_is_overwritten() {
    let secret_store = SecretStore::memory_with_entries(Vec::new());
    let entry = EntryId { service: "keywright/test".into(), account: "x".into() };
    let other = (secret_store.clone(), entry.clone());
    let server = Server::with(vec![Reply::key("sk-or-v1-ours")], move || {
        other.0.set(&other.1, &SecretString::from("theirs"), TIMEOUT).unwrap();
    });
    let services = ServiceContext { secret_store: secret_store.clone(), ..services(&server.url) };
    let (outcome, _) = provision_key(&request("x"), AuthMethod::Browser, &services);
    let ProvisioningOutcome::Stored { stored_key, warning, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(stored_key.label.as_str(), "x 2");
    assert!(warning.unwrap().message.contains("taken in the meantime"));
    assert_eq!(secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), "theirs");
    assert_eq!(
        secret_store.get(&services.entry_id("x 2"), TIMEOUT).unwrap().expose_secret(),
        "sk-or-v1-ours"
    );
}

#[test]
fn a_label_listed_meanwhile_for_a_key_of_another_store_gets_a_number() {
    let location = StoreLocation::in_memory();
    let theirs = Arc::new(Mutex::new(None));
    let (their_key, listed) = (Arc::clone(&theirs), location.clone());
    let server = Server::with(vec![Reply::key("sk-or-v1-ours")], move || {
        let key = their_key.lock().unwrap().take();
        inventory::upsert_keys(&listed, key.into_iter().collect()).unwrap();
    });
    let services = ServiceContext { location, ..services(&server.url) };
    let key = ApiKey::from("sk-or-v1-theirs".to_owned());
    let other = services
        .new_stored_key("x".parse().unwrap(), &key)
        .with(|key| key.location = KeyLocation::Stored(StoreKind::File));
    *theirs.lock().unwrap() = Some(other.clone());
    let (outcome, _) = provision_key(&request("x"), AuthMethod::Browser, &services);
    let ProvisioningOutcome::Stored { stored_key, warning, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(stored_key.label.as_str(), "x 2");
    assert!(warning.unwrap().message.contains("taken in the meantime"));
    assert_eq!(services.find_key("x").unwrap().unwrap().hash, other.hash);
    assert_eq!(services.list_keys().unwrap().len(), 2);
}

#[test]
fn concurrent_runs_with_one_label_keep_all_keys() {
    let dir = tempfile::tempdir().unwrap();
    let secret_store = SecretStore::memory_with_entries(Vec::new());
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let stored_keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (secret_store, location) =
                    (secret_store.clone(), StoreLocation::Directory(dir.path().to_owned()));
                let barrier = Arc::clone(&barrier);
                scope.spawn(move || {
                    let key = Reply::key(&format!("sk-or-v1-{number}"));
                    // All runs have checked that the label is free before the first one stores.
                    let server = Server::with(vec![key], move || _ = barrier.wait());
                    let services = ServiceContext {
                        secret_store,
                        location,
                        request_timeout: Duration::from_secs(20),
                        ..services(&server.url)
                    };
                    stored(provision_key(&request("x"), AuthMethod::Browser, &services).0)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (stored_key, key) in stored_keys {
        let entry =
            EntryId { service: "keywright/test".into(), account: stored_key.label.to_string() };
        assert_eq!(secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), key.expose_secret());
    }
    assert_eq!(
        secret_store.list_accounts("keywright/test", TIMEOUT).unwrap(),
        ["x", "x 2", "x 3", "x 4"]
    );
}

#[test]
fn ungranted_fields_are_reported_and_the_key_is_stored() {
    let server = Server::new(vec![Reply::key("sk-or-v1-x")]);
    let (stored_key, _) =
        stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    // The scripted server grants none of the requested limits.
    assert_eq!(stored_key.differing_fields(), ["limit", "limit_reset", "expires_at"]);
}

#[test]
fn every_request_has_the_attribution_headers() {
    let server = Server::new(vec![Reply::key("sk-or-v1-x")]);
    stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    let heads = server.heads();
    assert_eq!(heads.len(), 2, "the exchange and the request for the key");
    for head in heads {
        for line in [
            "http-referer: https://example.com",
            "x-openrouter-title: Keywright",
            "x-openrouter-categories: cli-agent",
        ] {
            assert!(head.contains(line), "{head}");
        }
    }
    assert!(!server.heads()[0].to_lowercase().contains("authorization"));
}
