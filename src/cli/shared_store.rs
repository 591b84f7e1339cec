//! Shared stores: what the token may do, checked before OpenRouter is asked for anything, and keys
//! that wait for the store.

use super::output::print_status;
use crate::domain::{StoredKey, UserError, format_command};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::{self, bao};

/// Checks that the entries of these labels may be written. Only a shared store is asked.
pub(super) fn check_may_write<'a>(
    services: &ServiceContext,
    labels: impl IntoIterator<Item = &'a str>,
) -> Result<(), UserError> {
    for label in labels {
        check_entry(services, label).map_err(|error| error.to_user_error())?;
    }
    Ok(())
}

/// Checks that the token may write the entries of these leaked keys. A store that cannot be asked must
/// not keep a leaked key alive, so only a missing right is an error.
pub(super) fn check_may_replace_leaked(
    services: &ServiceContext,
    leaked: &[StoredKey],
) -> Result<(), UserError> {
    for key in leaked {
        if let Err(error @ secret_store::Error::Bao(bao::Error::Forbidden { .. })) =
            check_entry(services, key.label.as_str())
        {
            let page = format!("{}/keys/{}", services.server, key.hash);
            let meaning = format!(
                "nothing was done, and the leaked key still works: disable it now at {page}"
            );
            return Err(error.to_user_error().with_meaning(meaning));
        }
    }
    Ok(())
}

fn check_entry(services: &ServiceContext, label: &str) -> Result<(), secret_store::Error> {
    let services = services.for_label(label);
    if services.secret_store.as_bao().is_none() {
        return Ok(());
    }
    let (service, entry_id) = (&services.keychain_service, services.entry_id(label));
    services.secret_store.check_storable(service, &entry_id, services.secret_store_timeout)
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
