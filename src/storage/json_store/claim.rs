//! A name that one program at a time can hold.

use std::fs::{self, File};
use std::path::PathBuf;

use super::Memory;
#[cfg(doc)]
use super::Place;

/// A name held; see [`Place::claim`].
#[derive(Debug)]
pub enum Claim {
    /// In this process alone.
    Memory(Memory, String),
    /// By a locked file.
    File {
        /// Lets go when closed.
        _lock: File,
        /// Its name.
        path: PathBuf,
    },
}

impl Drop for Claim {
    fn drop(&mut self) {
        match self {
            Self::Memory(memory, name) => {
                memory.shelf().claims.remove(name);
            }
            // A name that is waited for may be locked by the next already, on a file that is about
            // to have no name: `try_lock` looks for that.
            Self::File { path, .. } => {
                let _ = fs::remove_file(path);
            }
        }
    }
}
