//! A change to one key.

use crate::domain::{AccountKey, KeyPatch, Label, StoredKey};

/// A change to one key.
#[derive(Clone, Debug)]
pub struct KeyUpdate {
    /// The key, stored here or only in the account.
    pub key: StoredKey,
    /// The key as fetched from OpenRouter, and the change to make there.
    pub account_patch: Option<(AccountKey, KeyPatch)>,
    /// The new label.
    pub new_label: Option<Label>,
}
