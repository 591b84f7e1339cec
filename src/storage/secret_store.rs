//! Secret stores: the OS keychain, a passphrase-encrypted file, memory, a KV engine that a team shares,
//! and programs that store secrets.
//!
//! Every write is read back before it succeeds. A keychain call can block for minutes while the
//! user unlocks the keychain, or forever, so these calls run on one dedicated thread and each takes
//! a timeout.

mod age_file;
pub mod bao;
mod error;
mod exec;
mod helper_error;
mod keychain;
mod memory;
mod system_error;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use age_file::PassphraseFn;
pub use error::Error;
pub use helper_error::HelperError;
pub use system_error::SystemError;

use crate::domain::{ExecProgram, StoreKind, sanitize, sort_by};
use crate::platform::blocking_worker::BlockingWorker;
use age_file::AgeFile;
use bao::BaoStore;
use exec::ExecStore;
use keychain::Keychain;
use memory::MemoryStore;

/// The name of an entry. On Linux these are the Secret Service attributes `service` and `username`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EntryId {
    /// `keywright`, or `keywright/<host[:port]>` for another server (`keywright/https://…` on a loopback address).
    pub service: String,
    /// The key's label.
    pub account: String,
}

/// The program behind the Secret Service and its default collection; unknown on other systems.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Provider {
    /// Name of the program, if known.
    pub program: Option<String>,
    /// Name of the collection, if known.
    pub collection: Option<String>,
}

impl Provider {
    /// Returns whether nothing is known about it.
    pub const fn is_unknown(&self) -> bool {
        self.program.is_none() && self.collection.is_none()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.as_deref().map_or("an unknown program".into(), shorten);
        match &self.collection {
            Some(collection) => write!(f, "{program} (collection {})", shorten(collection)),
            None => f.write_str(&program),
        }
    }
}

fn shorten(name: &str) -> String {
    sanitize(name, 60)
}

/// The provider of a secret store, and its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderInfo {
    /// The provider.
    pub provider: Provider,
    /// Whether the user must unlock the store first.
    pub locked: bool,
}

/// A handle to one store. Clones share the store and its thread.
#[derive(Clone)]
pub struct SecretStore(Backend);

#[derive(Clone)]
enum Backend {
    Keychain(Arc<BlockingWorker<Keychain>>),
    File { path: PathBuf, file: Arc<Mutex<AgeFile>> },
    Memory(MemoryStore),
    Bao(BaoStore),
    Exec(ExecStore),
}

impl SecretStore {
    /// Returns the OS keychain. Does no I/O and starts no thread.
    pub fn keychain() -> Self {
        Self(Backend::Keychain(Arc::new(BlockingWorker::new())))
    }

    /// Returns the store in `vault.age` in `dir`, which the first write creates. Does no I/O and does
    /// not ask for the passphrase.
    pub fn age_file(dir: PathBuf, passphrase_fn: PassphraseFn) -> Self {
        let file = AgeFile::new(dir, passphrase_fn);
        Self(Backend::File { path: file.path(), file: Arc::new(Mutex::new(file)) })
    }

    /// Returns a memory store that contains these entries.
    pub fn memory_with_entries(entries: Vec<(EntryId, SecretString)>) -> Self {
        Self(Backend::Memory(MemoryStore::with_entries(entries)))
    }

    /// Returns the store behind a credential helper. Does no I/O and starts nothing.
    pub fn exec(program: ExecProgram) -> Self {
        Self(Backend::Exec(ExecStore::new(program)))
    }

    /// Returns a memory store that calls `before_delete` before it deletes an entry.
    #[cfg(test)]
    pub(crate) fn memory_with_before_delete(
        entries: Vec<(EntryId, SecretString)>,
        before_delete: impl Fn(&EntryId) + Send + Sync + 'static,
    ) -> Self {
        let store = MemoryStore::with_entries(entries);
        Self(Backend::Memory(store.with_before_delete(Arc::new(before_delete))))
    }

    /// Returns the store in a KV engine. Does no I/O and starts no thread.
    pub fn bao(store: BaoStore) -> Self {
        Self(Backend::Bao(store))
    }

    /// Returns the KV engine, if this store is in one.
    pub fn as_bao(&self) -> Option<&BaoStore> {
        match &self.0 {
            Backend::Bao(bao) => Some(bao),
            Backend::Keychain(_) | Backend::File { .. } | Backend::Memory(_) | Backend::Exec(_) => {
                None
            }
        }
    }

    /// Returns the kind of this store.
    pub fn kind(&self) -> StoreKind {
        match &self.0 {
            Backend::Keychain(_) => StoreKind::Keychain,
            Backend::File { .. } => StoreKind::File,
            Backend::Memory(_) => StoreKind::Memory,
            Backend::Bao(_) => StoreKind::Bao,
            Backend::Exec(store) => StoreKind::Exec(store.program().clone()),
        }
    }

    /// Returns the name of the store for use in a sentence.
    pub fn display_name(&self) -> String {
        match &self.0 {
            Backend::Keychain(_) => keychain::DISPLAY_NAME.to_owned(),
            Backend::File { path, .. } => path.display().to_string(),
            Backend::Memory(_) => "memory, until Keywright ends".to_owned(),
            Backend::Bao(bao) => bao.display_name(),
            Backend::Exec(store) => format!("the store of {}", store.program().as_str()),
        }
    }

    /// Returns the secret of the entry.
    pub fn get(&self, entry_id: &EntryId, timeout: Duration) -> Result<SecretString, Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let entry_id = entry_id.clone();
                call_keychain(worker, timeout, move |keychain| keychain.get(&entry_id))
            }
            Backend::File { file, .. } => lock_age_file(file).get(entry_id),
            Backend::Memory(memory) => memory.get(entry_id),
            Backend::Bao(bao) => bao.get(entry_id),
            Backend::Exec(store) => store.get(entry_id, timeout),
        }
    }

    /// Stores the secret, replacing an existing one, and reads it back.
    pub fn set(
        &self,
        entry_id: &EntryId,
        secret: &SecretString,
        timeout: Duration,
    ) -> Result<(), Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let (entry_id, secret) = (entry_id.clone(), secret.clone());
                call_keychain(worker, timeout, move |keychain| keychain.set(&entry_id, &secret))
            }
            Backend::File { file, .. } => lock_age_file(file).set(entry_id, secret),
            Backend::Memory(memory) => {
                memory.set(entry_id, secret);
                Ok(())
            }
            Backend::Bao(bao) => bao.set(entry_id, secret, None),
            Backend::Exec(store) => store.set(entry_id, secret, timeout),
        }
    }

    /// Stores the secret of an entry that does not exist, and reads it back. Fails with
    /// [`Error::EntryExists`] if there is one, and leaves it as it is.
    pub fn create(
        &self,
        entry_id: &EntryId,
        secret: &SecretString,
        timeout: Duration,
    ) -> Result<(), Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let (entry_id, secret) = (entry_id.clone(), secret.clone());
                call_keychain(worker, timeout, move |keychain| keychain.create(&entry_id, &secret))
            }
            Backend::Bao(bao) => match bao.set(entry_id, secret, Some(0)) {
                Err(Error::Bao(bao::Error::Conflict { .. })) => Err(Error::EntryExists),
                result => result,
            },
            Backend::File { .. } | Backend::Memory(_) | Backend::Exec(_) => {
                match self.get(entry_id, timeout) {
                    Err(Error::NoEntry) => self.set(entry_id, secret, timeout),
                    found => found.and(Err(Error::EntryExists)),
                }
            }
        }
    }

    /// Removes the entry. Fails with [`Error::NoEntry`] if it does not exist.
    pub fn delete(&self, entry_id: &EntryId, timeout: Duration) -> Result<(), Error> {
        match &self.0 {
            Backend::Keychain(worker) => {
                let entry_id = entry_id.clone();
                call_keychain(worker, timeout, move |keychain| keychain.delete(&entry_id))
            }
            Backend::File { file, .. } => lock_age_file(file).delete(entry_id),
            Backend::Memory(memory) => memory.delete(entry_id),
            Backend::Bao(bao) => bao.delete(&bao.entry_path(entry_id)),
            Backend::Exec(store) => store.delete(entry_id, timeout),
        }
    }

    /// Returns the accounts of this service, sorted and without duplicates.
    pub fn list_accounts(&self, service: &str, timeout: Duration) -> Result<Vec<String>, Error> {
        let mut accounts = match &self.0 {
            Backend::Keychain(worker) => {
                let service = service.to_owned();
                call_keychain(worker, timeout, move |keychain| keychain.list_accounts(&service))?
            }
            Backend::File { file, .. } => lock_age_file(file).list_accounts(service)?,
            Backend::Memory(memory) => memory.list_accounts(service),
            Backend::Bao(bao) => bao.list_accounts(service)?,
            Backend::Exec(store) => store.list_accounts(service, timeout)?,
        };
        sort_by(&mut accounts, Ord::cmp);
        accounts.dedup();
        Ok(accounts)
    }

    /// Returns the provider of the store and whether it is locked. Shows no unlock prompt.
    pub fn provider_info(&self, timeout: Duration) -> Result<ProviderInfo, Error> {
        match &self.0 {
            Backend::Keychain(worker) => call_keychain(worker, timeout, Keychain::provider_info),
            Backend::File { .. } | Backend::Memory(_) | Backend::Bao(_) | Backend::Exec(_) => {
                Ok(ProviderInfo { provider: Provider::default(), locked: false })
            }
        }
    }

    /// Checks that a key can be stored now: writes a probe entry, reads it back and removes it.
    /// A locked keychain shows its unlock prompt here, before a key is created.
    ///
    /// The probe has a service of its own, `<service> probe`, so a probe that remains after a crash
    /// is not mistaken for a key.
    pub fn check_writable(&self, service: &str, timeout: Duration) -> Result<(), Error> {
        let entry_id = EntryId {
            service: format!("{service} probe"),
            account: format!("probe-{}", std::process::id()),
        };
        match &self.0 {
            Backend::Keychain(worker) => {
                call_keychain(worker, timeout, move |keychain| keychain.check_writable(&entry_id))
            }
            Backend::File { file, .. } => lock_age_file(file).check_writable(&entry_id),
            Backend::Memory(_) => Ok(()),
            Backend::Bao(bao) => bao.check_writable(&bao.entry_path(&entry_id)),
            Backend::Exec(store) => store.check_writable(&entry_id, timeout),
        }
    }

    /// Checks that a key of `service` can be stored in this entry. For a shared store this checks
    /// the rights of the token, which may be limited to some labels; for other stores it does what
    /// [`SecretStore::check_writable`] does.
    pub fn check_storable(
        &self,
        service: &str,
        entry_id: &EntryId,
        timeout: Duration,
    ) -> Result<(), Error> {
        match &self.0 {
            Backend::Bao(bao) => bao.check_writable(&bao.entry_path(entry_id)),
            Backend::Keychain(_) | Backend::File { .. } | Backend::Memory(_) | Backend::Exec(_) => {
                self.check_writable(service, timeout)
            }
        }
    }

    /// Asks for the passphrase of the file store and checks it. Called before a screen or a
    /// provisioning attempt starts that cannot ask for it. The keychain shows its own prompt.
    pub fn unlock(&self) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock_age_file(file).unlock(),
            Backend::Keychain(_) | Backend::Memory(_) | Backend::Bao(_) | Backend::Exec(_) => {
                Ok(())
            }
        }
    }

    /// Returns whether the file of a file store exists, or whether the address of a KV engine is
    /// configured; `true` for other stores.
    pub fn exists(&self) -> bool {
        match &self.0 {
            Backend::File { path, .. } => path.exists(),
            Backend::Bao(bao) => bao.is_configured(),
            Backend::Keychain(_) | Backend::Memory(_) | Backend::Exec(_) => true,
        }
    }

    /// Changes the passphrase of a file store. Does nothing for other stores.
    pub fn change_passphrase(&self, new: &SecretString) -> Result<(), Error> {
        match &self.0 {
            Backend::File { file, .. } => lock_age_file(file).change_passphrase(new),
            Backend::Keychain(_) | Backend::Memory(_) | Backend::Bao(_) | Backend::Exec(_) => {
                Ok(())
            }
        }
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretStore({})", self.kind())
    }
}

/// Fails unless the store returns the secret that was written.
#[expect(clippy::disallowed_methods, reason = "compares the secret after writing")]
fn check_read_back(stored: &SecretString, written: &SecretString) -> Result<(), Error> {
    let is_same = stored.expose_secret() == written.expose_secret();
    if is_same { Ok(()) } else { Err(Error::ReadBackMismatch) }
}

fn lock_age_file(file: &Mutex<AgeFile>) -> MutexGuard<'_, AgeFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

fn call_keychain<T: Send + 'static>(
    worker: &BlockingWorker<Keychain>,
    timeout: Duration,
    call: impl FnOnce(&mut Keychain) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    worker.call(timeout, call).unwrap_or(Err(Error::TimedOut))
}

/// Returns whether an unlock prompt of the OS keychain can reach the user.
pub fn can_prompt() -> bool {
    keychain::can_prompt()
}

/// Returns the timeout for the OS keychain: 120 s to let the user unlock it, or 5 s where no prompt
/// can be shown.
pub fn keychain_timeout() -> Duration {
    Duration::from_secs(if keychain::can_prompt() { 120 } else { 5 })
}
