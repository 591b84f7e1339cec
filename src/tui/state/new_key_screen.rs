//! The key that was just cut. The only screen whose state holds a key for longer than a moment.

use jiff::{SignedDuration, Timestamp};

use super::field::Field;
use super::message::Ticket;
use crate::domain::{ApiKey, ProvisioningOutcome, StoredKey, UserError};

/// How long a key is shown in clear.
pub const MOMENT: SignedDuration = SignedDuration::from_secs(10);

/// Whether a moment that ends then goes on. None goes on for longer than it was given: then the
/// clock was put back.
pub fn goes_on(until: Timestamp, now: Timestamp) -> bool {
    let left = until.duration_since(now);
    left.is_positive() && left <= MOMENT
}

/// The state of the reveal screen.
#[derive(Clone, Debug)]
pub struct Reveal {
    /// What is remembered of it.
    pub held: StoredKey,
    /// The key.
    pub key: ApiKey,
    /// Whether the vault has it.
    pub stored: bool,
    /// Another try at storing it, which is waited for.
    pub storing: Option<Ticket>,
    /// The passphrase of another store, while it is typed.
    pub passphrase: Option<Passphrase>,
    /// What did not go as it should.
    pub trouble: Option<UserError>,
    /// Shown in clear until then.
    pub shown_until: Option<Timestamp>,
}

/// A passphrase, typed twice: whether the store is a new one shows only once it is opened.
#[derive(Clone, Debug, Default)]
pub struct Passphrase {
    /// The passphrase, and the same once more.
    pub fields: [Field; 2],
    /// Which of them is typed in.
    pub focus: usize,
    /// What is wrong with them.
    pub problem: Option<&'static str>,
}

impl Passphrase {
    /// The field that is typed in.
    pub fn field(&mut self) -> &mut Field {
        self.problem = None;
        &mut self.fields[self.focus]
    }
}

impl Reveal {
    /// The screen for a journey that brought a key; its trouble where it brought none.
    pub fn of(outcome: ProvisioningOutcome) -> Result<Self, UserError> {
        let (held, key, stored, trouble) = match outcome {
            ProvisioningOutcome::Stored { stored_key: held, key, warning: note } => {
                (held, key, true, note)
            }
            ProvisioningOutcome::NotStored { entry: held, key, error: trouble } => {
                (held, key, false, Some(trouble))
            }
            ProvisioningOutcome::Failed(trouble) => return Err(trouble),
        };
        Ok(Self { held, key, stored, storing: None, passphrase: None, trouble, shown_until: None })
    }

    /// Shows the key for a moment, or hides it.
    pub fn toggle(&mut self, now: Timestamp) {
        self.shown_until = match self.shown_until {
            Some(_) => None,
            None => now.checked_add(MOMENT).ok(),
        };
    }

    /// Hides the key when its moment is over.
    pub fn tick(&mut self, now: Timestamp) {
        self.shown_until = self.shown_until.filter(|until| goes_on(*until, now));
    }
}
