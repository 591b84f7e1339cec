//! Recovers interrupted attempts and rotations, and compares the unresolved ones with the account's
//! keys.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Error, account_keys::list_keys_of_workspaces, assign_requested_guardrail,
    carry_over::is_deleted, finish_rotations, list_guardrails, management_key,
    management_key::NO_MANAGEMENT_KEY, rename::finish_renames, to_api_key, to_secret_string,
};
use crate::domain::{
    AUTH_CODE_LIFETIME, AccountKey, FinishedStep, GuardrailRef, Label, ManagementKey,
    ProvisioningOutcome, Rotated, StoreKind, StoredKey, UnresolvedAttempt, UserError,
    format_command, format_timestamp, format_usd,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::{self, RecoveredAttempts, ServiceContext};
use crate::storage::inventory;
use crate::storage::journal::{self, Attempt};
use crate::storage::json_store;
use crate::storage::secret_store;

/// How long after its start an attempt can create a key: the time for consent, the lifetime of the
/// code, and the same again for a wrong clock.
const ATTEMPT_WINDOW: SignedDuration = SignedDuration::from_secs(3 * AUTH_CODE_LIFETIME.as_secs());

/// The maximum clock difference at the start.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The result of a recovery.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// Keys that are stored now.
    pub stored: Vec<StoredKey>,
    /// Keys that were received just now and are stored nowhere.
    pub not_stored: Vec<ProvisioningOutcome>,
    /// What was left to do at the server for stored keys, and is done now.
    pub finished: Vec<FinishedStep>,
    /// Labels of attempts whose key was created and not received, and deleted now.
    pub deleted: Vec<Label>,
    /// Keys with the labels of such attempts that someone else created.
    pub foreign: Vec<AccountKey>,
    /// Rotations that were completed.
    pub rotated: Vec<Rotated>,
    /// Attempts that are still unresolved, each with advice.
    pub unresolved: Vec<(UnresolvedAttempt, String)>,
    /// Dismissed attempts: the account has no key of theirs.
    pub dismissed: Vec<UnresolvedAttempt>,
    /// Label, server and store of attempts that belong to another server or store.
    pub attempts_elsewhere: Vec<(Label, String, StoreKind)>,
    /// Errors during the recovery.
    pub errors: Vec<UserError>,
    /// Errors of received keys that could not be stored.
    pub lost_key_errors: Vec<UserError>,
}

/// Recovers interrupted attempts. Those of the management key are settled with it: a key that was
/// created and not received is deleted.
pub async fn recover_attempts(services: &ServiceContext) -> Result<RecoveredAttempts, Error> {
    let mut recovered = provision::recover_attempts(services).await?;
    assign_pending_guardrails(services, &mut recovered).await?;
    finish_renames(services, &mut recovered).await?;
    let attempts = journal::list_attempts(&services.location, &services.server)?;
    if attempts.iter().all(|attempt| attempt.management_key.is_none()) {
        return Ok(recovered);
    }
    match management_key::load_management_key(services).await {
        Ok(Some(management)) => {
            let mut settled = provision::settle_attempts(services, &management).await?;
            recovered.finished.extend(settled.renamed.drain(..).map(FinishedStep::Renamed));
            recovered.stored.append(&mut settled.stored);
            recovered.errors.append(&mut settled.errors);
            recovered.settled = settled;
            let remaining = journal::list_attempts(&services.location, &services.server)?;
            recovered
                .unresolved
                .retain(|attempt| remaining.iter().any(|other| other.id == attempt.id));
        }
        Ok(None) => {
            let unnamed = attempts.iter().filter(|attempt| attempt.awaits_rename());
            recovered.errors.extend(unnamed.map(|attempt| {
                let error = provision::not_named_error(attempt, services, &NO_MANAGEMENT_KEY);
                let advice = "store the management key: keywright management set; then run: keywright recover";
                UserError { advice: advice.into(), ..error }
            }));
        }
        Err(error) => recovered.errors.push(error.to_user_error()),
    }
    Ok(recovered)
}

/// Puts the keys under the guardrail that was requested for them whose creation was interrupted before
/// that. A replacement gets its guardrail with the label.
async fn assign_pending_guardrails(
    services: &ServiceContext,
    recovered: &mut RecoveredAttempts,
) -> Result<(), json_store::Error> {
    let location = &services.location;
    for mut key in inventory::filter_keys(location, &services.server, StoredKey::awaits_guardrail)?
    {
        let guardrail = key.requested.guardrail.clone();
        let error = assign_requested_guardrail(services, guardrail.as_ref(), &mut key).await;
        match (error, guardrail) {
            (Some(_), Some(guardrail)) if is_guardrail_deleted(services, &guardrail).await => {
                let end = |key: &mut StoredKey| key.requested.guardrail = None;
                inventory::update_key(location, &services.server, &key.hash, end)?;
                recovered
                    .finished
                    .push(FinishedStep::GuardrailDeleted(key.label.clone(), guardrail));
            }
            (Some(error), _) => recovered.errors.push(error),
            (None, Some(guardrail)) => {
                if let Some(stored) =
                    recovered.stored.iter_mut().find(|stored_key| stored_key.hash == key.hash)
                {
                    stored.guardrail.clone_from(&key.guardrail);
                }
                recovered
                    .finished
                    .push(FinishedStep::GuardrailAssigned(key.label.clone(), guardrail));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Returns whether the account has guardrails and not this one.
async fn is_guardrail_deleted(services: &ServiceContext, guardrail: &GuardrailRef) -> bool {
    let Ok(Some(management)) = management_key::load_management_key(services).await else {
        return false;
    };
    let Ok(client) = services.build_management_client(&management) else { return false };
    is_deleted(&client, guardrail).await && list_guardrails(services, &management).await.is_ok()
}

/// Returns the names that stored keys still have at the server, by their hashes: those of their attempts.
pub fn list_pending_names(
    services: &ServiceContext,
) -> Result<HashMap<String, Label>, json_store::Error> {
    let attempts = journal::list_attempts(&services.location, &services.server)?;
    let pending = attempts.into_iter().filter(Attempt::awaits_rename);
    Ok(pending
        .filter_map(|attempt| {
            let name = attempt.key_name();
            Some((attempt.received_key?.hash.clone(), name))
        })
        .collect())
}

/// Finishes interrupted attempts and rotations; asks the account only about attempts of the
/// management key.
pub async fn recover_interrupted(services: &ServiceContext) -> Result<RecoveryReport, Error> {
    let RecoveredAttempts { stored, not_stored, unresolved, settled, finished, errors } =
        recover_attempts(services).await?;
    let mut report =
        RecoveryReport { stored, not_stored, finished, errors, ..RecoveryReport::default() };
    report.deleted = settled.deleted;
    report.foreign = settled.foreign;
    let store = services.secret_store.kind();
    let (location, stores) = (&services.location, services.store_kinds());
    let elsewhere = journal::list_attempts_outside(location, &services.server, &stores)?;
    report.attempts_elsewhere.extend(elsewhere.into_iter().map(|attempt| {
        (attempt.label, attempt.server, attempt.store.unwrap_or_else(|| store.clone()))
    }));
    report.unresolved.extend(unresolved.into_iter().map(|unresolved| {
        let advice = if unresolved.waits_for_store {
            "its key was received and may be stored: unlock the secret store, or start the keychain in which it may be, then run keywright recover"
                .into()
        } else {
            format!(
                "look at {} for a key with this label and creation time, delete it there, then run {}",
                unresolved.keys_page_url(),
                dismiss_command(&unresolved)
            )
        };
        (unresolved, advice)
    }));
    let (rotated, errors) = finish_rotations(services).await?;
    report.rotated = rotated;
    report.errors.extend(errors);
    Ok(report)
}

/// Does what [`recover_interrupted`] does, then compares unresolved attempts with the account's keys
/// if a management key is known.
pub async fn recover_and_reconcile(
    services: &ServiceContext,
    now: Timestamp,
) -> Result<RecoveryReport, Error> {
    let mut report = recover_interrupted(services).await?;
    if report.unresolved.is_empty() {
        return Ok(report);
    }
    let management = match management_key::load_management_key(services).await {
        Ok(Some(management)) => management,
        Ok(None) => return Ok(report),
        Err(error) => {
            // The same error may have been reported already.
            if report.errors.is_empty() {
                report.errors.push(error.to_user_error());
            }
            return Ok(report);
        }
    };
    let account = match list_keys_of_workspaces(services, &management).await {
        Ok(remote) => remote,
        Err(error) => {
            report.errors.push(error.to_user_error());
            return Ok(report);
        }
    };
    let stored_keys = services.list_keys()?;
    let is_same_account = is_account_of_stored_keys(services, &management, &stored_keys).await;
    let attempts = journal::list_all_attempts(&services.location)?;
    let mut remaining = Vec::new();
    for (unresolved, advice) in report.unresolved.drain(..) {
        if unresolved.waits_for_store {
            remaining.push((unresolved, advice));
            continue;
        }
        let Some(attempt) = attempts.iter().find(|attempt| attempt.id == unresolved.id) else {
            continue;
        };
        let found: Vec<_> =
            account.keys.iter().filter(|key| is_from_attempt(key, attempt, &stored_keys)).collect();
        let closed = now.duration_since(attempt.started_at) > ATTEMPT_WINDOW;
        let is_complete = account.unlisted_workspaces.is_none() && account.skipped_rows == 0;
        if found.is_empty() && closed && is_same_account && is_complete {
            match dismiss_attempt(services, &unresolved.id).await {
                Ok(()) => report.dismissed.push(unresolved),
                Err(error) => {
                    report.errors.push(error);
                    remaining.push((unresolved, advice));
                }
            }
            continue;
        }
        let advice = match (&found[..], &account.unlisted_workspaces) {
            ([], _) if !closed => format!(
                "the account has no such key, but one may still be created until {}: check again then",
                attempt
                    .started_at
                    .checked_add(ATTEMPT_WINDOW)
                    .map_or_else(|_| "later".into(), format_timestamp)
            ),
            ([], Some(error)) => format!(
                "the default workspace has no such key, and the others could not be listed ({error}); {advice}"
            ),
            ([], None) if !is_complete => format!(
                "the account's list has no such key, but {} of it could not be read; {advice}",
                count_rows(account.skipped_rows)
            ),
            ([], None) => format!(
                "the account of the management key has no such key. If you signed in to that account, run {}; otherwise {advice}",
                dismiss_command(&unresolved)
            ),
            (found, _) => found_keys_advice(&unresolved, found, &services.server),
        };
        remaining.push((unresolved, advice));
    }
    report.unresolved = remaining;
    Ok(report)
}

/// The key of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptKey {
    /// The hash of the key that the attempt created.
    Known(String),
    /// The hashes of keys that it may have created: only their label and time are those of the attempt,
    /// and someone else may have created them.
    Possible(Vec<String>),
}

/// Returns the key of an attempt: the one it received, or the one that has the attempt's own name at the
/// account; else those that it may have created.
pub async fn find_attempt_key(services: &ServiceContext, id: &str) -> Result<AttemptKey, Error> {
    let attempts = journal::list_attempts(&services.location, &services.server)?;
    let Some(attempt) = attempts.into_iter().find(|attempt| attempt.id == id) else {
        return Ok(AttemptKey::Possible(Vec::new()));
    };
    if let Some(key) = attempt.received_key {
        return Ok(AttemptKey::Known(key.hash.clone()));
    }
    let Some(management) = management_key::load_management_key(services).await? else {
        return Ok(AttemptKey::Possible(Vec::new()));
    };
    let account = list_keys_of_workspaces(services, &management).await?;
    let stored_keys = services.list_keys()?;
    let found = account.keys.into_iter().filter(|key| is_from_attempt(key, &attempt, &stored_keys));
    let mut hashes: Vec<String> = found.map(|key| key.hash).collect();
    Ok(match hashes.pop() {
        // Only this attempt gives a key its name.
        Some(hash) if hashes.is_empty() && attempt.management_key.is_some() => {
            AttemptKey::Known(hash)
        }
        last => {
            hashes.extend(last);
            AttemptKey::Possible(hashes)
        }
    })
}

async fn dismiss_attempt(services: &ServiceContext, id: &str) -> Result<(), UserError> {
    let (services, id) = (services.clone(), id.to_owned());
    run_blocking(move || provision::dismiss_attempt(&services, &id))
        .await
        .unwrap_or_else(|| Err(secret_store::Error::TimedOut.to_user_error()))
}

/// Returns whether the attempt may have created this key: by its hash if it is known, else by name
/// and time. A stored key is never a match.
fn is_from_attempt(key: &AccountKey, attempt: &Attempt, stored_keys: &[StoredKey]) -> bool {
    if let Some(received_key) = &attempt.received_key {
        return key.hash == received_key.hash;
    }
    if stored_keys.iter().any(|stored_key| stored_key.hash == key.hash) {
        return false;
    }
    let name = key.name.as_deref().unwrap_or_default();
    if attempt.management_key.is_some() {
        return attempt.is_key_name(name);
    }
    let asked = |label: &Label| label.as_str() == name;
    let replaced = attempt.replaces.as_ref().and_then(|replaces| {
        stored_keys
            .iter()
            .find(|stored_key| stored_key.hash == replaces.hash)
            .map(|stored_key| &stored_key.label)
    });
    // A replacement was requested with the label of the key that it replaces.
    let named = replaced.map_or_else(|| asked(&attempt.label), asked);
    let in_time = key.created_at.is_none_or(|at| {
        let after = at.duration_since(attempt.started_at);
        -MAX_CLOCK_SKEW <= after && after <= ATTEMPT_WINDOW
    });
    named && in_time
}

fn count_rows(count: usize) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

fn dismiss_command(unresolved: &UnresolvedAttempt) -> String {
    format_command(&["recover", "--dismiss", &unresolved.id], &[])
}

fn found_keys_advice(
    unresolved: &UnresolvedAttempt,
    found: &[&AccountKey],
    server: &str,
) -> String {
    let pages: Vec<_> = found
        .iter()
        .map(|key| {
            let spent =
                key.info.usage.map_or(String::new(), |usd| format!(" (spent {})", format_usd(usd)));
            format!("{server}/keys/{}{spent}", key.hash)
        })
        .collect();
    format!(
        "it exists at OpenRouter, but its secret was not received: delete it at {}, then run {}",
        pages.join(" and "),
        dismiss_command(unresolved)
    )
}

/// Returns whether all stored keys belong to the account of the management key. Otherwise a missing
/// key proves nothing.
async fn is_account_of_stored_keys(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_keys: &[StoredKey],
) -> bool {
    let mut users =
        stored_keys.iter().filter_map(|stored_key| stored_key.user_id.as_deref()).peekable();
    let (Some(_), Ok(client)) = (users.peek(), services.build_client()) else { return false };
    match client.once().get_current_key(&to_api_key(&to_secret_string(management))).await {
        Ok(info) => info.creator_user_id.is_some_and(|account| users.all(|user| user == account)),
        Err(error) => {
            tracing::warn!(%error, "the account of the management key could not be determined");
            false
        }
    }
}
