//! State of the dialog that confirms a rotation, a leak response, a revocation or an account.

use super::Ticket;
use super::text_field::TextField;
use crate::domain::{Label, NotCarried, RetirePolicy, StoredKey};

/// How long a replaced key must be unused before it may be revoked: as shown, and in seconds.
pub const UNUSED_FOR_CHOICES: [(&str, u64); 5] = [
    ("10 minutes", 600),
    ("1 hour", 3_600),
    ("6 hours", 21_600),
    ("1 day", 86_400),
    ("1 week", 604_800),
];

/// The action to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmKind {
    /// Replace a key by a new one.
    Rotate,
    /// Disable and replace leaked keys.
    RespondToLeak,
    /// Delete keys at OpenRouter.
    Revoke,
    /// Use a key although it belongs to another account than the other stored keys.
    ConfirmAccount,
}

impl ConfirmKind {
    /// Returns whether the user has to type a text to confirm.
    pub const fn requires_text(self) -> bool {
        matches!(self, Self::Revoke | Self::ConfirmAccount)
    }
}

/// What the new keys will lack of those that they replace.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedLosses {
    /// Read for this ticket.
    Pending(Ticket),
    /// Each key with what cannot be carried over to its replacement; nothing where no key is replaced.
    Known(Vec<(Label, Vec<NotCarried>)>),
}

/// State of the dialog.
#[derive(Clone, Debug)]
pub struct ConfirmDialog {
    /// The action to confirm.
    pub kind: ConfirmKind,
    /// The affected keys, at least one.
    pub keys: Vec<StoredKey>,
    /// The chosen index in [`UNUSED_FOR_CHOICES`].
    pub unused_for_index: usize,
    /// Whether the replaced key is then revoked without a question.
    pub revoke_when_unused: bool,
    /// What the new keys will lack.
    pub losses: ExpectedLosses,
    /// The text typed to confirm.
    pub confirmation: TextField,
}

impl ConfirmDialog {
    /// Returns the dialog with the defaults: one hour, and a question before the revocation.
    pub fn new(kind: ConfirmKind, keys: Vec<StoredKey>) -> Self {
        Self {
            kind,
            keys,
            unused_for_index: 1,
            revoke_when_unused: false,
            losses: ExpectedLosses::Known(Vec::new()),
            confirmation: TextField::default(),
        }
    }

    /// Moves the choice of the duration by `by` steps.
    pub fn step_unused_for(&mut self, by: isize) {
        self.unused_for_index =
            self.unused_for_index.saturating_add_signed(by).min(UNUSED_FOR_CHOICES.len() - 1);
    }

    /// Returns the chosen policy for the replaced key.
    pub fn retire_policy(&self) -> RetirePolicy {
        RetirePolicy {
            unused_for: UNUSED_FOR_CHOICES[self.unused_for_index].1,
            revoke_when_unused: self.revoke_when_unused,
        }
    }

    /// Returns the text that confirms: the label, or the number of keys.
    pub fn expected_confirmation(&self) -> String {
        match &self.keys[..] {
            [key] => key.label.to_string(),
            keys => keys.len().to_string(),
        }
    }

    /// Returns whether the action is confirmed.
    pub fn is_confirmed(&self) -> bool {
        // A leaked key is disabled without waiting for anything.
        if self.kind == ConfirmKind::Rotate && matches!(self.losses, ExpectedLosses::Pending(_)) {
            return false;
        }
        !self.kind.requires_text()
            || self.confirmation.text().trim() == self.expected_confirmation()
    }
}
