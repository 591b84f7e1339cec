//! The calls of a KV engine of version 2. Each is asynchronous and runs on the thread of
//! [`super::BaoStore`].

mod folder;
mod rights;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::session::{LazySession, Response, Session};
use super::waiting::{OUTAGE_PATIENCE, REPORT_AFTER, report_wait};
use super::wire::{Body, Entry, EntryMetadata, Envelope, KEY_FIELD, ReadData, WrittenData};
use super::{BaoOptions, Error};
use crate::storage::secret_store;

/// How often an entry is read to find a version that may have been written.
const READ_BACK_TRIES: usize = 10;

/// A result in which an entry that does not exist is [`secret_store::Error::NoEntry`].
type Result<T> = std::result::Result<T, secret_store::Error>;

/// The current state of an entry.
enum State {
    Absent,
    /// The current version has no secret any more; the error says why.
    Deleted(u64, Error),
    Present(Entry),
}

/// A client of one mount.
pub(super) struct Client {
    pub(super) options: BaoOptions,
    session: LazySession,
}

impl Client {
    pub(super) fn new(options: BaoOptions) -> Self {
        Self { options, session: LazySession::default() }
    }

    pub(super) fn session(&self) -> std::result::Result<Arc<Session>, Error> {
        self.session.get(&self.options)
    }

    /// Returns `MOUNT/PATH`, as `bao kv get` takes it.
    pub(super) fn full_path(&self, path: &str) -> String {
        format!("{}/{path}", self.mount())
    }

    fn mount(&self) -> &str {
        self.options.mount.trim_matches('/')
    }

    fn api_path(&self, kind: &str, path: &str) -> String {
        format!("{}/{kind}/{path}", self.mount())
    }

    /// Sends a request that can be repeated, and repeats it while the cluster has no leader. Reports that
    /// it waits after a second.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<&Body>,
    ) -> std::result::Result<Response, Error> {
        let session = self.session()?;
        let mut response = pin!(self.send_until_answered(&session, method, path, query, body));
        if let Ok(response) = tokio::time::timeout(REPORT_AFTER, &mut response).await {
            return response;
        }
        report_wait(&session.address);
        response.await
    }

    async fn send_until_answered(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<&Body>,
    ) -> std::result::Result<Response, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            match session.request(method.clone(), path, query, body).await {
                Err(error)
                    if error.is_temporary()
                        && !session.outage.is_known()
                        && started.elapsed() + pause < OUTAGE_PATIENCE =>
                {
                    tracing::debug!(%error, "repeating a request to the engine");
                }
                Err(error) => {
                    if error.is_outage() {
                        session.outage.begin();
                    }
                    self.discard_refused_credentials(&error);
                    return Err(error);
                }
                Ok(response) => return Ok(response),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Returns the error for a response that is no success: the mount may be missing or of version 1.
    async fn to_error(&self, response: &Response, operation: &'static str, path: &str) -> Error {
        let full_path = self.full_path(path);
        let error = match self.session() {
            Ok(session) => session.to_status_error(response, operation, &full_path).await,
            Err(error) => error,
        };
        self.discard_refused_credentials(&error);
        error
    }

    /// Reads the settings again at the next call if the engine refused the token or the login: there may be
    /// another one by then, such as after `bao login`.
    fn discard_refused_credentials(&self, error: &Error) {
        if matches!(error, Error::BadToken(_) | Error::LoginFailed { .. }) {
            self.session.reset();
        }
    }

    /// Reads an entry: its secret and version.
    pub(super) async fn read(&self, path: &str) -> Result<Entry> {
        match self.read_state(path).await? {
            State::Present(entry) => Ok(entry),
            State::Deleted(_, error) => Err(error.into()),
            State::Absent => {
                // The mount is looked at only where no entry was found.
                self.check_mount().await?;
                Err(secret_store::Error::NoEntry)
            }
        }
    }

    async fn read_state(&self, path: &str) -> std::result::Result<State, Error> {
        let session = self.session()?;
        let response = self.send(Method::GET, &self.api_path("data", path), None, None).await?;
        if response.status != 200 && response.status != 404 {
            return Err(self.to_error(&response, "read", path).await);
        }
        let read = response.parse::<Envelope<ReadData>>(&session.address);
        let ReadData { data, metadata } = match read {
            Ok(read) => read.data,
            Err(_) if response.status == 404 => return Ok(State::Absent),
            Err(error) => return Err(error),
        };
        let full_path = self.full_path(path);
        let Some(mut data) = data else {
            let version = metadata.version;
            let error = if metadata.destroyed {
                Error::VersionDestroyed { path: full_path, version }
            } else {
                Error::VersionDeleted { path: full_path, version }
            };
            return Ok(State::Deleted(version, error));
        };
        let Some(Value::String(secret)) = data.remove(KEY_FIELD) else {
            return Err(Error::NotAKey { path: full_path });
        };
        Ok(State::Present(Entry {
            secret: SecretString::from(secret),
            version: metadata.version,
            created_time: metadata.created_time,
        }))
    }

    /// Writes a secret and returns its version. `cas` is the version that must be the current one; 0
    /// for an entry that must not exist.
    ///
    /// Without it the current version is read first, so that a response that is lost can be told from
    /// a change by someone else.
    pub(super) async fn write(
        &self,
        path: &str,
        secret: &SecretString,
        cas: Option<u64>,
    ) -> Result<u64> {
        if let Some(cas) = cas {
            return self.write_version(path, secret, cas).await;
        }
        let mut tries = 0;
        loop {
            let cas = match self.read_state(path).await? {
                State::Absent => 0,
                State::Deleted(version, _) | State::Present(Entry { version, .. }) => version,
            };
            match self.write_version(path, secret, cas).await {
                // A standby may have answered with an earlier version.
                Err(secret_store::Error::Bao(Error::Conflict { .. })) if tries < 4 => tries += 1,
                result => return result,
            }
        }
    }

    async fn write_version(&self, path: &str, secret: &SecretString, cas: u64) -> Result<u64> {
        #[expect(clippy::disallowed_methods, reason = "the engine receives the secret")]
        let body = Body::json(&json!({
            "data": { KEY_FIELD: secret.expose_secret() },
            "options": { "cas": cas },
        }));
        // A repeated request writes nothing twice: the first one changed the version.
        let result = self.send(Method::POST, &self.api_path("data", path), None, Some(&body)).await;
        let response = match result {
            Ok(response) => response,
            Err(error) if error.is_temporary() => {
                return match self.find_written(path, secret, cas).await {
                    Some(version) => Ok(version),
                    None => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        match response.status {
            200 => {
                let session = self.session()?;
                let written: Envelope<WrittenData> = response.parse(&session.address)?;
                Ok(written.data.version)
            }
            // An engine of version 1 stores whatever it gets, under a path that is none of ours.
            204 => {
                self.check_mount().await?;
                Err(secret_store::Error::ReadBackMismatch)
            }
            400 if response.message().contains("check-and-set parameter did not match") => {
                // The request may have been repeated after a response that was lost.
                match self.find_written(path, secret, cas).await {
                    Some(version) => Ok(version),
                    None => Err(Error::Conflict { path: self.full_path(path) }.into()),
                }
            }
            404 => {
                self.check_mount().await?;
                Err(self.to_error(&response, "write", path).await.into())
            }
            _ => Err(self.to_error(&response, "write", path).await.into()),
        }
    }

    /// Returns the version after `cas` if it has this secret.
    #[expect(clippy::disallowed_methods, reason = "compares the secret after writing")]
    async fn find_written(&self, path: &str, secret: &SecretString, cas: u64) -> Option<u64> {
        // A standby may not have the version yet.
        for _ in 0..READ_BACK_TRIES {
            match self.read_state(path).await.ok()? {
                State::Present(entry) if entry.version > cas => {
                    let is_ours = entry.secret.expose_secret() == secret.expose_secret();
                    return is_ours.then_some(entry.version);
                }
                State::Deleted(version, _) if version > cas => return None,
                State::Absent | State::Deleted(..) | State::Present(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }

    /// Reads what the engine knows about an entry without its secret.
    pub(super) async fn read_metadata(&self, path: &str) -> Result<EntryMetadata> {
        let session = self.session()?;
        let response = self.send(Method::GET, &self.api_path("metadata", path), None, None).await?;
        match response.status {
            200 => Ok(response.parse::<Envelope<EntryMetadata>>(&session.address)?.data),
            404 => Err(secret_store::Error::NoEntry),
            _ => Err(self.to_error(&response, "read", path).await.into()),
        }
    }

    /// Reads one version of an entry.
    pub(super) async fn read_version(&self, path: &str, version: u64) -> Result<SecretString> {
        let session = self.session()?;
        let query = format!("version={version}");
        let api_path = self.api_path("data", path);
        let response = self.send(Method::GET, &api_path, Some(&query), None).await?;
        let full_path = self.full_path(path);
        match response.status {
            200 | 404 => {}
            _ => return Err(self.to_error(&response, "read", path).await.into()),
        }
        let Ok(read) = response.parse::<Envelope<ReadData>>(&session.address) else {
            return Err(secret_store::Error::NoEntry);
        };
        match read.data.data.map(|mut data| data.remove(KEY_FIELD)) {
            Some(Some(Value::String(secret))) => Ok(SecretString::from(secret)),
            Some(_) => Err(Error::NotAKey { path: full_path }.into()),
            None if read.data.metadata.destroyed => {
                Err(Error::VersionDestroyed { path: full_path, version }.into())
            }
            None => Err(Error::VersionDeleted { path: full_path, version }.into()),
        }
    }

    /// Writes these fields of the custom metadata and leaves the others; `None` removes a field. Where
    /// the token may not patch, all fields are written.
    pub(super) async fn write_metadata(
        &self,
        path: &str,
        fields: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let api_path = self.api_path("metadata", path);
        let patch = Body::merge_patch(&json!({ "custom_metadata": fields }));
        let mut response = self.send(Method::PATCH, &api_path, None, Some(&patch)).await?;
        // 405 and 501: an engine without PATCH; 404: an entry without metadata yet.
        if matches!(response.status, 403 | 404 | 405 | 501) {
            let mut all = match self.read_metadata(path).await {
                Ok(metadata) => metadata.custom_metadata,
                Err(secret_store::Error::NoEntry) => BTreeMap::new(),
                Err(error) => return Err(error),
            };
            for (name, value) in fields {
                match value {
                    Some(value) => drop(all.insert(name.clone(), value.clone())),
                    None => drop(all.remove(name)),
                }
            }
            let body = Body::json(&json!({ "custom_metadata": all }));
            response = self.send(Method::POST, &api_path, None, Some(&body)).await?;
        }
        match response.status {
            200 | 204 => Ok(()),
            _ => Err(self.to_error(&response, "write", path).await.into()),
        }
    }

    /// Deletes an entry with all its versions. Fails with `NoEntry` if it does not exist.
    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        // The engine answers the same whether the entry existed or not.
        if let State::Absent = self.read_state(path).await? {
            self.check_mount().await?;
            return Err(secret_store::Error::NoEntry);
        }
        let response =
            self.send(Method::DELETE, &self.api_path("metadata", path), None, None).await?;
        match response.status {
            200 | 204 => Ok(()),
            _ => Err(self.to_error(&response, "delete", path).await.into()),
        }
    }
}
