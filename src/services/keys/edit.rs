//! Edits a key: reads it, compares it with what the user saw, and writes.

use super::account_resources::{
    assign_guardrail, find_guardrail, get_assigned_guardrail, list_workspaces,
};
use super::current_key::check_current;
use super::management_key::load_management_key;
use super::remote_update::{UpdateOutcome, fetch_account_key, update_key};
use super::{Error, rename_key};
use crate::domain::{
    EditableKey, FieldChange, GuardrailChange, GuardrailRef, KeyUpdate, KeyUpdateOutcome,
    ManagementKey, StoredKey, UserError,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::ServiceContext;

/// Returns a key as the account has it, with its guardrail if that is to be edited. Without the right
/// to list workspaces their names are not known.
pub async fn fetch_editable_key(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
    edits_guardrail: bool,
) -> Result<EditableKey, Error> {
    let account_key = fetch_account_key(services, management, hash).await?;
    let guardrail = if edits_guardrail {
        get_assigned_guardrail(services, management, hash).await?
    } else {
        None
    };
    let workspaces = list_workspaces(services, management).await.unwrap_or_default();
    Ok(EditableKey { account_key, guardrail, workspaces })
}

/// Returns the guardrail for the name that the user gave; `none` is no guardrail.
pub async fn parse_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    text: &str,
) -> Result<FieldChange<GuardrailRef>, Error> {
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(FieldChange::Clear);
    }
    let found = find_guardrail(services, management, text).await?;
    Ok(FieldChange::Set(GuardrailRef { id: found.id, name: found.name }))
}

/// Makes the changes, unless the key was changed at OpenRouter since it was fetched.
pub async fn apply_key_update(services: &ServiceContext, update: KeyUpdate) -> KeyUpdateOutcome {
    apply(services, update)
        .await
        .unwrap_or_else(|error| KeyUpdateOutcome::Failed(error.to_user_error()))
}

async fn apply(services: &ServiceContext, update: KeyUpdate) -> Result<KeyUpdateOutcome, Error> {
    let KeyUpdate { key, account_patch, guardrail, new_label } = update;
    check_current(services, &key).await?;
    let management = load_management_key(services).await?;
    let required =
        || management.as_ref().ok_or_else(|| Error::NoManagementKey { page_url: key.page_url() });
    if let Some(change) = &guardrail
        && let Some(conflict) = find_guardrail_conflict(services, required()?, &key, change).await?
    {
        return Ok(conflict);
    }
    let (mut account_key, mut warning) = (None, None);
    if let Some((expected, patch)) = account_patch {
        match update_key(services, required()?, &expected, &patch).await? {
            UpdateOutcome::Conflict { current, changed_fields, .. } => {
                let guardrail = guardrail.and_then(|change| change.from);
                return Ok(KeyUpdateOutcome::Conflict {
                    current: *current,
                    guardrail,
                    changed_fields,
                });
            }
            UpdateOutcome::Applied { current, unapplied_fields, warning: update_warning } => {
                warning = update_warning;
                if !unapplied_fields.is_empty() {
                    let error = Error::UpdateNotApplied {
                        fields: unapplied_fields,
                        page_url: key.page_url(),
                    };
                    warning = Some(error.to_user_error());
                }
                account_key = Some(*current);
            }
        }
    }
    let mut has_changed = account_key.is_some();
    if let Some(change) = guardrail {
        let wanted = change.to.clone();
        match change_guardrail(services, required()?, &key.hash, change.from.as_ref(), wanted).await
        {
            Ok(()) => has_changed = true,
            Err(error) if has_changed => {
                warning = Some(partial_error(error, "the guardrail was not changed"));
            }
            // Someone else may have assigned another one after it was compared.
            Err(error) => {
                return match find_guardrail_conflict(services, required()?, &key, &change).await {
                    Ok(Some(conflict)) => Ok(conflict),
                    _ => Err(error),
                };
            }
        }
    }
    let mut stored_key = None;
    if let Some(label) = new_label {
        match rename_key(services, &key, &label, management.as_ref()).await {
            Ok(renamed) => {
                stored_key = Some(renamed.stored_key);
                warning = warning.or(renamed.warning).or(renamed.notice);
            }
            // The update at the server succeeded, so a failed rename is only a warning.
            Err(error) if has_changed => {
                warning = warning.or(Some(partial_error(error, "the key was not renamed")));
            }
            Err(error) => return Err(error),
        }
    }
    if stored_key.is_none() && key.is_stored() {
        let services = services.clone();
        let read = move || services.find_hash(&key.hash);
        stored_key = run_blocking(read).await.unwrap_or(Ok(None))?;
    }
    Ok(KeyUpdateOutcome::Updated { account_key, stored_key, warning })
}

/// Assigns a key to a guardrail, or to none, and records it in the inventory.
pub async fn apply_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
    guardrail: Option<GuardrailRef>,
) -> Result<(), Error> {
    change_guardrail(services, management, hash, None, guardrail).await
}

/// Does what [`apply_guardrail`] does. If `from` is given, only the assignment to it is removed.
async fn change_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    hash: &str,
    from: Option<&GuardrailRef>,
    guardrail: Option<GuardrailRef>,
) -> Result<(), Error> {
    let reserve = services.location.reserve_space()?;
    assign_guardrail(services, management, hash, from, guardrail.as_ref()).await?;
    drop(reserve);
    record_guardrail(services, hash, guardrail)
}

/// Records that the account has a key under this guardrail, or under none, and that no other one is
/// requested for it.
pub fn record_guardrail(
    services: &ServiceContext,
    hash: &str,
    guardrail: Option<GuardrailRef>,
) -> Result<(), Error> {
    let record = |stored_key: &mut StoredKey| {
        stored_key.requested.guardrail.clone_from(&guardrail);
        stored_key.guardrail = guardrail;
    };
    services.update_key(hash, record)?;
    Ok(())
}

/// Returns the conflict if the key has another guardrail than when the edit was made.
async fn find_guardrail_conflict(
    services: &ServiceContext,
    management: &ManagementKey,
    key: &StoredKey,
    change: &GuardrailChange,
) -> Result<Option<KeyUpdateOutcome>, Error> {
    let now = get_assigned_guardrail(services, management, &key.hash).await?;
    if now.as_ref().map(|now| &now.id) == change.from.as_ref().map(|from| &from.id) {
        return Ok(None);
    }
    Ok(Some(KeyUpdateOutcome::Conflict {
        current: fetch_account_key(services, management, &key.hash).await?,
        guardrail: now,
        changed_fields: vec!["guardrail"],
    }))
}

fn partial_error(error: Error, what: &str) -> UserError {
    let error = error.to_user_error();
    error.prefixed(format!("the other changes were made, but {what}"))
}
