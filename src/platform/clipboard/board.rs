//! The desktop clipboard, used on the worker's thread.

use arboard::{Clipboard, Set};
use secrecy::zeroize::Zeroizing;

use super::{Digest, Error, compute_digest};

/// A connection to the clipboard, made at the first use. On X11 and Wayland this process serves
/// the content, so the connection lives until the content is cleared.
#[derive(Default)]
pub(super) struct SystemClipboard {
    clipboard: Option<Clipboard>,
}

/// Whether the clipboard still has content that was set here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentState {
    Unchanged,
    /// Different or no content.
    Changed,
}

impl SystemClipboard {
    /// Sets the text, excluded from clipboard histories, and reads it back.
    pub(super) fn set_and_verify(&mut self, text: &str) -> Result<(), Error> {
        without_history(self.get_or_connect()?.set())
            .text(text)
            .map_err(|failure| unavailable_error(&failure))?;
        match self.check_content(&[compute_digest(text.as_bytes())])? {
            ContentState::Unchanged => Ok(()),
            ContentState::Changed => Err(Error::ReadBackMismatch),
        }
    }

    pub(super) fn check_content(&mut self, expected: &[Digest]) -> Result<ContentState, Error> {
        match self.get_or_connect()?.get_text().map(Zeroizing::new) {
            Ok(text) if expected.contains(&compute_digest(text.as_bytes())) => {
                Ok(ContentState::Unchanged)
            }
            // The clipboard is empty or contains an image.
            Ok(_)
            | Err(arboard::Error::ContentNotAvailable | arboard::Error::ConversionFailure) => {
                Ok(ContentState::Changed)
            }
            Err(failure) => Err(unavailable_error(&failure)),
        }
    }

    /// Clears the clipboard if it still has expected content, and returns whether it did.
    /// Closes the connection, because its buffers may contain the secret.
    pub(super) fn clear_if_unchanged(&mut self, expected: &[Digest]) -> Result<bool, Error> {
        let cleared = match self.check_content(expected)? {
            ContentState::Unchanged => self.get_or_connect()?.clear().map(|()| true),
            ContentState::Changed => Ok(false),
        };
        self.clipboard = None;
        cleared.map_err(|failure| unavailable_error(&failure))
    }

    /// Connects without reading or changing the content.
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
    let text = match failure {
        arboard::Error::Unknown { description } => description.clone(),
        known => known.to_string(),
    };
    let printable =
        text.trim_end_matches('.').chars().map(|c| if c.is_control() { ' ' } else { c });
    Error::Unavailable(printable.take(200).collect())
}

#[cfg(all(unix, not(target_os = "macos")))]
fn without_history(set: Set<'_>) -> Set<'_> {
    arboard::SetExtLinux::exclude_from_history(set)
}

#[cfg(target_os = "macos")]
fn without_history(set: Set<'_>) -> Set<'_> {
    arboard::SetExtApple::exclude_from_history(set)
}

#[cfg(windows)]
fn without_history(set: Set<'_>) -> Set<'_> {
    use arboard::SetExtWindows;
    set.exclude_from_monitoring().exclude_from_cloud().exclude_from_history()
}
