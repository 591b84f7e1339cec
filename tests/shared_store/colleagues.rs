//! Two machines that share a store: what one of them removes, and what it must not remove.

use std::time::Duration;

use jiff::Timestamp;
use keywright::api::openrouter::Attribution;
use keywright::domain::{
    ApiKey, KeyDefaults, KeyUpdate, KeyUpdateOutcome, Label, ManagementKey, PendingReplacement,
    ProfileName, StoreKind, StoredKey, TrashedKey, UserError,
};
use keywright::services::keys;
use keywright::services::provision::{PendingAttempts, ServiceContext, SkippedRows};
use keywright::services::shared_inventory;
use keywright::storage::inventory;
use keywright::storage::json_store::StoreLocation;
use keywright::storage::secret_store::{EntryId, SecretStore};
use secrecy::ExposeSecret;

use super::engine::{FakeEngine, State};
use super::{CI, TIMEOUT, bao, entry_id, secret};

const SERVER: &str = "https://openrouter.ai";

fn key_text(digit: &str) -> String {
    format!("sk-or-v1-{}", digit.repeat(64))
}

/// Returns a machine with a data directory of its own.
fn machine(engine: &FakeEngine) -> ServiceContext {
    ServiceContext {
        server: SERVER.into(),
        profile: ProfileName::default(),
        other_profiles: Vec::new(),
        key_defaults: KeyDefaults::default(),
        keychain_service: "keywright".into(),
        management_key: None,
        secret_store: SecretStore::bao(bao(engine)),
        other_stores: Vec::new(),
        is_store_fixed: false,
        local_store: None,
        secret_store_timeout: TIMEOUT,
        location: StoreLocation::in_memory(),
        pending_attempts: PendingAttempts::default(),
        skipped_rows: SkippedRows::default(),
        attribution: Attribution {
            url: String::new(),
            title: String::new(),
            categories: String::new(),
        },
        request_timeout: Duration::from_secs(1),
        max_retries: 0,
        callback_port: 0,
        open_browser: |_| Err("no browser in a test".into()),
    }
}

/// Stores a key as `ci`, with its record, and returns it.
fn create(services: &ServiceContext, text: &str) -> StoredKey {
    services.secret_store.create(&entry_id("ci"), &secret(text), TIMEOUT).unwrap();
    let key = ApiKey::from(text.to_owned());
    let label = "ci".parse().unwrap();
    let key = StoredKey::new(label, &key, SERVER.into(), StoreKind::Bao, Timestamp::now());
    inventory::upsert_keys(&services.location, vec![key]).unwrap();
    shared_inventory::write_records(services).unwrap();
    find(services).unwrap()
}

fn find(services: &ServiceContext) -> Option<StoredKey> {
    inventory::find_key(&services.location, SERVER, "ci").unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// Returns the removed keys that can be restored, after the store was read.
fn restorable(services: &ServiceContext) -> Vec<TrashedKey> {
    keys::read_shared_trash(services).unwrap();
    keys::list_restorable_keys(services, Timestamp::now()).unwrap()
}

#[test]
fn a_key_that_a_colleague_removed_is_listed_and_restored() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let key = create(&eva, &key_text("a"));
    assert!(keys::remove_key(&eva, &key).unwrap().is_some());
    assert_eq!(engine.edit(|state| state.versions(CI)), 0);
    let listed = restorable(&max);
    let [trashed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&trashed.key.label, &trashed.key.hash), (&key.label, &key.hash));
    assert!(trashed.removed_by().unwrap().contains('@'));
    let restored = keys::restore_key(&max, trashed, &key.label).unwrap();
    assert_eq!(restored.hash, key.hash);
    shared_inventory::write_records(&max).unwrap();
    let created_by = |key: &StoredKey| key.shared.as_ref().unwrap().created_by();
    assert_eq!(created_by(&find(&max).unwrap()), created_by(&key));
    assert!(restorable(&eva).is_empty());
    let fields = engine.edit(|state| state.custom_metadata(CI));
    assert_eq!(fields.get("hash"), Some(&key.hash));
    assert!(!fields.contains_key("removed_by"), "{fields:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares secrets")]
fn what_a_colleague_stored_under_the_label_meanwhile_is_not_removed() {
    let engine = FakeEngine::start();
    let services = machine(&engine);
    let key = create(&services, &key_text("a"));
    engine.edit(|state| state.write(CI, &key_text("b")));
    let error = keys::remove_key(&services, &key).unwrap_err().to_user_error();
    assert_eq!(error.message, "someone else replaced the key of 'ci' in the meantime");
    assert_eq!(error.meaning, "nothing was removed");
    let stored = services.secret_store.get(&entry_id("ci"), TIMEOUT).unwrap();
    assert_eq!(stored.expose_secret(), key_text("b"));
    assert!(restorable(&services).is_empty());
}

#[test]
fn a_removal_is_listed_though_the_own_inventory_still_has_the_key() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let key = create(&max, &key_text("a"));
    shared_inventory::read_all(&eva, |_, _| ()).unwrap();
    keys::remove_key(&eva, &find(&eva).unwrap()).unwrap();
    let [trashed] = &restorable(&max)[..] else { panic!("the removal is hidden") };
    assert_eq!(trashed.key.hash, key.hash);
    // Without a reading in between, too.
    assert_eq!(keys::restore_key(&max, trashed, &key.label).unwrap().hash, key.hash);
}

#[test]
fn emptying_the_trash_deletes_neither_restored_keys_nor_those_of_others() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let restored = create(&eva, &key_text("a"));
    keys::remove_key(&eva, &restored).unwrap();
    let trashed = restorable(&max).remove(0);
    keys::restore_key(&max, &trashed, &restored.label).unwrap();
    shared_inventory::write_records(&max).unwrap();
    keys::read_shared_trash(&eva).unwrap();
    assert_eq!(keys::list_own_removed_keys(&eva).unwrap(), []);
    assert_eq!(keys::empty_trash(&eva).unwrap(), []);
    assert_eq!(find(&eva).unwrap().hash, restored.hash);
    // What someone else removed stays.
    keys::remove_key(&max, &find(&max).unwrap()).unwrap();
    let entry = max
        .secret_store
        .as_bao()
        .unwrap()
        .entry_path(&EntryId { service: "keywright trash".into(), account: restored.hash.clone() });
    engine.edit(|state| state.set_custom_metadata(&entry, "removed_by", "max@desk"));
    assert_eq!(restorable(&eva)[0].removed_by().as_deref(), Some("max@desk"));
    assert_eq!(keys::empty_trash(&eva).unwrap(), []);
    assert_eq!(restorable(&eva).len(), 1);
    assert_eq!(keys::empty_trash(&max).unwrap().len(), 1);
    assert!(restorable(&eva).is_empty());
}

#[test]
fn a_label_that_a_colleague_freed_can_be_taken() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let key = create(&max, &key_text("a"));
    shared_inventory::read_all(&eva, |_, _| ()).unwrap();
    assert!(keys::check_label(&eva, &key.label).is_err());
    keys::remove_key(&max, &key).unwrap();
    keys::check_label(&eva, &key.label).unwrap();
    assert_eq!(find(&eva), None);
}

/// Returns the message of each act on a key as a machine listed it before a colleague changed it.
fn act_on_stale_key(services: &ServiceContext, stale: &StoredKey) -> Vec<UserError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let management = ManagementKey::from("sk-or-v1-management".to_owned());
    let update = |new_label: Option<&str>| KeyUpdate {
        key: stale.clone(),
        account_patch: None,
        guardrail: None,
        new_label: new_label.map(|label| label.parse().unwrap()),
    };
    let failed = |outcome| match outcome {
        KeyUpdateOutcome::Failed(error) => error,
        other => panic!("{other:?}"),
    };
    runtime.block_on(async {
        let disabled = keys::set_disabled(services, &management, stale, true).await;
        // Revoking and removing begin with this.
        let removed = keys::keep_earlier_keys(services, stale, &stale.label).await;
        let new: Label = "other".parse().unwrap();
        vec![
            disabled.unwrap_err().to_user_error(),
            removed.unwrap_err().to_user_error(),
            keys::rename_key(services, stale, &new, None).await.unwrap_err().to_user_error(),
            failed(keys::apply_key_update(services, update(None)).await),
            failed(keys::apply_key_update(services, update(Some("other"))).await),
            keys::load_listed_key(services, stale).unwrap_err().to_user_error(),
        ]
    })
}

#[test]
fn nothing_is_done_to_a_key_that_a_colleague_replaced_renamed_or_removed_meanwhile() {
    type Change<'a> = &'a dyn Fn(&mut State);
    let old_path = "keywright/default/ci%20(old)";
    let changes: [(Change<'_>, &str, &str); 4] = [
        (
            &|state| state.write(CI, &key_text("b")),
            "someone else replaced the key of 'ci' in the meantime",
            "nothing was done",
        ),
        (
            &|state| {
                state.write(CI, &key_text("b"));
                state.write(old_path, &key_text("a"));
            },
            "someone else replaced the key of 'ci' in the meantime",
            "nothing was done; the earlier key is 'ci (old)' now",
        ),
        (
            &|state| {
                state.remove(CI);
                state.write(old_path, &key_text("a"));
            },
            "someone else renamed 'ci' to 'ci (old)' in the meantime",
            "nothing was done",
        ),
        (
            &|state| state.remove(CI),
            "someone else removed 'ci' in the meantime",
            "nothing was done",
        ),
    ];
    for (change, message, meaning) in changes {
        let engine = FakeEngine::start();
        let (eva, max) = (machine(&engine), machine(&engine));
        create(&eva, &key_text("a"));
        shared_inventory::read_all(&max, |_, _| ()).unwrap();
        let stale = find(&max).unwrap();
        engine.edit(|state| {
            change(state);
            state.requests.clear();
        });
        for error in act_on_stale_key(&max, &stale) {
            assert_eq!((&*error.message, &*error.meaning), (message, meaning));
            assert!(error.advice.contains("keywright "), "{}", error.advice);
        }
        // The inventory has what the store has now, and nothing was written.
        assert_ne!(find(&max).map(|key| key.hash.clone()), Some(stale.hash.clone()));
        engine.edit(|state| assert!(state.requests.iter().all(|line| line.starts_with("GET"))));
    }
}

#[test]
fn a_key_that_a_colleague_renamed_or_removed_is_said_to_be() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let key = create(&max, &key_text("a"));
    shared_inventory::read_all(&eva, |_, _| ()).unwrap();
    let build: Label = "build".parse().unwrap();
    block_on(keys::rename_key(&max, &key, &build, None)).unwrap();
    shared_inventory::write_records(&max).unwrap();
    let error = keys::missing_error(&eva, &key.label).to_user_error();
    assert_eq!(error.message, "someone else renamed 'ci' to 'build' in the meantime");
    assert!(error.advice.ends_with("keywright show build"), "{error:?}");
    let stored = inventory::find_key(&max.location, SERVER, "build").unwrap().unwrap();
    keys::remove_key(&max, &stored).unwrap();
    let error = keys::missing_error(&eva, &build).to_user_error();
    assert!(error.message.ends_with(" removed 'build' in the meantime"), "{error:?}");
    assert!(error.advice.ends_with("keywright trash restore build"), "{error:?}");
    assert!(error.meaning.contains("stays valid"), "{error:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares secrets")]
fn the_current_key_is_loaded_with_one_request() {
    let engine = FakeEngine::start();
    let services = machine(&engine);
    let key = create(&services, &key_text("a"));
    engine.edit(|state| state.requests.clear());
    let loaded = keys::load_listed_key(&services, &key).unwrap();
    assert_eq!(loaded.expose_secret(), key_text("a"));
    engine.edit(|state| assert_eq!(state.requests.len(), 1));
}

#[test]
fn the_text_of_another_key_is_not_loaded_from_a_store_of_this_machine() {
    let engine = FakeEngine::start();
    let mut services = machine(&engine);
    let stored = (entry_id("ci"), secret(&key_text("b")));
    services.secret_store = SecretStore::memory_with_entries(vec![stored]);
    let key = |text: &str| {
        let key = ApiKey::from(key_text(text));
        let label = "ci".parse().unwrap();
        StoredKey::new(label, &key, SERVER.into(), StoreKind::Memory, Timestamp::now())
    };
    // Another program rotated the key.
    inventory::upsert_keys(&services.location, vec![key("b")]).unwrap();
    let error = keys::load_listed_key(&services, &key("a")).unwrap_err().to_user_error();
    assert_eq!(error.message, "another program replaced the key of 'ci' in the meantime");
    assert!(keys::load_listed_key(&services, &key("b")).is_ok());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares secrets")]
fn a_rotation_follows_a_label_that_a_colleague_changed_meanwhile() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let old = create(&max, &key_text("a"));
    shared_inventory::read_all(&eva, |_, _| ()).unwrap();
    // The new key of the rotation is stored, and its label not moved yet.
    let new: Label = "ci (new)".parse().unwrap();
    eva.secret_store.create(&entry_id("ci (new)"), &secret(&key_text("b")), TIMEOUT).unwrap();
    let text = ApiKey::from(key_text("b"));
    let mut new = StoredKey::new(new, &text, SERVER.into(), StoreKind::Bao, Timestamp::now());
    new.replaces = Some(PendingReplacement {
        hash: old.hash.clone(),
        unused_for: 3_600,
        revoke_when_unused: false,
        is_planned: false,
    });
    inventory::upsert_keys(&eva.location, vec![new.clone()]).unwrap();
    block_on(keys::rename_key(&max, &old, &"build".parse().unwrap(), None)).unwrap();
    shared_inventory::write_records(&max).unwrap();
    let rotated = block_on(keys::move_label(&eva, &new)).unwrap();
    assert_eq!(rotated.new.label.as_str(), "build");
    assert_eq!(rotated.old.unwrap().label.as_str(), "build (old)");
    let get = |label: &str| eva.secret_store.get(&entry_id(label), TIMEOUT).unwrap();
    assert_eq!(get("build").expose_secret(), key_text("b"));
    assert_eq!(get("build (old)").expose_secret(), key_text("a"));
}

#[test]
fn undoing_a_removal_that_a_colleague_undid_says_so() {
    let engine = FakeEngine::start();
    let (eva, max) = (machine(&engine), machine(&engine));
    let key = create(&eva, &key_text("a"));
    let trashed = keys::remove_key(&eva, &key).unwrap().unwrap();
    keys::read_shared_trash(&max).unwrap();
    keys::restore_key(&max, &restorable(&max)[0], &key.label).unwrap();
    let error = keys::restore_key(&eva, &trashed, &key.label).unwrap_err().to_user_error();
    assert_eq!(error.message, "someone else restored 'ci' in the meantime");
    assert_eq!(error.meaning, "it is stored as 'ci'");
    assert_eq!(find(&eva).unwrap().hash, key.hash);
}
