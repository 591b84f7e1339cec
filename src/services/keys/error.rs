//! Why something was not done to a key, and the words for it: what happened, what it means for key
//! and money, what to do now.

use crate::api::openrouter;
use crate::domain::{ErrorKind, Label, StoredKey, UserError};
use crate::storage::json_store;
use crate::storage::secret_store::{self, SecretStore};

/// What was not done, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory.
    #[error(transparent)]
    JsonStore(#[from] json_store::Error),
    /// The vault.
    #[error(transparent)]
    SecretStore(#[from] secret_store::Error),
    /// It takes a management key, and none is known.
    #[error("this takes a management key, and none is known")]
    NoManagementKey {
        /// Where its owner can do it by hand.
        page_url: String,
    },
    /// The server did not do it under the management key.
    #[error("{error}")]
    ManagementRequestFailed {
        /// Why.
        error: openrouter::Error,
        /// Where its owner can do it by hand.
        page_url: String,
    },
    /// The server said yes, and its answer says otherwise.
    #[error("the server did not take everything: {} is not as sent", .fields.join(", "))]
    UpdateNotApplied {
        /// OpenRouter's names.
        fields: Vec<&'static str>,
        /// Where its owner can do it by hand.
        page_url: String,
    },
    /// The key was deleted, and its copy could not be removed.
    #[error("the key was deleted at the server; its copy here was not removed: {}", .0.message)]
    CopyNotRemoved(UserError),
    /// A key could not be asked about itself.
    #[error("the key could not be checked: {0}")]
    CheckFailed(openrouter::Error),
    /// The server does not know it (401).
    #[error("the server knows no such key that works (401)")]
    KeyRejected,
    /// A management key where a key was wanted.
    #[error("this is a management key: it manages keys and cannot call models")]
    IsManagementKey,
    /// A key where a management key was wanted.
    #[error("this is not a management key: it can call models and manages no keys")]
    NotManagementKey,
    /// The inventory knows the label.
    #[error("a key labelled {0} is already held")]
    LabelTaken(Label),
    /// The vault knows the label, the inventory does not.
    #[error("the keychain holds a key under the label {0} that is not on the list")]
    LabelInSecretStore(Label),
    /// This very key is held.
    #[error("this key is already held, under the label {0}")]
    KeyAlreadyStored(Label),
    /// On the list no more.
    #[error("the key {0} is not on the list any more")]
    NotInInventory(Label),
    /// On the list, and not in the vault.
    #[error("'{label}' is on the list, but not in {store_name}")]
    MissingSecret {
        /// Its label.
        label: Label,
        /// The vault's name.
        store_name: String,
    },
    /// On the list, in another store than the one that was asked.
    #[error("{}", .0.message)]
    InOtherStore(UserError),
    /// Two stores hold different secrets under one name.
    #[error("another secret lies under '{0}' in {1}")]
    SecretConflict(String, String),
    /// A login was not ended, and its secrets must stay where they are.
    #[error("an attempt at cutting '{0}' is not ended")]
    AttemptPending(Label),
    /// Another key lies where this one should.
    #[error("the keychain holds another key under '{0}' than the list says")]
    SecretMismatch(Label),
    /// It has a successor already.
    #[error("'{0}' was replaced by another key already")]
    AlreadyReplaced(Label),
    /// Its policy cannot be asked for again.
    #[error("'{label}' cannot be replaced under the same policy: {reason}")]
    PolicyNotRepeatable {
        /// Its label.
        label: Label,
        /// What stands in the way.
        reason: String,
    },
}

impl Error {
    /// In words.
    pub fn to_user_error(&self) -> UserError {
        const NOTHING_CHANGED: &str = "nothing was changed";
        let (kind, advice) = match self {
            Self::JsonStore(error) => return error.to_user_error(),
            Self::SecretStore(error) => return error.to_user_error(),
            Self::NoManagementKey { page_url: page } => (
                ErrorKind::Failed,
                format!(
                    "{NOTHING_CHANGED}; give one with keywright management set, or do it yourself at {page}"
                ),
            ),
            Self::ManagementRequestFailed { error, page_url: page } => classify_management_error(error, page),
            Self::UpdateNotApplied { page_url: page, .. } => {
                (ErrorKind::Failed, format!("what it did take is in force; look at the key at {page}"))
            }
            Self::CopyNotRemoved(trouble) => (
                trouble.kind,
                format!("nobody can spend with it any more; remove the copy with keywright rm; {}", trouble.advice),
            ),
            Self::CheckFailed(error) => {
                let kind = if matches!(error, openrouter::Error::Rejected { .. } | openrouter::Error::UnexpectedResponse { .. }) { ErrorKind::Failed } else { ErrorKind::Unreachable };
                (kind, "nothing was stored; check the network and --server, then try again".into())
            }
            Self::KeyRejected => (
                ErrorKind::Failed,
                "nothing was stored; it was deleted, disabled or mistyped: copy it again, or cut another with keywright new".into(),
            ),
            Self::IsManagementKey => {
                (ErrorKind::InvalidInput, "nothing was stored; keywright management set takes it".into())
            }
            Self::NotManagementKey => {
                (ErrorKind::InvalidInput, "nothing was stored; management keys are made in OpenRouter's settings, and keywright import takes this one".into())
            }
            Self::LabelTaken(label) => (
                ErrorKind::InvalidInput,
                format!("{NOTHING_CHANGED}; choose another label, or remove that key first: keywright rm '{label}'"),
            ),
            Self::LabelInSecretStore(_) => {
                (ErrorKind::InvalidInput, format!("{NOTHING_CHANGED} and that key was left alone; choose another label"))
            }
            Self::KeyAlreadyStored(label) => (
                ErrorKind::InvalidInput,
                format!("{NOTHING_CHANGED}; to call it otherwise: keywright rename '{label}' NEW"),
            ),
            Self::NotInInventory(_) => {
                (ErrorKind::NotFound, format!("{NOTHING_CHANGED}; another Keywright may have removed or renamed it: keywright list"))
            }
            Self::MissingSecret { .. } => (
                ErrorKind::NotFound,
                "it was removed there by another program: cut a new key, and forget this one with keywright rm".into(),
            ),
            Self::InOtherStore(trouble) => return trouble.clone(),
            Self::SecretConflict(..) => (
                ErrorKind::Failed,
                "both were left where they are; remove or rename one of the two, then move again".into(),
            ),
            Self::AttemptPending(_) => (
                ErrorKind::Failed,
                format!("{NOTHING_CHANGED}; end it where it runs, or finish it with keywright recover, then move again"),
            ),
            Self::SecretMismatch(label) => (
                ErrorKind::Failed,
                format!("{NOTHING_CHANGED} and both keys are where they were; another program wrote that entry: keywright get '{label}' prints what is there"),
            ),
            Self::AlreadyReplaced(_) => {
                (ErrorKind::Failed, format!("{NOTHING_CHANGED}; it is kept until nobody uses it, then remove it with keywright rm --revoke"))
            }
            Self::PolicyNotRepeatable { .. } => (
                ErrorKind::Failed,
                "no key was issued and nothing was spent; cut one with keywright new and the policy you want".into(),
            ),
        };
        UserError::new(kind, self.to_string(), advice)
    }

    /// Of a key on the list that the vault does not hold.
    pub fn missing_secret(held: &StoredKey, vault: &SecretStore) -> Self {
        match held.other_store_error(&vault.kind().to_string()) {
            Some(trouble) => Self::InOtherStore(trouble),
            None => {
                Self::MissingSecret { label: held.label.clone(), store_name: vault.display_name() }
            }
        }
    }

    /// Of a request under the management key.
    pub(super) fn from_management_request(error: openrouter::Error, page: &str) -> Self {
        Self::ManagementRequestFailed { error, page_url: page.into() }
    }

    /// Whether the server says that there is no such key.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::ManagementRequestFailed { error, .. } if is_not_found(error))
    }
}

pub(super) const fn is_not_found(error: &openrouter::Error) -> bool {
    matches!(error, openrouter::Error::Rejected { status: 404, .. })
}

fn classify_management_error(error: &openrouter::Error, page: &str) -> (ErrorKind, String) {
    use openrouter::Error as E;
    match error {
        E::NotSent { .. } => (
            ErrorKind::Unreachable,
            "nothing was changed; check the network, the proxy settings and --server, then try again".into(),
        ),
        E::InvalidCertificate { .. } => (ErrorKind::Unreachable, format!("nothing was changed; {}", openrouter::INVALID_CERTIFICATE_ADVICE)),
        E::RateLimited { .. } => (ErrorKind::Unreachable, "nothing was changed; wait a minute, then try again".into()),
        E::OutcomeUnknown { .. } => {
            (ErrorKind::Unreachable, format!("whether it was done is not known; try again, or look at {page}"))
        }
        E::UnexpectedResponse { .. } => (ErrorKind::Failed, format!("whether it was done is not known; look at {page}")),
        E::Rejected { status: 401, .. } => (
            ErrorKind::Failed,
            "nothing was changed; the management key works no more: give another with keywright management set".into(),
        ),
        E::Rejected { status: 403, .. } => (
            ErrorKind::Failed,
            format!("nothing was changed; this management key may not do it: do it yourself at {page}"),
        ),
        E::Rejected { status: 404, .. } => (
            ErrorKind::Failed,
            "the account of the management key has no such key: it was deleted there, or belongs to another account".into(),
        ),
        E::Rejected { .. } => (ErrorKind::Failed, format!("nothing was changed; look at {page}")),
    }
}
