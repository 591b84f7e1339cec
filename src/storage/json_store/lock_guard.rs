//! A named lock that one process at a time can hold.

use std::fs::{self, File};
use std::path::PathBuf;

use super::MemoryDocuments;
#[cfg(doc)]
use super::StoreLocation;

/// A lock that is released on drop; see [`StoreLocation::try_lock`].
#[derive(Debug)]
pub enum LockGuard {
    /// A lock within this process.
    Memory(MemoryDocuments, String),
    /// A lock on a file.
    File {
        /// The open file; closing it releases the lock.
        _lock: File,
        /// The path of the file.
        path: PathBuf,
    },
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        match self {
            Self::Memory(memory, name) => {
                memory.lock_state().locked_names.remove(name);
            }
            // Another process may already wait for a lock on this file, which is then no longer at
            // the path: `try_lock_file` detects that.
            Self::File { path, .. } => {
                let _ = fs::remove_file(path);
            }
        }
    }
}
