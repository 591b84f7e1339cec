//! A shared store against an imitation of its engine: what is sent, and what each answer means.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "shared_store/colleagues.rs"]
mod colleagues;
#[path = "shared_store/engine.rs"]
mod engine;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{FakeEngine, Fault, TOKEN};
use keywright::storage::secret_store::bao::{self, BaoOptions, BaoStore};
use keywright::storage::secret_store::{EntryId, Error, SecretStore};
use secrecy::{ExposeSecret, SecretString};

const TIMEOUT: Duration = Duration::from_secs(5);
const CI: &str = "keywright/default/ci";

fn with_token(name: &str) -> Option<std::ffi::OsString> {
    (name == "BAO_TOKEN").then(|| TOKEN.into())
}

fn with_wrong_token(name: &str) -> Option<std::ffi::OsString> {
    (name == "BAO_TOKEN").then(|| "s.wrong".into())
}

fn with_approle(name: &str) -> Option<std::ffi::OsString> {
    match name {
        "BAO_ROLE_ID" => Some("role".into()),
        "VAULT_SECRET_ID" => Some("secret".into()),
        _ => None,
    }
}

fn options(engine: &FakeEngine) -> BaoOptions {
    BaoOptions {
        address: Some(engine.address.clone()),
        namespace: None,
        mount: "secret".into(),
        path: "keywright/default".into(),
        base_service: "keywright".into(),
        service: "keywright".into(),
        role_id: None,
        kubernetes_role: None,
        auth_mount: None,
        request_timeout: Duration::from_millis(400),
        read_var: with_token,
        find_proxy: |_| Ok(None),
    }
}

fn bao(engine: &FakeEngine) -> BaoStore {
    BaoStore::new(options(engine))
}

fn entry_id(label: &str) -> EntryId {
    EntryId { service: "keywright".into(), account: label.into() }
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

#[expect(clippy::disallowed_methods, reason = "the test compares secrets")]
fn text(secret: &SecretString) -> &str {
    secret.expose_secret()
}

fn message(error: &Error) -> String {
    assert!(!error.advice().is_empty(), "{error}");
    error.to_string()
}

#[test]
fn a_key_is_read_with_one_request_under_the_name_of_its_label() {
    let engine = FakeEngine::start();
    let store = SecretStore::bao(bao(&engine));
    store.create(&entry_id("a/b é"), &secret("sk-1"), TIMEOUT).unwrap();
    engine.edit(|state| state.requests.clear());
    assert_eq!(text(&store.get(&entry_id("a/b é"), TIMEOUT).unwrap()), "sk-1");
    engine.edit(|state| {
        assert_eq!(state.requests, ["GET /v1/secret/data/keywright/default/a%252Fb%20%C3%A9"]);
    });
    store
        .create(
            &EntryId { service: "keywright trash".into(), account: "x".into() },
            &secret("s"),
            TIMEOUT,
        )
        .unwrap();
    assert_eq!(store.list_accounts("keywright", TIMEOUT).unwrap(), ["a/b é"]);
    assert_eq!(store.list_accounts("keywright trash", TIMEOUT).unwrap(), ["x"]);
    assert!(store.list_accounts("keywright/other.example", TIMEOUT).unwrap().is_empty());
    store.delete(&entry_id("a/b é"), TIMEOUT).unwrap();
    assert_eq!(store.delete(&entry_id("a/b é"), TIMEOUT), Err(Error::NoEntry));
    assert!(matches!(store.get(&entry_id("a/b é"), TIMEOUT), Err(Error::NoEntry)));
}

#[test]
fn what_someone_else_wrote_is_never_overwritten() {
    let engine = FakeEngine::start();
    let (bao, store) = (bao(&engine), SecretStore::bao(bao(&engine)));
    engine.edit(|state| state.write(CI, "theirs"));
    assert_eq!(store.create(&entry_id("ci"), &secret("mine"), TIMEOUT), Err(Error::EntryExists));
    assert_eq!(bao.write(CI, &secret("mine"), Some(1)).unwrap(), 2);
    let conflict = bao.write(CI, &secret("late"), Some(1)).unwrap_err();
    assert!(matches!(conflict, Error::Bao(bao::Error::Conflict { .. })), "{conflict}");
    assert_eq!(
        message(&conflict),
        "secret/keywright/default/ci was changed by someone else in the meantime"
    );
    // Without a version the current one is replaced.
    assert_eq!(bao.write(CI, &secret("newest"), None).unwrap(), 3);
    assert_eq!(text(&bao.read(CI).unwrap().secret), "newest");
}

#[test]
fn a_write_whose_answer_was_lost_is_found_and_not_repeated() {
    let engine = FakeEngine::start();
    let bao = bao(&engine);
    engine.edit(|state| state.faults.push_back(Fault::Unanswered));
    assert_eq!(bao.write(CI, &secret("sk-1"), Some(0)).unwrap(), 1);
    assert_eq!(engine.edit(|state| state.versions(CI)), 1);
    engine.edit(|state| state.faults.push_back(Fault::Lost));
    assert_eq!(bao.write(CI, &secret("sk-2"), Some(1)).unwrap(), 2);
    assert_eq!(engine.edit(|state| state.versions(CI)), 2);
    // The write was lost, and someone else's came before the second try.
    engine.edit(|state| {
        state.faults.push_back(Fault::Unanswered);
        state.write(CI, "theirs");
    });
    let conflict = bao.write(CI, &secret("sk-3"), Some(2)).unwrap_err();
    assert!(matches!(conflict, Error::Bao(bao::Error::Conflict { .. })), "{conflict}");
}

#[test]
fn a_request_waits_for_the_election_of_a_leader() {
    let engine = FakeEngine::start();
    let no_leader = Fault::Status(500, "local node not active but active cluster node not found");
    engine.edit(|state| {
        state.write(CI, "sk-1");
        state.faults.extend([no_leader, Fault::Status(412, ""), Fault::Lost]);
    });
    assert_eq!(text(&bao(&engine).read(CI).unwrap().secret), "sk-1");
}

#[test]
fn a_redirect_is_followed_to_the_leader_and_nowhere_else() {
    let (engine, leader) = (FakeEngine::start(), FakeEngine::start());
    leader.edit(|state| state.write(CI, "sk-1"));
    let read = |to: &str| {
        engine.edit(|state| {
            state.leader = to.to_owned();
            state.faults.extend([Fault::Redirect; 3]);
        });
        let read = bao(&engine).read(CI);
        engine.edit(|state| state.faults.clear());
        read
    };
    assert_eq!(text(&read(&leader.address).unwrap().secret), "sk-1");
    let take_requests =
        |engine: &FakeEngine| engine.edit(|state| std::mem::take(&mut state.requests));
    assert_eq!((take_requests(&engine).len(), take_requests(&leader).len()), (1, 1));
    for elsewhere in ["http://192.0.2.1:1", "ftp://127.0.0.1", &format!("{}/x", leader.address)] {
        let error = message(&read(elsewhere).unwrap_err());
        assert!(error.contains("redirects to where the token must not be sent"), "{error}");
    }
    assert_eq!(take_requests(&leader).len(), 0);
    // While the request waits, the cluster elects the engine itself as leader.
    engine.edit(|state| {
        state.write(CI, "sk-2");
        state.leader = "http://127.0.0.1:1".into();
        state.faults.push_back(Fault::Redirect);
    });
    assert_eq!(text(&bao(&engine).read(CI).unwrap().secret), "sk-2");
}

#[test]
fn each_failure_has_a_sentence_of_its_own() {
    let engine = FakeEngine::start();
    let read = || message(&bao(&engine).read(CI).unwrap_err());
    let address = &engine.address;
    assert_eq!(read(), "the secret store has no entry with this name");
    engine.edit(|state| state.faults.push_back(Fault::Status(503, "Vault is sealed")));
    assert_eq!(
        read(),
        format!("{address} is sealed: it cannot decrypt its secrets until it is unsealed")
    );
    engine.edit(|state| state.faults.push_back(Fault::Status(307, "")));
    assert!(read().contains("redirects are not followed with a token"));
    engine.edit(|state| state.faults.push_back(Fault::Status(400, "odd \u{1b}[31m")));
    assert_eq!(read(), format!("{address} answered 400: odd  [31m").replace("  ", " "));
    engine.edit(|state| state.write(CI, "sk-1"));
    engine.edit(|state| state.delete_version(CI, false));
    assert_eq!(read(), "version 1 of secret/keywright/default/ci was deleted");
    engine.edit(|state| state.delete_version(CI, true));
    assert_eq!(
        read(),
        "version 1 of secret/keywright/default/ci was destroyed: its key is gone for ever"
    );
    let wrong = BaoStore::new(BaoOptions { read_var: with_wrong_token, ..options(&engine) });
    let error = message(&wrong.read(CI).unwrap_err());
    assert!(error.contains("does not accept the token"), "{error}");
    engine.edit(|state| state.faults.push_back(Fault::Status(403, "permission denied")));
    assert_eq!(read(), "the token may not read secret/keywright/default/ci");
    engine.edit(|state| state.mount_version = "1");
    assert_eq!(read(), "secret/ is a KV engine of version 1, and Keywright needs KV version 2");
    let written =
        message(&bao(&engine).write("keywright/default/new", &secret("s"), Some(0)).unwrap_err());
    assert!(written.starts_with("secret/ is a KV engine of version 1"), "{written}");
    let nowhere = BaoOptions { address: Some("http://127.0.0.1:9".into()), ..options(&engine) };
    let error = message(&BaoStore::new(nowhere).read(CI).unwrap_err());
    assert!(error.starts_with("http://127.0.0.1:9 cannot be reached: "), "{error}");
}

#[test]
fn a_token_that_may_only_read_is_recognised_and_nothing_is_written() {
    let engine = FakeEngine::start();
    let check = || bao(&engine).check_writable(CI);
    check().unwrap();
    engine.edit(|state| state.capabilities = Some(vec!["read", "list"]));
    assert_eq!(
        message(&check().unwrap_err()),
        "the token may not write secret/keywright/default/ci"
    );
    // A policy may hide the capabilities.
    engine.edit(|state| state.capabilities = None);
    check().unwrap();
    engine.edit(|state| state.is_read_only = true);
    assert_eq!(
        message(&check().unwrap_err()),
        "the token may not write secret/keywright/default/ci"
    );
    assert_eq!(engine.edit(|state| state.versions(CI)), 0);
}

#[test]
fn a_command_of_the_engine_can_be_pasted_whatever_the_label() {
    let engine = FakeEngine::start();
    engine.edit(|state| state.faults.push_back(Fault::Status(403, "permission denied")));
    let error = bao(&engine).read("keywright/default/my key").unwrap_err();
    let advice = error.advice();
    assert!(
        advice.ends_with("`bao token capabilities 'secret/data/keywright/default/my key'`"),
        "{advice}"
    );
}

#[test]
fn a_login_is_made_once_and_again_when_its_token_has_expired() {
    let engine = FakeEngine::start();
    engine.edit(|state| state.write(CI, "sk-1"));
    let bao = BaoStore::new(BaoOptions { read_var: with_approle, ..options(&engine) });
    for _ in 0..2 {
        assert_eq!(text(&bao.read(CI).unwrap().secret), "sk-1");
    }
    let logins = |engine: &FakeEngine| {
        engine.edit(|state| state.requests.iter().filter(|one| one.ends_with("/login")).count())
    };
    assert_eq!(logins(&engine), 1);
    engine.edit(|state| state.login_token = Some("s.expired".into()));
    assert_eq!(text(&bao.read(CI).unwrap().secret), "sk-1");
    assert_eq!(logins(&engine), 2);
}

#[test]
fn a_token_that_was_refused_is_read_again_at_the_next_call() {
    static IS_LOGGED_IN: AtomicBool = AtomicBool::new(false);
    let engine = FakeEngine::start();
    engine.edit(|state| state.write(CI, "sk-1"));
    let read_var = |name: &str| {
        let token = if IS_LOGGED_IN.load(Ordering::Relaxed) { TOKEN } else { "s.expired" };
        (name == "BAO_TOKEN").then(|| token.into())
    };
    let bao = BaoStore::new(BaoOptions { read_var, ..options(&engine) });
    assert!(matches!(bao.read(CI), Err(Error::Bao(bao::Error::BadToken(_)))));
    IS_LOGGED_IN.store(true, Ordering::Relaxed);
    assert_eq!(text(&bao.read(CI).unwrap().secret), "sk-1");
}

#[test]
fn metadata_is_patched_or_where_the_engine_cannot_written_whole() {
    let engine = FakeEngine::start();
    let bao = bao(&engine);
    engine.edit(|state| state.write(CI, "sk-1"));
    for has_patch in [true, false] {
        engine.edit(|state| state.has_patch = has_patch);
        let field = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        bao.write_metadata(CI, [field("a", Some("1")), field("b", Some("2"))].into()).unwrap();
        bao.write_metadata(CI, [field("a", None), field("c", Some("3"))].into()).unwrap();
        let custom = engine.edit(|state| state.custom_metadata(CI));
        assert_eq!(
            custom.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]
        );
        let metadata = bao.read_metadata(CI).unwrap();
        assert_eq!((metadata.custom_metadata.len(), metadata.current_version), (2, 1));
    }
}

#[test]
fn many_entries_are_read_with_few_requests_or_each_with_one_where_lists_have_no_details() {
    let engine = FakeEngine::start();
    let bao = bao(&engine);
    let names: Vec<_> = (0..250).map(|number| format!("key-{number}")).collect();
    engine.edit(|state| {
        for name in &names {
            state.write(&format!("keywright/default/{name}"), "sk-1");
        }
        state.write("keywright/default/key-2/deeper", "sk-1");
    });
    let read = |has_details: bool| {
        engine.edit(|state| {
            state.has_details = has_details;
            state.requests.clear();
        });
        let highest = Arc::new(AtomicUsize::new(0));
        let (seen, mut asked) = (Arc::clone(&highest), names.clone());
        asked.push("none".into());
        let on_read = Arc::new(move |count| {
            seen.fetch_max(count, Ordering::Relaxed);
        });
        let mut all = bao.read_all_metadata("keywright/default", asked, on_read).unwrap();
        assert_eq!(all.pop(), Some(Err(Error::NoEntry)));
        assert!(all.iter().all(|one| one.as_ref().is_ok_and(|one| one.current_version == 1)));
        assert_eq!(highest.load(Ordering::Relaxed), names.len() + 1);
        engine.edit(|state| state.requests.len())
    };
    // Three pages of a hundred, and the entry that does not exist.
    assert_eq!(read(true), 4);
    assert_eq!(read(false), 252);
}

#[test]
fn messages_name_the_folder_of_the_server_in_use() {
    let engine = FakeEngine::start();
    let service = "keywright/openrouter.example:8443".into();
    let store = SecretStore::bao(BaoStore::new(BaoOptions { service, ..options(&engine) }));
    let folder = "secret/keywright/default/openrouter.example:8443";
    assert_eq!(store.display_name(), format!("{folder} at {}", engine.address));
    let usual = SecretStore::bao(bao(&engine)).display_name();
    assert_eq!(usual, format!("secret/keywright/default at {}", engine.address));
}

#[test]
fn an_engine_that_does_not_answer_is_reported_and_waited_for_once() {
    static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    bao::on_wait(|address| REPORTED.lock().unwrap().push(address.to_owned()));
    let engine = FakeEngine::start();
    let sealed = Fault::Status(503, "Vault is sealed");
    engine.edit(|state| state.faults.extend([sealed, Fault::Unanswered]));
    let options = BaoOptions { request_timeout: Duration::from_secs(10), ..options(&engine) };
    let store = SecretStore::bao(BaoStore::new(options));
    assert!(message(&store.get(&entry_id("ci"), TIMEOUT).unwrap_err()).contains("is sealed"));
    let started = Instant::now();
    let error = store.get(&entry_id("ci"), TIMEOUT).unwrap_err();
    assert_eq!(message(&error), format!("{} did not answer: it timed out", engine.address));
    // The store has failed before, so the request was short and not repeated.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(engine.edit(|state| state.requests.len()), 2);
    assert!(REPORTED.lock().unwrap().contains(&engine.address));
}
