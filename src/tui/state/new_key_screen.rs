//! State of the screen that shows a newly created key.

use jiff::{SignedDuration, Timestamp};

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{ApiKey, ProvisioningOutcome, StoredKey, UserError};

/// How long a revealed key stays visible.
pub const REVEAL_DURATION: SignedDuration = SignedDuration::from_secs(10);

/// Returns whether a key revealed until `revealed_until` is still visible. A remaining time above
/// `REVEAL_DURATION` means that the clock was set back: the key is hidden then.
pub fn is_reveal_active(revealed_until: Timestamp, now: Timestamp) -> bool {
    let remaining = revealed_until.duration_since(now);
    remaining.is_positive() && remaining <= REVEAL_DURATION
}

/// State of the screen of a new key.
#[derive(Clone, Debug)]
pub struct NewKeyScreen {
    /// The inventory entry of the key.
    pub entry: StoredKey,
    /// The key.
    pub key: ApiKey,
    /// Whether the key is in a secret store.
    pub is_stored: bool,
    /// The ticket of the storing attempt under way.
    pub store_ticket: Option<Ticket>,
    /// The passphrase form of the alternate store, while it is open.
    pub passphrase_form: Option<PassphraseForm>,
    /// What went wrong.
    pub error: Option<UserError>,
    /// When the revealed key is hidden again; `None` while it is masked.
    pub revealed_until: Option<Timestamp>,
    /// The number of lines by which the page is scrolled.
    pub scroll: u16,
}

/// A passphrase and its repetition. It is always typed twice, because only opening the store shows
/// whether it is a new one.
#[derive(Clone, Debug, Default)]
pub struct PassphraseForm {
    /// The passphrase and its repetition.
    pub fields: [TextField; 2],
    /// The index of the focused field.
    pub focus_index: usize,
    /// Why the passphrase was not accepted.
    pub error: Option<&'static str>,
}

impl PassphraseForm {
    /// Returns the focused field and clears the error.
    pub fn focused_field_mut(&mut self) -> &mut TextField {
        self.error = None;
        &mut self.fields[self.focus_index]
    }
}

impl NewKeyScreen {
    /// Returns the screen for the outcome of a provisioning run.
    ///
    /// # Errors
    ///
    /// Returns the error of a run that created no key.
    pub fn from_outcome(outcome: ProvisioningOutcome) -> Result<Self, UserError> {
        let (entry, key, is_stored, error) = match outcome {
            ProvisioningOutcome::Stored { stored_key, key, warning } => {
                let unconfirmed = stored_key.is_of_unconfirmed_account();
                let other_account = unconfirmed.then(|| stored_key.other_account_error());
                (stored_key, key, true, other_account.or(warning))
            }
            ProvisioningOutcome::NotStored { entry, key, error } => {
                (entry, key, false, Some(error))
            }
            ProvisioningOutcome::Failed(error) => return Err(error),
        };
        Ok(Self {
            entry,
            key,
            is_stored,
            store_ticket: None,
            passphrase_form: None,
            error,
            revealed_until: None,
            scroll: 0,
        })
    }

    /// Reveals the key for `REVEAL_DURATION`, or hides it.
    pub fn toggle_revealed(&mut self, now: Timestamp) {
        self.revealed_until = match self.revealed_until {
            Some(_) => None,
            None => now.checked_add(REVEAL_DURATION).ok(),
        };
    }

    /// Hides the key when its time is over.
    pub fn hide_when_expired(&mut self, now: Timestamp) {
        self.revealed_until =
            self.revealed_until.filter(|revealed_until| is_reveal_active(*revealed_until, now));
    }
}
