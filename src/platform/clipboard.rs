//! Copies a key to the clipboard of the desktop, of tmux or of the terminal, and clears it.
//!
//! On X11 and Wayland the content belongs to the process that set it and disappears when the process
//! exits, so the dashboard keeps one [`Clipboard`]. A frozen display server does not answer, so the
//! calls run on a thread of their own and time out after [`CALL_TIMEOUT`].

mod board;
mod copy_record;
mod error;
mod tmux;

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use crate::platform::blocking_worker::BlockingWorker;
use crate::platform::environment;
use board::{ContentState, SystemClipboard};
use copy_record::{Backend, CopyRecord};
pub use error::Error;

/// How long a key stays on the clipboard.
pub const CLEAR_AFTER: Duration = Duration::from_secs(45);

/// Timeout of one request to the display server.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often [`copy_and_wait`] checks whether the content was replaced.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// SHA-256 of copied content, to recognise it without keeping it.
type Digest = [u8; 32];

fn compute_digest(content: &[u8]) -> Digest {
    Sha256::digest(content).into()
}

/// Where a key was copied to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyDestination {
    /// The clipboard of this desktop; the content was read back.
    Clipboard {
        /// When to call [`Clipboard::clear_copy`].
        clear_after: Duration,
    },
    /// The terminal. The caller writes [`osc52_sequence`] to it; the terminal sends no reply.
    Terminal,
    /// A tmux buffer. tmux forwards it to its terminal if its configuration allows that.
    Tmux,
}

/// How to copy a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyMethod {
    /// Use the clipboard of the machine on which the user works.
    Auto,
    /// Use the clipboard of this machine.
    Clipboard,
    /// Use the terminal (OSC 52).
    Osc52,
}

/// Access to the clipboard. Connects at the first copy.
pub struct Clipboard {
    system: BlockingWorker<SystemClipboard>,
    copies: CopyRecord,
}

impl Clipboard {
    /// Creates the value without I/O and without a thread.
    pub fn new() -> Self {
        Self { system: BlockingWorker::new(), copies: CopyRecord::default() }
    }

    /// Copies the secret. A copy to the desktop's clipboard is read back.
    pub fn copy(
        &mut self,
        secret: &SecretString,
        method: CopyMethod,
    ) -> Result<CopyDestination, Error> {
        let display = environment::has_display();
        let backend = choose_backend(
            method,
            environment::is_ssh_session(),
            display,
            environment::is_in_tmux(),
        );
        match self.copy_to_backend(secret, backend) {
            // The display is set but cannot be reached; the terminal still works.
            Err(Error::Unavailable(_)) if method == CopyMethod::Auto => {
                self.copy_to_backend(secret, terminal_backend(environment::is_in_tmux()))
            }
            outcome => outcome,
        }
    }

    /// Returns the number of the last successful copy; 0 before the first.
    pub fn copy_number(&self) -> u64 {
        self.copies.number()
    }

    /// Clears the copy with this number, like [`Self::clear_last_copy`], unless a later copy
    /// replaced it. To be called after [`CLEAR_AFTER`].
    pub fn clear_copy(&mut self, number: u64) -> bool {
        number == self.copies.number() && self.clear_last_copy()
    }

    /// Removes copied secrets from where they are, unless other content replaced them, and returns
    /// whether the desktop's clipboard was cleared. The clipboard outside of tmux and of the
    /// terminal cannot be checked.
    pub fn clear_last_copy(&mut self) -> bool {
        match self.copies.take() {
            // After an error nothing else can be tried.
            Some((Backend::Clipboard, digests)) => {
                let cleared =
                    self.system.call(CALL_TIMEOUT, move |board| board.clear_if_unchanged(&digests));
                matches!(cleared, Some(Ok(true)))
            }
            Some((Backend::Tmux, digests)) => {
                let _ = BlockingWorker::<()>::new().call(CALL_TIMEOUT, move |()| {
                    digests.iter().for_each(tmux::delete_matching_buffers);
                });
                false
            }
            Some((Backend::Terminal, _)) | None => false,
        }
    }

    fn copy_to_backend(
        &mut self,
        secret: &SecretString,
        backend: Backend,
    ) -> Result<CopyDestination, Error> {
        #[expect(clippy::disallowed_methods, reason = "computes the digest")]
        let digest = compute_digest(secret.expose_secret().as_bytes());
        // A copy replaces an earlier one only on the same clipboard.
        if self.copies.backend().is_some_and(|last| last != backend || last == Backend::Tmux) {
            self.clear_last_copy();
        }
        let result = self.write_to_backend(secret.clone(), backend);
        self.copies.add(backend, digest, result.as_ref().err());
        result
    }

    fn write_to_backend(
        &self,
        secret: SecretString,
        backend: Backend,
    ) -> Result<CopyDestination, Error> {
        match backend {
            Backend::Clipboard => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "writes the secret to the clipboard"
                )]
                self.system
                    .call(CALL_TIMEOUT, move |board| board.set_and_verify(secret.expose_secret()))
                    .unwrap_or(Err(Error::TimedOut))?;
                Ok(CopyDestination::Clipboard { clear_after: CLEAR_AFTER })
            }
            Backend::Tmux => {
                #[expect(clippy::disallowed_methods, reason = "writes the secret to tmux")]
                BlockingWorker::<()>::new()
                    .call(CALL_TIMEOUT, move |()| tmux::load_buffer(secret.expose_secret()))
                    .filter(|loaded| *loaded)
                    .ok_or(Error::TmuxFailed)?;
                Ok(CopyDestination::Tmux)
            }
            Backend::Terminal => Ok(CopyDestination::Terminal),
        }
    }

    fn is_last_copy_replaced(&self) -> bool {
        let digests = self.copies.digests(Backend::Clipboard).to_vec();
        !digests.is_empty()
            && matches!(
                self.system.call(CALL_TIMEOUT, move |board| board.check_content(&digests)),
                Some(Ok(ContentState::Changed))
            )
    }
}

impl Default for Clipboard {
    fn default() -> Self {
        Self::new()
    }
}

/// Chooses the backend. Over SSH a display is not the one in front of the user. tmux drops OSC 52 by
/// default, so inside tmux the key goes through a buffer.
fn choose_backend(method: CopyMethod, over_ssh: bool, display: bool, in_tmux: bool) -> Backend {
    match method {
        CopyMethod::Clipboard => Backend::Clipboard,
        CopyMethod::Auto if display && !over_ssh => Backend::Clipboard,
        CopyMethod::Auto | CopyMethod::Osc52 => terminal_backend(in_tmux),
    }
}

fn terminal_backend(in_tmux: bool) -> Backend {
    if in_tmux { Backend::Tmux } else { Backend::Terminal }
}

/// Returns where a copy would go now. Connects to the desktop's clipboard without changing it.
pub fn detect_destination() -> Result<CopyDestination, Error> {
    let (display, in_tmux) = (environment::has_display(), environment::is_in_tmux());
    Ok(match choose_backend(CopyMethod::Auto, environment::is_ssh_session(), display, in_tmux) {
        Backend::Clipboard => {
            let board = BlockingWorker::<SystemClipboard>::new();
            board.call(CALL_TIMEOUT, SystemClipboard::connect).unwrap_or(Err(Error::TimedOut))?;
            CopyDestination::Clipboard { clear_after: CLEAR_AFTER }
        }
        Backend::Tmux => CopyDestination::Tmux,
        Backend::Terminal => CopyDestination::Terminal,
    })
}

/// Returns the escape sequence that sets the terminal's clipboard (xterm's OSC 52).
pub fn osc52_sequence(secret: &SecretString) -> SecretString {
    #[expect(clippy::disallowed_methods, reason = "writes the secret to the terminal")]
    let secret = secret.expose_secret();
    // A growing buffer would leave copies of the secret in memory.
    let mut sequence = String::with_capacity(secret.len().div_ceil(3) * 4 + 8);
    sequence.push_str("\u{1b}]52;c;");
    STANDARD.encode_string(secret, &mut sequence);
    sequence.push('\u{7}');
    SecretString::from(sequence)
}

/// Whether a copy with this method goes through the terminal, which needs a foreground process.
pub fn is_terminal_copy(method: CopyMethod) -> bool {
    let display = environment::has_display();
    choose_backend(method, environment::is_ssh_session(), display, environment::is_in_tmux())
        == Backend::Terminal
}

/// Copies the key, blocks until the content is replaced or `clear_after` has passed, and clears it.
/// Calls `on_copied` with the destination after copying. Returns at once for
/// [`CopyDestination::Terminal`].
///
/// It polls because arboard's `wait` has no timeout on Wayland. macOS and Windows keep the content
/// themselves and may notify the user about each read, so there it only clears at the end.
pub fn copy_and_wait(
    secret: &SecretString,
    method: CopyMethod,
    clear_after: Duration,
    on_copied: impl FnOnce(CopyDestination),
) -> Result<(), Error> {
    let deadline = Instant::now() + clear_after;
    let mut clipboard = Clipboard::new();
    let destination = clipboard.copy(secret, method)?;
    on_copied(destination);
    if destination == CopyDestination::Terminal {
        return Ok(());
    }
    let interval =
        if cfg!(any(target_os = "macos", windows)) { clear_after } else { POLL_INTERVAL };
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            break;
        }
        thread::sleep(interval.min(remaining));
        if interval < clear_after && clipboard.is_last_copy_replaced() {
            break;
        }
    }
    clipboard.clear_last_copy();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_depends_on_method_ssh_display_and_tmux() {
        use Backend::{Clipboard, Terminal, Tmux};
        let cases = [
            // method, over SSH, display, in tmux
            (CopyMethod::Auto, false, true, false, Clipboard),
            (CopyMethod::Auto, false, true, true, Clipboard),
            (CopyMethod::Auto, true, true, false, Terminal),
            (CopyMethod::Auto, true, true, true, Tmux),
            (CopyMethod::Auto, false, false, false, Terminal),
            (CopyMethod::Auto, false, false, true, Tmux),
            (CopyMethod::Clipboard, true, false, true, Clipboard),
            (CopyMethod::Osc52, false, true, false, Terminal),
            (CopyMethod::Osc52, false, true, true, Tmux),
        ];
        for (method, over_ssh, display, in_tmux, expected) in cases {
            assert_eq!(
                choose_backend(method, over_ssh, display, in_tmux),
                expected,
                "{method:?} {over_ssh} {display} {in_tmux}"
            );
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares secrets")]
    fn osc_52_contains_the_key_in_base64() {
        let sequence = osc52_sequence(&SecretString::from("sk-or-v1-test"));
        assert_eq!(sequence.expose_secret(), "\u{1b}]52;c;c2stb3ItdjEtdGVzdA==\u{7}");
    }

    #[test]
    fn an_unused_clipboard_has_nothing_to_clear() {
        let mut clipboard = Clipboard::new();
        assert!(!clipboard.is_last_copy_replaced());
        assert!(!clipboard.clear_last_copy());
    }
}
