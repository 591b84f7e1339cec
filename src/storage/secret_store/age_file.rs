//! Secrets in one file, `vault.age`, that a passphrase opens: readable by `age -d`.
//! Owns: what is in it, one writer at a time, and reading back. Must not know: who knows the
//! passphrase, what a secret is for.
//!
//! The passphrase is asked for once, at the first call that needs it; what came of that stays, so
//! that a wrong one is not tried key by key. The file is read anew at each call: another program
//! may have written it.

mod age;

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{EntryId, Error};
use crate::storage::json_store::{self, atomic_file};
use age::{AgeError, UnlockedHeader};

const FILE_NAME: &str = "vault.age";

/// scrypt's cost in a new vault, as `age -p` has it: 256 MiB and about a second.
const WORK_FACTOR: u8 = 18;

/// Asks for the passphrase; twice where `true` says that it will be a new one.
pub type PassphraseFn = Arc<dyn Fn(bool) -> Result<SecretString, Error> + Send + Sync>;

pub(super) struct AgeFile {
    dir: PathBuf,
    passphrase_fn: PassphraseFn,
    work_factor: u8,
    /// What came of asking.
    passphrase: Option<Result<SecretString, Error>>,
    /// The one the file was last seen in.
    header: Option<UnlockedHeader>,
}

#[derive(Deserialize)]
struct VersionHeader {
    version: u64,
}

/// What is in the file, in JSON.
#[derive(Deserialize)]
struct FileContent {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    service: String,
    account: String,
    secret: SecretString,
}

#[derive(Serialize)]
struct FileContentRef<'a> {
    /// For whoever opens it with `age -d`.
    #[serde(rename = "what")]
    description: &'static str,
    version: u64,
    entries: Vec<EntryRef<'a>>,
}

#[derive(Serialize)]
struct EntryRef<'a> {
    service: &'a str,
    account: &'a str,
    secret: &'a str,
}

const DESCRIPTION: &str = "Keywright's vault: OpenRouter API keys";
const SCHEMA_VERSION: u64 = 1;

impl AgeFile {
    pub(super) fn new(dir: PathBuf, ask: PassphraseFn) -> Self {
        Self { dir, passphrase_fn: ask, work_factor: WORK_FACTOR, passphrase: None, header: None }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// Asks for the passphrase now, and tries it.
    pub(super) fn unlock(&mut self) -> Result<(), Error> {
        let file = self.read_encrypted()?;
        self.ensure_header(file.as_deref()).map(drop)
    }

    pub(super) fn get(&mut self, slot: &EntryId) -> Result<SecretString, Error> {
        let entries = self.read_entries()?;
        entries.into_iter().find(|entry| entry.has_id(slot)).map(|e| e.secret).ok_or(Error::NoEntry)
    }

    pub(super) fn set(&mut self, slot: &EntryId, secret: &SecretString) -> Result<(), Error> {
        self.update_entries(|entries| {
            match entries.iter_mut().find(|entry| entry.has_id(slot)) {
                Some(entry) => entry.secret = secret.clone(),
                None => entries.push(Entry {
                    service: slot.service.clone(),
                    account: slot.account.clone(),
                    secret: secret.clone(),
                }),
            }
            Ok(())
        })?;
        let kept = self.get(slot)?;
        #[expect(clippy::disallowed_methods, reason = "the comparison after writing")]
        if kept.expose_secret() == secret.expose_secret() {
            Ok(())
        } else {
            Err(Error::ReadBackMismatch)
        }
    }

    pub(super) fn delete(&mut self, slot: &EntryId) -> Result<(), Error> {
        self.update_entries(|entries| {
            let before = entries.len();
            entries.retain(|entry| !entry.has_id(slot));
            if entries.len() < before { Ok(()) } else { Err(Error::NoEntry) }
        })
    }

    pub(super) fn list_accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let mut accounts: Vec<_> = self
            .read_entries()?
            .into_iter()
            .filter(|entry| entry.service == service)
            .map(|entry| entry.account)
            .collect();
        accounts.sort();
        Ok(accounts)
    }

    pub(super) fn check_writable(&mut self, slot: &EntryId) -> Result<(), Error> {
        self.set(slot, &SecretString::from("probe"))?;
        self.delete(slot)
    }

    /// Seals everything under another passphrase. The file is replaced once what is to replace it
    /// was opened again.
    pub(super) fn change_passphrase(&mut self, new: &SecretString) -> Result<(), Error> {
        let envelope = UnlockedHeader::new(new, self.work_factor)?;
        let _lock = atomic_file::lock_file(&self.dir, FILE_NAME)?;
        let file = self.read_encrypted()?.ok_or(Error::NoEntry)?;
        let plain = self.ensure_header(Some(&file))?.decrypt(&file)?;
        let sealed = envelope.encrypt(&plain)?;
        if UnlockedHeader::unlock(&sealed, new)?.decrypt(&sealed)? != plain {
            return Err(Error::ReadBackMismatch);
        }
        self.replace_file(&sealed)?;
        self.passphrase = Some(Ok(new.clone()));
        self.header = Some(envelope);
        Ok(())
    }

    /// Everything in the file. Where there is none, nobody is asked for a passphrase.
    fn read_entries(&mut self) -> Result<Vec<Entry>, Error> {
        let Some(file) = self.read_encrypted()? else { return Ok(Vec::new()) };
        let plain = self.ensure_header(Some(&file))?.decrypt(&file)?;
        let damaged = |_| Error::Damaged;
        // Alone first: whatever else a newer version holds need not be understood.
        let stamp: VersionHeader = serde_json::from_slice(&plain).map_err(damaged)?;
        if stamp.version > SCHEMA_VERSION {
            return Err(Error::UnsupportedVersion(stamp.version));
        }
        let content: FileContent = serde_json::from_slice(&plain).map_err(damaged)?;
        Ok(content.entries)
    }

    /// Reads, changes and writes under one lock; on disk when this returns. An error changes
    /// nothing.
    fn update_entries(
        &mut self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A person who is asked for the passphrase must not keep others waiting for the lock.
        self.unlock()?;
        let _lock = atomic_file::lock_file(&self.dir, FILE_NAME)?;
        let mut entries = self.read_entries()?;
        change(&mut entries)?;
        let plain = serialize_entries(&entries)?;
        let file = self.read_encrypted()?;
        let sealed = self.ensure_header(file.as_deref())?.encrypt(&plain)?;
        self.replace_file(&sealed)
    }

    fn replace_file(&self, sealed: &[u8]) -> Result<(), Error> {
        atomic_file::replace_file(&self.dir, FILE_NAME, sealed)?;
        if self.read_encrypted()?.as_deref() == Some(sealed) {
            Ok(())
        } else {
            Err(Error::ReadBackMismatch)
        }
    }

    /// What is in the file, still sealed. An empty one holds nothing to lose.
    fn read_encrypted(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(atomic_file::read_if_exists(&self.path())?.filter(|bytes| !bytes.is_empty()))
    }

    /// The envelope this file is in, or the one in which the first will be.
    fn ensure_header(&mut self, file: Option<&[u8]>) -> Result<&UnlockedHeader, Error> {
        // Another program may have given it another passphrase, and so another envelope, meanwhile.
        let fits = |envelope: &UnlockedHeader| file.is_none_or(|file| envelope.is_header_of(file));
        let envelope = match self.header.take().filter(fits) {
            Some(envelope) => envelope,
            None => self.unlock_or_create_header(file)?,
        };
        Ok(self.header.insert(envelope))
    }

    fn unlock_or_create_header(&mut self, file: Option<&[u8]>) -> Result<UnlockedHeader, Error> {
        let passphrase =
            self.passphrase.get_or_insert_with(|| (self.passphrase_fn)(file.is_none()));
        let passphrase = passphrase.as_ref().map_err(Clone::clone)?;
        let made = match file {
            Some(file) => UnlockedHeader::unlock(file, passphrase),
            None => UnlockedHeader::new(passphrase, self.work_factor),
        };
        if let Err(AgeError::WrongPassphrase) = made {
            self.passphrase = Some(Err(Error::WrongPassphrase));
        }
        Ok(made?)
    }
}

/// As JSON; the buffer is wiped, so it must not grow.
fn serialize_entries(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, Error> {
    #[expect(clippy::disallowed_methods, reason = "the door into the file vault")]
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| EntryRef {
            service: &entry.service,
            account: &entry.account,
            secret: entry.secret.expose_secret(),
        })
        .collect();
    // A character takes six bytes at most.
    let most = |row: &EntryRef| 64 + 6 * (row.service.len() + row.account.len() + row.secret.len());
    let mut plain = Zeroizing::new(Vec::with_capacity(128 + rows.iter().map(most).sum::<usize>()));
    let content =
        FileContentRef { description: DESCRIPTION, version: SCHEMA_VERSION, entries: rows };
    serde_json::to_writer(&mut *plain, &content)
        .map_err(|error| Error::other(&error.to_string()))?;
    Ok(plain)
}

impl From<AgeError> for Error {
    fn from(failure: AgeError) -> Self {
        match failure {
            AgeError::UnsupportedFormat => Self::UnsupportedFormat,
            AgeError::WorkFactorTooHigh => Self::WorkFactorTooHigh,
            AgeError::WrongPassphrase => Self::WrongPassphrase,
            AgeError::Damaged => Self::Damaged,
            AgeError::SystemResources => Self::other("the system gives no randomness"),
        }
    }
}

impl From<json_store::Error> for Error {
    fn from(error: json_store::Error) -> Self {
        Self::FileAccess { advice: error.advice(), message: error.to_string() }
    }
}

impl Entry {
    fn has_id(&self, slot: &EntryId) -> bool {
        self.service == slot.service && self.account == slot.account
    }
}

#[cfg(test)]
mod tests;
