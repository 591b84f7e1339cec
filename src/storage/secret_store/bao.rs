//! A shared store: the KV engine, version 2, of OpenBao or HashiCorp Vault.
//!
//! Requests run on one thread with an asynchronous runtime of its own, which the first request starts.

mod client;
mod error;
mod path;
mod session;
mod settings;
mod tls;
mod waiting;
mod wire;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use secrecy::SecretString;
use tokio::runtime::{Builder, Handle};

pub use error::Error;
pub use settings::{BaoOptions, FindProxy};
pub use tls::TlsProblem;
pub use waiting::on_wait;
pub use wire::{Entry, EntryMetadata, Health, Mount, TokenInfo, VersionInfo};

use super::{EntryId, check_read_back};
use crate::storage::secret_store;
use client::Client;
use settings::Environment;

/// A handle to a shared store. Clones share the connection and its thread.
///
/// Paths are relative to the mount, with the names of entries encoded: see [`BaoStore::entry_path`].
/// Each call waits for the engine and may be made from any thread.
#[derive(Clone)]
pub struct BaoStore {
    client: Arc<Client>,
    runtime: Arc<Mutex<Option<Handle>>>,
}

/// The longest time that a call takes.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);

/// How long after the start the life of the token is looked at: no command pays for it.
const FIRST_RENEWAL: Duration = Duration::from_secs(60);

/// Extends the life of the token each time when half of it is over, as long as the program runs.
async fn keep_token(client: Arc<Client>) {
    let mut pause = FIRST_RENEWAL;
    loop {
        tokio::time::sleep(pause).await;
        let left = match client.lookup_token().await {
            Ok(token) if token.renewable && token.ttl > 0 => client.renew_token().await,
            Ok(_) => return,
            Err(error) => Err(error),
        };
        pause = match left {
            Ok(seconds) => Duration::from_secs(seconds / 2).max(FIRST_RENEWAL),
            Err(secret_store::Error::Bao(error)) if error.is_outage() => FIRST_RENEWAL,
            Err(_) => return,
        };
    }
}

impl BaoStore {
    /// Returns the store. Does no I/O and starts no thread.
    pub fn new(options: BaoOptions) -> Self {
        Self { client: Arc::new(Client::new(options)), runtime: Arc::default() }
    }

    /// Returns where the keys are, for use in a sentence.
    pub fn display_name(&self) -> String {
        let options = &self.client.options;
        let path = self.client.full_path(&self.folder_path(&options.service));
        match self.address() {
            Ok(address) => format!("{path} at {address}"),
            Err(_) => path,
        }
    }

    /// Returns the engine's address.
    pub fn address(&self) -> Result<String, Error> {
        let options = &self.client.options;
        Ok(Environment(&options.read_var).address(options)?.origin().ascii_serialization())
    }

    /// Returns whether a variable or the configuration says where the engine is.
    pub fn is_configured(&self) -> bool {
        let options = &self.client.options;
        options.address.is_some() || Environment(&options.read_var).read("ADDR").is_some()
    }

    /// Returns the mount of the engine.
    pub fn mount(&self) -> &str {
        self.client.options.mount.trim_matches('/')
    }

    /// Returns the path of an entry.
    pub fn entry_path(&self, entry_id: &EntryId) -> String {
        let options = &self.client.options;
        path::entry_path(&options.path, &options.base_service, entry_id)
    }

    /// Returns the path of the folder of a keychain service.
    pub fn folder_path(&self, service: &str) -> String {
        let options = &self.client.options;
        path::folder_path(&options.path, &options.base_service, service)
    }

    /// Returns the name of a label's entry in its folder.
    pub fn encode_name(label: &str) -> String {
        path::encode_name(label)
    }

    /// Returns the label of a name that [`BaoStore::list`] returned; `None` for a folder, or for an entry
    /// that is not Keywright's.
    pub fn decode_name(name: &str) -> Option<String> {
        if name.ends_with('/') { None } else { path::decode_name(name) }
    }

    /// Reads an entry: its secret and version.
    pub fn read(&self, path: &str) -> Result<Entry, secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.read(&path).await)
    }

    /// Reads the secret of one version.
    pub fn read_version(
        &self,
        path: &str,
        version: u64,
    ) -> Result<SecretString, secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.read_version(&path, version).await)
    }

    /// Writes a secret and returns its version. `cas` is the version that must be the current one, 0 for
    /// an entry that must not exist; without it the current version is replaced. A write whose response
    /// was lost is found by reading.
    pub fn write(
        &self,
        path: &str,
        secret: &SecretString,
        cas: Option<u64>,
    ) -> Result<u64, secret_store::Error> {
        let (path, secret) = (path.to_owned(), secret.clone());
        self.call(async move |client| client.write(&path, &secret, cas).await)
    }

    /// Reads versions and custom metadata without the secret.
    pub fn read_metadata(&self, path: &str) -> Result<EntryMetadata, secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.read_metadata(&path).await)
    }

    /// Reads the metadata of entries of a folder, in the order of their names: a hundred with one request
    /// where the engine and the policies of the token allow it, else some at a time. `on_read` is called
    /// with the number read so far.
    pub fn read_all_metadata(
        &self,
        folder: &str,
        names: Vec<String>,
        on_read: Arc<dyn Fn(usize) + Send + Sync>,
    ) -> Result<Vec<Result<EntryMetadata, secret_store::Error>>, secret_store::Error> {
        let folder = folder.to_owned();
        self.call(async move |client| client.read_all_metadata(&folder, names, on_read).await)
    }

    /// Writes these fields of the custom metadata and leaves the others; `None` removes a field.
    pub fn write_metadata(
        &self,
        path: &str,
        fields: BTreeMap<String, Option<String>>,
    ) -> Result<(), secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.write_metadata(&path, &fields).await)
    }

    /// Returns the names in a folder; those of folders end with a slash.
    pub fn list(&self, path: &str) -> Result<Vec<String>, secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.list(&path).await)
    }

    /// Deletes an entry with all its versions. Fails with `NoEntry` if it does not exist.
    pub fn delete(&self, path: &str) -> Result<(), secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.delete(&path).await)
    }

    /// Returns what the token may do at each path of the API, such as `secret/data/keywright/default/ci`.
    pub fn capabilities(
        &self,
        paths: Vec<String>,
    ) -> Result<Vec<Vec<String>>, secret_store::Error> {
        self.call(async move |client| client.capabilities(&paths).await)
    }

    /// Checks that the token may create and replace the entry at `path`, without writing it.
    pub fn check_writable(&self, path: &str) -> Result<(), secret_store::Error> {
        let path = path.to_owned();
        self.call(async move |client| client.check_writable(&path).await)
    }

    /// Returns what is known about the token.
    pub fn lookup_token(&self) -> Result<TokenInfo, secret_store::Error> {
        self.call(async |client| client.lookup_token().await)
    }

    /// Returns the mount; `None` if there is none or the token has no right to anything below it.
    pub fn read_mount(&self) -> Result<Option<Mount>, secret_store::Error> {
        self.call(async |client| client.read_mount().await.map_err(Into::into))
    }

    /// Returns the state of the engine; needs no token.
    pub fn health(&self) -> Result<Health, secret_store::Error> {
        self.call(async |client| client.health().await.map_err(Into::into))
    }

    pub(super) fn get(&self, entry_id: &EntryId) -> Result<SecretString, secret_store::Error> {
        Ok(self.read(&self.entry_path(entry_id))?.secret)
    }

    /// Stores the secret and reads it back; `cas` as in [`BaoStore::write`].
    pub(super) fn set(
        &self,
        entry_id: &EntryId,
        secret: &SecretString,
        cas: Option<u64>,
    ) -> Result<(), secret_store::Error> {
        let path = self.entry_path(entry_id);
        self.write(&path, secret, cas)?;
        check_read_back(&self.read(&path)?.secret, secret)
    }

    pub(super) fn list_accounts(&self, service: &str) -> Result<Vec<String>, secret_store::Error> {
        let names = self.list(&self.folder_path(service))?;
        Ok(names.iter().filter_map(|name| Self::decode_name(name)).collect())
    }

    /// Runs a call on the thread of the runtime and waits for its result.
    fn call<T: Send + 'static, F>(
        &self,
        call: impl FnOnce(Arc<Client>) -> F,
    ) -> Result<T, secret_store::Error>
    where
        F: Future<Output = Result<T, secret_store::Error>> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let (slot, future) = (Arc::clone(&result), call(Arc::clone(&self.client)));
        self.run_to_end(Box::pin(async move {
            let value = future.await;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }))?;
        let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.unwrap_or(Err(secret_store::Error::TimedOut))
    }

    /// Runs `work` on the thread of the runtime. Takes a boxed future, because each type would add a copy
    /// of the runtime's code and of a channel.
    fn run_to_end(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Result<(), secret_store::Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let task = self.runtime()?.spawn(async move {
            work.await;
            // Fails if the caller timed out meanwhile.
            let _ = sender.send(());
        });
        receiver.recv_timeout(CALL_TIMEOUT).map_err(|_| {
            task.abort();
            let reason = format!("{} s have passed", CALL_TIMEOUT.as_secs());
            let address = self.address().unwrap_or_default();
            Error::NoResponse { address, reason }.into()
        })
    }

    fn runtime(&self) -> Result<Handle, secret_store::Error> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &*runtime {
            return Ok(handle.clone());
        }
        let failed = |error: std::io::Error| secret_store::Error::other(&error.to_string());
        let started = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = started.handle().clone();
        // The thread is never joined, so the program can end while a request is under way.
        std::thread::Builder::new()
            .name("keywright-bao".to_owned())
            .spawn(move || started.block_on(std::future::pending::<()>()))
            .map_err(failed)?;
        handle.spawn(keep_token(Arc::clone(&self.client)));
        *runtime = Some(handle.clone());
        Ok(handle)
    }
}
