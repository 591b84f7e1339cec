//! Creation of keys in a batch, against the sandbox and with a fault at each step.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[path = "account/proxy.rs"]
mod proxy;

use keywright::cli::exit_code;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::domain::{
    ApiKey, Expiry, KeyRequest, ManagementKey, ProvisioningEvent, ResetInterval, Retirement,
    StoredKey,
};
use keywright::sandbox::{self, Options, Sandbox};
use keywright::services::keys::{self, BatchCommand, BatchControls, ItemResult, Progress};
use keywright::services::provision::{self, AuthMethod, PendingAttempts, ServiceContext};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use proxy::{Fault, Proxy};
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(1);
const CREATE_PATH: &str = "POST /api/v1/keys";
const CODE_PATH: &str = "POST /api/v1/auth/keys/code";

struct TestAccount {
    sandbox: Sandbox,
    proxy: Proxy,
    services: ServiceContext,
    dir: tempfile::TempDir,
}

impl TestAccount {
    fn new() -> Self {
        let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
        let proxy = Proxy::before(sandbox.url());
        let dir = tempfile::tempdir().unwrap();
        let services = ServiceContext {
            server: proxy.url.clone(),
            keychain_service: "keywright/test".into(),
            management_key: None,
            secret_store: SecretStore::memory_with_entries(Vec::new()),
            secret_store_timeout: TIMEOUT,
            location: StoreLocation::Directory(dir.path().join("data")),
            pending_attempts: PendingAttempts::default(),
            attribution: Attribution {
                url: "https://example.com".into(),
                title: "Keywright".into(),
                categories: "cli-agent".into(),
            },
            request_timeout: Duration::from_secs(5),
            max_retries: 1,
            callback_port: 0,
            open_browser: a_person,
        };
        Self { sandbox, proxy, services, dir }
    }

    fn management(&self) -> AuthMethod {
        AuthMethod::ManagementKey(ManagementKey::from(self.sandbox.management_key().to_owned()))
    }

    /// The first request that begins so from the `n`th on, counted from 1, meets that fate.
    fn spoil(&self, beginning: &'static str, which: std::ops::RangeInclusive<usize>, fate: Fault) {
        let count = AtomicUsize::new(0);
        self.proxy.rule(move |asked| {
            let ours = asked == beginning;
            let number = count.fetch_add(usize::from(ours), Ordering::Relaxed) + 1;
            if ours && which.contains(&number) { fate.clone() } else { Fault::Pass }
        });
    }

    fn apply(&self, labels: &[&str], auth_method: AuthMethod) -> Vec<String> {
        self.apply_with(labels, auth_method, |_, _| ())
    }

    /// Applies, with a person who hears the news and may wish; each end in a word or two.
    fn apply_with(
        &self,
        labels: &[&str],
        auth_method: AuthMethod,
        person: impl Fn(&Progress<'_>, &mpsc::Sender<BatchCommand>) + Sync,
    ) -> Vec<String> {
        let requests: Vec<KeyRequest> = labels.iter().map(|label| request(label)).collect();
        let (command, wishes) = mpsc::channel(4);
        let controls = BatchControls { commands: wishes, pasted_codes: mpsc::channel(1).1 };
        let report = |progress: Progress<'_>| person(&progress, &command);
        let results =
            block_on(keys::create_keys(&requests, auth_method, &self.services, controls, &report));
        assert!(results.iter().map(|end| end.label.as_str()).eq(labels.iter().copied()));
        results.iter().map(|end| self.in_words(end)).collect()
    }

    /// A key that is said to be stored is in the vault and on the list.
    fn in_words(&self, end: &ItemResult) -> String {
        match &end.result {
            Err(trouble) => format!("{} {}", exit_code(trouble.kind), trouble.message),
            Ok(held) => {
                let slot = EntryId {
                    service: "keywright/test".into(),
                    account: held.label.as_str().into(),
                };
                let secret = self.services.secret_store.get(&slot, TIMEOUT).unwrap();
                assert_eq!(ApiKey::from(secret.expose_secret().to_owned()).hash(), held.hash);
                end.warning.as_ref().map_or("stored".into(), |note| format!("but {}", note.message))
            }
        }
    }

    fn listed(&self) -> Vec<String> {
        let rows = inventory::list_keys(&self.services.location, &self.services.server).unwrap();
        rows.into_iter().map(|held| held.label.to_string()).collect()
    }

    /// What the account holds, the seed aside.
    fn issued(&self) -> Vec<String> {
        let key = ManagementKey::from(self.sandbox.management_key().to_owned());
        let services =
            ServiceContext { server: self.sandbox.url().into(), ..self.services.clone() };
        let mut names: Vec<_> = block_on(keys::list_account_keys(&services, &key))
            .unwrap()
            .into_iter()
            .map(|remote| remote.display_name())
            .filter(|name| name != "laptop")
            .collect();
        names.sort();
        names
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

fn request(label: &str) -> KeyRequest {
    KeyRequest {
        label: label.parse().unwrap(),
        limit: Some("5".parse().unwrap()),
        limit_reset: None,
        expiry: None,
        workspace_id: None,
    }
}

/// Consents to each, but refuses what is called `no…` and leaves `wait…` alone.
fn a_person(url: &Url) -> Result<(), String> {
    let label = url.query_pairs().find(|(name, _)| name == "key_label").unwrap().1.into_owned();
    if !label.starts_with("wait") {
        let url = url.to_string();
        std::thread::spawn(move || sandbox::answer_consent(&url, !label.starts_with("no")));
    }
    Ok(())
}

#[test]
fn denied_key_does_not_stop_the_batch() {
    let world = TestAccount::new();
    let results = world.apply(&["a", "b", "no c", "d", "e"], AuthMethod::Browser);
    assert_eq!(
        (&results[1], &results[3], &results[4]),
        (&results[0], &"stored".into(), &"stored".into())
    );
    assert!(results[2].starts_with("5 access was denied"), "{results:?}");
    assert_eq!(world.listed(), ["a", "b", "d", "e"]);
    assert_eq!(world.issued(), ["a", "b", "d", "e"]);
}

#[test]
fn next_key_is_prepared_while_consent_is_pending() {
    let world = TestAccount::new();
    let journal = world.data().join("journal.json");
    let prepared = Mutex::new(false);
    let results = world.apply_with(&["wait", "b"], AuthMethod::Browser, |progress, command| {
        if let Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) = progress {
            let (url, journal, command) = (url.clone(), journal.clone(), command.clone());
            if !url.contains("key_label=wait") {
                return;
            }
            *prepared.lock().unwrap() = true;
            std::thread::spawn(move || {
                // Its line is in the journal before the first one is decided.
                let seen = (0..200).any(|_| {
                    std::thread::sleep(Duration::from_millis(10));
                    fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"b\""))
                });
                let _ = if seen { sandbox::answer_consent(&url, true).map(drop) } else { Ok(()) };
                if !seen {
                    let _ = command.try_send(BatchCommand::Stop);
                }
            });
        }
    });
    assert!(*prepared.lock().unwrap());
    assert_eq!(results, ["stored", "stored"]);
}

#[test]
fn skip_retry_and_stop_keep_created_keys() {
    let world = TestAccount::new();
    let addresses = Mutex::new(Vec::new());
    let labels = ["a", "wait skip", "wait retry", "b", "wait stop", "c", "d"];
    let results = world.apply_with(&labels, AuthMethod::Browser, |progress, command| {
        let Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) = progress else {
            return;
        };
        let mut addresses = addresses.lock().unwrap();
        let again = addresses.iter().any(|other: &String| other.contains("retry"));
        addresses.push(url.clone());
        if url.contains("skip") {
            command.try_send(BatchCommand::Skip).unwrap();
        } else if url.contains("retry") && again {
            let url = url.clone();
            std::thread::spawn(move || sandbox::answer_consent(&url, true));
        } else if url.contains("retry") {
            command.try_send(BatchCommand::Retry).unwrap();
        } else if url.contains("stop") {
            command.try_send(BatchCommand::Stop).unwrap();
        }
    });
    let expected = [
        "stored",
        "5 skipped",
        "stored",
        "stored",
        "5 cancelled",
        "5 not started",
        "5 not started",
    ];
    assert_eq!(results, expected);
    let addresses = addresses.into_inner().unwrap();
    let retried: Vec<_> = addresses.iter().filter(|url| url.contains("retry")).collect();
    assert_eq!(retried.len(), 2);
    assert_ne!(retried[0], retried[1], "another page");
    assert_eq!(world.issued(), ["a", "b", "wait retry"]);
    let journal = fs::read_to_string(world.data().join("journal.json")).unwrap();
    assert!(!journal.contains("\"label\""), "nothing is left behind: {journal}");
}

#[test]
fn rate_limits_are_obeyed_and_long_ones_end_the_batch() {
    let world = TestAccount::new();
    world.spoil(CREATE_PATH, 2..=2, Fault::SlowDown(1));
    let notices = AtomicUsize::new(0);
    let results = world.apply_with(&["a", "b", "c"], world.management(), |progress, _| {
        if let Progress::Provisioning(ProvisioningEvent::Notice(words)) = progress {
            assert!(words.contains("too many requests"), "{words}");
            notices.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(results, ["stored", "stored", "stored"]);
    assert_eq!(notices.into_inner(), 1);
    world.spoil(CREATE_PATH, 2..=9, Fault::SlowDown(3_600));
    let results = world.apply(&["d", "e", "f", "g"], world.management());
    assert_eq!(results[0], "stored");
    assert!(results[1].contains("too many requests"), "{results:?}");
    assert_eq!(results[2..], ["6 not started", "6 not started"]);
    // And goes on from there.
    world.proxy.rule(|_| Fault::Pass);
    assert_eq!(world.apply(&["e", "f", "g"], world.management()), ["stored"; 3]);
    assert_eq!(world.issued(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn lost_response_is_pending_and_two_in_a_row_end_the_batch() {
    let world = TestAccount::new();
    world.spoil(CREATE_PATH, 2..=2, Fault::Swallow);
    let results = world.apply(&["a", "b", "c"], world.management());
    assert!(results[1].starts_with("7 a key may have been created"), "{results:?}");
    assert_eq!((&results[0], &results[2]), (&"stored".into(), &"stored".into()));
    let pending = keys::list_pending_attempts(&world.services).unwrap();
    assert_eq!(pending.iter().map(|pending| pending.label.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(exit_code(keys::pending_error(&pending[0]).kind), 7);
    world.spoil(CREATE_PATH, 1..=9, Fault::Half);
    let results = world.apply(&["d", "e", "f"], world.management());
    assert!(results[1].starts_with('7') && results[2] == "7 not started", "{results:?}");
    let cuts = world.proxy.asked().iter().filter(|asked| *asked == CREATE_PATH).count();
    assert_eq!(cuts, 5, "none is sent twice");
    // An answer in which no key can be found is kept, and its label is owed as well.
    world.spoil(CREATE_PATH, 1..=1, Fault::Lie(200, "{}".into()));
    let results = world.apply(&["g", "h"], world.management());
    assert!(
        results[0].starts_with("7 the server accepted") && results[1] == "stored",
        "{results:?}"
    );
    assert_eq!(keys::list_pending_attempts(&world.services).unwrap().len(), 4);
    // Dismissed, it may be asked for again.
    for pending in keys::list_pending_attempts(&world.services).unwrap() {
        provision::dismiss_attempt(&world.services, &pending.id).unwrap();
    }
    assert_eq!(keys::list_pending_attempts(&world.services).unwrap(), []);
}

#[test]
fn rejected_management_key_ends_the_batch() {
    let world = TestAccount::new();
    let auth_method = AuthMethod::ManagementKey(ManagementKey::from("sk-or-v1-dead".to_owned()));
    let results = world.apply(&["a", "b", "c", "d"], auth_method);
    assert!(
        results[0].starts_with("1 the management key created no key") && results[0] == results[1]
    );
    assert_eq!(results[2..], ["1 not started", "1 not started"]);
    assert_eq!(world.proxy.count(CREATE_PATH), 2);
}

#[test]
fn interrupted_batch_is_added_to_the_inventory_at_the_next_start() {
    let world = TestAccount::new();
    let requests = ["a", "b", "wait"].map(request);
    let controls = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let waiting = tokio::sync::Notify::new();
    let report = |progress: Progress<'_>| {
        if matches!(progress, Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) if url.contains("=wait"))
        {
            waiting.notify_one();
        }
    };
    block_on(async {
        let apply =
            keys::create_keys(&requests, AuthMethod::Browser, &world.services, controls, &report);
        tokio::select! {
            _ = apply => panic!("it waits for the third"),
            () = waiting.notified() => {}
        }
    });
    assert_eq!(world.issued(), ["a", "b"]);
    let before = world.listed().len();
    let recovered = block_on(provision::recover_attempts(&world.services)).unwrap();
    assert_eq!((before + recovered.stored.len(), recovered.unresolved.len()), (2, 0));
    assert_eq!(world.listed(), ["a", "b"]);
    let journal = fs::read_to_string(world.data().join("journal.json")).unwrap();
    assert!(!journal.contains("\"label\""), "{journal}");
}

#[test]
fn unreachable_server_ends_the_batch() {
    let mut world = TestAccount::new();
    world.services.server = "http://127.0.0.1:1".into();
    let results = world.apply(&["a", "b", "c"], world.management());
    assert!(
        results[0].starts_with("6 ") && results[0].contains("could not be reached"),
        "{results:?}"
    );
    assert_eq!(results[1..], ["6 not started", "6 not started"]);
}

#[test]
fn existing_key_requests_the_whole_policy() {
    let world = TestAccount::new();
    let workspace = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10";
    let asked = KeyRequest {
        limit_reset: Some(ResetInterval::Monthly),
        expiry: Expiry::parse("30d", jiff::Timestamp::now()).unwrap(),
        workspace_id: Some(workspace.into()),
        ..request("a")
    };
    let key = ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let controls = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let auth_method = AuthMethod::ExistingKey(key, Box::new(AuthMethod::Browser));
    let results = block_on(keys::create_keys(
        std::slice::from_ref(&asked),
        auth_method,
        &world.services,
        controls,
        &|_| (),
    ));
    assert_eq!(world.in_words(&results[0]), "stored");
    let management = ManagementKey::from(world.sandbox.management_key().to_owned());
    let client = world.services.build_client().unwrap();
    let rows = block_on(client.list_keys(&management, Some(workspace), 0)).unwrap().items;
    let row = rows.into_iter().find(|row| row.display_name() == "a").unwrap();
    assert_eq!(row.info.limit, Some(5.0));
    assert_eq!(row.info.limit_reset.as_deref(), Some("monthly"));
    assert_eq!(row.info.expires_at, asked.expiry.map(|expiry| expiry.at));
}

#[test]
fn existing_key_authorises_all_or_each_needs_consent_if_not_allowed() {
    let world = TestAccount::new();
    let key = || ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let by_key = || AuthMethod::ExistingKey(key(), Box::new(AuthMethod::Browser));
    assert_eq!(world.apply(&["a", "b"], by_key()), ["stored"; 2]);
    assert_eq!(world.proxy.count(CODE_PATH), 2);
    for (number, status) in [403_u16, 400, 401, 409, 500].into_iter().enumerate() {
        world.spoil(
            CODE_PATH,
            1..=9,
            Fault::Say(status, r#"{"error":{"message":"Said so"}}"#.into()),
        );
        let before = world.proxy.count(CODE_PATH);
        let labels = [format!("c{number}"), format!("d{number}")];
        let results = world.apply(&labels.each_ref().map(String::as_str), by_key());
        let asked = world.proxy.count(CODE_PATH) - before;
        match status {
            403 => assert_eq!((results, asked), (vec!["stored".to_owned(); 2], 1)),
            500 => assert!(
                asked == 2 && results[0].starts_with("6 the server issued no code"),
                "{results:?}"
            ),
            _ => assert!(
                asked == 2 && results[0].contains(&format!("{status}: Said so")),
                "{results:?}"
            ),
        }
    }
    world.spoil(CODE_PATH, 1..=1, Fault::SlowDown(1));
    assert_eq!(world.apply(&["e"], by_key()), ["stored"]);
}

#[test]
fn a_retiring_key_authorises_no_other_key() {
    let world = TestAccount::new();
    let seed = &world.sandbox.seed_keys()[0];
    let key = ApiKey::from(seed.secret.clone());
    block_on(keys::import_key(&world.services, &"laptop".parse().unwrap(), &key)).unwrap();
    let method =
        || block_on(keys::choose_batch_auth_method(&world.services, AuthMethod::PasteCode, true)).0;
    assert!(matches!(method(), AuthMethod::ExistingKey(..)));
    let retire = |key: &mut StoredKey| {
        key.retirement = Some(Retirement {
            replaced_at: jiff::Timestamp::now(),
            unused_for: 60,
            revoke_when_unused: false,
        });
    };
    let services = &world.services;
    inventory::update_key(&services.location, &services.server, &key.hash(), retire).unwrap();
    assert!(matches!(method(), AuthMethod::PasteCode));
}

#[test]
fn key_is_kept_if_the_inventory_cannot_be_written() {
    let world = TestAccount::new();
    world.apply(&["a"], world.management());
    // What stands in a file's way, as a full disk would.
    let obstacle = world.data().join("inventory.json.new");
    fs::create_dir(&obstacle).unwrap();
    let results = world.apply(&["b"], world.management());
    assert!(
        results[0].starts_with("but the key is stored, but the inventory could not"),
        "{results:?}"
    );
    assert_eq!(world.listed(), ["a"]);
    fs::remove_dir(&obstacle).unwrap();
    let recovered = block_on(provision::recover_attempts(&world.services)).unwrap();
    assert!(recovered.unresolved.is_empty() && recovered.not_stored.is_empty());
    assert_eq!(world.listed(), ["a", "b"]);

    let obstacle = world.data().join("journal.json.new");
    fs::create_dir(&obstacle).unwrap();
    let results = world.apply(&["c", "d", "e"], world.management());
    assert!(results[0].starts_with("1 ") && results[0].contains("journal.json"), "{results:?}");
    assert_eq!(results[2], "1 not started");
    assert_eq!(world.issued(), ["a", "b"], "nothing is asked for that cannot be written down");
}

#[test]
fn label_in_the_secret_store_fails_only_that_key() {
    let world = TestAccount::new();
    let slot = EntryId { service: "keywright/test".into(), account: "b".into() };
    world.services.secret_store.set(&slot, &"theirs".into(), TIMEOUT).unwrap();
    let results = world.apply(&["a", "b", "c"], world.management());
    assert!(results[1].starts_with("2 the secret store has a key with the label b"), "{results:?}");
    assert_eq!(world.issued(), ["a", "c"]);
}

#[test]
fn second_batch_waits_for_the_first_and_can_be_cancelled() {
    let world = TestAccount::new();
    let (leave, mut left) = watch::channel(false);
    let told = AtomicUsize::new(0);
    let first = block_on(keys::lock_apply(&world.services, &mut left, || panic!("it is free")));
    let waits = || {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let claims = block_on(async {
        let second = keys::lock_apply(&world.services, &mut left, waits);
        let person = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            leave.send_replace(true);
        };
        tokio::join!(second, person).0
    });
    assert!(claims.unwrap().is_none());
    assert_eq!(told.load(Ordering::Relaxed), 1);
    leave.send_replace(false);
    let second = block_on(async {
        let second = keys::lock_apply(&world.services, &mut left, waits);
        let end = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        tokio::join!(second, end).0
    });
    assert!(second.unwrap().is_some());
}
