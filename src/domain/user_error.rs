//! Errors shown to the user.

use std::fmt;

/// The kind of failure, for decisions inside the program. The command line maps each to an exit
/// code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Any failure without a kind of its own.
    Failed,
    /// Wrong usage or an invalid value.
    InvalidInput,
    /// No key has this label.
    NotFound,
    /// The secret store is locked, missing or refused.
    SecretStore,
    /// The user denied or cancelled.
    Cancelled,
    /// A key belongs to another account than the other stored keys.
    OtherAccount,
    /// The server could not be reached.
    Unreachable,
    /// The user did not consent in time.
    ConsentTimedOut,
    /// A key may have been created and was not received.
    Unresolved,
    /// The program to run exists and cannot be executed.
    CommandNotExecutable,
    /// The program to run does not exist.
    CommandNotFound,
}

/// An error shown to the user: what happened, what it means for the key and the money, and what to
/// do now. Code that builds one from foreign text removes control characters first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// What happened. Lower case, no full stop.
    pub message: String,
    /// What it means for the key and the money; may be empty.
    pub meaning: String,
    /// What to do now.
    pub advice: String,
}

impl UserError {
    /// Returns an error with an empty `meaning`.
    pub fn new(kind: ErrorKind, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, message: message.into(), meaning: String::new(), advice: advice.into() }
    }

    /// Returns an error of the kind [`ErrorKind::Failed`] with an empty `meaning`.
    pub fn failed(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message, advice)
    }

    /// Sets what the error means for the key and the money.
    #[must_use]
    pub fn with_meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    /// Puts `text` and a colon before the message.
    #[must_use]
    pub fn prefixed(mut self, text: impl fmt::Display) -> Self {
        self.message = format!("{text}: {}", self.message);
        self
    }

    /// Adds another error, so that neither hides the other. The kind is that of the first, unless that is
    /// only that the server could not be reached.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        let join = |one: String, other: &str| match (one.is_empty(), other.is_empty()) {
            (_, true) => one,
            (true, false) => other.to_owned(),
            (false, false) if one == other => one,
            (false, false) => format!("{one}; {other}"),
        };
        let is_unreachable = self.kind == ErrorKind::Unreachable;
        Self {
            kind: if is_unreachable { other.kind } else { self.kind },
            message: join(self.message, &other.message),
            meaning: join(self.meaning, &other.meaning),
            advice: join(self.advice, &other.advice),
        }
    }

    /// Joins errors that belong to one result; see [`Self::and`].
    pub fn join(errors: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        errors.into_iter().flatten().reduce(|one, other| one.and(Some(other)))
    }

    /// Returns message, meaning and advice on one line.
    pub fn one_line(&self) -> String {
        let details = [&self.meaning, &self.advice].into_iter().filter(|text| !text.is_empty());
        details.fold(self.message.clone(), |line, text| format!("{line}; {text}"))
    }
}

/// Why a value is not accepted, as text for the user: it says what is accepted and has no full
/// stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValidationError(pub String);

/// Returns a [`ValidationError`].
pub(super) fn invalid<T>(message: &str) -> Result<T, ValidationError> {
    Err(ValidationError(String::from(message)))
}
