//! What is thought over before it is done: a rotation, a leak, a deletion at the server. Says which
//! keys it is about and on which terms. Must not know: how it is done.

use super::field::Field;
use crate::domain::{RetirePolicy, StoredKey};

/// How long an old key must stand still before it may go: in words, and in seconds.
pub const QUIET: [(&str, u64); 5] = [
    ("10 minutes", 600),
    ("1 hour", 3_600),
    ("6 hours", 21_600),
    ("1 day", 86_400),
    ("1 week", 604_800),
];

/// What is thought over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliberation {
    /// Another key in this one's place.
    Rotate,
    /// They leaked.
    Panic,
    /// Their deletion at the server.
    Revoke,
}

/// The state of the screen on which it is thought over.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What.
    pub what: Deliberation,
    /// The keys it is about, at least one.
    pub keys: Vec<StoredKey>,
    /// The place in [`QUIET`] of what was chosen.
    pub quiet: usize,
    /// Whether the old key is deleted then without a question.
    pub delete: bool,
    /// What was typed to confirm a deletion.
    pub typed: Field,
}

impl Ask {
    /// Nothing chosen yet: an hour, and a question before anything is deleted.
    pub fn new(what: Deliberation, keys: Vec<StoredKey>) -> Self {
        Self { what, keys, quiet: 1, delete: false, typed: Field::default() }
    }

    /// The next choice of how long, or the one before.
    pub fn choose(&mut self, by: isize) {
        self.quiet = self.quiet.saturating_add_signed(by).min(QUIET.len() - 1);
    }

    /// The terms of a rotation.
    pub fn terms(&self) -> RetirePolicy {
        RetirePolicy { unused_for: QUIET[self.quiet].1, revoke_when_unused: self.delete }
    }

    /// What has to be typed to confirm a deletion: the label, or how many keys.
    pub fn password(&self) -> String {
        match &self.keys[..] {
            [held] => held.label.to_string(),
            keys => keys.len().to_string(),
        }
    }

    /// Whether it was typed.
    pub fn is_confirmed(&self) -> bool {
        self.what != Deliberation::Revoke || self.typed.text().trim() == self.password()
    }
}
