//! Where a key was copied to, with a description for the user.

use std::fmt;
use std::time::Duration;

use super::{CLEAR_AFTER, TmuxForwarding};

/// Where a key was copied to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyDestination {
    /// The clipboard of this desktop; the content was read back.
    Clipboard {
        /// When to call [`super::Clipboard::clear_copy`].
        clear_after: Duration,
    },
    /// The terminal. The caller writes [`super::osc52_sequence`] to it; the terminal sends no reply.
    Terminal,
    /// A tmux buffer, and the terminal's clipboard where tmux forwards it.
    Tmux(TmuxForwarding),
}

impl fmt::Display for CopyDestination {
    /// Writes what happened to the key after the word `copied`, or `sent` for the terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = CLEAR_AFTER.as_secs();
        match self {
            Self::Clipboard { clear_after } => {
                write!(f, "to the clipboard; it is cleared in {} s", clear_after.as_secs())
            }
            Self::Terminal => f.write_str(
                "to the terminal's clipboard; the terminal sends no confirmation and does not clear it",
            ),
            Self::Tmux(TmuxForwarding::Sent) => write!(
                f,
                "to a tmux buffer, which is deleted in {seconds} s; tmux also sent it to the terminal's clipboard, which sends no confirmation and is not cleared"
            ),
            Self::Tmux(TmuxForwarding::SentToMultiplexer) => write!(
                f,
                "to a tmux buffer, which is deleted in {seconds} s; tmux also sent it to the outer tmux or screen, which may drop it"
            ),
            Self::Tmux(TmuxForwarding::NotSent(reason)) => write!(
                f,
                "to a tmux buffer only, which is deleted in {seconds} s: tmux does not send it to the terminal's clipboard, because {reason}"
            ),
        }
    }
}
