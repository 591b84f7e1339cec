//! Reads a document and checks the version of its schema.

use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::{Document, Error, SCHEMA_VERSION, atomic_file, check_dir};

#[derive(Deserialize)]
struct VersionHeader {
    #[serde(default)]
    version: u64,
}

/// Returns the version if it is the first field, where Keywright writes it. Then a large document need not
/// be parsed twice.
pub(super) fn leading_version(text: &str) -> Option<u64> {
    let rest = text.trim_start().strip_prefix('{')?.trim_start();
    let rest = rest.strip_prefix("\"version\"")?.trim_start().strip_prefix(':')?.trim_start();
    let (digits, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
    let is_whole = rest.trim_start().starts_with([',', '}']);
    digits.parse().ok().filter(|_| is_whole)
}

/// Reads the document `name` of a directory, or its default if it does not exist.
pub(super) fn read_document<T: Document>(dir: &Path, name: &str) -> Result<T, Error> {
    let path = dir.join(name);
    match read_text(dir, &path)? {
        None => Ok(T::default()),
        Some(text) => parse_document(&path, &text, PhantomData),
    }
}

/// Returns the text of a file that exists. It is not empty.
pub(in crate::storage) fn read_text(dir: &Path, path: &Path) -> Result<Option<String>, Error> {
    check_dir(dir)?;
    match atomic_file::read_if_exists(path)?.map(String::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) if text.trim().is_empty() => Err(Error::Empty(path.to_owned())),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Error::InvalidJson { path: path.to_owned(), line: 1, column: 1 }),
    }
}

/// Parses the text of a document, which the result may borrow.
pub(in crate::storage) fn parse_document<'a, S: DeserializeSeed<'a>>(
    path: &Path,
    text: &'a str,
    seed: S,
) -> Result<S::Value, Error> {
    let invalid = |error: serde_json::Error| Error::InvalidJson {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    };
    let version = read_version(text).map_err(invalid)?;
    if version > SCHEMA_VERSION {
        return Err(Error::UnsupportedVersion { path: path.to_owned(), version });
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let document = seed.deserialize(&mut deserializer).map_err(invalid)?;
    deserializer.end().map_err(invalid)?;
    Ok(document)
}

/// Returns the schema version of a document. It is read first, because the other fields of a newer
/// version may be unknown.
fn read_version(text: &str) -> serde_json::Result<u64> {
    match leading_version(text) {
        Some(version) => Ok(version),
        None => serde_json::from_str::<VersionHeader>(text).map(|header| header.version),
    }
}
