//! Updates and deletes keys at the server with the management key.

use jiff::Timestamp;

use super::current_key::check_current;
use super::{Error, to_api_key};
use crate::api::openrouter::{self, ManagementClient};
use crate::domain::{AccountKey, KeyPatch, ManagementKey, StoredKey, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::json_store::SpaceReserve;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// The result of [`update_key`].
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateOutcome {
    /// The server applied the update.
    Applied {
        /// The key after the update.
        current: Box<AccountKey>,
        /// OpenRouter's names of the fields that differ from what was sent.
        unapplied_fields: Vec<&'static str>,
        /// Set if the inventory could not be written afterwards.
        warning: Option<UserError>,
    },
    /// The key was changed since it was last fetched. Nothing was sent.
    Conflict {
        /// The key as it was last fetched.
        previous: Box<AccountKey>,
        /// The key as it is now.
        current: Box<AccountKey>,
        /// OpenRouter's names of the fields that differ between them.
        changed_fields: Vec<&'static str>,
    },
}

/// A key that was disabled or enabled at the server.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdatedKey {
    /// The key after the update.
    pub account_key: AccountKey,
    /// Set if the inventory could not be written afterwards.
    pub warning: Option<UserError>,
}

/// Disables or enables a key at the server and records that in the inventory. Sends nothing if the
/// inventory cannot be written.
pub async fn set_disabled(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_key: &StoredKey,
    disabled: bool,
) -> Result<UpdatedKey, Error> {
    check_current(services, stored_key).await?;
    let reserve = services.location.reserve_space()?;
    send_disabled(services, management, stored_key, disabled, Some(reserve)).await
}

/// Does what [`set_disabled`] does, with space reserved by the caller. Without a reserve the result
/// may not be recorded.
pub(super) async fn send_disabled(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_key: &StoredKey,
    disabled: bool,
    reserve: Option<SpaceReserve>,
) -> Result<UpdatedKey, Error> {
    let failed = |error| Error::from_management_request(error, &stored_key.page_url());
    let client = services.build_management_client(management).map_err(failed)?;
    let patch = KeyPatch { disabled: Some(disabled), ..KeyPatch::default() };
    let now = send_patch(&client, &stored_key.hash, &patch).await.map_err(failed)?;
    drop(reserve);
    let at = Timestamp::now();
    let record = |stored_key: &mut StoredKey| stored_key.record_account_key(&now, at);
    let state = if disabled { "disabled" } else { "enabled" };
    let meaning = format!("'{}' is {state} at OpenRouter", stored_key.label);
    let warning = record_change(services, &now.hash, record, &meaning);
    match patch.unapplied_fields(&now) {
        fields if fields.is_empty() => Ok(UpdatedKey { account_key: now, warning }),
        fields => Err(Error::UpdateNotApplied { fields, page_url: stored_key.page_url() }),
    }
}

/// Updates a key at the server unless it has changed since it was fetched as `expected`. Sends
/// nothing if the inventory cannot be written.
pub async fn update_key(
    services: &ServiceContext,
    management: &ManagementKey,
    expected: &AccountKey,
    patch: &KeyPatch,
) -> Result<UpdateOutcome, Error> {
    let failed =
        |error| Error::from_management_request(error, &key_page_url(services, &expected.hash));
    let client = services.build_management_client(management).map_err(failed)?;
    let reserve = services.location.reserve_space()?;
    let now = fetch_account_key(services, management, &expected.hash).await?;
    let changed_fields = now.changed_fields(expected);
    if !changed_fields.is_empty() {
        return Ok(UpdateOutcome::Conflict {
            previous: Box::new(expected.clone()),
            current: Box::new(now),
            changed_fields,
        });
    }
    let now = send_patch(&client, &expected.hash, patch).await.map_err(failed)?;
    drop(reserve);
    let at = Timestamp::now();
    let record = |stored_key: &mut StoredKey| stored_key.record_patch(patch, &now, at);
    let warning = record_change(services, &now.hash, record, "the key is changed at OpenRouter");
    let (unapplied_fields, current) = (patch.unapplied_fields(&now), Box::new(now));
    Ok(UpdateOutcome::Applied { current, unapplied_fields, warning })
}

/// Records a change that the server made; returns a warning if the inventory could not be written.
fn record_change(
    services: &ServiceContext,
    hash: &str,
    record: impl FnOnce(&mut StoredKey),
    meaning: &str,
) -> Option<UserError> {
    let error = services.update_key(hash, record).err()?;
    let message = format!("the inventory could not be written: {error}");
    let advice = format!("{}, then run keywright list --refresh", error.advice());
    Some(UserError::failed(message, advice).with_meaning(meaning))
}

/// Sends an idempotent update. If the response does not show the result, fetches the key.
async fn send_patch(
    client: &ManagementClient,
    hash: &str,
    patch: &KeyPatch,
) -> Result<AccountKey, openrouter::Error> {
    let response = client.update_key(hash, patch).await;
    match response {
        Err(
            error @ (openrouter::Error::OutcomeUnknown { .. }
            | openrouter::Error::UnexpectedResponse { .. }),
        ) => match client.once().get_key(hash).await {
            Ok(now) if patch.unapplied_fields(&now).is_empty() => Ok(now),
            _ => Err(error),
        },
        response => response,
    }
}

/// Fetches a key from the account.
pub async fn fetch_account_key(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
) -> Result<AccountKey, Error> {
    let failed = |error| Error::from_management_request(error, &key_page_url(services, hash));
    let client = services.build_management_client(management).map_err(failed)?;
    client.get_key(hash).await.map_err(failed)
}

/// Gives a key at the server the label that it has in the inventory.
pub(super) async fn rename_at_server(
    services: &ServiceContext,
    management: &ManagementKey,
    stored_key: &StoredKey,
) -> Result<(), Error> {
    let failed = |error| Error::from_management_request(error, &stored_key.page_url());
    let client = services.build_management_client(management).map_err(failed)?;
    // Another process may have renamed it again. A replaced key keeps its name.
    let same = |key: &StoredKey| key.hash == stored_key.hash && key.retirement.is_none();
    let current = services.filter_keys(same)?.pop();
    let label = current.map_or_else(|| stored_key.label.clone(), |key| key.label.clone());
    let patch = KeyPatch { name: Some(label), ..KeyPatch::default() };
    let patched = client.update_key(&stored_key.hash, &patch);
    let now = patched.await.map_err(failed)?;
    match patch.unapplied_fields(&now) {
        names if names.is_empty() => Ok(()),
        names => Err(Error::UpdateNotApplied { fields: names, page_url: stored_key.page_url() }),
    }
}

pub(super) fn key_page_url(services: &ServiceContext, hash: &str) -> String {
    format!("{}/keys/{hash}", services.server)
}

/// Removes a listed key and its usage history from this machine. A key that is missing in the secret
/// store is removed from the inventory. The caller has reserved the space and holds the storing lock.
pub(super) fn remove_copy(
    services: &ServiceContext,
    stored_key: &StoredKey,
    reserve: SpaceReserve,
) -> Result<(), Error> {
    let services = &services.for_key(stored_key);
    let label = &stored_key.label;
    let entry_id = services.entry_id(label.as_str());
    let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
    // Someone else may have replaced the key since it was listed: then the entry is theirs. It may also be
    // the only text of another key of the inventory.
    let is_replaced = match store.get(&entry_id, timeout) {
        Ok(secret) => {
            let hash = to_api_key(&secret).hash();
            hash != stored_key.hash
                && (store.kind().is_shared() || services.find_hash(&hash)?.is_some())
        }
        Err(_) => false,
    };
    let deleted = if is_replaced { Ok(()) } else { store.delete(&entry_id, timeout) };
    match deleted {
        Ok(()) => {}
        Err(secret_store::Error::NoEntry) => {
            let store_kind = services.secret_store.kind();
            if let Some(error) = stored_key.other_store_error(&store_kind) {
                return Err(Error::InOtherStore(error));
            }
        }
        Err(error) => return Err(error.into()),
    }
    drop(reserve);
    inventory::remove_key(&services.location, stored_key).map_err(|error| Error::NotUnlisted {
        label: label.clone(),
        store_name: services.secret_store.display_name(),
        is_revoked: false,
        error,
    })?;
    if let Err(error) = usage_history::remove_key(&services.location, &stored_key.hash) {
        tracing::warn!(%error, "the usage history of a removed key could not be deleted");
    }
    Ok(())
}
