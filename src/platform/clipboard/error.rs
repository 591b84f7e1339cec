//! What can keep a key from the clipboard, and what to do about it.
//! Owns: the sentences. Must not know: how it was tried.

/// Why a key was not copied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none, or it refused. In its own words, without control characters.
    #[error("the clipboard cannot be used: {0}")]
    Unavailable(String),
    /// The display server is frozen.
    #[error("the clipboard did not answer")]
    TimedOut,
    /// Another program took the clipboard at once.
    #[error("the clipboard holds something else than was copied")]
    ReadBackMismatch,
    /// `tmux load-buffer -w -` failed; it needs tmux 3.2.
    #[error("tmux did not take the key")]
    TmuxFailed,
}

impl Error {
    /// What to do now.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::TimedOut => {
                "`keywright copy LABEL --osc52` goes through the terminal instead, and \
                 `keywright get LABEL` prints the key."
            }
            Self::ReadBackMismatch => {
                "Another program, perhaps a clipboard manager, took its place. Try again."
            }
            Self::TmuxFailed => {
                "It needs tmux 3.2 or later with a running server. `keywright get LABEL` prints \
                 the key."
            }
        }
    }
}
