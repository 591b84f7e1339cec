//! The key that was just cut. The only screen whose state holds a key for longer than a moment.

use jiff::{SignedDuration, Timestamp};

use super::message::Ticket;
use super::text_field::TextField;
use crate::domain::{ApiKey, ProvisioningOutcome, StoredKey, UserError};

/// How long a key is shown in clear.
pub const REVEAL_DURATION: SignedDuration = SignedDuration::from_secs(10);

/// Whether a moment that ends then goes on. None goes on for longer than it was given: then the
/// clock was put back.
pub fn is_reveal_active(until: Timestamp, now: Timestamp) -> bool {
    let left = until.duration_since(now);
    left.is_positive() && left <= REVEAL_DURATION
}

/// The state of the reveal screen.
#[derive(Clone, Debug)]
pub struct NewKeyScreen {
    /// What is remembered of it.
    pub entry: StoredKey,
    /// The key.
    pub key: ApiKey,
    /// Whether the vault has it.
    pub is_stored: bool,
    /// Another try at storing it, which is waited for.
    pub store_ticket: Option<Ticket>,
    /// The passphrase of another store, while it is typed.
    pub passphrase_form: Option<PassphraseForm>,
    /// What did not go as it should.
    pub error: Option<UserError>,
    /// Shown in clear until then.
    pub revealed_until: Option<Timestamp>,
}

/// A passphrase, typed twice: whether the store is a new one shows only once it is opened.
#[derive(Clone, Debug, Default)]
pub struct PassphraseForm {
    /// The passphrase, and the same once more.
    pub fields: [TextField; 2],
    /// Which of them is typed in.
    pub focus_index: usize,
    /// What is wrong with them.
    pub error: Option<&'static str>,
}

impl PassphraseForm {
    /// The field that is typed in.
    pub fn focused_field_mut(&mut self) -> &mut TextField {
        self.error = None;
        &mut self.fields[self.focus_index]
    }
}

impl NewKeyScreen {
    /// The screen for a journey that brought a key; its trouble where it brought none.
    pub fn from_outcome(outcome: ProvisioningOutcome) -> Result<Self, UserError> {
        let (held, key, stored, trouble) = match outcome {
            ProvisioningOutcome::Stored { stored_key: held, key, warning: note } => {
                (held, key, true, note)
            }
            ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
                (held, key, false, Some(trouble))
            }
            ProvisioningOutcome::Failed(trouble) => return Err(trouble),
        };
        Ok(Self {
            entry: held,
            key,
            is_stored: stored,
            store_ticket: None,
            passphrase_form: None,
            error: trouble,
            revealed_until: None,
        })
    }

    /// Shows the key for a moment, or hides it.
    pub fn toggle_revealed(&mut self, now: Timestamp) {
        self.revealed_until = match self.revealed_until {
            Some(_) => None,
            None => now.checked_add(REVEAL_DURATION).ok(),
        };
    }

    /// Hides the key when its moment is over.
    pub fn hide_when_expired(&mut self, now: Timestamp) {
        self.revealed_until = self.revealed_until.filter(|until| is_reveal_active(*until, now));
    }
}
