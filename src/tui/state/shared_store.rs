//! The shared store: whether one is in use, and what the token may do there.

use super::{Intent, Model};
use crate::domain::{ErrorKind, StoredKey, UserError};

/// The shared store, as far as the dashboard knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedStoreState {
    /// Whether keys are in a shared store, or new ones will be.
    pub is_in_use: bool,
    /// Whether new keys are stored there.
    pub is_default: bool,
    /// Whether the token may read keys and not change them.
    pub is_read_only: bool,
}

impl Model {
    /// Whether the token may read this key of the shared store and not change it.
    pub fn is_read_only(&self, key: &StoredKey) -> bool {
        self.shared_store.is_read_only && key.is_shared()
    }

    /// Returns why an action is not offered: it would change a shared store, and the token may only read
    /// it.
    pub fn read_only_error(&self, intent: &Intent) -> Option<UserError> {
        if !self.shared_store.is_read_only {
            return None;
        }
        let is_refused = match intent {
            Intent::NewKey | Intent::ImportKey | Intent::OpenPlan => self.shared_store.is_default,
            Intent::EditKey
            | Intent::ToggleDisabled
            | Intent::Rotate
            | Intent::Remove
            | Intent::RespondToLeak => {
                self.dashboard.target_keys().iter().any(|key| self.is_read_only(key))
            }
            Intent::Undo | Intent::OpenTrash => self.shared_store.is_default,
            _ => false,
        };
        is_refused.then(|| {
            UserError::new(
                ErrorKind::SecretStore,
                "your token may read the shared keys and not change them",
                "ask for a policy that allows it, or log in as someone who may: bao login",
            )
            .with_meaning("nothing was changed; copying and using keys works")
        })
    }
}
