//! A key leaked: switched off at once, another one cut under the same policy, stored. What was not
//! done is never said to be. Must not know: how it is shown.

use super::rotate::rotate_key;
use super::set_disabled;
use crate::domain::{
    ActionResult, LeakResponse, ManagementKey, ProvisioningEvent, RetirePolicy, StoredKey,
};
use crate::services::provision::{AuthMethod, ProvisioningControls, ServiceContext};

/// Switches all of these keys off, then replaces each. Without a management key nothing can switch
/// them off from here: then it is said where their owner can.
pub async fn respond_to_leak(
    services: &ServiceContext,
    leaked: &[StoredKey],
    management: Option<&ManagementKey>,
    way: &AuthMethod,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> Vec<LeakResponse> {
    let mut disabled = Vec::with_capacity(leaked.len());
    for held in leaked {
        disabled.push(disable_leaked_key(services, held, management).await);
    }
    let terms = RetirePolicy { unused_for: 0, revoke_when_unused: false };
    let mut panicked = Vec::with_capacity(leaked.len());
    for (held, disabled) in leaked.iter().zip(disabled) {
        report(ProvisioningEvent::Notice(disabled.message.clone()));
        let replaced = rotate_key(services, held, way.clone(), terms, controls, report).await;
        panicked.push(LeakResponse {
            label: held.label.clone(),
            disable_result: disabled,
            rotation: replaced,
        });
    }
    panicked
}

async fn disable_leaked_key(
    services: &ServiceContext,
    held: &StoredKey,
    management: Option<&ManagementKey>,
) -> ActionResult {
    let label = &held.label;
    let Some(management) = management else {
        return ActionResult {
            succeeded: false,
            message: format!(
                "'{label}' is NOT disabled: that takes a management key, and none is known; disable or delete it now at {}",
                held.page_url()
            ),
        };
    };
    match set_disabled(services, management, held, true).await {
        Ok(_) => ActionResult {
            succeeded: true,
            message: format!("'{label}' ({}) is disabled", held.masked),
        },
        Err(error) if error.is_not_found() => ActionResult {
            succeeded: false,
            message: format!(
                "'{label}' could not be disabled: this account has no such key; if it is of another account, disable it there: {}",
                held.page_url()
            ),
        },
        Err(error) => {
            let trouble = error.to_user_error();
            ActionResult {
                succeeded: false,
                message: format!(
                    "'{label}' is perhaps NOT disabled: {}; {}; its page: {}",
                    trouble.message,
                    trouble.advice,
                    held.page_url()
                ),
            }
        }
    }
}
