//! Another key under the same policy in a key's place. Owns: the order of the handing over.
//!
//! The new key is cut and held beside the old one, under `LABEL (new)`. Then, each step read back
//! and safe to make twice:
//!
//! 1. the old key is also put under `LABEL (old)`
//! 2. the new key is put under `LABEL`: from here on `get LABEL` gives it
//! 3. `LABEL (new)` is taken out of the vault
//! 4. the inventory takes both new labels, in one transaction
//!
//! Both keys lie in the vault at every moment, and `LABEL` is one of them. Until the last step the
//! new key's row says what it replaces: the next start goes on from wherever this one was.

use jiff::Timestamp;

use super::{Error, delete_secret, missing_error, secret_for, store_secret};
use crate::domain::{
    Cents, ErrorKind, Expiry, KeyRequest, Label, PendingReplacement, ProvisioningEvent,
    ProvisioningOutcome, RetirePolicy, Retirement, Rotated, RotationOutcome, StoredKey, UserError,
    is_key_hash,
};
use crate::services::provision::{
    self, AuthMethod, ProvisioningControls, Replacement, ServiceContext,
};
use crate::storage::inventory;
use crate::storage::json_store;

/// Cuts a key under the policy of `held`, and gives it that one's label. A rotation of this key
/// that was interrupted goes on instead; no second key is cut.
pub async fn rotate_key(
    services: &ServiceContext,
    held: &StoredKey,
    way: AuthMethod,
    terms: RetirePolicy,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> RotationOutcome {
    let (request, replacement) = match plan_rotation(services, held, terms, Timestamp::now()).await
    {
        Ok(RotationPlan::CreateReplacement(request, replacement)) => (request, replacement),
        Ok(RotationPlan::Resume(new)) => return finish_by_moving_label(services, *new, None).await,
        Err(error) => return RotationOutcome::Failed(error.to_user_error()),
    };
    let outcome =
        provision::run_replacement(&request, &replacement, way, services, controls, report).await;
    finish_rotation(services, outcome).await
}

/// Goes on where the new key's journey ended.
pub async fn finish_rotation(
    services: &ServiceContext,
    outcome: ProvisioningOutcome,
) -> RotationOutcome {
    match outcome {
        // An answer in which no key could be told from the rest, stored as it came.
        ProvisioningOutcome::Stored { stored_key: held, .. } if held.replaces.is_none() => {
            RotationOutcome::LabelNotMoved {
                error: UserError::new(
                    ErrorKind::Unresolved,
                    "the server's answer is stored, and which of it is the key is not known",
                    format!(
                        "the old key still has its label; look at the answer: keywright get '{}'",
                        held.label
                    ),
                ),
                new: held,
            }
        }
        ProvisioningOutcome::Stored { stored_key: held, warning: note, .. } => {
            finish_by_moving_label(services, held, note).await
        }
        ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
            RotationOutcome::NotStored { entry: held, key, error: trouble }
        }
        ProvisioningOutcome::Failed(trouble) => RotationOutcome::Failed(trouble),
    }
}

async fn finish_by_moving_label(
    services: &ServiceContext,
    new: StoredKey,
    note: Option<UserError>,
) -> RotationOutcome {
    match move_label(services, &new).await {
        Ok(handed) => RotationOutcome::Completed { rotated: handed, warning: note },
        Err(error) => RotationOutcome::LabelNotMoved { new, error: error.to_user_error() },
    }
}

enum RotationPlan {
    CreateReplacement(KeyRequest, Replacement),
    Resume(Box<StoredKey>),
}

async fn plan_rotation(
    services: &ServiceContext,
    held: &StoredKey,
    terms: RetirePolicy,
    now: Timestamp,
) -> Result<RotationPlan, Error> {
    let rows = inventory::list_keys(&services.location, &services.server)?;
    let held = rows
        .iter()
        .find(|row| row.hash == held.hash)
        .ok_or_else(|| Error::NotInInventory(held.label.clone()))?;
    let replaces =
        |row: &&StoredKey| row.replaces.as_ref().is_some_and(|old| old.hash == held.hash);
    if let Some(new) = rows.iter().find(replaces) {
        return Ok(RotationPlan::Resume(Box::new(new.clone())));
    }
    if held.retirement.is_some() {
        return Err(Error::AlreadyReplaced(held.label.clone()));
    }
    match secret_for(services, &held.label).await? {
        Some(key) if key.hash() == held.hash => {}
        Some(_) => return Err(Error::SecretMismatch(held.label.clone())),
        None => return Err(missing_error(services, &held.label)),
    }
    let request = build_same_policy_request(held, now)?;
    let replaces = PendingReplacement {
        hash: held.hash.clone(),
        unused_for: terms.unused_for,
        revoke_when_unused: terms.revoke_when_unused,
    };
    let label = find_free_label(services, &rows, &held.label, "new", None).await?;
    Ok(RotationPlan::CreateReplacement(request, Replacement { label, replaces }))
}

/// The policy that is in force, asked for once more. Nothing is left out in silence: a limit that
/// cannot be asked for must not become none.
fn build_same_policy_request(held: &StoredKey, now: Timestamp) -> Result<KeyRequest, Error> {
    let not_the_same =
        |why: String| Error::PolicyNotRepeatable { label: held.label.clone(), reason: why };
    let limit = held
        .limit()
        .map(Cents::try_from)
        .transpose()
        .map_err(|problem| not_the_same(problem.to_string()))?;
    let expiry = match (&held.requested.expires_input, held.expires_at()) {
        // `30d` is thirty days from now; a date is that date.
        (Some(words), _) => Expiry::parse(words, now)
            .map_err(|problem| not_the_same(format!("it was to expire {words}; {problem}")))?,
        (None, Some(at)) if at > now => Some(Expiry { at, input: at.to_string() }),
        (None, Some(at)) => {
            return Err(not_the_same(format!(
                "it expired {}",
                crate::domain::format_timestamp(at)
            )));
        }
        (None, None) => None,
    };
    Ok(KeyRequest {
        label: held.label.clone(),
        limit,
        limit_reset: held.reset().filter(|_| limit.is_some()),
        expiry,
        workspace_id: held.requested.workspace_id.clone(),
    })
}

/// Hands the label over from the old key to the new one, from wherever that was interrupted.
pub async fn move_label(services: &ServiceContext, held: &StoredKey) -> Result<Rotated, Error> {
    let new = held.hash.as_str();
    // One program at a time. The name is made of a hash only if it is one.
    let name = if is_key_hash(new) { &new[..16] } else { "odd" };
    let _claim = services.location.try_lock(&format!("rotation-{name}.lock"))?;
    let rows = inventory::list_keys(&services.location, &services.server)?;
    let by_hash = |hash: &str| rows.iter().find(|row| row.hash == hash).cloned();
    let Some(row) = by_hash(new) else {
        return Err(Error::NotInInventory(held.label.clone()));
    };
    let Some(replaces) = &row.replaces else {
        return Ok(Rotated { new: row, old: None });
    };
    let Some(old) = by_hash(&replaces.hash) else {
        let freed = |held: &mut StoredKey| held.replaces = None;
        let freed = inventory::update_key(&services.location, &services.server, new, freed)?;
        return Ok(Rotated { new: freed.unwrap_or(row), old: None });
    };
    let label = &old.label;
    // Nobody else may take a label between our look at it and the list.
    let _turn = provision::lock_storing(services).await;
    let kept = match secret_for(services, label).await? {
        Some(key) if key.hash() == old.hash => {
            let kept = find_free_label(services, &rows, label, "old", Some(&old.hash)).await?;
            store_secret(services, &kept, &key).await?;
            kept
        }
        Some(key) if key.hash() != new => return Err(Error::SecretMismatch(label.clone())),
        // The step after that was begun already, so the old key is where it was put.
        _ => find_old_key_label(services, label, &old.hash)
            .await?
            .ok_or_else(|| Error::SecretMismatch(label.clone()))?,
    };
    let there = secret_for(services, label).await?;
    if there.is_none_or(|key| key.hash() != new) {
        match secret_for(services, &row.label).await? {
            Some(key) if key.hash() == new => store_secret(services, label, &key).await?,
            Some(_) => return Err(Error::SecretMismatch(row.label.clone())),
            None => return Err(missing_error(services, &row.label)),
        }
    }
    if row.label != *label {
        delete_secret(services, &row.label).await?;
    }
    let retiring = Retirement {
        replaced_at: Timestamp::now(),
        unused_for: replaces.unused_for,
        revoke_when_unused: replaces.revoke_when_unused,
    };
    inventory::update_keys(&services.location, |keys| {
        let at = |hash: &str| {
            keys.iter().position(|held| held.server == services.server && held.hash == hash)
        };
        let (Some(to), Some(from)) = (at(new), at(&old.hash)) else {
            return Err(Error::NotInInventory(label.clone()));
        };
        if keys[from].label != *label {
            // Renamed just now: the next try begins with that label.
            return Err(Error::NotInInventory(label.clone()));
        }
        keys[from].label = kept;
        keys[from].retirement = Some(retiring);
        keys[to].label = label.clone();
        keys[to].replaces = None;
        Ok(Rotated { new: keys[to].clone(), old: Some(keys[from].clone()) })
    })?
}

/// Goes on with the rotations that an earlier run left between cutting and handing over; each with
/// the label it is about. One that another program is at is left to it.
pub async fn resume_rotations(
    services: &ServiceContext,
) -> Result<Vec<(Label, Result<Rotated, UserError>)>, json_store::Error> {
    let mut resumed = Vec::new();
    for row in
        inventory::filter_keys(&services.location, &services.server, |row| row.replaces.is_some())?
    {
        match move_label(services, &row).await {
            Err(Error::JsonStore(json_store::Error::LockHeld(_))) => {}
            result => resumed.push((row.label, result.map_err(|error| error.to_user_error()))),
        }
    }
    Ok(resumed)
}

/// The first of `LABEL (word)`, `LABEL (word) 2`… that nobody has; or the one where the key with
/// that hash lies already.
async fn find_free_label(
    services: &ServiceContext,
    rows: &[StoredKey],
    label: &Label,
    word: &str,
    ours: Option<&str>,
) -> Result<Label, Error> {
    for number in 1..=9 {
        let name = numbered_label(label, word, number);
        match secret_for(services, &name).await? {
            Some(key) if ours.is_some_and(|hash| key.hash() == hash) => return Ok(name),
            None if rows.iter().all(|row| row.label != name) => return Ok(name),
            _ => {}
        }
    }
    Err(Error::LabelTaken(numbered_label(label, word, 1)))
}

/// Under which of them the old key lies.
async fn find_old_key_label(
    services: &ServiceContext,
    label: &Label,
    hash: &str,
) -> Result<Option<Label>, Error> {
    for number in 1..=9 {
        let name = numbered_label(label, "old", number);
        if secret_for(services, &name).await?.is_some_and(|key| key.hash() == hash) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn numbered_label(label: &Label, word: &str, number: u8) -> Label {
    let words = if number == 1 { format!("({word})") } else { format!("({word}) {number}") };
    label.with_suffix(&words)
}
