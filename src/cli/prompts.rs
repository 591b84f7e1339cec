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

use super::output::{eprint, usage_error};
use crate::domain::{ErrorKind, UserError};

/// A secret from standard input: its first line, or what a person types, unseen.
pub(super) fn read_secret(prompt: &'static str) -> Result<SecretString, UserError> {
    let line =
        if io::stdin().is_terminal() { prompt_hidden_line(prompt)? } else { read_stdin_line() };
    #[expect(clippy::disallowed_methods, reason = "door: an empty line is no key")]
    line.filter(|line| !line.expose_secret().is_empty()).ok_or_else(|| {
        usage_error("no key was given", "nothing was changed; type it, or pipe it in on one line")
    })
}

/// A line from the person at the terminal, also where standard input is something else.
pub(super) fn prompt_hidden_line(prompt: &'static str) -> Result<Option<SecretString>, UserError> {
    let Some(terminal) = open_terminal() else {
        return Err(usage_error("there is no terminal to ask on", "nothing was changed"));
    };
    let quiet = EchoGuard::for_terminal(terminal.try_clone().ok());
    let (answer, answered) = mpsc::channel();
    cancel_prompt_on_signal(answer.clone());
    thread::spawn(move || {
        eprint(prompt);
        let line = read_secret_line(&mut io::BufReader::new(terminal));
        eprint("\n");
        answer.send(PromptResult::Line(line))
    });
    let typed = answered.recv();
    *lock_active_prompt() = None;
    drop(quiet);
    match typed {
        Ok(PromptResult::Line(line)) => Ok(line),
        Ok(PromptResult::Interrupted) | Err(_) => {
            Err(UserError::new(ErrorKind::Cancelled, "cancelled", "nothing was changed"))
        }
    }
}

/// What came of asking a person.
enum PromptResult {
    /// A line, or the end of the input.
    Line(Option<SecretString>),
    /// A signal.
    Interrupted,
}

/// Who is told of a signal: the one that asks now.
static ACTIVE_PROMPT: Mutex<Option<mpsc::Sender<PromptResult>>> = Mutex::new(None);
/// Whether signals are somebody else's from now on.
static PROMPT_SIGNALS_DISABLED: AtomicBool = AtomicBool::new(false);

fn lock_active_prompt() -> MutexGuard<'static, Option<mpsc::Sender<PromptResult>>> {
    ACTIVE_PROMPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A journey or a screen heeds signals from now on: none of them ends the program here.
pub fn disable_prompt_signals() {
    PROMPT_SIGNALS_DISABLED.store(true, Ordering::Relaxed);
}

/// A signal while a person types must not leave them with a terminal that shows nothing; later it
/// ends the program as it would have.
#[cfg(unix)]
fn cancel_prompt_on_signal(left: mpsc::Sender<PromptResult>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static ONCE: Once = Once::new();
    *lock_active_prompt() = Some(left);
    ONCE.call_once(|| {
        let heeded = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        let Ok(mut signals) = signal_hook::iterator::Signals::new(heeded) else { return };
        thread::spawn(move || {
            for signal in signals.forever() {
                let told = lock_active_prompt()
                    .take()
                    .is_some_and(|left| left.send(PromptResult::Interrupted).is_ok());
                if !told && !PROMPT_SIGNALS_DISABLED.load(Ordering::Relaxed) {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        });
    });
}

#[cfg(not(unix))]
fn heed_signals(_: mpsc::Sender<PromptResult>) {}

/// Where a person types: standard input, or else the terminal that the program was started from.
#[cfg(unix)]
fn open_terminal() -> Option<File> {
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
pub(super) fn read_stdin_line() -> Option<SecretString> {
    read_secret_line(&mut io::stdin().lock())
}

/// One line; `None` at the end.
pub(super) fn read_secret_line(reader: &mut impl BufRead) -> Option<SecretString> {
    let mut text = String::new();
    let read = reader.read_line(&mut text);
    let line = SecretString::from(text.trim());
    text.zeroize();
    matches!(read, Ok(1..)).then_some(line)
}

/// One line typed by a person, not shown.
pub(super) fn prompt_stdin_line(prompt: &str) -> Option<SecretString> {
    eprint(prompt);
    let line = read_stdin_line();
    eprint("\n");
    line
}

/// A terminal that does not show what is typed, until dropped; while the program is stopped, it does.
pub(super) struct EchoGuard {
    #[cfg(unix)]
    is_active: bool,
}

impl EchoGuard {
    pub(super) fn new() -> Self {
        Self::for_terminal(open_terminal())
    }

    /// What is typed arrives key by key, too; signals stay what they are.
    #[cfg(unix)]
    pub(super) fn new_cbreak() -> Self {
        use rustix::termios::LocalModes;
        Self::with_modes_cleared(open_terminal(), LocalModes::ECHO | LocalModes::ICANON)
    }

    #[cfg(unix)]
    fn for_terminal(terminal: Option<File>) -> Self {
        Self::with_modes_cleared(terminal, rustix::termios::LocalModes::ECHO)
    }

    #[cfg(unix)]
    fn with_modes_cleared(terminal: Option<File>, modes: rustix::termios::LocalModes) -> Self {
        let quieted = terminal.and_then(|terminal| {
            let before = rustix::termios::tcgetattr(&terminal).ok()?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(modes);
            Some(SavedTerminal { terminal, original_modes: before, hidden_modes: quiet })
        });
        let quiet = quieted.is_some();
        if let Some(quieted) = quieted {
            restore_terminal_on_suspend();
            quieted.apply_modes(&quieted.hidden_modes);
            lock_saved_terminals().push(quieted);
        }
        Self { is_active: quiet }
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

impl Drop for EchoGuard {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(quieted) = self.is_active.then(|| lock_saved_terminals().pop()).flatten() {
            quieted.apply_modes(&quieted.original_modes);
        }
    }
}

/// A terminal as it was found, and as it is now.
#[cfg(unix)]
struct SavedTerminal {
    terminal: File,
    original_modes: rustix::termios::Termios,
    hidden_modes: rustix::termios::Termios,
}

#[cfg(unix)]
impl SavedTerminal {
    fn apply_modes(&self, modes: &rustix::termios::Termios) {
        use rustix::termios::{OptionalActions, tcsetattr};
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, modes);
    }
}

/// Those that are quiet now, the last one last: a passphrase may be asked for in a quiet queue.
#[cfg(unix)]
fn lock_saved_terminals() -> MutexGuard<'static, Vec<SavedTerminal>> {
    static SAVED_TERMINALS: Mutex<Vec<SavedTerminal>> = Mutex::new(Vec::new());
    SAVED_TERMINALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever stops the program gets the terminal as it was.
#[cfg(unix)]
fn restore_terminal_on_suspend() {
    use signal_hook::consts::SIGTSTP;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTSTP]) else { return };
        thread::spawn(move || {
            for signal in signals.forever() {
                if let Some(first) = lock_saved_terminals().first() {
                    first.apply_modes(&first.original_modes);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
                if let Some(last) = lock_saved_terminals().last() {
                    last.apply_modes(&last.hidden_modes);
                }
            }
        });
    });
}
