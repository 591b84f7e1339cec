//! A secret store in one passphrase-encrypted file, `vault.age`, which `age -d` can decrypt.
//!
//! The first call that needs the passphrase asks for it. The result is kept, so that a wrong
//! passphrase is not tried again for every key. Each call reads the file again, because another
//! process may have written it.

mod age;

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{EntryId, Error, check_read_back};
use crate::storage::json_store::{self, atomic_file};
use age::{AgeError, UnlockedHeader};

const FILE_NAME: &str = "vault.age";

/// The scrypt work factor of a new file, the same as in `age -p`: 256 MiB and about a second.
const WORK_FACTOR: u8 = 18;

/// Asks for the passphrase. The argument is `true` for a new passphrase, which is entered twice.
pub type PassphraseFn = Arc<dyn Fn(bool) -> Result<SecretString, Error> + Send + Sync>;

pub(super) struct AgeFile {
    dir: PathBuf,
    passphrase_fn: PassphraseFn,
    work_factor: u8,
    /// The result of asking for the passphrase.
    passphrase: Option<Result<SecretString, Error>>,
    /// The header that the file had at the last call.
    header: Option<UnlockedHeader>,
}

#[derive(Deserialize)]
struct VersionHeader {
    version: u64,
}

/// The decrypted content of the file, in JSON.
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
    /// Tells users who decrypt the file with `age -d` what it is.
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

const DESCRIPTION: &str = "Keywright's secret store: OpenRouter API keys";
const SCHEMA_VERSION: u64 = 1;

impl AgeFile {
    pub(super) fn new(dir: PathBuf, passphrase_fn: PassphraseFn) -> Self {
        Self { dir, passphrase_fn, work_factor: WORK_FACTOR, passphrase: None, header: None }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// Asks for the passphrase now and checks it.
    pub(super) fn unlock(&mut self) -> Result<(), Error> {
        let file = self.read_encrypted()?;
        self.ensure_header(file.as_deref()).map(drop)
    }

    pub(super) fn get(&mut self, entry_id: &EntryId) -> Result<SecretString, Error> {
        let entries = self.read_entries()?;
        entries
            .into_iter()
            .find(|entry| entry.has_id(entry_id))
            .map(|e| e.secret)
            .ok_or(Error::NoEntry)
    }

    pub(super) fn set(&mut self, entry_id: &EntryId, secret: &SecretString) -> Result<(), Error> {
        self.update_entries(|entries| {
            match entries.iter_mut().find(|entry| entry.has_id(entry_id)) {
                Some(entry) => entry.secret = secret.clone(),
                None => entries.push(Entry {
                    service: entry_id.service.clone(),
                    account: entry_id.account.clone(),
                    secret: secret.clone(),
                }),
            }
            Ok(())
        })?;
        check_read_back(&self.get(entry_id)?, secret)
    }

    pub(super) fn delete(&mut self, entry_id: &EntryId) -> Result<(), Error> {
        self.update_entries(|entries| {
            let before = entries.len();
            entries.retain(|entry| !entry.has_id(entry_id));
            if entries.len() < before { Ok(()) } else { Err(Error::NoEntry) }
        })
    }

    pub(super) fn list_accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let accounts = self
            .read_entries()?
            .into_iter()
            .filter(|entry| entry.service == service)
            .map(|entry| entry.account)
            .collect();
        Ok(accounts)
    }

    pub(super) fn check_writable(&mut self, entry_id: &EntryId) -> Result<(), Error> {
        self.set(entry_id, &SecretString::from("probe"))?;
        self.delete(entry_id)
    }

    /// Encrypts the content with a new passphrase. Decrypts the result before it replaces the file.
    pub(super) fn change_passphrase(&mut self, new: &SecretString) -> Result<(), Error> {
        let header = UnlockedHeader::new(new, self.work_factor)?;
        let _lock = atomic_file::lock_file(&self.dir, FILE_NAME)?;
        let file = self.read_encrypted()?.ok_or(Error::NoEntry)?;
        let plain = self.ensure_header(Some(&file))?.decrypt(&file)?;
        let encrypted = header.encrypt(&plain)?;
        if UnlockedHeader::unlock(&encrypted, new)?.decrypt(&encrypted)? != plain {
            return Err(Error::ReadBackMismatch);
        }
        self.replace_file(&encrypted)?;
        self.passphrase = Some(Ok(new.clone()));
        self.header = Some(header);
        Ok(())
    }

    /// Returns all entries. Does not ask for the passphrase if there is no file.
    fn read_entries(&mut self) -> Result<Vec<Entry>, Error> {
        let Some(file) = self.read_encrypted()? else { return Ok(Vec::new()) };
        let plain = self.ensure_header(Some(&file))?.decrypt(&file)?;
        let damaged = |_| Error::Damaged;
        // Parsed first, because the rest of a newer version may have another format.
        let header: VersionHeader = serde_json::from_slice(&plain).map_err(damaged)?;
        if header.version > SCHEMA_VERSION {
            return Err(Error::UnsupportedVersion(header.version));
        }
        let content: FileContent = serde_json::from_slice(&plain).map_err(damaged)?;
        Ok(content.entries)
    }

    /// Updates the entries under one lock. After an error the file is unchanged.
    fn update_entries(
        &mut self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Ask for the passphrase before taking the lock, so that other processes do not wait for it.
        self.unlock()?;
        let _lock = atomic_file::lock_file(&self.dir, FILE_NAME)?;
        let mut entries = self.read_entries()?;
        change(&mut entries)?;
        let plain = serialize_entries(&entries)?;
        let file = self.read_encrypted()?;
        let encrypted = self.ensure_header(file.as_deref())?.encrypt(&plain)?;
        self.replace_file(&encrypted)
    }

    fn replace_file(&self, encrypted: &[u8]) -> Result<(), Error> {
        atomic_file::replace_file(&self.dir, FILE_NAME, encrypted)?;
        if self.read_encrypted()?.as_deref() == Some(encrypted) {
            Ok(())
        } else {
            Err(Error::ReadBackMismatch)
        }
    }

    /// Returns the encrypted file, or `None` if it does not exist.
    fn read_encrypted(&self) -> Result<Option<Vec<u8>>, Error> {
        match atomic_file::read_if_exists(&self.path())? {
            // The file is replaced atomically, so Keywright never leaves an empty one.
            Some(bytes) if bytes.is_empty() => Err(json_store::Error::Empty(self.path()).into()),
            file => Ok(file),
        }
    }

    /// Returns the header of `file`, or of the first file to be written.
    fn ensure_header(&mut self, file: Option<&[u8]>) -> Result<&UnlockedHeader, Error> {
        // Another process may have changed the passphrase, and so the header.
        let is_current =
            |header: &UnlockedHeader| file.is_none_or(|file| header.is_header_of(file));
        let header = match self.header.take().filter(is_current) {
            Some(header) => header,
            None => self.unlock_or_create_header(file)?,
        };
        Ok(self.header.insert(header))
    }

    fn unlock_or_create_header(&mut self, file: Option<&[u8]>) -> Result<UnlockedHeader, Error> {
        let passphrase =
            self.passphrase.get_or_insert_with(|| (self.passphrase_fn)(file.is_none()));
        let passphrase = passphrase.as_ref().map_err(Clone::clone)?;
        let header = match file {
            Some(file) => UnlockedHeader::unlock(file, passphrase),
            None => UnlockedHeader::new(passphrase, self.work_factor),
        };
        if let Err(AgeError::WrongPassphrase) = header {
            self.passphrase = Some(Err(Error::WrongPassphrase));
        }
        Ok(header?)
    }
}

/// Serializes to JSON. The buffer is wiped on drop and must not grow, since growing would leave a
/// copy behind.
fn serialize_entries(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, Error> {
    #[expect(clippy::disallowed_methods, reason = "writes the secrets to the file store")]
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| EntryRef {
            service: &entry.service,
            account: &entry.account,
            secret: entry.secret.expose_secret(),
        })
        .collect();
    // JSON escapes a byte with at most six characters.
    let max_size =
        |row: &EntryRef| 64 + 6 * (row.service.len() + row.account.len() + row.secret.len());
    let mut plain =
        Zeroizing::new(Vec::with_capacity(128 + rows.iter().map(max_size).sum::<usize>()));
    let content =
        FileContentRef { description: DESCRIPTION, version: SCHEMA_VERSION, entries: rows };
    serde_json::to_writer(&mut *plain, &content)
        .map_err(|error| Error::other(&error.to_string()))?;
    Ok(plain)
}

impl From<AgeError> for Error {
    fn from(error: AgeError) -> Self {
        match error {
            AgeError::UnsupportedFormat => Self::UnsupportedFormat,
            AgeError::WorkFactorTooHigh => Self::WorkFactorTooHigh,
            AgeError::WrongPassphrase => Self::WrongPassphrase,
            AgeError::Damaged => Self::Damaged,
            AgeError::SystemResources => Self::other("the system provides no randomness or memory"),
        }
    }
}

impl From<json_store::Error> for Error {
    fn from(error: json_store::Error) -> Self {
        Self::FileAccess { advice: error.advice(), message: error.to_string() }
    }
}

impl Entry {
    fn has_id(&self, entry_id: &EntryId) -> bool {
        self.service == entry_id.service && self.account == entry_id.account
    }
}

#[cfg(test)]
mod tests;
