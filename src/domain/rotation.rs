//! The outcomes of a rotation and of a leak response.

use std::iter;

use super::{ApiKey, Label, NotCarried, StoredKey, UserError, format_command};

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
    /// Returns the error about what the new key lacks, with the command that gives it the rest.
    pub fn weaker_error(&self) -> Option<UserError> {
        let lost: Vec<&NotCarried> =
            self.not_carried.iter().filter(|loss| loss.is_lost()).collect();
        if lost.is_empty() {
            return None;
        }
        let mut list = String::new();
        for (at, loss) in lost.iter().enumerate() {
            if let Some(part) = &loss.part {
                list.push_str(&part.to_string());
            }
            // Parts with the same reason share it.
            let next = lost.get(at + 1);
            if next.is_some_and(|next| next.reason == loss.reason) {
                list.push_str(", ");
            } else {
                list.extend([" (", &loss.reason, if next.is_some() { "); " } else { ")" }]);
            }
        }
        let advice = self.loss_advice(lost.iter().copied());
        let message = format!("the new key of '{}' does not have: {list}", self.new.label);
        Some(UserError::failed(message, advice).with_meaning(self.meaning()))
    }

    /// Returns the error about what could not be compared, with a management key.
    pub fn unread_error(&self) -> Option<UserError> {
        let unread = self.not_carried.iter().filter(|part| !part.is_lost());
        let unread: Vec<String> = unread.map(ToString::to_string).collect();
        if unread.is_empty() {
            return None;
        }
        let message = format!(
            "the new key of '{}' could not be compared with the old one: {}",
            self.new.label,
            unread.join("; ")
        );
        let advice = match &self.old {
            Some(_) => format!("compare the two keys at {}/keys", self.new.server),
            None => format!(
                "the old key is not stored here any more; look at what the new one has: {}",
                self.new.page_url()
            ),
        };
        Some(UserError::failed(message, advice).with_meaning(self.meaning()))
    }

    /// Returns what an error after the rotation means for the two keys.
    fn meaning(&self) -> String {
        match &self.old {
            Some(old) => format!("the new key works; the old one is kept as '{}'", old.label),
            None => "the new key works".into(),
        }
    }

    /// Returns how to give the new key what it lacks.
    fn loss_advice<'a>(&self, lost: impl Iterator<Item = &'a NotCarried>) -> String {
        let options: Vec<String> = lost.flat_map(NotCarried::edit_options).collect();
        if options.is_empty() {
            return format!("change it at {}", self.new.page_url());
        }
        let words: Vec<&str> =
            iter::once("edit").chain(options.iter().map(String::as_str)).collect();
        format!("give it to the new key: {}", format_command(&words, &[self.new.label.as_str()]))
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
    /// The outcome of its replacement; `None` if it was replaced before, so that it needs no new key.
    pub rotation: Option<RotationOutcome>,
}

impl LeakResponse {
    /// Returns the results of all actions in order.
    pub fn action_results(&self) -> Vec<ActionResult> {
        let label = &self.label;
        let failed = |what: &str, error: &UserError| {
            (false, format!("'{label}' {what}: {}", error.one_line()))
        };
        let (succeeded, message) = match &self.rotation {
            Some(RotationOutcome::Completed { rotated, .. }) => {
                let old = rotated.old.as_ref().map_or(String::new(), |old| {
                    format!("; the leaked key is stored as '{}'", old.label)
                });
                (true, format!("'{label}' is a new key, {}{old}", rotated.new.masked))
            }
            Some(RotationOutcome::LabelNotMoved { new, error }) => {
                let what =
                    format!("is still the leaked key; the new key is stored as '{}'", new.label);
                failed(&what, error)
            }
            Some(RotationOutcome::NotStored { error, .. }) => {
                failed("has a new key, which could not be stored", error)
            }
            Some(RotationOutcome::Failed(error)) => failed("was not replaced", error),
            None => {
                let revoke = label.command("rm --revoke");
                (
                    true,
                    format!(
                        "'{label}' was replaced before, so no new key was created; to delete it: {revoke}"
                    ),
                )
            }
        };
        let mut results = vec![self.disable_result.clone(), ActionResult { succeeded, message }];
        if let Some(RotationOutcome::Completed { rotated, warning }) = &self.rotation {
            results.extend(warning.as_ref().map(|warning| ActionResult {
                succeeded: false,
                message: format!("the new key of '{label}': {}", warning.one_line()),
            }));
            results.extend(rotated.not_carried.iter().map(|part| {
                let advice = if part.is_lost() {
                    format!("; {}", rotated.loss_advice(iter::once(part)))
                } else {
                    String::new()
                };
                let message =
                    format!("not carried over to the new key of '{label}': {part}{advice}");
                ActionResult { succeeded: false, message }
            }));
        }
        results
    }

    /// Returns what the new key does not have of the leaked one, or could not be compared.
    pub fn not_carried(&self) -> &[NotCarried] {
        match &self.rotation {
            Some(RotationOutcome::Completed { rotated, .. }) => &rotated.not_carried,
            _ => &[],
        }
    }

    /// Returns whether every action succeeded, and the new key has all that the leaked one has.
    pub fn is_complete(&self) -> bool {
        self.disable_result.succeeded
            && match &self.rotation {
                None => true,
                Some(RotationOutcome::Completed { rotated, warning }) => {
                    warning.is_none() && rotated.not_carried.is_empty()
                }
                Some(_) => false,
            }
    }
}
