//! The response to a leak: disables the leaked keys, then replaces each with a new one.

use super::UpdatedKey;
use super::remote_update::send_disabled;
use super::rotate::{move_label, rotate_key};
use crate::domain::{
    ActionResult, FieldChange, LeakResponse, ManagementKey, ProvisioningEvent, RetirePolicy,
    StoredKey,
};
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};
use crate::storage::inventory;

/// Disables all `leaked` keys, then replaces each with a new key under the same policy, unless it
/// was replaced before. Without a management key, the results say where the account's owner can
/// disable them.
pub async fn respond_to_leak(
    services: &ServiceContext,
    leaked: &[StoredKey],
    management: Option<&ManagementKey>,
    auth_method: &AuthMethod,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Vec<LeakResponse> {
    // Before the first request: the program may end before all are disabled.
    mark_leaked(services, leaked);
    let mut disabled = Vec::with_capacity(leaked.len());
    for stored_key in leaked {
        disabled.push(disable_leaked_key(services, stored_key, management).await);
    }
    // Where both keys of a rotation leaked, its label moves first, and the new key is replaced.
    for new in leaked.iter().filter(|key| key.replaces.is_some()) {
        if let Err(error) = move_label(services, new).await {
            tracing::warn!(%error, "the label of a leaked key could not be moved yet");
        }
    }
    let policy = RetirePolicy { unused_for: 0, revoke_when_unused: false };
    let mut responses = Vec::with_capacity(leaked.len());
    for (leaked_key, disabled) in leaked.iter().zip(disabled) {
        let current = services.find_hash(&leaked_key.hash).ok().flatten();
        let stored_key = current.as_ref().unwrap_or(leaked_key);
        let rotation = if stored_key.retirement.is_some() {
            None
        } else {
            // A sign-in takes long, so the user is told first that the key is disabled.
            if !matches!(auth_method, AuthMethod::ManagementKey(_)) {
                report(ProvisioningEvent::Notice(disabled.message.clone()));
            }
            // Boxed, since the future is large.
            let rotation = rotate_key(
                services,
                stored_key,
                &FieldChange::Keep,
                auth_method.clone(),
                policy,
                controls,
                report,
            );
            Some(Box::pin(rotation).await)
        };
        responses.push(LeakResponse {
            label: stored_key.label.clone(),
            disable_result: disabled,
            rotation,
        });
    }
    responses
}

/// Records that keys leaked, so that each is shown until it is disabled.
fn mark_leaked(services: &ServiceContext, leaked: &[StoredKey]) {
    let marked = inventory::update_keys(&services.location, |keys| {
        let is_leaked = |key: &StoredKey| leaked.iter().any(|leaked| leaked.hash == key.hash);
        for key in keys.iter_mut().filter(|key| key.server == services.server && is_leaked(key)) {
            key.leaked = true;
        }
    });
    if let Err(error) = marked {
        tracing::warn!(%error, "that keys leaked could not be recorded");
    }
}

async fn disable_leaked_key(
    services: &ServiceContext,
    stored_key: &StoredKey,
    management: Option<&ManagementKey>,
) -> ActionResult {
    let label = &stored_key.label;
    let Some(management) = management else {
        return ActionResult {
            succeeded: false,
            message: format!(
                "'{label}' is NOT disabled: no management key is known; disable or delete it now at {}",
                stored_key.page_url()
            ),
        };
    };
    // A leaked key is disabled even where that cannot be recorded on this machine.
    let reserve = services.location.reserve_space().ok();
    match send_disabled(services, management, stored_key, true, reserve).await {
        Ok(UpdatedKey { warning, .. }) => {
            let warning = warning.map_or(String::new(), |warning| format!("; {}", warning.message));
            ActionResult {
                succeeded: true,
                message: format!("'{label}' ({}) is disabled{warning}", stored_key.masked),
            }
        }
        Err(error) if error.is_not_found() => ActionResult {
            succeeded: false,
            message: format!(
                "'{label}' could not be disabled: this account has no such key; if it belongs to another account, disable it there: {}",
                stored_key.page_url()
            ),
        },
        Err(error) => ActionResult {
            succeeded: false,
            message: format!(
                "'{label}' may NOT be disabled: {}; its page: {}",
                error.to_user_error().one_line(),
                stored_key.page_url()
            ),
        },
    }
}
