//! Secrets kept until the program ends. Owns: the map. Must not know: files, keychains, threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;

use super::{Error, Slot};

#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<Slot, SecretString>>>);

impl Memory {
    pub(super) fn seeded(seed: Vec<(Slot, SecretString)>) -> Self {
        Self(Arc::new(Mutex::new(seed.into_iter().collect())))
    }

    pub(super) fn get(&self, slot: &Slot) -> Result<SecretString, Error> {
        self.map().get(slot).cloned().ok_or(Error::NoEntry)
    }

    pub(super) fn set(&self, slot: &Slot, secret: &SecretString) {
        self.map().insert(slot.clone(), secret.clone());
    }

    pub(super) fn delete(&self, slot: &Slot) -> Result<(), Error> {
        self.map().remove(slot).map(drop).ok_or(Error::NoEntry)
    }

    pub(super) fn accounts(&self, service: &str) -> Vec<String> {
        let mut accounts: Vec<_> = self
            .map()
            .keys()
            .filter(|slot| slot.service == service)
            .map(|slot| slot.account.clone())
            .collect();
        accounts.sort();
        accounts
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Slot, SecretString>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
