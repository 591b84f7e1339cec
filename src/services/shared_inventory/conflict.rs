//! Conflicts with stored keys. What the inventory knows of a shared key may be outdated, so such a
//! conflict is looked for again after the store was read.

use super::{SharedStore, read_all};
use crate::domain::StoredKey;
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::ServiceContext;
use crate::storage::json_store;

/// Returns the conflict that `find` sees in the stored keys, if there is one. Someone else may have
/// removed or renamed the key of the conflict, so a shared store is read before it is returned; a
/// store that cannot be read leaves the conflict as it is. Blocks.
pub fn find_conflict<T>(
    services: &ServiceContext,
    find: impl Fn(&[StoredKey]) -> Option<T>,
) -> Result<Option<T>, json_store::Error> {
    let find_now = || Ok(find(&services.list_keys()?));
    let conflict = find_now()?;
    if conflict.is_none() || SharedStore::find(services).is_none() {
        return Ok(conflict);
    }
    if let Err(error) = read_all(services, |_, _| ()) {
        tracing::warn!(%error, "the shared store could not be read to check a conflict");
        return Ok(conflict);
    }
    find_now()
}

/// Returns what [`find_conflict`] returns, without blocking.
pub(in crate::services) async fn find_conflict_async<T: Send + 'static>(
    services: &ServiceContext,
    find: impl Fn(&[StoredKey]) -> Option<T> + Send + 'static,
) -> Result<Option<T>, json_store::Error> {
    let services = services.clone();
    run_blocking(move || find_conflict(&services, find)).await.unwrap_or(Ok(None))
}
