//! Secrets that a person types or pipes in: never shown, and the terminal is left as it was found.
//! Must not know: what they are for.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc;
use std::thread;

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};

use super::words::{tell, usage};
use crate::key::Trouble;

/// What came of asking a person.
enum Typed {
    /// A line, or the end of the input.
    Line(Option<SecretString>),
    /// A signal.
    Left,
}

/// A secret from standard input: its first line, or what a person types, unseen.
pub(super) fn secret(prompt: &'static str) -> Result<SecretString, Trouble> {
    let line = if io::stdin().is_terminal() {
        let quiet = Quiet::begin();
        let (answer, answered) = mpsc::channel();
        leave_on_signal(answer.clone());
        thread::spawn(move || answer.send(Typed::Line(masked_line(prompt))));
        let typed = answered.recv();
        drop(quiet);
        match typed {
            Ok(Typed::Line(line)) => line,
            Ok(Typed::Left) | Err(_) => {
                return Err(Trouble {
                    message: "cancelled".into(),
                    advice: "nothing was changed".into(),
                    code: 5,
                });
            }
        }
    } else {
        plain_line()
    };
    #[expect(clippy::disallowed_methods, reason = "door: an empty line is no key")]
    line.filter(|line| !line.expose_secret().is_empty()).ok_or_else(|| {
        usage("no key was given", "nothing was changed; type it, or pipe it in on one line")
    })
}

/// A signal while a person types must not leave them with a terminal that shows nothing; later it
/// ends the program as it would have.
#[cfg(unix)]
fn leave_on_signal(left: mpsc::Sender<Typed>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]) else {
        return;
    };
    thread::spawn(move || {
        for signal in signals.forever() {
            if left.send(Typed::Left).is_err() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        }
    });
}

#[cfg(not(unix))]
fn leave_on_signal(_: mpsc::Sender<Typed>) {}

/// One line of standard input; `None` at its end.
pub(super) fn plain_line() -> Option<SecretString> {
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text);
    let line = SecretString::from(text.trim());
    text.zeroize();
    matches!(read, Ok(1..)).then_some(line)
}

/// One line typed by a person, not shown.
pub(super) fn masked_line(prompt: &str) -> Option<SecretString> {
    tell(prompt);
    let line = plain_line();
    tell("\n");
    line
}

/// A terminal that does not show what is typed, until dropped.
pub(super) struct Quiet {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Quiet {
    #[cfg(unix)]
    pub(super) fn begin() -> Self {
        Self::without(rustix::termios::LocalModes::ECHO)
    }

    /// What is typed arrives key by key, too; signals stay what they are.
    #[cfg(unix)]
    pub(super) fn by_the_key() -> Self {
        use rustix::termios::LocalModes;
        Self::without(LocalModes::ECHO | LocalModes::ICANON)
    }

    #[cfg(unix)]
    fn without(modes: rustix::termios::LocalModes) -> Self {
        use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut quiet) = before.clone() {
            quiet.local_modes.remove(modes);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        Self { before }
    }

    #[cfg(not(unix))]
    pub(super) fn begin() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    pub(super) fn by_the_key() -> Self {
        Self {}
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
