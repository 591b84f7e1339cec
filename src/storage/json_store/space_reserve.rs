//! Space on the disk of the data directory, reserved before something that cannot be undone.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Error;
use super::atomic_file::{create_private_dir, io_error};

/// Bytes by which the documents may grow until the reserve is dropped: several keys and attempts.
const GROWTH: u64 = 16 * 1024;

/// Space for writing any document of a directory again. Dropping it frees the space for the write.
///
/// A document is replaced by a new file beside it, so the largest document is needed a second time.
#[derive(Debug)]
#[must_use = "the space is free again when this is dropped"]
pub struct SpaceReserve {
    /// A file without a name, which no interruption leaves behind.
    _file: Option<File>,
}

impl SpaceReserve {
    /// Reserves nothing, for documents in memory.
    pub(super) const fn none() -> Self {
        Self { _file: None }
    }

    /// Reserves space in `dir`. With `sync` the file is on disk when this returns.
    pub(super) fn in_dir(dir: &Path, sync: bool) -> Result<Self, Error> {
        create_private_dir(dir)?;
        let size = largest_document(dir).map_err(io_error(dir, "read"))? + GROWTH;
        let file = tempfile::tempfile_in(dir)
            .and_then(|file| {
                allocate(&file, size)?;
                if sync {
                    file.sync_all()?;
                }
                Ok(file)
            })
            .map_err(io_error(dir, "written"))?;
        Ok(Self { _file: Some(file) })
    }
}

/// Returns the size in bytes of the largest document in `dir`.
fn largest_document(dir: &Path) -> io::Result<u64> {
    let mut largest = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_document = Path::new(&entry.file_name())
            .extension()
            .is_some_and(|ext| ext == "json" || ext == "age");
        // A file that was replaced just now is counted under its new name, or again next time.
        if let (true, Ok(metadata)) = (is_document, entry.metadata()) {
            largest = largest.max(metadata.len());
        }
    }
    Ok(largest)
}

/// Takes `size` bytes of the disk for `file`, and proves that it can be written.
fn allocate(mut file: &File, size: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(file, FallocateFlags::empty(), 0, size) {
            Ok(()) => return io::Write::write_all(&mut file, b"reserved"),
            // This file system reserves nothing, so the bytes are written.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Random bytes, since a file system may store a run of equal bytes without using space.
    let mut block = [0; 4096];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut block).map_err(io::Error::other)?;
    let mut written = 0;
    while written < size {
        io::Write::write_all(&mut file, &block)?;
        written += block.len() as u64;
    }
    Ok(())
}
