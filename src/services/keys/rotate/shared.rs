//! Rotation in a shared store, where two people may replace one key at once. The label is moved
//! with check-and-set, so that only one of them succeeds.

use super::super::management_key::AccountAccess;
use super::super::remote_update::fetch_account_key;
use super::super::rotation_labels::find_old_key_label;
use super::super::{Error, delete_secret, secret_for, store_secret, to_api_key, to_secret_string};
use crate::domain::{ApiKey, Label, StoredKey, UserError, format_command};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::{self, ServiceContext, UnneededKey, describe_writer};
use crate::services::shared_inventory;
use crate::storage::inventory;
use crate::storage::secret_store::{self, bao};

/// Replaces the key stored under `label`, whose hash is `expected`. Fails with
/// [`Error::ReplacedByOther`] if someone else has replaced it in a shared store since.
pub(super) async fn replace_secret(
    services: &ServiceContext,
    label: &Label,
    expected: &str,
    key: &ApiKey,
) -> Result<(), Error> {
    let Some(store) = services.secret_store.as_bao().cloned() else {
        return store_secret(services, label, key).await;
    };
    let path = store.entry_path(&services.entry_id(label.as_str()));
    let (secret, hash, expected) = (to_secret_string(key), key.hash(), expected.to_owned());
    let replace = move || {
        let entry = store.read(&path)?;
        let current = to_api_key(&entry.secret).hash();
        if current != expected {
            return Ok(current == hash);
        }
        match store.write(&path, &secret, Some(entry.version)) {
            Ok(_) => Ok(true),
            // Someone else may have continued this very rotation.
            Err(secret_store::Error::Bao(bao::Error::Conflict { .. })) => {
                Ok(to_api_key(&store.read(&path)?.secret).hash() == hash)
            }
            Err(error) => Err(error),
        }
    };
    let replaced = run_blocking(replace).await;
    if replaced.unwrap_or(Err(secret_store::Error::TimedOut))? {
        Ok(())
    } else {
        Err(replaced_error(services, label).await)
    }
}

/// Returns the replaced key as it is now. If its entry in a shared store is gone, someone else has
/// renamed or removed it meanwhile, and the store is read.
pub(super) async fn follow_replaced_key(
    services: &ServiceContext,
    old: StoredKey,
) -> Result<Option<StoredKey>, Error> {
    let services = &services.for_key(&old);
    if !services.secret_store.kind().is_shared()
        || secret_for(services, &old.label).await?.is_some()
        || find_old_key_label(services, &old.label, &old.hash).await?.is_some()
    {
        return Ok(Some(old));
    }
    read_shared_keys(services).await?;
    Ok(services.find_hash(&old.hash)?)
}

/// Reads a key of the shared store into the inventory, if that is the store in use.
pub(super) async fn read_shared_key(services: &ServiceContext, label: &Label) -> Result<(), Error> {
    if !services.secret_store.kind().is_shared() {
        return Ok(());
    }
    let (services, label) = (services.clone(), label.clone());
    let read = run_blocking(move || shared_inventory::read_key(&services, label.as_str())).await;
    Ok(read.unwrap_or(Ok(()))?)
}

/// Reads all keys of the shared store into the inventory.
pub(in crate::services::keys) async fn read_shared_keys(
    services: &ServiceContext,
) -> Result<(), Error> {
    let services = services.clone();
    let read = move || shared_inventory::read_all(&services, |_, _| ()).map(drop);
    Ok(run_blocking(read).await.unwrap_or(Ok(()))?)
}

/// Returns the error for a label that has another key than the inventory says.
pub(in crate::services::keys) async fn replaced_error(
    services: &ServiceContext,
    label: &Label,
) -> Error {
    if services.secret_store.kind().is_shared() {
        let writer = describe_writer(services, label).await;
        let message = format!("the key of '{label}' was replaced {writer} in the meantime");
        let show = label.command("show");
        let error = UserError::failed(message, format!("look at it: {show}"));
        return Error::ReplacedByOther(error.with_meaning("nothing was changed"));
    }
    Error::SecretMismatch(label.clone())
}

/// Fails with [`Error::ReplacedByOther`] if another rotation has replaced the key already.
pub(super) fn ensure_not_replaced(old: &StoredKey) -> Result<(), Error> {
    if old.retirement.is_none() {
        return Ok(());
    }
    let message = format!("another rotation replaced the key first; it is '{}' now", old.label);
    let advice = format!("look at the keys: {}", format_command(&["list"], &[]));
    let error = UserError::failed(message, advice);
    Err(Error::ReplacedByOther(error.with_meaning("nothing was changed")))
}

/// Removes a new key that is not needed, since someone else replaced the same key. Without a management
/// key it stays stored under its own label, to be deleted by hand.
pub(super) async fn discard_replacement(
    services: &ServiceContext,
    access: &AccountAccess,
    new: &StoredKey,
    error: UserError,
) -> UserError {
    let services = &services.for_key(new);
    let unneeded = if is_unused_replacement(services, access, new).await {
        provision::delete_unneeded_key(services, access.as_ref().ok(), &new.hash).await
    } else {
        UnneededKey::Kept
    };
    if unneeded == UnneededKey::Deleted {
        if let Err(error) = remove_deleted_key(services, new).await {
            tracing::warn!(%error, "the entry of a deleted key could not be removed");
        }
        return error.with_meaning("your new key was deleted at OpenRouter; the other one stays");
    }
    // This key must not take the label any more.
    let release = |key: &mut StoredKey| key.replaces = None;
    if let Err(error) = services.update_key(&new.hash, release) {
        tracing::warn!(%error, "a key that is not needed could not be released");
    }
    let label = new.label.as_str();
    let delete = match access {
        Ok(_) if unneeded != UnneededKey::NotFound => format_command(&["rm", "--revoke"], &[label]),
        // Without a management key of its account only its page can delete it.
        _ => format!("{}, then run {}", new.page_url(), format_command(&["rm"], &[label])),
    };
    let validity = if unneeded == UnneededKey::Unknown { "perhaps still valid" } else { "valid" };
    UserError {
        advice: format!("delete your new key, it is not needed: {delete}"),
        ..error.with_meaning(format!(
            "your new key is stored as '{label}' and {validity} at OpenRouter; the other one stays"
        ))
    }
}

/// Returns whether a new key still has the label of a new key and was never used, as the account reports.
/// Somebody may use a key that has another label.
async fn is_unused_replacement(
    services: &ServiceContext,
    access: &AccountAccess,
    new: &StoredKey,
) -> bool {
    let listed = services.find_hash(&new.hash).ok().flatten();
    let label = listed.map_or_else(|| new.label.clone(), |key| key.label.clone());
    let name = label.as_str().trim_end_matches(|c: char| c == ' ' || c.is_ascii_digit());
    let Some(management) = access.as_ref().ok().or(services.management_key.as_ref()) else {
        return false;
    };
    if !name.ends_with("(new)") {
        return false;
    }
    match fetch_account_key(services, management, &new.hash).await {
        Ok(key) => key.is_unused(),
        Err(error) => error.is_not_found(),
    }
}

/// Removes a key that was deleted at OpenRouter, under the label that it has by now. Its entry may be
/// that of another key.
async fn remove_deleted_key(services: &ServiceContext, deleted: &StoredKey) -> Result<(), Error> {
    let _storing_lock = provision::lock_storing(services).await?;
    let listed = services.find_hash(&deleted.hash)?;
    let label = listed.map_or_else(|| deleted.label.clone(), |key| key.label.clone());
    if secret_for(services, &label).await?.is_some_and(|key| key.hash() == deleted.hash) {
        delete_secret(services, &label).await?;
    }
    inventory::update_keys(&services.location, |keys| {
        keys.retain(|key| key.server != services.server || key.hash != deleted.hash);
        Ok(())
    })?
}
