//! The versions of a shared key, with time and writer.

use jiff::Timestamp;

use super::SharedStore;
use crate::domain::{ErrorKind, StoredKey, UserError, sanitize};
use crate::services::provision::ServiceContext;

/// Whether a version can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// It is the key that `get` returns.
    Current,
    /// It was replaced, and can be read.
    Available,
    /// It was deleted, and the engine can restore it.
    Deleted,
    /// It is gone for ever.
    Destroyed,
}

impl VersionState {
    /// Returns the name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Available => "available",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }
}

/// One version of a shared key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    /// Its number, from 1.
    pub number: u64,
    /// When it was written, by the clock of the engine.
    pub written_at: Option<Timestamp>,
    /// Whether it can be read.
    pub state: VersionState,
    /// Who wrote it, as `USER@HOST`, if Keywright did.
    pub written_by: Option<String>,
}

/// Returns the versions of a key that the engine still has, the newest first. Blocks.
pub fn list_versions(
    services: &ServiceContext,
    key: &StoredKey,
) -> Result<Vec<KeyVersion>, UserError> {
    let shared = find_store(services, key)?;
    let metadata = shared.store.read_metadata(&shared.path(key.label.as_str()))?;
    let now = Timestamp::now();
    let writer = |number: u64| metadata.custom_metadata.get(&format!("writer_{number}"));
    let versions = metadata.versions.iter().rev().map(|(number, version)| KeyVersion {
        number: *number,
        written_at: version.created_time,
        state: if version.destroyed {
            VersionState::Destroyed
        } else if version.deletion_time.is_some_and(|at| at <= now) {
            VersionState::Deleted
        } else if *number == metadata.current_version {
            VersionState::Current
        } else {
            VersionState::Available
        },
        written_by: writer(*number).map(|name| sanitize(name, 100)),
    });
    Ok(versions.collect())
}

fn find_store(services: &ServiceContext, key: &StoredKey) -> Result<SharedStore, UserError> {
    let found = SharedStore::find(services);
    let is_shared = |shared: &SharedStore| key.is_in_store(&shared.services.secret_store.kind());
    found.filter(is_shared).ok_or_else(|| {
        let message = format!(
            "'{}' is in the {} store, which keeps no versions",
            key.label,
            key.location.store_name()
        );
        let advice =
            format!("move it to a shared store: {}", key.label.command("store move --to bao"));
        UserError::new(ErrorKind::InvalidInput, message, advice).with_meaning("nothing was changed")
    })
}
