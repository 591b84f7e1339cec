//! Reads the file of a plan.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

/// Largest plan in bytes.
const MAX_PLAN_BYTES: u64 = 64 << 20;

/// Reads a plan. Fails if it is too large, so that a stream without an end can be given.
fn read_plan_bytes(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_PLAN_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PLAN_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// Reads the file of a plan. It must be a regular file, since a named pipe could wait for ever, or a
/// descriptor that the shell passed: `/dev/stdin` or `/dev/fd/N`.
pub fn read_plan_file(path: &Path) -> io::Result<Vec<u8>> {
    let is_descriptor = path == Path::new("/dev/stdin") || path.starts_with("/dev/fd");
    if !is_descriptor && !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    fs::File::open(path).and_then(read_plan_bytes)
}
