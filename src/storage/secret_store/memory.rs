//! Secrets kept until the program ends. Owns: the map. Must not know: files, keychains, threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::{EntryId, Error};

#[derive(Clone, Default)]
pub(super) struct MemoryStore(Arc<Mutex<SecretsByService>>);

/// Secrets by account, by service.
type SecretsByService = HashMap<String, HashMap<String, SecretString>>;

impl MemoryStore {
    pub(super) fn with_entries(seed: Vec<(EntryId, SecretString)>) -> Self {
        let mut services = SecretsByService::new();
        for (EntryId { service, account }, secret) in seed {
            services.entry(service).or_default().insert(account, secret);
        }
        Self(Arc::new(Mutex::new(services)))
    }

    pub(super) fn get(&self, slot: &EntryId) -> Result<SecretString, Error> {
        let services = self.lock_services();
        let secrets = services.get(&slot.service).ok_or(Error::NoEntry)?;
        secrets.get(&slot.account).cloned().ok_or(Error::NoEntry)
    }

    pub(super) fn set(&self, slot: &EntryId, secret: &SecretString) {
        let mut services = self.lock_services();
        let secrets = services.entry(slot.service.clone()).or_default();
        secrets.insert(slot.account.clone(), secret.clone());
    }

    pub(super) fn delete(&self, slot: &EntryId) -> Result<(), Error> {
        let mut services = self.lock_services();
        let removed = services.get_mut(&slot.service).and_then(|held| held.remove(&slot.account));
        removed.map(drop).ok_or(Error::NoEntry)
    }

    pub(super) fn list_accounts(&self, service: &str) -> Vec<String> {
        let services = self.lock_services();
        let accounts = services.get(service).into_iter().flat_map(HashMap::keys);
        let mut accounts: Vec<_> = accounts.cloned().collect();
        accounts.sort();
        accounts
    }

    fn lock_services(&self) -> MutexGuard<'_, SecretsByService> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
