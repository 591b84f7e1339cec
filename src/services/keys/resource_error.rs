//! Errors about the guardrail or the workspace of a key, and how each is shown to the user.

use crate::api::openrouter;
use crate::domain::{ErrorKind, UserError};

/// Why a guardrail or a workspace is not what was requested.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// A name needs the account's list to be understood, and no management key is known.
    #[error("{option} needs a management key, and none is known")]
    NoManagementKey {
        /// The option or the field, as in `--guardrail`.
        option: &'static str,
        /// What can be done instead, or empty.
        alternative: &'static str,
    },
    /// The account has nothing with this name.
    #[error("the account has no {noun} '{name}'{suggestion}")]
    UnknownName {
        /// What it would be, as in `guardrail`.
        noun: &'static str,
        /// What was written, safe to show.
        name: String,
        /// `; did you mean …?`, or empty.
        suggestion: String,
        /// The names that the account has; not all if there are many.
        known: Vec<String>,
    },
    /// The account has more than one with this name.
    #[error("'{name}' is the name of {} {noun}s", .candidates.len())]
    AmbiguousName {
        /// What they are, as in `guardrail`.
        noun: &'static str,
        /// What was written, safe to show.
        name: String,
        /// Each with its id.
        candidates: Vec<String>,
    },
    /// The key does not have the guardrail that it was to have.
    #[error("{}{}", describe_guardrail(.guardrail.as_deref()), describe_reason(.error.as_deref()))]
    GuardrailNotApplied {
        /// The name of the guardrail; `None` if the key was to have none.
        guardrail: Option<String>,
        /// Why not; `None` if the server accepted it and the key does not have it.
        error: Option<Box<openrouter::Error>>,
        /// The page where the account's owner can check it.
        page_url: String,
    },
    /// The server accepted the guardrail of a key, and whether the key has it could not be read.
    #[error("whether the key has its guardrail could not be read back: {error}")]
    GuardrailNotReadBack {
        /// Why not.
        error: Box<openrouter::Error>,
        /// The page where the account's owner can check it.
        page_url: String,
    },
}

impl ResourceError {
    /// Returns the error as it is shown to the user.
    pub fn to_user_error(&self) -> UserError {
        const NOTHING_DONE: &str = "nothing was created or changed";
        let (kind, meaning, advice) = match self {
            Self::NoManagementKey { alternative, .. } => (
                ErrorKind::InvalidInput,
                NOTHING_DONE,
                ["store one: keywright management set", alternative].concat(),
            ),
            Self::UnknownName { noun, known, .. } => (
                ErrorKind::InvalidInput,
                NOTHING_DONE,
                if known.is_empty() {
                    format!("the management key sees no {noun} in its account")
                } else {
                    format!("the account's {noun}s: {}", known.join(", "))
                },
            ),
            Self::AmbiguousName { candidates, .. } => (
                ErrorKind::InvalidInput,
                NOTHING_DONE,
                format!("give the id of one: {}", candidates.join(", ")),
            ),
            Self::GuardrailNotApplied { error, page_url, .. } => (
                ErrorKind::Failed,
                "the key's guardrail is not the one that was requested",
                match error.as_deref().and_then(openrouter::Error::status) {
                    Some(403) => {
                        format!("this management key may not do it: make the change at {page_url}")
                    }
                    Some(404) => format!(
                        "it was deleted, or the server has no guardrails: keywright guardrail list, or look at {page_url}"
                    ),
                    _ => format!("look at {page_url}, then try again"),
                },
            ),
            Self::GuardrailNotReadBack { page_url, .. } => (
                ErrorKind::Failed,
                "the server accepted the change",
                format!("look at {page_url}, or try again"),
            ),
        };
        UserError::new(kind, self.to_string(), advice).with_meaning(meaning)
    }
}

fn describe_guardrail(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("the guardrail '{name}' was not assigned to the key"),
        None => "the guardrail of the key was not removed".into(),
    }
}

fn describe_reason(error: Option<&openrouter::Error>) -> String {
    error.map_or(String::new(), |error| format!(": {error}"))
}
