//! Where secrets lie: the OS keychain, a file under a passphrase, or memory.
//! Owns: the calls, their deadlines, and "stored" being said only after reading back.
//! Must not know: what a secret is for, labels, servers.
//!
//! A keychain call can block for minutes while a person unlocks it, or for ever. One dedicated
//! thread makes them; whoever calls waits as long as its patience allows and not longer.

mod age_file;
mod error;
mod keychain;
mod memory;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

pub use age_file::PassphraseFn;
pub use error::Error;

use crate::platform::blocking_worker::BlockingWorker;
use age_file::AgeFile;
use keychain::Keychain;
use memory::MemoryStore;

/// The places a person can choose from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreKind {
    /// The operating system's keychain.
    Keychain,
    /// A file encrypted with a passphrase.
    File,
    /// Nowhere: gone when Keywright ends.
    Memory,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Keychain => "os",
            Self::File => "file",
            Self::Memory => "memory",
        })
    }
}

impl FromStr for StoreKind {
    type Err = ParseStoreKindError;

    fn from_str(word: &str) -> Result<Self, ParseStoreKindError> {
        match word {
            "os" => Ok(Self::Keychain),
            "file" => Ok(Self::File),
            "memory" => Ok(Self::Memory),
            _ => Err(ParseStoreKindError),
        }
    }
}

/// A word that names no store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a store is `os`, `file` or `memory`")]
pub struct ParseStoreKindError;

/// The name of one entry. On Linux exactly the attributes `service` and `username`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EntryId {
    /// `keywright`, or `keywright/<host[:port]>` for another server than the default.
    pub service: String,
    /// The key's label.
    pub account: String,
}

/// Who keeps the secrets, as far as that can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderInfo {
    /// The program behind the store.
    pub program: Option<String>,
    /// Whether a person must unlock it first.
    pub locked: bool,
}

/// A cheap handle to one store; its clones share the store and its thread.
#[derive(Clone)]
pub struct SecretStore(Backend);

#[derive(Clone)]
enum Backend {
    Keychain(Arc<BlockingWorker<Keychain>>),
    File { path: PathBuf, file: Arc<Mutex<AgeFile>> },
    Memory(MemoryStore),
}

impl SecretStore {
    /// The OS keychain. No I/O, no thread.
    pub fn keychain() -> Self {
        Self(Backend::Keychain(Arc::new(BlockingWorker::new())))
    }

    /// The file in that directory, created by the first write. No I/O, and nobody is asked yet.
    pub fn age_file(dir: PathBuf, ask: PassphraseFn) -> Self {
        let file = AgeFile::new(dir, ask);
        Self(Backend::File { path: file.path(), file: Arc::new(Mutex::new(file)) })
    }

    /// A memory store that holds these from the start.
    pub fn memory_with_entries(seed: Vec<(EntryId, SecretString)>) -> Self {
        Self(Backend::Memory(MemoryStore::with_entries(seed)))
    }

    /// Which store this is.
    pub fn kind(&self) -> StoreKind {
        match self.0 {
            Backend::Keychain(_) => StoreKind::Keychain,
            Backend::File { .. } => StoreKind::File,
            Backend::Memory(_) => StoreKind::Memory,
        }
    }

    /// The store's name in a sentence.
    pub fn display_name(&self) -> String {
        match &self.0 {
            Backend::Keychain(_) => keychain::DISPLAY_NAME.to_owned(),
            Backend::File { path, .. } => path.display().to_string(),
            Backend::Memory(_) => "memory, until Keywright ends".to_owned(),
        }
    }

    /// The secret in that slot.
    pub fn get(&self, slot: &EntryId, patience: Duration) -> Result<SecretString, Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let slot = slot.clone();
                call_keychain(worker, patience, move |os| os.get(&slot))
            }
            Backend::File { file, .. } => lock_age_file(file).get(slot),
            Backend::Memory(memory) => memory.get(slot),
        }
    }

    /// Stores the secret, replacing what was there, and is content only when the same comes back.
    pub fn set(
        &self,
        slot: &EntryId,
        secret: &SecretString,
        patience: Duration,
    ) -> Result<(), Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let (slot, secret) = (slot.clone(), secret.clone());
                call_keychain(worker, patience, move |os| os.set(&slot, &secret))
            }
            Backend::File { file, .. } => lock_age_file(file).set(slot, secret),
            Backend::Memory(memory) => {
                memory.set(slot, secret);
                Ok(())
            }
        }
    }

    /// Removes the entry; [`Error::NoEntry`] when there was none.
    pub fn delete(&self, slot: &EntryId, patience: Duration) -> Result<(), Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let slot = slot.clone();
                call_keychain(worker, patience, move |os| os.delete(&slot))
            }
            Backend::File { file, .. } => lock_age_file(file).delete(slot),
            Backend::Memory(memory) => memory.delete(slot),
        }
    }

    /// Every account under that service, sorted, each once.
    pub fn list_accounts(&self, service: &str, patience: Duration) -> Result<Vec<String>, Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let service = service.to_owned();
                call_keychain(worker, patience, move |os| os.list_accounts(&service))
            }
            Backend::File { file, .. } => lock_age_file(file).list_accounts(service),
            Backend::Memory(memory) => Ok(memory.list_accounts(service)),
        }
    }

    /// Who serves the store, and whether it is locked. Asks nobody to unlock it.
    pub fn provider_info(&self, patience: Duration) -> Result<ProviderInfo, Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                call_keychain(worker, patience, |_| keychain::provider_info())
            }
            Backend::File { .. } | Backend::Memory(_) => {
                Ok(ProviderInfo { program: None, locked: false })
            }
        }
    }

    /// Proves that a key could be stored now: writes a probe entry, reads it back, removes it.
    /// A locked keychain asks its person here, before anything can be lost.
    ///
    /// The probe lies under a service of its own, `<service> probe`, so that one left behind by a
    /// crash is never taken for a key.
    pub fn check_writable(&self, service: &str, patience: Duration) -> Result<(), Error> {
        let slot = EntryId {
            service: format!("{service} probe"),
            account: format!("probe-{}", std::process::id()),
        };
        match &self.0 {
            Backend::Keychain(worker) => {
                call_keychain(worker, patience, move |os| os.check_writable(&slot))
            }
            Backend::File { file, .. } => lock_age_file(file).check_writable(&slot),
            Backend::Memory(_) => Ok(()),
        }
    }

    /// Asks for the file's passphrase now and tries it: before a screen or a journey begins that
    /// could not ask. The keychain asks by itself.
    pub fn unlock(&self) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock_age_file(file).unlock(),
            Backend::Keychain(_) | Backend::Memory(_) => Ok(()),
        }
    }

    /// Whether there is something to open: a file, for the store that is one.
    pub fn exists(&self) -> bool {
        match &self.0 {
            Backend::File { path, .. } => path.exists(),
            Backend::Keychain(_) | Backend::Memory(_) => true,
        }
    }

    /// Gives the file another passphrase. The other stores have none.
    pub fn change_passphrase(&self, new: &SecretString) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock_age_file(file).change_passphrase(new),
            Backend::Keychain(_) | Backend::Memory(_) => Ok(()),
        }
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretStore({})", self.kind())
    }
}

fn lock_age_file(file: &Mutex<AgeFile>) -> MutexGuard<'_, AgeFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn call_keychain<T: Send + 'static>(
    worker: &BlockingWorker<Keychain>,
    patience: Duration,
    call: impl FnOnce(&mut Keychain) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    worker.call(patience, call).unwrap_or(Err(Error::TimedOut))
}

/// Whether a person could be asked to unlock the OS keychain.
pub fn can_prompt() -> bool {
    keychain::can_prompt()
}

/// How long to wait for the OS keychain: as long as a person takes to unlock it (120 s), or 5 s
/// where nobody can be asked.
pub fn keychain_timeout() -> Duration {
    Duration::from_secs(if keychain::can_prompt() { 120 } else { 5 })
}
