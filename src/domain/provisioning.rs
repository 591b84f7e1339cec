//! The words in which a key's journey is told: its steps, what comes of it, and trouble.
//! Spoken by `provision`, the screen and the command line alike.

use jiff::Timestamp;

use super::{ApiKey, Label, StoredKey, UserError};

/// The steps of cutting a key, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProvisioningStep {
    /// The vault is written to and read back, the data directory proven writable.
    Preflight,
    /// The callback listens and the browser is sent to the consent page; without a browser:
    /// the address waits to be opened.
    OpenBrowser,
    /// The person decides.
    AwaitConsent,
    /// The code is exchanged for the key.
    ExchangeCode,
    /// The key goes into the vault and is read back.
    StoreKey,
    /// The server is asked what it granted.
    ComparePolicy,
}

impl ProvisioningStep {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Preflight,
        Self::OpenBrowser,
        Self::AwaitConsent,
        Self::ExchangeCode,
        Self::StoreKey,
        Self::ComparePolicy,
    ];

    /// What happens in it, for a list of steps.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Preflight => "check the keychain",
            Self::OpenBrowser => "open the browser",
            Self::AwaitConsent => "wait for your consent",
            Self::ExchangeCode => "exchange the code for the key",
            Self::StoreKey => "store the key and read it back",
            Self::ComparePolicy => "compare what was granted",
        }
    }
}

/// News from a journey under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisioningEvent {
    /// This step has begun; the ones before it are done.
    StepStarted(ProvisioningStep),
    /// The address a person signs in at. It holds no secret that works without the verifier,
    /// but it is the person's alone: screens and standard error, never a log.
    SignInUrl {
        /// The whole URL.
        url: String,
        /// No callback: the page shows a code, which the person pastes.
        needs_code: bool,
    },
    /// Something a person should know meanwhile (no browser found; trying again in 2 s).
    Notice(String),
}

/// How a journey ended.
#[derive(Clone, Debug)]
pub enum ProvisioningOutcome {
    /// The key is in the vault, read back.
    Stored {
        /// What is remembered of it.
        stored_key: StoredKey,
        /// The key itself, for the reveal screen.
        key: ApiKey,
        /// Something that did not keep the key from being stored (the comparison failed…).
        warning: Option<UserError>,
    },
    /// The key was issued and is nowhere but here.
    NotStored {
        /// What would be remembered of it.
        entry: StoredKey,
        /// The key itself.
        key: ApiKey,
        /// Why it could not be stored.
        error: UserError,
    },
    /// No key came (exit code 7: one may have been issued).
    Failed(UserError),
}

/// An attempt that may have issued a key which nobody received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedAttempt {
    /// Names it in the journal.
    pub id: String,
    /// The label it was for.
    pub label: Label,
    /// The server asked.
    pub server: String,
    /// When it began.
    pub started_at: Timestamp,
}

impl UnresolvedAttempt {
    /// Where a key can be looked for and revoked by its owner.
    pub fn keys_page_url(&self) -> String {
        format!("{}/keys", self.server)
    }
}
