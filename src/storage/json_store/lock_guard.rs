//! A name that one program at a time can hold.

use std::fs::{self, File};
use std::path::PathBuf;

use super::MemoryDocuments;
#[cfg(doc)]
use super::StoreLocation;

/// A name held; see [`Place::claim`].
#[derive(Debug)]
pub enum LockGuard {
    /// In this process alone.
    Memory(MemoryDocuments, String),
    /// By a locked file.
    File {
        /// Lets go when closed.
        _lock: File,
        /// Its name.
        path: PathBuf,
    },
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        match self {
            Self::Memory(memory, name) => {
                memory.lock_state().locked_names.remove(name);
            }
            // A name that is waited for may be locked by the next already, on a file that is about
            // to have no name: `try_lock` looks for that.
            Self::File { path, .. } => {
                let _ = fs::remove_file(path);
            }
        }
    }
}
