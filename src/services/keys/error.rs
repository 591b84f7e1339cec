//! Errors of operations on existing keys, and how each is shown to the user.

use super::management_error::classify_management_error;
use super::resource_error::ResourceError;
use crate::api::openrouter;
use crate::domain::{ErrorKind, Label, UserError, format_command};
use crate::services::shared_inventory;
use crate::storage::json_store;
use crate::storage::secret_store;

/// An error of an operation on an existing key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory or the journal cannot be read or written.
    #[error(transparent)]
    JsonStore(#[from] json_store::Error),
    /// The secret store failed.
    #[error(transparent)]
    SecretStore(#[from] secret_store::Error),
    /// The operation requires a management key, and none is known.
    #[error("a management key is required, and none is known")]
    NoManagementKey {
        /// The page where the account's owner can do it.
        page_url: String,
    },
    /// A guardrail or a workspace is not what was requested.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// A request with the management key failed.
    #[error("{error}")]
    ManagementRequestFailed {
        /// The failure.
        error: openrouter::Error,
        /// The page where the account's owner can do it; `None` of a request that only reads.
        page_url: Option<String>,
    },
    /// The server accepted an update, but its response has other values than were sent.
    #[error("the server did not apply the whole update: {} differs from what was sent", .fields.join(", "))]
    UpdateNotApplied {
        /// OpenRouter's names of the fields.
        fields: Vec<&'static str>,
        /// The page where the account's owner can check the key.
        page_url: String,
    },
    /// The key was deleted at the server, but its local copy could not be removed.
    #[error("the key was deleted at OpenRouter, but its copy on this machine was not removed: {}", .error.message)]
    CopyNotRemoved {
        /// The key's label.
        label: Label,
        /// Why the copy could not be removed.
        error: UserError,
    },
    /// The secret is gone from the secret store, and the inventory could not be written afterwards.
    #[error("'{label}' is no longer in {store_name}, but is still in the inventory: {error}")]
    NotUnlisted {
        /// The key's label.
        label: Label,
        /// The secret store's display name.
        store_name: String,
        /// Whether the key was deleted at the server too.
        is_revoked: bool,
        /// Why the inventory could not be written.
        error: json_store::Error,
    },
    /// The secret is in the secret store, and the inventory could not be written afterwards.
    #[error(
        "{store_name} has the key with the label '{label}', but the inventory does not: {error}"
    )]
    NotListed {
        /// The key's label.
        label: Label,
        /// The secret store's display name.
        store_name: String,
        /// Why the inventory could not be written.
        error: json_store::Error,
    },
    /// Secrets were copied to another secret store, and the inventory could not be written
    /// afterwards.
    #[error(
        "the secrets were copied to {store_name}, but the inventory could not be written: {error}"
    )]
    MoveNotRecorded {
        /// The display name of the new secret store.
        store_name: String,
        /// Why the inventory could not be written.
        error: json_store::Error,
    },
    /// The request for the key's own information failed.
    #[error("the key could not be checked: {0}")]
    CheckFailed(openrouter::Error),
    /// The server rejects the key (401).
    #[error("the server does not accept this key (401)")]
    KeyRejected,
    /// A management key was given instead of an API key.
    #[error("this is a management key: it manages keys and cannot call models")]
    IsManagementKey,
    /// An API key was given instead of a management key.
    #[error("this is not a management key: it can call models and cannot manage keys")]
    NotManagementKey,
    /// The inventory already has the label.
    #[error("a key with the label {0} is already stored")]
    LabelTaken(Label),
    /// The secret store has the label, the inventory does not.
    #[error("the secret store has a key with the label {0} that is not in the inventory")]
    LabelInSecretStore(Label),
    /// The same key is already stored.
    #[error("this key is already stored with the label {0}")]
    KeyAlreadyStored(Label),
    /// The inventory does not have the key any more.
    #[error("the key {0} is no longer in the inventory")]
    NotInInventory(Label),
    /// The trash does not have the removed key any more.
    #[error("the removed key '{0}' is no longer in the trash")]
    NotInTrash(Label),
    /// The trash entry of the removed key has another text.
    #[error("the trash has another secret for '{0}'")]
    TrashMismatch(Label),
    /// The inventory has the key, the secret store does not.
    #[error("'{label}' is in the inventory, but not in {store_name}")]
    MissingSecret {
        /// The key's label.
        label: Label,
        /// The secret store's display name.
        store_name: String,
    },
    /// Someone else replaced the key in a shared store.
    #[error("{}", .0.message)]
    ReplacedByOther(UserError),
    /// Someone else removed or renamed the key in a shared store.
    #[error("{}", .0.message)]
    ChangedByOther(UserError),
    /// Nothing is done, for the reason that the error gives.
    #[error("{}", .0.message)]
    Refused(UserError),
    /// The key is in another secret store than the one in use.
    #[error("{}", .0.message)]
    InOtherStore(UserError),
    /// Another keychain answers than the one that keys were stored in.
    #[error("{}", .0.message)]
    OtherKeychain(UserError),
    /// The key was removed or replaced while it was moved.
    #[error("'{0}' was changed by another program while it was moved")]
    KeyChanged(String),
    /// The key is in its new store, and its old copy could not be deleted.
    #[error("the key is in {store_name}, but its old copy was not deleted: {error}")]
    OldCopyNotDeleted {
        /// The display name of the new secret store.
        store_name: String,
        /// Why not.
        error: Box<Error>,
    },
    /// Two secret stores have different secrets with the same name.
    #[error("{1} has a different secret with the name '{0}'")]
    SecretConflict(String, String),
    /// An attempt is still open, and its secrets must not be moved.
    #[error("an attempt to create '{0}' has not ended")]
    AttemptPending(Label),
    /// The secret stored with the label is not this key.
    #[error("the secret store has another key with the label '{0}' than the inventory")]
    SecretMismatch(Label),
    /// The key has already been replaced.
    #[error("'{0}' has already been replaced by another key")]
    AlreadyReplaced(Label),
    /// The key's policy cannot be requested again, and why.
    #[error("'{0}' cannot be replaced with the same policy: {1}")]
    PolicyNotRepeatable(Label, String),
}

impl From<shared_inventory::Error> for Error {
    fn from(error: shared_inventory::Error) -> Self {
        match error {
            shared_inventory::Error::Store(error) => error.into(),
            shared_inventory::Error::Inventory(error) => error.into(),
        }
    }
}

const UNCHANGED: &str = "nothing was changed";
const NOT_STORED: &str = "nothing was stored";

impl Error {
    /// Returns the error as it is shown to the user.
    pub fn to_user_error(&self) -> UserError {
        let (kind, meaning, advice) = match self {
            Self::JsonStore(error) => return error.to_user_error(),
            Self::SecretStore(error) => return error.to_user_error(),
            Self::Resource(error) => return error.to_user_error(),
            Self::InOtherStore(error)
            | Self::ReplacedByOther(error)
            | Self::ChangedByOther(error)
            | Self::Refused(error)
            | Self::OtherKeychain(error) => return error.clone(),
            Self::NoManagementKey { page_url } => (
                ErrorKind::Failed,
                UNCHANGED,
                format!("store one with keywright management set, or make the change at {page_url}"),
            ),
            Self::ManagementRequestFailed { error, page_url } => {
                classify_management_error(error, page_url.as_deref())
            }
            Self::UpdateNotApplied { page_url, .. } => (
                ErrorKind::Failed,
                "the other changes are in effect",
                format!("check the key at {page_url}"),
            ),
            Self::CopyNotRemoved { label, error } => (
                error.kind,
                "nobody can spend with this key any more",
                match error.advice.as_str() {
                    "" => format!("remove the copy: {}", label.command("rm")),
                    advice => format!("{advice}, then remove the copy: {}", label.command("rm")),
                },
            ),
            Self::NotUnlisted { label, is_revoked, error, .. } => (
                ErrorKind::Failed,
                if *is_revoked {
                    "the key was deleted at OpenRouter: nobody can spend with it any more"
                } else {
                    "the key stays valid at OpenRouter, and its copy on this machine is deleted"
                },
                format!(
                    "{}, then remove the rest: {}",
                    error.advice(),
                    label.command("rm")
                ),
            ),
            Self::NotListed { error, .. } => (
                ErrorKind::Failed,
                "the key is not lost",
                format!("{}, then add it to the inventory: keywright doctor --fix", error.advice()),
            ),
            Self::MoveNotRecorded { error, .. } => (
                ErrorKind::Failed,
                "both stores have the secrets, and the old one is still in use",
                format!("{}, then move again", error.advice()),
            ),
            Self::CheckFailed(error) => (
                error.kind(),
                NOT_STORED,
                error.settings_advice().unwrap_or("try again later").into(),
            ),
            Self::KeyRejected => (
                ErrorKind::Failed,
                NOT_STORED,
                "it was deleted, disabled or mistyped: copy it again, or create another with keywright new".into(),
            ),
            Self::IsManagementKey => {
                (ErrorKind::InvalidInput, NOT_STORED, "store it with keywright management set".into())
            }
            Self::NotManagementKey => (
                ErrorKind::InvalidInput,
                NOT_STORED,
                "create a management key in OpenRouter's settings, or store this key with keywright import LABEL".into(),
            ),
            Self::LabelTaken(label) => (
                ErrorKind::InvalidInput,
                UNCHANGED,
                format!(
                    "choose another label, or remove that key first: {}",
                    label.command("rm")
                ),
            ),
            Self::LabelInSecretStore(_) => {
                (ErrorKind::InvalidInput, UNCHANGED, "choose another label".into())
            }
            Self::KeyAlreadyStored(label) => (
                ErrorKind::InvalidInput,
                UNCHANGED,
                format!(
                    "to give it another label: {}",
                    format_command(&["rename"], &[label.as_str(), "NEW"])
                ),
            ),
            Self::NotInInventory(_) => (
                ErrorKind::NotFound,
                UNCHANGED,
                "another Keywright may have removed or renamed it: keywright list".into(),
            ),
            Self::NotInTrash(_) => (
                ErrorKind::NotFound,
                "it was restored or deleted before, and its text cannot be fetched again",
                "see what can be restored: keywright trash list".into(),
            ),
            Self::TrashMismatch(_) => (
                ErrorKind::Failed,
                "nothing was restored: another program wrote that entry",
                "if you do not need it, delete it with all keys that you removed: keywright trash empty".into(),
            ),
            Self::MissingSecret { label, .. } => (
                ErrorKind::NotFound,
                "an interrupted keywright rm or another program removed the secret",
                format!(
                    "replace it with a new key: {}; or remove it from the inventory: {}",
                    label.command("rotate"),
                    label.command("rm")
                ),
            ),
            Self::KeyChanged(_) => (
                ErrorKind::Failed,
                "its copy in the new store was deleted again",
                "move it again".into(),
            ),
            Self::OldCopyNotDeleted { error, .. } => (
                ErrorKind::Failed,
                "the new copy is used; the old store still has the key",
                format!("{}; then move again, which deletes the old copy", error.to_user_error().advice),
            ),
            Self::SecretConflict(..) => (
                ErrorKind::Failed,
                "both secrets were left where they are",
                "remove or rename one of the two, then move again".into(),
            ),
            Self::AttemptPending(_) => (
                ErrorKind::Failed,
                UNCHANGED,
                "end it in the program where it runs, or with keywright recover, then move again".into(),
            ),
            Self::SecretMismatch(label) => (
                ErrorKind::Failed,
                "nothing was changed, and both keys are where they were",
                format!(
                    "another program wrote that entry; print it: {}",
                    label.command("get")
                ),
            ),
            Self::AlreadyReplaced(label) => (
                ErrorKind::Failed,
                UNCHANGED,
                format!(
                    "when nothing uses it any more: {}",
                    label.command("rm --revoke")
                ),
            ),
            Self::PolicyNotRepeatable(..) => (
                ErrorKind::Failed,
                "no key was created and nothing was spent",
                "create a key with the policy you want: keywright new".into(),
            ),
        };
        UserError::new(kind, self.to_string(), advice).with_meaning(meaning)
    }

    /// Returns whether the secret of one key cannot be read, while those of other keys may be.
    pub(super) const fn is_about_one_key(&self) -> bool {
        match self {
            Self::MissingSecret { .. } | Self::InOtherStore(_) => true,
            Self::SecretStore(error) => error.is_about_entry(),
            _ => false,
        }
    }

    pub(super) fn from_management_request(error: openrouter::Error, page_url: &str) -> Self {
        Self::ManagementRequestFailed { error, page_url: Some(page_url.into()) }
    }

    /// Returns the error of a request that reads a list of the account.
    pub(crate) const fn from_read_request(error: openrouter::Error) -> Self {
        Self::ManagementRequestFailed { error, page_url: None }
    }

    /// Returns whether the management key lacks the right, or the server is too old for the request.
    pub const fn is_unavailable(&self) -> bool {
        use openrouter::Error::Rejected;
        matches!(
            self,
            Self::ManagementRequestFailed { error: Rejected { status: 403..=405, .. }, .. }
        )
    }

    /// Returns whether one key may fail while others do not.
    pub const fn is_of_one_request(&self) -> bool {
        use openrouter::Error::{OutcomeUnknown, UnexpectedResponse};
        let Self::ManagementRequestFailed { error, .. } = self else { return false };
        self.is_unavailable() || matches!(error, OutcomeUnknown { .. } | UnexpectedResponse { .. })
    }

    /// Returns whether the server answered, but not with what was requested: other requests may succeed.
    pub const fn is_answered(&self) -> bool {
        use openrouter::Error::{RateLimited, Rejected};
        let Self::ManagementRequestFailed { error, .. } = self else { return false };
        self.is_of_one_request()
            || matches!(error, RateLimited { .. })
            || matches!(error, Rejected { status, .. } if *status != 401)
    }

    /// Returns whether the server has no such key.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::ManagementRequestFailed { error, .. } if is_not_found(error))
    }
}

pub(super) const fn is_not_found(error: &openrouter::Error) -> bool {
    matches!(error, openrouter::Error::Rejected { status: 404, .. })
}
