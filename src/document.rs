//! A small JSON document that two programs may change at once: locked, written aside, synced,
//! renamed, and its directory synced. Owns: files and their modes. Must not know: what is in them.

use std::any::Any;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::key::Trouble;

/// How long another program may hold the lock before this one gives up.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What keeps a document from being read or written. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or the file is not a real one.
    #[error("{0} is a symbolic link")]
    Link(PathBuf),
    /// Not to be created, read or written.
    #[error("{path} cannot be {verb}: {}", .source.kind())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// `read`, `written`…
        verb: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not the JSON it should be.
    #[error("{path} is damaged at line {line}, column {column}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A later Keywright wrote it.
    #[error("{path} has version {version}, newer than this Keywright knows")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        version: u64,
    },
    /// Another program holds the lock.
    #[error("another Keywright has held {0} for five seconds")]
    Busy(PathBuf),
}

impl Error {
    /// What a person does now.
    pub fn advice(&self) -> String {
        match self {
            Self::Link(_) => {
                "nothing was written; remove the link, or give the real directory with --data-dir"
                    .into()
            }
            Self::Io { path, .. } => format!(
                "nothing was overwritten; make {} readable and writable for you, or choose another place with --data-dir",
                path.display()
            ),
            Self::Broken { path, .. } => format!(
                "nothing was overwritten and your keys are safe in the keychain; mend the file, or move it aside: mv '{0}' '{0}.broken'",
                path.display()
            ),
            Self::Newer { .. } => {
                "nothing was overwritten; use the newer Keywright, or another place with --data-dir"
                    .into()
            }
            Self::Busy(_) => "end the other Keywright, or wait for it, and try again".into(),
        }
    }

    /// As trouble outside a journey.
    pub fn trouble(&self) -> Trouble {
        Trouble { message: self.to_string(), advice: self.advice(), code: 1 }
    }
}

/// Where documents lie: a directory of this person's (0700, files 0600), or memory.
#[derive(Clone, Debug)]
pub enum Place {
    /// Files in this directory, created when first written to.
    Directory(PathBuf),
    /// Gone with the process.
    Memory(Memory),
}

/// Documents as they are, by their names: nothing is written, so nothing needs to be JSON.
type Memory = Arc<Mutex<HashMap<String, Box<dyn Any + Send>>>>;

/// What can be kept in a [`Place`].
pub trait Document: DeserializeOwned + Serialize + Default + Clone + Send + 'static {}

impl<T: DeserializeOwned + Serialize + Default + Clone + Send + 'static> Document for T {}

/// The field `version` of every document: always this one when written. A newer one is refused
/// before the rest is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

const VERSION: u64 = 1;

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self)
    }
}

impl Place {
    /// An empty place in memory.
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// The document `name`, or its default when there is none yet.
    pub fn read<T: Document>(&self, name: &str) -> Result<T, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(map) => {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let document = map.get(name).and_then(|document| document.downcast_ref::<T>());
                return Ok(document.cloned().unwrap_or_default());
            }
        };
        refuse_link(dir)?;
        let path = dir.join(name);
        match read_file(&path)? {
            Some(text) if !text.trim().is_empty() => parse(&path, &text),
            // An empty file holds nothing to lose.
            _ => Ok(T::default()),
        }
    }

    /// Reads the document `name`, lets `change` alter it, and writes it back; all under one lock,
    /// and on disk when this returns.
    pub fn update<T: Document, R>(
        &self,
        name: &str,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Error> {
        let dir = match self {
            Self::Directory(dir) => dir,
            Self::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                let document = map.entry(name.into()).or_insert_with(|| Box::new(T::default()));
                // One name is one kind of document; another kind starts anew.
                if !document.is::<T>() {
                    *document = Box::new(T::default());
                }
                let mut fallback = T::default();
                return Ok(change(document.downcast_mut().unwrap_or(&mut fallback)));
            }
        };
        let _lock = self.lock(name)?;
        let mut document: T = self.read(name)?;
        let result = change(&mut document);
        let mut text = serde_json::to_vec_pretty(&document).map_err(|error| Error::Io {
            path: dir.join(name),
            verb: "written",
            source: error.into(),
        })?;
        text.push(b'\n');
        replace(dir, name, &text)?;
        Ok(result)
    }

    /// Proves that documents can be written here: takes the lock and syncs a file.
    pub fn prove_writable(&self) -> Result<(), Error> {
        if let Self::Directory(dir) = self {
            let _lock = self.lock("inventory.json")?;
            let probe = dir.join("write.probe");
            write_synced(&probe, b"")?;
            fs::remove_file(&probe).map_err(io_error(&probe, "removed"))?;
        }
        Ok(())
    }

    /// Holds `name` for this process until dropped; `Busy` at once if another process holds it.
    /// The kernel lets go when the process dies, however it dies.
    pub fn claim(&self, name: &str) -> Result<Claim, Error> {
        let Self::Directory(dir) = self else { return Ok(Claim(None)) };
        create_dir(dir)?;
        let path = dir.join(name);
        Ok(Claim(Some((try_lock(&path)?, path))))
    }

    /// The lock of a document; its file stays, since removing it would let two in.
    fn lock(&self, name: &str) -> Result<Option<File>, Error> {
        let Self::Directory(dir) = self else { return Ok(None) };
        create_dir(dir)?;
        let path = dir.join(format!("{name}.lock"));
        let since = Instant::now();
        loop {
            match try_lock(&path) {
                Err(Error::Busy(_)) if since.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                locked => return locked.map(Some),
            }
        }
    }
}

fn try_lock(path: &Path) -> Result<File, Error> {
    let file = open_private(OpenOptions::new().create(true).append(true), path)
        .map_err(io_error(path, "opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(io_error(path, "locked")(error)),
    }
}

/// A lock held; see [`Place::claim`].
#[derive(Debug)]
pub struct Claim(Option<(File, PathBuf)>);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.0 {
            // A name of our own (an attempt's): nobody waits for it.
            let _ = fs::remove_file(path);
        }
    }
}

#[derive(Deserialize)]
struct Stamp {
    #[serde(default)]
    version: u64,
}

fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    let broken = |error: &serde_json::Error| Error::Broken {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    // Alone first: whatever else a newer version holds need not be understood.
    let stamp: Stamp = serde_json::from_str(text).map_err(|error| broken(&error))?;
    if stamp.version > VERSION {
        return Err(Error::Newer { path: path.to_owned(), version: stamp.version });
    }
    serde_json::from_str(text).map_err(|error| broken(&error))
}

fn io_error<'a>(path: &'a Path, verb: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { path: path.to_owned(), verb, source }
}

fn refuse_link(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => Err(Error::Link(path.to_owned())),
        _ => Ok(()),
    }
}

fn read_file(path: &Path) -> Result<Option<String>, Error> {
    refuse_link(path)?;
    let mut text = String::new();
    match open_private(OpenOptions::new().read(true), path) {
        Ok(mut file) => match file.read_to_string(&mut text) {
            Ok(_) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(Error::Broken { path: path.to_owned(), line: 1, column: 1 })
            }
            Err(error) => Err(io_error(path, "read")(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, "read")(error)),
    }
}

/// Creates the directory and whatever lies above it, for this person alone.
pub fn create_dir(dir: &Path) -> Result<(), Error> {
    refuse_link(dir)?;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(io_error(dir, "created"))
}

/// Opens a file of this person's alone, following no link.
pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.mode(0o600).custom_flags(no_follow);
    }
    options.open(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = open_private(OpenOptions::new().write(true).create(true).truncate(true), path)
        .map_err(io_error(path, "written"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error(path, "written"))
}

fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = dir.join(name);
    refuse_link(&path)?;
    let aside = dir.join(format!("{name}.new"));
    write_synced(&aside, bytes)?;
    fs::rename(&aside, &path).map_err(io_error(&path, "written"))?;
    // The rename itself is on disk only once its directory is. Windows has no such call.
    #[cfg(unix)]
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error(dir, "synced"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Count {
        #[serde(default)]
        version: Version,
        #[serde(default)]
        n: u64,
        #[serde(flatten)]
        unknown: serde_json::Map<String, serde_json::Value>,
    }

    #[test]
    fn no_update_is_lost_between_many_writers() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().join("deep/data"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
                    }
                });
            }
        });
        assert_eq!(place.read::<Count>("c.json").unwrap().n, 100);
    }

    #[test]
    fn fields_of_another_version_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().to_owned());
        place
            .update("c.json", |count: &mut Count| {
                count.unknown.insert("later".into(), "thing".into());
            })
            .unwrap();
        place.update("c.json", |count: &mut Count| count.n = 1).unwrap();
        assert_eq!(place.read::<Count>("c.json").unwrap().unknown["later"], "thing");
    }

    #[test]
    fn broken_and_newer_files_are_said_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().to_owned());
        let path = dir.path().join("c.json");
        for text in ["{\n  \"n\": ", "{\"version\": 99}", "[1]", "\u{fffd}", "{\"n\": \"x\"}"] {
            fs::write(&path, text).unwrap();
            assert!(place.update("c.json", |count: &mut Count| count.n += 1).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "").unwrap();
        assert_eq!(place.read::<Count>("c.json").unwrap().n, 0);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_and_modes_are_private() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        let place = Place::Directory(real.clone());
        place.update("c.json", |count: &mut Count| count.n += 1).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&real), mode(&real.join("c.json"))), (0o700, 0o600));
        let link = dir.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(matches!(Place::Directory(link).read::<Count>("c.json"), Err(Error::Link(_))));
        let target = dir.path().join("target");
        fs::write(&target, "{}").unwrap();
        symlink(&target, real.join("d.json")).unwrap();
        assert!(place.update("d.json", |count: &mut Count| count.n += 1).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "{}");
    }

    #[test]
    fn a_claim_is_one_programs_alone_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Directory(dir.path().to_owned());
        let claim = place.claim("attempt-1").unwrap();
        assert!(matches!(place.claim("attempt-1"), Err(Error::Busy(_))));
        drop(claim);
        assert!(place.claim("attempt-1").is_ok());
    }
}
