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
    Document(#[from] json_store::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] secret_store::Error),
    /// It takes a management key, and none is known.
    #[error("this takes a management key, and none is known")]
    NoManagementKey {
        /// Where its owner can do it by hand.
        page: String,
    },
    /// The server did not do it under the management key.
    #[error("{error}")]
    Managed {
        /// Why.
        error: openrouter::Error,
        /// Where its owner can do it by hand.
        page: String,
    },
    /// The server said yes, and its answer says otherwise.
    #[error("the server did not take everything: {} is not as sent", .names.join(", "))]
    NotTaken {
        /// OpenRouter's names.
        names: Vec<&'static str>,
        /// Where its owner can do it by hand.
        page: String,
    },
    /// The key was deleted, and its copy could not be removed.
    #[error("the key was deleted at the server; its copy here was not removed: {}", .0.message)]
    NotForgotten(UserError),
    /// A key could not be asked about itself.
    #[error("the key could not be checked: {0}")]
    Unchecked(openrouter::Error),
    /// The server does not know it (401).
    #[error("the server knows no such key that works (401)")]
    DeadKey,
    /// A management key where a key was wanted.
    #[error("this is a management key: it manages keys and cannot call models")]
    IsManagement,
    /// A key where a management key was wanted.
    #[error("this is not a management key: it can call models and manages no keys")]
    NotManagement,
    /// The inventory knows the label.
    #[error("a key labelled {0} is already held")]
    LabelHeld(Label),
    /// The vault knows the label, the inventory does not.
    #[error("the keychain holds a key under the label {0} that is not on the list")]
    LabelInVault(Label),
    /// This very key is held.
    #[error("this key is already held, under the label {0}")]
    KeyHeld(Label),
    /// On the list no more.
    #[error("the key {0} is not on the list any more")]
    NotHeld(Label),
    /// On the list, and not in the vault.
    #[error("'{label}' is on the list, but not in {place}")]
    Absent {
        /// Its label.
        label: Label,
        /// The vault's name.
        place: String,
    },
    /// On the list, in another store than the one that was asked.
    #[error("{}", .0.message)]
    Elsewhere(UserError),
    /// Two stores hold different secrets under one name.
    #[error("another secret lies under '{0}' in {1}")]
    OtherThere(String, String),
    /// A login was not ended, and its secrets must stay where they are.
    #[error("an attempt at cutting '{0}' is not ended")]
    AttemptOpen(Label),
    /// Another key lies where this one should.
    #[error("the keychain holds another key under '{0}' than the list says")]
    AnotherKey(Label),
    /// It has a successor already.
    #[error("'{0}' was replaced by another key already")]
    Replaced(Label),
    /// Its policy cannot be asked for again.
    #[error("'{label}' cannot be replaced under the same policy: {why}")]
    NoSamePolicy {
        /// Its label.
        label: Label,
        /// What stands in the way.
        why: String,
    },
}

impl Error {
    /// In words.
    pub fn trouble(&self) -> UserError {
        const NOTHING: &str = "nothing was changed";
        let (kind, advice) = match self {
            Self::Document(error) => return error.to_user_error(),
            Self::Vault(error) => return error.to_user_error(),
            Self::NoManagementKey { page } => (
                ErrorKind::Failed,
                format!(
                    "{NOTHING}; give one with keywright management set, or do it yourself at {page}"
                ),
            ),
            Self::Managed { error, page } => managed(error, page),
            Self::NotTaken { page, .. } => {
                (ErrorKind::Failed, format!("what it did take is in force; look at the key at {page}"))
            }
            Self::NotForgotten(trouble) => (
                trouble.kind,
                format!("nobody can spend with it any more; remove the copy with keywright rm; {}", trouble.advice),
            ),
            Self::Unchecked(error) => {
                let kind = if matches!(error, openrouter::Error::Rejected { .. } | openrouter::Error::UnexpectedResponse { .. }) { ErrorKind::Failed } else { ErrorKind::Unreachable };
                (kind, "nothing was stored; check the network and --server, then try again".into())
            }
            Self::DeadKey => (
                ErrorKind::Failed,
                "nothing was stored; it was deleted, disabled or mistyped: copy it again, or cut another with keywright new".into(),
            ),
            Self::IsManagement => {
                (ErrorKind::InvalidInput, "nothing was stored; keywright management set takes it".into())
            }
            Self::NotManagement => {
                (ErrorKind::InvalidInput, "nothing was stored; management keys are made in OpenRouter's settings, and keywright import takes this one".into())
            }
            Self::LabelHeld(label) => (
                ErrorKind::InvalidInput,
                format!("{NOTHING}; choose another label, or remove that key first: keywright rm '{label}'"),
            ),
            Self::LabelInVault(_) => {
                (ErrorKind::InvalidInput, format!("{NOTHING} and that key was left alone; choose another label"))
            }
            Self::KeyHeld(label) => (
                ErrorKind::InvalidInput,
                format!("{NOTHING}; to call it otherwise: keywright rename '{label}' NEW"),
            ),
            Self::NotHeld(_) => {
                (ErrorKind::NotFound, format!("{NOTHING}; another Keywright may have removed or renamed it: keywright list"))
            }
            Self::Absent { .. } => (
                ErrorKind::NotFound,
                "it was removed there by another program: cut a new key, and forget this one with keywright rm".into(),
            ),
            Self::Elsewhere(trouble) => return trouble.clone(),
            Self::OtherThere(..) => (
                ErrorKind::Failed,
                "both were left where they are; remove or rename one of the two, then move again".into(),
            ),
            Self::AttemptOpen(_) => (
                ErrorKind::Failed,
                format!("{NOTHING}; end it where it runs, or finish it with keywright recover, then move again"),
            ),
            Self::AnotherKey(label) => (
                ErrorKind::Failed,
                format!("{NOTHING} and both keys are where they were; another program wrote that entry: keywright get '{label}' prints what is there"),
            ),
            Self::Replaced(_) => {
                (ErrorKind::Failed, format!("{NOTHING}; it is kept until nobody uses it, then remove it with keywright rm --revoke"))
            }
            Self::NoSamePolicy { .. } => (
                ErrorKind::Failed,
                "no key was issued and nothing was spent; cut one with keywright new and the policy you want".into(),
            ),
        };
        UserError::new(kind, self.to_string(), advice)
    }

    /// Of a key on the list that the vault does not hold.
    pub fn not_there(held: &StoredKey, vault: &SecretStore) -> Self {
        match held.other_store_error(&vault.kind().to_string()) {
            Some(trouble) => Self::Elsewhere(trouble),
            None => Self::Absent { label: held.label.clone(), place: vault.display_name() },
        }
    }

    /// Of a request under the management key.
    pub(super) fn managed(error: openrouter::Error, page: &str) -> Self {
        Self::Managed { error, page: page.into() }
    }

    /// Whether the server says that there is no such key.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::Managed { error, .. } if is_gone(error))
    }
}

pub(super) const fn is_gone(error: &openrouter::Error) -> bool {
    matches!(error, openrouter::Error::Rejected { status: 404, .. })
}

fn managed(error: &openrouter::Error, page: &str) -> (ErrorKind, String) {
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
