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

use super::{Error, Slot};
use crate::storage::json_store::{self, files};
use age::{Envelope, Failure};

const NAME: &str = "vault.age";

/// scrypt's cost in a new vault, as `age -p` has it: 256 MiB and about a second.
const WORK: u8 = 18;

/// Asks for the passphrase; twice where `true` says that it will be a new one.
pub type Ask = Arc<dyn Fn(bool) -> Result<SecretString, Error> + Send + Sync>;

pub(super) struct File {
    dir: PathBuf,
    ask: Ask,
    work: u8,
    /// What came of asking.
    passphrase: Option<Result<SecretString, Error>>,
    /// The one the file was last seen in.
    envelope: Option<Envelope>,
}

#[derive(Deserialize)]
struct Stamp {
    version: u64,
}

/// What is in the file, in JSON.
#[derive(Deserialize)]
struct Content {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    service: String,
    account: String,
    secret: SecretString,
}

#[derive(Serialize)]
struct Written<'a> {
    /// For whoever opens it with `age -d`.
    what: &'static str,
    version: u64,
    entries: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    service: &'a str,
    account: &'a str,
    secret: &'a str,
}

const WHAT: &str = "Keywright's vault: OpenRouter API keys";
const VERSION: u64 = 1;

impl File {
    pub(super) fn new(dir: PathBuf, ask: Ask) -> Self {
        Self { dir, ask, work: WORK, passphrase: None, envelope: None }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    /// Asks for the passphrase now, and tries it.
    pub(super) fn unlock(&mut self) -> Result<(), Error> {
        let file = self.read()?;
        self.envelope(file.as_deref()).map(drop)
    }

    pub(super) fn get(&mut self, slot: &Slot) -> Result<SecretString, Error> {
        let entries = self.entries()?;
        entries.into_iter().find(|entry| entry.is_at(slot)).map(|e| e.secret).ok_or(Error::NoEntry)
    }

    pub(super) fn set(&mut self, slot: &Slot, secret: &SecretString) -> Result<(), Error> {
        self.update(|entries| {
            match entries.iter_mut().find(|entry| entry.is_at(slot)) {
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
            Err(Error::ReadBackDiffers)
        }
    }

    pub(super) fn delete(&mut self, slot: &Slot) -> Result<(), Error> {
        self.update(|entries| {
            let before = entries.len();
            entries.retain(|entry| !entry.is_at(slot));
            if entries.len() < before { Ok(()) } else { Err(Error::NoEntry) }
        })
    }

    pub(super) fn accounts(&mut self, service: &str) -> Result<Vec<String>, Error> {
        let mut accounts: Vec<_> = self
            .entries()?
            .into_iter()
            .filter(|entry| entry.service == service)
            .map(|entry| entry.account)
            .collect();
        accounts.sort();
        Ok(accounts)
    }

    pub(super) fn probe(&mut self, slot: &Slot) -> Result<(), Error> {
        self.set(slot, &SecretString::from("probe"))?;
        self.delete(slot)
    }

    /// Seals everything under another passphrase. The file is replaced once what is to replace it
    /// was opened again.
    pub(super) fn change_passphrase(&mut self, new: &SecretString) -> Result<(), Error> {
        let envelope = Envelope::new(new, self.work)?;
        let _lock = files::lock(&self.dir, NAME)?;
        let file = self.read()?.ok_or(Error::NoEntry)?;
        let plain = self.envelope(Some(&file))?.open(&file)?;
        let sealed = envelope.seal(&plain)?;
        if Envelope::of(&sealed, new)?.open(&sealed)? != plain {
            return Err(Error::ReadBackDiffers);
        }
        self.replace(&sealed)?;
        self.passphrase = Some(Ok(new.clone()));
        self.envelope = Some(envelope);
        Ok(())
    }

    /// Everything in the file. Where there is none, nobody is asked for a passphrase.
    fn entries(&mut self) -> Result<Vec<Entry>, Error> {
        let Some(file) = self.read()? else { return Ok(Vec::new()) };
        let plain = self.envelope(Some(&file))?.open(&file)?;
        let damaged = |_| Error::Damaged;
        // Alone first: whatever else a newer version holds need not be understood.
        let stamp: Stamp = serde_json::from_slice(&plain).map_err(damaged)?;
        if stamp.version > VERSION {
            return Err(Error::Newer(stamp.version));
        }
        let content: Content = serde_json::from_slice(&plain).map_err(damaged)?;
        Ok(content.entries)
    }

    /// Reads, changes and writes under one lock; on disk when this returns. An error changes
    /// nothing.
    fn update(
        &mut self,
        change: impl FnOnce(&mut Vec<Entry>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A person who is asked for the passphrase must not keep others waiting for the lock.
        self.unlock()?;
        let _lock = files::lock(&self.dir, NAME)?;
        let mut entries = self.entries()?;
        change(&mut entries)?;
        let plain = plain(&entries)?;
        let file = self.read()?;
        let sealed = self.envelope(file.as_deref())?.seal(&plain)?;
        self.replace(&sealed)
    }

    fn replace(&self, sealed: &[u8]) -> Result<(), Error> {
        files::replace(&self.dir, NAME, sealed)?;
        if self.read()?.as_deref() == Some(sealed) { Ok(()) } else { Err(Error::ReadBackDiffers) }
    }

    /// What is in the file, still sealed. An empty one holds nothing to lose.
    fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(files::read(&self.path())?.filter(|bytes| !bytes.is_empty()))
    }

    /// The envelope this file is in, or the one in which the first will be.
    fn envelope(&mut self, file: Option<&[u8]>) -> Result<&Envelope, Error> {
        // Another program may have given it another passphrase, and so another envelope, meanwhile.
        let fits = |envelope: &Envelope| file.is_none_or(|file| envelope.is_of(file));
        let envelope = match self.envelope.take().filter(fits) {
            Some(envelope) => envelope,
            None => self.make_envelope(file)?,
        };
        Ok(self.envelope.insert(envelope))
    }

    fn make_envelope(&mut self, file: Option<&[u8]>) -> Result<Envelope, Error> {
        let passphrase = self.passphrase.get_or_insert_with(|| (self.ask)(file.is_none()));
        let passphrase = passphrase.as_ref().map_err(Clone::clone)?;
        let made = match file {
            Some(file) => Envelope::of(file, passphrase),
            None => Envelope::new(passphrase, self.work),
        };
        if let Err(Failure::Wrong) = made {
            self.passphrase = Some(Err(Error::WrongPassphrase));
        }
        Ok(made?)
    }
}

/// As JSON; the buffer is wiped, so it must not grow.
fn plain(entries: &[Entry]) -> Result<Zeroizing<Vec<u8>>, Error> {
    #[expect(clippy::disallowed_methods, reason = "the door into the file vault")]
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| Row {
            service: &entry.service,
            account: &entry.account,
            secret: entry.secret.expose_secret(),
        })
        .collect();
    // A character takes six bytes at most.
    let most = |row: &Row| 64 + 6 * (row.service.len() + row.account.len() + row.secret.len());
    let mut plain = Zeroizing::new(Vec::with_capacity(128 + rows.iter().map(most).sum::<usize>()));
    let content = Written { what: WHAT, version: VERSION, entries: rows };
    serde_json::to_writer(&mut *plain, &content)
        .map_err(|error| Error::other(&error.to_string()))?;
    Ok(plain)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotOurs => Self::NotAVault,
            Failure::TooMuchWork => Self::TooMuchWork,
            Failure::Wrong => Self::WrongPassphrase,
            Failure::Damaged => Self::Damaged,
            Failure::System => Self::other("the system gives no randomness"),
        }
    }
}

impl From<json_store::Error> for Error {
    fn from(error: json_store::Error) -> Self {
        Self::File { advice: error.advice(), message: error.to_string() }
    }
}

impl Entry {
    fn is_at(&self, slot: &Slot) -> bool {
        self.service == slot.service && self.account == slot.account
    }
}

#[cfg(test)]
mod tests;
