//! The end of a rotation, and what is stored of both keys where the label could not be moved.

use std::time::{Duration, Instant};

use super::super::management_key::AccountAccess;
use super::super::remote_update::rename_at_server;
use super::super::rotation_labels::{find_old_key_label, numbered_label};
use super::super::{Error, missing_error, secret_for};
use super::move_label_or_discard;
use crate::domain::{Label, ManagementKey, RotationOutcome, StoredKey, UserError, format_command};
use crate::services::provision::{self, ServiceContext};
use crate::storage::json_store;

/// The longest time to wait for another process that moves the label of the same key.
const LABEL_TIMEOUT: Duration = Duration::from_secs(20);

/// Moves the label to the new key. Waits for another process that moves it, too.
pub(super) async fn finish_by_moving_label(
    services: &ServiceContext,
    access: &AccountAccess,
    new: StoredKey,
    warning: Option<UserError>,
) -> RotationOutcome {
    let deadline = Instant::now() + LABEL_TIMEOUT;
    loop {
        let error = match move_label_or_discard(services, access, &new).await {
            Err(Error::ReplacedByOther(error)) => return RotationOutcome::Failed(error),
            Ok(rotated) => return RotationOutcome::Completed { rotated, warning },
            Err(error) => error,
        };
        let current = match services.find_hash(&new.hash) {
            Ok(Some(current)) => current,
            Ok(None) => {
                // It was never listed where the inventory could not be written.
                let services = services.for_key(&new);
                return match warning {
                    Some(error) if may_be_stored(&services, &new.label, &new.hash).await => {
                        RotationOutcome::LabelNotMoved { new, error }
                    }
                    _ => RotationOutcome::Failed(removed_error(&new)),
                };
            }
            Err(_) => new.clone(),
        };
        if let Error::AlreadyReplaced(_) = error {
            return RotationOutcome::Failed(released_error(&current, error));
        }
        if current.replaces.is_none() {
            return RotationOutcome::Failed(error.to_user_error());
        }
        // Another process moves the label of this key, or has renamed the replaced one.
        let may_end = matches!(
            error,
            Error::JsonStore(json_store::Error::LockHeld(_)) | Error::NotInInventory(_)
        );
        if !may_end || Instant::now() > deadline {
            let error = explain_unmoved(services, &current, error).await;
            return RotationOutcome::LabelNotMoved { new: current, error };
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the error about a new key that another process removed from this machine.
fn removed_error(new: &StoredKey) -> UserError {
    let message = format!("the new key {} was removed by another process meanwhile", new.masked);
    let advice = format!("look at the keys: {}", format_command(&["list"], &[]));
    let meaning = format!("if it was not deleted at OpenRouter, delete it at {}", new.page_url());
    UserError::failed(message, advice).with_meaning(meaning)
}

/// Returns whether the label of `old` has moved to `new`.
pub(super) fn has_moved(new: &StoredKey, old: &StoredKey) -> bool {
    let is_old_label = |number| numbered_label(&new.label, "old", number) == old.label;
    old.retirement.is_some() && (1..=provision::MAX_NUMBER).any(is_old_label)
}

/// Returns the error about a new key that the user renamed while its rotation was under way.
pub(super) fn renamed_error(new: &StoredKey) -> UserError {
    let message = format!("the new key was renamed to '{}', and replaces no other key", new.label);
    let advice = format!("look at the keys: {}", format_command(&["list"], &[]));
    UserError::failed(message, advice).with_meaning("both keys are stored and work")
}

/// Returns the error about a new key that is not needed, since another rotation replaced the key first.
fn released_error(new: &StoredKey, error: Error) -> UserError {
    let label = new.label.as_str();
    let delete = format_command(&["rm", "--revoke"], &[label]);
    let meaning = format!("your new key is stored as '{label}' and valid at OpenRouter");
    let advice = format!("delete your new key, it is not needed: {delete}");
    UserError { advice, ..error.to_user_error() }.with_meaning(meaning)
}

/// Returns the error about a label that was not moved to `new`, with what is stored of both keys.
pub(super) async fn explain_unmoved(
    services: &ServiceContext,
    new: &StoredKey,
    error: Error,
) -> UserError {
    let (label, mut user_error) = (&new.label, error.to_user_error());
    if let Error::OtherKeychain(_) = error {
        return user_error;
    }
    let replaced = new.replaces.as_ref();
    let old = replaced.and_then(|replaced| services.find_hash(&replaced.hash).ok().flatten());
    if let (Error::SecretMismatch(taken), Some(old)) = (&error, &old)
        && *taken == old.label
    {
        user_error.advice = format!(
            "another program wrote that entry; print it: {}; to replace it: {}, then {}",
            taken.command("get"),
            taken.command("rm"),
            format_command(&["rename"], &[label.as_str(), taken.as_str()]),
        );
    }
    let (new_services, hash) = (services.for_key(new), &new.hash);
    // The secret store has the new label already where only the inventory could not be written.
    let new_label = match &old {
        _ if may_be_stored(&new_services, label, hash).await => Some(label),
        Some(old) if may_be_stored(&new_services, &old.label, hash).await => Some(&old.label),
        _ => None,
    };
    let is_old_stored = match &old {
        None => false,
        Some(old) => {
            let services = services.for_key(old);
            may_be_stored(&services, &old.label, &old.hash).await
                || find_old_key_label(&services, &old.label, &old.hash)
                    .await
                    .is_ok_and(|label| label.is_some())
        }
    };
    let new = services.find_hash(&new.hash).ok().flatten().unwrap_or_else(|| new.clone());
    let is_disabled = |key: &StoredKey| key.disabled == Some(true);
    let state = |is_disabled| if is_disabled { "is disabled" } else { "works" };
    let (is_new_disabled, is_old_disabled) =
        (is_disabled(&new), old.as_ref().is_some_and(is_disabled));
    let (new_state, old_state) = (state(is_new_disabled), state(is_old_disabled));
    user_error.with_meaning(match (new_label, is_old_stored) {
        (Some(label), true) if is_new_disabled == is_old_disabled => {
            let both_state = if is_new_disabled { "are disabled" } else { "work" };
            format!("the new key is stored as '{label}' and both keys {both_state}")
        }
        (Some(label), true) => format!(
            "the new key is stored as '{label}' and {new_state}; the old one is stored and {old_state}"
        ),
        (Some(label), false) => format!(
            "the new key is stored as '{label}' and {new_state}; the text of the old one is not stored any more"
        ),
        (None, true) => format!(
            "the old key is stored and {old_state}; the text of the new one is not stored any more"
        ),
        (None, false) => "the text of neither key is stored any more".into(),
    })
}

/// Returns whether the key is stored under `label`, or the store cannot be read.
async fn may_be_stored(services: &ServiceContext, label: &Label, hash: &str) -> bool {
    secret_for(services, label).await.map_or(true, |key| key.is_some_and(|key| key.hash() == hash))
}

/// Returns an error unless another program, or an interrupted removal, removed the text of the key.
pub(super) fn ensure_removed(services: &ServiceContext, label: &Label) -> Result<(), Error> {
    match missing_error(services, label) {
        Error::MissingSecret { .. } => Ok(()),
        error => Err(error),
    }
}

/// Renames a new key at the server if the replaced key was renamed since: the new key was named like it
/// when it was created, and was stored under the label `before`.
pub(super) async fn rename_like_replaced_key(
    services: &ServiceContext,
    management: &ManagementKey,
    before: &Label,
    new: &StoredKey,
) {
    let is_named = (1..=9).any(|number| numbered_label(&new.label, "new", number) == *before);
    if !is_named && let Err(error) = rename_at_server(services, management, new).await {
        tracing::warn!(%error, "a new key could not be renamed at the server");
    }
}
