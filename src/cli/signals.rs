//! Signals that ask the program to end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::domain::AuthorizationResponse;
use crate::services::provision::ProvisioningControls;

/// Called on a signal. Returns whether anything still waits for it.
type SignalHandler = Box<dyn FnMut() -> bool + Send>;

static HANDLERS: Mutex<Vec<SignalHandler>> = Mutex::new(Vec::new());

fn lock_handlers() -> MutexGuard<'static, Vec<SignalHandler>> {
    HANDLERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns controls that a signal cancels as long as they exist, and the senders that cancel them and
/// deliver codes.
pub(super) fn interruptible_controls()
-> (ProvisioningControls, watch::Sender<bool>, mpsc::Sender<AuthorizationResponse>) {
    let (cancel, cancelled) = watch::channel(false);
    let (codes, pasted_codes) = mpsc::channel(1);
    let cancel_on_signal = cancel.clone();
    add_signal_handler(move || cancel_on_signal.send(true).is_ok());
    (ProvisioningControls { cancel: cancelled, pasted_codes }, cancel, codes)
}

/// Calls `on_signal` for each signal that asks the program to end, until it returns false: then nothing
/// waits for it any more. A signal that nothing waits for ends the program as by default.
pub(super) fn add_signal_handler(on_signal: impl FnMut() -> bool + Send + 'static) {
    lock_handlers().push(Box::new(on_signal));
    spawn_signal_thread();
}

/// Stops ending the program on signals.
pub(super) fn disable_prompt_signals() {
    lock_handlers().push(Box::new(|| true));
}

/// Makes a write past the limit on the size of files (`ulimit -f`) fail with an error, which is reported.
/// By default the system ends the program, which could lose a key that was just created.
pub fn survive_file_size_limit() {
    // Child processes inherit an ignored signal, but not a handler.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// Calls the handlers. Returns whether anything waits for the signal.
fn call_handlers() -> bool {
    let mut handlers = lock_handlers();
    handlers.retain_mut(|handler| handler());
    !handlers.is_empty()
}

/// Spawns the thread that calls the handlers, once in the life of the process: a signal that was handled
/// once never gets its default action back from the system.
#[cfg(unix)]
fn spawn_signal_thread() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let handled = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        let Ok(mut signals) = signal_hook::iterator::Signals::new(handled) else { return };
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if !call_handlers() {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        });
    });
}

/// Spawns the thread that calls the handlers, once in the life of the process.
#[cfg(windows)]
fn spawn_signal_thread() {
    /// The exit code of a program that ctrl-c ends by default (`STATUS_CONTROL_C_EXIT`).
    const CONTROL_C_EXIT: i32 = 0xC000_013A_u32.cast_signed();
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        crate::platform::console_events::spawn_console_listener(|| {
            if !call_handlers() {
                std::process::exit(CONTROL_C_EXIT);
            }
            true
        });
    });
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    const CHILD_VAR: &str = "KEYWRIGHT_TEST_SIGNALS";

    #[test]
    #[ignore = "is ended by a signal; run by the test below"]
    fn interrupted() {
        if std::env::var_os(CHILD_VAR).is_none() {
            return;
        }
        for _ in 0..2 {
            let (mut controls, _cancel, _codes) = interruptible_controls();
            signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(controls.cancel.wait_for(|cancelled| *cancelled)).unwrap();
        }
        signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
        std::thread::sleep(std::time::Duration::from_secs(20));
    }

    #[test]
    fn ctrl_c_cancels_each_sign_in_and_ends_the_program_after_the_last() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::signals::tests::interrupted", "--ignored"])
            .env(CHILD_VAR, "1")
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(signal_hook::consts::SIGINT));
    }
}
