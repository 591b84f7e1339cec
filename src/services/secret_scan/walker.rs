//! The walk through directories, on all cores. Must not know: what is looked for.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::scanner::KeyScanner;
use super::{Finding, ScanLimits, ScanReport};
use crate::domain::ApiKey;

/// Files are handed out so many at a time.
const FILES_PER_TASK: usize = 128;

/// With so many tasks waiting, whoever finds more files reads them itself.
const MAX_QUEUED_TASKS: usize = 1_024;

/// More readers than this wait for the same disk.
const MAX_THREADS: usize = 16;

enum Task {
    Directory(PathBuf, usize),
    Files(Vec<PathBuf>),
}

/// What is to be done, the last that was found first: so little waits at any time.
struct TaskQueue {
    tasks: Vec<Task>,
    /// Threads at work, which may find more.
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
    let walk = Walker {
        limits,
        queue: Mutex::new(TaskQueue { tasks, active_workers: 0 }),
        queue_changed: Condvar::new(),
        finding_count: AtomicUsize::new(0),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let mut found = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.run_worker())).collect();
        let mut found = walk.run_worker();
        for other in others.into_iter().filter_map(|other| other.join().ok()) {
            found.findings.extend(other.findings);
            found.files_scanned += other.files_scanned;
            found.unreadable += other.unreadable;
            found.files_too_large += other.files_too_large;
            found.dirs_too_deep += other.dirs_too_deep;
        }
        found
    });
    found.findings_omitted = walk.finding_count.into_inner().saturating_sub(found.findings.len());
    found
}

impl Walker<'_> {
    fn run_worker(&self) -> ScanReport {
        let mut found = ScanReport::default();
        let mut scanner = KeyScanner::new();
        while let Some(task) = self.next_task() {
            match task {
                Task::Directory(path, depth) => {
                    if let Err(error) = self.scan_directory(&path, depth, &mut scanner, &mut found)
                    {
                        found.unreadable += u64::from(error.kind() != io::ErrorKind::NotFound);
                    }
                }
                Task::Files(paths) => self.scan_files(&paths, &mut scanner, &mut found),
            }
            self.lock_queue().active_workers -= 1;
            self.queue_changed.notify_all();
        }
        found
    }

    /// The next thing to do; `None` when nothing is left and nobody can find more.
    fn next_task(&self) -> Option<Task> {
        let mut line = self.lock_queue();
        loop {
            if let Some(task) = line.tasks.pop() {
                line.active_workers += 1;
                return Some(task);
            }
            if line.active_workers == 0 {
                return None;
            }
            line = self.queue_changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn scan_directory(
        &self,
        path: &Path,
        depth: usize,
        scanner: &mut KeyScanner,
        found: &mut ScanReport,
    ) -> io::Result<()> {
        let mut batch = Vec::with_capacity(FILES_PER_TASK);
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.enqueue_directory(&entry, depth + 1, found);
            } else if kind.is_file() {
                batch.push(entry.path());
                if batch.len() == FILES_PER_TASK {
                    self.enqueue_files(&mut batch, scanner, found);
                }
            }
        }
        self.scan_files(&batch, scanner, found);
        Ok(())
    }

    fn enqueue_directory(&self, entry: &DirEntry, depth: usize, found: &mut ScanReport) {
        let path = entry.path();
        if depth > self.limits.max_depth {
            found.dirs_too_deep += 1;
        } else if !is_excluded_dir(&path) {
            self.lock_queue().tasks.push(Task::Directory(path, depth));
            self.queue_changed.notify_one();
        }
    }

    fn enqueue_files(
        &self,
        batch: &mut Vec<PathBuf>,
        scanner: &mut KeyScanner,
        found: &mut ScanReport,
    ) {
        let mut line = self.lock_queue();
        if line.tasks.len() < MAX_QUEUED_TASKS {
            line.tasks
                .push(Task::Files(std::mem::replace(batch, Vec::with_capacity(FILES_PER_TASK))));
            self.queue_changed.notify_one();
            return;
        }
        drop(line);
        self.scan_files(batch, scanner, found);
        batch.clear();
    }

    fn scan_files(&self, paths: &[PathBuf], scanner: &mut KeyScanner, found: &mut ScanReport) {
        for path in paths {
            match self.scan_file(path, scanner, found) {
                Ok(read) => found.files_scanned += u64::from(read),
                // It went while we looked, or became a link.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => found.unreadable += 1,
            }
        }
    }

    /// Whether it was text.
    fn scan_file(
        &self,
        path: &Path,
        scanner: &mut KeyScanner,
        found: &mut ScanReport,
    ) -> io::Result<bool> {
        let file = open_no_follow(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Ok(false);
        }
        if about.len() > self.limits.max_file_bytes {
            found.files_too_large += 1;
            return Ok(false);
        }
        scanner.scan(file, |line, key| {
            if self.finding_count.fetch_add(1, Ordering::Relaxed) < self.limits.max_findings {
                let key = ApiKey::from(key.to_owned());
                let hash = key.hash();
                found.findings.push(Finding { path: path.to_owned(), line, key, hash });
            }
        })
    }

    fn lock_queue(&self) -> MutexGuard<'_, TaskQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Directories in which no key lies in clear, whatever their size: git's objects are compressed,
/// and what the kernel shows there is no file.
fn is_excluded_dir(path: &Path) -> bool {
    path.ends_with(".git/objects")
        || cfg!(unix) && ["/proc", "/sys", "/dev"].iter().any(|kernel| path == Path::new(kernel))
}

/// Follows no link, and waits for nobody: between our look and this it may have become a pipe.
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
