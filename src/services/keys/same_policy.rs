//! The request for a key with the policy of an existing one.

use std::sync::Arc;

use jiff::Timestamp;

use super::management_key::AccountAccess;
use super::rotation_labels::find_old_key_label;
use super::{Error, secret_for};
use crate::api::openrouter::Client;
use crate::domain::{
    ApiKey, Cents, CheckResult, Expiry, FieldChange, KeyInfo, KeyRequest, StoredKey, UserError,
    format_command,
};
use crate::services::provision::ServiceContext;

/// Returns the key with its present policy: from the account, else from `GET /key` with the key
/// itself, else as last known.
pub(super) async fn fetch_policy(
    services: &ServiceContext,
    access: &AccountAccess,
    stored_key: &StoredKey,
    key: Option<&ApiKey>,
) -> StoredKey {
    let mut current = stored_key.clone();
    let Ok(client) = services.build_client() else { return current };
    if let Ok(management) = access
        && let Ok(account_key) =
            client.with_management_key(management).get_key(&stored_key.hash).await
    {
        current.record_account_key(&account_key, Timestamp::now());
        return current;
    }
    if let Some(key) = key
        && stored_key.disabled != Some(true)
        && let Ok(info) = client.once().get_current_key(key).await
    {
        current.record_check(&CheckResult::Valid(Arc::new(info)), Timestamp::now());
    }
    current
}

/// Returns a request with the policy in effect, except for a new expiry. Fails rather than dropping a limit
/// or an expiry that cannot be requested.
pub(super) fn build_same_policy_request(
    stored_key: &StoredKey,
    new_expiry: &FieldChange<Expiry>,
    now: Timestamp,
) -> Result<KeyRequest, Error> {
    let not_repeatable =
        |reason: String| Error::PolicyNotRepeatable(stored_key.label.clone(), reason);
    let (limit, reset) = (stored_key.limit(), stored_key.reset());
    let not_known = |name: &str, words: &str| {
        not_repeatable(match words {
            "" => format!("its {name} is not known"),
            _ => format!("its {name} is '{words}', which this version does not understand"),
        })
    };
    let limit = limit
        .to_known()
        .map_err(|words| not_known("limit", words))?
        .map(Cents::at_most)
        .transpose()
        .map_err(|problem| not_repeatable(problem.to_string()))?;
    let reset = match limit {
        Some(_) => reset.to_known().map_err(|words| not_known("reset", words))?,
        None => None,
    };
    let expiry = match new_expiry {
        FieldChange::Keep => stored_key
            .replacement_expiry(now)
            .map_err(|reason| expiry_not_repeatable_error(stored_key, &reason))?,
        FieldChange::Clear => None,
        FieldChange::Set(expiry) => Some(expiry.clone()),
    };
    Ok(KeyRequest {
        label: stored_key.label.clone(),
        limit,
        limit_reset: reset,
        expiry,
        workspace_id: stored_key.workspace_id().cloned(),
        ..KeyRequest::default()
    })
}

fn expiry_not_repeatable_error(key: &StoredKey, reason: &str) -> Error {
    let renew = format_command(&["rotate", "--expires", "30d"], &[key.label.as_str()]);
    let error = UserError::failed(
        format!("'{}' cannot be replaced with the same policy: {reason}", key.label),
        format!("give the new key another expiry: {renew}"),
    );
    Error::Refused(error.with_meaning("no key was created and nothing was spent"))
}

/// Updates the requested policy of the new key to the present limit and reset of the old one:
/// someone else may have changed them since they were read. Returns whether they changed.
pub(super) fn follow_policy(new: &mut StoredKey, old: &KeyInfo) -> bool {
    let (Ok(limit), Ok(reset)) = (old.limit.to_known(), old.limit_reset.to_known()) else {
        return false;
    };
    let Ok(limit) = limit.map(Cents::at_most).transpose() else { return false };
    let reset = limit.and(reset);
    let is_changed = (new.requested.limit, new.requested.limit_reset) != (limit, reset);
    new.requested.limit = limit;
    new.requested.limit_reset = reset;
    is_changed
}

/// Follows the policy of the old key like [`follow_policy`], read with that key itself. Returns why it could
/// not be read; a key that the server rejects has no policy any more.
pub(super) async fn follow_policy_of_key(
    services: &ServiceContext,
    client: &Client,
    old: &StoredKey,
    new: &mut StoredKey,
) -> Result<bool, String> {
    if old.disabled == Some(true) {
        return Ok(false);
    }
    let Ok(Some(key)) = old_key_text(&services.for_key(old), old).await else {
        return Err("the text of the old key could not be read".into());
    };
    match client.get_current_key(&key).await {
        Ok(info) => Ok(follow_policy(new, &info)),
        Err(error) if matches!(error.status(), Some(401 | 402)) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the text of the old key. After an interrupted rotation it is under the label `LABEL (old)`, while
/// the inventory still has the earlier label.
async fn old_key_text(services: &ServiceContext, old: &StoredKey) -> Result<Option<ApiKey>, Error> {
    let key = secret_for(services, &old.label).await?.filter(|key| key.hash() == old.hash);
    if key.is_some() {
        return Ok(key);
    }
    match find_old_key_label(services, &old.label, &old.hash).await? {
        Some(label) => Ok(secret_for(services, &label).await?.filter(|key| key.hash() == old.hash)),
        None => Ok(None),
    }
}
