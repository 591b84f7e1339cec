//! The words in which the replacing of a key is told: a rotation, and what is done about a leak.
//! Spoken by `account`, the screen and the command line alike.

use super::{ApiKey, Label, StoredKey, UserError};

/// What becomes of the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetirePolicy {
    /// How long its usage must stand still before it may go, in seconds.
    pub unused_for: u64,
    /// Whether it is then deleted without a question.
    pub revoke_when_unused: bool,
}

/// Two keys after the handing over.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// Has the label now.
    pub new: StoredKey,
    /// Had it before; `None` if it was forgotten meanwhile.
    pub old: Option<StoredKey>,
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub enum RotationOutcome {
    /// The new key has the label.
    Completed {
        /// The keys.
        rotated: Rotated,
        /// Something that did not keep it from being done.
        warning: Option<UserError>,
    },
    /// The new key is held beside the old one, which still has its label.
    LabelNotMoved {
        /// The new key; the next start goes on.
        new: StoredKey,
        /// Why it was not handed over.
        error: UserError,
    },
    /// The new key was issued and is nowhere but here.
    NotStored {
        /// What would be remembered of it.
        entry: StoredKey,
        /// The key itself.
        key: ApiKey,
        /// Why it could not be stored.
        error: UserError,
    },
    /// There is no new key (exit code 7: one may have been issued).
    Failed(UserError),
}

/// One thing that was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// Whether it was.
    pub succeeded: bool,
    /// What was done, or what was not, why, and what to do now.
    pub message: String,
}

/// What came of one leaked key.
#[derive(Clone, Debug)]
pub struct LeakResponse {
    /// The label it had.
    pub label: Label,
    /// Whether the leaked key is off.
    pub disable_result: ActionResult,
    /// What came of its replacement.
    pub rotation: RotationOutcome,
}

impl LeakResponse {
    /// Everything, in its order.
    pub fn action_results(&self) -> Vec<ActionResult> {
        let label = &self.label;
        let undone = |what: &str, error: &UserError| {
            (false, format!("'{label}' {what}: {}", error.one_line()))
        };
        let (done, words) = match &self.rotation {
            RotationOutcome::Completed { rotated: handed, warning: note } => {
                let old = handed.old.as_ref().map_or(String::new(), |old| {
                    format!("; the leaked one is kept as '{}'", old.label)
                });
                let note =
                    note.as_ref().map_or(String::new(), |note| format!("; {}", note.message));
                (true, format!("'{label}' is a new key, {}{old}{note}", handed.new.masked))
            }
            RotationOutcome::LabelNotMoved { new, error: trouble } => {
                let what = format!("still gives the leaked key; the new one is '{}'", new.label);
                undone(&what, trouble)
            }
            RotationOutcome::NotStored { error: trouble, .. } => {
                undone("has a new key that is not stored", trouble)
            }
            RotationOutcome::Failed(trouble) => undone("was not replaced", trouble),
        };
        vec![self.disable_result.clone(), ActionResult { succeeded: done, message: words }]
    }

    /// Whether all of it was done.
    pub fn is_complete(&self) -> bool {
        self.disable_result.succeeded && matches!(self.rotation, RotationOutcome::Completed { .. })
    }
}
