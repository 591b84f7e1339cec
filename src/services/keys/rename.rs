//! Renames keys in the secret store and the inventory. The new entry is written before the old one is
//! deleted, so an interruption leaves two entries and never none. The inventory names the other entry until
//! it is deleted, so that the next start can delete it.

use super::current_key::check_current;
use super::remote_update::rename_at_server;
use super::rotate::replaced_error;
use super::{Error, create_secret, delete_secret, keep_earlier_keys, missing_error, secret_for};
use crate::domain::{FinishedStep, Label, ManagementKey, StoredKey, UserError};
use crate::services::provision::{self, RecoveredAttempts, ServiceContext};
use crate::services::shared_inventory::find_conflict_async;
use crate::storage::{inventory, json_store};

/// A key under its new label.
#[derive(Clone, Debug)]
pub struct RenamedKey {
    /// The key.
    pub stored_key: StoredKey,
    /// Set if the old entry could not be removed, or the name at the server not changed.
    pub warning: Option<UserError>,
    /// What became of the history of a shared key, which its new entry does not have.
    pub notice: Option<UserError>,
}

/// Renames a stored key, and with a management key also its name at the server.
pub async fn rename_key(
    services: &ServiceContext,
    old: &StoredKey,
    new: &Label,
    management: Option<&ManagementKey>,
) -> Result<RenamedKey, Error> {
    check_current(services, old).await?;
    let services = &services.for_key(old);
    let stored_keys = services.list_keys()?;
    if !stored_keys
        .iter()
        .any(|stored_key| stored_key.hash == old.hash && stored_key.label == old.label)
    {
        return Err(Error::NotInInventory(old.label.clone()));
    }
    if old.other_entry.is_some() {
        delete_other_entry(services, &old.hash).await?;
    }
    let (old_key, new_label) = (old.clone(), new.clone());
    let find = move |keys: &[StoredKey]| {
        is_label_taken(keys.iter(), &old_key, &new_label).then(|| new_label.clone())
    };
    if let Some(label) = find_conflict_async(services, find).await? {
        return Err(Error::LabelTaken(label));
    }
    let Some(key) = secret_for(services, &old.label).await? else {
        return Err(missing_error(services, &old.label));
    };
    if key.hash() != old.hash {
        return Err(Error::SecretMismatch(old.label.clone()));
    }
    let earlier = keep_earlier_keys(services, old, new).await?;
    let reserve = services.location.reserve_space()?;
    // No other process may take the label between the check and the write.
    let storing_lock = provision::lock_storing(services).await?;
    let already_stored = match secret_for(services, new).await? {
        // An interrupted rename already stored it.
        Some(existing) if existing.hash() == old.hash => true,
        Some(_) => return Err(Error::LabelInSecretStore(new.clone())),
        None => false,
    };
    services.update_key(&old.hash, |key| key.other_entry = Some(new.clone()))?;
    if !already_stored && let Err(error) = create_secret(services, new, &key).await {
        end_rename(services, &old.hash);
        return Err(error);
    }
    drop(reserve);
    let renamed = update_inventory_label(services, old, new);
    let stored_key = match renamed {
        Ok(stored_key) => stored_key,
        Err(error) => {
            // Restore the old state.
            let is_restored = !already_stored && delete_secret(services, new).await.is_ok();
            if is_restored {
                end_rename(services, &old.hash);
            }
            return Err(match error {
                Error::JsonStore(error) if !is_restored => Error::NotListed {
                    label: new.clone(),
                    store_name: services.secret_store.display_name(),
                    error,
                },
                error => error,
            });
        }
    };
    let deleted = match secret_for(services, &old.label).await {
        // Someone else may have replaced the key under its old label meanwhile.
        Ok(Some(key)) if key.hash() != old.hash => Err(replaced_error(services, &old.label).await),
        Ok(None) => Ok(()),
        Ok(Some(_)) => delete_secret(services, &old.label).await,
        Err(error) => Err(error),
    };
    let mut stored_key = stored_key;
    if matches!(deleted, Ok(()) | Err(Error::ReplacedByOther(_))) {
        end_rename(services, &old.hash);
        stored_key.other_entry = None;
    }
    // Only now: a key that takes the old label meanwhile would lose its entry.
    drop(storing_lock);
    let mut warning = deleted.err().map(|error| {
        if let Error::ReplacedByOther(error) = error {
            let meaning = format!("'{new}' is the key that was replaced, and it stays valid");
            return error.with_meaning(meaning);
        }
        let error = error.to_user_error();
        UserError::new(
            error.kind,
            format!("the old entry '{}' was not removed: {}", old.label, error.message),
            format!("remove it with another program: {}", error.advice),
        )
    });
    if let Some(management) = management {
        let unnamed =
            rename_at_server(services, management, &stored_key).await.err().map(|error| {
                let error = error.to_user_error();
                UserError::new(
                    error.kind,
                    format!("the name at the server was not changed: {}", error.message),
                    format!("change it at {}", stored_key.page_url()),
                )
            });
        warning = warning.or(unnamed);
    }
    Ok(RenamedKey { stored_key, warning, notice: earlier.notice(&old.label) })
}

/// Returns whether another key has the label. The key itself may get another spelling of its own
/// label.
fn is_label_taken<'a>(
    mut keys: impl Iterator<Item = &'a StoredKey>,
    old: &StoredKey,
    new: &Label,
) -> bool {
    old.label == *new || keys.any(|key| key.hash != old.hash && key.label.is_same(new.as_str()))
}

/// Records that the secret store has no other entry of the key. If that fails, the next start looks again.
fn end_rename(services: &ServiceContext, hash: &str) {
    if let Err(error) = services.update_key(hash, |key| key.other_entry = None) {
        tracing::warn!(%error, "the end of a renaming could not be recorded");
    }
}

/// Deletes the second entries of keys whose renaming was interrupted.
pub(super) async fn finish_renames(
    services: &ServiceContext,
    recovered: &mut RecoveredAttempts,
) -> Result<(), json_store::Error> {
    for key in services.filter_keys(|key| key.other_entry.is_some())? {
        match delete_other_entry(services, &key.hash).await {
            Ok(step) => recovered.finished.extend(step),
            Err(error) => recovered.errors.push(
                error
                    .to_user_error()
                    .prefixed(format!("the renaming of '{}' cannot be finished", key.label)),
            ),
        }
    }
    Ok(())
}

async fn delete_other_entry(
    services: &ServiceContext,
    hash: &str,
) -> Result<Option<FinishedStep>, Error> {
    let _storing_lock = provision::lock_storing(services).await?;
    // Only now: a renaming that was under way has ended.
    let keys = services.list_keys()?;
    let Some(key) = keys.iter().find(|key| key.hash == hash) else { return Ok(None) };
    let Some(other) = key.other_entry.clone() else { return Ok(None) };
    let services = &services.for_key(key);
    let mut is_second = keys.iter().all(|key| key.label != other);
    for label in [&key.label, &other] {
        is_second = is_second
            && secret_for(services, label).await?.is_some_and(|secret| secret.hash() == hash);
    }
    // An entry is deleted only if there is another one of the same key.
    if is_second {
        delete_secret(services, &other).await?;
    }
    end_rename(services, hash);
    Ok(is_second.then(|| FinishedStep::OldEntryDeleted(key.label.clone(), other)))
}

fn update_inventory_label(
    services: &ServiceContext,
    old: &StoredKey,
    new: &Label,
) -> Result<StoredKey, Error> {
    inventory::update_keys(&services.location, |keys| {
        let is_same_server = |stored_key: &StoredKey| stored_key.server == services.server;
        if is_label_taken(keys.iter().filter(|key| is_same_server(key)), old, new) {
            return Err(Error::LabelTaken(new.clone()));
        }
        // A rotation may have moved the label to a new key since.
        let is_renamed = |stored_key: &&mut StoredKey| {
            is_same_server(stored_key)
                && stored_key.hash == old.hash
                && stored_key.label == old.label
        };
        let stored_key = keys
            .iter_mut()
            .find(is_renamed)
            .ok_or_else(|| Error::NotInInventory(old.label.clone()))?;
        stored_key.label = new.clone();
        // The new key of an interrupted rotation keeps the label that the user gave it.
        stored_key.replaces = None;
        stored_key.other_entry = Some(old.label.clone());
        Ok(stored_key.clone())
    })?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::api::openrouter::Attribution;
    use crate::domain::{ApiKey, KeyDefaults, ProfileName, StoreKind};
    use crate::services::provision::{PendingAttempts, SkippedRows};
    use crate::storage::json_store::StoreLocation;
    use crate::storage::secret_store::{EntryId, SecretStore};

    #[test]
    fn no_other_process_stores_a_key_until_the_old_entry_is_deleted() {
        let (location, server) = (StoreLocation::in_memory(), "https://example.com");
        let key = ApiKey::from("sk-or-v1-0".to_owned());
        let now = jiff::Timestamp::UNIX_EPOCH;
        let label = "ci".parse().unwrap();
        let old = StoredKey::new(label, &key, server.into(), StoreKind::Memory, now);
        inventory::upsert_keys(&location, vec![old.clone()]).unwrap();
        let deletions = Arc::new(AtomicUsize::new(0));
        let (seen, locks) = (deletions.clone(), location.clone());
        let entry = EntryId { service: "keywright/test".into(), account: "ci".into() };
        let store = SecretStore::memory_with_before_delete(
            vec![(entry, super::super::to_secret_string(&key))],
            move |entry| {
                assert_eq!(entry.account, "ci");
                let lock = locks.try_lock("storing.lock");
                assert!(matches!(lock, Err(json_store::Error::LockHeld(_))), "the lock is free");
                seen.fetch_add(1, Ordering::Relaxed);
            },
        );
        let services = ServiceContext {
            server: server.into(),
            profile: ProfileName::default(),
            other_profiles: Vec::new(),
            key_defaults: KeyDefaults::default(),
            keychain_service: "keywright/test".into(),
            management_key: None,
            secret_store: store,
            other_stores: Vec::new(),
            is_store_fixed: false,
            local_store: None,
            secret_store_timeout: Duration::from_secs(1),
            location,
            pending_attempts: PendingAttempts::default(),
            skipped_rows: SkippedRows::default(),
            attribution: Attribution {
                url: String::new(),
                title: String::new(),
                categories: String::new(),
            },
            request_timeout: Duration::from_secs(1),
            max_retries: 0,
            callback_port: 0,
            open_browser: |_| Err("no browser in a test".into()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let new: Label = "build".parse().unwrap();
        runtime.block_on(rename_key(&services, &old, &new, None)).unwrap();
        assert_eq!(deletions.load(Ordering::Relaxed), 1);
    }
}
