//! A small JSON document that two programs may change at once: locked, written aside, synced,
//! renamed, and its directory synced. Owns: files and their modes. Must not know: what is in them.

pub(crate) mod atomic_file;
mod lock_guard;

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

use crate::domain::{ErrorKind, UserError};
use atomic_file::{
    check_file_type, io_error, replace_file, retry_while_locked, try_lock_file, write_synced,
};
pub use atomic_file::{create_private_dir, open_private_file};
pub use lock_guard::LockGuard;

/// How long another program may hold the lock before this one gives up.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What keeps a document from being read or written. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or the file is not a real one.
    #[error("{0} is a symbolic link")]
    Symlink(PathBuf),
    /// A pipe, a socket or a device.
    #[error("{0} is not a file")]
    NotRegularFile(PathBuf),
    /// Not to be created, read or written.
    #[error("{path} cannot be {action}: {}", .source.kind())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read`, `written`…
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not the JSON it should be.
    #[error("{path} is damaged at line {line}, column {column}")]
    InvalidJson {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A later Keywright wrote it.
    #[error("{path} has version {version}, newer than this Keywright knows")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u64,
    },
    /// Another program holds the lock.
    #[error("another Keywright has held {0} for five seconds")]
    LockHeld(PathBuf),
}

impl Error {
    /// What a person does now.
    pub fn advice(&self) -> String {
        match self {
            Self::Symlink(_) => {
                "nothing was written; remove the link, or give the real directory with --data-dir"
                    .into()
            }
            Self::NotRegularFile(path) => {
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
            Self::InvalidJson { path, .. } => format!(
                "nothing was overwritten and your keys are safe in the keychain; mend the file, or move it aside: mv '{0}' '{0}.broken'",
                path.display()
            ),
            Self::UnsupportedVersion { .. } => {
                "nothing was overwritten; use the newer Keywright, or another place with --data-dir"
                    .into()
            }
            Self::LockHeld(_) => "end the other Keywright, or wait for it, and try again".into(),
        }
    }

    /// As trouble outside a journey.
    pub fn to_user_error(&self) -> UserError {
        UserError::new(ErrorKind::Failed, self.to_string(), self.advice())
    }
}

/// Where documents lie: a directory of this person's (0700, files 0600), or memory.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// Files in this directory, created when first written to.
    Directory(PathBuf),
    /// Gone with the process.
    Memory(MemoryDocuments),
}

/// Documents as they are, by their names: nothing is written, so nothing needs to be JSON.
#[derive(Clone, Debug, Default)]
pub struct MemoryDocuments(Arc<Mutex<MemoryState>>);

#[derive(Debug, Default)]
struct MemoryState {
    documents: HashMap<String, Box<dyn Any + Send>>,
    locked_names: HashSet<String>,
}

impl MemoryDocuments {
    fn lock_state(&self) -> MutexGuard<'_, MemoryState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What can be kept in a [`Place`].
pub trait Document: DeserializeOwned + Serialize + Default + Clone + Send + 'static {}

impl<T: DeserializeOwned + Serialize + Default + Clone + Send + 'static> Document for T {}

/// The field `version` of every document: always this one when written. A newer one is refused
/// before the rest is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaVersion;

const SCHEMA_VERSION: u64 = 1;

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(SCHEMA_VERSION)
    }
}

impl<'de> Deserialize<'de> for SchemaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self)
    }
}

impl StoreLocation {
    /// An empty place in memory.
    pub fn in_memory() -> Self {
        Self::Memory(MemoryDocuments::default())
    }

    /// The document `name`, or its default when there is none yet.
    pub fn read<T: Document>(&self, name: &str) -> Result<T, Error> {
        self.read_with(name, |document: Cow<'_, T>| document.into_owned())
    }

    /// What is wanted of the document `name`, or of its default when there is none yet. One in
    /// memory is only lent: it may be long.
    pub fn read_with<T: Document, R>(
        &self,
        name: &str,
        look: impl FnOnce(Cow<'_, T>) -> R,
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(memory) => {
                let shelf = memory.lock_state();
                let found = shelf.documents.get(name).and_then(|found| found.downcast_ref::<T>());
                return Ok(look(found.map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)));
            }
        };
        check_file_type(dir)?;
        let path = dir.join(name);
        let document = match atomic_file::read_if_exists(&path)?.map(String::from_utf8) {
            Some(Ok(text)) if !text.trim().is_empty() => parse_document(&path, &text)?,
            // An empty file holds nothing to lose.
            None | Some(Ok(_)) => T::default(),
            Some(Err(_)) => return Err(Error::InvalidJson { path, line: 1, column: 1 }),
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
                let mut shelf = memory.lock_state();
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
        let _lock = self.lock_document(name)?;
        let mut document: T = self.read(name)?;
        let result = change(&mut document);
        let mut text = serde_json::to_vec_pretty(&document).map_err(|error| Error::Io {
            path: dir.join(name),
            action: "written",
            source: error.into(),
        })?;
        text.push(b'\n');
        replace_file(dir, name, &text)?;
        Ok(result)
    }

    /// Proves that documents can be written here: takes the lock and syncs a file.
    pub fn check_writable(&self) -> Result<(), Error> {
        if let Self::Directory(dir) = self {
            let _lock = self.lock_document("inventory.json")?;
            let probe = dir.join("write.probe");
            write_synced(&probe, b"", &probe)?;
            fs::remove_file(&probe).map_err(io_error(&probe, "removed"))?;
        }
        Ok(())
    }

    /// Holds `name` until dropped; `Busy` at once if it is held already, by this process or another.
    /// The kernel lets go when the process dies, however it dies.
    pub fn try_lock(&self, name: &str) -> Result<LockGuard, Error> {
        match self {
            Self::Memory(memory) => {
                if !memory.lock_state().locked_names.insert(name.into()) {
                    return Err(Error::LockHeld(name.into()));
                }
                Ok(LockGuard::Memory(memory.clone(), name.into()))
            }
            Self::Directory(dir) => {
                create_private_dir(dir)?;
                let path = dir.join(name);
                Ok(LockGuard::File { _lock: try_lock_file(&path)?, path })
            }
        }
    }

    /// [`Self::claim`], waiting for whoever holds it, but not longer than that. Blocks.
    pub fn try_lock_for(&self, name: &str, patience: Duration) -> Result<LockGuard, Error> {
        retry_while_locked(patience, || self.try_lock(name))
    }

    /// The lock of a document.
    fn lock_document(&self, name: &str) -> Result<Option<File>, Error> {
        match self {
            Self::Directory(dir) => atomic_file::lock_file(dir, name).map(Some),
            Self::Memory(_) => Ok(None),
        }
    }
}

#[derive(Deserialize)]
struct VersionHeader {
    #[serde(default)]
    version: u64,
}

fn parse_document<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    let broken = |error: &serde_json::Error| Error::InvalidJson {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    // Alone first: whatever else a newer version holds need not be understood.
    let stamp: VersionHeader = serde_json::from_str(text).map_err(|error| broken(&error))?;
    if stamp.version > SCHEMA_VERSION {
        return Err(Error::UnsupportedVersion { path: path.to_owned(), version: stamp.version });
    }
    serde_json::from_str(text).map_err(|error| broken(&error))
}

#[cfg(test)]
mod tests;
