//! What the token of a shared store may do, checked before OpenRouter is asked for anything.

use crate::domain::UserError;
use crate::services::provision::ServiceContext;

/// Checks that the entries of these labels may be written. Only a shared store is asked.
pub(super) fn check_may_write<'a>(
    services: &ServiceContext,
    labels: impl IntoIterator<Item = &'a str>,
) -> Result<(), UserError> {
    for label in labels {
        let services = services.for_label(label);
        if services.secret_store.as_bao().is_none() {
            continue;
        }
        let (service, entry_id) = (&services.keychain_service, services.entry_id(label));
        services
            .secret_store
            .check_storable(service, &entry_id, services.secret_store_timeout)
            .map_err(|error| error.to_user_error())?;
    }
    Ok(())
}
