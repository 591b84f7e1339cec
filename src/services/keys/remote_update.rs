//! Changes to a key at the server, under the management key. Owns: reading before and comparing
//! after. What was not done is never said to be. Must not know: who asked for it.

use jiff::Timestamp;

use super::error::is_not_found;
use super::{Error, retry_request};
use crate::api::openrouter::{self, Client};
use crate::domain::{AccountKey, KeyPatch, Label, ManagementKey, StoredKey, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// How an edit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateOutcome {
    /// The server has it.
    Applied {
        /// The key afterwards.
        current: Box<AccountKey>,
        /// OpenRouter's names of what is not as it was sent.
        unapplied_fields: Vec<&'static str>,
    },
    /// Somebody changed the key since it was seen. Nothing was written.
    Conflict {
        /// The key as it was seen.
        previous: Box<AccountKey>,
        /// The key as it is.
        current: Box<AccountKey>,
        /// OpenRouter's names of what differs between them.
        changed_fields: Vec<&'static str>,
    },
}

/// Switches a key off or on; of a held one it is noted. The key as it is afterwards.
pub async fn set_disabled(
    services: &ServiceContext,
    management: &ManagementKey,
    held: &StoredKey,
    disabled: bool,
) -> Result<AccountKey, Error> {
    let failed = |error| Error::from_management_request(error, &held.page_url());
    let client = services.build_client().map_err(failed)?;
    let patch = KeyPatch { disabled: Some(disabled), ..KeyPatch::default() };
    let now =
        send_patch(services, &client, management, &held.hash, &patch).await.map_err(failed)?;
    record_account_key(services, &now)?;
    match patch.unapplied_fields(&now) {
        names if names.is_empty() => Ok(now),
        names => Err(Error::UpdateNotApplied { fields: names, page_url: held.page_url() }),
    }
}

/// Changes a key that was seen as `seen`, if it is still as it was seen.
pub async fn update_key(
    services: &ServiceContext,
    management: &ManagementKey,
    seen: &AccountKey,
    patch: &KeyPatch,
) -> Result<UpdateOutcome, Error> {
    let failed = |error| Error::from_management_request(error, &key_page_url(services, &seen.hash));
    let client = services.build_client().map_err(failed)?;
    let now = fetch_account_key(services, management, &seen.hash).await?;
    let differences = now.changed_fields(seen);
    if !differences.is_empty() {
        return Ok(UpdateOutcome::Conflict {
            previous: Box::new(seen.clone()),
            current: Box::new(now),
            changed_fields: differences,
        });
    }
    let now = send_patch(services, &client, management, &seen.hash, patch).await.map_err(failed)?;
    let at = Timestamp::now();
    let taken = |held: &mut StoredKey| held.record_patch(patch, &now, at);
    inventory::update_key(&services.location, &services.server, &now.hash, taken)?;
    Ok(UpdateOutcome::Applied {
        unapplied_fields: patch.unapplied_fields(&now),
        current: Box::new(now),
    })
}

/// Sends a change: made twice it comes to the same. Where the answer says nothing, the key does.
async fn send_patch(
    services: &ServiceContext,
    client: &Client,
    management: &ManagementKey,
    hash: &str,
    patch: &KeyPatch,
) -> Result<AccountKey, openrouter::Error> {
    let answer =
        retry_request(services, async || client.update_key(management, hash, patch).await).await;
    match answer {
        Err(
            error @ (openrouter::Error::OutcomeUnknown { .. }
            | openrouter::Error::UnexpectedResponse { .. }),
        ) => match client.get_key(management, hash).await {
            Ok(now) if patch.unapplied_fields(&now).is_empty() => Ok(now),
            _ => Err(error),
        },
        answer => answer,
    }
}

fn record_account_key(services: &ServiceContext, now: &AccountKey) -> Result<(), Error> {
    let at = Timestamp::now();
    let taken = |held: &mut StoredKey| held.record_account_key(now, at);
    inventory::update_key(&services.location, &services.server, &now.hash, taken)?;
    Ok(())
}

/// A key as the account has it now.
pub async fn fetch_account_key(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
) -> Result<AccountKey, Error> {
    let failed = |error| Error::from_management_request(error, &key_page_url(services, hash));
    let client = services.build_client().map_err(failed)?;
    retry_request(services, async || client.get_key(management, hash).await).await.map_err(failed)
}

/// How a deletion ended: either way the key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// Just now.
    Revoked,
    /// The server had no such key any more.
    AlreadyRevoked,
}

/// Deletes a key at the server; `hash` may be of one that is not held.
pub async fn revoke_key(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
) -> Result<RevokeOutcome, Error> {
    let failed = |error| Error::from_management_request(error, &key_page_url(services, hash));
    let client = services.build_client().map_err(failed)?;
    match retry_request(services, async || client.delete_key(management, hash).await).await {
        Ok(()) => Ok(RevokeOutcome::Revoked),
        Err(error) if is_not_found(&error) => Ok(RevokeOutcome::AlreadyRevoked),
        Err(
            error @ (openrouter::Error::OutcomeUnknown { .. }
            | openrouter::Error::UnexpectedResponse { .. }),
        ) => match client.get_key(management, hash).await {
            Err(found) if is_not_found(&found) => Ok(RevokeOutcome::Revoked),
            _ => Err(failed(error)),
        },
        Err(error) => Err(failed(error)),
    }
}

/// Deletes a held key at the server, then forgets it here.
pub async fn revoke_and_remove(
    services: &ServiceContext,
    management: &ManagementKey,
    held: &StoredKey,
) -> Result<RevokeOutcome, Error> {
    let deleted = revoke_key(services, management, &held.hash).await?;
    let (forgetting, label) = (services.clone(), held.label.clone());
    let forgotten = tokio::task::spawn_blocking(move || remove_key(&forgetting, &label)).await;
    match forgotten.unwrap_or_else(|_| Err(secret_store::Error::TimedOut.to_user_error())) {
        Ok(()) => Ok(deleted),
        Err(trouble) => Err(Error::CopyNotRemoved(trouble)),
    }
}

fn key_page_url(services: &ServiceContext, hash: &str) -> String {
    format!("{}/keys/{hash}", services.server)
}

/// Forgets a key on this machine, and its past; the key itself stays valid. One that is already gone
/// from the vault is struck off the list.
pub fn remove_key(services: &ServiceContext, label: &Label) -> Result<(), UserError> {
    let held = inventory::find_key(&services.location, &services.server, label.as_str());
    let held = held.map_err(|error| error.to_user_error())?;
    match services
        .secret_store
        .delete(&services.entry_id(label.as_str()), services.secret_store_timeout)
    {
        Ok(()) => {}
        Err(secret_store::Error::NoEntry) => {
            let asked = services.secret_store.kind().to_string();
            if let Some(trouble) = held.as_ref().and_then(|held| held.other_store_error(&asked)) {
                return Err(trouble);
            }
        }
        Err(error) => return Err(error.to_user_error()),
    }
    inventory::remove_key(&services.location, &services.server, label.as_str())
        .map_err(|error| error.to_user_error())?;
    if let Some(held) = held
        && let Err(error) = usage_history::remove_key(&services.location, &held.hash)
    {
        tracing::warn!(%error, "what a forgotten key had spent is still remembered");
    }
    Ok(())
}
