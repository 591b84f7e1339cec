//! A terminal without echo.

use std::fs::File;
#[cfg(unix)]
use std::io::{self, IsTerminal};
#[cfg(unix)]
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
#[cfg(unix)]
use std::thread;

/// Opens the terminal for reading: standard input, or the terminal that controls the process.
#[cfg(unix)]
pub(super) fn open_terminal() -> Option<File> {
    use std::os::fd::AsFd;
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned().ok().map(File::from);
    }
    File::open("/dev/tty").ok()
}

#[cfg(not(unix))]
pub(super) fn open_terminal() -> Option<File> {
    std::fs::OpenOptions::new().read(true).write(true).open("CONIN$").ok()
}

/// Disables the echo of the terminal until dropped. While the process is suspended, the terminal has
/// its original modes. On Windows the console is in raw mode.
pub(in crate::cli) struct EchoGuard {
    is_active: bool,
}

impl EchoGuard {
    pub(in crate::cli) fn new() -> Self {
        Self::for_terminal(open_terminal())
    }

    /// Disables echo and line buffering, so that each key is read at once. Signals still work on
    /// Unix.
    #[cfg(unix)]
    pub(in crate::cli) fn new_cbreak() -> Self {
        use rustix::termios::LocalModes;
        Self::with_modes_cleared(open_terminal(), LocalModes::ECHO | LocalModes::ICANON)
    }

    #[cfg(unix)]
    pub(super) fn for_terminal(terminal: Option<File>) -> Self {
        Self::with_modes_cleared(terminal, rustix::termios::LocalModes::ECHO)
    }

    #[cfg(unix)]
    fn with_modes_cleared(terminal: Option<File>, modes: rustix::termios::LocalModes) -> Self {
        let saved = terminal.and_then(|terminal| {
            let original_modes = rustix::termios::tcgetattr(&terminal).ok()?;
            let mut hidden_modes = original_modes.clone();
            hidden_modes.local_modes.remove(modes);
            Some(SavedTerminal { terminal, original_modes, hidden_modes })
        });
        let is_active = saved.is_some();
        if let Some(saved) = saved {
            restore_terminal_on_suspend();
            saved.apply_modes(&saved.hidden_modes);
            lock_saved_terminals().push(saved);
        }
        Self { is_active }
    }

    #[cfg(not(unix))]
    pub(in crate::cli) fn new_cbreak() -> Self {
        Self::new()
    }

    /// Creates a guard, which leaves raw mode enabled on drop if it was enabled before: guards can
    /// be nested.
    #[cfg(not(unix))]
    pub(super) fn for_terminal(_: Option<File>) -> Self {
        use crossterm::terminal::{enable_raw_mode, is_raw_mode_enabled};
        let is_active = !is_raw_mode_enabled().unwrap_or(false) && enable_raw_mode().is_ok();
        Self { is_active }
    }
}

impl Drop for EchoGuard {
    #[cfg(unix)]
    fn drop(&mut self) {
        if let Some(saved) = self.is_active.then(|| lock_saved_terminals().pop()).flatten() {
            saved.apply_modes(&saved.original_modes);
        }
    }

    #[cfg(not(unix))]
    fn drop(&mut self) {
        if self.is_active {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
}

/// A terminal with its original modes and its modes without echo.
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

/// Locks the terminals of the active guards, the newest last. A prompt for the passphrase can
/// appear while an interactive batch has its own guard.
#[cfg(unix)]
fn lock_saved_terminals() -> MutexGuard<'static, Vec<SavedTerminal>> {
    static SAVED_TERMINALS: Mutex<Vec<SavedTerminal>> = Mutex::new(Vec::new());
    SAVED_TERMINALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal while the process is suspended.
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
