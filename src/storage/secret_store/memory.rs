//! Secrets kept until the program ends. Owns: the map. Must not know: files, keychains, threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::{Error, Slot};

#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<ByService>>);

/// Secrets by account, by service.
type ByService = HashMap<String, HashMap<String, SecretString>>;

impl Memory {
    pub(super) fn seeded(seed: Vec<(Slot, SecretString)>) -> Self {
        let mut services = ByService::new();
        for (Slot { service, account }, secret) in seed {
            services.entry(service).or_default().insert(account, secret);
        }
        Self(Arc::new(Mutex::new(services)))
    }

    pub(super) fn get(&self, slot: &Slot) -> Result<SecretString, Error> {
        let services = self.by_service();
        let secrets = services.get(&slot.service).ok_or(Error::NoEntry)?;
        secrets.get(&slot.account).cloned().ok_or(Error::NoEntry)
    }

    pub(super) fn set(&self, slot: &Slot, secret: &SecretString) {
        let mut services = self.by_service();
        let secrets = services.entry(slot.service.clone()).or_default();
        secrets.insert(slot.account.clone(), secret.clone());
    }

    pub(super) fn delete(&self, slot: &Slot) -> Result<(), Error> {
        let mut services = self.by_service();
        let removed = services.get_mut(&slot.service).and_then(|held| held.remove(&slot.account));
        removed.map(drop).ok_or(Error::NoEntry)
    }

    pub(super) fn accounts(&self, service: &str) -> Vec<String> {
        let services = self.by_service();
        let accounts = services.get(service).into_iter().flat_map(HashMap::keys);
        let mut accounts: Vec<_> = accounts.cloned().collect();
        accounts.sort();
        accounts
    }

    fn by_service(&self) -> MutexGuard<'_, ByService> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
