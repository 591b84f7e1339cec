//! JSON documents that several processes can update: locked and replaced atomically.

pub(crate) mod atomic_file;
mod document;
mod lock_guard;
mod row_reader;
mod space_reserve;

use std::any::Any;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{UserError, io_error_text, quote_shell_word};
use atomic_file::{check_dir, replace_file_with, retry_while_locked, try_lock_file};
pub use atomic_file::{create_private_dir, open_private_file};
use document::read_document;
pub(super) use document::{parse_document, read_text};
pub use lock_guard::LockGuard;
pub(super) use row_reader::{RowsAndRest, read_rows};
pub use space_reserve::SpaceReserve;

/// How long to wait for a lock held by another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// An error on reading or writing a document. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or the file is a symbolic link.
    #[error("{0} is a symbolic link")]
    Symlink(PathBuf),
    /// A pipe, a socket or a device.
    #[error("{0} is not a file")]
    NotRegularFile(PathBuf),
    /// Something else than a directory is where the documents should be.
    #[error("{0} is not a directory")]
    NotDirectory(PathBuf),
    /// The directory, or one above it in the home directory, belongs to another user.
    #[error("{path} belongs to another user (uid {owner})")]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// An I/O error.
    #[error("{path} cannot be {action}: {}", io_error_text(.source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read`, `written`…
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Invalid JSON, or not the expected fields.
    #[error("{path} is damaged at line {line}, column {column}")]
    InvalidJson {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// An empty file. Documents are replaced atomically, so Keywright never leaves one.
    #[error("{0} is damaged: it is empty")]
    Empty(PathBuf),
    /// A newer version of Keywright wrote the file.
    #[error("{path} has version {version}, newer than this Keywright knows")]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        version: u64,
    },
    /// Another process holds the lock.
    #[error("{0} is locked by another Keywright")]
    LockHeld(PathBuf),
}

impl Error {
    /// Returns what the user can do now.
    pub fn advice(&self) -> String {
        match self {
            Self::Symlink(_) => {
                "remove the link, or give the real directory with --data-dir".into()
            }
            Self::NotRegularFile(path) => move_away(path, "old"),
            Self::NotDirectory(_) => {
                "give a directory with --data-dir or KEYWRIGHT_DATA_DIR".into()
            }
            Self::OtherOwner { path, .. } => format!(
                "take it over if it is yours: sudo chown -R \"$(id -u)\" {}; or use another directory with --data-dir",
                quote_path(path)
            ),
            Self::Io { path, source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
                    "free disk space for {}, or use another directory with --data-dir",
                    path.display()
                ),
                io::ErrorKind::FileTooLarge => {
                    "raise the limit on the size of files: ulimit -f unlimited".into()
                }
                io::ErrorKind::ReadOnlyFilesystem => format!(
                    "make the file system of {} writable, or use another directory with --data-dir",
                    path.display()
                ),
                _ => format!(
                    "make {} readable and writable for you, or use another directory with --data-dir",
                    path.display()
                ),
            },
            Self::InvalidJson { path, .. } | Self::Empty(path) => {
                format!("repair the file, or {}", move_away(path, "broken"))
            }
            Self::UnsupportedVersion { .. } => {
                "update Keywright, or use another directory with --data-dir".into()
            }
            Self::LockHeld(_) => "wait for the other Keywright or close it, then try again".into(),
        }
    }

    /// Converts to an error for the user.
    pub fn to_user_error(&self) -> UserError {
        UserError::failed(self.to_string(), self.advice())
            .with_meaning("nothing was overwritten; stored keys are not affected")
    }
}

fn move_away(path: &Path, suffix: &str) -> String {
    let path = quote_path(path);
    format!("move it away: mv {path} {path}.{suffix}")
}

fn quote_path(path: &Path) -> String {
    quote_shell_word(&path.to_string_lossy())
}

/// Where documents are stored: a private directory (0700, files 0600), or memory.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// Files in this directory, which is created on the first write.
    Directory(PathBuf),
    /// Values in memory, lost when the process ends.
    Memory(MemoryDocuments),
}

/// Documents in memory by name, stored as values without JSON.
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

/// A value that can be stored in a [`StoreLocation`].
pub trait Document: DeserializeOwned + Serialize + Default + Clone + Send + 'static {}

impl<T: DeserializeOwned + Serialize + Default + Clone + Send + 'static> Document for T {}

/// The field `version` of every document. A file with a newer version is rejected before the rest
/// is parsed.
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
    /// Returns an empty location in memory.
    pub fn in_memory() -> Self {
        Self::Memory(MemoryDocuments::default())
    }

    /// Returns whether documents can be written: a file without a name can be created in the directory, or where
    /// it does not exist in the one in which it would be created. Changes nothing.
    pub fn is_writable(&self) -> bool {
        let Self::Directory(dir) = self else { return true };
        let existing = dir.ancestors().find(|dir| dir.exists());
        existing.is_some_and(|dir| tempfile::tempfile_in(dir).is_ok())
    }

    /// Returns the document `name`, or its default if it does not exist.
    pub fn read<T: Document>(&self, name: &str) -> Result<T, Error> {
        self.read_with(name, |document: Cow<'_, T>| document.into_owned())
    }

    /// Calls `map` with the document `name`, or with its default if it does not exist. A document
    /// in memory is borrowed, because a clone may be expensive.
    pub fn read_with<T: Document, R>(
        &self,
        name: &str,
        map: impl FnOnce(Cow<'_, T>) -> R,
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(memory) => {
                let state = memory.lock_state();
                let document =
                    state.documents.get(name).and_then(|document| document.downcast_ref::<T>());
                return Ok(map(document.map_or_else(|| Cow::Owned(T::default()), Cow::Borrowed)));
            }
        };
        Ok(map(Cow::Owned(read_document(dir, name)?)))
    }

    /// Reads the document `name`, applies `change` and writes it back, under one lock. The result
    /// is on disk when this returns.
    pub fn update<T: Document, R>(
        &self,
        name: &str,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Error> {
        self.update_known(name, |_| None, change, |_, _| ())
    }

    /// Updates a document like [`Self::update`]. `known` returns what the file at the path contains, if that
    /// is known, and `keep` takes what was written to it; both are called under the lock, and for a file only.
    pub fn update_known<T: Document, R>(
        &self,
        name: &str,
        known: impl FnOnce(&Path) -> Option<T>,
        change: impl FnOnce(&mut T) -> R,
        keep: impl FnOnce(&Path, T),
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(memory) => {
                let mut state = memory.lock_state();
                let document =
                    state.documents.entry(name.into()).or_insert_with(|| Box::new(T::default()));
                // A document of another type is replaced by the default.
                if !document.is::<T>() {
                    *document = Box::new(T::default());
                }
                let mut fallback = T::default();
                return Ok(change(document.downcast_mut().unwrap_or(&mut fallback)));
            }
        };
        let _lock = self.lock_document(name)?;
        let mut document: T = match known(&dir.join(name)) {
            Some(document) => document,
            None => self.read(name)?,
        };
        let result = change(&mut document);
        write_document(dir, name, &document)?;
        keep(&dir.join(name), document);
        Ok(result)
    }

    /// Writes the document `name` without reading it: for a cache, whose damage loses nothing.
    pub fn replace<T: Document>(&self, name: &str, document: T) -> Result<(), Error> {
        match self {
            Self::Memory(_) => self.update(name, |old: &mut T| *old = document),
            Self::Directory(dir) => {
                let _lock = self.lock_document(name)?;
                write_document(dir, name, &document)
            }
        }
    }

    /// Checks that documents can be written, and reserves the space for it until the reserve is
    /// dropped: takes the lock, and writes and syncs a file as large as the largest document. Called
    /// before something that cannot be undone, such as deleting a secret or a request to the server.
    pub fn reserve_space(&self) -> Result<SpaceReserve, Error> {
        match self {
            Self::Memory(_) => Ok(SpaceReserve::none()),
            Self::Directory(dir) => {
                let _lock = self.lock_document("inventory.json")?;
                SpaceReserve::in_dir(dir, true)
            }
        }
    }

    /// Reserves space like [`Self::reserve_space`] where that proved just now that documents can be
    /// written, and does not wait for the disk.
    pub fn reserve_space_again(&self) -> Result<SpaceReserve, Error> {
        match self {
            Self::Memory(_) => Ok(SpaceReserve::none()),
            Self::Directory(dir) => SpaceReserve::in_dir(dir, false),
        }
    }

    /// Locks `name` until the guard is dropped. The operating system releases the lock when the
    /// process ends.
    ///
    /// # Errors
    ///
    /// Returns [`Error::LockHeld`] if this or another process holds the lock.
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

    /// Locks `name` like [`Self::try_lock`], but blocks up to `timeout` for it.
    pub fn try_lock_for(&self, name: &str, timeout: Duration) -> Result<LockGuard, Error> {
        retry_while_locked(timeout, || self.try_lock(name))
    }

    /// Locks a document for an update.
    fn lock_document(&self, name: &str) -> Result<Option<File>, Error> {
        match self {
            Self::Directory(dir) => atomic_file::lock_file(dir, name).map(Some),
            Self::Memory(_) => Ok(None),
        }
    }
}

fn write_document(dir: &Path, name: &str, document: &impl Serialize) -> Result<(), Error> {
    replace_file_with(dir, name, &|file| {
        serde_json::to_writer(&mut *file, document)?;
        file.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests;
