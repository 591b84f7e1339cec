//! Keys that were received and could not be stored: they are tried again as long as the program has them.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::free_label::store_under_free_label;
use super::store::{NewKey, lock_storing, not_stored_error};
use super::unlisted_keys::known_accounts;
use super::{ABANDON_TIMEOUT, ServiceContext, shared_entry};
use crate::domain::{ApiKey, KeyLocation, ProvisioningOutcome, StoredKey, UserError};
use crate::storage::secret_store::{self, SecretStore};

/// How long a keychain that does not work is tried again.
pub(crate) const KEYCHAIN_TIMEOUT: Duration = Duration::from_secs(120);

/// The delay before a failed step is retried.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Tries again to store a key that is stored nowhere, every second for at most two minutes or until `stop`
/// completes. Says so with `notify` before the first try. Returns any other outcome as it is.
pub async fn store_with_retries(
    outcome: ProvisioningOutcome,
    services: &ServiceContext,
    stop: impl Future<Output = ()>,
    notify: impl FnOnce(String),
) -> ProvisioningOutcome {
    let ProvisioningOutcome::NotStored { mut entry, key, mut error } = outcome else {
        return outcome;
    };
    notify(format!("{}: retrying to store it for at most two minutes", error.message));
    let mut stop = pin!(stop);
    let since = Instant::now();
    let mut is_stopped = false;
    while !is_stopped && since.elapsed() < KEYCHAIN_TIMEOUT {
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = tokio::time::sleep(RETRY_INTERVAL) => {}
        }
        // Boxed: the futures of many requests are large.
        let mut retry = Box::pin(retry_store(entry.clone(), key.clone(), services));
        let outcome = tokio::select! {
            outcome = &mut retry => Ok(outcome),
            () = &mut stop => {
                is_stopped = true;
                // It may wait for an unlock prompt.
                tokio::time::timeout(ABANDON_TIMEOUT, retry).await
            }
        };
        match outcome {
            Ok(ProvisioningOutcome::NotStored { entry: unstored, error: last, .. }) => {
                (entry, error) = (unstored, last);
            }
            Ok(outcome) => return outcome,
            Err(_) => {}
        }
    }
    ProvisioningOutcome::NotStored { entry, key, error }
}

/// Adds to the error of a key that could not be stored what becomes of the key when the program ends. A
/// store that failed or did not answer may have saved it, so that only the next start knows.
pub fn key_lost_error(error: UserError) -> UserError {
    let advice = error.advice.trim_end_matches(", then try again");
    UserError {
        meaning:
            "the key was created and may be stored; if it is not, it is lost when this command ends"
                .into(),
        advice: format!("{advice}, then find out whether it is stored: keywright recover"),
        ..error
    }
}

/// Tries once more to store a key that is stored nowhere.
pub async fn retry_store(
    stored_key: StoredKey,
    key: ApiKey,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    let key_store = services.for_key(&stored_key);
    store_in(stored_key, key, &key_store, services).await
}

/// Stores the key in another store. A rotation needs both keys in one store, so the new key then
/// keeps its own label.
pub async fn store_in_alternate(
    mut stored_key: StoredKey,
    key: ApiKey,
    store: SecretStore,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    stored_key.replaces = None;
    let key_store = ServiceContext { secret_store: store, ..services.clone() };
    store_in(stored_key, key, &key_store, services).await
}

async fn store_in(
    mut stored_key: StoredKey,
    key: ApiKey,
    key_store: &ServiceContext,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    stored_key.location = KeyLocation::Stored(key_store.secret_store.kind());
    let storing_lock = lock_storing(services).await.ok();
    let stored = store_under_free_label(&mut stored_key, &key, key_store).await;
    if let Err(error) = &stored
        && *error != secret_store::Error::EntryExists
    {
        let error = not_stored_error(error);
        return ProvisioningOutcome::NotStored { entry: stored_key, key, error };
    }
    let (guard, naming) = services.pending_attempts.take_by_hash(&stored_key.hash).unzip();
    let naming = naming.flatten();
    let naming = naming.as_ref().map(|(management, label)| (management, label));
    let Ok(rename_warning) = stored else {
        let management = naming.map(|(management, _)| management);
        return shared_entry::yield_label(guard, &stored_key, management, key_store).await;
    };
    let accounts = known_accounts(None, services);
    let stored = NewKey { guard, stored_key, key, naming, accounts, rename_warning };
    // Only the comparison of the policy could be cancelled.
    let mut cancel = watch::channel(false).1;
    stored.list_and_compare(storing_lock, None, services, key_store, &mut cancel, &|_| ()).await
}
