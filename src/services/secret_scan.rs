//! Keys that lie in clear on this machine: the places where people leave them, looked through.
//! Owns: the places, the walk and its bounds, the pattern. Must not know: which keys are held, what
//! the server thinks of one, how a finding is told.
//!
//! No link is followed out of where the search began, and inside it none needs to be: what it leads
//! to is reached by its own name. Hidden files are read and `.gitignore` is not obeyed, for that is
//! where secrets are. Not read: binary files (a NUL in their first 8 KiB), what is no ordinary file,
//! the packed objects of git (`.git/objects`: compressed, so nothing can be found in them), and
//! what lies beyond [`Limits`].

mod scan_paths;
mod scanner;
mod walker;

use std::path::{Path, PathBuf};

use crate::domain::ApiKey;

pub use scan_paths::{default_scan_roots, display_path, resolve_scan_roots};
pub use scanner::mask_keys;

/// One key on one line of one file.
#[derive(Debug)]
pub struct Finding {
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
pub struct ScanLimits {
    /// Longer files are not read, in bytes.
    pub max_file_bytes: u64,
    /// Directories deeper than this below the root are not entered.
    pub max_depth: usize,
    /// What is found beyond this is counted only.
    pub max_findings: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, max_depth: 64, max_findings: 10_000 }
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct ScanReport {
    /// By file and line; a key that stands on one line twice is there once.
    pub findings: Vec<Finding>,
    /// Sightings beyond [`Limits::sightings`].
    pub findings_omitted: usize,
    /// Files that were read.
    pub files_scanned: u64,
    /// Files and directories that this person may not read.
    pub unreadable: u64,
    /// Files longer than [`Limits::longest`].
    pub files_too_large: u64,
    /// Directories deeper than [`Limits::depth`].
    pub dirs_too_deep: u64,
}

/// Looks through these files and directories, by their real names as [`roots`] gives them, on all cores.
/// Blocks.
pub fn scan_files(roots: &[PathBuf], limits: &ScanLimits) -> ScanReport {
    let mut found = walker::scan_roots(roots, limits);
    found.findings.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    found.findings.dedup_by(|a, b| sort_key(a) == sort_key(b));
    found
}

fn sort_key(sighting: &Finding) -> (&Path, u64, &str) {
    (&sighting.path, sighting.line, &sighting.hash)
}
