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
    LabelTaken(Label),
    /// The keychain knows the label, the inventory does not.
    #[error("the keychain holds a key under the label {0} that is not on the list")]
    LabelInSecretStore(Label),
    /// The inventory or the journal.
    #[error(transparent)]
    JsonStore(#[from] json_store::Error),
    /// The vault.
    #[error(transparent)]
    SecretStore(#[from] secret_store::Error),
    /// The callback listener.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The server's address cannot be read.
    #[error("the server's address cannot be read")]
    InvalidServerUrl,
    /// The person refused on the consent page.
    #[error("access was refused on the consent page{}", .0.as_ref().map(|words| format!(" ({words})")).unwrap_or_default())]
    AuthorizationDenied(Option<String>),
    /// The person left.
    #[error("cancelled")]
    Cancelled,
    /// Nobody decided on the consent page.
    #[error("nobody answered the consent page for ten minutes")]
    ConsentTimedOut,
    /// No key vouched for the new one.
    #[error("no kind was given for the new key: {0}")]
    CodeRequestFailed(openrouter::Error),
    /// The management key cut none.
    #[error("the management key cut no key: {0}")]
    CreateFailed(openrouter::Error),
    /// The exchange failed cleanly: no key was issued.
    #[error("{0}")]
    ExchangeFailed(openrouter::Error),
    /// The exchange may have issued a key.
    #[error("a key may have been issued and was not received: {0}")]
    Unresolved(openrouter::Error),
    /// The server said yes, and its answer held no key.
    #[error("the server accepted the kind, and its answer holds no key{}", if *.truncated { " in its first 64 KiB" } else { "" })]
    UnexpectedResponse {
        /// The account of `keywright-attempts` where the answer is kept, if it could be.
        saved_as: Option<String>,
        /// The store it is kept in, in words.
        store_name: String,
        /// The answer, where nothing else has it.
        response: Option<SecretString>,
        /// Whether it was longer than what is read of one.
        truncated: bool,
    },
}

impl Error {
    /// Whether a key may exist that nobody holds.
    pub const fn is_unresolved(&self) -> bool {
        matches!(self, Self::Unresolved(_) | Self::UnexpectedResponse { .. })
    }

    /// In words.
    pub fn to_user_error(&self) -> UserError {
        const NO_KEY_CREATED: &str = "no key was issued and nothing was spent";
        const CHECK_KEYS_PAGE: &str = "look at your keys at OpenRouter and delete the one with this label if it is there, then try again";
        let (kind, advice) = match self {
            Self::LabelTaken(label) => (
                ErrorKind::InvalidInput,
                format!(
                    "{NO_KEY_CREATED}; choose another label, or remove the old key first: keywright rm '{label}'"
                ),
            ),
            Self::LabelInSecretStore(_) => (
                ErrorKind::InvalidInput,
                format!("{NO_KEY_CREATED} and that key was left alone; choose another label"),
            ),
            Self::JsonStore(error) => {
                (ErrorKind::Failed, format!("{NO_KEY_CREATED}; {}", error.advice()))
            }
            Self::SecretStore(error) => {
                (ErrorKind::SecretStore, format!("{NO_KEY_CREATED}; {}", error.advice()))
            }
            Self::Callback(CallbackError::TimedOut) | Self::ConsentTimedOut => {
                (ErrorKind::Unreachable, format!("{NO_KEY_CREATED}; try again"))
            }
            Self::Callback(_) => (
                ErrorKind::Failed,
                format!(
                    "{NO_KEY_CREATED}; choose another port with --callback-port, or paste the kind: --no-browser"
                ),
            ),
            Self::InvalidServerUrl => (
                ErrorKind::InvalidInput,
                format!("{NO_KEY_CREATED}; give the server as https://openrouter.ai"),
            ),
            Self::AuthorizationDenied(_) => {
                (ErrorKind::Cancelled, format!("{NO_KEY_CREATED}; try again if that was not meant"))
            }
            Self::Cancelled => {
                (ErrorKind::Cancelled, format!("{NO_KEY_CREATED}; the callback port is closed"))
            }
            Self::CodeRequestFailed(error) => match error {
                openrouter::Error::Rejected { status: 401, .. } => (
                    ErrorKind::Failed,
                    format!(
                        "{NO_KEY_CREATED}; the key given with --via-key works no more: give another, or sign in through the browser"
                    ),
                ),
                openrouter::Error::Rejected { status: 409, .. } => (
                    ErrorKind::Failed,
                    format!(
                        "{NO_KEY_CREATED}; the account is at odds with this request: look for a key with this label at OpenRouter, or try again with another label"
                    ),
                ),
                error => {
                    let (kind, advice) = classify_api_error(error);
                    (kind, format!("{NO_KEY_CREATED}; {advice}"))
                }
            },
            Self::CreateFailed(openrouter::Error::Rejected { status: 401, .. }) => (
                ErrorKind::Failed,
                format!(
                    "{NO_KEY_CREATED}; it works no more: give another with keywright management set, or sign in through the browser"
                ),
            ),
            Self::CreateFailed(openrouter::Error::Rejected { status: 403, .. }) => (
                ErrorKind::Failed,
                format!(
                    "{NO_KEY_CREATED}; it may not cut keys: is it a management key? Without one, sign in through the browser"
                ),
            ),
            Self::CreateFailed(error) | Self::ExchangeFailed(error) => {
                let (kind, advice) = classify_api_error(error);
                (kind, format!("{NO_KEY_CREATED}; {advice}"))
            }
            Self::Unresolved(_) => (
                ErrorKind::Unresolved,
                format!(
                    "it is on the list of unresolved attempts; if a key was issued, nobody can spend with it: {CHECK_KEYS_PAGE}"
                ),
            ),
            Self::UnexpectedResponse { saved_as: Some(account), store_name: place, .. } => (
                ErrorKind::Unresolved,
                format!(
                    "the answer is kept in {place} (service keywright-attempts, username {account}); {CHECK_KEYS_PAGE}"
                ),
            ),
            Self::UnexpectedResponse { saved_as: None, .. } => (
                ErrorKind::Unresolved,
                format!("the answer could not be kept, and is nowhere but here; {CHECK_KEYS_PAGE}"),
            ),
        };
        UserError::new(kind, self.to_string(), advice)
    }
}

const fn classify_api_error(error: &openrouter::Error) -> (ErrorKind, &'static str) {
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
