//! Walks through directories with several threads and scans the files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::{mem, thread};

use flate2::read::MultiGzDecoder;
use walkdir::WalkDir;

use super::scanner::{FileFormat, KeyScanner, Match};
use super::{Finding, ScanLimits, ScanReport, ScanRoots};
use crate::domain::ApiKey;

/// Files that are handed to a thread at once.
const FILES_PER_BATCH: usize = 64;

/// The maximum number of batches that wait for a thread.
const MAX_WAITING_BATCHES: usize = 64;

/// The maximum number of threads. More would only wait for the same disk.
const MAX_THREADS: usize = 16;

/// Files to scan, shared by the threads. The last thread that ends closes it.
type Batches = Arc<Mutex<Receiver<Vec<PathBuf>>>>;

pub(super) fn scan_roots(roots: &ScanRoots, limits: &ScanLimits) -> ScanReport {
    let (finding_count, threads) = (AtomicUsize::new(0), thread::available_parallelism());
    let mut report = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(MAX_WAITING_BATCHES);
        let batches: Batches = Arc::new(Mutex::new(receiver));
        let workers: Vec<_> = (0..threads.map_or(1, usize::from).min(MAX_THREADS))
            .map(|_| {
                let (finding_count, batches) = (&finding_count, Arc::clone(&batches));
                scope.spawn(move || Worker::new(limits, finding_count).run(&batches))
            })
            .collect();
        drop(batches);
        let mut report = send_files(roots, limits, &sender);
        drop(sender);
        for worker in workers {
            // A panic is passed on: without this worker's findings the report is incomplete.
            report.merge(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        report
    });
    report.findings_omitted = finding_count.into_inner().saturating_sub(report.findings.len());
    report
}

/// Sends the files below `roots` to the workers. Returns the counts of what is not scanned.
fn send_files(
    roots: &ScanRoots,
    limits: &ScanLimits,
    sender: &SyncSender<Vec<PathBuf>>,
) -> ScanReport {
    let (mut report, mut batch) = (ScanReport::default(), Vec::new());
    for root in roots.paths() {
        let mut entries = WalkDir::new(root).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    report.count_error(error.io_error().map(io::Error::kind));
                    continue;
                }
            };
            let kind = entry.file_type();
            if kind.is_dir() {
                if entry.depth() > limits.max_depth {
                    report.dirs_too_deep += 1;
                    entries.skip_current_dir();
                } else if roots.is_excluded(entry.path()) {
                    report.dirs_excluded += 1;
                    entries.skip_current_dir();
                }
            } else if kind.is_file() {
                batch.push(entry.into_path());
                if batch.len() == FILES_PER_BATCH && sender.send(mem::take(&mut batch)).is_err() {
                    // All workers have panicked, which the caller passes on.
                    return report;
                }
            } else if kind.is_symlink() {
                report.links += 1;
            } else {
                report.special_files += 1;
            }
        }
    }
    let _ = sender.send(batch);
    report
}

/// Scans files in one thread.
struct Worker<'a> {
    limits: &'a ScanLimits,
    /// Findings of all workers.
    finding_count: &'a AtomicUsize,
    scanner: KeyScanner,
    report: ScanReport,
}

impl<'a> Worker<'a> {
    fn new(limits: &'a ScanLimits, finding_count: &'a AtomicUsize) -> Self {
        Self { limits, finding_count, scanner: KeyScanner::new(), report: ScanReport::default() }
    }

    fn run(mut self, batches: &Mutex<Receiver<Vec<PathBuf>>>) -> ScanReport {
        let next_batch = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while let Ok(batch) = next_batch() {
            for path in batch {
                if let Err(error) = self.scan_file(&path) {
                    self.report.count_error(Some(error.kind()));
                }
            }
        }
        self.report
    }

    fn scan_file(&mut self, path: &Path) -> io::Result<()> {
        let Self { limits, finding_count, scanner, report } = self;
        let mut file = open_no_follow(path)?;
        let metadata = file.metadata()?;
        // The file was replaced since it was listed.
        if !metadata.is_file() {
            report.special_files += 1;
            return Ok(());
        }
        if metadata.len() > limits.max_file_bytes {
            report.files_too_large += 1;
            return Ok(());
        }
        report.files_scanned += 1;
        let mut add = |found: Match<'_>| {
            if finding_count.fetch_add(1, Ordering::Relaxed) < limits.max_findings {
                let key = ApiKey::from(found.key.to_owned());
                report.findings.push(Finding {
                    path: path.to_owned(),
                    line: found.line,
                    offset: found.offset,
                    encoding: found.encoding,
                    hash: key.hash(),
                    key,
                });
            }
        };
        let mut format = scanner.scan(&file, &mut add)?;
        if format == FileFormat::Gzip {
            file.rewind()?;
            // One byte more than allowed tells that there is more.
            let limit = limits.max_unpacked_bytes.saturating_add(1);
            let mut content = MultiGzDecoder::new(file).take(limit);
            format = scanner.scan(&mut content, |found| add(Match { line: None, ..found }))?;
            report.files_too_large += u64::from(content.limit() == 0);
        }
        report.files_compressed += u64::from(format != FileFormat::Uncompressed);
        Ok(())
    }
}

impl ScanReport {
    /// Counts what could not be read. A file that is gone was deleted since it was listed.
    fn count_error(&mut self, kind: Option<io::ErrorKind>) {
        self.unreadable += u64::from(kind != Some(io::ErrorKind::NotFound));
    }

    fn merge(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.files_scanned += other.files_scanned;
        self.unreadable += other.unreadable;
        self.files_too_large += other.files_too_large;
        self.files_compressed += other.files_compressed;
        self.special_files += other.special_files;
        self.links += other.links;
        self.dirs_too_deep += other.dirs_too_deep;
        self.dirs_excluded += other.dirs_excluded;
    }
}

/// Opens a file without following a link. Does not block: the path may have become a pipe.
fn open_no_follow(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}
