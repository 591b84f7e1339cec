//! A key leaked: switched off at once, another one cut under the same policy, stored. What was not
//! done is never said to be. Must not know: how it is shown.

use super::rotate::{Rotation, Terms, rotate};
use super::set_disabled;
use crate::key::{HeldKey, Label, ManagementKey, Report};
use crate::provision::{Controls, Services, Way};

/// One thing that was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Whether it was.
    pub done: bool,
    /// What was done, or what was not, why, and what to do now.
    pub words: String,
}

/// What came of one leaked key.
#[derive(Debug)]
pub struct Panicked {
    /// The label it had.
    pub label: Label,
    /// Whether the leaked key is off.
    pub disabled: Deed,
    /// What came of its replacement.
    pub replaced: Rotation,
}

impl Panicked {
    /// Everything, in its order.
    pub fn deeds(&self) -> Vec<Deed> {
        let label = &self.label;
        let undone = |what: &str, message: &str, advice: &str| {
            (false, format!("'{label}' {what}: {message}; {advice}"))
        };
        let (done, words) = match &self.replaced {
            Rotation::Done { handed, note } => {
                let old = handed.old.as_ref().map_or(String::new(), |old| {
                    format!("; the leaked one is kept as '{}'", old.label)
                });
                let note =
                    note.as_ref().map_or(String::new(), |note| format!("; {}", note.message));
                (true, format!("'{label}' is a new key, {}{old}{note}", handed.new.masked))
            }
            Rotation::Beside { new, trouble } => {
                let what = format!("still gives the leaked key; the new one is '{}'", new.label);
                undone(&what, &trouble.message, &trouble.advice)
            }
            Rotation::NotStored { trouble, .. } => {
                undone("has a new key that is not stored", &trouble.message, &trouble.advice)
            }
            Rotation::Failed(trouble) => {
                undone("was not replaced", &trouble.message, &trouble.advice)
            }
        };
        vec![self.disabled.clone(), Deed { done, words }]
    }

    /// Whether all of it was done.
    pub fn is_done(&self) -> bool {
        self.disabled.done && matches!(self.replaced, Rotation::Done { .. })
    }
}

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
