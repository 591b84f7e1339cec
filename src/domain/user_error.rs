//! An error as it is shown to a person.

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
    /// The person refused or cancelled.
    Cancelled,
    /// The server could not be reached, or time ran out.
    Unreachable,
    /// A key may have been issued and was not received.
    Unresolved,
    /// The program to run exists and cannot be executed.
    CommandNotExecutable,
    /// The program to run does not exist.
    CommandNotFound,
}

/// An error shown to a person: what happened, what it means for the key and the money, and what to
/// do now. Control characters are removed by whoever builds one from foreign text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// What happened. Lower case, no full stop.
    pub message: String,
    /// What it means for the key and the money; empty where it means nothing for either.
    pub meaning: String,
    /// What to do now.
    pub advice: String,
}

impl UserError {
    /// Returns an error without consequences for a key.
    pub fn new(kind: ErrorKind, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { kind, message: message.into(), meaning: String::new(), advice: advice.into() }
    }

    /// Adds what the error means for the key and the money.
    #[must_use]
    pub fn with_meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    /// Returns message, meaning and advice on one line.
    pub fn one_line(&self) -> String {
        let details = [&self.meaning, &self.advice].into_iter().filter(|text| !text.is_empty());
        details.fold(self.message.clone(), |line, text| format!("{line}; {text}"))
    }
}
