//! Errors of copying a key, with advice for the user.

/// The reason why a key was not copied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no clipboard, or it refused. Contains the system's message without control
    /// characters.
    #[error("the clipboard cannot be used: {0}")]
    Unavailable(String),
    /// The display server did not answer in time.
    #[error("the clipboard did not answer")]
    TimedOut,
    /// Another program replaced the content immediately.
    #[error("the clipboard content is not what was copied")]
    ReadBackMismatch,
    /// `TMUX` is set, but no server answers.
    #[error("TMUX is set, but no tmux server answers")]
    TmuxUnreachable,
    /// `tmux load-buffer -w -` failed; it needs tmux 3.2.
    #[error("tmux load-buffer failed")]
    TmuxFailed,
    /// The terminal ignores OSC 52 or prints it, as `TERM` says.
    #[error("the terminal has no clipboard (TERM={0})")]
    NoTerminalClipboard(String),
}

impl Error {
    /// Returns what to do now.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::TimedOut => {
                "copy through the terminal with `keywright copy LABEL --osc52`, or print the key \
                 with `keywright get LABEL`"
            }
            Self::ReadBackMismatch => {
                "another program, perhaps a clipboard manager, replaced the content; try again"
            }
            Self::TmuxUnreachable => "remove the variable TMUX from this shell",
            Self::NoTerminalClipboard(_) => "print the key with `keywright get LABEL`",
            Self::TmuxFailed => {
                "start a server of tmux 3.2 or later, or print the key with `keywright get LABEL`"
            }
        }
    }
}
