//! What is checked and recorded before the first request of an attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    ABANDON_TIMEOUT, Error, Replacement, ServiceContext, delete_attempt_secrets, shared_entry,
    store_attempt_secrets,
};
use crate::api::oauth::{self, Pkce};
use crate::domain::{
    KeyRequest, Label, PendingReplacement, ProvisioningEvent, RequestedPolicy, StoreKind,
    encode_hex,
};
use crate::storage::journal::{Attempt, AttemptGuard, AttemptStage};
use crate::storage::json_store::SpaceReserve;
use crate::storage::secret_store;

/// An attempt whose preflight has succeeded. In a batch the next attempt is prepared while the user
/// still confirms the current one.
pub struct PreparedAttempt {
    pub(super) request: KeyRequest,
    pub(super) pkce: Pkce,
    pub(super) attempt_guard: AttemptGuard,
    /// Space for the inventory and the journal once the key was received. The later attempts of a group
    /// reserve it when they begin.
    pub(super) reserve: Option<SpaceReserve>,
}

/// Runs the preflight of [`super::run`] for several keys, with one write to the journal;
/// [`PreparedAttempt::finish`] does the rest. A label that is taken and a key for another store end the
/// group before it; if the label is the first, that is an error. The secret store is checked for the first key now, for the others when they
/// begin.
pub async fn prepare_attempts(
    requests: &[KeyRequest],
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<Vec<PreparedAttempt>, Error> {
    let items = requests.iter().map(|request| (request, &request.label)).collect();
    preflight(items, None, services, report).await
}

/// Runs the preflight of [`super::run`] for one key.
pub(super) async fn prepare_attempt(
    request: &KeyRequest,
    replacement: Option<&Replacement>,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<PreparedAttempt, Error> {
    let label = replacement.map_or(&request.label, |replacement| &replacement.label);
    let replaces = replacement.map(|replacement| &replacement.replaces);
    let group = preflight(vec![(request, label)], replaces, services, report).await?;
    group.into_iter().next().ok_or(Error::Cancelled)
}

/// Ends attempts before anything was sent.
pub async fn discard_attempts(attempts: Vec<PreparedAttempt>, services: &ServiceContext) {
    let delete_secrets = async {
        let guards = attempts.iter().map(|attempt| &attempt.attempt_guard);
        for guard in guards.filter(|guard| guard.attempt().may_have_entry()) {
            delete_attempt_secrets(guard, services).await;
        }
    };
    // Cancelling must not wait for a keychain that hangs; the next start deletes what remains.
    if tokio::time::timeout(ABANDON_TIMEOUT, delete_secrets).await.is_ok() {
        end_attempts(attempts.into_iter().map(|attempt| attempt.attempt_guard).collect());
    }
}

/// Checks that no key with this label is in the inventory.
///
/// # Errors
/// Returns an error if there is one, or if the inventory cannot be read.
pub fn check_label(services: &ServiceContext, label: &Label) -> Result<(), Error> {
    let found = services.find_key(label.as_str())?;
    found.map_or(Ok(()), |key| Err(shared_entry::taken_error(key, label)))
}

/// Checks what can fail before a browser opens: that the label is free, the proxy and certificate
/// settings can be used, the data directory is writable and the secret store returns what was stored.
async fn preflight(
    mut items: Vec<(&KeyRequest, &Label)>,
    replaces: Option<&PendingReplacement>,
    services: &ServiceContext,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Result<Vec<PreparedAttempt>, Error> {
    let stored_keys = services.list_keys()?;
    let find_key = |label: &Label| stored_keys.iter().find(|key| key.label.is_same(label.as_str()));
    let mut taken = items.iter().map(|(_, label)| find_key(label)).enumerate();
    let taken = taken.find_map(|(index, key)| Some((index, key?.clone())));
    match taken {
        Some((0, key)) => {
            let rotation = replaces
                .and_then(|replaces| shared_entry::find_other_rotation(services, replaces, ""));
            return Err(rotation.unwrap_or_else(|| shared_entry::taken_error(key, items[0].1)));
        }
        Some((taken, _)) => items.truncate(taken),
        None => {}
    }
    let store = items.first().and_then(|(request, _)| request.store.as_ref());
    let count = items.iter().take_while(|(request, _)| request.store.as_ref() == store).count();
    // A replacement is in the store of the key that it replaces.
    let services = &services.for_request(store.filter(|_| replaces.is_none()))?;
    items.truncate(count);
    services.connection().map_err(Error::ExchangeFailed)?;
    let mut reserve = Some(services.location.reserve_space()?);

    let attempts = items.iter().enumerate().map(|(index, (request, label))| Attempt {
        id: encode_hex(&oauth::generate_nonce().as_bytes()[..16]),
        started_at: Timestamp::now(),
        label: (*label).clone(),
        server: services.server.clone(),
        stage: AttemptStage::Prepared,
        store: Some(services.secret_store.kind()),
        local_store: (!services.secret_store.kind().is_local())
            .then(|| services.local_store().kind()),
        send_count: 0,
        has_saved_response: false,
        code_received_at: None,
        requested: RequestedPolicy::from(*request),
        replaces: replaces.cloned(),
        received_key: None,
        management_key: None,
        has_entry: Some(index == 0),
        unknown: serde_json::Map::default(),
    });
    // Journal first: secrets without a journal entry would never be deleted.
    let guards = AttemptGuard::begin_all(&services.location, attempts.collect())?;
    let pkces: Vec<Pkce> = guards.iter().map(|_| Pkce::new()).collect();
    let work = async {
        for (guard, pkce) in guards.iter().zip(&pkces).take(1) {
            check_secret_store(guard, pkce, services).await?;
        }
        Ok(())
    };
    let slow = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        report(ProvisioningEvent::Notice(if services.secret_store.kind() == StoreKind::Keychain {
            "waiting for the keychain: an unlock prompt may be open".into()
        } else {
            format!("waiting for {}", services.secret_store.display_name())
        }));
        std::future::pending::<()>().await;
    };
    let checked = tokio::select! {
        checked = work => checked,
        () = slow => Ok(()),
    };
    if let Err(error) = checked {
        // The secret stores failed, so they have no secrets of these attempts.
        end_attempts(guards);
        return Err(error);
    }
    Ok(items
        .into_iter()
        .zip(guards.into_iter().zip(pkces))
        .map(|((request, _), (attempt_guard, pkce))| PreparedAttempt {
            request: request.clone(),
            pkce,
            attempt_guard,
            reserve: reserve.take(),
        })
        .collect())
}

/// Checks that the secret store has no key with the label of the attempt, and that it can be written: stores
/// the verifier. Until the attempt ends, its entry also shows that the same keychain answers.
async fn check_secret_store(
    guard: &AttemptGuard,
    pkce: &Pkce,
    services: &ServiceContext,
) -> Result<(), Error> {
    check_entry(guard, services).await?;
    // The keychain and the file are tried with the attempt's own secrets.
    if !services.secret_store.kind().is_local() {
        let (service, entry_id) =
            (services.keychain_service.clone(), services.entry_id(guard.attempt().label.as_str()));
        services
            .call_secret_store(move |store, timeout| {
                store.check_storable(&service, &entry_id, timeout)
            })
            .await?;
    }
    store_attempt_secrets(guard, &pkce.verifier, None, services).await.map_err(|error| match guard
        .attempt()
        .local_store
    {
        Some(_) => Error::NoLocalStore(error),
        None => Error::SecretStore(error),
    })
}

/// Checks again, for a later attempt of a group, what may have changed since the group was prepared, and
/// reserves its space.
pub(super) async fn check_again(
    guard: &AttemptGuard,
    services: &ServiceContext,
) -> Result<SpaceReserve, Error> {
    let reserve = services.location.reserve_space_again()?;
    check_entry(guard, services).await?;
    Ok(reserve)
}

async fn check_entry(guard: &AttemptGuard, services: &ServiceContext) -> Result<(), Error> {
    let label = &guard.attempt().label;
    let entry_id = services.entry_id(label.as_str());
    match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await {
        Err(secret_store::Error::NoEntry) => Ok(()),
        Ok(_) => Err(shared_entry::stored_error(services, guard.attempt()).await),
        Err(error) if error.is_about_entry() => {
            Err(Error::UnreadableEntry { label: label.clone(), error })
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes attempts from the journal. One that stays there is removed by the next start.
fn end_attempts(guards: Vec<AttemptGuard>) {
    let _ = AttemptGuard::complete_all(guards);
}
