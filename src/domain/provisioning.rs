//! The steps, events and outcomes of creating a key.

use std::fmt;

use jiff::Timestamp;

use super::{ApiKey, GuardrailRef, Label, StoredKey, UserError};

/// A step of creating a key, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProvisioningStep {
    /// Checks that the secret store can be written and read and that the data directory is writable.
    Preflight,
    /// Starts the callback listener and opens the consent page in the browser. Without a browser
    /// it shows the URL.
    OpenBrowser,
    /// Waits until the user approves or denies.
    AwaitConsent,
    /// Exchanges the code for the key.
    ExchangeCode,
    /// Stores the key and reads it back.
    StoreKey,
    /// Fetches the granted policy and compares it with the requested one.
    ComparePolicy,
}

impl ProvisioningStep {
    /// All steps in order.
    pub const ALL: [Self; 6] = [
        Self::Preflight,
        Self::OpenBrowser,
        Self::AwaitConsent,
        Self::ExchangeCode,
        Self::StoreKey,
        Self::ComparePolicy,
    ];

    /// Returns the text for a list of steps.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Preflight => "check the store",
            Self::OpenBrowser => "open the browser",
            Self::AwaitConsent => "wait for your consent",
            Self::ExchangeCode => "exchange the code for the key",
            Self::StoreKey => "store the key and read it back",
            Self::ComparePolicy => "compare the granted policy",
        }
    }
}

/// A progress event of a running attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvisioningEvent {
    /// This step has begun; all steps before it are done.
    StepStarted(ProvisioningStep),
    /// The sign-in URL. Without the verifier it gives no access, but it belongs to the user:
    /// show it on screens and standard error, never in a log.
    SignInUrl {
        /// The whole URL.
        url: String,
        /// Whether the user has to paste a code because there is no callback.
        needs_code: bool,
    },
    /// Information for the user (no browser found; retrying in 2 s).
    Notice(String),
    /// The browser that was started has failed, and the user has to open the URL.
    BrowserFailed(String),
}

/// The outcome of an attempt to create a key.
#[derive(Clone, Debug)]
pub enum ProvisioningOutcome {
    /// The key is stored and was read back.
    Stored {
        /// Its inventory entry.
        stored_key: StoredKey,
        /// The key, for the reveal screen.
        key: ApiKey,
        /// A problem after the key was stored, such as a failed comparison.
        warning: Option<UserError>,
    },
    /// The key was issued but could not be stored: this is the only copy.
    NotStored {
        /// The inventory entry that it would have.
        entry: StoredKey,
        /// The key.
        key: ApiKey,
        /// Why it could not be stored.
        error: UserError,
    },
    /// No key was received. With [`ErrorKind::Unresolved`](super::ErrorKind::Unresolved) one may
    /// have been issued.
    Failed(UserError),
}

/// What an interrupted run left to do at the server for a stored key, and is done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishedStep {
    /// The key had the name of its attempt, and has its label now.
    Renamed(Label),
    /// The key is under the guardrail that was requested for it.
    GuardrailAssigned(Label, GuardrailRef),
    /// The guardrail that was requested for the key no longer exists.
    GuardrailDeleted(Label, GuardrailRef),
    /// The secret store has no entry of the renamed key under the other label any more.
    OldEntryDeleted(Label, Label),
}

impl FinishedStep {
    /// Returns the label of the key.
    pub const fn label(&self) -> &Label {
        match self {
            Self::Renamed(label)
            | Self::GuardrailAssigned(label, _)
            | Self::GuardrailDeleted(label, _)
            | Self::OldEntryDeleted(label, _) => label,
        }
    }

    /// Returns the name used in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Renamed(_) => "renamed",
            Self::GuardrailAssigned(..) => "guardrail",
            Self::GuardrailDeleted(..) => "guardrail_deleted",
            Self::OldEntryDeleted(..) => "old_entry_deleted",
        }
    }
}

impl fmt::Display for FinishedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed(label) => {
                write!(f, "'{label}' has its name at OpenRouter now")
            }
            Self::GuardrailAssigned(label, guardrail) => {
                write!(f, "'{label}' is under its guardrail '{}' now", guardrail.name)
            }
            Self::OldEntryDeleted(label, other) => {
                write!(f, "'{label}' has no copy under the label '{other}' any more")
            }
            Self::GuardrailDeleted(label, guardrail) => write!(
                f,
                "'{label}' stays without the guardrail '{}', which no longer exists",
                guardrail.name
            ),
        }
    }
}

/// An attempt that may have issued a key which was not received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedAttempt {
    /// The attempt's id in the journal.
    pub id: String,
    /// The label of the requested key.
    pub label: Label,
    /// The server of the request.
    pub server: String,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// Whether its key was received: whether that is stored shows the secret store when it can be read.
    pub waits_for_store: bool,
}

impl UnresolvedAttempt {
    /// Returns the URL of the page where the owner can find and revoke the key.
    pub fn keys_page_url(&self) -> String {
        format!("{}/keys", self.server)
    }
}
