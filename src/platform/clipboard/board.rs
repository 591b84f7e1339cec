//! The desktop's clipboard. Owns: the connection, on the worker's thread alone.
//! Must not know: deadlines, keys; to it a secret is text.

use arboard::{Clipboard, Set};
use secrecy::zeroize::Zeroizing;

use super::{Digest, Error, compute_digest};

/// Connects at the first use. What it put there is served from here, so it lives until that is
/// cleared, or as long as the program does.
#[derive(Default)]
pub(super) struct SystemClipboard {
    clipboard: Option<Clipboard>,
}

/// What was found on the clipboard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentState {
    Unchanged,
    /// Another's, or none.
    Changed,
}

impl SystemClipboard {
    /// Sets the text, with the hints that keep it out of clipboard histories, and reads it back.
    pub(super) fn set_and_verify(&mut self, text: &str) -> Result<(), Error> {
        without_history(self.get_or_connect()?.set())
            .text(text)
            .map_err(|failure| unavailable_error(&failure))?;
        match self.check_content(&compute_digest(text.as_bytes()))? {
            ContentState::Unchanged => Ok(()),
            ContentState::Changed => Err(Error::ReadBackMismatch),
        }
    }

    pub(super) fn check_content(&mut self, ours: &Digest) -> Result<ContentState, Error> {
        match self.get_or_connect()?.get_text().map(Zeroizing::new) {
            Ok(text) if compute_digest(text.as_bytes()) == *ours => Ok(ContentState::Unchanged),
            // Emptied, replaced, or by now a picture.
            Ok(_)
            | Err(arboard::Error::ContentNotAvailable | arboard::Error::ConversionFailure) => {
                Ok(ContentState::Changed)
            }
            Err(failure) => Err(unavailable_error(&failure)),
        }
    }

    /// Whether it was there, and is not any more. The connection goes with it: its buffers hold
    /// what passed through them.
    pub(super) fn clear_if_unchanged(&mut self, ours: &Digest) -> Result<bool, Error> {
        let cleared = match self.check_content(ours)? {
            ContentState::Unchanged => self.get_or_connect()?.clear().map(|()| true),
            ContentState::Changed => Ok(false),
        };
        self.clipboard = None;
        cleared.map_err(|failure| unavailable_error(&failure))
    }

    /// Only that.
    pub(super) fn connect(&mut self) -> Result<(), Error> {
        self.get_or_connect().map(drop)
    }

    fn get_or_connect(&mut self) -> Result<&mut Clipboard, Error> {
        let clipboard = match self.clipboard.take() {
            Some(clipboard) => clipboard,
            None => Clipboard::new().map_err(|failure| unavailable_error(&failure))?,
        };
        Ok(self.clipboard.insert(clipboard))
    }
}

fn unavailable_error(failure: &arboard::Error) -> Error {
    let words = match failure {
        arboard::Error::Unknown { description } => description.clone(),
        known => known.to_string(),
    };
    let printable =
        words.trim_end_matches('.').chars().map(|c| if c.is_control() { ' ' } else { c });
    Error::Unavailable(printable.take(200).collect())
}

#[cfg(all(unix, not(target_os = "macos")))]
fn without_history(set: Set<'_>) -> Set<'_> {
    arboard::SetExtLinux::exclude_from_history(set)
}

#[cfg(target_os = "macos")]
fn unrecorded(set: Set<'_>) -> Set<'_> {
    arboard::SetExtApple::exclude_from_history(set)
}

#[cfg(windows)]
fn unrecorded(set: Set<'_>) -> Set<'_> {
    use arboard::SetExtWindows;
    set.exclude_from_monitoring().exclude_from_cloud().exclude_from_history()
}
