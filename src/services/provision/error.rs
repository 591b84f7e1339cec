//! Why a journey brought no key, folded from every boundary it crosses, and the words for it: what
//! happened, what it means for key and money, what to do now.

use secrecy::SecretString;

use crate::api::oauth::CallbackError;
use crate::api::openrouter;
use crate::domain::{ErrorKind, Label, UserError};
use crate::storage::json_store;
use crate::storage::secret_store;

/// The end of a journey that brought no key into the vault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory knows the label.
    #[error("a key labelled {0} is already held")]
    LabelHeld(Label),
    /// The keychain knows the label, the inventory does not.
    #[error("the keychain holds a key under the label {0} that is not on the list")]
    LabelInVault(Label),
    /// The inventory or the journal.
    #[error(transparent)]
    Document(#[from] json_store::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] secret_store::Error),
    /// The callback listener.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The server's address cannot be read.
    #[error("the server's address cannot be read")]
    Address,
    /// The person refused on the consent page.
    #[error("access was refused on the consent page{}", .0.as_ref().map(|words| format!(" ({words})")).unwrap_or_default())]
    Refused(Option<String>),
    /// The person left.
    #[error("cancelled")]
    Cancelled,
    /// Nobody decided on the consent page.
    #[error("nobody answered the consent page for ten minutes")]
    NoConsentInTime,
    /// No key vouched for the new one.
    #[error("no kind was given for the new key: {0}")]
    NoCode(openrouter::Error),
    /// The management key cut none.
    #[error("the management key cut no key: {0}")]
    NotCut(openrouter::Error),
    /// The exchange failed cleanly: no key was issued.
    #[error("{0}")]
    NotIssued(openrouter::Error),
    /// The exchange may have issued a key.
    #[error("a key may have been issued and was not received: {0}")]
    Unresolved(openrouter::Error),
    /// The server said yes, and its answer held no key.
    #[error("the server accepted the kind, and its answer holds no key{}", if *.more { " in its first 64 KiB" } else { "" })]
    OddAnswer {
        /// The account of `keywright-attempts` where the answer is kept, if it could be.
        kept: Option<String>,
        /// The store it is kept in, in words.
        place: String,
        /// The answer, where nothing else has it.
        answer: Option<SecretString>,
        /// Whether it was longer than what is read of one.
        more: bool,
    },
}

impl Error {
    /// Whether a key may exist that nobody holds.
    pub const fn is_unresolved(&self) -> bool {
        matches!(self, Self::Unresolved(_) | Self::OddAnswer { .. })
    }

    /// In words.
    pub fn trouble(&self) -> UserError {
        const NOTHING: &str = "no key was issued and nothing was spent";
        const CHECK: &str = "look at your keys at OpenRouter and delete the one with this label if it is there, then try again";
        let (kind, advice) = match self {
            Self::LabelHeld(label) => (
                ErrorKind::InvalidInput,
                format!(
                    "{NOTHING}; choose another label, or remove the old key first: keywright rm '{label}'"
                ),
            ),
            Self::LabelInVault(_) => (
                ErrorKind::InvalidInput,
                format!("{NOTHING} and that key was left alone; choose another label"),
            ),
            Self::Document(error) => (ErrorKind::Failed, format!("{NOTHING}; {}", error.advice())),
            Self::Vault(error) => {
                (ErrorKind::SecretStore, format!("{NOTHING}; {}", error.advice()))
            }
            Self::Callback(CallbackError::TimedOut) | Self::NoConsentInTime => {
                (ErrorKind::Unreachable, format!("{NOTHING}; try again"))
            }
            Self::Callback(_) => (
                ErrorKind::Failed,
                format!(
                    "{NOTHING}; choose another port with --callback-port, or paste the kind: --no-browser"
                ),
            ),
            Self::Address => (
                ErrorKind::InvalidInput,
                format!("{NOTHING}; give the server as https://openrouter.ai"),
            ),
            Self::Refused(_) => {
                (ErrorKind::Cancelled, format!("{NOTHING}; try again if that was not meant"))
            }
            Self::Cancelled => {
                (ErrorKind::Cancelled, format!("{NOTHING}; the callback port is closed"))
            }
            Self::NoCode(error) => match error {
                openrouter::Error::Rejected { status: 401, .. } => (
                    ErrorKind::Failed,
                    format!(
                        "{NOTHING}; the key given with --via-key works no more: give another, or sign in through the browser"
                    ),
                ),
                openrouter::Error::Rejected { status: 409, .. } => (
                    ErrorKind::Failed,
                    format!(
                        "{NOTHING}; the account is at odds with this request: look for a key with this label at OpenRouter, or try again with another label"
                    ),
                ),
                error => {
                    let (kind, advice) = not_issued(error);
                    (kind, format!("{NOTHING}; {advice}"))
                }
            },
            Self::NotCut(openrouter::Error::Rejected { status: 401, .. }) => (
                ErrorKind::Failed,
                format!(
                    "{NOTHING}; it works no more: give another with keywright management set, or sign in through the browser"
                ),
            ),
            Self::NotCut(openrouter::Error::Rejected { status: 403, .. }) => (
                ErrorKind::Failed,
                format!(
                    "{NOTHING}; it may not cut keys: is it a management key? Without one, sign in through the browser"
                ),
            ),
            Self::NotCut(error) | Self::NotIssued(error) => {
                let (kind, advice) = not_issued(error);
                (kind, format!("{NOTHING}; {advice}"))
            }
            Self::Unresolved(_) => (
                ErrorKind::Unresolved,
                format!(
                    "it is on the list of unresolved attempts; if a key was issued, nobody can spend with it: {CHECK}"
                ),
            ),
            Self::OddAnswer { kept: Some(account), place, .. } => (
                ErrorKind::Unresolved,
                format!(
                    "the answer is kept in {place} (service keywright-attempts, username {account}); {CHECK}"
                ),
            ),
            Self::OddAnswer { kept: None, .. } => (
                ErrorKind::Unresolved,
                format!("the answer could not be kept, and is nowhere but here; {CHECK}"),
            ),
        };
        UserError::new(kind, self.to_string(), advice)
    }
}

const fn not_issued(error: &openrouter::Error) -> (ErrorKind, &'static str) {
    match error {
        openrouter::Error::NotSent { .. } => (
            ErrorKind::Unreachable,
            "check the network, the proxy settings and --server, then try again",
        ),
        openrouter::Error::InvalidCertificate { .. } => {
            (ErrorKind::Unreachable, openrouter::INVALID_CERTIFICATE_ADVICE)
        }
        openrouter::Error::RateLimited { .. } => {
            (ErrorKind::Unreachable, "wait a minute, then try again")
        }
        openrouter::Error::Rejected { status: 300..=399, .. } => {
            (ErrorKind::Failed, "it sent us elsewhere, where no secret may follow; check --server")
        }
        openrouter::Error::Rejected { status: 400, .. } => (
            ErrorKind::Failed,
            "the server did not accept what was asked; try again, with other values if it repeats",
        ),
        openrouter::Error::Rejected { status: 403, .. } => {
            (ErrorKind::Failed, "the kind was wrong, used before or too old; sign in again")
        }
        openrouter::Error::Rejected { status: 404 | 405, .. } => {
            (ErrorKind::Failed, "this does not look like OpenRouter; check --server")
        }
        // Reached only where nothing can have been issued yet.
        openrouter::Error::OutcomeUnknown { .. } => (ErrorKind::Unreachable, "try again later"),
        openrouter::Error::Rejected { .. } | openrouter::Error::UnexpectedResponse { .. } => {
            (ErrorKind::Failed, "try again later")
        }
    }
}
