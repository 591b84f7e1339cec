//! An action on several keys, while its results arrive one after the other.

use crate::domain::{ActionResult, Label};

/// An action on several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkAction {
    /// The keys whose results are missing.
    pub pending: Vec<Label>,
    /// The results so far.
    pub results: Vec<ActionResult>,
}

/// A change that `u` reverts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoableChange {
    /// The hashes and labels of the changed keys.
    pub keys: Vec<(String, Label)>,
    /// Whether they were disabled; otherwise they were enabled.
    pub disabled: bool,
}
