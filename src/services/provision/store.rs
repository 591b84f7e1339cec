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
        let (opens, held) = self.0.drain(..).unzip();
        inventory::upsert_keys(&services.location, held)
            .map_err(|error| not_listed_error(&error))?;
        log_error(AttemptGuard::complete_all(opens));
        Ok(())
    }
}

/// Stores what was received, notes it, ends the attempt and asks what was granted. With `later` the
/// list is left to [`Unlisted::list`].
pub(super) async fn store_received_key(
    mut open: AttemptGuard,
    issued: CreatedKey,
    services: &ServiceContext,
    later: Option<&mut UnlistedKeys>,
    cancel: &mut watch::Receiver<bool>,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    report(ProvisioningEvent::StepStarted(ProvisioningStep::StoreKey));
    let attempt = open.attempt();
    let mut held = StoredKey {
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
    log_error(open.update(|attempt| {
        attempt.stage = AttemptStage::KeyReceived;
        attempt.received_key = Some(held.clone());
    }));
    // Until it is listed: no other Keywright may take the label between our look and our writing.
    let turn = lock_storing(services).await;
    let renamed = match store_under_free_label(&mut held, &issued.key, services).await {
        Ok(renamed) => renamed,
        Err(error) => {
            services.pending_attempts.add(open);
            return ProvisioningOutcome::NotStored {
                entry: held,
                key: issued.key,
                error: not_stored_error(&error),
            };
        }
    };
    log_error(open.update(|attempt| {
        attempt.stage = AttemptStage::Stored;
        attempt.received_key = Some(held.clone());
    }));
    // Not in a queue: its keys come from one account, and there may be thousands.
    let stranger = later.is_none().then(|| other_account_warning(&held, services)).flatten();
    let listed = match &later {
        Some(_) => Ok(()),
        None => inventory::upsert_keys(&services.location, vec![held.clone()]),
    };
    drop(turn);
    delete_attempt_secrets(&open, services).await;
    // A key that is not on the list stays in the journal: the next start lists it.
    let mut open = Some(open);
    if let (None, Ok(())) = (&later, &listed) {
        log_error(open.take().map_or(Ok(()), AttemptGuard::complete));
    }
    let note = listed.err().map(|error| not_listed_error(&error)).or(renamed).or(stranger);
    report(ProvisioningEvent::StepStarted(ProvisioningStep::ComparePolicy));
    let (stored, key) = (held.clone(), issued.key.clone());
    let outcome = tokio::select! {
        outcome = compare_policy(held, issued.key, note.clone(), later.is_none(), services) => outcome,
        // The key is safe: nobody waits for a comparison who wants to leave.
        () = wait_for_cancel(cancel) => ProvisioningOutcome::Stored { stored_key: stored, key, warning: note },
    };
    if let (Some(later), Some(open), ProvisioningOutcome::Stored { stored_key: held, .. }) =
        (later, open, &outcome)
    {
        later.0.push((open, held.clone()));
    }
    outcome
}

/// What an answer held could be found nowhere in it and be kept nowhere: the person has it.
pub(super) fn return_unstored(
    mut open: AttemptGuard,
    answer: SecretString,
    trouble: &UserError,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    #[expect(clippy::disallowed_methods, reason = "door: reveal")]
    let key = ApiKey::from(answer.expose_secret().to_owned());
    let attempt = open.attempt();
    let store = services.secret_store.kind().to_string();
    let held = StoredKey {
        requested: attempt.requested.clone(),
        ..StoredKey::new(
            attempt.label.clone(),
            &key,
            services.server.clone(),
            store,
            Timestamp::now(),
        )
    };
    log_error(open.update(|attempt| {
        attempt.stage = AttemptStage::KeyReceived;
        attempt.received_key = Some(held.clone());
    }));
    services.pending_attempts.add(open);
    ProvisioningOutcome::NotStored { entry: held, key, error: trouble.clone() }
}

/// Waits for the turn to store; whoever waits in vain stores all the same, for the key's sake.
pub(crate) async fn lock_storing(services: &ServiceContext) -> Option<LockGuard> {
    let (place, patience) = (services.location.clone(), services.secret_store_timeout);
    let turn = tokio::task::spawn_blocking(move || place.try_lock_for("storing.lock", patience));
    turn.await.ok()?.ok()
}

/// Tries again to store a key that is nowhere but on the screen.
pub async fn retry_store(
    held: StoredKey,
    key: ApiKey,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    store_and_list(held, key, services, services).await
}

/// Stores it in another store than the one that refuses it. A rotation needs both keys in one: the
/// new key then stays beside the old one, under a label of its own.
pub async fn store_in_alternate(
    mut held: StoredKey,
    key: ApiKey,
    vault: SecretStore,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    held.replaces = None;
    let there = ServiceContext { secret_store: vault, ..services.clone() };
    store_and_list(held, key, &there, services).await
}

async fn store_and_list(
    mut held: StoredKey,
    key: ApiKey,
    there: &ServiceContext,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    held.store = there.secret_store.kind().to_string();
    let turn = lock_storing(services).await;
    let renamed = match store_under_free_label(&mut held, &key, there).await {
        Ok(renamed) => renamed,
        Err(error) => {
            return ProvisioningOutcome::NotStored {
                entry: held,
                key,
                error: not_stored_error(&error),
            };
        }
    };
    let listed = inventory::upsert_keys(&services.location, vec![held.clone()]);
    drop(turn);
    if listed.is_ok() {
        if let Some(open) = services.pending_attempts.take_by_hash(&held.hash) {
            delete_attempt_secrets(&open, services).await;
            log_error(open.complete());
        }
        // Another start may have put it on the list of what nobody received.
        log_error(journal::remove_attempts_for_key(&services.location, &held.hash));
    }
    let note = listed.err().map(|error| not_listed_error(&error)).or(renamed);
    compare_policy(held, key, note, true, services).await
}

/// Puts the key into the vault, read back. Never over another key: a label that was taken since
/// the preflight gets a number, and `Some` words about it.
async fn store_under_free_label(
    held: &mut StoredKey,
    key: &ApiKey,
    services: &ServiceContext,
) -> Result<Option<UserError>, secret_store::Error> {
    let asked = held.label.clone();
    for number in 1..=9 {
        let label =
            if number == 1 { asked.clone() } else { asked.with_suffix(&number.to_string()) };
        let slot = services.entry_id(label.as_str());
        let there =
            services.call_secret_store(move |vault, patience| vault.get(&slot, patience)).await;
        let renamed = (label != asked).then(|| {
            UserError::new(
                ErrorKind::Failed,
                format!("the label {asked} was taken meanwhile"),
                format!("the key is stored as {label}"),
            )
        });
        match there {
            Err(secret_store::Error::NoEntry) => {
                let slot = services.entry_id(label.as_str());
                let secret = to_secret_string(key);
                services
                    .call_secret_store(move |vault, patience| vault.set(&slot, &secret, patience))
                    .await?;
            }
            // Ours already: a try before this one got further than it knew.
            Ok(secret) if hash_secret(&secret) == held.hash => {}
            Ok(_) => continue,
            Err(error) => return Err(error),
        }
        held.label = label;
        return Ok(renamed);
    }
    Err(secret_store::Error::Ambiguous(9))
}

/// Asks the server what it granted and notes it, on the list as well where the key is `listed`; a
/// failure leaves the key where it is.
async fn compare_policy(
    mut held: StoredKey,
    key: ApiKey,
    note: Option<UserError>,
    listed: bool,
    services: &ServiceContext,
) -> ProvisioningOutcome {
    let answer = match services.build_client() {
        Ok(client) => match client.get_current_key(&key).await {
            // Asking is safe to repeat; once is enough for a hiccup.
            Err(error) if error.status().is_none() && services.max_retries > 0 => {
                tracing::debug!(%error, "asking the key again");
                client.get_current_key(&key).await
            }
            answer => answer,
        },
        Err(error) => Err(error),
    };
    let unchecked = match answer {
        Ok(reading) => {
            let now = Timestamp::now();
            let read = CheckResult::Valid(Arc::new(reading));
            held.record_check(&read, now);
            if listed {
                let reads = HashMap::from([(held.hash.clone(), (now, read))]);
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
    ProvisioningOutcome::Stored { stored_key: held, key, warning: note.or(unchecked) }
}

/// Whoever can read the sign-in address can answer it with a consent of their own: then the key is
/// one of theirs, and they see what it is used for.
fn other_account_warning(held: &StoredKey, services: &ServiceContext) -> Option<UserError> {
    let user = held.user_id.as_ref()?;
    let rows = inventory::list_keys(&services.location, &services.server).ok()?;
    let mut users = rows.iter().filter_map(|row| row.user_id.as_ref()).peekable();
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
