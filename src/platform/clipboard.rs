//! Copies a key to the clipboard of the desktop, of tmux or of the terminal, and clears it.
//!
//! On X11 and Wayland the content belongs to the process that set it and disappears when the process
//! exits, so the dashboard keeps one [`Clipboard`]. A frozen display server does not answer, so the
//! calls run on a thread of their own and time out after [`CALL_TIMEOUT`].

mod board;
mod copy_record;
mod destination;
mod error;
mod tmux;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use crate::platform::blocking_worker::BlockingWorker;
use crate::platform::environment;
use board::{ContentState, SystemClipboard};
use copy_record::{Backend, CopyRecord};
pub use destination::CopyDestination;
pub use error::Error;
pub use tmux::TmuxForwarding;

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

/// How to copy a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyMethod {
    /// Use the clipboard of the machine on which the user works.
    Auto,
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
        let backends = list_backends(method, &Session::detect());
        first_reachable(&backends, |backend| self.copy_to_backend(secret, backend), &mut |_| {})
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
                let forwarding = query_tmux()?;
                #[expect(clippy::disallowed_methods, reason = "writes the secret to tmux")]
                BlockingWorker::<()>::new()
                    .call(CALL_TIMEOUT, move |()| {
                        tmux::load_buffer(secret.expose_secret(), forwarding)
                    })
                    .filter(|loaded| *loaded)
                    .ok_or(Error::TmuxFailed)?;
                Ok(CopyDestination::Tmux(forwarding))
            }
            Backend::Terminal => check_terminal().map(|()| CopyDestination::Terminal),
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

/// The clipboards that the environment names.
struct Session {
    is_ssh: bool,
    has_display: bool,
    is_in_tmux: bool,
}

impl Session {
    fn detect() -> Self {
        Self {
            is_ssh: environment::is_ssh_session(),
            has_display: environment::has_display(),
            is_in_tmux: environment::is_in_tmux(),
        }
    }
}

/// Returns the backends in the order in which they are tried. Over SSH a display is not the one in
/// front of the user. tmux drops OSC 52 by default, so inside tmux the key goes through a buffer.
fn list_backends(method: CopyMethod, session: &Session) -> Vec<Backend> {
    let tmux = session.is_in_tmux.then_some(Backend::Tmux);
    let clipboard = (session.has_display && !session.is_ssh).then_some(Backend::Clipboard);
    match method {
        CopyMethod::Osc52 => tmux.into_iter().chain([Backend::Terminal]).collect(),
        CopyMethod::Auto => clipboard.into_iter().chain(tmux).chain([Backend::Terminal]).collect(),
    }
}

/// Tries the backends in this order, as long as `TMUX` or the display leads nowhere. Calls `on_skipped`
/// with the reason for each that was passed over.
fn first_reachable(
    backends: &[Backend],
    mut attempt: impl FnMut(Backend) -> Result<CopyDestination, Error>,
    on_skipped: &mut dyn FnMut(Error),
) -> Result<CopyDestination, Error> {
    let mut result = Err(Error::Unavailable("there is no clipboard".into()));
    for (index, backend) in backends.iter().enumerate() {
        result = attempt(*backend);
        match &result {
            Err(error @ (Error::Unavailable(_) | Error::TmuxUnreachable))
                if index + 1 < backends.len() =>
            {
                on_skipped(error.clone());
            }
            _ => break,
        }
    }
    result
}

fn query_tmux() -> Result<TmuxForwarding, Error> {
    BlockingWorker::<()>::new()
        .call(CALL_TIMEOUT, |()| tmux::query_forwarding())
        .flatten()
        .ok_or(Error::TmuxUnreachable)
}

/// Fails for a terminal that is known to have no clipboard.
pub fn check_terminal() -> Result<(), Error> {
    environment::terminal_without_clipboard()
        .map_or(Ok(()), |term| Err(Error::NoTerminalClipboard(term)))
}

/// Tries where a copy would go now, without changing what the user copied: connects to the desktop's
/// clipboard, or writes a buffer of its own in tmux, reads it back and deletes it. Calls `on_skipped`
/// for what the environment names but cannot be reached.
pub fn try_destination(on_skipped: &mut dyn FnMut(Error)) -> Result<CopyDestination, Error> {
    let try_backend = |backend| match backend {
        Backend::Clipboard => {
            let board = BlockingWorker::<SystemClipboard>::new();
            board.call(CALL_TIMEOUT, SystemClipboard::connect).unwrap_or(Err(Error::TimedOut))?;
            Ok(CopyDestination::Clipboard { clear_after: CLEAR_AFTER })
        }
        Backend::Tmux => {
            let forwarding = query_tmux()?;
            BlockingWorker::<()>::new()
                .call(CALL_TIMEOUT, |()| tmux::check_buffers())
                .filter(|works| *works)
                .ok_or(Error::TmuxFailed)?;
            Ok(CopyDestination::Tmux(forwarding))
        }
        Backend::Terminal => check_terminal().map(|()| CopyDestination::Terminal),
    };
    first_reachable(&list_backends(CopyMethod::Auto, &Session::detect()), try_backend, on_skipped)
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

/// Returns whether a copy with this method can only go through the terminal, which needs a
/// foreground process.
pub fn is_terminal_copy(method: CopyMethod) -> bool {
    list_backends(method, &Session::detect()) == [Backend::Terminal]
}

/// Copies the key, blocks until the content is replaced, `clear_after` has passed or `stop` receives a
/// message, and clears it. Calls `on_copied` with the destination after copying. Returns at once for
/// [`CopyDestination::Terminal`].
///
/// It polls because arboard's `wait` has no timeout on Wayland. macOS and Windows keep the content
/// themselves and may notify the user about each read, so there it only clears at the end.
pub fn copy_and_wait(
    secret: &SecretString,
    method: CopyMethod,
    clear_after: Duration,
    stop: &Receiver<()>,
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
        let is_stopped =
            stop.recv_timeout(interval.min(remaining)) != Err(RecvTimeoutError::Timeout);
        if is_stopped || remaining.is_zero() {
            break;
        }
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
    fn the_backends_depend_on_method_ssh_display_and_tmux() {
        use Backend::{Clipboard, Terminal, Tmux};
        let cases: [(_, _, _, _, &[Backend]); 8] = [
            // method, over SSH, display, in tmux
            (CopyMethod::Auto, false, true, false, &[Clipboard, Terminal]),
            (CopyMethod::Auto, false, true, true, &[Clipboard, Tmux, Terminal]),
            (CopyMethod::Auto, true, true, false, &[Terminal]),
            (CopyMethod::Auto, true, true, true, &[Tmux, Terminal]),
            (CopyMethod::Auto, false, false, false, &[Terminal]),
            (CopyMethod::Auto, false, false, true, &[Tmux, Terminal]),
            (CopyMethod::Osc52, false, true, false, &[Terminal]),
            (CopyMethod::Osc52, false, true, true, &[Tmux, Terminal]),
        ];
        for (method, is_ssh, has_display, is_in_tmux, expected) in cases {
            let session = Session { is_ssh, has_display, is_in_tmux };
            assert_eq!(
                list_backends(method, &session),
                expected,
                "{method:?} {is_ssh} {has_display} {is_in_tmux}"
            );
        }
    }

    #[test]
    fn a_stale_display_or_tmux_leads_to_the_terminal() {
        let copy = |errors: [Option<Error>; 2]| {
            let mut skipped = Vec::new();
            let [display, tmux] = errors;
            let result = first_reachable(
                &[Backend::Clipboard, Backend::Tmux, Backend::Terminal],
                |backend| match backend {
                    Backend::Clipboard => display
                        .clone()
                        .map_or(Ok(CopyDestination::Clipboard { clear_after: CLEAR_AFTER }), Err),
                    Backend::Tmux => {
                        tmux.clone().map_or(Ok(CopyDestination::Tmux(TmuxForwarding::Sent)), Err)
                    }
                    Backend::Terminal => Ok(CopyDestination::Terminal),
                },
                &mut |error| skipped.push(error),
            );
            (result, skipped.len())
        };
        let stale = || Some(Error::Unavailable("refused".into()));
        assert_eq!(
            copy([stale(), Some(Error::TmuxUnreachable)]),
            (Ok(CopyDestination::Terminal), 2)
        );
        let tmux = CopyDestination::Tmux(TmuxForwarding::Sent);
        assert_eq!(copy([stale(), None]), (Ok(tmux), 1));
        assert_eq!(copy([Some(Error::TimedOut), None]), (Err(Error::TimedOut), 0));
        assert_eq!(copy([stale(), Some(Error::TmuxFailed)]), (Err(Error::TmuxFailed), 1));
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
