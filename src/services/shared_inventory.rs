//! The keys of a shared store. The records of the entries are authoritative: they contain everything
//! that is known about a key except the results of checks, and the inventory is a copy of them.
//!
//! Commands change the inventory, and [`write_records`] writes these changes to the store. A change
//! that cannot be written is written the next time. The record of a new key is written when the key is
//! stored.

mod conflict;
mod history;
mod lock;
mod problems;
mod read_only_view;
mod reconcile;

pub use conflict::find_conflict;
pub(in crate::services) use conflict::find_conflict_async;
pub use history::{KeyVersion, VersionState, list_versions};
pub use lock::{PlanLock, lock_plan};
pub use problems::{find_problems, loss_error};
pub use read_only_view::read_only_view;
pub use reconcile::InventoryChanges;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::{
    ApiKey, KeyLocation, Label, SecretLoss, SharedRecord, StoredKey, UserError, format_command,
    is_key_hash, join_pairs, set_identity, sort_by_key,
};
use crate::services::provision::{ServiceContext, described_version, write_record};
use crate::storage::inventory;
use crate::storage::json_store;
use crate::storage::secret_store;
use crate::storage::secret_store::bao::{self, BaoStore, EntryMetadata};
use reconcile::{ReadScope, reconcile};

/// How many entries are read or written at once.
const MAX_CONCURRENT_CALLS: usize = 16;

/// An error of the shared store or of the inventory.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The shared store failed.
    #[error(transparent)]
    Store(#[from] secret_store::Error),
    /// The inventory cannot be read or written.
    #[error(transparent)]
    Inventory(#[from] json_store::Error),
}

impl Error {
    /// Returns the error as it is shown to the user.
    pub fn to_user_error(&self) -> UserError {
        match self {
            Self::Store(error) => error.to_user_error(),
            Self::Inventory(error) => error.to_user_error(),
        }
    }
}

/// What was read of entries.
#[derive(Default)]
struct ReadEntries {
    keys: Vec<StoredKey>,
    /// Why other entries do not say which key they have.
    unreadable: Vec<secret_store::Error>,
}

/// The shared store in use, with the context whose store it is.
pub(super) struct SharedStore {
    services: ServiceContext,
    store: BaoStore,
}

/// Returns a context whose store is the shared store, if one is in use.
pub(super) fn shared_services(services: &ServiceContext) -> Option<ServiceContext> {
    SharedStore::find(services).map(|shared| shared.services)
}

impl SharedStore {
    /// Returns the shared store, if one is in use. Another store than that of new keys is in use if the
    /// inventory has a key of it.
    fn find(services: &ServiceContext) -> Option<Self> {
        if let Some(store) = services.secret_store.as_bao() {
            return Some(Self { services: services.clone(), store: store.clone() });
        }
        let other = services.other_stores.iter().find(|store| store.as_bao().is_some())?;
        let kind = other.kind();
        let is_used = |key: &StoredKey| key.is_in_store(&kind);
        let keys = services.filter_keys(is_used).ok()?;
        let services = services.for_key(keys.first()?);
        let store = services.secret_store.as_bao()?.clone();
        Some(Self { services, store })
    }

    fn path(&self, label: &str) -> String {
        self.store.entry_path(&self.services.entry_id(label))
    }

    fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        let kind = self.services.secret_store.kind();
        let server = &self.services.server;
        Ok(inventory::filter_keys(&self.services.location, server, |key| key.is_in_store(&kind))?)
    }

    /// Returns the labels of all entries.
    fn list_labels(&self) -> Result<Vec<Label>, Error> {
        let names = self.store.list(&self.store.folder_path(&self.services.keychain_service))?;
        let labels = names.iter().filter_map(|name| BaoStore::decode_name(name));
        Ok(labels.filter_map(|label| Label::parse_existing(&label).ok()).collect())
    }

    /// Returns the keys that these entries describe. An entry that is gone is
    /// left out. Any other failure ends the reading, because entries that were not read would seem
    /// to be gone.
    fn read_keys(
        &self,
        labels: Vec<Label>,
        on_read: Arc<dyn Fn(usize) + Send + Sync>,
    ) -> Result<ReadEntries, Error> {
        let names = labels.iter().map(|label| BaoStore::encode_name(label.as_str())).collect();
        let folder = self.store.folder_path(&self.services.keychain_service);
        let all = self.store.read_all_metadata(&folder, names, on_read)?;
        let mut entries = Vec::with_capacity(labels.len());
        for (label, metadata) in labels.into_iter().zip(all) {
            match metadata {
                Ok(metadata) => entries.push((label, metadata)),
                Err(secret_store::Error::NoEntry) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut read = ReadEntries::default();
        for key in run_parallel(entries, |(label, metadata)| self.to_stored_key(label, &metadata)) {
            match key {
                Ok(key) => read.keys.push(key),
                Err(secret_store::Error::NoEntry) => {}
                Err(error) if error.is_about_entry() => read.unreadable.push(error),
                Err(error) => return Err(error.into()),
            }
        }
        // If a key is in two entries, the one that can be read and has a record is its own.
        sort_by_key(&mut read.keys, |key| {
            let rank = |record: &SharedRecord| (record.loss.is_some(), record.fields.is_empty());
            key.shared.as_deref().map(rank)
        });
        Ok(read)
    }

    /// Returns the key that an entry describes. The secret is read only where another program wrote the
    /// entry, or the current version is not described yet.
    fn to_stored_key(
        &self,
        label: Label,
        metadata: &EntryMetadata,
    ) -> Result<StoredKey, secret_store::Error> {
        let version = metadata.current_version;
        let mut fields = join_pairs(metadata.custom_metadata.clone());
        let read = fields.clone();
        let is_described = described_version(&fields) == Some(version);
        if !is_described || !fields.get("hash").is_some_and(|hash| is_key_hash(hash)) {
            let key = to_api_key(&self.store.read(&self.path(label.as_str()))?.secret);
            if is_described {
                // Only the hash is wrong.
                fields.insert("hash".into(), key.hash());
                fields.insert("masked".into(), key.masked());
            } else {
                set_identity(&mut fields, &key);
            }
        }
        let created = metadata.versions.get(&version).and_then(|version| version.created_time);
        let created = created.unwrap_or_else(Timestamp::now);
        let location = KeyLocation::Stored(self.services.secret_store.kind());
        let record = SharedRecord::new(label, version, fields);
        let key = StoredKey::from_shared_record(record, &self.services.server, location, created);
        let mut key = key.ok_or(secret_store::Error::NoEntry)?;
        if let Some(record) = &mut key.shared {
            record.fields = read;
            record.loss = find_loss(metadata);
        }
        Ok(key)
    }

    /// Updates the inventory to what was read. Writes it only if something changed.
    fn update_inventory(
        &self,
        known_before: HashSet<(Label, String)>,
        ReadEntries { keys: read, unreadable }: ReadEntries,
    ) -> Result<InventoryChanges, Error> {
        let store = self.services.secret_store.kind();
        let location = &self.services.location;
        let scope = ReadScope { server: &self.services.server, store: &store, known_before };
        let before = inventory::list_all_keys(location)?;
        let mut after = before.clone();
        let mut changes = reconcile(&mut after, &scope, read.clone());
        if before != after {
            changes = inventory::update_keys(location, |keys| reconcile(keys, &scope, read))?;
        }
        changes.unreadable = unreadable;
        Ok(changes)
    }
}

/// Reads all keys of the shared store into the inventory. `on_read` gets the number of entries read and
/// their total. Does nothing without a shared store. Blocks.
pub fn read_all(
    services: &ServiceContext,
    on_read: impl Fn(usize, usize) + Send + Sync + 'static,
) -> Result<InventoryChanges, Error> {
    let Some(shared) = SharedStore::find(services) else { return Ok(InventoryChanges::default()) };
    let known_before = identities(&shared.keys()?);
    let labels = shared.list_labels()?;
    let total = labels.len();
    let read = shared.read_keys(labels, Arc::new(move |count| on_read(count, total)))?;
    shared.update_inventory(known_before, read)
}

/// Reads one key of the shared store into the inventory, also one that the inventory does not have. A
/// key of another store is not read. Blocks.
pub fn read_key(services: &ServiceContext, label: &str) -> Result<(), Error> {
    let Some(shared) = SharedStore::find(services) else { return Ok(()) };
    let listed = services.find_key(label)?;
    let kind = shared.services.secret_store.kind();
    if listed.as_ref().is_some_and(|key| !key.is_in_store(&kind)) {
        return Ok(());
    }
    let label = listed.as_ref().map_or(label, |key| key.label.as_str());
    let Ok(label) = Label::parse_existing(label) else { return Ok(()) };
    let mut read = shared.read_keys(vec![label.clone()], Arc::new(|_| ()))?;
    if read.keys.is_empty()
        && let Some(error) = read.unreadable.pop()
    {
        return Err(error.into());
    }
    if read.keys.is_empty() {
        // The label may have another spelling.
        let mut labels = shared.list_labels()?;
        labels.retain(|other| *other != label && other.is_same(label.as_str()));
        read = shared.read_keys(labels, Arc::new(|_| ()))?;
    }
    shared.update_inventory(listed.as_ref().map(identity).into_iter().collect(), read)?;
    Ok(())
}

/// Returns the warning about a key of the shared store whose label is that of another key here.
pub fn hidden_key_error(label: &Label) -> UserError {
    let rename = format_command(&["rename"], &[label.as_str(), "NEW"]);
    UserError::failed(
        format!(
            "the shared store has a key '{label}', and another store has one with this label too"
        ),
        format!("rename yours to see both: {rename}"),
    )
    .with_meaning("the label names the key of this machine")
}

/// Writes what changed in the inventory to the shared store. Does nothing if nothing changed.
/// Blocks.
pub fn write_records(services: &ServiceContext) -> Result<(), Error> {
    let Some(shared) = SharedStore::find(services) else { return Ok(()) };
    let mut changed = shared.keys()?;
    changed.retain(StoredKey::is_unshared);
    if changed.is_empty() {
        return Ok(());
    }
    let results = run_parallel(changed, |key| {
        let path = shared.path(key.label.as_str());
        let result = write_record(&shared.store, &path, &key);
        (key, result)
    });
    let (mut written, mut failed) = (Vec::new(), None);
    for (key, result) in results {
        match result {
            Ok(record) => written.push((key, record)),
            // Someone else deleted the entry; the next reading removes it here.
            Err(secret_store::Error::NoEntry) => {}
            Err(error) => failed = Some(error),
        }
    }
    if !written.is_empty() {
        inventory::update_keys(&services.location, |keys| {
            for (key, record) in written {
                let is_same = |stored_key: &&mut StoredKey| {
                    stored_key.server == key.server
                        && stored_key.hash == key.hash
                        && stored_key.label == key.label
                };
                if let Some(key) = keys.iter_mut().find(is_same) {
                    key.shared = Some(Box::new(record));
                }
            }
        })?;
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Returns whether the token may read the keys of the shared store and not change them. Blocks.
pub fn is_read_only(services: &ServiceContext) -> bool {
    let Some(shared) = SharedStore::find(services) else { return false };
    let probe = shared.path("keywright-probe");
    match shared.store.check_writable(&probe) {
        Err(secret_store::Error::Bao(bao::Error::Forbidden { .. })) => true,
        Ok(()) | Err(_) => false,
    }
}

/// Returns why the current version of an entry has no secret any more, if it has none.
fn find_loss(metadata: &EntryMetadata) -> Option<SecretLoss> {
    let version = metadata.versions.get(&metadata.current_version)?;
    if version.destroyed {
        return Some(SecretLoss::Destroyed);
    }
    let is_deleted = version.deletion_time.is_some_and(|deletion| deletion <= Timestamp::now());
    is_deleted.then_some(SecretLoss::Deleted)
}

fn identity(key: &StoredKey) -> (Label, String) {
    (key.label.clone(), key.hash.clone())
}

fn identities(keys: &[StoredKey]) -> HashSet<(Label, String)> {
    keys.iter().map(identity).collect()
}

#[expect(clippy::disallowed_methods, reason = "the key is hashed")]
fn to_api_key(secret: &SecretString) -> ApiKey {
    ApiKey::from(secret.expose_secret().to_owned())
}

/// Runs a blocking call for each item, some at a time, and returns the results in the same order.
fn run_parallel<T: Send, R: Send>(items: Vec<T>, call: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(call).collect();
    }
    let count = items.len();
    let items: Vec<Mutex<Option<T>>> =
        items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let take = |slot: &Mutex<Option<T>>| slot.lock().ok().and_then(|mut slot| slot.take());
    std::thread::scope(|scope| {
        for _ in 0..count.min(MAX_CONCURRENT_CALLS) {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(item) = items.get(index).and_then(take)
                {
                    let result = call(item);
                    if let Ok(mut slot) = results[index].lock() {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    results.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}
