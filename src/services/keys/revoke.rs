//! Deletes keys at the server, and then on this machine.

use jiff::Timestamp;

use super::error::is_not_found;
use super::moving_label::check_label_not_moving;
use super::remote_update::{key_page_url, remove_copy};
use super::trash::remove_key;
use super::{Error, secret_for};
use crate::api::openrouter;
use crate::domain::{
    AccountKey, CheckResult, ManagementKey, StoredKey, UserError, describe_recent_use,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;
use crate::storage::journal;
use crate::storage::secret_store;

/// The result of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It was deleted now.
    Revoked,
    /// The account of the management key does not have it: it was deleted before, or another account has it.
    AlreadyRevoked,
}

/// Deletes a key at the server; the key need not be stored here.
pub async fn revoke_key(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
) -> Result<RevokeOutcome, Error> {
    let failed = |error| Error::from_management_request(error, &key_page_url(services, hash));
    let client = services.build_management_client(management).map_err(failed)?;
    match client.delete_key(hash).await {
        Ok(()) => Ok(RevokeOutcome::Revoked),
        Err(error) if is_not_found(&error) => Ok(RevokeOutcome::AlreadyRevoked),
        Err(
            error @ (openrouter::Error::OutcomeUnknown { .. }
            | openrouter::Error::UnexpectedResponse { .. }),
        ) => match client.once().get_key(hash).await {
            Err(found) if is_not_found(&found) => Ok(RevokeOutcome::Revoked),
            _ => Err(failed(error)),
        },
        Err(error) => Err(failed(error)),
    }
}

/// Returns the key as the account reports it and why it must not be deleted as unused, or `None` if it is
/// unused or the account does not have it.
pub async fn find_recent_use(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_key: &StoredKey,
) -> Result<Option<(AccountKey, String)>, Error> {
    let failed = |error| Error::from_management_request(error, &stored_key.page_url());
    let client = services.build_management_client(management).map_err(failed)?;
    let reported = match client.get_key(&stored_key.hash).await {
        Ok(reported) => reported,
        Err(error) if is_not_found(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let recent_use = describe_recent_use(stored_key, &reported.info, Timestamp::now());
    Ok(recent_use.map(|reason| (reported, reason)))
}

/// Deletes a stored key at the server, then removes it from this machine. Sends nothing if the
/// inventory cannot be written. A key that the account does not have may belong to another one: it stays if
/// the server accepts it, and can be restored if the server rejects it, as it also rejects a disabled key.
pub async fn revoke_and_remove(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_key: &StoredKey,
) -> Result<RevokeOutcome, Error> {
    let (checked, key) = (services.clone(), stored_key.clone());
    let check = run_blocking(move || check_label_not_moving(&checked, &key)).await;
    check.unwrap_or_else(|| Err(secret_store::Error::TimedOut.into()))?;
    let reserve = services.location.reserve_space()?;
    let outcome = revoke_key(services, management, &stored_key.hash).await?;
    if outcome == RevokeOutcome::AlreadyRevoked {
        check_not_accepted(services, stored_key).await?;
    }
    // Where the copy cannot be removed, later commands know by this that the key is gone.
    let now = Timestamp::now();
    let record = |key: &mut StoredKey| key.record_check(&CheckResult::Rejected, now);
    let (location, server) = (&services.location, &services.server);
    if let Err(error) = inventory::update_key(location, server, &stored_key.hash, record) {
        tracing::warn!(%error, "that a key was deleted could not be recorded");
    }
    if outcome == RevokeOutcome::AlreadyRevoked {
        drop(reserve);
        move_to_trash(services, stored_key).await?;
        return Ok(outcome);
    }
    let (services, hash) = (services.clone(), stored_key.hash.clone());
    let removed = run_blocking(move || {
        let _storing_lock = provision::lock_storing_blocking(&services)?;
        // Another program may have renamed the key since, and given its label to another one.
        let keys = services.list_keys()?;
        match keys.into_iter().find(|key| key.hash == hash) {
            Some(listed) => {
                remove_copy(&services, &listed, reserve)?;
                Ok(journal::remove_attempts_for_key(&services.location, &hash)?)
            }
            None => Ok(()),
        }
    })
    .await;
    match removed.unwrap_or_else(|| Err(secret_store::Error::TimedOut.into())) {
        Ok(()) => Ok(outcome),
        Err(Error::NotUnlisted { label, store_name, error, .. }) => {
            Err(Error::NotUnlisted { label, store_name, is_revoked: true, error })
        }
        Err(error) => {
            let label = stored_key.label.clone();
            Err(Error::CopyNotRemoved { label, error: error.to_user_error() })
        }
    }
}

/// Removes a key from this machine so that it can be restored.
async fn move_to_trash(services: &ServiceContext, stored_key: &StoredKey) -> Result<(), Error> {
    let (services, hash) = (services.clone(), stored_key.hash.clone());
    let remove = move || match services.find_hash(&hash)? {
        Some(listed) => remove_key(&services, &listed).map(drop),
        None => Ok(()),
    };
    run_blocking(remove).await.unwrap_or_else(|| Err(secret_store::Error::TimedOut.into()))
}

/// Fails unless the server rejects the key, or its text is not stored.
async fn check_not_accepted(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<(), Error> {
    let (label, hash) = (&stored_key.label, &stored_key.hash);
    let key = match secret_for(&services.for_key(stored_key), label).await {
        Ok(Some(key)) if key.hash() == *hash => key,
        Ok(_) => return Ok(()),
        Err(error) if error.is_about_one_key() => return Ok(()),
        Err(error) => return Err(error),
    };
    let response = match services.build_client() {
        Ok(client) => client.get_current_key(&key).await,
        Err(error) => Err(error),
    };
    let reason = match response {
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Ok(()),
        Ok(_) => "OpenRouter accepts it: it belongs to another account".to_owned(),
        Err(error) => format!("whether another account has it is not known: {error}"),
    };
    let advice = format!(
        "delete it at {}, then remove it here: {}",
        stored_key.page_url(),
        label.command("rm")
    );
    let message = format!("the account of the management key has no key '{label}'; {reason}");
    Err(Error::Refused(UserError::failed(message, advice).with_meaning("nothing was removed")))
}
