//! Reads, locks and atomically replaces private files. Symbolic links are not followed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Error, LOCK_TIMEOUT};

/// Writes the content of a file. Not generic, because each type of document would add a copy of the code.
type WriteContent<'a> = &'a dyn Fn(&mut BufWriter<File>) -> io::Result<()>;

/// Locks the file `name` by its lock file. The lock file is not removed afterwards, because then
/// two processes could hold the lock.
pub(crate) fn lock_file(dir: &Path, name: &str) -> Result<File, Error> {
    create_private_dir(dir)?;
    let path = dir.join(format!("{name}.lock"));
    retry_while_locked(LOCK_TIMEOUT, || try_lock_file(&path))
}

/// Calls `attempt` until it gets the lock or `timeout` has passed.
pub(super) fn retry_while_locked<T>(
    timeout: Duration,
    attempt: impl Fn() -> Result<T, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(Error::LockHeld(_)) if started.elapsed() < timeout => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

pub(super) fn try_lock_file(path: &Path) -> Result<File, Error> {
    let file = open_private_file(OpenOptions::new().create(true).append(true), path)
        .map_err(io_error(path, "opened"))?;
    match file.try_lock() {
        // The previous holder may have removed the file after it was opened here. Then the lock is
        // on a file that no other process will open.
        Ok(()) if !is_file_at(&file, path) => Err(Error::LockHeld(path.to_owned())),
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::LockHeld(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io_error(path, "locked")(error)),
    }
}

/// Returns whether `file` is the file at `path`.
#[cfg(unix)]
fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// Returns `true`: on other systems an open file cannot be removed.
#[cfg(not(unix))]
fn is_file_at(_file: &File, _path: &Path) -> bool {
    true
}

pub(super) fn io_error<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { path: path.to_owned(), action, source }
}

pub(super) fn check_file_type(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => Err(Error::Symlink(path.to_owned())),
        // Opening a pipe would block.
        Ok(found) if !found.is_file() && !found.is_dir() => {
            Err(Error::NotRegularFile(path.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Checks that `dir`, if it exists, is a directory of this user, and that nobody else can put
/// another one in its place: the directories above it, up to the home directory, are theirs too.
pub(super) fn check_dir(dir: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(dir) {
        Ok(found) if found.file_type().is_symlink() => Err(Error::Symlink(dir.to_owned())),
        Ok(found) if !found.is_dir() => Err(Error::NotDirectory(dir.to_owned())),
        _ => check_owners(dir),
    }
}

/// Checks that the directories belong to this user or to root, which can change every file anyway.
#[cfg(unix)]
fn check_owners(dir: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let home = etcetera::home_dir().ok();
    let is_in_home = home.as_ref().is_some_and(|home| dir.starts_with(home));
    for path in dir.ancestors() {
        if let Ok(found) = fs::metadata(path)
            && found.uid() != user
            && found.uid() != 0
        {
            return Err(Error::OtherOwner { path: path.to_owned(), owner: found.uid() });
        }
        if !is_in_home || home.as_deref() == Some(path) {
            break;
        }
    }
    Ok(())
}

/// Does nothing: on other systems the directories of a user have access lists.
#[cfg(not(unix))]
fn check_owners(_dir: &Path) -> Result<(), Error> {
    Ok(())
}

/// Repeats a call for a short time while another program, such as a virus scanner, has opened the file
/// without sharing it.
#[cfg(windows)]
fn retry_while_in_use<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    const PAUSE: Duration = Duration::from_millis(20);
    const MAX_TIME: Duration = Duration::from_secs(2);
    let started = Instant::now();
    loop {
        match call() {
            Err(error)
                if matches!(error.raw_os_error(), Some(ACCESS_DENIED | SHARING_VIOLATION))
                    && started.elapsed() < MAX_TIME =>
            {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Calls once: on other systems a file in use can be read and replaced.
#[cfg(not(windows))]
fn retry_while_in_use<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    call()
}

/// Returns the content of a file, or `None` if it does not exist.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let Some(mut file) = open_if_exists(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
    Ok(Some(bytes))
}

/// Opens a file for reading. Returns `None` if it does not exist.
pub(super) fn open_if_exists(path: &Path) -> Result<Option<File>, Error> {
    check_file_type(path)?;
    match retry_while_in_use(|| open_private_file(OpenOptions::new().read(true), path)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, "read")(error)),
    }
}

/// Creates a directory and its parents, accessible to this user only.
pub fn create_private_dir(dir: &Path) -> Result<(), Error> {
    check_dir(dir)?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io_error(dir, "created"))
}

/// Opens a regular file, created with mode 0600. Follows no symbolic link and never blocks.
pub fn open_private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    Ok(file)
}

/// Writes and syncs a new file. A file or link that exists at `path` is removed, not written to.
/// Errors name `reported_path`.
fn write_synced(path: &Path, write: WriteContent<'_>, reported_path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    removed
        .and_then(|()| open_private_file(OpenOptions::new().write(true).create_new(true), path))
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.into_inner()?.sync_all()
        })
        .map_err(io_error(reported_path, "written"))
}

/// Replaces the content of a file atomically: writes and syncs a new file, renames it, and syncs
/// the directory.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    replace_file_with(dir, name, &|file| file.write_all(bytes))
}

/// Replaces a file like [`replace_file`] with what `write` writes, so that a large content need not be in
/// memory as a whole.
pub(super) fn replace_file_with(
    dir: &Path,
    name: &str,
    write: WriteContent<'_>,
) -> Result<(), Error> {
    let path = dir.join(name);
    check_file_type(&path)?;
    let new_path = dir.join(format!("{name}.new"));
    write_synced(&new_path, write, &path)?;
    retry_while_in_use(|| fs::rename(&new_path, &path)).map_err(io_error(&path, "written"))?;
    // The rename is on disk only after the directory is synced. Windows has no such call.
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir, "synced"))?;
    Ok(())
}
