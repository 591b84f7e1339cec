//! Stores a received key. At first this program has the only copy, so no error path drops the key:
//! if it cannot be stored, it is returned to the user.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::free_label::store_under_free_label;
use super::unlisted_keys::{
    BatchItem, known_accounts, log_error, not_listed_error, use_separate_label,
};
use super::{
    ServiceContext, delete_attempt_secrets, shared, shared_entry, unreceived, wait_for_cancel,
};
use crate::api::openrouter::{self, Client, CreatedKey};
use crate::domain::{
    ApiKey, CheckResult, ErrorKind, KnownAccounts, Label, ManagementKey, ProvisioningEvent,
    ProvisioningOutcome, ProvisioningStep, StoredKey, UserError, sanitize,
};
use crate::platform::blocking_call::run_blocking;
use crate::storage::inventory;
use crate::storage::journal::{AttemptGuard, AttemptStage};
use crate::storage::json_store::{self, LockGuard};
use crate::storage::secret_store;

/// The lock under which labels change.
const STORING_LOCK: &str = "storing.lock";

/// Stores the received key, adds it to the inventory, ends the attempt and compares the policy. In a
/// batch the inventory is left to [`UnlistedKeys::add_to_inventory`]. A key with the name of its
/// attempt gets the label that `naming` has, with its management key.
pub(super) async fn store_received_key(
    mut guard: AttemptGuard,
    issued: CreatedKey,
    naming: Option<(&ManagementKey, &Label)>,
    services: &ServiceContext,
    batch: Option<BatchItem<'_>>,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    report(ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey));
    let attempt = guard.attempt();
    let (mut unlisted, next) = match batch {
        Some(BatchItem { unlisted, next }) => (Some(unlisted), next),
        None => (None, None),
    };
    let accounts = known_accounts(unlisted.as_deref_mut(), services);
    let mut stored_key = StoredKey {
        requested: attempt.requested.clone(),
        replaces: attempt.replaces.clone(),
        user_id: issued.user_id.map(|id| sanitize(&id, 100)),
        ..StoredKey::new(
            attempt.label.clone(),
            &issued.key,
            services.server.clone(),
            services.secret_store.kind(),
            Timestamp::now(),
        )
    };
    accounts.mark(&mut stored_key);
    if unlisted.is_some() {
        use_separate_label(&mut stored_key);
    }
    // Even if the journal cannot be written, the key must be stored.
    let next = next.zip(naming).map(|(next, naming)| (&mut next.attempt_guard, naming.0));
    log_error(guard.update_and_announce(
        |attempt| {
            attempt.stage = AttemptStage::KeyReceived;
            attempt.received_key = Some(stored_key.clone());
        },
        next,
    ));
    // Held until the key is in the inventory, so that no other process takes the label.
    let storing_lock = lock_storing(services).await.ok();
    let stored = match store_under_free_label(&mut stored_key, &issued.key, services).await {
        Err(error) if error != secret_store::Error::EntryExists => {
            shared::keep_on_this_machine(&mut guard, &mut stored_key, &issued.key, services, error)
                .await
        }
        stored => stored,
    };
    let rename_warning = match stored {
        // A replacement gets the label of the replaced key, whatever its label is until then.
        Ok(rename_warning) => rename_warning.filter(|_| stored_key.replaces.is_none()),
        Err(secret_store::Error::EntryExists) => {
            let management = naming.map(|(management, _)| management);
            return shared_entry::yield_label(Some(guard), &stored_key, management, services).await;
        }
        Err(error) => {
            let naming = naming.map(|(management, label)| (management.clone(), label.clone()));
            services.pending_attempts.add(guard, naming);
            return ProvisioningOutcome::NotStored {
                entry: stored_key,
                key: issued.key,
                error: not_stored_error(&error),
            };
        }
    };
    shared_entry::record_new_key(services, &mut stored_key).await;
    // In a batch the attempt ends with the next write of the inventory; until then the hash in the
    // journal finds the key in the secret store.
    let listed = if unlisted.is_some() {
        Ok(())
    } else {
        log_error(guard.update(|attempt| {
            attempt.stage = AttemptStage::Stored;
            attempt.received_key = Some(stored_key.clone());
        }));
        inventory::upsert_keys(&services.location, vec![stored_key.clone()])
    };
    drop(storing_lock);
    services.remember_provider().await;
    // With the management key there is no code and no verifier.
    if naming.is_none() {
        delete_attempt_secrets(&guard, services).await;
    }
    // The attempt of a key that is not in the inventory stays in the journal for the next start, and
    // so does that of a key which has the name of its attempt at the server.
    let mut guard = Some(guard);
    if let (None, Ok(()), None) = (&unlisted, &listed, naming) {
        log_error(guard.take().map_or(Ok(()), AttemptGuard::complete));
    }
    let is_listed = listed.is_ok();
    let unlisted_error = listed.err().map(|error| not_listed_error(&error));
    let warning = UserError::join([unlisted_error, rename_warning]);
    report(ProvisioningEvent::StepStarted(ProvisioningStep::ComparePolicy));
    let (stored, key) = (stored_key.clone(), issued.key.clone());
    let is_in_batch = unlisted.is_some();
    let client = services.build_client();
    // Boxed: the futures of many requests are large.
    let finish = Box::pin(async {
        let compare = compare_policy(
            stored_key,
            issued.key,
            warning.clone(),
            !is_in_batch,
            &accounts,
            &client,
            services,
        );
        let name = unreceived::name_key(guard.as_ref(), naming, &client, services);
        tokio::join!(compare, name)
    });
    let (mut outcome, naming_error) = tokio::select! {
        finished = finish => finished,
        // The key is stored, so cancelling skips the rest. The next start gives the key its name at
        // the server.
        () = wait_for_cancel(cancel) => {
            guard = guard.filter(|_| naming.is_none());
            (ProvisioningOutcome::Stored { stored_key: stored, key, warning }, None)
        }
    };
    // The next start gives the key its name at the server.
    if let Some(guard) = guard.as_mut().filter(|_| naming_error.is_some()) {
        log_error(guard.update(|attempt| attempt.stage = AttemptStage::Stored));
    }
    if let (Some(unlisted), ProvisioningOutcome::Stored { stored_key, .. }) = (unlisted, &outcome) {
        let guard = guard.take().filter(|_| naming_error.is_none());
        unlisted.push(guard, stored_key.clone());
    } else if is_listed && naming_error.is_none() {
        log_error(guard.take().map_or(Ok(()), AttemptGuard::complete));
    }
    if let ProvisioningOutcome::Stored { warning, .. } = &mut outcome {
        *warning = UserError::join([warning.take(), naming_error]);
    }
    outcome
}

/// Returns a response that contains no recognisable key and could not be stored to the user.
pub(super) fn return_unstored(
    mut guard: AttemptGuard,
    response: SecretString,
    error: &UserError,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    #[expect(clippy::disallowed_methods, reason = "the response is shown to the user")]
    let key = ApiKey::from(response.expose_secret().to_owned());
    let attempt = guard.attempt();
    let store = services.secret_store.kind();
    let stored_key = StoredKey {
        requested: attempt.requested.clone(),
        ..StoredKey::new(
            attempt.label.clone(),
            &key,
            services.server.clone(),
            store,
            Timestamp::now(),
        )
    };
    log_error(guard.update(|attempt| {
        attempt.stage = AttemptStage::KeyReceived;
        attempt.received_key = Some(stored_key.clone());
    }));
    services.pending_attempts.add(guard, None);
    ProvisioningOutcome::NotStored { entry: stored_key, key, error: error.clone() }
}

/// Waits for the lock that serialises changes of labels. Only storing a new key goes on without the
/// lock, since the key would be lost otherwise.
pub(crate) async fn lock_storing(
    services: &ServiceContext,
) -> Result<LockGuard, json_store::Error> {
    let services = services.clone();
    let storing_lock = run_blocking(move || lock_storing_blocking(&services));
    storing_lock.await.unwrap_or_else(|| Err(json_store::Error::LockHeld(STORING_LOCK.into())))
}

/// Does what [`lock_storing`] does, and blocks.
pub(crate) fn lock_storing_blocking(
    services: &ServiceContext,
) -> Result<LockGuard, json_store::Error> {
    services.location.try_lock_for(STORING_LOCK, services.secret_store_timeout)
}

/// Fetches the granted policy and records it, also in the inventory if the key is `listed`. A
/// failure is only a warning.
pub(super) async fn compare_policy(
    mut stored_key: StoredKey,
    key: ApiKey,
    warning: Option<UserError>,
    listed: bool,
    accounts: &KnownAccounts,
    client: &Result<Client, openrouter::Error>,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    let response = match client {
        Ok(client) => match client.get_current_key(&key).await {
            // The request is idempotent; one retry covers a short failure.
            Err(error) if error.status().is_none() && services.max_retries > 0 => {
                tracing::debug!(%error, "retrying the request for the granted policy");
                client.get_current_key(&key).await
            }
            response => response,
        },
        Err(error) => Err(error.clone()),
    };
    let unchecked = match response {
        Ok(info) => {
            let now = Timestamp::now();
            let result = CheckResult::Valid(Arc::new(info));
            stored_key.record_check(&result, now);
            // The exchange may not have returned the account.
            accounts.mark(&mut stored_key);
            if listed {
                let reads = HashMap::from([(stored_key.hash.clone(), (now, result))]);
                log_error(inventory::record_checks(&services.location, &services.server, &reads));
            }
            None
        }
        // Unlike the other warnings, this one is not about the stored key.
        Err(error) => Some(UserError::new(
            ErrorKind::Unreachable,
            format!("the granted policy could not be checked: {error}"),
            "check its limit and expiry at OpenRouter",
        )),
    };
    ProvisioningOutcome::Stored { stored_key, key, warning: warning.or(unchecked) }
}

pub(super) fn not_stored_error(error: &secret_store::Error) -> UserError {
    UserError::new(
        ErrorKind::SecretStore,
        format!("the key was created and could not be stored: {error}"),
        error.advice(),
    )
    .with_meaning("this program may have the only copy of the key")
}
