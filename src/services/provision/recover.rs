//! Recovers attempts that were interrupted: finishes them where possible, and lists the others.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use super::free_label::hash_secret;
use super::{
    ATTEMPTS_SERVICE, AttemptSecrets, Error, ServiceContext, abandon_attempt, attempt_entry_id,
    exchange, shared, store, stored_text, unreceived::SettledAttempts,
};
use crate::api::openrouter;
use crate::domain::{
    AUTH_CODE_LIFETIME, AuthCode, CodeVerifier, ErrorKind, FinishedStep, ProvisioningOutcome,
    StoreKind, StoredKey, TrashedKey, UnresolvedAttempt, UserError, format_command,
};
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt, AttemptGuard, AttemptStage};
use crate::storage::json_store;
use crate::storage::secret_store::{self, EntryId, SecretStore};

/// The result of [`recover_attempts`].
#[derive(Debug, Default)]
pub struct RecoveredAttempts {
    /// Keys that are stored now.
    pub stored: Vec<StoredKey>,
    /// Keys that were received just now and are stored nowhere.
    pub not_stored: Vec<ProvisioningOutcome>,
    /// Attempts that may have created a key which was not received.
    pub unresolved: Vec<UnresolvedAttempt>,
    /// What was found out with the management key.
    pub settled: SettledAttempts,
    /// What was left to do at the server for stored keys, and is done now.
    pub finished: Vec<FinishedStep>,
    /// What failed.
    pub errors: Vec<UserError>,
}

/// Recovers the attempts whose process has ended.
pub async fn recover_attempts(
    services: &ServiceContext,
) -> Result<RecoveredAttempts, json_store::Error> {
    let mut recovered = RecoveredAttempts::default();
    for guard in journal::lock_interrupted_attempts(
        &services.location,
        &services.server,
        &services.store_kinds(),
    )? {
        if !services.can_store_key_of(guard.attempt()) {
            continue;
        }
        let services = &services.for_attempt(guard.attempt());
        match guard.attempt().stage {
            // Without a code that was sent, no key exists.
            AttemptStage::Prepared => abandon_attempt(guard, services).await,
            AttemptStage::CodeReceived | AttemptStage::RequestSent => {
                resume_attempt(guard, services, &mut recovered).await;
            }
            AttemptStage::KeyReceived | AttemptStage::Stored => {
                verify_stored_key(guard, services, &mut recovered).await?;
            }
            AttemptStage::Unresolved if guard.attempt().has_saved_response => {
                read_saved_response(guard, services, &mut recovered).await;
            }
            // Another keychain may have answered the last time.
            AttemptStage::Unresolved if guard.attempt().received_key.is_some() => {
                verify_stored_key(guard, services, &mut recovered).await?;
            }
            AttemptStage::Unresolved => {}
        }
    }
    let (moved, errors) = shared::move_waiting_keys(services).await?;
    recovered.stored.extend(moved);
    recovered.errors.extend(errors);
    let unresolved = journal::list_unresolved_attempts(&services.location, &services.server)?;
    recovered.unresolved.extend(unresolved.into_iter().map(UnresolvedAttempt::from));
    Ok(recovered)
}

impl RecoveredAttempts {
    /// Leaves the attempt to the next start, since the secret store cannot be read now.
    fn defer_attempt(&mut self, guard: AttemptGuard, error: &secret_store::Error) {
        tracing::warn!(%error, "an attempt cannot be recovered without the secret store");
        // Each of the others would fail in the same way.
        let error = error.to_user_error();
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
        self.unresolved.push(UnresolvedAttempt::from(guard.attempt().clone()));
    }
}

/// Removes an attempt from the journal, and its secrets from the secret store.
pub fn dismiss_attempt(services: &ServiceContext, id: &str) -> Result<(), UserError> {
    let attempts = journal::list_all_attempts(&services.location)?;
    let attempt = attempts.iter().find(|attempt| attempt.id == id);
    let services =
        &attempt.map_or_else(|| services.clone(), |attempt| services.for_attempt_secrets(attempt));
    let entry_id = EntryId { service: ATTEMPTS_SERVICE.into(), account: id.into() };
    let reserve = services.location.reserve_space()?;
    match services.secret_store.delete(&entry_id, services.secret_store_timeout) {
        Ok(()) | Err(secret_store::Error::NoEntry) => {}
        Err(error) => return Err(error.to_user_error()),
    }
    drop(reserve);
    journal::dismiss_attempt(&services.location, id).map_err(|error| {
        error.to_user_error().with_meaning("the attempt is still in the journal; dismiss it again")
    })
}

/// Exchanges a code that is still valid; an attempt with an older one that was sent is unresolved.
async fn resume_attempt(
    mut guard: AttemptGuard,
    services: &ServiceContext,
    recovered: &mut RecoveredAttempts,
) {
    let is_recent = guard.attempt().code_received_at.is_some_and(|at| {
        let age = Timestamp::now().duration_since(at);
        age >= SignedDuration::ZERO && age < AUTH_CODE_LIFETIME
    });
    let was_sent = guard.attempt().stage == AttemptStage::RequestSent;
    let secrets = match load_attempt_secrets(&guard, services).await {
        Ok(secrets) => secrets.filter(|_| is_recent),
        Err(error) if was_sent || is_recent => return recovered.defer_attempt(guard, &error),
        Err(_) => None,
    };
    // A recovery cannot be cancelled.
    let mut cancel = watch::channel(false).1;
    let created = match (secrets, services.build_client()) {
        (Some((code, verifier)), Ok(client)) => {
            let request = exchange::CreateKeyRequest::ExchangeCode(&code, &verifier);
            exchange::send_with_retries(
                &mut guard,
                &client,
                &request,
                services,
                &mut cancel,
                &|_| (),
            )
            .await
        }
        _ if was_sent => return exchange::mark_unresolved(guard),
        _ => return abandon_attempt(guard, services).await,
    };
    match created {
        Ok(created) => {
            match store::store_received_key(
                guard,
                created,
                None,
                services,
                None,
                &mut cancel,
                &|_| (),
            )
            .await
            {
                ProvisioningOutcome::Stored { stored_key, .. } => recovered.stored.push(stored_key),
                outcome => recovered.not_stored.push(outcome),
            }
        }
        Err(Error::UnexpectedResponse {
            response: Some(response), store_name, truncated, ..
        }) => {
            let error =
                Error::UnexpectedResponse { saved_as: None, store_name, response: None, truncated };
            let outcome = store::return_unstored(guard, response, &error.to_user_error(), services);
            recovered.not_stored.push(outcome);
        }
        Err(Error::ExchangeFailed(_)) => abandon_attempt(guard, services).await,
        Err(_) => exchange::mark_unresolved(guard),
    }
}

/// Stores the key of a response that an earlier version could not read, if this one can.
async fn read_saved_response(
    guard: AttemptGuard,
    services: &ServiceContext,
    recovered: &mut RecoveredAttempts,
) {
    let entry_id = attempt_entry_id(&guard);
    let local = services.for_attempt_secrets(guard.attempt());
    let saved = local.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await;
    // Without the secret store the attempt stays listed as unresolved.
    let Ok(saved) = saved else { return };
    let Some(created) = openrouter::parse_saved_response(&saved) else { return };
    let mut cancel = watch::channel(false).1;
    let outcome =
        store::store_received_key(guard, created, None, services, None, &mut cancel, &|_| ());
    match outcome.await {
        ProvisioningOutcome::Stored { stored_key, .. } => recovered.stored.push(stored_key),
        outcome => recovered.not_stored.push(outcome),
    }
}

/// Adds a received key to the inventory if it is in the secret store.
async fn verify_stored_key(
    mut guard: AttemptGuard,
    services: &ServiceContext,
    recovered: &mut RecoveredAttempts,
) -> Result<(), json_store::Error> {
    let Some(stored_key) = guard.attempt().received_key.clone() else {
        exchange::mark_unresolved(guard);
        return Ok(());
    };
    let keys = services.list_keys()?;
    // By now it may have another label there.
    let is_listed = keys.iter().any(|key| key.hash == stored_key.hash);
    let found = if is_listed {
        Ok(Some(stored_key))
    } else {
        stored_text::find_stored(&stored_key, services).await
    };
    match found {
        Ok(Some(stored_key)) => {
            if !is_listed {
                inventory::upsert_keys(&services.location, vec![stored_key.clone()])?;
                recovered.stored.push(stored_key);
            }
            if guard.attempt().management_key.is_none() {
                abandon_attempt(guard, services).await;
            } else {
                // At the server it may still have the name of the attempt.
                guard.update(|attempt| attempt.stage = AttemptStage::Stored)?;
            }
        }
        Ok(None) => match check_same_keychain(&guard, services).await {
            // It was removed from this machine after it was stored.
            Ok(()) if guard.attempt().awaits_rename() => {}
            Ok(()) => guard.update(|attempt| attempt.stage = AttemptStage::Unresolved)?,
            Err(error) => {
                // Nobody settles it until the store can say whether it has the key.
                guard.update(|attempt| attempt.stage = AttemptStage::KeyReceived)?;
                recovered.defer_attempt(guard, &error);
            }
        },
        Err(error) => recovered.defer_attempt(guard, &error),
    }
    Ok(())
}

/// Fails unless the keychain that answers is certainly the one in which the received key of the attempt was
/// stored, if it was: it has the attempt's own entry, or a key of the inventory that was stored before.
async fn check_same_keychain(
    guard: &AttemptGuard,
    services: &ServiceContext,
) -> Result<(), secret_store::Error> {
    let services = services.for_attempt_secrets(guard.attempt());
    let Some(received) = &guard.attempt().received_key else { return Ok(()) };
    let is_in_trash = |trashed: &TrashedKey| trashed.is_key(&received.server, &received.hash);
    // Each of the other stores is known by its name. A key that a shared store could not take is in the
    // journal with the store of this machine.
    if !received.is_in_store(&StoreKind::Keychain)
        || services.secret_store.kind() != StoreKind::Keychain
        || services.list_trash().is_ok_and(|trash| trash.iter().any(is_in_trash))
    {
        return Ok(());
    }
    let entry_id = attempt_entry_id(guard);
    match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await {
        Ok(_) => return Ok(()),
        Err(secret_store::Error::NoEntry) => {}
        Err(error) => return Err(error),
    }
    let mut earlier = services.list_keys().unwrap_or_default();
    earlier.retain(|key| {
        key.is_in_store(&StoreKind::Keychain)
            && key.hash != received.hash
            && key.created_at <= received.created_at
    });
    let checked = services.clone();
    let has_earlier_key = move |store: &SecretStore, timeout| {
        let accounts = store.list_accounts(&checked.keychain_service, timeout)?;
        let mut present = earlier
            .iter()
            .filter(|key| accounts.iter().any(|account| account == key.label.as_str()));
        Ok(present.any(|key| {
            let text = store.get(&checked.entry_id(key.label.as_str()), timeout);
            text.is_ok_and(|text| hash_secret(&text) == key.hash)
        }))
    };
    if services.call_secret_store(has_earlier_key).await? {
        return Ok(());
    }
    Err(secret_store::Error::OtherKeychain(Box::new(other_keychain_error(
        guard.attempt(),
        received,
        services.secret_store.display_name(),
    ))))
}

fn other_keychain_error(
    attempt: &Attempt,
    received: &StoredKey,
    store_name: impl std::fmt::Display,
) -> UserError {
    let (label, page) = (&attempt.label, received.page_url());
    let dismiss = format_command(&["recover", "--dismiss", &attempt.id], &[]);
    UserError::new(
        ErrorKind::SecretStore,
        format!("'{label}' is not in {store_name}, which has no key that was stored before it"),
        format!(
            "start the keychain in which it may be, then run: keywright recover; or, if that one is lost, delete \
             the key at {page}, then run: {dismiss}"
        ),
    )
    .with_meaning("another keychain or collection may be answering; nothing was deleted")
}

#[expect(clippy::disallowed_methods, reason = "the secret store returns plain secrets")]
async fn load_attempt_secrets(
    guard: &AttemptGuard,
    services: &ServiceContext,
) -> Result<Option<(AuthCode, CodeVerifier)>, secret_store::Error> {
    let entry_id = attempt_entry_id(guard);
    let services = services.for_attempt_secrets(guard.attempt());
    let text: SecretString =
        match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await
        {
            Ok(text) => text,
            Err(secret_store::Error::NoEntry) => return Ok(None),
            Err(error) => return Err(error),
        };
    let secrets: Option<AttemptSecrets> = serde_json::from_str(text.expose_secret()).ok();
    Ok(secrets.and_then(|secrets| {
        Some((AuthCode::from(secrets.code?), CodeVerifier::from(secrets.code_verifier)))
    }))
}
