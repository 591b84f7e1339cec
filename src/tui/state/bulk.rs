//! An action on several keys, while its results arrive one after the other.

use crate::domain::{ActionResult, KeyUpdate, Label, TrashedKey};

/// An action on several keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkAction {
    /// The keys whose results are missing.
    pub pending: Vec<Label>,
    /// The results so far.
    pub results: Vec<ActionResult>,
    /// Whether one of the changes can be undone.
    pub can_undo: bool,
}

/// A change that `u` reverts.
#[derive(Clone, Debug)]
pub enum UndoableChange {
    /// Keys were disabled or enabled.
    DisabledSet {
        /// The hashes and labels of the keys.
        keys: Vec<(String, Label)>,
        /// Whether they were disabled.
        disabled: bool,
    },
    /// Keys were removed from this machine.
    Removed(Vec<TrashedKey>),
    /// Limits were edited; these changes set the earlier ones.
    LimitsEdited(Vec<KeyUpdate>),
    /// A change that cannot be undone: why, and what can be done instead.
    Final(String),
}

impl UndoableChange {
    /// Returns whether it can be undone.
    pub const fn is_undoable(&self) -> bool {
        !matches!(self, Self::Final(_))
    }
}
