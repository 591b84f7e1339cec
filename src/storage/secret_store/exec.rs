//! A store behind a program that speaks the protocol of Docker's credential helpers
//! (<https://github.com/docker/docker-credential-helpers>): its argument is `store`, `get`, `erase` or
//! `list`, and it reads and writes JSON. It is started directly, not through a shell, and keys are only in
//! its input and output.

mod server_url;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::helper_error::{Fault, HelperError, Verb};
use super::{EntryId, Error, check_read_back};
use crate::domain::{ExecProgram, io_error_text, mask_keys, sanitize};
use crate::platform::child_process::find_on_path;
use crate::platform::limited_process::{self, Finished, Limits};
use server_url::{account_of_url, url_of_entry};

/// The minimum time limit of a helper: programs of cloud providers take seconds to start.
const MIN_TIME_LIMIT: Duration = Duration::from_secs(30);

/// The longest answer to `get`, and to `list`, in KiB.
const MAX_GET_KIB: usize = 64;
const MAX_LIST_KIB: usize = 4_096;

/// The message of Docker's helpers for an entry that does not exist.
const NOT_FOUND: &str = "credentials not found";

/// The store of one program.
#[derive(Clone)]
pub(super) struct ExecStore {
    program: ExecProgram,
    min_time_limit: Duration,
}

/// The input of `store`, in the protocol's spelling.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewCredentials<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// The answer to `get`. A helper may leave the URL out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: SecretString,
}

impl ExecStore {
    pub(super) const fn new(program: ExecProgram) -> Self {
        Self { program, min_time_limit: MIN_TIME_LIMIT }
    }

    pub(super) const fn program(&self) -> &ExecProgram {
        &self.program
    }

    #[expect(clippy::disallowed_methods, reason = "only looks whether there is a secret")]
    pub(super) fn get(&self, entry_id: &EntryId, timeout: Duration) -> Result<SecretString, Error> {
        let url = url_of_entry(entry_id);
        let finished = self.call(Verb::Get, url.as_bytes(), None, timeout)?;
        let credentials: Credentials = serde_json::from_slice(&finished.stdout)
            .map_err(|_| self.error(Verb::Get, Fault::NotJson))?;
        if !credentials.server_url.is_empty() && credentials.server_url != url {
            return Err(self.error(Verb::Get, Fault::OtherServer));
        }
        // Docker's helper for pass up to 0.6 gives this answer if there is no entry.
        if credentials.secret.expose_secret().is_empty() {
            return Err(Error::NoEntry);
        }
        if credentials.username != entry_id.account {
            return Err(self.error(Verb::Get, Fault::OtherUser));
        }
        Ok(credentials.secret)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "passes the key to the helper on its standard input"
    )]
    pub(super) fn set(
        &self,
        entry_id: &EntryId,
        secret: &SecretString,
        timeout: Duration,
    ) -> Result<(), Error> {
        let url = url_of_entry(entry_id);
        let credentials = NewCredentials {
            server_url: &url,
            username: &entry_id.account,
            secret: secret.expose_secret(),
        };
        let mut input = serde_json::to_vec(&credentials).unwrap_or_default();
        // Helpers that read lines wait for the end of one.
        input.push(b'\n');
        let finished = self.call(Verb::Store, &input, Some(secret), timeout)?;
        match self.get(entry_id, timeout) {
            Ok(stored) => check_read_back(&stored, secret),
            Err(Error::NoEntry) if !finished.took_input => {
                Err(self.error(Verb::Store, Fault::InputNotRead))
            }
            Err(Error::NoEntry) => Err(self.error(Verb::Store, Fault::NotKept)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn delete(&self, entry_id: &EntryId, timeout: Duration) -> Result<(), Error> {
        let url = url_of_entry(entry_id);
        let erased = self.call(Verb::Erase, url.as_bytes(), None, timeout);
        // Some helpers refuse to erase what does not exist, each in its own words.
        match (erased, self.get(entry_id, timeout)) {
            (Ok(_), Err(Error::NoEntry)) => Ok(()),
            (Ok(_), Ok(_)) => Err(self.error(Verb::Erase, Fault::NotErased)),
            (Err(_), Err(Error::NoEntry)) => Err(Error::NoEntry),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        }
    }

    pub(super) fn list_accounts(
        &self,
        service: &str,
        timeout: Duration,
    ) -> Result<Vec<String>, Error> {
        let finished = match self.call(Verb::List, b"unused", None, timeout) {
            Ok(finished) => finished,
            // An empty macOS keychain.
            Err(Error::NoEntry) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let entries: Option<BTreeMap<String, String>> = serde_json::from_slice(&finished.stdout)
            .map_err(|_| self.error(Verb::List, Fault::NotJson))?;
        let entries = entries.unwrap_or_default();
        Ok(entries.keys().filter_map(|url| account_of_url(url, service)).collect())
    }

    pub(super) fn check_writable(
        &self,
        entry_id: &EntryId,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.set(entry_id, &SecretString::from("probe"), timeout)?;
        self.delete(entry_id, timeout)
    }

    /// Starts the helper and returns its answer, if its exit code says that it did what it was asked.
    fn call(
        &self,
        verb: Verb,
        input: &[u8],
        secret: Option<&SecretString>,
        timeout: Duration,
    ) -> Result<Finished, Error> {
        let path = self.resolve_path().map_err(|fault| self.error(verb, fault))?;
        let max_kib = if verb == Verb::List { MAX_LIST_KIB } else { MAX_GET_KIB };
        let limits = Limits { time: timeout.max(self.min_time_limit), output: max_kib * 1_024 };
        let finished = limited_process::run(&path, verb.as_str(), input, limits);
        let fault = match finished {
            Ok(finished) if finished.code == Some(0) => return Ok(finished),
            Ok(finished) => {
                let text = error_text(&finished, secret);
                if text.to_ascii_lowercase().contains(NOT_FOUND) {
                    return Err(Error::NoEntry);
                }
                Fault::Refused(finished.code, text)
            }
            Err(limited_process::Error::NotStarted(error)) => match error.kind() {
                std::io::ErrorKind::PermissionDenied => Fault::NotExecutable,
                _ => Fault::NotStarted(io_error_text(&error)),
            },
            Err(limited_process::Error::TimedOut) => Fault::TimedOut(limits.time.as_secs()),
            Err(limited_process::Error::TooMuchOutput) => Fault::TooMuchOutput(max_kib),
            Err(limited_process::Error::OutputLeftOpen) => Fault::OutputLeftOpen,
        };
        Err(self.error(verb, fault))
    }

    fn resolve_path(&self) -> Result<PathBuf, Fault> {
        let program = self.program.as_str();
        let path = if let Some(rest) = program.strip_prefix("~/") {
            etcetera::home_dir().map_err(|_| Fault::NoHome)?.join(rest)
        } else if Path::new(program).is_absolute() {
            PathBuf::from(program)
        } else {
            find_on_path(program.as_ref()).ok_or(Fault::NotOnPath)?
        };
        let is_batch_file = path.extension().is_some_and(|extension| {
            extension.eq_ignore_ascii_case("cmd") || extension.eq_ignore_ascii_case("bat")
        });
        match path.is_file() {
            _ if cfg!(windows) && is_batch_file => Err(Fault::CommandScript),
            true => Ok(path),
            false => Err(Fault::NoFile),
        }
    }

    fn error(&self, verb: Verb, fault: Fault) -> Error {
        Error::Helper(Box::new(HelperError {
            program: sanitize(self.program.as_str(), 200),
            verb,
            fault,
        }))
    }
}

/// Returns the error message of a helper: Docker's helpers print it on standard output, scripts on
/// standard error. The message may repeat the input, so the secret and everything that looks like a
/// key are removed.
#[expect(clippy::disallowed_methods, reason = "removes the key from the text")]
fn error_text(finished: &Finished, secret: Option<&SecretString>) -> String {
    let is_blank = |output: &[u8]| output.iter().all(u8::is_ascii_whitespace);
    let output = if is_blank(&finished.stdout) { &finished.stderr } else { &finished.stdout };
    let mut text = String::from_utf8_lossy(output).into_owned();
    if let Some(secret) = secret {
        let secret = secret.expose_secret();
        text = text.replace(secret, "…");
        // A part of the secret, or another spelling of it, must not be shown either.
        if secret.len() > 12 && secret.as_bytes().windows(12).any(|part| contains(&text, part)) {
            return "its message has a part of the key, and is not shown".into();
        }
    }
    sanitize(mask_keys(&text).trim(), 200)
}

fn contains(text: &str, part: &[u8]) -> bool {
    memchr::memmem::find(text.as_bytes(), part).is_some()
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
