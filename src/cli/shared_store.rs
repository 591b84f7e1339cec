//! Shared stores: what the token may do, checked before OpenRouter is asked for anything, and keys
//! that wait for the store.

use super::output::print_status;
use crate::domain::{StoredKey, UserError, format_command};
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

/// Says which keys are on this machine because their shared store could not take them.
pub(super) fn print_waiting_keys(keys: &[StoredKey]) {
    for key in keys.iter().filter(|key| key.move_to.is_some()) {
        print_status(&format!(
            "'{}' is on this machine only, because the shared store could not take it; move it there: {}",
            key.label,
            format_command(&["recover"], &[])
        ));
    }
}
