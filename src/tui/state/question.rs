//! The yes-or-no questions.

use crate::domain::{Label, UnresolvedAttempt};

/// A yes-or-no question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Quit although the key on screen is not stored?
    QuitWithUnstoredKey,
    /// Leave the screen although its key is not stored?
    DiscardUnstoredKey,
    /// Dismiss this unresolved attempt?
    DismissAttempt(UnresolvedAttempt),
    /// Use the environment's management key with this server, which is not OpenRouter?
    UseEnvironmentKey,
    /// Remove these keys from this machine?
    RemoveKeys(Vec<Label>),
    /// Set these limits again? Each label with its earlier limit.
    RestoreLimits(Vec<(Label, String)>),
    /// Disable or enable these keys?
    SetKeysDisabled {
        /// The hashes and labels of the keys.
        keys: Vec<(String, Label)>,
        /// Whether they are disabled.
        disabled: bool,
    },
}
