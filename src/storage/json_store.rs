//! A small JSON document that two programs may change at once: locked, written aside, synced,
//! renamed, and its directory synced. Owns: files and their modes. Must not know: what is in them.

mod claim;
pub(crate) mod files;

use std::any::Any;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::Trouble;
pub use claim::Claim;
pub use files::{create_dir, open_private};
use files::{io_error, patiently, refuse_link, replace, try_lock, write_synced};

/// How long another program may hold the lock before this one gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What keeps a document from being read or written. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or the file is not a real one.
    #[error("{0} is a symbolic link")]
    Link(PathBuf),
    /// A pipe, a socket or a device.
    #[error("{0} is not a file")]
    Special(PathBuf),
    /// Not to be created, read or written.
    #[error("{path} cannot be {verb}: {}", .source.kind())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read`, `written`…
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not the JSON it should be.
    #[error("{path} is damaged at line {line}, column {column}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A later Keywright wrote it.
    #[error("{path} has version {version}, newer than this Keywright knows")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u64,
    },
    /// Another program holds the lock.
    #[error("another Keywright has held {0} for five seconds")]
    Busy(PathBuf),
}

impl Error {
    /// What a person does now.
    pub fn advice(&self) -> String {
        match self {
            Self::Link(_) => {
                "nothing was written; remove the link, or give the real directory with --data-dir"
                    .into()
            }
            Self::Special(path) => {
                format!("nothing was written; move it aside: mv '{0}' '{0}.odd'", path.display())
            }
            Self::Io { path, source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                format!(
                    "nothing was overwritten; free some space where {} lies, or choose another place with --data-dir",
                    path.display()
                )
            }
            Self::Io { path, .. } => format!(
                "nothing was overwritten; make {} readable and writable for you, or choose another place with --data-dir",
                path.display()
            ),
            Self::Broken { path, .. } => format!(
                "nothing was overwritten and your keys are safe in the keychain; mend the file, or move it aside: mv '{0}' '{0}.broken'",
                path.display()
            ),
            Self::Newer { .. } => {
                "nothing was overwritten; use the newer Keywright, or another place with --data-dir"
                    .into()
            }
            Self::Busy(_) => "end the other Keywright, or wait for it, and try again".into(),
        }
    }

    /// As trouble outside a journey.
    pub fn trouble(&self) -> Trouble {
        Trouble { message: self.to_string(), advice: self.advice(), code: 1 }
    }
}

/// Where documents lie: a directory of this person's (0700, files 0600), or memory.
#[derive(Clone, Debug)]
pub enum Place {
    /// Files in this directory, created when first written to.
    Directory(PathBuf),
    /// Gone with the process.
    Memory(Memory),
}

/// Documents as they are, by their names: nothing is written, so nothing needs to be JSON.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    documents: HashMap<String, Box<dyn Any + Send>>,
    claims: HashSet<String>,
}

impl Memory {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be kept in a [`Place`].
pub trait Document: DeserializeOwned + Serialize + Default + Clone + Send + 'static {}

impl<T: DeserializeOwned + Serialize + Default + Clone + Send + 'static> Document for T {}

/// The field `version` of every document: always this one when written. A newer one is refused
/// before the rest is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

const VERSION: u64 = 1;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self)
    }
}

impl Place {
    /// An empty place in memory.
    pub fn memory() -> Self {
        Self::Memory(Memory::default())
    }

    /// The document `name`, or its default when there is none yet.
    pub fn read<T: Document>(&self, name: &str) -> Result<T, Error> {
        self.look(name, |document: Cow<'_, T>| document.into_owned())
    }

    /// What is wanted of the document `name`, or of its default when there is none yet. One in
    /// memory is only lent: it may be long.
    pub fn look<T: Document, R>(
        &self,
        name: &str,
        look: impl FnOnce(Cow<'_, T>) -> R,
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(memory) => {
                let shelf = memory.shelf();
                let found = shelf.documents.get(name).and_then(|found| found.downcast_ref::<T>());
                return Ok(look(found.map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)));
            }
        };
        refuse_link(dir)?;
        let path = dir.join(name);
        let document = match files::read(&path)?.map(String::from_utf8) {
            Some(Ok(text)) if !text.trim().is_empty() => parse(&path, &text)?,
            // An empty file holds nothing to lose.
            None | Some(Ok(_)) => T::default(),
            Some(Err(_)) => return Err(Error::Broken { path, line: 1, column: 1 }),
        };
        Ok(look(Cow::Owned(document)))
    }

    /// Reads the document `name`, lets `change` alter it, and writes it back; all under one lock,
    /// and on disk when this returns.
    pub fn update<T: Document, R>(
        &self,
        name: &str,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(memory) => {
                let mut shelf = memory.shelf();
                let document =
                    shelf.documents.entry(name.into()).or_insert_with(|| Box::new(T::default()));
                // One name is one kind of document; another kind starts anew.
                if !document.is::<T>() {
                    *document = Box::new(T::default());
                }
                let mut fallback = T::default();
                return Ok(change(document.downcast_mut().unwrap_or(&mut fallback)));
            }
        };
        let _lock = self.lock(name)?;
        let mut document: T = self.read(name)?;
        let result = change(&mut document);
        let mut text = serde_json::to_vec_pretty(&document).map_err(|error| Error::Io {
            path: dir.join(name),
            verb: "written",
            source: error.into(),
        })?;
        text.push(b'\n');
        replace(dir, name, &text)?;
        Ok(result)
    }

    /// Proves that documents can be written here: takes the lock and syncs a file.
    pub fn prove_writable(&self) -> Result<(), Error> {
        if let Self::Directory(dir) = self {
            let _lock = self.lock("inventory.json")?;
            let probe = dir.join("write.probe");
            write_synced(&probe, b"", &probe)?;
            fs::remove_file(&probe).map_err(io_error(&probe, "removed"))?;
        }
        Ok(())
    }

    /// Holds `name` until dropped; `Busy` at once if it is held already, by this process or another.
    /// The kernel lets go when the process dies, however it dies.
    pub fn claim(&self, name: &str) -> Result<Claim, Error> {
        match self {
            Self::Memory(memory) => {
                if !memory.shelf().claims.insert(name.into()) {
                    return Err(Error::Busy(name.into()));
                }
                Ok(Claim::Memory(memory.clone(), name.into()))
            }
            Self::Directory(dir) => {
                create_dir(dir)?;
                let path = dir.join(name);
                Ok(Claim::File { _lock: try_lock(&path)?, path })
            }
        }
    }

    /// [`Self::claim`], waiting for whoever holds it, but not longer than that. Blocks.
    pub fn claim_within(&self, name: &str, patience: Duration) -> Result<Claim, Error> {
        patiently(patience, || self.claim(name))
    }

    /// The lock of a document.
    fn lock(&self, name: &str) -> Result<Option<File>, Error> {
        match self {
            Self::Directory(dir) => files::lock(dir, name).map(Some),
            Self::Memory(_) => Ok(None),
        }
    }
}

#[derive(Deserialize)]
struct Stamp {
    #[serde(default)]
    version: u64,
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    let broken = |error: &serde_json::Error| Error::Broken {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    // Alone first: whatever else a newer version holds need not be understood.
    let stamp: Stamp = serde_json::from_str(text).map_err(|error| broken(&error))?;
    if stamp.version > VERSION {
        return Err(Error::Newer { path: path.to_owned(), version: stamp.version });
    }
    serde_json::from_str(text).map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests;
