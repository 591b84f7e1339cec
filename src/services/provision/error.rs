//! Errors of provisioning, and how each is shown to the user.

use secrecy::SecretString;

use super::ATTEMPTS_SERVICE;
use crate::api::oauth::CallbackError;
use crate::api::openrouter;
use crate::domain::{ErrorKind, Label, StoreKind, UserError};
use crate::storage::json_store;
use crate::storage::secret_store;

/// An error that ended provisioning before a key was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory already has the label.
    #[error("a key with the label {0} is already stored")]
    LabelTaken(Label),
    /// The secret store has the label, the inventory does not.
    #[error("the secret store has a key with the label {0} that is not in the inventory")]
    LabelInSecretStore(Label),
    /// The secret store has an entry with the label that cannot be read as a key.
    #[error("the secret store has an entry with the label {label} that cannot be read: {error}")]
    UnreadableEntry {
        /// The label.
        label: Label,
        /// Why it cannot be read.
        error: secret_store::Error,
    },
    /// Someone else created the label in the shared store.
    #[error("'{label}' was created {writer}")]
    CreatedByOther {
        /// The label.
        label: Label,
        /// Who created it and when, such as `by eva@laptop on …`.
        writer: String,
    },
    /// Another program, or someone else in a shared store, is replacing the same key.
    #[error("the key of '{label}' is being replaced {writer}")]
    ReplacedByOther {
        /// The label of the key to be replaced.
        label: Label,
        /// Who replaces it and when, such as `by eva@laptop on …` or `by another program`.
        writer: String,
    },
    /// The inventory or the journal cannot be read or written.
    #[error(transparent)]
    JsonStore(#[from] json_store::Error),
    /// The secret store failed.
    #[error(transparent)]
    SecretStore(#[from] secret_store::Error),
    /// The store of this machine failed, and the key's own store is shared.
    #[error("this machine has no store for the secrets of the sign-in: {0}")]
    NoLocalStore(secret_store::Error),
    /// The store that is requested for the key is not set up.
    #[error("the {0} store that is requested for the key is not set up on this machine")]
    NoSuchStore(StoreKind),
    /// The callback listener failed.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The server's URL cannot be parsed.
    #[error("the server's URL is invalid")]
    InvalidServerUrl,
    /// The user denied access on the consent page.
    #[error("access was denied on the consent page{}", .0.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    AuthorizationDenied(Option<String>),
    /// The user cancelled.
    #[error("cancelled")]
    Cancelled,
    /// No decision was made on the consent page in time.
    #[error("the consent page was not answered within ten minutes")]
    ConsentTimedOut,
    /// The existing key could not authorise the new one.
    #[error("the server issued no code for the new key: {0}")]
    CodeRequestFailed(openrouter::Error),
    /// The management key created no key.
    #[error("the management key created no key: {0}")]
    CreateFailed(openrouter::Error),
    /// The exchange failed and certainly created no key.
    #[error("{0}")]
    ExchangeFailed(openrouter::Error),
    /// The exchange may have created a key.
    #[error("a key may have been created and was not received: {0}")]
    Unresolved(openrouter::Error),
    /// The management key may have created a key, under the name of its attempt.
    #[error("a key may have been created and was not received: {error}")]
    UnresolvedNamed {
        /// The name of the attempt.
        name: Label,
        /// Why it is not known.
        error: openrouter::Error,
    },
    /// The server reported success in a response without a key.
    #[error("the server accepted the code, but its response contains no key{}", if *.truncated { " in its first 64 KiB" } else { "" })]
    UnexpectedResponse {
        /// The account in `keywright-attempts` under which the response is stored, if it is.
        saved_as: Option<String>,
        /// The display name of that secret store.
        store_name: String,
        /// The response, if it is stored nowhere.
        response: Option<SecretString>,
        /// Whether the response was longer than the limit for reading one.
        truncated: bool,
    },
}

impl Error {
    /// Returns whether a key may exist that was not received.
    pub const fn is_unresolved(&self) -> bool {
        matches!(
            self,
            Self::Unresolved(_) | Self::UnresolvedNamed { .. } | Self::UnexpectedResponse { .. }
        )
    }

    /// Returns the error as it is shown to the user.
    pub fn to_user_error(&self) -> UserError {
        let (kind, advice) = match self {
            Self::LabelTaken(label) => (
                ErrorKind::InvalidInput,
                format!(
                    "choose another label, or remove the stored key: {}",
                    label.command("rm")
                ),
            ),
            Self::CreatedByOther { label, .. } => (
                ErrorKind::InvalidInput,
                format!(
                    "use that key: {}; or choose another label",
                    label.command("get")
                ),
            ),
            Self::ReplacedByOther { label, .. } => (
                ErrorKind::Failed,
                format!("see the result: {}", label.command("show")),
            ),
            // Only this label cannot be used; the secret store works.
            Self::UnreadableEntry { error, .. } => {
                (ErrorKind::InvalidInput, error.advice().into())
            }
            Self::LabelInSecretStore(_) => {
                (ErrorKind::InvalidInput, "that key was not changed, choose another label".into())
            }
            Self::JsonStore(error) => (ErrorKind::Failed, error.advice()),
            Self::SecretStore(error) => (ErrorKind::SecretStore, error.advice().into()),
            Self::NoLocalStore(_) => (
                ErrorKind::SecretStore,
                "start a keychain, or set KEYWRIGHT_PASSPHRASE_FILE to a file with a passphrase: \
                 then an encrypted file holds them"
                    .into(),
            ),
            Self::NoSuchStore(_) => (
                ErrorKind::SecretStore,
                "set its address (BAO_ADDR), or choose one store for all keys with --store".into(),
            ),
            Self::Callback(CallbackError::TimedOut) | Self::ConsentTimedOut => {
                (ErrorKind::ConsentTimedOut, "run the same command again and approve within ten minutes; for a browser on another machine add --no-browser".into())
            }
            Self::Callback(_) => (
                ErrorKind::Failed,
                "choose another port with --callback-port, or paste the code with --no-browser"
                    .into(),
            ),
            Self::InvalidServerUrl => (
                ErrorKind::InvalidInput,
                "give a server URL such as --server https://openrouter.ai".into(),
            ),
            Self::AuthorizationDenied(_) => {
                (ErrorKind::Cancelled, "try again if that was not intended".into())
            }
            Self::Cancelled => {
                (ErrorKind::Cancelled, "run the same command again to start over".into())
            }
            Self::CodeRequestFailed(openrouter::Error::Rejected { status: 401, .. }) => (
                ErrorKind::Failed,
                "the key that authorises no longer works: choose another with --via-key, or sign in through the browser".into(),
            ),
            Self::CodeRequestFailed(openrouter::Error::Rejected { status: 409, .. }) => (
                ErrorKind::Failed,
                "look for a key with this label at OpenRouter, or try again with another label".into(),
            ),
            Self::CreateFailed(openrouter::Error::Rejected { status: 401, .. }) => (
                ErrorKind::Failed,
                "the management key no longer works: store another with keywright management set, or sign in through the browser".into(),
            ),
            Self::CreateFailed(openrouter::Error::Rejected { status: 403, .. }) => (
                ErrorKind::Failed,
                "check that it is a management key, or sign in through the browser".into(),
            ),
            Self::CodeRequestFailed(error)
            | Self::CreateFailed(error)
            | Self::ExchangeFailed(error) => {
                let (kind, advice) = classify_api_error(error);
                (kind, error.settings_advice().unwrap_or(advice).into())
            }
            Self::UnresolvedNamed { .. } => {
                (ErrorKind::Unresolved, "delete it if it exists: keywright recover; then try again".into())
            }
            Self::Unresolved(_) | Self::UnexpectedResponse { .. } => (
                ErrorKind::Unresolved,
                "look at your keys at OpenRouter and delete the one with this label if it is there, then try again".into(),
            ),
        };
        UserError::new(kind, self.to_string(), advice).with_meaning(self.meaning())
    }

    fn meaning(&self) -> String {
        match self {
            Self::Unresolved(_) => {
                "the attempt is listed by keywright recover; nobody can spend with a key that was not received".into()
            }
            Self::UnresolvedNamed { name, .. } => format!(
                "its name at OpenRouter would be '{name}'; nobody can spend with a key that was not received"
            ),
            Self::UnexpectedResponse { saved_as: Some(account), store_name, .. } => format!(
                "the response is stored in {store_name} (service {ATTEMPTS_SERVICE}, username {account})"
            ),
            Self::UnexpectedResponse { saved_as: None, .. } => {
                "the response could not be stored, and this program has the only copy".into()
            }
            Self::ReplacedByOther { .. } => {
                "nothing was changed, and no second key was created".into()
            }
            _ => "no key was created and nothing was spent".into(),
        }
    }
}

/// Returns the kind and the advice; [`openrouter::Error::settings_advice`] comes first.
pub(super) const fn classify_api_error(error: &openrouter::Error) -> (ErrorKind, &'static str) {
    match error {
        openrouter::Error::InvalidSetting { .. } => (ErrorKind::InvalidInput, ""),
        openrouter::Error::NotSent { .. }
        | openrouter::Error::InvalidCertificate { .. }
        | openrouter::Error::ProxyFailed { .. } => (ErrorKind::Unreachable, ""),
        openrouter::Error::RateLimited { .. } => {
            (ErrorKind::Unreachable, "wait a minute, then try again")
        }
        openrouter::Error::Rejected { status: 300..=399, .. } => {
            (ErrorKind::Failed, "redirects are not followed with credentials, check --server")
        }
        openrouter::Error::Rejected { status: 400, .. } => (
            ErrorKind::Failed,
            "the server rejected the request: try again, and use other values if it happens again",
        ),
        openrouter::Error::Rejected { status: 403, .. } => {
            (ErrorKind::Failed, "the code was wrong, already used or expired: sign in again")
        }
        openrouter::Error::Rejected { status: 404 | 405, .. } => {
            (ErrorKind::Failed, "this server does not look like OpenRouter, check --server")
        }
        // Reached only where no key can have been created.
        openrouter::Error::OutcomeUnknown { .. } => (ErrorKind::Unreachable, "try again later"),
        openrouter::Error::Rejected { .. } | openrouter::Error::UnexpectedResponse { .. } => {
            (ErrorKind::Failed, "try again later")
        }
    }
}
