//! Scans files on this machine for keys in plaintext.
//!
//! A key is found as it is, in UTF-16, with escaped dashes and in Base64, in text and in binary files
//! (databases of editors and shells), and in gzip files. Symbolic links are not followed: a target
//! below a scanned directory is found by its own path. Hidden files are read and `.gitignore` is
//! ignored, because secrets are often there. What is not scanned is counted in [`ScanReport`].

mod encodings;
mod scan_paths;
mod scanner;
mod walker;

use std::path::{Path, PathBuf};

use crate::domain::{ApiKey, sort_by};

pub use scan_paths::{ScanRoots, display_path};

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// UTF-16 of either byte order.
    Utf16,
    /// With escaped dashes, such as `sk\x2dor\x2dv1\x2d…`.
    Escaped,
    /// As Base64, alone or inside a longer text.
    Base64,
}

/// One key in one file.
#[derive(Debug)]
pub struct Finding {
    /// Canonical path of the file.
    pub path: PathBuf,
    /// Line number, from 1. `None` in binary and compressed files.
    pub line: Option<u64>,
    /// Offset in the file, in bytes. In a gzip file: in the unpacked content.
    pub offset: u64,
    /// How the key is written.
    pub encoding: Encoding,
    /// The key.
    pub key: ApiKey,
    /// SHA-256 of the key.
    pub hash: String,
}

impl Finding {
    /// Returns where the key is, such as `~/.zshrc line 3` or `~/.config/x.db byte 4096 (UTF-16)`.
    pub fn display_location(&self) -> String {
        let path = display_path(&self.path);
        let position = match self.line {
            Some(line) => format!("line {line}"),
            None => format!("byte {}", self.offset),
        };
        let encoding = match self.encoding {
            Encoding::Plain => "",
            Encoding::Utf16 => " (UTF-16)",
            Encoding::Escaped => " (escaped)",
            Encoding::Base64 => " (Base64)",
        };
        format!("{path} {position}{encoding}")
    }
}

/// Limits of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Larger files are not read.
    pub max_file_bytes: u64,
    /// Further content of a gzip file is not read.
    pub max_unpacked_bytes: u64,
    /// Deeper directories are not entered; a root has depth 0.
    pub max_depth: usize,
    /// Further findings are only counted.
    pub max_findings: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 30,
            max_unpacked_bytes: 1 << 28,
            max_depth: 64,
            max_findings: 10_000,
        }
    }
}

/// Result of a scan.
#[derive(Debug, Default)]
pub struct ScanReport {
    /// Sorted by file and position. A key that is on one line twice is listed once.
    pub findings: Vec<Finding>,
    /// Findings beyond [`ScanLimits::max_findings`].
    pub findings_omitted: usize,
    /// Number of files read.
    pub files_scanned: u64,
    /// Files and directories that could not be read.
    pub unreadable: u64,
    /// Files beyond [`ScanLimits::max_file_bytes`] or [`ScanLimits::max_unpacked_bytes`].
    pub files_too_large: u64,
    /// Archives and compressed files other than gzip: only uncompressed parts were scanned.
    pub files_compressed: u64,
    /// Pipes, sockets and devices.
    pub special_files: u64,
    /// Symbolic links, which are not followed.
    pub links: u64,
    /// Directories deeper than [`ScanLimits::max_depth`].
    pub dirs_too_deep: u64,
    /// Caches, installed packages and the kernel's file systems.
    pub dirs_excluded: u64,
}

/// Scans `roots`. Uses all cores and blocks until it is done.
pub fn scan_files(roots: &ScanRoots, limits: &ScanLimits) -> ScanReport {
    let mut report = walker::scan_roots(roots, limits);
    sort_by(&mut report.findings, |a, b| {
        (&a.path, a.line, &a.hash, a.offset).cmp(&(&b.path, b.line, &b.hash, b.offset))
    });
    // In a binary file each place counts.
    report.findings.dedup_by(|a, b| position(a) == position(b));
    report
}

fn position(finding: &Finding) -> (&Path, Option<u64>, &str, u64) {
    let offset = if finding.line.is_some() { 0 } else { finding.offset };
    (&finding.path, finding.line, &finding.hash, offset)
}
