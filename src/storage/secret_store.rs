//! Where secrets lie: the OS keychain, a file under a passphrase, or memory.
//! Owns: the calls, their deadlines, and "stored" being said only after reading back.
//! Must not know: what a secret is for, labels, servers.
//!
//! A keychain call can block for minutes while a person unlocks it, or for ever. One dedicated
//! thread makes them; whoever calls waits as long as its patience allows and not longer.

mod error;
mod file;
mod memory;
mod os;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

pub use error::Error;
pub use file::Ask;

use crate::platform::blocking_worker::Worker;
use file::File;
use memory::Memory;
use os::Os;

/// The places a person can choose from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// The operating system's keychain.
    Os,
    /// A file encrypted with a passphrase.
    File,
    /// Nowhere: gone when Keywright ends.
    Memory,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Os => "os",
            Self::File => "file",
            Self::Memory => "memory",
        })
    }
}

impl FromStr for StoreKind {
    type Err = UnknownStore;

    fn from_str(word: &str) -> Result<Self, UnknownStore> {
        match word {
            "os" => Ok(Self::Os),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            _ => Err(UnknownStore),
        }
    }
}

/// A word that names no store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a store is `os`, `file` or `memory`")]
pub struct UnknownStore;

/// The name of one entry. On Linux exactly the attributes `service` and `username`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// `keywright`, or `keywright/<host[:port]>` for another server than the default.
    pub service: String,
    /// The key's label.
    pub account: String,
}

/// Who keeps the secrets, as far as that can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// The program behind the store.
    pub by: Option<String>,
    /// Whether a person must unlock it first.
    pub locked: bool,
}

/// A cheap handle to one store; its clones share the store and its thread.
#[derive(Clone)]
pub struct Vault(Backend);

#[derive(Clone)]
enum Backend {
    Os(Arc<Worker<Os>>),
    File { path: PathBuf, file: Arc<Mutex<File>> },
    Memory(Memory),
}

impl Vault {
    /// The OS keychain. No I/O, no thread.
    pub fn os() -> Self {
        Self(Backend::Os(Arc::new(Worker::new())))
    }

    /// The file in that directory, created by the first write. No I/O, and nobody is asked yet.
    pub fn file(dir: PathBuf, ask: Ask) -> Self {
        let file = File::new(dir, ask);
        Self(Backend::File { path: file.path(), file: Arc::new(Mutex::new(file)) })
    }

    /// A memory store that holds these from the start.
    pub fn memory_with(seed: Vec<(Slot, SecretString)>) -> Self {
        Self(Backend::Memory(Memory::seeded(seed)))
    }

    /// Which store this is.
    pub fn kind(&self) -> StoreKind {
        match self.0 {
            Backend::Os(_) => StoreKind::Os,
            Backend::File { .. } => StoreKind::File,
            Backend::Memory(_) => StoreKind::Memory,
        }
    }

    /// The store's name in a sentence.
    pub fn place(&self) -> String {
        match &self.0 {
            Backend::Os(_) => os::PLACE.to_owned(),
            Backend::File { path, .. } => path.display().to_string(),
            Backend::Memory(_) => "memory, until Keywright ends".to_owned(),
        }
    }

    /// The secret in that slot.
    pub fn get(&self, slot: &Slot, patience: Duration) -> Result<SecretString, Error> {
        match &self.0 {
            Backend::Os(worker) => {
                let slot = slot.clone();
                ask(worker, patience, move |os| os.get(&slot))
            }
            Backend::File { file, .. } => lock(file).get(slot),
            Backend::Memory(memory) => memory.get(slot),
        }
    }

    /// Stores the secret, replacing what was there, and is content only when the same comes back.
    pub fn set(&self, slot: &Slot, secret: &SecretString, patience: Duration) -> Result<(), Error> {
        match &self.0 {
            Backend::Os(worker) => {
                let (slot, secret) = (slot.clone(), secret.clone());
                ask(worker, patience, move |os| os.set(&slot, &secret))
            }
            Backend::File { file, .. } => lock(file).set(slot, secret),
            Backend::Memory(memory) => {
                memory.set(slot, secret);
                Ok(())
            }
        }
    }

    /// Removes the entry; [`Error::NoEntry`] when there was none.
    pub fn delete(&self, slot: &Slot, patience: Duration) -> Result<(), Error> {
        match &self.0 {
            Backend::Os(worker) => {
                let slot = slot.clone();
                ask(worker, patience, move |os| os.delete(&slot))
            }
            Backend::File { file, .. } => lock(file).delete(slot),
            Backend::Memory(memory) => memory.delete(slot),
        }
    }

    /// Every account under that service, sorted, each once.
    pub fn accounts(&self, service: &str, patience: Duration) -> Result<Vec<String>, Error> {
        match &self.0 {
            Backend::Os(worker) => {
                let service = service.to_owned();
                ask(worker, patience, move |os| os.accounts(&service))
            }
            Backend::File { file, .. } => lock(file).accounts(service),
            Backend::Memory(memory) => Ok(memory.accounts(service)),
        }
    }

    /// Who serves the store, and whether it is locked. Asks nobody to unlock it.
    pub fn served(&self, patience: Duration) -> Result<Served, Error> {
        match &self.0 {
            Backend::Os(worker) => ask(worker, patience, |_| os::served()),
            Backend::File { .. } | Backend::Memory(_) => Ok(Served { by: None, locked: false }),
        }
    }

    /// Proves that a key could be stored now: writes a probe entry, reads it back, removes it.
    /// A locked keychain asks its person here, before anything can be lost.
    ///
    /// The probe lies under a service of its own, `<service> probe`, so that one left behind by a
    /// crash is never taken for a key.
    pub fn preflight(&self, service: &str, patience: Duration) -> Result<(), Error> {
        let slot = Slot {
            service: format!("{service} probe"),
            account: format!("probe-{}", std::process::id()),
        };
        match &self.0 {
            Backend::Os(worker) => ask(worker, patience, move |os| os.probe(&slot)),
            Backend::File { file, .. } => lock(file).probe(&slot),
            Backend::Memory(_) => Ok(()),
        }
    }

    /// Asks for the file's passphrase now and tries it: before a screen or a journey begins that
    /// could not ask. The keychain asks by itself.
    pub fn unlock(&self) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock(file).unlock(),
            Backend::Os(_) | Backend::Memory(_) => Ok(()),
        }
    }

    /// Whether there is something to open: a file, for the store that is one.
    pub fn exists(&self) -> bool {
        match &self.0 {
            Backend::File { path, .. } => path.exists(),
            Backend::Os(_) | Backend::Memory(_) => true,
        }
    }

    /// Gives the file another passphrase. The other stores have none.
    pub fn change_passphrase(&self, new: &SecretString) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock(file).change_passphrase(new),
            Backend::Os(_) | Backend::Memory(_) => Ok(()),
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.kind())
    }
}

fn lock(file: &Mutex<File>) -> MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ask<T: Send + 'static>(
    worker: &Worker<Os>,
    patience: Duration,
    call: impl FnOnce(&mut Os) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    worker.call(patience, call).unwrap_or(Err(Error::NoAnswer))
}

/// Whether a person could be asked to unlock the OS keychain.
pub fn can_ask() -> bool {
    os::can_ask()
}

/// How long to wait for the OS keychain: as long as a person takes to unlock it (120 s), or 5 s
/// where nobody can be asked.
pub fn patience() -> Duration {
    Duration::from_secs(if os::can_ask() { 120 } else { 5 })
}
