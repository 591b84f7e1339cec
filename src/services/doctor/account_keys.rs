//! Finds keys in the account whose creation was not finished.

use super::{DoctorProgress, HealthCheck};
use crate::domain::{AccountKey, ManagementKey};
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::storage::journal;

/// Lists the keys of the account, and reports those that have the name of an attempt which is not known
/// here: something between this machine and the server may have repeated a request, or answered it
/// itself. Returns the keys; none if they could not be listed.
pub(super) async fn check_account_keys(
    services: &ServiceContext,
    management: &ManagementKey,
    report: &mut dyn FnMut(DoctorProgress),
) -> Vec<AccountKey> {
    let account_keys = match keys::list_account_keys(services, management).await {
        Ok(keys) => keys,
        Err(error) => {
            report(DoctorProgress::Notice(format!("could not list the account's keys: {error}")));
            return Vec::new();
        }
    };
    // What could not be read is reported by the checks of these files.
    let (Ok(attempts), Ok(stored), Ok(trash)) = (
        journal::list_all_attempts(&services.location),
        services.list_keys(),
        services.list_trash(),
    ) else {
        return account_keys;
    };
    for key in &account_keys {
        let name = key.name.as_deref().unwrap_or_default();
        let is_known = attempts.iter().any(|attempt| attempt.is_key_name(name))
            || stored.iter().any(|stored| stored.hash == key.hash)
            || trash.iter().any(|trashed| trashed.key.hash == key.hash);
        if journal::is_attempt_name(name) && !is_known {
            report(DoctorProgress::CheckFinished(HealthCheck::warn(
                "account keys",
                format!(
                    "'{}' has the name of a creation that did not finish, and is not stored here",
                    key.display_name()
                ),
                format!(
                    "delete it unless another machine has it or creates it now: {}/keys/{}",
                    services.server, key.hash
                ),
            )));
        }
    }
    account_keys
}
