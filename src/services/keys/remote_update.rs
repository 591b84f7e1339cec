//! Changes to a key at the server, under the management key. Owns: reading before and comparing
//! after. What was not done is never said to be. Must not know: who asked for it.

use jiff::Timestamp;

use super::error::is_gone;
use super::{Error, patiently};
use crate::api::openrouter::{self, Client};
use crate::domain::{AccountKey, KeyPatch, Label, ManagementKey, StoredKey, UserError};
use crate::services::provision::Services;
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// How an edit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The server has it.
    Done {
        /// The key afterwards.
        now: Box<AccountKey>,
        /// OpenRouter's names of what is not as it was sent.
        differences: Vec<&'static str>,
    },
    /// Somebody changed the key since it was seen. Nothing was written.
    Conflict {
        /// The key as it was seen.
        seen: Box<AccountKey>,
        /// The key as it is.
        now: Box<AccountKey>,
        /// OpenRouter's names of what differs between them.
        differences: Vec<&'static str>,
    },
}

/// Switches a key off or on; of a held one it is noted. The key as it is afterwards.
pub async fn set_disabled(
    services: &Services,
    management: &ManagementKey,
    held: &StoredKey,
    disabled: bool,
) -> Result<AccountKey, Error> {
    let failed = |error| Error::managed(error, &held.page_url());
    let client = services.client().map_err(failed)?;
    let patch = KeyPatch { disabled: Some(disabled), ..KeyPatch::default() };
    let now = put(services, &client, management, &held.hash, &patch).await.map_err(failed)?;
    note(services, &now)?;
    match patch.unapplied_fields(&now) {
        names if names.is_empty() => Ok(now),
        names => Err(Error::NotTaken { names, page: held.page_url() }),
    }
}

/// Changes a key that was seen as `seen`, if it is still as it was seen.
pub async fn edit(
    services: &Services,
    management: &ManagementKey,
    seen: &AccountKey,
    patch: &KeyPatch,
) -> Result<Edit, Error> {
    let failed = |error| Error::managed(error, &page(services, &seen.hash));
    let client = services.client().map_err(failed)?;
    let now = find(services, management, &seen.hash).await?;
    let differences = now.changed_fields(seen);
    if !differences.is_empty() {
        return Ok(Edit::Conflict {
            seen: Box::new(seen.clone()),
            now: Box::new(now),
            differences,
        });
    }
    let now = put(services, &client, management, &seen.hash, patch).await.map_err(failed)?;
    let at = Timestamp::now();
    let taken = |held: &mut StoredKey| held.record_patch(patch, &now, at);
    inventory::update_key(&services.place, &services.server, &now.hash, taken)?;
    Ok(Edit::Done { differences: patch.unapplied_fields(&now), now: Box::new(now) })
}

/// Sends a change: made twice it comes to the same. Where the answer says nothing, the key does.
async fn put(
    services: &Services,
    client: &Client,
    management: &ManagementKey,
    hash: &str,
    patch: &KeyPatch,
) -> Result<AccountKey, openrouter::Error> {
    let answer =
        patiently(services, async || client.update_key(management, hash, patch).await).await;
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

fn note(services: &Services, now: &AccountKey) -> Result<(), Error> {
    let at = Timestamp::now();
    let taken = |held: &mut StoredKey| held.record_account_key(now, at);
    inventory::update_key(&services.place, &services.server, &now.hash, taken)?;
    Ok(())
}

/// A key as the account has it now.
pub async fn find(
    services: &Services,
    management: &ManagementKey,
    hash: &str,
) -> Result<AccountKey, Error> {
    let failed = |error| Error::managed(error, &page(services, hash));
    let client = services.client().map_err(failed)?;
    patiently(services, async || client.get_key(management, hash).await).await.map_err(failed)
}

/// How a deletion ended: either way the key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// Just now.
    Now,
    /// The server had no such key any more.
    Before,
}

/// Deletes a key at the server; `hash` may be of one that is not held.
pub async fn delete(
    services: &Services,
    management: &ManagementKey,
    hash: &str,
) -> Result<Deleted, Error> {
    let failed = |error| Error::managed(error, &page(services, hash));
    let client = services.client().map_err(failed)?;
    match patiently(services, async || client.delete_key(management, hash).await).await {
        Ok(()) => Ok(Deleted::Now),
        Err(error) if is_gone(&error) => Ok(Deleted::Before),
        Err(
            error @ (openrouter::Error::OutcomeUnknown { .. }
            | openrouter::Error::UnexpectedResponse { .. }),
        ) => match client.get_key(management, hash).await {
            Err(found) if is_gone(&found) => Ok(Deleted::Now),
            _ => Err(failed(error)),
        },
        Err(error) => Err(failed(error)),
    }
}

/// Deletes a held key at the server, then forgets it here.
pub async fn revoke(
    services: &Services,
    management: &ManagementKey,
    held: &StoredKey,
) -> Result<Deleted, Error> {
    let deleted = delete(services, management, &held.hash).await?;
    let (forgetting, label) = (services.clone(), held.label.clone());
    let forgotten = tokio::task::spawn_blocking(move || forget(&forgetting, &label)).await;
    match forgotten.unwrap_or_else(|_| Err(secret_store::Error::TimedOut.to_user_error())) {
        Ok(()) => Ok(deleted),
        Err(trouble) => Err(Error::NotForgotten(trouble)),
    }
}

fn page(services: &Services, hash: &str) -> String {
    format!("{}/keys/{hash}", services.server)
}

/// Forgets a key on this machine, and its past; the key itself stays valid. One that is already gone
/// from the vault is struck off the list.
pub fn forget(services: &Services, label: &Label) -> Result<(), UserError> {
    let held = inventory::find_key(&services.place, &services.server, label.as_str());
    let held = held.map_err(|error| error.to_user_error())?;
    match services.vault.delete(&services.slot(label.as_str()), services.patience) {
        Ok(()) => {}
        Err(secret_store::Error::NoEntry) => {
            let asked = services.vault.kind().to_string();
            if let Some(trouble) = held.as_ref().and_then(|held| held.other_store_error(&asked)) {
                return Err(trouble);
            }
        }
        Err(error) => return Err(error.to_user_error()),
    }
    inventory::remove_key(&services.place, &services.server, label.as_str())
        .map_err(|error| error.to_user_error())?;
    if let Some(held) = held
        && let Err(error) = usage_history::remove_key(&services.place, &held.hash)
    {
        tracing::warn!(%error, "what a forgotten key had spent is still remembered");
    }
    Ok(())
}
