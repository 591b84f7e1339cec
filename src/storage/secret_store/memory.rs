//! A secret store in memory, for the sandbox and for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::{EntryId, Error};

#[derive(Clone, Default)]
pub(super) struct MemoryStore {
    services: Arc<Mutex<SecretsByService>>,
    /// Called before an entry is deleted, so that a test can check the state at that moment.
    #[cfg(test)]
    before_delete: Option<BeforeDelete>,
}

#[cfg(test)]
type BeforeDelete = Arc<dyn Fn(&EntryId) + Send + Sync>;

/// Secrets by service and account.
type SecretsByService = HashMap<String, HashMap<String, SecretString>>;

impl MemoryStore {
    pub(super) fn with_entries(entries: Vec<(EntryId, SecretString)>) -> Self {
        let mut services = SecretsByService::new();
        for (EntryId { service, account }, secret) in entries {
            services.entry(service).or_default().insert(account, secret);
        }
        let store = Self::default();
        *store.lock_services() = services;
        store
    }

    /// Sets what is called before an entry is deleted.
    #[cfg(test)]
    pub(super) fn with_before_delete(self, before_delete: BeforeDelete) -> Self {
        Self { before_delete: Some(before_delete), ..self }
    }

    pub(super) fn get(&self, entry_id: &EntryId) -> Result<SecretString, Error> {
        let services = self.lock_services();
        let secrets = services.get(&entry_id.service).ok_or(Error::NoEntry)?;
        secrets.get(&entry_id.account).cloned().ok_or(Error::NoEntry)
    }

    pub(super) fn set(&self, entry_id: &EntryId, secret: &SecretString) {
        let mut services = self.lock_services();
        let secrets = services.entry(entry_id.service.clone()).or_default();
        secrets.insert(entry_id.account.clone(), secret.clone());
    }

    pub(super) fn delete(&self, entry_id: &EntryId) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(before_delete) = &self.before_delete {
            before_delete(entry_id);
        }
        let mut services = self.lock_services();
        let removed = services
            .get_mut(&entry_id.service)
            .and_then(|secrets| secrets.remove(&entry_id.account));
        removed.map(drop).ok_or(Error::NoEntry)
    }

    pub(super) fn list_accounts(&self, service: &str) -> Vec<String> {
        let services = self.lock_services();
        let accounts = services.get(service).into_iter().flat_map(HashMap::keys);
        accounts.cloned().collect()
    }

    fn lock_services(&self) -> MutexGuard<'_, SecretsByService> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
