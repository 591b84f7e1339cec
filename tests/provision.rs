//! The whole road, as the program walks it: against the sandbox, and against servers that fail in
//! every way they can. What is counted at the server is what was sent.

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

const SOON: Duration = Duration::from_secs(1);

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
        secret_store_timeout: SOON,
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
        open_browser: server::answer_the_callback,
    }
}

/// Approves on the sandbox's page, as a browser would: while the program waits.
fn approve(url: &Url) -> Result<(), String> {
    let url = url.to_string();
    std::thread::spawn(move || sandbox::answer_consent(&url, true));
    Ok(())
}

fn refuse(url: &Url) -> Result<(), String> {
    let url = url.to_string();
    std::thread::spawn(move || sandbox::answer_consent(&url, false));
    Ok(())
}

fn sandbox() -> Sandbox {
    Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap()
}

/// Walks the road; the news of it come along.
fn walk(
    request: &KeyRequest,
    way: AuthMethod,
    services: &ServiceContext,
) -> (ProvisioningOutcome, Vec<ProvisioningEvent>) {
    walk_with(request, way, services, |_, _, _| ())
}

/// [`walk`], with a person who hears the news, may paste a code and may leave.
fn walk_with(
    request: &KeyRequest,
    way: AuthMethod,
    services: &ServiceContext,
    person: impl Fn(&ProvisioningEvent, &mpsc::Sender<AuthCode>, &watch::Sender<bool>) + Sync,
) -> (ProvisioningOutcome, Vec<ProvisioningEvent>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let news = Mutex::new(Vec::new());
    let (leave, cancel) = watch::channel(false);
    let (paste, pasted) = mpsc::channel(1);
    let report = |report: ProvisioningEvent| {
        person(&report, &paste, &leave);
        news.lock().unwrap().push(report);
    };
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let outcome = runtime.block_on(provision::run(request, way, services, &mut controls, &report));
    (outcome, news.into_inner().unwrap())
}

fn failed(outcome: ProvisioningOutcome) -> UserError {
    match outcome {
        ProvisioningOutcome::Failed(trouble) => trouble,
        other => panic!("{other:?}"),
    }
}

fn stored(outcome: ProvisioningOutcome) -> (keywright::domain::StoredKey, ApiKey) {
    match outcome {
        ProvisioningOutcome::Stored { stored_key: held, key, .. } => (held, key),
        other => panic!("{other:?}"),
    }
}

fn unresolved(services: &ServiceContext) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(provision::recover_attempts(services)).unwrap().unresolved.len()
}

#[test]
fn a_key_is_cut_granted_as_asked_stored_and_listed() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: approve, ..services(sandbox.url()) };
    let (outcome, news) = walk(&request("a&limit=9 é#"), AuthMethod::Browser, &services);
    let (held, key) = stored(outcome);
    assert_eq!(held.differing_fields(), Vec::<&str>::new());
    assert_eq!(held.info.as_ref().unwrap().limit, Some(12.5));
    let slot = EntryId { service: "keywright/test".into(), account: "a&limit=9 é#".into() };
    assert_eq!(
        services.secret_store.get(&slot, SOON).unwrap().expose_secret(),
        key.expose_secret()
    );
    assert_eq!(inventory::list_keys(&services.location, &services.server).unwrap(), [held]);
    let steps: Vec<_> = news
        .iter()
        .filter_map(|report| match report {
            ProvisioningEvent::StepStarted(step) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, ProvisioningStep::ALL);
    // Nothing of the attempt is left behind.
    assert_eq!(services.secret_store.list_accounts("keywright-attempts", SOON).unwrap(), [""; 0]);
    assert_eq!(unresolved(&services), 0);
}

#[test]
fn a_refusal_costs_nothing_and_leaves_nothing() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: refuse, ..services(sandbox.url()) };
    let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(trouble.kind), 5);
    assert!(trouble.message.contains("refused"), "{trouble:?}");
    assert!(trouble.advice.contains("no key was issued"), "{trouble:?}");
    assert_eq!(services.secret_store.list_accounts("keywright-attempts", SOON).unwrap(), [""; 0]);
}

#[test]
fn without_a_callback_the_code_of_the_page_is_pasted() {
    let sandbox = sandbox();
    let services = services(sandbox.url());
    let (outcome, news) =
        walk_with(&request("ssh"), AuthMethod::PasteCode, &services, |report, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = report {
                assert!(!url.contains("callback_url"));
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthCode::from(code)).unwrap();
            }
        });
    assert_eq!(stored(outcome).0.differing_fields(), Vec::<&str>::new());
    assert!(
        news.iter()
            .any(|report| matches!(report, ProvisioningEvent::SignInUrl { needs_code: true, .. }))
    );
}

#[test]
fn a_browser_that_does_not_start_leads_to_the_pasted_code() {
    let sandbox = sandbox();
    let services = ServiceContext {
        open_browser: |_| Err("no browser was found".into()),
        ..services(sandbox.url())
    };
    let (outcome, news) =
        walk_with(&request("x"), AuthMethod::Browser, &services, |report, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = report {
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthCode::from(code)).unwrap();
            }
        });
    stored(outcome);
    assert!(news.iter().any(|report| matches!(report, ProvisioningEvent::Notice(_))));
}

#[test]
fn a_held_key_vouches_for_a_new_one() {
    let sandbox = sandbox();
    let services = services(sandbox.url());
    let key = ApiKey::from(sandbox.seed_keys()[0].secret.clone());
    let (outcome, _) = walk(
        &request("via"),
        AuthMethod::ExistingKey(key, Box::new(AuthMethod::PasteCode)),
        &services,
    );
    assert_eq!(stored(outcome).0.differing_fields(), Vec::<&str>::new());
    let dead = ApiKey::from("sk-or-v1-dead".to_owned());
    let trouble = failed(
        walk(
            &request("via2"),
            AuthMethod::ExistingKey(dead, Box::new(AuthMethod::PasteCode)),
            &services,
        )
        .0,
    );
    assert!(trouble.advice.contains("--via-key"), "{trouble:?}");
}

#[test]
fn a_label_that_is_held_here_or_in_the_vault_alone_is_refused_before_anything_is_sent() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: approve, ..services(sandbox.url()) };
    stored(walk(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(failed(walk(&request("x"), AuthMethod::Browser, &services).0).kind), 2);
    let slot = EntryId { service: "keywright/test".into(), account: "foreign".into() };
    services.secret_store.set(&slot, &SecretString::from("theirs"), SOON).unwrap();
    let trouble = failed(walk(&request("foreign"), AuthMethod::Browser, &services).0);
    assert!(trouble.message.contains("not on the list"), "{trouble:?}");
    assert_eq!(services.secret_store.get(&slot, SOON).unwrap().expose_secret(), "theirs");
}

#[test]
fn leaving_while_waiting_ends_at_once_and_closes_the_port() {
    let server = Server::new(vec![]);
    let services = ServiceContext { open_browser: |_| Ok(()), ..services(&server.url) };
    let port = Mutex::new(0);
    let began = std::time::Instant::now();
    let (outcome, _) =
        walk_with(&request("x"), AuthMethod::OpenManually, &services, |report, _, leave| {
            match report {
                ProvisioningEvent::SignInUrl { url, .. } => {
                    *port.lock().unwrap() = server::callback_port(url)
                }
                ProvisioningEvent::StepStarted(ProvisioningStep::AwaitConsent) => {
                    leave.send_replace(true);
                }
                _ => {}
            }
        });
    assert_eq!(exit_code(failed(outcome).kind), 5);
    assert!(began.elapsed() < Duration::from_secs(5));
    let port = port.into_inner().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(server.exchanges(), 0);
}

/// What a server does to the exchange, how often it must be asked, and what the person reads.
#[test]
fn every_fault_of_the_exchange_has_its_own_words_and_its_own_number_of_sends() {
    let json = |status, body: &str| Reply::Whole(status, "application/json", body.into());
    let error = |status: u16, message: &str| {
        json(status, &format!(r#"{{"error":{{"code":{status},"message":"{message}"}}}}"#))
    };
    let html = |status| Reply::Whole(status, "text/html", "<html>\u{1b}[31mproxy</html>".into());
    // name, replies in order (the last one goes on), sends, exit code, words
    let cases: Vec<(&str, Vec<Reply>, usize, u8, &str)> = vec![
        (
            "bad request",
            vec![error(400, "Invalid code_challenge_method")],
            1,
            1,
            "Invalid code_challenge_method",
        ),
        ("wrong code", vec![error(403, "Invalid code or code_verifier")], 1, 1, "sign in again"),
        ("not POST", vec![error(405, "Method Not Allowed")], 1, 1, "check --server"),
        ("not here", vec![html(404)], 1, 1, "check --server"),
        ("slow down, too long", vec![Reply::SlowDown("3600")], 1, 6, "too many requests"),
        ("slow down, for good", vec![Reply::SlowDown("0")], 4, 6, "too many requests"),
        ("server error", vec![error(500, "boom")], 3, 7, "may have been issued"),
        ("bad gateway in HTML", vec![html(502)], 3, 7, "answered 502"),
        ("cut off before the answer", vec![Reply::Close], 3, 7, "may have been issued"),
        ("cut off in the head", vec![Reply::Raw("HTTP/1.1 200 O")], 3, 7, "may have been issued"),
        (
            "cut off in the body",
            vec![Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"ke")],
            3,
            7,
            "incomplete",
        ),
        ("no answer in time", vec![Reply::Silence], 3, 7, "timed out"),
        (
            "refused after a lost answer",
            vec![Reply::Close, error(403, "Invalid code or code_verifier")],
            2,
            7,
            "may have been issued",
        ),
        ("success without a key", vec![json(200, r#"{"ok":true}"#)], 1, 7, "holds no key"),
        ("success in HTML", vec![html(200)], 1, 7, "holds no key"),
        ("an empty success", vec![json(200, "")], 1, 7, "holds no key"),
    ];
    std::thread::scope(|scope| {
        for (name, replies, sends, code, words) in cases {
            scope.spawn(move || {
                let server = Server::new(replies);
                let services = services(&server.url);
                let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services).0);
                let said = format!("{}; {}", trouble.message, trouble.advice);
                assert!(said.contains(words), "{name}: {said}");
                assert_eq!(
                    (server.exchanges(), exit_code(trouble.kind)),
                    (sends, code),
                    "{name}: {said}"
                );
                assert!(!said.contains('\u{1b}') && !said.contains("the-code"), "{name}: {said}");
                // What may have been issued is on the list, and stays there.
                assert_eq!(unresolved(&services), usize::from(code == 7), "{name}");
            });
        }
    });
}

#[test]
fn a_server_that_is_not_there_is_not_reached_and_nothing_was_sent() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let services = ServiceContext { max_retries: 1, ..services(&url) };
    let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(trouble.kind), 6);
    assert!(trouble.advice.contains("no key was issued"), "{trouble:?}");
    assert_eq!(unresolved(&services), 0);
}

#[test]
fn leaving_while_the_server_asks_for_patience_ends_at_once() {
    let server = Server::new(vec![Reply::SlowDown("30")]);
    let began = std::time::Instant::now();
    let services = services(&server.url);
    let (outcome, _) = walk_with(
        &request("x"),
        AuthMethod::Browser,
        &services,
        |report, _, leave| {
            if matches!(report, ProvisioningEvent::Notice(words) if words.contains("too many requests"))
            {
                leave.send_replace(true);
            }
        },
    );
    assert_eq!((exit_code(failed(outcome).kind), server.exchanges()), (5, 1));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(unresolved(&services), 0);
}

#[test]
fn a_redirect_is_not_followed_with_a_secret() {
    let second = Server::new(vec![Reply::key("sk-or-v1-stolen")]);
    let server = Server::new(vec![Reply::Redirect(format!("{}/api/v1/auth/keys", second.url))]);
    let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(trouble.advice.contains("no secret may follow"), "{trouble:?}");
    assert_eq!((server.exchanges(), second.exchanges()), (1, 0));
}

#[test]
fn an_answer_that_was_lost_on_the_way_is_asked_for_again() {
    let server = Server::new(vec![Reply::Close, Reply::key("sk-or-v1-late")]);
    let (_, key) = stored(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!((key.expose_secret(), server.exchanges()), ("sk-or-v1-late", 2));
    let server = Server::new(vec![Reply::SlowDown("0"), Reply::key("sk-or-v1-late")]);
    stored(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!(server.exchanges(), 2);
}

#[test]
fn a_key_that_came_is_kept_whatever_came_with_it() {
    let large =
        format!(r#"{{"key":"sk-or-v1-large","user_id":null,"pad":"{}"}}"#, "x".repeat(2_000_000));
    for (body, expected) in [
        (r#"{"key":"sk-or-v1-plain","user_id":null}"#.to_owned(), "sk-or-v1-plain"),
        (r#"{"key":"of another shape","user_id":5}"#.to_owned(), "of another shape"),
        (r#"{"key":"a\u0007b\u001b[2Jc"}"#.to_owned(), "a\u{7}b\u{1b}[2Jc"),
        (r#"{"key":"sk-or-v1-cut","user_i"#.to_owned(), "sk-or-v1-cut"),
        (large, "sk-or-v1-large"),
    ] {
        let server = Server::new(vec![Reply::Whole(200, "application/json", body)]);
        let services = services(&server.url);
        let (held, key) = stored(walk(&request("x"), AuthMethod::Browser, &services).0);
        assert_eq!(key.expose_secret(), expected);
        assert!(held.masked.chars().all(|c| !c.is_control()), "{}", held.masked);
        let slot = services.entry_id("x");
        assert_eq!(services.secret_store.get(&slot, SOON).unwrap().expose_secret(), expected);
        assert_eq!(server.exchanges(), 1);
    }
}

#[test]
fn an_odd_answer_of_success_is_kept_in_the_vault() {
    let server = Server::new(vec![Reply::Whole(200, "text/plain", "here: sk-or-v1-odd".into())]);
    let services = services(&server.url);
    let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services).0);
    let account =
        services.secret_store.list_accounts("keywright-attempts", SOON).unwrap().remove(0);
    assert!(trouble.advice.contains(&account), "{trouble:?}");
    let slot = EntryId { service: "keywright-attempts".into(), account };
    let kept = services.secret_store.get(&slot, SOON).unwrap();
    assert_eq!(kept.expose_secret(), "here: sk-or-v1-odd");
}

#[test]
fn a_label_taken_meanwhile_gets_a_number_and_no_key_is_overwritten() {
    let vault = SecretStore::memory_with_entries(Vec::new());
    let slot = EntryId { service: "keywright/test".into(), account: "x".into() };
    let taker = (vault.clone(), slot.clone());
    let server = Server::with(vec![Reply::key("sk-or-v1-ours")], move || {
        taker.0.set(&taker.1, &SecretString::from("theirs"), SOON).unwrap();
    });
    let services = ServiceContext { secret_store: vault.clone(), ..services(&server.url) };
    let (outcome, _) = walk(&request("x"), AuthMethod::Browser, &services);
    let ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(held.label.as_str(), "x 2");
    assert!(note.unwrap().message.contains("taken meanwhile"));
    assert_eq!(vault.get(&slot, SOON).unwrap().expose_secret(), "theirs");
    assert_eq!(
        vault.get(&services.entry_id("x 2"), SOON).unwrap().expose_secret(),
        "sk-or-v1-ours"
    );
}

#[test]
fn two_at_once_under_one_label_keep_both_keys() {
    let dir = tempfile::tempdir().unwrap();
    let vault = SecretStore::memory_with_entries(Vec::new());
    let together = Arc::new(std::sync::Barrier::new(4));
    let held: Vec<_> = std::thread::scope(|scope| {
        let walks: Vec<_> = (0..4)
            .map(|number| {
                let (vault, place) =
                    (vault.clone(), StoreLocation::Directory(dir.path().to_owned()));
                let together = Arc::clone(&together);
                scope.spawn(move || {
                    let key = Reply::key(&format!("sk-or-v1-{number}"));
                    // All have looked whether the label is free before the first stores.
                    let server = Server::with(vec![key], move || {
                        together.wait();
                    });
                    let services = ServiceContext {
                        secret_store: vault,
                        location: place,
                        request_timeout: Duration::from_secs(20),
                        ..services(&server.url)
                    };
                    stored(walk(&request("x"), AuthMethod::Browser, &services).0)
                })
            })
            .collect();
        walks.into_iter().map(|walk| walk.join().unwrap()).collect()
    });
    for (held, key) in held {
        let slot = EntryId { service: "keywright/test".into(), account: held.label.to_string() };
        assert_eq!(vault.get(&slot, SOON).unwrap().expose_secret(), key.expose_secret());
    }
    assert_eq!(vault.list_accounts("keywright/test", SOON).unwrap(), ["x", "x 2", "x 3", "x 4"]);
}

#[test]
fn a_code_is_sent_three_times_at_most_over_all_starts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::new(vec![Reply::Silence]);
    let services = ServiceContext {
        location: StoreLocation::Directory(dir.path().to_owned()),
        ..services(&server.url)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Each run is killed as soon as a code is on its way.
    let (_leave, cancel) = watch::channel(false);
    let (_paste, pasted) = mpsc::channel(1);
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let sent = server.arrived();
    let request = request("x");
    runtime.block_on(async {
        let journey =
            provision::run(&request, AuthMethod::Browser, &services, &mut controls, &|_| ());
        tokio::select! { outcome = journey => panic!("{outcome:?}"), () = sent.notified() => {} }
    });
    runtime.block_on(async {
        let again = provision::recover_attempts(&services);
        tokio::select! { _ = again => panic!("it ended"), () = sent.notified() => {} }
    });
    for _ in 0..3 {
        let recovered = runtime.block_on(provision::recover_attempts(&services)).unwrap();
        assert_eq!(recovered.unresolved.len(), 1);
    }
    assert_eq!(server.exchanges(), 3);
}

#[test]
fn words_that_repeat_a_secret_are_not_passed_on() {
    let error = r#"{"error":{"code":403,"message":"Invalid code the-code"}}"#;
    let server = Server::new(vec![Reply::Whole(403, "application/json", error.into())]);
    let trouble = failed(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(trouble.message.contains("answered 403"), "{trouble:?}");
    assert!(!trouble.message.contains("the-code"), "{trouble:?}");
}

#[test]
fn when_the_code_is_sent_the_journal_says_so_on_disk_and_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.json");
    let seen = Arc::new(Mutex::new(String::new()));
    let witness = (path, Arc::clone(&seen));
    let server = Server::with(vec![Reply::key("sk-or-v1-x")], move || {
        *witness.1.lock().unwrap() = std::fs::read_to_string(&witness.0).unwrap();
    });
    let services = ServiceContext {
        location: StoreLocation::Directory(dir.path().to_owned()),
        ..services(&server.url)
    };
    stored(walk(&request("x"), AuthMethod::Browser, &services).0);
    let journal = seen.lock().unwrap().clone();
    assert!(journal.contains(r#""stage": "sent""#), "{journal}");
    assert!(!journal.contains("the-code") && !journal.contains("verifier"), "{journal}");
    let after = std::fs::read_to_string(dir.path().join("journal.json")).unwrap();
    assert!(!after.contains("stage"), "{after}");
}

#[test]
fn what_a_killed_program_left_behind_is_finished_at_the_next_start() {
    // A journey that ends while its code is on the way, as a kill would end it.
    let dir = tempfile::tempdir().unwrap();
    let vault = SecretStore::memory_with_entries(Vec::new());
    let server = Server::new(vec![Reply::Silence, Reply::key("sk-or-v1-rescued")]);
    let services = ServiceContext {
        secret_store: vault,
        location: StoreLocation::Directory(dir.path().to_owned()),
        request_timeout: Duration::from_secs(20),
        ..services(&server.url)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_leave, cancel) = watch::channel(false);
    let (_paste, pasted) = mpsc::channel(1);
    let mut controls = ProvisioningControls { cancel, pasted_codes: pasted };
    let sent = server.arrived();
    runtime.block_on(async {
        let request = request("x");
        let journey =
            provision::run(&request, AuthMethod::Browser, &services, &mut controls, &|_| ());
        tokio::select! {
            outcome = journey => panic!("{outcome:?}"),
            () = sent.notified() => {}
        }
    });
    let recovered = runtime.block_on(provision::recover_attempts(&services)).unwrap();
    assert_eq!(recovered.stored[0].label.as_str(), "x");
    assert_eq!(recovered.unresolved.len(), 0);
    let kept = services.secret_store.get(&services.entry_id("x"), SOON).unwrap();
    assert_eq!((kept.expose_secret(), server.exchanges()), ("sk-or-v1-rescued", 2));
}

#[test]
fn what_was_not_granted_is_named_and_the_key_is_kept() {
    let server = Server::new(vec![Reply::key("sk-or-v1-x")]);
    let (held, _) = stored(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    // The scripted server grants nothing of what was asked.
    assert_eq!(held.differing_fields(), ["limit", "limit_reset", "expires_at"]);
}

#[test]
fn every_request_says_who_asks() {
    let server = Server::new(vec![Reply::key("sk-or-v1-x")]);
    stored(walk(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    let heads = server.heads();
    assert_eq!(heads.len(), 2, "the exchange and the question about the key");
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
