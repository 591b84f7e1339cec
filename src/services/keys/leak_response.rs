//! A key leaked: switched off at once, another one cut under the same policy, stored. What was not
//! done is never said to be. Must not know: how it is shown.

use super::rotate::rotate;
use super::set_disabled;
use crate::domain::{Deed, HeldKey, ManagementKey, Panicked, Report, Terms};
use crate::services::provision::{Controls, Services, Way};

/// Switches all of these keys off, then replaces each. Without a management key nothing can switch
/// them off from here: then it is said where their owner can.
pub async fn panic(
    services: &Services,
    leaked: &[HeldKey],
    management: Option<&ManagementKey>,
    way: &Way,
    controls: &mut Controls,
    report: &(dyn Fn(Report) + Sync),
) -> Vec<Panicked> {
    let mut disabled = Vec::with_capacity(leaked.len());
    for held in leaked {
        disabled.push(disable(services, held, management).await);
    }
    let terms = Terms { quiet_for: 0, delete: false };
    let mut panicked = Vec::with_capacity(leaked.len());
    for (held, disabled) in leaked.iter().zip(disabled) {
        report(Report::Notice(disabled.words.clone()));
        let replaced = rotate(services, held, way.clone(), terms, controls, report).await;
        panicked.push(Panicked { label: held.label.clone(), disabled, replaced });
    }
    panicked
}

async fn disable(services: &Services, held: &HeldKey, management: Option<&ManagementKey>) -> Deed {
    let label = &held.label;
    let Some(management) = management else {
        return Deed {
            done: false,
            words: format!(
                "'{label}' is NOT disabled: that takes a management key, and none is known; disable or delete it now at {}",
                held.page()
            ),
        };
    };
    match set_disabled(services, management, held, true).await {
        Ok(_) => Deed { done: true, words: format!("'{label}' ({}) is disabled", held.masked) },
        Err(error) if error.is_gone() => Deed {
            done: false,
            words: format!(
                "'{label}' could not be disabled: this account has no such key; if it is of another account, disable it there: {}",
                held.page()
            ),
        },
        Err(error) => {
            let trouble = error.trouble();
            Deed {
                done: false,
                words: format!(
                    "'{label}' is perhaps NOT disabled: {}; {}; its page: {}",
                    trouble.message,
                    trouble.advice,
                    held.page()
                ),
            }
        }
    }
}
