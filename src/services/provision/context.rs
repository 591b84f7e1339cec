//! The context that all services share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use url::Url;

use super::SkippedRows;
use crate::api::openrouter::{Attribution, Client, Connection, Error, ManagementClient};
use crate::domain::{
    ApiKey, KeyDefaults, KeyLocation, Label, ManagementKey, ProfileName, StoreKind, StoredKey,
    TrashedKey,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision;
use crate::storage::journal::{Attempt, AttemptGuard};
use crate::storage::json_store::{self, StoreLocation};
use crate::storage::secret_store::{self, EntryId, SecretStore};
use crate::storage::{inventory, keychain_providers};

/// Attempts of this process whose key is not stored yet. While they are here, no other process
/// recovers them.
#[derive(Clone, Default)]
pub struct PendingAttempts(Arc<Mutex<Vec<PendingAttempt>>>);

/// An attempt, with the label that the key gets at the server once it is stored and the management key
/// that created it.
type PendingAttempt = (AttemptGuard, Option<(ManagementKey, Label)>);

impl PendingAttempts {
    pub(super) fn add(&self, guard: AttemptGuard, naming: Option<(ManagementKey, Label)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((guard, naming));
    }

    /// Removes and returns the attempt that received the key with this hash.
    pub(super) fn take_by_hash(&self, hash: &str) -> Option<PendingAttempt> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = attempts.iter().position(|(guard, _)| {
            guard.attempt().received_key.as_ref().is_some_and(|stored_key| stored_key.hash == hash)
        })?;
        Some(attempts.remove(index))
    }
}

/// Settings and handles that services need.
#[derive(Clone)]
pub struct ServiceContext {
    /// The server's URL without a trailing slash.
    pub server: String,
    /// The profile whose keys these are.
    pub profile: ProfileName,
    /// The other profiles, each with its data directory.
    pub other_profiles: Vec<(ProfileName, PathBuf)>,
    /// The policy that new keys start from.
    pub key_defaults: KeyDefaults,
    /// The keychain service of the server's keys, as `config::keychain_service` returns it.
    pub keychain_service: String,
    /// The management key from the environment; it takes precedence over the stored one.
    pub management_key: Option<ManagementKey>,
    /// Where keys are stored.
    pub secret_store: SecretStore,
    /// The other stores that keys may be in; none where `--store` names the only one to use.
    pub other_stores: Vec<SecretStore>,
    /// Whether `--store` names the only store that keys may be in.
    pub is_store_fixed: bool,
    /// The store for what stays on this machine, where `secret_store` is not local; see
    /// [`ServiceContext::local_store`].
    pub local_store: Option<SecretStore>,
    /// The timeout of one secret store call.
    pub secret_store_timeout: Duration,
    /// Where the inventory and the journal are.
    pub location: StoreLocation,
    /// Attempts whose key could not be stored and is still shown.
    pub pending_attempts: PendingAttempts,
    /// Rows of the account's lists that could not be read.
    pub skipped_rows: SkippedRows,
    /// The app attribution sent to OpenRouter.
    pub attribution: Attribution,
    /// The timeout of one request.
    pub request_timeout: Duration,
    /// Maximum retries for idempotent requests.
    pub max_retries: u32,
    /// The callback port; 0 for an ephemeral one.
    pub callback_port: u16,
    /// Opens the user's browser, or returns why it could not. Blocks while the program that opens it may
    /// still fail.
    pub open_browser: fn(&Url) -> Result<(), String>,
}

impl ServiceContext {
    /// Opens the user's browser on a thread of its own, so that nothing waits for its result.
    pub fn open_in_background(&self, url: Url) -> oneshot::Receiver<Result<(), String>> {
        let (sender, result) = oneshot::channel();
        let open = self.open_browser;
        // Without a thread the receiver ends without a result.
        let _ = std::thread::Builder::new()
            .name("keywright-opener".into())
            .spawn(move || sender.send(open(&url)));
        result
    }

    /// Returns a client for the server, which retries idempotent requests.
    pub fn build_client(&self) -> Result<Client, Error> {
        let client = Client::new(&self.server_url()?, self.request_timeout, &self.attribution)?;
        Ok(client.with_retries(self.max_retries))
    }

    /// Returns such a client with the management key.
    pub fn build_management_client(&self, key: &ManagementKey) -> Result<ManagementClient, Error> {
        Ok(self.build_client()?.with_management_key(key))
    }

    /// Returns how the server is reached from this machine; fails if the environment makes a secure
    /// connection impossible. Sends nothing.
    pub fn connection(&self) -> Result<Connection, Error> {
        Connection::from_env(&self.server_url()?)
    }

    pub(crate) fn server_url(&self) -> Result<Url, Error> {
        Url::parse(&self.server).map_err(|_| Error::NotSent {
            server: self.server.clone(),
            reason: "its URL is invalid".into(),
        })
    }

    /// Returns the secret store entry of the key with this label.
    pub fn entry_id(&self, label: &str) -> EntryId {
        EntryId { service: self.keychain_service.clone(), account: label.into() }
    }

    /// Returns the keys of the server, oldest first.
    pub fn list_keys(&self) -> Result<Vec<StoredKey>, json_store::Error> {
        inventory::list_keys(&self.location, &self.server)
    }

    /// Returns the keys of the server for which `predicate` returns `true`, oldest first.
    pub fn filter_keys(
        &self,
        predicate: impl Fn(&StoredKey) -> bool,
    ) -> Result<Vec<StoredKey>, json_store::Error> {
        inventory::filter_keys(&self.location, &self.server, predicate)
    }

    /// Returns the key of the server that `label` names; see [`inventory::find_key`].
    pub fn find_key(&self, label: &str) -> Result<Option<StoredKey>, json_store::Error> {
        inventory::find_key(&self.location, &self.server, label)
    }

    /// Returns the key of the server with this hash.
    pub fn find_hash(&self, hash: &str) -> Result<Option<StoredKey>, json_store::Error> {
        Ok(self.filter_keys(|key| key.hash == hash)?.pop())
    }

    /// Updates the key with this hash; see [`inventory::update_key`].
    pub fn update_key(
        &self,
        hash: &str,
        change: impl FnOnce(&mut StoredKey),
    ) -> Result<Option<StoredKey>, json_store::Error> {
        inventory::update_key(&self.location, &self.server, hash, change)
    }

    /// Returns the removed keys of the server, the last removed first.
    pub fn list_trash(&self) -> Result<Vec<TrashedKey>, json_store::Error> {
        inventory::list_trash(&self.location, &self.server)
    }

    /// Returns the inventory's record of a key that is stored with this label now.
    pub fn new_stored_key(&self, label: Label, key: &ApiKey) -> StoredKey {
        let (server, store) = (self.server.clone(), self.secret_store.kind());
        StoredKey::new(label, key, server, store, Timestamp::now())
    }

    /// Returns the kinds of all stores that keys may be in.
    pub fn store_kinds(&self) -> Vec<StoreKind> {
        [&self.secret_store, self.local_store()]
            .into_iter()
            .chain(&self.other_stores)
            .map(SecretStore::kind)
            .collect()
    }

    /// Returns a context whose store is the one that the inventory records for the key.
    #[must_use]
    pub fn for_key(&self, stored_key: &StoredKey) -> Self {
        match &stored_key.location {
            KeyLocation::Stored(kind) => self.for_store(kind),
            KeyLocation::AccountOnly => self.clone(),
        }
    }

    /// Returns a context whose store is the one for the key of the attempt.
    #[must_use]
    pub fn for_attempt(&self, attempt: &Attempt) -> Self {
        attempt.store.as_ref().map_or_else(|| self.clone(), |kind| self.for_store(kind))
    }

    /// Returns a context whose store has the secrets of the attempt.
    #[must_use]
    pub fn for_attempt_secrets(&self, attempt: &Attempt) -> Self {
        match attempt.secrets_store() {
            Some(kind) if *kind == self.local_store().kind() => self.local(),
            Some(kind) => self.for_store(kind),
            None => self.local(),
        }
    }

    /// Returns a context whose store is the one that is requested for the key. The only store of `--store`
    /// and that of the sandbox take all keys.
    pub(super) fn for_request(&self, store: Option<&StoreKind>) -> Result<Self, provision::Error> {
        match store {
            Some(kind) if !self.is_store_fixed && self.secret_store.kind() != StoreKind::Memory => {
                let services = self.for_store(kind);
                let is_open = services.secret_store.kind() == *kind;
                is_open
                    .then_some(services)
                    .ok_or_else(|| provision::Error::NoSuchStore(kind.clone()))
            }
            _ => Ok(self.clone()),
        }
    }

    /// Returns whether the store for the key of the attempt may be used.
    pub(super) fn can_store_key_of(&self, attempt: &Attempt) -> bool {
        attempt.store.as_ref().is_none_or(|kind| self.can_open(kind))
    }

    /// Returns whether keys may be in a store of this kind.
    pub(super) fn can_open(&self, kind: &StoreKind) -> bool {
        self.for_store(kind).secret_store.kind() == *kind
    }

    /// Returns the store for the secrets of attempts and for the management key, which stay on this
    /// machine.
    pub fn local_store(&self) -> &SecretStore {
        self.local_store.as_ref().unwrap_or(&self.secret_store)
    }

    /// Returns a context whose store is [`ServiceContext::local_store`].
    #[must_use]
    pub fn local(&self) -> Self {
        Self { secret_store: self.local_store().clone(), local_store: None, ..self.clone() }
    }

    /// Asks for the passphrases of the stores that a command writes to, before it starts.
    pub fn unlock(&self) -> Result<(), secret_store::Error> {
        self.secret_store.unlock()?;
        self.local_store().unlock()
    }

    /// Returns a context whose store is of this kind; this one if it may not be used.
    fn for_store(&self, kind: &StoreKind) -> Self {
        if self.secret_store.kind() == *kind || self.is_store_fixed {
            return self.clone();
        }
        let known = self.other_stores.iter().find(|store| store.kind() == *kind).cloned();
        let store = known.or_else(|| match kind {
            // A store behind a program needs no settings besides its name.
            StoreKind::Exec(program) => Some(SecretStore::exec(program.clone())),
            _ => None,
        });
        let Some(store) = store else { return self.clone() };
        let mut other_stores = self.other_stores.clone();
        other_stores.push(self.secret_store.clone());
        let local_store = (!kind.is_local()).then(|| self.local_store().clone());
        Self { secret_store: store, other_stores, local_store, ..self.clone() }
    }

    /// Returns a context whose store is the one that the inventory records for the label. Reads the
    /// inventory only where keys may be in another store.
    #[must_use]
    pub fn for_label(&self, label: &str) -> Self {
        if self.is_store_fixed {
            return self.clone();
        }
        match self.find_key(label) {
            Ok(Some(stored_key)) => self.for_key(&stored_key),
            // A damaged inventory must not keep a key from being read.
            Ok(None) | Err(_) => self.clone(),
        }
    }

    /// Records the keychain in which keys are stored, once per process. A failure is only logged.
    pub(crate) async fn remember_provider(&self) {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        if self.secret_store.kind() != StoreKind::Keychain || IS_DONE.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let info = self.call_secret_store(SecretStore::provider_info).await;
        if let Some(provider) =
            info.ok().map(|info| info.provider).filter(|provider| !provider.is_unknown())
            && let Err(error) = keychain_providers::add_provider(&self.location, provider)
        {
            tracing::warn!(%error, "the keychain's name could not be recorded");
        }
    }

    /// Returns the other store, for a key that this one cannot store: the file for the keychain, the
    /// keychain for the file, the one of this machine for all others. Returns `None` if nothing may be
    /// written to disk.
    pub fn alternate_secret_store(
        &self,
        ask_passphrase: secret_store::PassphraseFn,
    ) -> Option<SecretStore> {
        let alternate = match (self.secret_store.kind(), self.local_store().kind()) {
            (StoreKind::Keychain, _) => StoreKind::File,
            (StoreKind::File, _) => StoreKind::Keychain,
            (StoreKind::Memory, _) => return None,
            (_, local) => local,
        };
        match (alternate, &self.location) {
            (StoreKind::File, StoreLocation::Directory(dir)) => {
                Some(SecretStore::age_file(dir.clone(), ask_passphrase))
            }
            (StoreKind::Keychain, _) => Some(SecretStore::keychain()),
            _ => None,
        }
    }

    /// Runs a secret store call on a blocking thread, since it can wait for the user.
    pub(crate) async fn call_secret_store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&SecretStore, Duration) -> Result<T, secret_store::Error> + Send + 'static,
    ) -> Result<T, secret_store::Error> {
        let (store, timeout) = (self.secret_store.clone(), self.secret_store_timeout);
        run_blocking(move || call(&store, timeout))
            .await
            .unwrap_or(Err(secret_store::Error::TimedOut))
    }
}
