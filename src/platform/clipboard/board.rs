//! The desktop's clipboard. Owns: the connection, on the worker's thread alone.
//! Must not know: deadlines, keys; to it a secret is text.

use arboard::{Clipboard, Set};
use secrecy::zeroize::Zeroizing;

use super::{Digest, Error, digest};

/// Connects at the first use. What it put there is served from here, so it lives until that is
/// cleared, or as long as the program does.
#[derive(Default)]
pub(super) struct Board {
    clipboard: Option<Clipboard>,
}

/// What was found on the clipboard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Ours,
    /// Another's, or none.
    Gone,
}

impl Board {
    /// Sets the text, with the hints that keep it out of clipboard histories, and reads it back.
    pub(super) fn put(&mut self, text: &str) -> Result<(), Error> {
        unrecorded(self.connected()?.set()).text(text).map_err(|failure| unavailable(&failure))?;
        match self.look(&digest(text.as_bytes()))? {
            Content::Ours => Ok(()),
            Content::Gone => Err(Error::ReadBackDiffers),
        }
    }

    pub(super) fn look(&mut self, ours: &Digest) -> Result<Content, Error> {
        match self.connected()?.get_text().map(Zeroizing::new) {
            Ok(text) if digest(text.as_bytes()) == *ours => Ok(Content::Ours),
            // Emptied, replaced, or by now a picture.
            Ok(_)
            | Err(arboard::Error::ContentNotAvailable | arboard::Error::ConversionFailure) => {
                Ok(Content::Gone)
            }
            Err(failure) => Err(unavailable(&failure)),
        }
    }

    /// Whether it was there, and is not any more. The connection goes with it: its buffers hold
    /// what passed through them.
    pub(super) fn clear_if(&mut self, ours: &Digest) -> Result<bool, Error> {
        let cleared = match self.look(ours)? {
            Content::Ours => self.connected()?.clear().map(|()| true),
            Content::Gone => Ok(false),
        };
        self.clipboard = None;
        cleared.map_err(|failure| unavailable(&failure))
    }

    /// Only that.
    pub(super) fn connect(&mut self) -> Result<(), Error> {
        self.connected().map(drop)
    }

    fn connected(&mut self) -> Result<&mut Clipboard, Error> {
        let clipboard = match self.clipboard.take() {
            Some(clipboard) => clipboard,
            None => Clipboard::new().map_err(|failure| unavailable(&failure))?,
        };
        Ok(self.clipboard.insert(clipboard))
    }
}

fn unavailable(failure: &arboard::Error) -> Error {
    let words = match failure {
        arboard::Error::Unknown { description } => description.clone(),
        known => known.to_string(),
    };
    let printable =
        words.trim_end_matches('.').chars().map(|c| if c.is_control() { ' ' } else { c });
    Error::Unavailable(printable.take(200).collect())
}

#[cfg(all(unix, not(target_os = "macos")))]
fn unrecorded(set: Set<'_>) -> Set<'_> {
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
