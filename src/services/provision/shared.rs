//! Keys that a shared store could not take: they are kept in a store of this machine, under their label,
//! and moved when the shared store can be used again.

use super::free_label::{MAX_NUMBER, store_under_free_label, to_api_key};
use super::shared_entry::record_new_key;
use super::unlisted_keys::log_error;
use super::{ServiceContext, lock_storing};
use crate::domain::{
    ApiKey, ErrorKind, KeyLocation, StoreKind, StoredKey, UserError, format_command,
};
use crate::storage::journal::AttemptGuard;
use crate::storage::json_store;
use crate::storage::secret_store;

/// Stores a received key on this machine, because the shared store failed with `error`. Returns a
/// warning that says so.
///
/// # Errors
/// Returns `error` if the store is not shared, or if no store of this machine can take the key.
pub(super) async fn keep_on_this_machine(
    guard: &mut AttemptGuard,
    stored_key: &mut StoredKey,
    key: &ApiKey,
    services: &ServiceContext,
    error: secret_store::Error,
) -> Result<Option<UserError>, secret_store::Error> {
    let kind = services.secret_store.kind();
    let local = services.local();
    if kind.is_local() || !local.secret_store.kind().is_local() {
        return Err(error);
    }
    let mut kept = stored_key.clone().with(|key| {
        key.location = KeyLocation::Stored(local.secret_store.kind());
        key.move_to = Some(kind);
    });
    log_error(guard.update(|attempt| attempt.received_key = Some(kept.clone())));
    if store_under_free_label(&mut kept, key, &local).await.is_err() {
        log_error(guard.update(|attempt| attempt.received_key = Some(stored_key.clone())));
        return Err(error);
    }
    *stored_key = kept;
    Ok(Some(waiting_error(stored_key, &local.secret_store.display_name(), &error)))
}

fn waiting_error(
    stored_key: &StoredKey,
    store_name: &str,
    error: &secret_store::Error,
) -> UserError {
    UserError::new(
        ErrorKind::SecretStore,
        format!("the shared store could not take the key '{}': {error}", stored_key.label),
        format!(
            "{}, then move the key there: {}",
            error.advice().trim_end_matches(", then try again"),
            format_command(&["recover"], &[])
        ),
    )
    .with_meaning(format!("the key is safe in {store_name}, and others cannot read it yet"))
}

/// Moves the keys that wait for a shared store into it, and returns the moved keys. Each is read
/// back before the copy of this machine is deleted. After an interruption the next call continues.
pub async fn move_waiting_keys(
    services: &ServiceContext,
) -> Result<(Vec<StoredKey>, Vec<UserError>), json_store::Error> {
    let (mut moved, mut errors) = (Vec::new(), Vec::new());
    let is_waiting = |key: &StoredKey| key.move_to.as_ref().is_some_and(|to| services.can_open(to));
    for key in services.filter_keys(is_waiting)? {
        let Some(to) = key.move_to.clone() else { continue };
        match move_key(services, &key, to).await {
            Ok(key) => moved.push(key),
            Err(MoveError::Inventory(error)) => return Err(error),
            Err(MoveError::Store(error)) => {
                let store_name = services.local_store().display_name();
                errors.push(waiting_error(&key, &store_name, &error));
                // The others would fail in the same way, each after some seconds.
                if !error.is_about_entry() {
                    break;
                }
            }
        }
    }
    Ok((moved, errors))
}

enum MoveError {
    Store(secret_store::Error),
    Inventory(json_store::Error),
}

async fn move_key(
    services: &ServiceContext,
    key: &StoredKey,
    to: StoreKind,
) -> Result<StoredKey, MoveError> {
    let location = KeyLocation::Stored(to);
    // With `--store`, `for_key` returns the store to move to, but the key is in the local store.
    let from = match services.local() {
        local if key.is_in_store(&local.secret_store.kind()) => local,
        _ => services.for_key(key),
    };
    let target = services.for_key(&key.clone().with(|key| key.location = location.clone()));
    let _storing_lock = lock_storing(services).await.map_err(MoveError::Inventory)?;
    let old_entry = from.entry_id(key.label.as_str());
    let entry_id = old_entry.clone();
    let secret = from.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await;
    let secret = secret.map_err(MoveError::Store)?;
    let api_key = to_api_key(&secret);
    if api_key.hash() != key.hash {
        return Err(MoveError::Store(secret_store::Error::ReadBackMismatch));
    }
    let mut moved = key.clone().with(|key| {
        key.location = location;
        key.move_to = None;
    });
    let mut stored = store_under_free_label(&mut moved, &api_key, &target).await;
    for number in 2..=MAX_NUMBER {
        // Someone else took the label meanwhile, and this key is in use here already.
        if !matches!(stored, Err(secret_store::Error::EntryExists)) {
            break;
        }
        moved.label = key.label.with_suffix(&u8::to_string(&number));
        stored = store_under_free_label(&mut moved, &api_key, &target).await;
    }
    stored.map_err(MoveError::Store)?;
    record_new_key(&target, &mut moved).await;
    let record = |stored_key: &mut StoredKey| {
        stored_key.label = moved.label.clone();
        stored_key.location = moved.location.clone();
        stored_key.move_to = None;
        stored_key.shared.clone_from(&moved.shared);
    };
    services.update_key(&key.hash, record).map_err(MoveError::Inventory)?;
    let deleted =
        from.call_secret_store(move |store, timeout| store.delete(&old_entry, timeout)).await;
    if let Err(error) = deleted {
        tracing::warn!(%error, "the copy of a moved key could not be deleted");
    }
    Ok(moved)
}
