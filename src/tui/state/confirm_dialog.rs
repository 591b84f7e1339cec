//! What is thought over before it is done: a rotation, a leak, a deletion at the server. Says which
//! keys it is about and on which terms. Must not know: how it is done.

use super::text_field::TextField;
use crate::domain::{RetirePolicy, StoredKey};

/// How long an old key must stand still before it may go: in words, and in seconds.
pub const UNUSED_FOR_CHOICES: [(&str, u64); 5] = [
    ("10 minutes", 600),
    ("1 hour", 3_600),
    ("6 hours", 21_600),
    ("1 day", 86_400),
    ("1 week", 604_800),
];

/// What is thought over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmKind {
    /// Another key in this one's place.
    Rotate,
    /// They leaked.
    RespondToLeak,
    /// Their deletion at the server.
    Revoke,
}

/// The state of the screen on which it is thought over.
#[derive(Clone, Debug)]
pub struct ConfirmDialog {
    /// What.
    pub kind: ConfirmKind,
    /// The keys it is about, at least one.
    pub keys: Vec<StoredKey>,
    /// The place in [`QUIET`] of what was chosen.
    pub unused_for_index: usize,
    /// Whether the old key is deleted then without a question.
    pub revoke_when_unused: bool,
    /// What was typed to confirm a deletion.
    pub confirmation: TextField,
}

impl ConfirmDialog {
    /// Nothing chosen yet: an hour, and a question before anything is deleted.
    pub fn new(what: ConfirmKind, keys: Vec<StoredKey>) -> Self {
        Self {
            kind: what,
            keys,
            unused_for_index: 1,
            revoke_when_unused: false,
            confirmation: TextField::default(),
        }
    }

    /// The next choice of how long, or the one before.
    pub fn step_unused_for(&mut self, by: isize) {
        self.unused_for_index =
            self.unused_for_index.saturating_add_signed(by).min(UNUSED_FOR_CHOICES.len() - 1);
    }

    /// The terms of a rotation.
    pub fn retire_policy(&self) -> RetirePolicy {
        RetirePolicy {
            unused_for: UNUSED_FOR_CHOICES[self.unused_for_index].1,
            revoke_when_unused: self.revoke_when_unused,
        }
    }

    /// What has to be typed to confirm a deletion: the label, or how many keys.
    pub fn expected_confirmation(&self) -> String {
        match &self.keys[..] {
            [held] => held.label.to_string(),
            keys => keys.len().to_string(),
        }
    }

    /// Whether it was typed.
    pub fn is_confirmed(&self) -> bool {
        self.kind != ConfirmKind::Revoke
            || self.confirmation.text().trim() == self.expected_confirmation()
    }
}
