//! State of the dialog that confirms a rotation, a leak response, a revocation or an account.

use jiff::Timestamp;

use super::Ticket;
use super::form::EXPIRY_PRESETS;
use super::text_field::TextField;
use crate::domain::{Expiry, FieldChange, Label, NotCarried, RetirePolicy, StoredKey};

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
    /// The chosen index in [`EXPIRY_PRESETS`] of the end of the new key, or of those of several that would
    /// otherwise end soon; `None` for the end of the replaced keys.
    pub new_expiry_index: Option<usize>,
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
            new_expiry_index: None,
            losses: ExpectedLosses::Known(Vec::new()),
            confirmation: TextField::default(),
        }
    }

    /// Moves the choice of the duration by `by` steps.
    pub fn step_unused_for(&mut self, by: isize) {
        self.unused_for_index =
            self.unused_for_index.saturating_add_signed(by).min(UNUSED_FOR_CHOICES.len() - 1);
    }

    /// Chooses the next end.
    pub fn step_new_expiry(&mut self) {
        let next = self.new_expiry_index.map_or(0, |index| index + 1);
        self.new_expiry_index = (next < EXPIRY_PRESETS.len()).then_some(next);
    }

    /// Returns whether another expiry can be chosen: for a single key, and for those of several that would end
    /// soon.
    pub fn offers_new_expiry(&self, now: Timestamp) -> bool {
        self.kind == ConfirmKind::Rotate
            && (self.keys.len() == 1 || self.keys.iter().any(|key| key.needs_new_expiry(now)))
    }

    /// Returns whether the end of every key has passed and no other one is chosen.
    fn lacks_end(&self, now: Timestamp) -> bool {
        let is_past =
            |key: &StoredKey| key.needs_new_expiry(now) && key.replacement_expiry(now).is_err();
        self.new_expiry_index.is_none() && self.keys.iter().all(is_past)
    }

    /// Returns the chosen end of the new key, or of those of several that would otherwise end soon.
    pub fn new_expiry(&self, now: Timestamp) -> FieldChange<Expiry> {
        let preset = self.new_expiry_index.and_then(|index| EXPIRY_PRESETS.get(index));
        let parsed = preset.map(|preset| Expiry::parse(preset, now));
        parsed.and_then(Result::ok).map_or(FieldChange::Keep, FieldChange::from_option)
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
    pub fn is_confirmed(&self, now: Timestamp) -> bool {
        if self.kind == ConfirmKind::Rotate && self.lacks_end(now) {
            return false;
        }
        // A leaked key is disabled without waiting for anything.
        if self.kind == ConfirmKind::Rotate && matches!(self.losses, ExpectedLosses::Pending(_)) {
            return false;
        }
        !self.kind.requires_text()
            || self.confirmation.text().trim() == self.expected_confirmation()
    }
}
