//! The words in which the replacing of a key is told: a rotation, and what is done about a leak.
//! Spoken by `account`, the screen and the command line alike.

use super::{ApiKey, HeldKey, Label, UserError};

/// What becomes of the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long its usage must stand still before it may go, in seconds.
    pub quiet_for: u64,
    /// Whether it is then deleted without a question.
    pub delete: bool,
}

/// Two keys after the handing over.
#[derive(Clone, Debug)]
pub struct Handed {
    /// Has the label now.
    pub new: HeldKey,
    /// Had it before; `None` if it was forgotten meanwhile.
    pub old: Option<HeldKey>,
}

/// How a rotation ended.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// The new key has the label.
    Done {
        /// The keys.
        handed: Handed,
        /// Something that did not keep it from being done.
        note: Option<UserError>,
    },
    /// The new key is held beside the old one, which still has its label.
    Beside {
        /// The new key; the next start goes on.
        new: HeldKey,
        /// Why it was not handed over.
        trouble: UserError,
    },
    /// The new key was issued and is nowhere but here.
    NotStored {
        /// What would be remembered of it.
        held: HeldKey,
        /// The key itself.
        key: ApiKey,
        /// Why it could not be stored.
        trouble: UserError,
    },
    /// There is no new key (exit code 7: one may have been issued).
    Failed(UserError),
}

/// One thing that was to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Whether it was.
    pub done: bool,
    /// What was done, or what was not, why, and what to do now.
    pub words: String,
}

/// What came of one leaked key.
#[derive(Clone, Debug)]
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
