//! Walks through directories with several threads and scans the files.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::scanner::KeyScanner;
use super::{Finding, ScanLimits, ScanReport};
use crate::domain::ApiKey;

/// Files in one task.
const FILES_PER_TASK: usize = 128;

/// When this many tasks are queued, a worker scans further files itself.
const MAX_QUEUED_TASKS: usize = 1_024;

/// More threads only wait for the same disk.
const MAX_THREADS: usize = 16;

enum Task {
    Directory(PathBuf, usize),
    Files(Vec<PathBuf>),
}

/// Tasks to do. The newest is done first, which keeps the queue short.
struct TaskQueue {
    tasks: Vec<Task>,
    /// Workers with a task, which may add more tasks.
    active_workers: usize,
}

struct Walker<'a> {
    limits: &'a ScanLimits,
    queue: Mutex<TaskQueue>,
    queue_changed: Condvar,
    finding_count: AtomicUsize,
}

pub(super) fn scan_roots(roots: &[PathBuf], limits: &ScanLimits) -> ScanReport {
    let tasks = roots
        .iter()
        .map(|root| {
            if root.is_dir() {
                Task::Directory(root.clone(), 0)
            } else {
                Task::Files(vec![root.clone()])
            }
        })
        .collect();
    let walker = Walker::new(limits, tasks);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let mut report = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walker.run_worker())).collect();
        let mut report = walker.run_worker();
        for other in others {
            // A panic is passed on: without this worker's findings the report is incomplete.
            let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            report.findings.extend(other.findings);
            report.files_scanned += other.files_scanned;
            report.unreadable += other.unreadable;
            report.files_too_large += other.files_too_large;
            report.dirs_too_deep += other.dirs_too_deep;
        }
        report
    });
    report.findings_omitted =
        walker.finding_count.into_inner().saturating_sub(report.findings.len());
    report
}

impl<'a> Walker<'a> {
    fn new(limits: &'a ScanLimits, tasks: Vec<Task>) -> Self {
        Self {
            limits,
            queue: Mutex::new(TaskQueue { tasks, active_workers: 0 }),
            queue_changed: Condvar::new(),
            finding_count: AtomicUsize::new(0),
        }
    }

    fn run_worker(&self) -> ScanReport {
        let mut report = ScanReport::default();
        let mut scanner = KeyScanner::new();
        while let Some((task, _active)) = self.next_task() {
            match task {
                Task::Directory(path, depth) => {
                    if let Err(error) = self.scan_directory(&path, depth, &mut scanner, &mut report)
                    {
                        report.unreadable += u64::from(error.kind() != io::ErrorKind::NotFound);
                    }
                }
                Task::Files(paths) => self.scan_files(&paths, &mut scanner, &mut report),
            }
        }
        report
    }

    /// Returns the next task, or `None` when none is left and no worker can add one.
    fn next_task(&self) -> Option<(Task, ActiveTask<'_>)> {
        let mut queue = self.lock_queue();
        loop {
            if let Some(task) = queue.tasks.pop() {
                queue.active_workers += 1;
                return Some((task, ActiveTask(self)));
            }
            if queue.active_workers == 0 {
                return None;
            }
            queue = self.queue_changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn scan_directory(
        &self,
        path: &Path,
        depth: usize,
        scanner: &mut KeyScanner,
        report: &mut ScanReport,
    ) -> io::Result<()> {
        let mut batch = Vec::with_capacity(FILES_PER_TASK);
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.enqueue_directory(&entry, depth + 1, report);
            } else if kind.is_file() {
                batch.push(entry.path());
                if batch.len() == FILES_PER_TASK {
                    self.enqueue_files(&mut batch, scanner, report);
                }
            }
        }
        self.scan_files(&batch, scanner, report);
        Ok(())
    }

    fn enqueue_directory(&self, entry: &DirEntry, depth: usize, report: &mut ScanReport) {
        let path = entry.path();
        if depth > self.limits.max_depth {
            report.dirs_too_deep += 1;
        } else if !is_excluded_dir(&path) {
            self.lock_queue().tasks.push(Task::Directory(path, depth));
            self.queue_changed.notify_one();
        }
    }

    fn enqueue_files(
        &self,
        batch: &mut Vec<PathBuf>,
        scanner: &mut KeyScanner,
        report: &mut ScanReport,
    ) {
        let mut queue = self.lock_queue();
        if queue.tasks.len() < MAX_QUEUED_TASKS {
            queue
                .tasks
                .push(Task::Files(std::mem::replace(batch, Vec::with_capacity(FILES_PER_TASK))));
            self.queue_changed.notify_one();
            return;
        }
        drop(queue);
        self.scan_files(batch, scanner, report);
        batch.clear();
    }

    fn scan_files(&self, paths: &[PathBuf], scanner: &mut KeyScanner, report: &mut ScanReport) {
        for path in paths {
            match self.scan_file(path, scanner, report) {
                Ok(is_text) => report.files_scanned += u64::from(is_text),
                // The file was deleted or replaced by a link since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => report.unreadable += 1,
            }
        }
    }

    /// Returns whether the file was read as text.
    fn scan_file(
        &self,
        path: &Path,
        scanner: &mut KeyScanner,
        report: &mut ScanReport,
    ) -> io::Result<bool> {
        let file = open_no_follow(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(false);
        }
        if metadata.len() > self.limits.max_file_bytes {
            report.files_too_large += 1;
            return Ok(false);
        }
        scanner.scan(file, |line, key| {
            if self.finding_count.fetch_add(1, Ordering::Relaxed) < self.limits.max_findings {
                let key = ApiKey::from(key.to_owned());
                let hash = key.hash();
                report.findings.push(Finding { path: path.to_owned(), line, key, hash });
            }
        })
    }

    fn lock_queue(&self) -> MutexGuard<'_, TaskQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a worker as active until dropped. The drop also runs in a panic, so that the other workers
/// do not wait forever.
struct ActiveTask<'a>(&'a Walker<'a>);

impl Drop for ActiveTask<'_> {
    fn drop(&mut self) {
        self.0.lock_queue().active_workers -= 1;
        self.0.queue_changed.notify_all();
    }
}

/// Whether a directory is skipped: git's objects are compressed, and the kernel's file systems hold
/// no stored files.
fn is_excluded_dir(path: &Path) -> bool {
    path.ends_with(".git/objects")
        || cfg!(unix) && ["/proc", "/sys", "/dev"].iter().any(|kernel| path == Path::new(kernel))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_worker_does_not_keep_the_others_waiting() {
        let limits = ScanLimits::default();
        let walker = Walker::new(&limits, vec![Task::Files(Vec::new())]);
        let panicked = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _task = walker.next_task();
                    resume_unwind(Box::new("a panic while a task is active"));
                })
                .join()
        });
        assert!(panicked.is_err());
        assert_eq!(walker.lock_queue().active_workers, 0);
        assert!(walker.next_task().is_none());
    }
}
