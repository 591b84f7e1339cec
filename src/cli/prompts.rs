//! Secrets that a person types or pipes in: never shown, and the terminal is left as it was found.
//! Must not know: what they are for.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal};
#[cfg(unix)]
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};

use super::output::{tell, usage};
use crate::domain::{ErrorKind, UserError};

/// A secret from standard input: its first line, or what a person types, unseen.
pub(super) fn secret(prompt: &'static str) -> Result<SecretString, UserError> {
    let line = if io::stdin().is_terminal() { typed(prompt)? } else { plain_line() };
    #[expect(clippy::disallowed_methods, reason = "door: an empty line is no key")]
    line.filter(|line| !line.expose_secret().is_empty()).ok_or_else(|| {
        usage("no key was given", "nothing was changed; type it, or pipe it in on one line")
    })
}

/// A line from the person at the terminal, also where standard input is something else.
pub(super) fn typed(prompt: &'static str) -> Result<Option<SecretString>, UserError> {
    let Some(terminal) = terminal() else {
        return Err(usage("there is no terminal to ask on", "nothing was changed"));
    };
    let quiet = Quiet::on(terminal.try_clone().ok());
    let (answer, answered) = mpsc::channel();
    heed_signals(answer.clone());
    thread::spawn(move || {
        tell(prompt);
        let line = line_of(&mut io::BufReader::new(terminal));
        tell("\n");
        answer.send(Typed::Line(line))
    });
    let typed = answered.recv();
    *asking() = None;
    drop(quiet);
    match typed {
        Ok(Typed::Line(line)) => Ok(line),
        Ok(Typed::Left) | Err(_) => {
            Err(UserError::new(ErrorKind::Cancelled, "cancelled", "nothing was changed"))
        }
    }
}

/// What came of asking a person.
enum Typed {
    /// A line, or the end of the input.
    Line(Option<SecretString>),
    /// A signal.
    Left,
}

/// Who is told of a signal: the one that asks now.
static ASKING: Mutex<Option<mpsc::Sender<Typed>>> = Mutex::new(None);
/// Whether signals are somebody else's from now on.
static STOOD_DOWN: AtomicBool = AtomicBool::new(false);

fn asking() -> MutexGuard<'static, Option<mpsc::Sender<Typed>>> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A journey or a screen heeds signals from now on: none of them ends the program here.
pub fn stand_down() {
    STOOD_DOWN.store(true, Ordering::Relaxed);
}

/// A signal while a person types must not leave them with a terminal that shows nothing; later it
/// ends the program as it would have.
#[cfg(unix)]
fn heed_signals(left: mpsc::Sender<Typed>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static ONCE: Once = Once::new();
    *asking() = Some(left);
    ONCE.call_once(|| {
        let heeded = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        let Ok(mut signals) = signal_hook::iterator::Signals::new(heeded) else { return };
        thread::spawn(move || {
            for signal in signals.forever() {
                let told = asking().take().is_some_and(|left| left.send(Typed::Left).is_ok());
                if !told && !STOOD_DOWN.load(Ordering::Relaxed) {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        });
    });
}

#[cfg(not(unix))]
fn heed_signals(_: mpsc::Sender<Typed>) {}

/// Where a person types: standard input, or else the terminal that the program was started from.
#[cfg(unix)]
fn terminal() -> Option<File> {
    use std::os::fd::AsFd;
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned().ok().map(File::from);
    }
    File::open("/dev/tty").ok()
}

#[cfg(not(unix))]
fn terminal() -> Option<File> {
    std::fs::OpenOptions::new().read(true).write(true).open("CONIN$").ok()
}

/// One line of standard input; `None` at its end.
pub(super) fn plain_line() -> Option<SecretString> {
    line_of(&mut io::stdin().lock())
}

/// One line; `None` at the end.
pub(super) fn line_of(reader: &mut impl BufRead) -> Option<SecretString> {
    let mut text = String::new();
    let read = reader.read_line(&mut text);
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

/// A terminal that does not show what is typed, until dropped; while the program is stopped, it does.
pub(super) struct Quiet {
    #[cfg(unix)]
    quiet: bool,
}

impl Quiet {
    pub(super) fn begin() -> Self {
        Self::on(terminal())
    }

    /// What is typed arrives key by key, too; signals stay what they are.
    #[cfg(unix)]
    pub(super) fn by_the_key() -> Self {
        use rustix::termios::LocalModes;
        Self::without(terminal(), LocalModes::ECHO | LocalModes::ICANON)
    }

    #[cfg(unix)]
    fn on(terminal: Option<File>) -> Self {
        Self::without(terminal, rustix::termios::LocalModes::ECHO)
    }

    #[cfg(unix)]
    fn without(terminal: Option<File>, modes: rustix::termios::LocalModes) -> Self {
        let quieted = terminal.and_then(|terminal| {
            let before = rustix::termios::tcgetattr(&terminal).ok()?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(modes);
            Some(Quieted { terminal, before, quiet })
        });
        let quiet = quieted.is_some();
        if let Some(quieted) = quieted {
            heed_stops();
            quieted.set(&quieted.quiet);
            all_quieted().push(quieted);
        }
        Self { quiet }
    }

    #[cfg(not(unix))]
    fn on(_: Option<File>) -> Self {
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
        if let Some(quieted) = self.quiet.then(|| all_quieted().pop()).flatten() {
            quieted.set(&quieted.before);
        }
    }
}

/// A terminal as it was found, and as it is now.
#[cfg(unix)]
struct Quieted {
    terminal: File,
    before: rustix::termios::Termios,
    quiet: rustix::termios::Termios,
}

#[cfg(unix)]
impl Quieted {
    fn set(&self, modes: &rustix::termios::Termios) {
        use rustix::termios::{OptionalActions, tcsetattr};
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, modes);
    }
}

/// Those that are quiet now, the last one last: a passphrase may be asked for in a quiet queue.
#[cfg(unix)]
fn all_quieted() -> MutexGuard<'static, Vec<Quieted>> {
    static QUIETED: Mutex<Vec<Quieted>> = Mutex::new(Vec::new());
    QUIETED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever stops the program gets the terminal as it was.
#[cfg(unix)]
fn heed_stops() {
    use signal_hook::consts::SIGTSTP;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTSTP]) else { return };
        thread::spawn(move || {
            for signal in signals.forever() {
                if let Some(first) = all_quieted().first() {
                    first.set(&first.before);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
                if let Some(last) = all_quieted().last() {
                    last.set(&last.quiet);
                }
            }
        });
    });
}
