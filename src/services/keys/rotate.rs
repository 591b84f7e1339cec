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

use super::{Error, absent, drop_entry, held_under, put};
use crate::domain::{
    Cents, ErrorKind, Expiry, KeyRequest, Label, PendingReplacement, ProvisioningEvent,
    ProvisioningOutcome, RetirePolicy, Retirement, Rotated, RotationOutcome, StoredKey, UserError,
    is_key_hash,
};
use crate::services::provision::{self, Controls, Replacement, Services, Way};
use crate::storage::inventory;
use crate::storage::json_store;

/// Cuts a key under the policy of `held`, and gives it that one's label. A rotation of this key
/// that was interrupted goes on instead; no second key is cut.
pub async fn rotate(
    services: &Services,
    held: &StoredKey,
    way: Way,
    terms: RetirePolicy,
    controls: &mut Controls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> RotationOutcome {
    let (request, replacement) = match plan(services, held, terms, Timestamp::now()).await {
        Ok(Plan::Cut(request, replacement)) => (request, replacement),
        Ok(Plan::GoOn(new)) => return handed(services, *new, None).await,
        Err(error) => return RotationOutcome::Failed(error.trouble()),
    };
    let outcome = provision::replace(&request, &replacement, way, services, controls, report).await;
    rotated(services, outcome).await
}

/// Goes on where the new key's journey ended.
pub async fn rotated(services: &Services, outcome: ProvisioningOutcome) -> RotationOutcome {
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
            handed(services, held, note).await
        }
        ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
            RotationOutcome::NotStored { entry: held, key, error: trouble }
        }
        ProvisioningOutcome::Failed(trouble) => RotationOutcome::Failed(trouble),
    }
}

async fn handed(services: &Services, new: StoredKey, note: Option<UserError>) -> RotationOutcome {
    match hand_over(services, &new).await {
        Ok(handed) => RotationOutcome::Completed { rotated: handed, warning: note },
        Err(error) => RotationOutcome::LabelNotMoved { new, error: error.trouble() },
    }
}

enum Plan {
    Cut(KeyRequest, Replacement),
    GoOn(Box<StoredKey>),
}

async fn plan(
    services: &Services,
    held: &StoredKey,
    terms: RetirePolicy,
    now: Timestamp,
) -> Result<Plan, Error> {
    let rows = inventory::list_keys(&services.place, &services.server)?;
    let held = rows
        .iter()
        .find(|row| row.hash == held.hash)
        .ok_or_else(|| Error::NotHeld(held.label.clone()))?;
    let replaces =
        |row: &&StoredKey| row.replaces.as_ref().is_some_and(|old| old.hash == held.hash);
    if let Some(new) = rows.iter().find(replaces) {
        return Ok(Plan::GoOn(Box::new(new.clone())));
    }
    if held.retirement.is_some() {
        return Err(Error::Replaced(held.label.clone()));
    }
    match held_under(services, &held.label).await? {
        Some(key) if key.hash() == held.hash => {}
        Some(_) => return Err(Error::AnotherKey(held.label.clone())),
        None => return Err(absent(services, &held.label)),
    }
    let request = same_policy(held, now)?;
    let replaces = PendingReplacement {
        hash: held.hash.clone(),
        unused_for: terms.unused_for,
        revoke_when_unused: terms.revoke_when_unused,
    };
    let label = spare(services, &rows, &held.label, "new", None).await?;
    Ok(Plan::Cut(request, Replacement { label, replaces }))
}

/// The policy that is in force, asked for once more. Nothing is left out in silence: a limit that
/// cannot be asked for must not become none.
fn same_policy(held: &StoredKey, now: Timestamp) -> Result<KeyRequest, Error> {
    let not_the_same = |why: String| Error::NoSamePolicy { label: held.label.clone(), why };
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
pub async fn hand_over(services: &Services, held: &StoredKey) -> Result<Rotated, Error> {
    let new = held.hash.as_str();
    // One program at a time. The name is made of a hash only if it is one.
    let name = if is_key_hash(new) { &new[..16] } else { "odd" };
    let _claim = services.place.try_lock(&format!("rotation-{name}.lock"))?;
    let rows = inventory::list_keys(&services.place, &services.server)?;
    let by_hash = |hash: &str| rows.iter().find(|row| row.hash == hash).cloned();
    let Some(row) = by_hash(new) else {
        return Err(Error::NotHeld(held.label.clone()));
    };
    let Some(replaces) = &row.replaces else {
        return Ok(Rotated { new: row, old: None });
    };
    let Some(old) = by_hash(&replaces.hash) else {
        let freed = |held: &mut StoredKey| held.replaces = None;
        let freed = inventory::update_key(&services.place, &services.server, new, freed)?;
        return Ok(Rotated { new: freed.unwrap_or(row), old: None });
    };
    let label = &old.label;
    // Nobody else may take a label between our look at it and the list.
    let _turn = provision::turn(services).await;
    let kept = match held_under(services, label).await? {
        Some(key) if key.hash() == old.hash => {
            let kept = spare(services, &rows, label, "old", Some(&old.hash)).await?;
            put(services, &kept, &key).await?;
            kept
        }
        Some(key) if key.hash() != new => return Err(Error::AnotherKey(label.clone())),
        // The step after that was begun already, so the old key is where it was put.
        _ => find(services, label, &old.hash)
            .await?
            .ok_or_else(|| Error::AnotherKey(label.clone()))?,
    };
    let there = held_under(services, label).await?;
    if there.is_none_or(|key| key.hash() != new) {
        match held_under(services, &row.label).await? {
            Some(key) if key.hash() == new => put(services, label, &key).await?,
            Some(_) => return Err(Error::AnotherKey(row.label.clone())),
            None => return Err(absent(services, &row.label)),
        }
    }
    if row.label != *label {
        drop_entry(services, &row.label).await?;
    }
    let retiring = Retirement {
        replaced_at: Timestamp::now(),
        unused_for: replaces.unused_for,
        revoke_when_unused: replaces.revoke_when_unused,
    };
    inventory::update_keys(&services.place, |keys| {
        let at = |hash: &str| {
            keys.iter().position(|held| held.server == services.server && held.hash == hash)
        };
        let (Some(to), Some(from)) = (at(new), at(&old.hash)) else {
            return Err(Error::NotHeld(label.clone()));
        };
        if keys[from].label != *label {
            // Renamed just now: the next try begins with that label.
            return Err(Error::NotHeld(label.clone()));
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
    services: &Services,
) -> Result<Vec<(Label, Result<Rotated, UserError>)>, json_store::Error> {
    let mut resumed = Vec::new();
    for row in
        inventory::filter_keys(&services.place, &services.server, |row| row.replaces.is_some())?
    {
        match hand_over(services, &row).await {
            Err(Error::Document(json_store::Error::LockHeld(_))) => {}
            result => resumed.push((row.label, result.map_err(|error| error.trouble()))),
        }
    }
    Ok(resumed)
}

/// The first of `LABEL (word)`, `LABEL (word) 2`… that nobody has; or the one where the key with
/// that hash lies already.
async fn spare(
    services: &Services,
    rows: &[StoredKey],
    label: &Label,
    word: &str,
    ours: Option<&str>,
) -> Result<Label, Error> {
    for number in 1..=9 {
        let name = numbered(label, word, number);
        match held_under(services, &name).await? {
            Some(key) if ours.is_some_and(|hash| key.hash() == hash) => return Ok(name),
            None if rows.iter().all(|row| row.label != name) => return Ok(name),
            _ => {}
        }
    }
    Err(Error::LabelHeld(numbered(label, word, 1)))
}

/// Under which of them the old key lies.
async fn find(services: &Services, label: &Label, hash: &str) -> Result<Option<Label>, Error> {
    for number in 1..=9 {
        let name = numbered(label, "old", number);
        if held_under(services, &name).await?.is_some_and(|key| key.hash() == hash) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn numbered(label: &Label, word: &str, number: u8) -> Label {
    let words = if number == 1 { format!("({word})") } else { format!("({word}) {number}") };
    label.with_suffix(&words)
}
