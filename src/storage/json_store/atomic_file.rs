//! Files of this person's alone: read, replaced as a whole, locked; no link is followed.
//! Must not know: what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Error, LOCK_TIMEOUT};

/// The lock of a file; its own file stays, since removing it would let two in.
pub(crate) fn lock_file(dir: &Path, name: &str) -> Result<File, Error> {
    create_private_dir(dir)?;
    let path = dir.join(format!("{name}.lock"));
    retry_while_locked(LOCK_TIMEOUT, || try_lock_file(&path))
}

/// Tries again while it is busy, for so long.
pub(super) fn retry_while_locked<T>(
    patience: Duration,
    attempt: impl Fn() -> Result<T, Error>,
) -> Result<T, Error> {
    let since = Instant::now();
    loop {
        match attempt() {
            Err(Error::LockHeld(_)) if since.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

pub(super) fn try_lock_file(path: &Path) -> Result<File, Error> {
    let file = open_private_file(OpenOptions::new().create(true).append(true), path)
        .map_err(io_error(path, "opened"))?;
    match file.try_lock() {
        // The one before may have taken the name away after we opened the file: then the lock is
        // on nothing that anybody else would find.
        Ok(()) if !is_file_at(&file, path) => Err(Error::LockHeld(path.to_owned())),
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::LockHeld(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io_error(path, "locked")(error)),
    }
}

/// Whether this file is the one that has that name.
#[cfg(unix)]
fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// An open file keeps its name there.
#[cfg(not(unix))]
fn is_file_at(_file: &File, _path: &Path) -> bool {
    true
}

pub(super) fn io_error<'a>(
    path: &'a Path,
    verb: &'static str,
) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { path: path.to_owned(), action: verb, source }
}

pub(super) fn check_file_type(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => Err(Error::Symlink(path.to_owned())),
        // A pipe would be waited for.
        Ok(found) if !found.is_file() && !found.is_dir() => {
            Err(Error::NotRegularFile(path.to_owned()))
        }
        _ => Ok(()),
    }
}

/// What is in a file; `None` where there is none.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    check_file_type(path)?;
    let mut bytes = Vec::new();
    match open_private_file(OpenOptions::new().read(true), path) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, "read")(error)),
    }
}

/// Creates the directory and whatever lies above it, for this person alone.
pub fn create_private_dir(dir: &Path) -> Result<(), Error> {
    check_file_type(dir)?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io_error(dir, "created"))
}

/// Opens a file of this person's alone, following no link and waiting for nobody.
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

/// A new file, whatever was left under its name: nothing else is written to, be it a link or a file
/// that somebody else can read. Errors name the file that it is done for.
pub(super) fn write_synced(path: &Path, bytes: &[u8], named: &Path) -> Result<(), Error> {
    let clear = match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    clear
        .and_then(|()| open_private_file(OpenOptions::new().write(true).create_new(true), path))
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(io_error(named, "written"))
}

/// Puts these bytes in the file's place: written aside, synced, renamed, the directory synced.
pub(crate) fn replace_file(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = dir.join(name);
    check_file_type(&path)?;
    let aside = dir.join(format!("{name}.new"));
    write_synced(&aside, bytes, &path)?;
    fs::rename(&aside, &path).map_err(io_error(&path, "written"))?;
    // The rename itself is on disk only once its directory is. Windows has no such call.
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir, "synced"))?;
    Ok(())
}
