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

use crate::platform::blocking_worker::Worker;
use crate::platform::environment;
use board::{Board, Content};
pub use error::Error;

/// How long a key stays on the clipboard.
pub const CLEARS_IN: Duration = Duration::from_secs(45);

/// How long a display server may take over one request.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// How often [`hold`] looks whether the content was replaced, where looking disturbs nobody.
const GLANCE: Duration = Duration::from_millis(500);

/// SHA-256 of what was put there: enough to recognise it.
type Digest = [u8; 32];

fn digest(content: &[u8]) -> Digest {
    Sha256::digest(content).into()
}

/// Where the key went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// On the clipboard, seen there.
    Clipboard {
        /// When to call [`Clipboard::clear_if_ours`].
        clears_in: Duration,
    },
    /// Nowhere yet: the thread that draws writes [`osc52`] to the terminal, which gives no answer.
    Terminal,
    /// In a buffer of tmux, which passes it to its terminal where that is allowed.
    Tmux,
}

/// Which way to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The clipboard of the machine the person sits at.
    Auto,
    /// The clipboard of this machine.
    Clipboard,
    /// Through the terminal.
    Osc52,
}

/// The program's hold on the clipboard. Nothing is connected before the first copy.
pub struct Clipboard {
    board: Worker<Board>,
    ours: Option<(Place, Digest)>,
}

/// Where a copy can be, and be removed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Board,
    Tmux,
    Terminal,
}

impl Clipboard {
    /// No I/O, no thread.
    pub fn new() -> Self {
        Self { board: Worker::new(), ours: None }
    }

    /// Copies it; "on the clipboard" is said only after reading it back.
    pub fn copy(&mut self, secret: &SecretString, route: Route) -> Result<Copied, Error> {
        let display = environment::display();
        let place = place(route, environment::over_ssh(), display, environment::in_tmux());
        match self.put(secret, place) {
            // A display that is named but gone: the terminal is still there.
            Err(Error::Unavailable(_)) if route == Route::Auto => {
                self.put(secret, through_terminal(environment::in_tmux()))
            }
            outcome => outcome,
        }
    }

    /// Removes the key from where [`Self::copy`] put it, unless something else is there by now.
    /// To be called after [`CLEARS_IN`] and on leaving.
    /// Whether it was seen there and is gone now: of the clipboard outside a tmux nothing is known.
    pub fn clear_if_ours(&mut self) -> bool {
        match self.ours.take() {
            // Whoever cannot be reached cannot be cleared; nothing is left to try.
            Some((Place::Board, ours)) => {
                let cleared = self.board.call(DEADLINE, move |board| board.clear_if(&ours));
                matches!(cleared, Some(Ok(true)))
            }
            Some((Place::Tmux, ours)) => {
                let _ = Worker::<()>::new().call(DEADLINE, move |()| tmux::forget(&ours));
                false
            }
            Some((Place::Terminal, _)) | None => false,
        }
    }

    /// Whether the key is on the clipboard now because this program put it there, and goes with it.
    pub fn holds_ours(&self) -> bool {
        matches!(self.look(), Some(Ok(Content::Ours)))
    }

    fn put(&mut self, secret: &SecretString, place: Place) -> Result<Copied, Error> {
        let secret = secret.clone();
        #[expect(clippy::disallowed_methods, reason = "door: hashing")]
        let ours = digest(secret.expose_secret().as_bytes());
        // A copy on the same clipboard replaces the last one; elsewhere that one would stay.
        if self.ours.is_some_and(|(last, _)| last != place || last == Place::Tmux) {
            self.clear_if_ours();
        }
        // Known before it is tried: what arrives after the deadline is to be cleared as well.
        self.ours = Some((place, ours));
        let copied = match place {
            Place::Board => {
                #[expect(clippy::disallowed_methods, reason = "the door to the clipboard")]
                self.board
                    .call(DEADLINE, move |board| board.put(secret.expose_secret()))
                    .unwrap_or(Err(Error::NoAnswer))?;
                Copied::Clipboard { clears_in: CLEARS_IN }
            }
            Place::Tmux => {
                #[expect(clippy::disallowed_methods, reason = "the door to tmux")]
                Worker::<()>::new()
                    .call(DEADLINE, move |()| tmux::load(secret.expose_secret()))
                    .filter(|loaded| *loaded)
                    .ok_or(Error::Tmux)?;
                Copied::Tmux
            }
            Place::Terminal => Copied::Terminal,
        };
        Ok(copied)
    }

    fn look(&self) -> Option<Result<Content, Error>> {
        match self.ours {
            Some((Place::Board, ours)) => self.board.call(DEADLINE, move |board| board.look(&ours)),
            Some((Place::Tmux | Place::Terminal, _)) | None => None,
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
fn place(route: Route, over_ssh: bool, display: bool, in_tmux: bool) -> Place {
    match route {
        Route::Clipboard => Place::Board,
        Route::Auto if display && !over_ssh => Place::Board,
        Route::Auto | Route::Osc52 => through_terminal(in_tmux),
    }
}

fn through_terminal(in_tmux: bool) -> Place {
    if in_tmux { Place::Tmux } else { Place::Terminal }
}

/// Where a copy would go now. Connects to the display's clipboard, and changes nothing.
pub fn reach() -> Result<Copied, Error> {
    let (display, in_tmux) = (environment::display(), environment::in_tmux());
    Ok(match place(Route::Auto, environment::over_ssh(), display, in_tmux) {
        Place::Board => {
            let board = Worker::<Board>::new();
            board.call(DEADLINE, Board::connect).unwrap_or(Err(Error::NoAnswer))?;
            Copied::Clipboard { clears_in: CLEARS_IN }
        }
        Place::Tmux => Copied::Tmux,
        Place::Terminal => Copied::Terminal,
    })
}

/// The escape sequence that asks a terminal to put it on its clipboard (xterm's OSC 52).
pub fn osc52(secret: &SecretString) -> SecretString {
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
pub fn is_for_the_terminal(route: Route) -> bool {
    let display = environment::display();
    place(route, environment::over_ssh(), display, environment::in_tmux()) == Place::Terminal
}

/// Copies the key and holds it, in the foreground, until it was replaced or `for_at_most` passed;
/// then clears it. `copied` is called once it is known where the key went; where that is the
/// terminal there is nothing to hold.
///
/// It looks now and then instead of using arboard's `wait`, which knows no deadline on Wayland and
/// says nothing before it is over. macOS and Windows keep the content themselves and may tell the
/// person about every look, so there it only clears in the end.
pub fn hold(
    secret: &SecretString,
    route: Route,
    for_at_most: Duration,
    copied: impl FnOnce(Copied),
) -> Result<(), Error> {
    let until = Instant::now() + for_at_most;
    let mut clipboard = Clipboard::new();
    let went = clipboard.copy(secret, route)?;
    copied(went);
    if went == Copied::Terminal {
        return Ok(());
    }
    let glance = if cfg!(any(target_os = "macos", windows)) { for_at_most } else { GLANCE };
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(glance.min(left));
        if glance < for_at_most && matches!(clipboard.look(), Some(Ok(Content::Gone))) {
            break;
        }
    }
    clipboard.clear_if_ours();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_goes_where_the_person_sits() {
        use Place::{Board, Terminal, Tmux};
        let cases = [
            // route, over SSH, display, in tmux
            (Route::Auto, false, true, false, Board),
            (Route::Auto, false, true, true, Board),
            (Route::Auto, true, true, false, Terminal),
            (Route::Auto, true, true, true, Tmux),
            (Route::Auto, false, false, false, Terminal),
            (Route::Auto, false, false, true, Tmux),
            (Route::Clipboard, true, false, true, Board),
            (Route::Osc52, false, true, false, Terminal),
            (Route::Osc52, false, true, true, Tmux),
        ];
        for (route, over_ssh, display, in_tmux, expected) in cases {
            assert_eq!(
                place(route, over_ssh, display, in_tmux),
                expected,
                "{route:?} {over_ssh} {display} {in_tmux}"
            );
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares secrets")]
    fn osc_52_is_the_key_in_base64_between_its_marks() {
        let sequence = osc52(&SecretString::from("sk-or-v1-test"));
        assert_eq!(sequence.expose_secret(), "\u{1b}]52;c;c2stb3ItdjEtdGVzdA==\u{7}");
    }

    #[test]
    fn a_clipboard_never_used_holds_nothing_and_connects_to_nothing() {
        let mut clipboard = Clipboard::new();
        assert!(!clipboard.holds_ours());
        clipboard.clear_if_ours();
    }
}
