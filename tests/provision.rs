//! Complete provisioning runs, against the sandbox and against servers with every kind of fault.
//! Sent requests are counted at the server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[path = "provision/server.rs"]
mod server;

use keywright::cli::exit_code;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::domain::{
    ApiKey, AuthCode, KeyRequest, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep,
    ResetInterval, UserError,
};
use keywright::sandbox::{self, Options, Sandbox};
use keywright::services::provision::{
    self, AuthMethod, PendingAttempts, ProvisioningControls, ServiceContext,
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
    let now = jiff::Timestamp::now();
    KeyRequest {
        label: label.parse().unwrap(),
        limit: Some("12.50".parse().unwrap()),
        limit_reset: Some(ResetInterval::Weekly),
        expiry: keywright::domain::Expiry::parse("30d", now).unwrap(),
        workspace_id: None,
    }
}

fn services(server: &str) -> ServiceContext {
    ServiceContext {
        server: server.into(),
        keychain_service: "keywright/test".into(),
        management_key: None,
        secret_store: SecretStore::memory_with_entries(Vec::new()),
        secret_store_timeout: TIMEOUT,
        location: StoreLocation::in_memory(),
        pending_attempts: PendingAttempts::default(),
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
    on_event: impl Fn(&ProvisioningEvent, &mpsc::Sender<AuthCode>, &watch::Sender<bool>) + Sync,
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

fn stored(outcome: ProvisioningOutcome) -> (keywright::domain::StoredKey, ApiKey) {
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
    assert_eq!(stored_key.info.as_ref().unwrap().limit, Some(12.5));
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
fn denied_consent_creates_no_key_and_leaves_no_entry() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: deny, ..services(sandbox.url()) };
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(error.kind), 5);
    assert!(error.message.contains("denied"), "{error:?}");
    assert!(error.meaning.contains("no key was created"), "{error:?}");
    assert_eq!(
        services.secret_store.list_accounts("keywright-attempts", TIMEOUT).unwrap(),
        [""; 0]
    );
}

#[test]
fn code_is_pasted_without_a_callback() {
    let sandbox = sandbox();
    let services = services(sandbox.url());
    let (outcome, events) =
        provision_with(&request("ssh"), AuthMethod::PasteCode, &services, |event, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = event {
                assert!(!url.contains("callback_url"));
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthCode::from(code)).unwrap();
            }
        });
    assert_eq!(stored(outcome).0.differing_fields(), Vec::<&str>::new());
    assert!(
        events
            .iter()
            .any(|event| matches!(event, ProvisioningEvent::SignInUrl { needs_code: true, .. }))
    );
}

#[test]
fn code_is_pasted_if_no_browser_starts() {
    let sandbox = sandbox();
    let services = ServiceContext {
        open_browser: |_| Err("no browser was found".into()),
        ..services(sandbox.url())
    };
    let (outcome, events) =
        provision_with(&request("x"), AuthMethod::Browser, &services, |event, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = event {
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthCode::from(code)).unwrap();
            }
        });
    stored(outcome);
    assert!(events.iter().any(|event| matches!(event, ProvisioningEvent::Notice(_))));
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
                    *port.lock().unwrap() = server::callback_port(url)
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

/// For each fault: the number of requests, the exit code and the message.
#[test]
fn every_exchange_fault_has_its_own_message_and_number_of_requests() {
    let json = |status, body: &str| Reply::Response(status, "application/json", body.into());
    let error = |status: u16, message: &str| {
        json(status, &format!(r#"{{"error":{{"code":{status},"message":"{message}"}}}}"#))
    };
    let html = |status| Reply::Response(status, "text/html", "<html>\u{1b}[31mproxy</html>".into());
    // Name, replies in order (the last one repeats), requests, exit code, text.
    let cases: Vec<(&str, Vec<Reply>, usize, u8, &str)> = vec![
        (
            "bad request",
            vec![error(400, "Invalid code_challenge_method")],
            1,
            1,
            "Invalid code_challenge_method",
        ),
        ("wrong code", vec![error(403, "Invalid code or code_verifier")], 1, 1, "sign in again"),
        ("method not allowed", vec![error(405, "Method Not Allowed")], 1, 1, "check --server"),
        ("not found", vec![html(404)], 1, 1, "check --server"),
        ("rate limited for too long", vec![Reply::RateLimited("3600")], 1, 6, "too many requests"),
        ("rate limited on every attempt", vec![Reply::RateLimited("0")], 4, 6, "too many requests"),
        ("server error", vec![error(500, "boom")], 3, 7, "may have been created"),
        ("bad gateway in HTML", vec![html(502)], 3, 7, "answered 502"),
        ("closed without a response", vec![Reply::Close], 3, 7, "may have been created"),
        ("truncated head", vec![Reply::Raw("HTTP/1.1 200 O")], 3, 7, "may have been created"),
        (
            "truncated body",
            vec![Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"ke")],
            3,
            7,
            "incomplete",
        ),
        ("timeout", vec![Reply::Silence], 3, 7, "timed out"),
        (
            "rejected after a lost response",
            vec![Reply::Close, error(403, "Invalid code or code_verifier")],
            2,
            7,
            "may have been created",
        ),
        ("success without a key", vec![json(200, r#"{"ok":true}"#)], 1, 7, "contains no key"),
        ("success in HTML", vec![html(200)], 1, 7, "contains no key"),
        ("empty success", vec![json(200, "")], 1, 7, "contains no key"),
    ];
    std::thread::scope(|scope| {
        for (name, replies, requests, code, text) in cases {
            scope.spawn(move || {
                let server = Server::new(replies);
                let services = services(&server.url);
                let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
                let message = format!("{}; {}", error.message, error.advice);
                assert!(message.contains(text), "{name}: {message}");
                assert_eq!(
                    (server.exchange_count(), exit_code(error.kind)),
                    (requests, code),
                    "{name}: {message}"
                );
                assert!(
                    !message.contains('\u{1b}') && !message.contains("the-code"),
                    "{name}: {message}"
                );
                // An attempt that may have created a key stays pending.
                assert_eq!(unresolved_count(&services), usize::from(code == 7), "{name}");
            });
        }
    });
}

#[test]
fn unreachable_server_receives_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let services = ServiceContext { max_retries: 1, ..services(&url) };
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(error.kind), 6);
    assert!(error.meaning.contains("no key was created"), "{error:?}");
    assert_eq!(unresolved_count(&services), 0);
}

#[test]
fn cancelling_during_a_rate_limit_ends_immediately() {
    let server = Server::new(vec![Reply::RateLimited("30")]);
    let began = std::time::Instant::now();
    let services = services(&server.url);
    let (outcome, _) = provision_with(
        &request("x"),
        AuthMethod::Browser,
        &services,
        |event, _, cancel| {
            if matches!(event, ProvisioningEvent::Notice(text) if text.contains("too many requests"))
            {
                cancel.send_replace(true);
            }
        },
    );
    assert_eq!((exit_code(failed(outcome).kind), server.exchange_count()), (5, 1));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(unresolved_count(&services), 0);
}

#[test]
fn redirects_are_not_followed_with_credentials() {
    let second = Server::new(vec![Reply::key("sk-or-v1-stolen")]);
    let server = Server::new(vec![Reply::Redirect(format!("{}/api/v1/auth/keys", second.url))]);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(error.advice.contains("redirects are not followed"), "{error:?}");
    assert_eq!((server.exchange_count(), second.exchange_count()), (1, 0));
}

#[test]
fn request_is_retried_after_a_lost_response() {
    let server = Server::new(vec![Reply::Close, Reply::key("sk-or-v1-late")]);
    let (_, key) =
        stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!((key.expose_secret(), server.exchange_count()), ("sk-or-v1-late", 2));
    let server = Server::new(vec![Reply::RateLimited("0"), Reply::key("sk-or-v1-late")]);
    stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!(server.exchange_count(), 2);
}

#[test]
fn received_key_is_stored_whatever_else_the_response_contains() {
    let large =
        format!(r#"{{"key":"sk-or-v1-large","user_id":null,"pad":"{}"}}"#, "x".repeat(2_000_000));
    for (body, expected) in [
        (r#"{"key":"sk-or-v1-plain","user_id":null}"#.to_owned(), "sk-or-v1-plain"),
        (r#"{"key":"of another shape","user_id":5}"#.to_owned(), "of another shape"),
        (r#"{"key":"a\u0007b\u001b[2Jc"}"#.to_owned(), "a\u{7}b\u{1b}[2Jc"),
        (r#"{"key":"sk-or-v1-truncated","user_i"#.to_owned(), "sk-or-v1-truncated"),
        (large, "sk-or-v1-large"),
    ] {
        let server = Server::new(vec![Reply::Response(200, "application/json", body)]);
        let services = services(&server.url);
        let (stored_key, key) =
            stored(provision_key(&request("x"), AuthMethod::Browser, &services).0);
        assert_eq!(key.expose_secret(), expected);
        assert!(stored_key.masked.chars().all(|c| !c.is_control()), "{}", stored_key.masked);
        let entry = services.entry_id("x");
        assert_eq!(services.secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), expected);
        assert_eq!(server.exchange_count(), 1);
    }
}

#[test]
fn unexpected_success_response_is_kept_in_the_secret_store() {
    let server = Server::new(vec![Reply::Response(200, "text/plain", "here: sk-or-v1-odd".into())]);
    let services = services(&server.url);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    let account =
        services.secret_store.list_accounts("keywright-attempts", TIMEOUT).unwrap().remove(0);
    assert!(error.meaning.contains(&account), "{error:?}");
    let entry = EntryId { service: "keywright-attempts".into(), account };
    let saved = services.secret_store.get(&entry, TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "here: sk-or-v1-odd");
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
    assert!(warning.unwrap().message.contains("taken meanwhile"));
    assert_eq!(secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), "theirs");
    assert_eq!(
        secret_store.get(&services.entry_id("x 2"), TIMEOUT).unwrap().expose_secret(),
        "sk-or-v1-ours"
    );
}

#[test]
fn concurrent_runs_with_one_label_keep_all_keys() {
    let dir = tempfile::tempdir().unwrap();
    let secret_store = SecretStore::memory_with_entries(Vec::new());
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let stored_key: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (secret_store, location) =
                    (secret_store.clone(), StoreLocation::Directory(dir.path().to_owned()));
                let barrier = Arc::clone(&barrier);
                scope.spawn(move || {
                    let key = Reply::key(&format!("sk-or-v1-{number}"));
                    // All runs have checked that the label is free before the first one stores.
                    let server = Server::with(vec![key], move || {
                        barrier.wait();
                    });
                    let services = ServiceContext {
                        secret_store: secret_store,
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
    for (stored_key, key) in stored_key {
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
fn server_messages_that_repeat_a_secret_are_not_shown() {
    let error = r#"{"error":{"code":403,"message":"Invalid code the-code"}}"#;
    let server = Server::new(vec![Reply::Response(403, "application/json", error.into())]);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(error.message.contains("answered 403"), "{error:?}");
    assert!(!error.message.contains("the-code"), "{error:?}");
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
    assert!(journal.contains(r#""stage": "sent""#), "{journal}");
    assert!(!journal.contains("the-code") && !journal.contains("verifier"), "{journal}");
    let after = std::fs::read_to_string(dir.path().join("journal.json")).unwrap();
    assert!(!after.contains("stage"), "{after}");
}

#[test]
fn interrupted_attempt_is_finished_at_the_next_start() {
    // A run that ends while its code is on the way, as a kill would end it.
    let dir = tempfile::tempdir().unwrap();
    let secret_store = SecretStore::memory_with_entries(Vec::new());
    let server = Server::new(vec![Reply::Silence, Reply::key("sk-or-v1-recovered")]);
    let services = ServiceContext {
        secret_store: secret_store,
        location: StoreLocation::Directory(dir.path().to_owned()),
        request_timeout: Duration::from_secs(20),
        ..services(&server.url)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_cancel_sender, cancel) = watch::channel(false);
    let (_paste, pasted) = mpsc::channel(1);
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let sent = server.exchange_received();
    runtime.block_on(async {
        let request = request("x");
        let run = provision::run(&request, AuthMethod::Browser, &services, &mut controls, &|_| ());
        tokio::select! {
            outcome = run => panic!("{outcome:?}"),
            () = sent.notified() => {}
        }
    });
    let recovered = runtime.block_on(provision::recover_attempts(&services)).unwrap();
    assert_eq!(recovered.stored[0].label.as_str(), "x");
    assert_eq!(recovered.unresolved.len(), 0);
    let saved = services.secret_store.get(&services.entry_id("x"), TIMEOUT).unwrap();
    assert_eq!((saved.expose_secret(), server.exchange_count()), ("sk-or-v1-recovered", 2));
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
