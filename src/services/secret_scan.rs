//! Keys that lie in clear on this machine: the places where people leave them, looked through.
//! Owns: the places, the walk and its bounds, the pattern. Must not know: which keys are held, what
//! the server thinks of one, how a finding is told.
//!
//! No link is followed out of where the search began, and inside it none needs to be: what it leads
//! to is reached by its own name. Hidden files are read and `.gitignore` is not obeyed, for that is
//! where secrets are. Not read: binary files (a NUL in their first 8 KiB), what is no ordinary file,
//! the packed objects of git (`.git/objects`: compressed, so nothing can be found in them), and
//! what lies beyond [`Limits`].

mod scan;
mod scan_paths;
mod walk;

use std::path::{Path, PathBuf};

use crate::domain::ApiKey;

pub use scan::hide;
pub use scan_paths::{places, roots, shown};

/// One key on one line of one file.
#[derive(Debug)]
pub struct Sighting {
    /// The file, by its real name.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// The key.
    pub key: ApiKey,
    /// Its SHA-256, by which it is known elsewhere.
    pub hash: String,
}

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longer files are not read, in bytes.
    pub longest: u64,
    /// Directories deeper than this below the root are not entered.
    pub depth: usize,
    /// What is found beyond this is counted only.
    pub sightings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { longest: 1 << 30, depth: 64, sightings: 10_000 }
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Found {
    /// By file and line; a key that stands on one line twice is there once.
    pub sightings: Vec<Sighting>,
    /// Sightings beyond [`Limits::sightings`].
    pub more: usize,
    /// Files that were read.
    pub files: u64,
    /// Files and directories that this person may not read.
    pub unreadable: u64,
    /// Files longer than [`Limits::longest`].
    pub long: u64,
    /// Directories deeper than [`Limits::depth`].
    pub deep: u64,
}

/// Looks through these files and directories, by their real names as [`roots`] gives them, on all cores.
/// Blocks.
pub fn search(roots: &[PathBuf], limits: &Limits) -> Found {
    let mut found = walk::walk(roots, limits);
    found.sightings.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    found.sightings.dedup_by(|a, b| place(a) == place(b));
    found
}

fn place(sighting: &Sighting) -> (&Path, u64, &str) {
    (&sighting.path, sighting.line, &sighting.hash)
}
