//! The outcomes of a rotation and of a leak response.

use super::{ApiKey, Label, NotCarried, StoredKey, UserError};

/// When a replaced key may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetirePolicy {
    /// How many seconds the key must be unused before it may be deleted.
    pub unused_for: u64,
    /// Whether it is then deleted without confirmation.
    pub revoke_when_unused: bool,
}

/// The two keys after a rotation.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// The new key, which has the label.
    pub new: StoredKey,
    /// The old key; `None` if it was removed in the meantime.
    pub old: Option<StoredKey>,
    /// What the new key does not have of the old one, or could not be compared.
    pub not_carried: Vec<NotCarried>,
}

impl Rotated {
    /// Whether the new key is known to lack something that the old one has.
    pub fn is_weaker(&self) -> bool {
        self.not_carried.iter().any(NotCarried::is_lost)
    }
}

/// The outcome of a rotation.
#[derive(Clone, Debug)]
pub enum RotationOutcome {
    /// The new key has the label.
    Completed {
        /// The two keys.
        rotated: Rotated,
        /// A problem that did not prevent the rotation.
        warning: Option<UserError>,
    },
    /// The new key is stored, but the old one still has the label.
    LabelNotMoved {
        /// The new key; the next start continues the rotation.
        new: StoredKey,
        /// Why the label was not moved.
        error: UserError,
    },
    /// The new key was issued but could not be stored: this is the only copy.
    NotStored {
        /// The inventory entry that it would have.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
        /// Why it could not be stored.
        error: UserError,
    },
    /// No new key was received. With [`ErrorKind::Unresolved`](super::ErrorKind::Unresolved) one may
    /// have been issued.
    Failed(UserError),
}

/// The result of one action on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// Whether the action succeeded.
    pub succeeded: bool,
    /// What was done; or what failed, why, and what to do now.
    pub message: String,
}

/// The result of the response to one leaked key.
#[derive(Clone, Debug)]
pub struct LeakResponse {
    /// The label of the leaked key.
    pub label: Label,
    /// The result of disabling the leaked key.
    pub disable_result: ActionResult,
    /// The outcome of its replacement.
    pub rotation: RotationOutcome,
}

impl LeakResponse {
    /// Returns the results of all actions in order.
    pub fn action_results(&self) -> Vec<ActionResult> {
        let label = &self.label;
        let failed = |what: &str, error: &UserError| {
            (false, format!("'{label}' {what}: {}", error.one_line()))
        };
        let (succeeded, message) = match &self.rotation {
            RotationOutcome::Completed { rotated, warning } => {
                let old = rotated.old.as_ref().map_or(String::new(), |old| {
                    format!("; the leaked key is stored as '{}'", old.label)
                });
                let warning = warning
                    .as_ref()
                    .map_or(String::new(), |warning| format!("; {}", warning.message));
                (true, format!("'{label}' is a new key, {}{old}{warning}", rotated.new.masked))
            }
            RotationOutcome::LabelNotMoved { new, error } => {
                let what =
                    format!("is still the leaked key; the new key is stored as '{}'", new.label);
                failed(&what, error)
            }
            RotationOutcome::NotStored { error, .. } => {
                failed("has a new key, which is not stored", error)
            }
            RotationOutcome::Failed(error) => failed("was not replaced", error),
        };
        let mut results = vec![self.disable_result.clone(), ActionResult { succeeded, message }];
        results.extend(self.not_carried().iter().map(|part| ActionResult {
            succeeded: false,
            message: format!("not carried over to the new key of '{label}': {part}"),
        }));
        results
    }

    /// Returns what the new key does not have of the leaked one, or could not be compared.
    pub fn not_carried(&self) -> &[NotCarried] {
        match &self.rotation {
            RotationOutcome::Completed { rotated, .. } => &rotated.not_carried,
            _ => &[],
        }
    }

    /// Whether every action succeeded, and the new key has what the leaked one is known to have.
    pub fn is_complete(&self) -> bool {
        self.disable_result.succeeded
            && matches!(&self.rotation, RotationOutcome::Completed { rotated, .. } if !rotated.is_weaker())
    }
}
