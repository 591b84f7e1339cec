//! Operations on existing keys, against the sandbox and with injected faults.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]

#[path = "account/account_keys.rs"]
mod account_keys;
#[path = "account/disk.rs"]
mod disk;
#[cfg(unix)]
#[path = "support/helper.rs"]
mod helper;
#[path = "account/leftovers.rs"]
mod leftovers;
#[path = "account/other_account.rs"]
mod other_account;
#[path = "account/pending.rs"]
mod pending;
#[path = "account/proxy.rs"]
mod proxy;
#[path = "account/replacement.rs"]
mod replacement;
#[path = "account/resources.rs"]
mod resources;
#[path = "account/resumed.rs"]
mod resumed;
#[path = "account/revoke.rs"]
mod revoke;
#[path = "account/rotation.rs"]
mod rotation;
#[path = "account/server.rs"]
mod server;
#[path = "account/stores.rs"]
mod stores;
#[path = "account/trash.rs"]
mod trash;
#[path = "account/usage.rs"]
mod usage;

use keywright::cli::exit_code;
use std::time::Duration;

use keywright::api::openrouter::Attribution;
use keywright::domain::{
    ApiKey, Label, ManagementKey, RequestedPolicy, ResetInterval, StoreKind, StoredKey,
};
use keywright::sandbox::{Options, Sandbox};
use keywright::services::keys::{
    self, Error, MigratedEntry, Migration, management_key, migrate_entries,
};
use keywright::services::provision::{PendingAttempts, ServiceContext};
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use proxy::{Fault, Proxy};
use secrecy::{ExposeSecret, SecretString};

const TIMEOUT: Duration = Duration::from_secs(1);

/// An account at the sandbox, a proxy in front of it, and a machine that stores the account's keys.
struct TestAccount {
    sandbox: Sandbox,
    proxy: Proxy,
    services: ServiceContext,
    management: ManagementKey,
}

impl TestAccount {
    fn new() -> Self {
        Self::of(4, StoreLocation::in_memory())
    }

    fn of(keys: usize, place: StoreLocation) -> Self {
        let sandbox = Sandbox::start(&Options { port: 0, key_count: keys }).unwrap();
        let proxy = Proxy::before(sandbox.url());
        let mut secrets = Vec::new();
        let mut rows = Vec::new();
        for seed in sandbox.seed_keys() {
            let key = ApiKey::from(seed.secret.clone());
            let label: Label = seed.label.parse().unwrap();
            secrets.push((entry_id(&seed.label), SecretString::from(seed.secret)));
            rows.push(
                StoredKey::new(label, &key, proxy.url.clone(), StoreKind::Memory, seed.created_at)
                    .with(|key| {
                        key.requested = RequestedPolicy {
                            limit: seed.limit.and_then(|limit| limit.try_into().ok()),
                            limit_reset: seed
                                .limit_reset
                                .and_then(|word| ResetInterval::parse(word).unwrap()),
                            expires_at: seed.expires_at,
                            ..RequestedPolicy::default()
                        }
                    }),
            );
        }
        let services = ServiceContext {
            server: proxy.url.clone(),
            profile: keywright::domain::ProfileName::default(),
            other_profiles: Vec::new(),
            key_defaults: keywright::domain::KeyDefaults::default(),
            keychain_service: "keywright/test".into(),
            management_key: None,
            secret_store: SecretStore::memory_with_entries(secrets),
            secret_store_timeout: TIMEOUT,
            location: place,
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
            max_retries: 1,
            callback_port: 0,
            open_browser: |_| Err("no browser in a test".into()),
        };
        inventory::upsert_keys(&services.location, rows).unwrap();
        let management = ManagementKey::from(sandbox.management_key().to_owned());
        Self { sandbox, proxy, services, management }
    }

    fn stored_key(&self, label: &str) -> StoredKey {
        inventory::find_key(&self.services.location, &self.services.server, label).unwrap().unwrap()
    }

    fn labels(&self) -> Vec<String> {
        let rows = inventory::list_keys(&self.services.location, &self.services.server).unwrap();
        rows.into_iter().map(|stored_key| stored_key.label.to_string()).collect()
    }

    /// Returns what `get LABEL` prints.
    fn get(&self, label: &str) -> Option<String> {
        let secret = self.services.secret_store.get(&entry_id(label), TIMEOUT).ok()?;
        Some(secret.expose_secret().to_owned())
    }

    fn put(&self, label: &str, key: &str) {
        self.services
            .secret_store
            .set(&entry_id(label), &SecretString::from(key), TIMEOUT)
            .unwrap();
    }

    fn entries(&self) -> Vec<String> {
        self.services.secret_store.list_accounts("keywright/test", TIMEOUT).unwrap()
    }

    /// Returns the hashes of the removed keys in the store.
    fn trash_entries(&self) -> Vec<String> {
        self.services.secret_store.list_accounts("keywright/test trash", TIMEOUT).unwrap()
    }

    /// Injects `fault` into the requests that begin with `beginning`.
    fn inject_fault(&self, beginning: &'static str, fault: Fault) {
        self.proxy.set_rule(move |request| {
            if request.starts_with(beginning) { fault.clone() } else { Fault::Pass }
        });
    }
}

/// Moves everything from one store of this machine to another.
fn migrate_all(
    services: &ServiceContext,
    from: &SecretStore,
    to: &SecretStore,
) -> Result<Vec<MigratedEntry>, Error> {
    let mut moved = Vec::new();
    let migration = Migration {
        location: &services.location,
        to,
        local_from: Some(from),
        open_store: &|kind| panic!("{kind} was opened"),
        timeout: TIMEOUT,
        server: &services.server,
        service: &|_| "keywright/test".into(),
        labels: &[],
    };
    migrate_entries(&migration, &mut |entry| moved.push(entry.clone()))?;
    Ok(moved)
}

fn entry_id(label: &str) -> EntryId {
    EntryId { service: "keywright/test".into(), account: label.into() }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

#[test]
fn import_checks_the_key_before_storing_it() {
    let world = TestAccount::new();
    let seed = &world.sandbox.seed_keys()[0];
    let key = ApiKey::from(seed.secret.clone());
    let import =
        |name: &str, key: &ApiKey| block_on(keys::import_key(&world.services, &label(name), key));
    // Every refusal comes before anything is stored.
    assert!(
        matches!(import("other", &key), Err(Error::KeyAlreadyStored(stored_key)) if stored_key.as_str() == "laptop")
    );
    let stranger = ApiKey::from(format!("sk-or-v1-{}", "ab".repeat(32)));
    assert!(matches!(import("laptop", &stranger), Err(Error::LabelTaken(_))));
    assert!(matches!(import("other", &stranger), Err(Error::KeyRejected)));
    let management = ApiKey::from(world.sandbox.management_key().to_owned());
    assert!(matches!(import("other", &management), Err(Error::IsManagementKey)));
    world.put("theirs", "x");
    inventory::remove_key(&world.services.location, &world.stored_key("laptop")).unwrap();
    assert!(matches!(import("theirs", &key), Err(Error::LabelInSecretStore(_))));
    world.inject_fault("", Fault::Respond(500, String::new()));
    assert_eq!(exit_code(import("other", &key).unwrap_err().to_user_error().kind), 6);
    assert!(world.get("other").is_none() && !world.labels().contains(&"other".to_owned()));
    // The key is valid even if the account has no credit.
    world.inject_fault("", Fault::Respond(402, String::new()));
    assert_eq!(import("poor", &key).unwrap().info, None);
    assert_eq!(world.get("poor").as_deref(), Some(seed.secret.as_str()));
    inventory::remove_key(&world.services.location, &world.stored_key("poor")).unwrap();
    world.inject_fault("", Fault::Pass);
    // An interrupted import left an entry with the same key, so the import continues.
    let stored_key = import("poor", &key).unwrap();
    assert_eq!(
        (stored_key.limit().value(), stored_key.differing_fields()),
        (seed.limit, Vec::new())
    );
    assert_eq!(world.stored_key("poor"), stored_key);
}

#[test]
fn rename_updates_secret_store_and_inventory() {
    let world = TestAccount::new();
    let secret = world.get("ci").unwrap();
    let rename = |old: &StoredKey, new: &str, management: Option<&ManagementKey>| {
        block_on(keys::rename_key(&world.services, old, &label(new), management))
    };
    let old = world.stored_key("ci");
    assert!(matches!(rename(&old, "laptop", None), Err(Error::LabelTaken(_))));
    world.put("theirs", "x");
    assert!(matches!(rename(&old, "theirs", None), Err(Error::LabelInSecretStore(_))));
    assert_eq!(world.get("theirs").as_deref(), Some("x"));
    let renamed = rename(&old, "build", Some(&world.management)).unwrap();
    assert!(renamed.warning.is_none(), "{:?}", renamed.warning);
    assert_eq!((world.get("build"), world.get("ci")), (Some(secret), None));
    assert_eq!(world.stored_key("build").hash, old.hash);
    let client = world.services.build_management_client(&world.management).unwrap();
    let there = block_on(client.get_key(&old.hash)).unwrap();
    assert_eq!(there.name.as_deref(), Some("build"));
    assert!(matches!(rename(&old, "again", None), Err(Error::NotInInventory(_))));
    // The key is renamed here even if the server rejects the name.
    world.inject_fault("PATCH", Fault::Respond(403, String::new()));
    let renamed = rename(&world.stored_key("build"), "make", Some(&world.management)).unwrap();
    assert!(renamed.warning.unwrap().message.contains("was not changed"));
    assert!(world.get("make").is_some());
}

#[test]
fn labels_that_look_the_same_are_one_label_and_old_ones_stay_usable() {
    let world = TestAccount::new();
    let services = &world.services;
    let [laptop, ci] = [0, 1].map(|index| world.sandbox.seed_keys()[index].secret.clone());
    for stored in ["laptop", "ci"] {
        keys::remove_key(services, &world.stored_key(stored)).unwrap();
    }
    let import = |name: &Label, key: &str| {
        block_on(keys::import_key(services, name, &ApiKey::from(key.to_owned())))
    };
    // Earlier versions accepted a decomposed label, and one with an invisible character.
    import(&Label::parse_existing("cafe\u{301}").unwrap(), &laptop).unwrap();
    assert!(matches!(import(&label("caf\u{e9}"), &ci), Err(Error::LabelTaken(_))));
    import(&Label::parse_existing("c\u{34f}i").unwrap(), &ci).unwrap();
    let find = |text: &str| {
        inventory::find_key(&services.location, &services.server, text).unwrap().unwrap()
    };
    for text in ["ci", "c\u{34f}i"] {
        assert_eq!(find(text).label.as_str(), "c\u{34f}i");
    }
    // The key itself may get the new spelling.
    for (old, new) in [("caf\u{e9}", "caf\u{e9}"), ("ci", "ci")] {
        let renamed = block_on(keys::rename_key(services, &find(old), &label(new), None)).unwrap();
        assert_eq!(renamed.stored_key.label.as_str(), new);
    }
    assert_eq!(world.get("caf\u{e9}"), Some(laptop));
    keys::remove_key(services, &world.stored_key("ci")).unwrap();
    assert_eq!((world.get("ci"), world.get("c\u{34f}i")), (None, None));
}

#[test]
fn rename_is_undone_if_the_inventory_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let world = TestAccount::of(4, StoreLocation::Directory(dir.path().to_owned()));
    let before = (world.labels(), world.entries());
    let blocked = dir.path().join("inventory.json.new");
    std::fs::create_dir(&blocked).unwrap();
    let rename =
        || block_on(keys::rename_key(&world.services, &world.stored_key("ci"), &label("b"), None));
    let result = rename();
    assert!(matches!(result, Err(Error::JsonStore(_))), "{result:?}");
    assert_eq!((world.labels(), world.entries()), before);
    std::fs::remove_dir(&blocked).unwrap();
    rename().unwrap();
}

#[test]
fn management_key_is_checked_and_stored_separately() {
    let world = TestAccount::new();
    let read = || block_on(management_key::load_management_key(&world.services)).unwrap();
    assert!(read().is_none());
    let required =
        block_on(management_key::require_management_key(&world.services, "https://page"))
            .unwrap_err();
    assert!(required.to_user_error().advice.contains("https://page"), "{required:?}");
    let ordinary = ManagementKey::from(world.sandbox.seed_keys()[0].secret.clone());
    let set =
        |key: &ManagementKey| block_on(management_key::store_management_key(&world.services, key));
    assert!(matches!(set(&ordinary), Err(Error::NotManagementKey)));
    let dead = ManagementKey::from("sk-or-v1-dead".to_owned());
    assert!(matches!(set(&dead), Err(Error::KeyRejected)));
    assert!(read().is_none());
    let entries = world.entries();
    set(&world.management).unwrap();
    let key = read().unwrap();
    assert_eq!(key.expose_secret(), world.management.expose_secret());
    assert_eq!(world.entries(), entries, "it is not among the keys");
    let given = ServiceContext { management_key: Some(dead.clone()), ..world.services.clone() };
    let used = block_on(management_key::load_management_key(&given)).unwrap().unwrap();
    assert_eq!(used.expose_secret(), dead.expose_secret(), "that of the environment is used");
    assert!(block_on(management_key::remove_management_key(&world.services)).unwrap());
    assert!(!block_on(management_key::remove_management_key(&world.services)).unwrap());
}
