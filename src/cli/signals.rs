//! Signals that ask the program to end.

use tokio::sync::{mpsc, watch};

use super::prompts::disable_prompt_signals;
use crate::api::oauth::AuthorizationResponse;
use crate::services::provision::ProvisioningControls;

/// Returns controls that a signal cancels, and the senders that cancel them and deliver codes.
pub(super) fn interruptible_controls()
-> (ProvisioningControls, watch::Sender<bool>, mpsc::Sender<AuthorizationResponse>) {
    let (cancel, cancelled) = watch::channel(false);
    let (codes, pasted_codes) = mpsc::channel(1);
    disable_prompt_signals();
    let cancel_on_signal = cancel.clone();
    spawn_signal_handler(move || {
        cancel_on_signal.send_replace(true);
    });
    (ProvisioningControls { cancel: cancelled, pasted_codes }, cancel, codes)
}

/// Calls `on_signal` for each signal that asks the program to end.
#[cfg(unix)]
pub(super) fn spawn_signal_handler(on_signal: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
    else {
        return;
    };
    std::thread::spawn(move || {
        for _ in signals.forever() {
            on_signal();
        }
    });
}

#[cfg(not(unix))]
pub(super) fn spawn_signal_handler(on_signal: impl Fn() + Send + 'static) {
    // The system ends the program there. The callback owns a channel whose closing would cancel the
    // work, so it is never dropped.
    std::mem::forget(on_signal);
}
