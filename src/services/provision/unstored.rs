//! Keys that were received and could not be stored: they are tried again as long as the program has them.

use std::pin::pin;
use std::time::{Duration, Instant};

use super::free_label::store_under_free_label;
use super::store::{compare_policy, lock_storing, not_stored_error};
use super::unlisted_keys::{known_accounts, log_error, not_listed_error};
use super::{ABANDON_TIMEOUT, ServiceContext, delete_attempt_secrets, shared_entry, unreceived};
use crate::api::openrouter::{self, Client};
use crate::domain::{ApiKey, KeyLocation, ProvisioningOutcome, StoredKey, UserError};
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptStage};
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
    let existing = services.for_key(&stored_key);
    store_and_list(stored_key, key, &existing, services).await
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
    let existing = ServiceContext { secret_store: store, ..services.clone() };
    store_and_list(stored_key, key, &existing, services).await
}

async fn store_and_list(
    mut stored_key: StoredKey,
    key: ApiKey,
    existing: &ServiceContext,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    stored_key.location = KeyLocation::Stored(existing.secret_store.kind());
    let storing_lock = lock_storing(services).await.ok();
    let rename_warning = match store_under_free_label(&mut stored_key, &key, existing).await {
        Ok(rename_warning) => rename_warning,
        Err(secret_store::Error::EntryExists) => {
            let (guard, naming) = services.pending_attempts.take_by_hash(&stored_key.hash).unzip();
            let naming = naming.flatten();
            let management = naming.as_ref().map(|(management, _)| management);
            return shared_entry::yield_label(guard, &stored_key, management, existing).await;
        }
        Err(error) => {
            return ProvisioningOutcome::NotStored {
                entry: stored_key,
                key,
                error: not_stored_error(&error),
            };
        }
    };
    shared_entry::record_new_key(existing, &mut stored_key).await;
    let accounts = known_accounts(None, services);
    let listed = inventory::upsert_keys(&services.location, vec![stored_key.clone()]);
    drop(storing_lock);
    existing.remember_provider().await;
    let unlisted_error = listed.err().map(|error| not_listed_error(&error));
    let client = services.build_client();
    let naming_error = match &unlisted_error {
        // The attempt stays for the next start.
        Some(_) => None,
        None => end_pending_attempt(&stored_key, &client, services).await,
    };
    let warning = UserError::join([unlisted_error, rename_warning, naming_error]);
    compare_policy(stored_key, key, warning, true, &accounts, &client, services).await
}

/// Ends the attempt of a key that could not be stored at first, and is stored and listed now. Returns the
/// warning if the key keeps the name of its attempt at the server, where the next start gives it its label.
async fn end_pending_attempt(
    stored_key: &StoredKey,
    client: &Result<Client, openrouter::Error>,
    services: &ServiceContext,
) -> Option<UserError> {
    if let Some((mut guard, naming)) = services.pending_attempts.take_by_hash(&stored_key.hash) {
        delete_attempt_secrets(&guard, services).await;
        if guard.attempt().management_key.is_some() {
            log_error(guard.update(|attempt| {
                attempt.stage = AttemptStage::Stored;
                attempt.received_key = Some(stored_key.clone());
            }));
            // A response without a recognisable key has no key to name.
            let (management, label) = naming?;
            let naming = Some((&management, &label));
            if let Some(error) = unreceived::name_key(Some(&guard), naming, client, services).await
            {
                return Some(error);
            }
        }
    }
    // Another process may have listed the attempt as unresolved.
    log_error(journal::remove_attempts_for_key(&services.location, &stored_key.hash));
    None
}
