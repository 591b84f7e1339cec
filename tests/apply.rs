//! Many keys in a row, against the sandbox, with a fault at each step: what was asked is counted,
//! what was done stays done, and no key is asked for twice.

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
use proxy::{Fate, Proxy};
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};
use url::Url;

const SOON: Duration = Duration::from_secs(1);
const CUT: &str = "POST /api/v1/keys";
const CODE: &str = "POST /api/v1/auth/keys/code";

struct World {
    sandbox: Sandbox,
    proxy: Proxy,
    services: ServiceContext,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
        let proxy = Proxy::before(sandbox.url());
        let dir = tempfile::tempdir().unwrap();
        let services = ServiceContext {
            server: proxy.url.clone(),
            keychain_service: "keywright/test".into(),
            management_key: None,
            secret_store: SecretStore::memory_with_entries(Vec::new()),
            secret_store_timeout: SOON,
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
    fn spoil(&self, beginning: &'static str, which: std::ops::RangeInclusive<usize>, fate: Fate) {
        let count = AtomicUsize::new(0);
        self.proxy.rule(move |asked| {
            let ours = asked == beginning;
            let number = count.fetch_add(usize::from(ours), Ordering::Relaxed) + 1;
            if ours && which.contains(&number) { fate.clone() } else { Fate::Pass }
        });
    }

    fn apply(&self, labels: &[&str], way: AuthMethod) -> Vec<String> {
        self.apply_with(labels, way, |_, _| ())
    }

    /// Applies, with a person who hears the news and may wish; each end in a word or two.
    fn apply_with(
        &self,
        labels: &[&str],
        way: AuthMethod,
        person: impl Fn(&Progress<'_>, &mpsc::Sender<BatchCommand>) + Sync,
    ) -> Vec<String> {
        let requests: Vec<KeyRequest> = labels.iter().map(|label| request(label)).collect();
        let (wish, wishes) = mpsc::channel(4);
        let hands = BatchControls { commands: wishes, pasted_codes: mpsc::channel(1).1 };
        let report = |news: Progress<'_>| person(&news, &wish);
        let ends = wait(keys::create_keys(&requests, way, &self.services, hands, &report));
        assert!(ends.iter().map(|end| end.label.as_str()).eq(labels.iter().copied()));
        ends.iter().map(|end| self.in_words(end)).collect()
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
                let secret = self.services.secret_store.get(&slot, SOON).unwrap();
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
        let mut names: Vec<_> = wait(keys::list_account_keys(&services, &key))
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

fn wait<T>(work: impl Future<Output = T>) -> T {
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
fn a_refusal_is_recorded_and_the_others_go_on() {
    let world = World::new();
    let ends = world.apply(&["a", "b", "no c", "d", "e"], AuthMethod::Browser);
    assert_eq!((&ends[1], &ends[3], &ends[4]), (&ends[0], &"stored".into(), &"stored".into()));
    assert!(ends[2].starts_with("5 access was denied"), "{ends:?}");
    assert_eq!(world.listed(), ["a", "b", "d", "e"]);
    assert_eq!(world.issued(), ["a", "b", "d", "e"]);
}

#[test]
fn the_next_key_is_prepared_while_the_person_still_decides() {
    let world = World::new();
    let journal = world.data().join("journal.json");
    let prepared = Mutex::new(false);
    let ends = world.apply_with(&["wait", "b"], AuthMethod::Browser, |news, wish| {
        if let Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) = news {
            let (url, journal, wish) = (url.clone(), journal.clone(), wish.clone());
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
                    let _ = wish.try_send(BatchCommand::Stop);
                }
            });
        }
    });
    assert!(*prepared.lock().unwrap());
    assert_eq!(ends, ["stored", "stored"]);
}

#[test]
fn a_person_skips_asks_anew_and_stops_and_what_is_done_stays_done() {
    let world = World::new();
    let addresses = Mutex::new(Vec::new());
    let labels = ["a", "wait skip", "wait retry", "b", "wait stop", "c", "d"];
    let ends = world.apply_with(&labels, AuthMethod::Browser, |news, wish| {
        let Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) = news else { return };
        let mut addresses = addresses.lock().unwrap();
        let again = addresses.iter().any(|other: &String| other.contains("retry"));
        addresses.push(url.clone());
        if url.contains("skip") {
            wish.try_send(BatchCommand::Skip).unwrap();
        } else if url.contains("retry") && again {
            let url = url.clone();
            std::thread::spawn(move || sandbox::answer_consent(&url, true));
        } else if url.contains("retry") {
            wish.try_send(BatchCommand::Retry).unwrap();
        } else if url.contains("stop") {
            wish.try_send(BatchCommand::Stop).unwrap();
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
    assert_eq!(ends, expected);
    let addresses = addresses.into_inner().unwrap();
    let retried: Vec<_> = addresses.iter().filter(|url| url.contains("retry")).collect();
    assert_eq!(retried.len(), 2);
    assert_ne!(retried[0], retried[1], "another page");
    assert_eq!(world.issued(), ["a", "b", "wait retry"]);
    let journal = fs::read_to_string(world.data().join("journal.json")).unwrap();
    assert!(!journal.contains("\"label\""), "nothing is left behind: {journal}");
}

#[test]
fn a_server_that_asks_for_patience_is_obeyed_and_one_that_asks_for_too_much_ends_it() {
    let world = World::new();
    world.spoil(CUT, 2..=2, Fate::SlowDown(1));
    let notices = AtomicUsize::new(0);
    let ends = world.apply_with(&["a", "b", "c"], world.management(), |news, _| {
        if let Progress::Provisioning(ProvisioningEvent::Notice(words)) = news {
            assert!(words.contains("too many requests"), "{words}");
            notices.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(ends, ["stored", "stored", "stored"]);
    assert_eq!(notices.into_inner(), 1);
    world.spoil(CUT, 2..=9, Fate::SlowDown(3_600));
    let ends = world.apply(&["d", "e", "f", "g"], world.management());
    assert_eq!(ends[0], "stored");
    assert!(ends[1].contains("too many requests"), "{ends:?}");
    assert_eq!(ends[2..], ["6 not started", "6 not started"]);
    // And goes on from there.
    world.proxy.rule(|_| Fate::Pass);
    assert_eq!(world.apply(&["e", "f", "g"], world.management()), ["stored"; 3]);
    assert_eq!(world.issued(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn a_key_whose_answer_was_lost_is_owed_and_two_in_a_row_end_it() {
    let world = World::new();
    world.spoil(CUT, 2..=2, Fate::Swallow);
    let ends = world.apply(&["a", "b", "c"], world.management());
    assert!(ends[1].starts_with("7 a key may have been created"), "{ends:?}");
    assert_eq!((&ends[0], &ends[2]), (&"stored".into(), &"stored".into()));
    let owed = keys::list_pending_attempts(&world.services).unwrap();
    assert_eq!(owed.iter().map(|owed| owed.label.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(exit_code(keys::pending_error(&owed[0]).kind), 7);
    world.spoil(CUT, 1..=9, Fate::Half);
    let ends = world.apply(&["d", "e", "f"], world.management());
    assert!(ends[1].starts_with('7') && ends[2] == "7 not started", "{ends:?}");
    let cuts = world.proxy.asked().iter().filter(|asked| *asked == CUT).count();
    assert_eq!(cuts, 5, "none is sent twice");
    // An answer in which no key can be found is kept, and its label is owed as well.
    world.spoil(CUT, 1..=1, Fate::Lie(200, "{}".into()));
    let ends = world.apply(&["g", "h"], world.management());
    assert!(ends[0].starts_with("7 the server accepted") && ends[1] == "stored", "{ends:?}");
    assert_eq!(keys::list_pending_attempts(&world.services).unwrap().len(), 4);
    // Dismissed, it may be asked for again.
    for owed in keys::list_pending_attempts(&world.services).unwrap() {
        provision::dismiss_attempt(&world.services, &owed.id).unwrap();
    }
    assert_eq!(keys::list_pending_attempts(&world.services).unwrap(), []);
}

#[test]
fn a_management_key_that_works_no_more_is_not_tried_for_each() {
    let world = World::new();
    let way = AuthMethod::ManagementKey(ManagementKey::from("sk-or-v1-dead".to_owned()));
    let ends = world.apply(&["a", "b", "c", "d"], way);
    assert!(ends[0].starts_with("1 the management key created no key") && ends[0] == ends[1]);
    assert_eq!(ends[2..], ["1 not started", "1 not started"]);
    assert_eq!(world.proxy.count(CUT), 2);
}

#[test]
fn what_is_stored_and_not_on_the_list_yet_when_the_program_dies_is_listed_by_the_next() {
    let world = World::new();
    let requests = ["a", "b", "wait"].map(request);
    let hands = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let waiting = tokio::sync::Notify::new();
    let report = |news: Progress<'_>| {
        if matches!(news, Progress::Provisioning(ProvisioningEvent::SignInUrl { url, .. }) if url.contains("=wait"))
        {
            waiting.notify_one();
        }
    };
    wait(async {
        let apply =
            keys::create_keys(&requests, AuthMethod::Browser, &world.services, hands, &report);
        tokio::select! {
            _ = apply => panic!("it waits for the third"),
            () = waiting.notified() => {}
        }
    });
    assert_eq!(world.issued(), ["a", "b"]);
    let before = world.listed().len();
    let recovered = wait(provision::recover_attempts(&world.services)).unwrap();
    assert_eq!((before + recovered.stored.len(), recovered.unresolved.len()), (2, 0));
    assert_eq!(world.listed(), ["a", "b"]);
    let journal = fs::read_to_string(world.data().join("journal.json")).unwrap();
    assert!(!journal.contains("\"label\""), "{journal}");
}

#[test]
fn a_server_that_is_away_ends_it() {
    let mut world = World::new();
    world.services.server = "http://127.0.0.1:1".into();
    let ends = world.apply(&["a", "b", "c"], world.management());
    assert!(ends[0].starts_with("6 ") && ends[0].contains("could not be reached"), "{ends:?}");
    assert_eq!(ends[1..], ["6 not started", "6 not started"]);
}

#[test]
fn a_held_key_passes_on_all_that_is_asked() {
    let world = World::new();
    let workspace = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10";
    let asked = KeyRequest {
        limit_reset: Some(ResetInterval::Monthly),
        expiry: Expiry::parse("30d", jiff::Timestamp::now()).unwrap(),
        workspace_id: Some(workspace.into()),
        ..request("a")
    };
    let key = ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let hands = BatchControls { commands: mpsc::channel(1).1, pasted_codes: mpsc::channel(1).1 };
    let way = AuthMethod::ExistingKey(key, Box::new(AuthMethod::Browser));
    let ends =
        wait(keys::create_keys(std::slice::from_ref(&asked), way, &world.services, hands, &|_| ()));
    assert_eq!(world.in_words(&ends[0]), "stored");
    let management = ManagementKey::from(world.sandbox.management_key().to_owned());
    let client = world.services.build_client().unwrap();
    let rows = wait(client.list_keys(&management, Some(workspace), 0)).unwrap().items;
    let row = rows.into_iter().find(|row| row.display_name() == "a").unwrap();
    assert_eq!(row.info.limit, Some(5.0));
    assert_eq!(row.info.limit_reset.as_deref(), Some("monthly"));
    assert_eq!(row.info.expires_at, asked.expiry.map(|expiry| expiry.at));
}

#[test]
fn a_held_key_vouches_for_all_or_where_that_is_not_allowed_the_browser_is_asked_once_for_each() {
    let world = World::new();
    let key = || ApiKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let by_key = || AuthMethod::ExistingKey(key(), Box::new(AuthMethod::Browser));
    assert_eq!(world.apply(&["a", "b"], by_key()), ["stored"; 2]);
    assert_eq!(world.proxy.count(CODE), 2);
    for (number, status) in [403_u16, 400, 401, 409, 500].into_iter().enumerate() {
        world.spoil(CODE, 1..=9, Fate::Say(status, r#"{"error":{"message":"Said so"}}"#.into()));
        let before = world.proxy.count(CODE);
        let labels = [format!("c{number}"), format!("d{number}")];
        let ends = world.apply(&labels.each_ref().map(String::as_str), by_key());
        let asked = world.proxy.count(CODE) - before;
        match status {
            403 => assert_eq!((ends, asked), (vec!["stored".to_owned(); 2], 1)),
            500 => assert!(
                asked == 2 && ends[0].starts_with("6 the server issued no code"),
                "{ends:?}"
            ),
            _ => assert!(asked == 2 && ends[0].contains(&format!("{status}: Said so")), "{ends:?}"),
        }
    }
    world.spoil(CODE, 1..=1, Fate::SlowDown(1));
    assert_eq!(world.apply(&["e"], by_key()), ["stored"]);
}

#[test]
fn a_retiring_key_authorises_no_other_key() {
    let world = World::new();
    let seed = &world.sandbox.seed_keys()[0];
    let key = ApiKey::from(seed.secret.clone());
    wait(keys::import_key(&world.services, &"laptop".parse().unwrap(), &key)).unwrap();
    let method =
        || wait(keys::choose_batch_auth_method(&world.services, AuthMethod::PasteCode, true)).0;
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
fn a_list_that_cannot_be_written_costs_no_key_and_the_next_start_lists_it() {
    let world = World::new();
    world.apply(&["a"], world.management());
    // What stands in a file's way, as a full disk would.
    let obstacle = world.data().join("inventory.json.new");
    fs::create_dir(&obstacle).unwrap();
    let ends = world.apply(&["b"], world.management());
    assert!(ends[0].starts_with("but the key is stored, but the inventory could not"), "{ends:?}");
    assert_eq!(world.listed(), ["a"]);
    fs::remove_dir(&obstacle).unwrap();
    let recovered = wait(provision::recover_attempts(&world.services)).unwrap();
    assert!(recovered.unresolved.is_empty() && recovered.not_stored.is_empty());
    assert_eq!(world.listed(), ["a", "b"]);

    let obstacle = world.data().join("journal.json.new");
    fs::create_dir(&obstacle).unwrap();
    let ends = world.apply(&["c", "d", "e"], world.management());
    assert!(ends[0].starts_with("1 ") && ends[0].contains("journal.json"), "{ends:?}");
    assert_eq!(ends[2], "1 not started");
    assert_eq!(world.issued(), ["a", "b"], "nothing is asked for that cannot be written down");
}

#[test]
fn a_label_that_the_vault_knows_fails_alone() {
    let world = World::new();
    let slot = EntryId { service: "keywright/test".into(), account: "b".into() };
    world.services.secret_store.set(&slot, &"theirs".into(), SOON).unwrap();
    let ends = world.apply(&["a", "b", "c"], world.management());
    assert!(ends[1].starts_with("2 the secret store has a key with the label b"), "{ends:?}");
    assert_eq!(world.issued(), ["a", "c"]);
}

#[test]
fn the_second_queue_waits_for_the_first_and_can_be_left() {
    let world = World::new();
    let (leave, mut left) = watch::channel(false);
    let told = AtomicUsize::new(0);
    let first = wait(keys::lock_apply(&world.services, &mut left, || panic!("it is free")));
    let waits = || {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let claims = wait(async {
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
    let second = wait(async {
        let second = keys::lock_apply(&world.services, &mut left, waits);
        let end = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        tokio::join!(second, end).0
    });
    assert!(second.unwrap().is_some());
}
