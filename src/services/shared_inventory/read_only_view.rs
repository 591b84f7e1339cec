//! The keys of a shared store where the data directory cannot be written, as on a build server.

use super::SharedStore;
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::json_store::StoreLocation;

/// Returns a context whose documents are in memory, if a shared store is in use and the data directory
/// cannot be written: commands that only read then work and write nothing.
pub fn read_only_view(services: &ServiceContext) -> Option<ServiceContext> {
    if services.location.is_writable() || SharedStore::find(services).is_none() {
        return None;
    }
    let location = StoreLocation::in_memory();
    match inventory::list_all_keys(&services.location) {
        Ok(keys) => inventory::upsert_keys(&location, keys).ok()?,
        Err(error) => tracing::debug!(%error, "the inventory cannot be read, and is not needed"),
    }
    Some(ServiceContext { location, ..services.clone() })
}
