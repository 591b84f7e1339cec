//! The stretch between the server's answer and the keychain's read-back: here a key exists once.
//! No `?` leaves it with the key; whatever fails, the key goes back to the person.

use std::collections::HashMap;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::{ServiceContext, delete_attempt_secrets, wait_for_cancel};
use crate::api::openrouter::CreatedKey;
use crate::domain::{
    ApiKey, CheckResult, ErrorKind, ProvisioningEvent, ProvisioningOutcome, ProvisioningStep,
    StoredKey, UserError, sanitize,
};
use crate::storage::inventory;
use crate::storage::journal::{self, AttemptGuard, AttemptStage};
use crate::storage::json_store::{self, LockGuard};
use crate::storage::secret_store::{self, SecretStore};

/// Keys that are stored and not on the list yet: the list is rewritten for many at once, not for
/// each. Until then their attempts stay in the journal, from which the next start lists them.
#[derive(Default)]
pub struct UnlistedKeys(Vec<(AttemptGuard, StoredKey)>);

impl UnlistedKeys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are on the list.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts them on the list. An error costs no key: see above.
    pub fn add_to_inventory(&mut self, services: &ServiceContext) -> Result<(), UserError> {
        if self.is_empty() {
            return Ok(());
        }
        let (guards, stored_key) = self.0.drain(..).unzip();
        inventory::upsert_keys(&services.location, stored_key)
            .map_err(|error| not_listed_error(&error))?;
        log_error(AttemptGuard::complete_all(guards));
        Ok(())
    }
}

/// Stores what was received, notes it, ends the attempt and asks what was granted. With `later` the
/// list is left to [`Unlisted::list`].
pub(super) async fn store_received_key(
    mut guard: AttemptGuard,
    issued: CreatedKey,
    services: &ServiceContext,
    unlisted: Option<&mut UnlistedKeys>,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    report(ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey));
    let attempt = guard.attempt();
    let mut stored_key = StoredKey {
        requested: attempt.requested.clone(),
        replaces: attempt.replaces.clone(),
        user_id: issued.user_id.map(|id| sanitize(&id, 100)),
        ..StoredKey::new(
            attempt.label.clone(),
            &issued.key,
            services.server.clone(),
            services.secret_store.kind().to_string(),
            Timestamp::now(),
        )
    };
    // A journal that cannot be written keeps no key out of the vault.
    log_error(guard.update(|attempt| {
        attempt.stage = AttemptStage::KeyReceived;
        attempt.received_key = Some(stored_key.clone());
    }));
    // Until it is listed: no other Keywright may take the label between our look and our writing.
    let storing_lock = lock_storing(services).await;
    let rename_warning = match store_under_free_label(&mut stored_key, &issued.key, services).await
    {
        Ok(rename_warning) => rename_warning,
        Err(error) => {
            services.pending_attempts.add(guard);
            return ProvisioningOutcome::NotStored {
                entry: stored_key,
                key: issued.key,
                error: not_stored_error(&error),
            };
        }
    };
    log_error(guard.update(|attempt| {
        attempt.stage = AttemptStage::Stored;
        attempt.received_key = Some(stored_key.clone());
    }));
    // Not in a queue: its keys come from one account, and there may be thousands.
    let account_warning =
        unlisted.is_none().then(|| other_account_warning(&stored_key, services)).flatten();
    let listed = match &unlisted {
        Some(_) => Ok(()),
        None => inventory::upsert_keys(&services.location, vec![stored_key.clone()]),
    };
    drop(storing_lock);
    delete_attempt_secrets(&guard, services).await;
    // A key that is not on the list stays in the journal: the next start lists it.
    let mut guard = Some(guard);
    if let (None, Ok(())) = (&unlisted, &listed) {
        log_error(guard.take().map_or(Ok(()), AttemptGuard::complete));
    }
    let warning =
        listed.err().map(|error| not_listed_error(&error)).or(rename_warning).or(account_warning);
    report(ProvisioningEvent::StepStarted(ProvisioningStep::ComparePolicy));
    let (stored, key) = (stored_key.clone(), issued.key.clone());
    let outcome = tokio::select! {
        outcome = compare_policy(stored_key, issued.key, warning.clone(), unlisted.is_none(), services) => outcome,
        // The key is safe: nobody waits for a comparison who wants to leave.
        () = wait_for_cancel(cancel) => ProvisioningOutcome::Stored { stored_key: stored, key, warning },
    };
    if let (Some(unlisted), Some(guard), ProvisioningOutcome::Stored { stored_key, .. }) =
        (unlisted, guard, &outcome)
    {
        unlisted.0.push((guard, stored_key.clone()));
    }
    outcome
}

/// What an answer held could be found nowhere in it and be kept nowhere: the person has it.
pub(super) fn return_unstored(
    mut guard: AttemptGuard,
    response: SecretString,
    error: &UserError,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    #[expect(clippy::disallowed_methods, reason = "door: reveal")]
    let key = ApiKey::from(response.expose_secret().to_owned());
    let attempt = guard.attempt();
    let store = services.secret_store.kind().to_string();
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
    services.pending_attempts.add(guard);
    ProvisioningOutcome::NotStored { entry: stored_key, key, error: error.clone() }
}

/// Waits for the turn to store; whoever waits in vain stores all the same, for the key's sake.
pub(crate) async fn lock_storing(services: &ServiceContext) -> Option<LockGuard> {
    let (location, timeout) = (services.location.clone(), services.secret_store_timeout);
    let storing_lock =
        tokio::task::spawn_blocking(move || location.try_lock_for("storing.lock", timeout));
    storing_lock.await.ok()?.ok()
}

/// Tries again to store a key that is nowhere but on the screen.
pub async fn retry_store(
    stored_key: StoredKey,
    key: ApiKey,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    store_and_list(stored_key, key, services, services).await
}

/// Stores it in another store than the one that refuses it. A rotation needs both keys in one: the
/// new key then stays beside the old one, under a label of its own.
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
    stored_key.store = existing.secret_store.kind().to_string();
    let storing_lock = lock_storing(services).await;
    let rename_warning = match store_under_free_label(&mut stored_key, &key, existing).await {
        Ok(rename_warning) => rename_warning,
        Err(error) => {
            return ProvisioningOutcome::NotStored {
                entry: stored_key,
                key,
                error: not_stored_error(&error),
            };
        }
    };
    let listed = inventory::upsert_keys(&services.location, vec![stored_key.clone()]);
    drop(storing_lock);
    if listed.is_ok() {
        if let Some(guard) = services.pending_attempts.take_by_hash(&stored_key.hash) {
            delete_attempt_secrets(&guard, services).await;
            log_error(guard.complete());
        }
        // Another start may have put it on the list of what nobody received.
        log_error(journal::remove_attempts_for_key(&services.location, &stored_key.hash));
    }
    let warning = listed.err().map(|error| not_listed_error(&error)).or(rename_warning);
    compare_policy(stored_key, key, warning, true, services).await
}

/// Puts the key into the vault, read back. Never over another key: a label that was taken since
/// the preflight gets a number, and `Some` words about it.
async fn store_under_free_label(
    stored_key: &mut StoredKey,
    key: &ApiKey,
    services: &ServiceContext,
) -> Result<Option<UserError>, secret_store::Error> {
    let requested = stored_key.label.clone();
    for number in 1..=9 {
        let label = if number == 1 {
            requested.clone()
        } else {
            requested.with_suffix(&number.to_string())
        };
        let entry_id = services.entry_id(label.as_str());
        let existing =
            services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await;
        let rename_warning = (label != requested).then(|| {
            UserError::new(
                ErrorKind::Failed,
                format!("the label {requested} was taken meanwhile"),
                format!("the key is stored as {label}"),
            )
        });
        match existing {
            Err(secret_store::Error::NoEntry) => {
                let entry_id = services.entry_id(label.as_str());
                let secret = to_secret_string(key);
                services
                    .call_secret_store(move |store, timeout| store.set(&entry_id, &secret, timeout))
                    .await?;
            }
            // Ours already: a try before this one got further than it knew.
            Ok(secret) if hash_secret(&secret) == stored_key.hash => {}
            Ok(_) => continue,
            Err(error) => return Err(error),
        }
        stored_key.label = label;
        return Ok(rename_warning);
    }
    Err(secret_store::Error::Ambiguous(9))
}

/// Asks the server what it granted and notes it, on the list as well where the key is `listed`; a
/// failure leaves the key where it is.
async fn compare_policy(
    mut stored_key: StoredKey,
    key: ApiKey,
    warning: Option<UserError>,
    listed: bool,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    let response = match services.build_client() {
        Ok(client) => match client.get_current_key(&key).await {
            // Asking is safe to repeat; once is enough for a hiccup.
            Err(error) if error.status().is_none() && services.max_retries > 0 => {
                tracing::debug!(%error, "asking the key again");
                client.get_current_key(&key).await
            }
            response => response,
        },
        Err(error) => Err(error),
    };
    let unchecked = match response {
        Ok(info) => {
            let now = Timestamp::now();
            let result = CheckResult::Valid(Arc::new(info));
            stored_key.record_check(&result, now);
            if listed {
                let reads = HashMap::from([(stored_key.hash.clone(), (now, result))]);
                log_error(inventory::record_checks(&services.location, &services.server, &reads));
            }
            None
        }
        Err(error) => Some(UserError::new(
            ErrorKind::Failed,
            format!("what was granted could not be checked: {error}"),
            "the key is stored; look at its limit and expiry at OpenRouter",
        )),
    };
    ProvisioningOutcome::Stored { stored_key, key, warning: warning.or(unchecked) }
}

/// Whoever can read the sign-in address can answer it with a consent of their own: then the key is
/// one of theirs, and they see what it is used for.
fn other_account_warning(stored_key: &StoredKey, services: &ServiceContext) -> Option<UserError> {
    let user = stored_key.user_id.as_ref()?;
    let stored_keys = inventory::list_keys(&services.location, &services.server).ok()?;
    let mut users = stored_keys.iter().filter_map(|row| row.user_id.as_ref()).peekable();
    users.peek()?;
    (!users.any(|other| other == user)).then(|| {
        UserError::new(
            ErrorKind::Failed,
            "this key is of another account than the keys that are held here",
            "it is stored; if you did not sign in to another account, do not use it: somebody \
                 answered in your place",
        )
    })
}

fn not_stored_error(error: &secret_store::Error) -> UserError {
    UserError::new(
        ErrorKind::SecretStore,
        format!("the key was issued and could not be stored: {error}"),
        format!("it is nowhere but here; {}", error.advice()),
    )
}

fn not_listed_error(error: &json_store::Error) -> UserError {
    UserError::new(
        ErrorKind::Failed,
        format!("the key is in the keychain, but not on the list: {error}"),
        error.advice(),
    )
}

#[expect(clippy::disallowed_methods, reason = "door: the vault")]
fn to_secret_string(key: &ApiKey) -> SecretString {
    SecretString::from(key.expose_secret())
}

#[expect(clippy::disallowed_methods, reason = "door: hashing")]
pub(super) fn hash_secret(secret: &SecretString) -> String {
    ApiKey::from(secret.expose_secret().to_owned()).hash()
}

fn log_error<T, E: std::fmt::Display>(result: Result<T, E>) {
    if let Err(error) = result {
        tracing::warn!(%error, "went on, for the key's sake");
    }
}
