//! Creation of keys in a batch, against the sandbox and with a fault at each step.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[path = "apply/existing_key.rs"]
mod existing_key;
#[path = "apply/failures.rs"]
mod failures;
#[path = "apply/groups.rs"]
mod groups;
#[cfg(unix)]
#[path = "support/helper.rs"]
mod helper;
#[cfg(unix)]
#[path = "apply/late_store.rs"]
mod late_store;
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
    StoreKind, StoredKey,
};
use keywright::sandbox::{self, Options, Sandbox};
use keywright::services::keys::{self, BatchCommand, BatchControls, ItemResult, Progress};
use keywright::services::plan::{self, KeyDiff};
use keywright::services::provision::{
    self, AuthMethod, PendingAttempts, ServiceContext, SkippedRows,
};
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
            profile: keywright::domain::ProfileName::default(),
            other_profiles: Vec::new(),
            key_defaults: keywright::domain::KeyDefaults::default(),
            keychain_service: "keywright/test".into(),
            management_key: None,
            secret_store: SecretStore::memory_with_entries(Vec::new()),
            secret_store_timeout: TIMEOUT,
            location: StoreLocation::Directory(dir.path().join("data")),
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

    /// Injects `fault` into the requests with this beginning whose number, counted from 1, is in `which`.
    fn inject_fault(
        &self,
        beginning: &'static str,
        which: std::ops::RangeInclusive<usize>,
        fault: Fault,
    ) {
        let count = AtomicUsize::new(0);
        self.proxy.set_rule(move |request| {
            let matches = request == beginning;
            let number = count.fetch_add(usize::from(matches), Ordering::Relaxed) + 1;
            if matches && which.contains(&number) { fault.clone() } else { Fault::Pass }
        });
    }

    fn apply(&self, labels: &[&str], auth_method: AuthMethod) -> Vec<String> {
        self.apply_with(labels, auth_method, |_, _| ())
    }

    /// Applies with a user who receives the progress and may send commands. Returns each result in short
    /// form.
    fn apply_with(
        &self,
        labels: &[&str],
        auth_method: AuthMethod,
        user: impl Fn(&Progress<'_>, &mpsc::Sender<BatchCommand>) + Sync,
    ) -> Vec<String> {
        let requests: Vec<KeyRequest> = labels.iter().map(|label| request(label)).collect();
        let (command, commands) = mpsc::channel(4);
        let controls = BatchControls { commands, pasted_codes: mpsc::channel(1).1 };
        let report = |progress: Progress<'_>| user(&progress, &command);
        let results =
            block_on(keys::create_keys(&requests, auth_method, &self.services, controls, &report));
        assert!(results.iter().map(|end| end.label.as_str()).eq(labels.iter().copied()));
        results.iter().map(|end| self.in_words(end)).collect()
    }

    /// Returns a result in short form. Checks that a stored key is in the secret store.
    fn in_words(&self, end: &ItemResult) -> String {
        match &end.result {
            Err(error) => format!("{} {}", exit_code(error.kind), error.message),
            Ok(stored_key) => {
                let entry_id = EntryId {
                    service: "keywright/test".into(),
                    account: stored_key.label.as_str().into(),
                };
                let secret = self.services.secret_store.get(&entry_id, TIMEOUT).unwrap();
                assert_eq!(ApiKey::from(secret.expose_secret().to_owned()).hash(), stored_key.hash);
                end.warning.as_ref().map_or("stored".into(), |note| format!("but {}", note.message))
            }
        }
    }

    fn listed(&self) -> Vec<String> {
        let rows = inventory::list_keys(&self.services.location, &self.services.server).unwrap();
        rows.into_iter().map(|stored_key| stored_key.label.to_string()).collect()
    }

    /// Returns the keys of the account without the seed keys.
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
        ..KeyRequest::default()
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
                let seen = (0..1000).any(|_| {
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
fn second_batch_waits_for_the_first_and_can_be_cancelled() {
    let world = TestAccount::new();
    let (leave, mut left) = watch::channel(false);
    let wait_count = AtomicUsize::new(0);
    let first = block_on(keys::lock_apply(&world.services, &mut left, |_| panic!("it is free")));
    let on_wait = |_: Option<&str>| {
        wait_count.fetch_add(1, Ordering::Relaxed);
    };
    let claims = block_on(async {
        let second = keys::lock_apply(&world.services, &mut left, on_wait);
        let user = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            leave.send_replace(true);
        };
        tokio::join!(second, user).0
    });
    assert!(claims.unwrap().is_none());
    assert_eq!(wait_count.load(Ordering::Relaxed), 1);
    leave.send_replace(false);
    let second = block_on(async {
        let second = keys::lock_apply(&world.services, &mut left, on_wait);
        let end = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            drop(first);
        };
        tokio::join!(second, end).0
    });
    assert!(second.unwrap().is_some());
}

#[test]
fn a_planned_key_of_another_account_is_stored_beside_its_label_and_ends_the_batch() {
    let world = TestAccount::new();
    inventory::update_keys(&world.services.location, |keys| {
        let key = ApiKey::from(String::from("mine"));
        let (at, server) = (jiff::Timestamp::UNIX_EPOCH, world.services.server.clone());
        let mine = StoredKey::new("mine".parse().unwrap(), &key, server, StoreKind::Memory, at);
        keys.push(mine.with(|key| key.user_id = Some("user_mine".into())));
    })
    .unwrap();
    let ends = world.apply(&["a", "b"], AuthMethod::Browser);
    assert!(ends[0].starts_with("1 the key stored as 'a (other account)' belongs to"), "{ends:?}");
    assert_eq!(ends[1], "1 not started");
    assert_eq!(world.listed(), ["mine", "a (other account)"]);
    let find = |label: &str| {
        inventory::find_key(&world.services.location, &world.services.server, label).unwrap()
    };
    // A plan that is applied again does not create it a second time.
    let plan = vec![request("a")];
    let listed = inventory::list_keys(&world.services.location, &world.services.server).unwrap();
    let compared = plan::compare(plan, listed, Vec::new());
    assert!(matches!(&compared[0].1, KeyDiff::OtherAccount(key) if key.user_id.is_some()));

    let aside = find("a (other account)").unwrap();
    block_on(keys::confirm_account(&world.services, &aside)).unwrap();
    assert_eq!(world.apply(&["b"], AuthMethod::Browser), ["stored"]);
    assert_eq!(world.listed(), ["mine", "a", "b"]);
    assert!(find("b").unwrap().other_account.as_ref().unwrap().confirmed);
}
