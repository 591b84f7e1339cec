//! Handing a key to the clipboard, for a while.
//! Owns: which way it goes, reading back, and clearing what is still ours. Must not know: screens,
//! timers, where the key came from.
//!
//! On X11 and Wayland the content belongs to the process that set it and goes with it, so the
//! dashboard keeps one [`Clipboard`] for its life. A display server that is frozen answers nobody:
//! the calls are made on a thread of their own, and given up after [`DEADLINE`].

mod board;
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
pub use error::Error;

/// How long a key stays on the clipboard.
pub const CLEAR_AFTER: Duration = Duration::from_secs(45);

/// How long a display server may take over one request.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often [`hold`] looks whether the content was replaced, where looking disturbs nobody.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// SHA-256 of what was put there: enough to recognise it.
type Digest = [u8; 32];

fn compute_digest(content: &[u8]) -> Digest {
    Sha256::digest(content).into()
}

/// Where the key went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyDestination {
    /// On the clipboard, seen there.
    Clipboard {
        /// When to call [`Clipboard::clear_if_ours`].
        clear_after: Duration,
    },
    /// Nowhere yet: the thread that draws writes [`osc52`] to the terminal, which gives no answer.
    Terminal,
    /// In a buffer of tmux, which passes it to its terminal where that is allowed.
    Tmux,
}

/// Which way to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyMethod {
    /// The clipboard of the machine the person sits at.
    Auto,
    /// The clipboard of this machine.
    Clipboard,
    /// Through the terminal.
    Osc52,
}

/// The program's hold on the clipboard. Nothing is connected before the first copy.
pub struct Clipboard {
    system: BlockingWorker<SystemClipboard>,
    last_copy: Option<(Backend, Digest)>,
}

/// Where a copy can be, and be removed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Backend {
    Clipboard,
    Tmux,
    Terminal,
}

impl Clipboard {
    /// No I/O, no thread.
    pub fn new() -> Self {
        Self { system: BlockingWorker::new(), last_copy: None }
    }

    /// Copies it; "on the clipboard" is said only after reading it back.
    pub fn copy(
        &mut self,
        secret: &SecretString,
        route: CopyMethod,
    ) -> Result<CopyDestination, Error> {
        let display = environment::has_display();
        let place = choose_backend(
            route,
            environment::is_ssh_session(),
            display,
            environment::is_in_tmux(),
        );
        match self.copy_to_backend(secret, place) {
            // A display that is named but gone: the terminal is still there.
            Err(Error::Unavailable(_)) if route == CopyMethod::Auto => {
                self.copy_to_backend(secret, terminal_backend(environment::is_in_tmux()))
            }
            outcome => outcome,
        }
    }

    /// Removes the key from where [`Self::copy`] put it, unless something else is there by now.
    /// To be called after [`CLEARS_IN`] and on leaving.
    /// Whether it was seen there and is gone now: of the clipboard outside a tmux nothing is known.
    pub fn clear_last_copy(&mut self) -> bool {
        match self.last_copy.take() {
            // Whoever cannot be reached cannot be cleared; nothing is left to try.
            Some((Backend::Clipboard, ours)) => {
                let cleared =
                    self.system.call(CALL_TIMEOUT, move |board| board.clear_if_unchanged(&ours));
                matches!(cleared, Some(Ok(true)))
            }
            Some((Backend::Tmux, ours)) => {
                let _ = BlockingWorker::<()>::new()
                    .call(CALL_TIMEOUT, move |()| tmux::delete_matching_buffers(&ours));
                false
            }
            Some((Backend::Terminal, _)) | None => false,
        }
    }

    /// Whether the key is on the clipboard now because this program put it there, and goes with it.
    pub fn has_last_copy(&self) -> bool {
        matches!(self.check_last_copy(), Some(Ok(ContentState::Unchanged)))
    }

    fn copy_to_backend(
        &mut self,
        secret: &SecretString,
        place: Backend,
    ) -> Result<CopyDestination, Error> {
        let secret = secret.clone();
        #[expect(clippy::disallowed_methods, reason = "door: hashing")]
        let ours = compute_digest(secret.expose_secret().as_bytes());
        // A copy on the same clipboard replaces the last one; elsewhere that one would stay.
        if self.last_copy.is_some_and(|(last, _)| last != place || last == Backend::Tmux) {
            self.clear_last_copy();
        }
        // Known before it is tried: what arrives after the deadline is to be cleared as well.
        self.last_copy = Some((place, ours));
        let copied = match place {
            Backend::Clipboard => {
                #[expect(clippy::disallowed_methods, reason = "the door to the clipboard")]
                self.system
                    .call(CALL_TIMEOUT, move |board| board.set_and_verify(secret.expose_secret()))
                    .unwrap_or(Err(Error::TimedOut))?;
                CopyDestination::Clipboard { clear_after: CLEAR_AFTER }
            }
            Backend::Tmux => {
                #[expect(clippy::disallowed_methods, reason = "the door to tmux")]
                BlockingWorker::<()>::new()
                    .call(CALL_TIMEOUT, move |()| tmux::load_buffer(secret.expose_secret()))
                    .filter(|loaded| *loaded)
                    .ok_or(Error::TmuxFailed)?;
                CopyDestination::Tmux
            }
            Backend::Terminal => CopyDestination::Terminal,
        };
        Ok(copied)
    }

    fn check_last_copy(&self) -> Option<Result<ContentState, Error>> {
        match self.last_copy {
            Some((Backend::Clipboard, ours)) => {
                self.system.call(CALL_TIMEOUT, move |board| board.check_content(&ours))
            }
            Some((Backend::Tmux | Backend::Terminal, _)) | None => None,
        }
    }
}

impl Default for Clipboard {
    fn default() -> Self {
        Self::new()
    }
}

/// Over SSH the display, if any, is not the one the person looks at. tmux drops OSC 52 in silence
/// unless told otherwise, so inside it the key goes through a buffer.
fn choose_backend(route: CopyMethod, over_ssh: bool, display: bool, in_tmux: bool) -> Backend {
    match route {
        CopyMethod::Clipboard => Backend::Clipboard,
        CopyMethod::Auto if display && !over_ssh => Backend::Clipboard,
        CopyMethod::Auto | CopyMethod::Osc52 => terminal_backend(in_tmux),
    }
}

fn terminal_backend(in_tmux: bool) -> Backend {
    if in_tmux { Backend::Tmux } else { Backend::Terminal }
}

/// Where a copy would go now. Connects to the display's clipboard, and changes nothing.
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

/// The escape sequence that asks a terminal to put it on its clipboard (xterm's OSC 52).
pub fn osc52_sequence(secret: &SecretString) -> SecretString {
    #[expect(clippy::disallowed_methods, reason = "the door to the terminal")]
    let secret = secret.expose_secret();
    // As long as it gets from the start: growing would leave copies behind.
    let mut sequence = String::with_capacity(secret.len().div_ceil(3) * 4 + 8);
    sequence.push_str("\u{1b}]52;c;");
    STANDARD.encode_string(secret, &mut sequence);
    sequence.push('\u{7}');
    SecretString::from(sequence)
}

/// Whether a copy on that route is left to the terminal, which only its foreground can write to.
pub fn is_terminal_copy(route: CopyMethod) -> bool {
    let display = environment::has_display();
    choose_backend(route, environment::is_ssh_session(), display, environment::is_in_tmux())
        == Backend::Terminal
}

/// Copies the key and holds it, in the foreground, until it was replaced or `for_at_most` passed;
/// then clears it. `copied` is called once it is known where the key went; where that is the
/// terminal there is nothing to hold.
///
/// It looks now and then instead of using arboard's `wait`, which knows no deadline on Wayland and
/// says nothing before it is over. macOS and Windows keep the content themselves and may tell the
/// person about every look, so there it only clears in the end.
pub fn copy_and_wait(
    secret: &SecretString,
    route: CopyMethod,
    for_at_most: Duration,
    copied: impl FnOnce(CopyDestination),
) -> Result<(), Error> {
    let until = Instant::now() + for_at_most;
    let mut clipboard = Clipboard::new();
    let went = clipboard.copy(secret, route)?;
    copied(went);
    if went == CopyDestination::Terminal {
        return Ok(());
    }
    let glance = if cfg!(any(target_os = "macos", windows)) { for_at_most } else { POLL_INTERVAL };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(glance.min(left));
        if glance < for_at_most
            && matches!(clipboard.check_last_copy(), Some(Ok(ContentState::Changed)))
        {
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
    fn the_key_goes_where_the_person_sits() {
        use Backend::{Clipboard, Terminal, Tmux};
        let cases = [
            // route, over SSH, display, in tmux
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
        for (route, over_ssh, display, in_tmux, expected) in cases {
            assert_eq!(
                choose_backend(route, over_ssh, display, in_tmux),
                expected,
                "{route:?} {over_ssh} {display} {in_tmux}"
            );
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares secrets")]
    fn osc_52_is_the_key_in_base64_between_its_marks() {
        let sequence = osc52_sequence(&SecretString::from("sk-or-v1-test"));
        assert_eq!(sequence.expose_secret(), "\u{1b}]52;c;c2stb3ItdjEtdGVzdA==\u{7}");
    }

    #[test]
    fn a_clipboard_never_used_holds_nothing_and_connects_to_nothing() {
        let mut clipboard = Clipboard::new();
        assert!(!clipboard.has_last_copy());
        clipboard.clear_last_copy();
    }
}
