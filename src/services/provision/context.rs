//! What a journey needs of the world, and the two things it does with that: a client, a vault call.
//! Must not know: where the settings come from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use crate::api::openrouter::{Attribution, Client, Error};
use crate::domain::ManagementKey;
use crate::storage::journal::AttemptGuard;
use crate::storage::json_store::StoreLocation;
use crate::storage::secret_store::{self, EntryId, SecretStore, StoreKind};

/// Attempts of this process that brought a key which is not stored yet: as long as they are kept
/// here, no other process takes them over.
#[derive(Clone, Default)]
pub struct PendingAttempts(Arc<Mutex<Vec<AttemptGuard>>>);

impl PendingAttempts {
    pub(super) fn add(&self, guard: AttemptGuard) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
    }

    /// The attempt that brought the key with that hash.
    pub(super) fn take_by_hash(&self, hash: &str) -> Option<AttemptGuard> {
        let mut guards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_key = |guard: &AttemptGuard| {
            guard.attempt().received_key.as_ref().is_some_and(|stored_key| stored_key.hash == hash)
        };
        let index = guards.iter().position(has_key)?;
        Some(guards.remove(index))
    }
}

/// What a journey needs of the world.
#[derive(Clone)]
pub struct ServiceContext {
    /// The server, without a slash at its end.
    pub server: String,
    /// The keychain service of its keys: `keywright`, or `keywright/<host[:port]>`.
    pub keychain_service: String,
    /// The management key that the environment gives, used before a stored one.
    pub management_key: Option<ManagementKey>,
    /// Where keys lie.
    pub secret_store: SecretStore,
    /// How long one vault call may take.
    pub secret_store_timeout: Duration,
    /// Where the inventory and the journal lie.
    pub location: StoreLocation,
    /// Attempts whose key could not be stored and is still on screen.
    pub pending_attempts: PendingAttempts,
    /// Who we say we are.
    pub attribution: Attribution,
    /// One request's time.
    pub request_timeout: Duration,
    /// How often what is safe to repeat is repeated.
    pub max_retries: u32,
    /// The callback's port; 0 for an ephemeral one.
    pub callback_port: u16,
    /// Opens the person's browser; says in words why it could not.
    pub open_browser: fn(&Url) -> Result<(), String>,
}

impl ServiceContext {
    /// A client of the server.
    pub fn build_client(&self) -> Result<Client, Error> {
        let server = Url::parse(&self.server).map_err(|_| Error::NotSent {
            server: self.server.clone(),
            reason: "its address cannot be read".into(),
        })?;
        Client::new(&server, self.request_timeout, &self.attribution)
    }

    /// Where the key under `label` lies in the vault.
    pub fn entry_id(&self, label: &str) -> EntryId {
        EntryId { service: self.keychain_service.clone(), account: label.into() }
    }

    /// A store beside the one that is used, for a key that this one refuses: the file beside the
    /// keychain, the keychain beside the file. None where nothing is to be left on disk.
    pub fn alternate_secret_store(
        &self,
        ask_passphrase: secret_store::PassphraseFn,
    ) -> Option<SecretStore> {
        match (self.secret_store.kind(), &self.location) {
            (StoreKind::Keychain, StoreLocation::Directory(dir)) => {
                Some(SecretStore::age_file(dir.clone(), ask_passphrase))
            }
            (StoreKind::File, _) => Some(SecretStore::keychain()),
            _ => None,
        }
    }

    /// Makes a vault call off the async thread; it can wait for a person.
    pub(crate) async fn call_secret_store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&SecretStore, Duration) -> Result<T, secret_store::Error> + Send + 'static,
    ) -> Result<T, secret_store::Error> {
        let (store, timeout) = (self.secret_store.clone(), self.secret_store_timeout);
        tokio::task::spawn_blocking(move || call(&store, timeout))
            .await
            .unwrap_or(Err(secret_store::Error::TimedOut))
    }
}
