//! Scans files on this machine for keys in plaintext.
//!
//! Symbolic links are not followed: a target below a scanned directory is found by its own path.
//! Hidden files are read and `.gitignore` is ignored, because secrets are often there. Not read:
//! binary files (a NUL in the first 8 KiB), everything but regular files, git's compressed objects
//! (`.git/objects`), and everything beyond [`ScanLimits`].

mod scan_paths;
mod scanner;
mod walker;

use std::path::{Path, PathBuf};

use crate::domain::ApiKey;

pub use scan_paths::{default_scan_roots, display_path, resolve_scan_roots};

/// One key on one line of one file.
#[derive(Debug)]
pub struct Finding {
    /// Canonical path of the file.
    pub path: PathBuf,
    /// Line number, from 1.
    pub line: u64,
    /// The key.
    pub key: ApiKey,
    /// SHA-256 of the key.
    pub hash: String,
}

/// Limits of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Larger files are not read.
    pub max_file_bytes: u64,
    /// Deeper directories are not entered; a root has depth 0.
    pub max_depth: usize,
    /// Further findings are only counted.
    pub max_findings: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, max_depth: 64, max_findings: 10_000 }
    }
}

/// Result of a scan.
#[derive(Debug, Default)]
pub struct ScanReport {
    /// Sorted by file and line. A key that is on one line twice is listed once.
    pub findings: Vec<Finding>,
    /// Findings beyond [`ScanLimits::max_findings`].
    pub findings_omitted: usize,
    /// Number of files read.
    pub files_scanned: u64,
    /// Files and directories that could not be read.
    pub unreadable: u64,
    /// Files larger than [`ScanLimits::max_file_bytes`].
    pub files_too_large: u64,
    /// Directories deeper than [`ScanLimits::max_depth`].
    pub dirs_too_deep: u64,
}

/// Scans files and directories, given by canonical path as [`resolve_scan_roots`] returns them. Uses
/// all cores and blocks until it is done.
pub fn scan_files(roots: &[PathBuf], limits: &ScanLimits) -> ScanReport {
    let mut report = walker::scan_roots(roots, limits);
    report.findings.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    report.findings.dedup_by(|a, b| sort_key(a) == sort_key(b));
    report
}

fn sort_key(finding: &Finding) -> (&Path, u64, &str) {
    (&finding.path, finding.line, &finding.hash)
}
