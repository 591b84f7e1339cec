//! Rotates keys: replaces a key with a new one under the same policy.
//!
//! The new key is created and stored as `LABEL (new)`. Then, in steps that can be repeated:
//!
//! 1. store the old key also as `LABEL (old)`
//! 2. store the new key as `LABEL`, which `get LABEL` returns from then on
//! 3. delete `LABEL (new)` from the secret store
//! 4. write both new labels to the inventory in one transaction
//!
//! If the text of the old key was removed, only its entry of the inventory gets the label `LABEL (old)`.
//! Otherwise both keys are stored at every moment, and `LABEL` is one of them. Until the last step the new
//! key's inventory entry names the key that it replaces, so that the next start can continue.

mod resume;
mod shared;
mod unmoved;

use super::rotation_labels::{find_free_label, find_old_key_label, numbered_label};
use jiff::Timestamp;
pub use resume::{finish_rotations, resume_rotations};
use shared::{
    discard_replacement, ensure_not_replaced, follow_replaced_key, read_shared_key, replace_secret,
};
pub(super) use shared::{read_shared_keys, replaced_error};
use unmoved::{
    ensure_removed, finish_by_moving_label, has_moved, rename_like_replaced_key, renamed_error,
};

use super::carry_over::carry_over;
use super::management_key::{AccountAccess, load_access};
use super::same_policy::{build_same_policy_request, fetch_policy};
use super::{
    Error, delete_secret, get_assigned_guardrail, missing_error, secret_for, store_secret,
};
use crate::domain::{
    ErrorKind, Expiry, FieldChange, KeyRequest, PendingReplacement, ProvisioningEvent,
    ProvisioningOutcome, RetirePolicy, Retirement, Rotated, RotationOutcome, StoredKey, UserError,
    is_key_hash,
};
use crate::services::provision::{
    self, AuthMethod, ProvisioningControls, Replacement, ServiceContext,
};
use crate::storage::inventory;

/// The policy of a new key.
enum NewPolicy<'a> {
    /// That of the replaced key, except for this expiry.
    Same(&'a FieldChange<Expiry>),
    /// That of a plan.
    Planned(&'a KeyRequest),
}

/// Creates a key with the policy of `stored_key`, except for a new expiry, and moves the label to it. An
/// interrupted rotation of this key is continued without creating a second key.
pub async fn rotate_key(
    services: &ServiceContext,
    stored_key: &StoredKey,
    expiry: &FieldChange<Expiry>,
    auth_method: AuthMethod,
    policy: RetirePolicy,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> RotationOutcome {
    let new = NewPolicy::Same(expiry);
    rotate_key_with_policy(services, stored_key, new, auth_method, policy, controls, report).await
}

/// Replaces a key like [`rotate_key`] with one that has the policy of a plan. What the plan does not
/// name is that of the replaced key.
pub async fn replace_key(
    services: &ServiceContext,
    stored_key: &StoredKey,
    planned: &KeyRequest,
    auth_method: AuthMethod,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> RotationOutcome {
    let policy = RetirePolicy { unused_for: 3_600, revoke_when_unused: false };
    let new = NewPolicy::Planned(planned);
    rotate_key_with_policy(services, stored_key, new, auth_method, policy, controls, report).await
}

async fn rotate_key_with_policy(
    services: &ServiceContext,
    stored_key: &StoredKey,
    new_policy: NewPolicy<'_>,
    auth_method: AuthMethod,
    policy: RetirePolicy,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> RotationOutcome {
    let access = match &auth_method {
        AuthMethod::ManagementKey(management) => Ok(management.clone()),
        _ => load_access(services).await,
    };
    // The new key is stored where the old one is.
    let services = &services.for_key(stored_key);
    let plan = plan_rotation(services, stored_key, new_policy, &access, policy).await;
    let (request, replacement) = match plan {
        Ok(RotationPlan::CreateReplacement(request, replacement)) => (request, replacement),
        Ok(RotationPlan::Resume(new)) => {
            return Box::pin(finish_by_moving_label(services, &access, new, None)).await;
        }
        Err(error) => return RotationOutcome::Failed(error.to_user_error()),
    };
    // Boxed: the futures of many requests are large.
    let run =
        provision::run_replacement(&request, &replacement, auth_method, services, controls, report);
    let outcome = Box::pin(run).await;
    Box::pin(finish_with_access(services, &access, outcome)).await
}

/// Moves the label after the new key was provisioned.
pub async fn finish_rotation(
    services: &ServiceContext,
    outcome: ProvisioningOutcome,
) -> RotationOutcome {
    let access = load_access(services).await;
    Box::pin(finish_with_access(services, &access, outcome)).await
}

async fn finish_with_access(
    services: &ServiceContext,
    access: &AccountAccess,
    outcome: ProvisioningOutcome,
) -> RotationOutcome {
    match outcome {
        // A response without a recognisable key was stored as it was received.
        ProvisioningOutcome::Stored { stored_key, .. } if stored_key.replaces.is_none() => {
            RotationOutcome::LabelNotMoved {
                error: UserError::new(
                    ErrorKind::Unresolved,
                    "the server's response is stored, but the key in it was not recognised",
                    format!(
                        "the old key still has its label; look at the response: {}",
                        stored_key.label.command("get")
                    ),
                ),
                new: stored_key,
            }
        }
        ProvisioningOutcome::Stored { stored_key, warning, .. } => {
            finish_by_moving_label(services, access, stored_key, warning).await
        }
        ProvisioningOutcome::NotStored { entry: stored_key, key, error } => {
            RotationOutcome::NotStored { entry: stored_key, key, error }
        }
        ProvisioningOutcome::Failed(error) => RotationOutcome::Failed(error),
    }
}

enum RotationPlan {
    CreateReplacement(KeyRequest, Replacement),
    Resume(StoredKey),
}

async fn plan_rotation(
    services: &ServiceContext,
    stored_key: &StoredKey,
    new_policy: NewPolicy<'_>,
    access: &AccountAccess,
    policy: RetirePolicy,
) -> Result<RotationPlan, Error> {
    // Someone else may be replacing it; then that rotation is continued.
    read_shared_key(services, &numbered_label(&stored_key.label, "new", 1)).await?;
    let stored_keys = services.list_keys()?;
    let stored_key = stored_keys
        .iter()
        .find(|new_key| new_key.hash == stored_key.hash)
        .ok_or_else(|| Error::NotInInventory(stored_key.label.clone()))?;
    let replaces = |new_key: &&StoredKey| {
        new_key.replaces.as_ref().is_some_and(|old| old.hash == stored_key.hash)
    };
    if let Some(new) = stored_keys.iter().find(replaces) {
        return Ok(RotationPlan::Resume(new.clone()));
    }
    if stored_key.retirement.is_some() {
        return Err(Error::AlreadyReplaced(stored_key.label.clone()));
    }
    let key = match secret_for(services, &stored_key.label).await? {
        Some(key) if key.hash() == stored_key.hash => Some(key),
        Some(_) => return Err(replaced_error(services, &stored_key.label).await),
        None => {
            ensure_removed(services, &stored_key.label)?;
            None
        }
    };
    let current = fetch_policy(services, access, stored_key, key.as_ref()).await;
    let guardrail = match access {
        Ok(management) => get_assigned_guardrail(services, management, &stored_key.hash).await.ok(),
        Err(_) => None,
    };
    // A key that the account does not have any more has no assignment either; the last known one counts.
    let guardrail =
        guardrail.filter(|now| now.is_some() || current.checked_at != stored_key.checked_at);
    if current.info.is_some() || guardrail.is_some() {
        // The new key is compared with this reading if a later one is incomplete or the guardrail
        // is deleted in the meantime.
        let record = |key: &mut StoredKey| {
            key.info = current.info.clone().or(key.info.take());
            if let Some(guardrail) = guardrail {
                key.record_guardrail(guardrail);
            }
        };
        services.update_key(&stored_key.hash, record)?;
    }
    let (request, is_planned) = match new_policy {
        NewPolicy::Planned(planned) => (planned.clone(), true),
        NewPolicy::Same(expiry) => {
            (build_same_policy_request(&current, expiry, Timestamp::now())?, false)
        }
    };
    let replaces = PendingReplacement {
        hash: stored_key.hash.clone(),
        unused_for: policy.unused_for,
        revoke_when_unused: policy.revoke_when_unused,
        is_planned,
    };
    let label = find_free_label(services, &stored_keys, &stored_key.label, "new", None).await?;
    Ok(RotationPlan::CreateReplacement(request, Replacement { label, replaces }))
}

/// Gives the new key the assignments of the old one, then moves the label to it. Can continue after
/// an interruption.
pub async fn move_label(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<Rotated, Error> {
    move_label_with_access(services, &load_access(services).await, stored_key).await
}

/// Moves the label like [`move_label`]. A new key that is not needed, since someone else replaced the same
/// key, is removed again.
async fn move_label_or_discard(
    services: &ServiceContext,
    access: &AccountAccess,
    new: &StoredKey,
) -> Result<Rotated, Error> {
    match move_label_with_access(services, access, new).await {
        Err(Error::ReplacedByOther(error)) => {
            Err(Error::ReplacedByOther(discard_replacement(services, access, new, error).await))
        }
        result => result,
    }
}

async fn move_label_with_access(
    services: &ServiceContext,
    access: &AccountAccess,
    stored_key: &StoredKey,
) -> Result<Rotated, Error> {
    let new = stored_key.hash.as_str();
    // One process at a time. Only a valid hash may become part of the file name.
    let name = if is_key_hash(new) { &new[..16] } else { "odd" };
    let _rotation_lock = services.location.try_lock(&format!("rotation-{name}.lock"))?;
    let mut stored_keys = services.list_keys()?;
    if stored_keys.iter().any(|key| key.hash == new && key.move_to.is_some()) {
        // The label must not move to a key that others cannot read.
        let (_, errors) = provision::move_waiting_keys(services).await?;
        if let Some(error) = errors.into_iter().next() {
            return Err(Error::Refused(error));
        }
        stored_keys = services.list_keys()?;
    }
    let by_hash = |hash: &str| stored_keys.iter().find(|new_key| new_key.hash == hash).cloned();
    let Some(new_key) = by_hash(new) else {
        return Err(Error::NotInInventory(stored_key.label.clone()));
    };
    let Some(replaces) = &new_key.replaces else {
        // Another process has finished this rotation, or released the key since another one won.
        let old = stored_key.replaces.as_ref().and_then(|replaces| by_hash(&replaces.hash));
        if let Some(old) = old.as_ref().filter(|old| old.retirement.is_some())
            && new_key.label == stored_key.label
        {
            return Err(Error::AlreadyReplaced(old.label.clone()));
        }
        if old.as_ref().is_some_and(|old| !has_moved(&new_key, old)) {
            return Err(Error::Refused(renamed_error(&new_key)));
        }
        return Ok(Rotated { new: new_key, old, not_carried: Vec::new() });
    };
    if new_key.is_of_unconfirmed_account() {
        return Err(Error::Refused(new_key.other_account_error()));
    }
    let old = match by_hash(&replaces.hash) {
        Some(old) => follow_replaced_key(services, old).await?,
        None => None,
    };
    old.as_ref().map_or(Ok(()), ensure_not_replaced)?;
    let carried = carry_over(services, access, &replaces.hash, old.as_ref(), &new_key).await;
    let not_carried = carried.not_carried;
    let record = |key: &mut StoredKey| {
        key.info.clone_from(&carried.new.info);
        key.granted.clone_from(&carried.new.granted);
        key.requested.limit = carried.new.requested.limit;
        key.requested.limit_reset = carried.new.requested.limit_reset;
        key.guardrail.clone_from(&carried.new.guardrail);
        key.checked_at = carried.new.checked_at;
        key.replaces = None;
    };
    let Some(old) = old else {
        let freed = services.update_key(new, record)?;
        return Ok(Rotated { new: freed.unwrap_or(new_key), old: None, not_carried });
    };
    let label = &old.label;
    let (old_services, services) = (&services.for_key(&old), &services.for_key(&new_key));
    // No other process may take a label before the inventory is written.
    let storing_lock = provision::lock_storing(services).await?;
    // Another rotation or a rename may have ended since the inventory was read.
    let stored_keys = services.list_keys()?;
    let current = stored_keys.iter().find(|key| key.hash == old.hash);
    current.map_or(Ok(()), ensure_not_replaced)?;
    if current.is_none_or(|current| current.label != *label) {
        return Err(Error::NotInInventory(label.clone()));
    }
    let reserve = services.location.reserve_space()?;
    let is_one_store = old.location == new_key.location;
    let old_label = match secret_for(old_services, label).await? {
        Some(key) if key.hash() == old.hash => {
            let old_label =
                find_free_label(old_services, &stored_keys, label, "old", Some(&old.hash)).await?;
            store_secret(old_services, &old_label, &key).await?;
            old_label
        }
        Some(key) if key.hash() != new => {
            return Err(replaced_error(old_services, label).await);
        }
        // Step 2 had begun, so the old key is already stored under its new label, or another program
        // removed its text. Then its entry of the inventory gets the new label all the same.
        existing => {
            let old_label = find_old_key_label(old_services, label, &old.hash).await?;
            if let Some(old_label) = old_label {
                old_label
            } else {
                if existing.is_none() {
                    ensure_removed(old_services, label)?;
                }
                find_free_label(old_services, &stored_keys, label, "old", None).await?
            }
        }
    };
    let existing = secret_for(services, label).await?;
    if existing.is_none_or(|key| key.hash() != new) {
        match secret_for(services, &new_key.label).await? {
            Some(key) if key.hash() == new && is_one_store => {
                replace_secret(services, label, &old.hash, &key).await?;
            }
            Some(key) if key.hash() == new => store_secret(services, label, &key).await?,
            Some(_) => return Err(Error::SecretMismatch(new_key.label.clone())),
            None => return Err(missing_error(services, &new_key.label)),
        }
    }
    if new_key.label != *label {
        delete_secret(services, &new_key.label).await?;
    }
    if !is_one_store {
        // Its copy has the label of the replaced key.
        delete_secret(old_services, label).await?;
    }
    drop(reserve);
    let retirement = Retirement {
        replaced_at: Timestamp::now(),
        unused_for: replaces.unused_for,
        // The user agreed to delete the old key, but not to have a weaker key in its place. With a
        // management key an unknown part means that it may be weaker.
        revoke_when_unused: replaces.revoke_when_unused
            && !not_carried.iter().any(|part| part.is_lost() || access.is_ok()),
    };
    let moved = inventory::update_keys(&services.location, |keys| {
        let at = |hash: &str| {
            keys.iter().position(|stored_key| {
                stored_key.server == services.server && stored_key.hash == hash
            })
        };
        let (Some(to), Some(from)) = (at(new), at(&old.hash)) else {
            return Err(Error::NotInInventory(label.clone()));
        };
        keys[from].label = old_label;
        keys[from].retirement = Some(retirement);
        keys[to].label = label.clone();
        if !replaces.is_planned {
            // The workspace was requested by its UUID so that it is the same.
            let requested = keys[from].requested.clone();
            keys[to].requested.workspace_id = requested.workspace_id;
            keys[to].requested.guardrail = requested.guardrail;
        }
        if carried.ends_guardrail_request {
            keys[to].requested.guardrail = None;
        }
        record(&mut keys[to]);
        let replaced = keys[from].clone();
        keys[to].continue_lifetime_of(&replaced);
        Ok(Rotated { new: keys[to].clone(), old: Some(replaced), not_carried })
    })?;
    drop(storing_lock);
    if let (Ok(rotated), Ok(management)) = (&moved, access) {
        rename_like_replaced_key(services, management, &new_key.label, &rotated.new).await;
    }
    moved
}
