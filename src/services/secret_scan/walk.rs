//! The walk through directories, on all cores. Must not know: what is looked for.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::scan::Scanner;
use super::{Found, Limits, Sighting};
use crate::domain::ApiKey;

/// Files are handed out so many at a time.
const BATCH: usize = 128;

/// With so many tasks waiting, whoever finds more files reads them itself.
const WAITING: usize = 1_024;

/// More readers than this wait for the same disk.
const THREADS: usize = 16;

enum Task {
    Directory(PathBuf, usize),
    Files(Vec<PathBuf>),
}

/// What is to be done, the last that was found first: so little waits at any time.
struct Line {
    tasks: Vec<Task>,
    /// Threads at work, which may find more.
    busy: usize,
}

struct Walk<'a> {
    limits: &'a Limits,
    line: Mutex<Line>,
    changed: Condvar,
    sightings: AtomicUsize,
}

pub(super) fn walk(roots: &[PathBuf], limits: &Limits) -> Found {
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
    let walk = Walk {
        limits,
        line: Mutex::new(Line { tasks, busy: 0 }),
        changed: Condvar::new(),
        sightings: AtomicUsize::new(0),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut found = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work())).collect();
        let mut found = walk.work();
        for other in others.into_iter().filter_map(|other| other.join().ok()) {
            found.sightings.extend(other.sightings);
            found.files += other.files;
            found.unreadable += other.unreadable;
            found.long += other.long;
            found.deep += other.deep;
        }
        found
    });
    found.more = walk.sightings.into_inner().saturating_sub(found.sightings.len());
    found
}

impl Walk<'_> {
    fn work(&self) -> Found {
        let mut found = Found::default();
        let mut scanner = Scanner::new();
        while let Some(task) = self.next() {
            match task {
                Task::Directory(path, depth) => {
                    if let Err(error) = self.directory(&path, depth, &mut scanner, &mut found) {
                        found.unreadable += u64::from(error.kind() != io::ErrorKind::NotFound);
                    }
                }
                Task::Files(paths) => self.files(&paths, &mut scanner, &mut found),
            }
            self.line().busy -= 1;
            self.changed.notify_all();
        }
        found
    }

    /// The next thing to do; `None` when nothing is left and nobody can find more.
    fn next(&self) -> Option<Task> {
        let mut line = self.line();
        loop {
            if let Some(task) = line.tasks.pop() {
                line.busy += 1;
                return Some(task);
            }
            if line.busy == 0 {
                return None;
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn directory(
        &self,
        path: &Path,
        depth: usize,
        scanner: &mut Scanner,
        found: &mut Found,
    ) -> io::Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.enter(&entry, depth + 1, found);
            } else if kind.is_file() {
                batch.push(entry.path());
                if batch.len() == BATCH {
                    self.hand_out(&mut batch, scanner, found);
                }
            }
        }
        self.files(&batch, scanner, found);
        Ok(())
    }

    fn enter(&self, entry: &DirEntry, depth: usize, found: &mut Found) {
        let path = entry.path();
        if depth > self.limits.depth {
            found.deep += 1;
        } else if !holds_no_text(&path) {
            self.line().tasks.push(Task::Directory(path, depth));
            self.changed.notify_one();
        }
    }

    fn hand_out(&self, batch: &mut Vec<PathBuf>, scanner: &mut Scanner, found: &mut Found) {
        let mut line = self.line();
        if line.tasks.len() < WAITING {
            line.tasks.push(Task::Files(std::mem::replace(batch, Vec::with_capacity(BATCH))));
            self.changed.notify_one();
            return;
        }
        drop(line);
        self.files(batch, scanner, found);
        batch.clear();
    }

    fn files(&self, paths: &[PathBuf], scanner: &mut Scanner, found: &mut Found) {
        for path in paths {
            match self.file(path, scanner, found) {
                Ok(read) => found.files += u64::from(read),
                // It went while we looked, or became a link.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => found.unreadable += 1,
            }
        }
    }

    /// Whether it was text.
    fn file(&self, path: &Path, scanner: &mut Scanner, found: &mut Found) -> io::Result<bool> {
        let file = open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Ok(false);
        }
        if about.len() > self.limits.longest {
            found.long += 1;
            return Ok(false);
        }
        scanner.read(file, |line, key| {
            if self.sightings.fetch_add(1, Ordering::Relaxed) < self.limits.sightings {
                let key = ApiKey::from(key.to_owned());
                let hash = key.hash();
                found.sightings.push(Sighting { path: path.to_owned(), line, key, hash });
            }
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Directories in which no key lies in clear, whatever their size: git's objects are compressed,
/// and what the kernel shows there is no file.
fn holds_no_text(path: &Path) -> bool {
    path.ends_with(".git/objects")
        || cfg!(unix) && ["/proc", "/sys", "/dev"].iter().any(|kernel| path == Path::new(kernel))
}

/// Follows no link, and waits for nobody: between our look and this it may have become a pipe.
fn open(path: &Path) -> io::Result<File> {
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
