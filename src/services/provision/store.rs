//! Stores a received key. At first this program has the only copy, so no error path drops the key:
//! if it cannot be stored, it is returned to the user.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::free_label::store_under_free_label;
use super::unlisted_keys::{
    BatchItem, UnlistedKeys, known_accounts, log_error, not_listed_error, use_separate_label,
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
use crate::storage::journal::{self, AttemptGuard, AttemptStage};
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
    let mut stored_key = services.new_stored_key(attempt.label.clone(), &issued.key).with(|key| {
        key.requested = attempt.requested.clone();
        key.replaces.clone_from(&attempt.replaces);
        key.user_id = issued.user_id.map(|id| sanitize(&id, 100));
    });
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
    let key = issued.key;
    let stored = NewKey { guard: Some(guard), stored_key, key, naming, accounts, rename_warning };
    stored.list_and_compare(storing_lock, unlisted, services, services, cancel, report).await
}

/// A received key that is in the secret store.
pub(super) struct NewKey<'a> {
    /// Its attempt; `None` if another process may have it.
    pub(super) guard: Option<AttemptGuard>,
    pub(super) stored_key: StoredKey,
    pub(super) key: ApiKey,
    /// The label that it gets at the server, with its management key.
    pub(super) naming: Option<(&'a ManagementKey, &'a Label)>,
    pub(super) accounts: KnownAccounts,
    pub(super) rename_warning: Option<UserError>,
}

impl NewKey<'_> {
    /// Adds the key to the inventory or the batch, gives it its name at the server, ends its attempt and
    /// compares the policy. The store of `key_store` has the key.
    pub(super) async fn list_and_compare(
        self,
        storing_lock: Option<LockGuard>,
        unlisted: Option<&mut UnlistedKeys>,
        services: &ServiceContext,
        key_store: &ServiceContext,
        cancel: &mut watch::Receiver<bool>,
        report: &(dyn Fn(ProvisioningEvent) + Sync),
    ) -> ProvisioningOutcome {
        let Self { mut guard, mut stored_key, key, naming, accounts, rename_warning } = self;
        shared_entry::record_new_key(key_store, &mut stored_key).await;
        // In a batch the attempt ends with the next write of the inventory; until then the hash in the
        // journal finds the key in the secret store.
        let is_in_batch = unlisted.is_some();
        let listed = if is_in_batch {
            Ok(())
        } else {
            if let Some(guard) = &mut guard {
                log_error(guard.update(|attempt| {
                    attempt.stage = AttemptStage::Stored;
                    attempt.received_key = Some(stored_key.clone());
                }));
            }
            inventory::upsert_keys(&services.location, vec![stored_key.clone()])
        };
        drop(storing_lock);
        key_store.remember_provider().await;
        if let Some(guard) = guard.as_ref().filter(|guard| guard.attempt().may_have_entry()) {
            delete_attempt_secrets(guard, services).await;
        }
        let is_listed = listed.is_ok();
        // The attempt of a key that is not in the inventory stays in the journal for the next start, and
        // so does that of a key which has the name of its attempt at the server.
        let has_name = guard.as_ref().is_none_or(|guard| guard.attempt().management_key.is_none());
        if !is_in_batch && is_listed && has_name {
            end_attempt(guard.take(), &stored_key.hash, services);
        }
        let unlisted_error = listed.err().map(|error| not_listed_error(&error));
        let warning = UserError::join([unlisted_error, rename_warning]);
        let client = services.build_client();
        // Boxed: the futures of many requests are large.
        let finish = Box::pin(async {
            let compare = compare_policy(
                stored_key.clone(),
                &key,
                !is_in_batch,
                &accounts,
                &client,
                services,
            );
            let name = unreceived::name_key(guard.as_ref(), naming, &client, services);
            tokio::join!(compare, name)
        });
        report(ProvisioningEvent::StepStarted(ProvisioningStep::ComparePolicy));
        let finished = tokio::select! {
            finished = finish => Some(finished),
            () = wait_for_cancel(cancel) => None,
        };
        let Some(((stored_key, unchecked), naming_error)) = finished else {
            // The key is stored, so cancelling skips the rest. The next start gives the key its name at
            // the server.
            if let Some(unlisted) = unlisted {
                unlisted.push(guard.filter(|_| naming.is_none()), stored_key.clone());
            }
            return ProvisioningOutcome::Stored { stored_key, key, warning };
        };
        // The next start gives the key its name at the server.
        if let (Some(guard), Some(_)) = (&mut guard, &naming_error) {
            log_error(guard.update(|attempt| attempt.stage = AttemptStage::Stored));
        }
        if let Some(unlisted) = unlisted {
            unlisted.push(guard.filter(|_| naming_error.is_none()), stored_key.clone());
        } else if is_listed && naming.is_some() && naming_error.is_none() {
            end_attempt(guard, &stored_key.hash, services);
        }
        let warning = UserError::join([warning.or(unchecked), naming_error]);
        ProvisioningOutcome::Stored { stored_key, key, warning }
    }
}

/// Removes the attempt of a key that is stored and listed.
fn end_attempt(guard: Option<AttemptGuard>, hash: &str, services: &ServiceContext) {
    log_error(match guard {
        Some(guard) => guard.complete(),
        // Another process may have listed the attempt as unresolved.
        None => journal::remove_attempts_for_key(&services.location, hash),
    });
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
    let stored_key = services
        .new_stored_key(attempt.label.clone(), &key)
        .with(|key| key.requested = attempt.requested.clone());
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
async fn compare_policy(
    mut stored_key: StoredKey,
    key: &ApiKey,
    listed: bool,
    accounts: &KnownAccounts,
    client: &Result<Client, openrouter::Error>,
    services: &ServiceContext,
) -> (StoredKey, Option<UserError>) {
    let response = match client {
        Ok(client) => match client.once().get_current_key(key).await {
            // The request is idempotent; one retry covers a short failure.
            Err(error) if error.status().is_none() && services.max_retries > 0 => {
                tracing::debug!(%error, "retrying the request for the granted policy");
                client.once().get_current_key(key).await
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
    (stored_key, unchecked)
}

pub(super) fn not_stored_error(error: &secret_store::Error) -> UserError {
    UserError::new(
        ErrorKind::SecretStore,
        format!("the key was created and could not be stored: {error}"),
        error.advice(),
    )
    .with_meaning("this program may have the only copy of the key")
}
