//! Imports keys that were created elsewhere, and restores lost inventory entries.

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::trash::find_conflict;
use super::{Error, create_secret, delete_secret, find_secret, secret_for};
use crate::api::openrouter;
use crate::domain::{ApiKey, CheckResult, KeyInfo, KnownAccounts, Label, StoredKey};
use crate::services::provision::{self, ServiceContext};
use crate::services::shared_inventory::find_conflict_async;
use crate::storage::inventory;

/// Checks a key, stores it under `label` and adds it to the inventory. Stores nothing if the server
/// rejects the key.
pub async fn import_key(
    services: &ServiceContext,
    label: &Label,
    key: &ApiKey,
) -> Result<StoredKey, Error> {
    let hash = key.hash();
    let (own_hash, own_label) = (hash.clone(), label.clone());
    let find = move |keys: &[StoredKey]| find_conflict(keys.iter(), &own_hash, &own_label);
    if let Some(conflict) = find_conflict_async(services, find).await? {
        return Err(conflict);
    }
    ensure_label_free(services, label, &hash).await?;
    let reserve = services.location.reserve_space()?;
    let client = services.build_client().map_err(Error::CheckFailed)?;
    let info = match client.get_current_key(key).await {
        Ok(info) if info.is_management_key => return Err(Error::IsManagementKey),
        Ok(info) => Some(info),
        // The account has no credit, but the key is valid.
        Err(openrouter::Error::Rejected { status: 402, .. }) => None,
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::KeyRejected),
        Err(error) => return Err(Error::CheckFailed(error)),
    };
    let now = Timestamp::now();
    let mut stored_key = services.new_stored_key(label.clone(), key);
    if let Some(info) = info {
        record_first_check(&mut stored_key, info, now);
    }
    // No other process may take the label between the check and the write.
    let _storing_lock = provision::lock_storing(services).await?;
    let already_stored = ensure_label_free(services, label, &hash).await?;
    if !already_stored {
        create_secret(services, label, key).await?;
    }
    services.remember_provider().await;
    drop(reserve);
    match add_to_inventory(services, stored_key) {
        Err(error) if already_stored || delete_secret(services, label).await.is_err() => {
            Err(match error {
                Error::JsonStore(error) => Error::NotListed {
                    label: label.clone(),
                    store_name: services.secret_store.display_name(),
                    error,
                },
                error => error,
            })
        }
        result => result,
    }
}

/// Adds a key that is only in the secret store to the inventory. With `check` the server is asked
/// about it; the key is added even if the server rejects it.
pub async fn restore_inventory_entry(
    services: &ServiceContext,
    label: &Label,
    check: bool,
) -> Result<StoredKey, Error> {
    let _storing_lock = provision::lock_storing(services).await?;
    let Some(key) = secret_for(services, label).await? else {
        return Err(Error::MissingSecret {
            label: label.clone(),
            store_name: services.secret_store.display_name(),
        });
    };
    let now = Timestamp::now();
    let mut stored_key = services.new_stored_key(label.clone(), &key);
    if check {
        let client = services.build_client().map_err(Error::CheckFailed)?;
        match client.get_current_key(&key).await {
            Ok(info) if info.is_management_key => return Err(Error::IsManagementKey),
            Ok(info) => record_first_check(&mut stored_key, info, now),
            error => stored_key.record_check(&CheckResult::from(error), now),
        }
    }
    add_to_inventory(services, stored_key)
}

/// Returns whether an entry that the inventory does not name may be a key that Keywright stored: its name
/// is a label, and its text begins like a key. What cannot be read now may be one. Blocks.
pub fn may_be_key(services: &ServiceContext, account: &str) -> bool {
    let is_label = Label::parse_existing(account).is_ok_and(|label| label.as_str() == account);
    let entry_id = services.entry_id(account);
    is_label
        && match find_secret(&services.secret_store, &entry_id, services.secret_store_timeout) {
            Ok(Some(secret)) => is_key_text(&secret),
            Ok(None) => true,
            Err(error) => !error.is_about_one_key(),
        }
}

#[expect(clippy::disallowed_methods, reason = "only the beginning of the text is compared")]
fn is_key_text(secret: &SecretString) -> bool {
    secret.expose_secret().starts_with("sk-or-")
}

/// Records the first check of the key.
fn record_first_check(stored_key: &mut StoredKey, info: KeyInfo, now: Timestamp) {
    // No policy was requested here, so the current one counts as requested.
    stored_key.requested = info.to_requested_policy();
    stored_key.user_id.clone_from(&info.creator_user_id);
    stored_key.record_check(&CheckResult::Valid(Arc::new(info)), now);
}

/// Adds the key to the inventory unless the label or the key is in it by now. Returns it as it is
/// in the inventory, where it is marked if it belongs to another account.
fn add_to_inventory(
    services: &ServiceContext,
    mut stored_key: StoredKey,
) -> Result<StoredKey, Error> {
    let conflict = inventory::update_keys(&services.location, |keys| {
        let conflicts = |other: &&StoredKey| {
            other.server == stored_key.server
                && (other.label.is_same(stored_key.label.as_str()) || other.hash == stored_key.hash)
        };
        let conflict = keys.iter().find(conflicts).map(|other| other.label.clone());
        if conflict.is_none() {
            let of_server = |key: &&StoredKey| key.server == stored_key.server;
            KnownAccounts::of_keys(keys.iter().filter(of_server)).mark(&mut stored_key);
            keys.push(stored_key.clone());
        }
        conflict
    })?;
    conflict.map_or(Ok(stored_key), |label| Err(Error::LabelTaken(label)))
}

/// Returns an error if the secret store has another key under the label, and otherwise whether it
/// has this one, which an interrupted import may have left there.
async fn ensure_label_free(
    services: &ServiceContext,
    label: &Label,
    hash: &str,
) -> Result<bool, Error> {
    match secret_for(services, label).await? {
        Some(existing) if existing.hash() != hash => Err(Error::LabelInSecretStore(label.clone())),
        existing => Ok(existing.is_some()),
    }
}
