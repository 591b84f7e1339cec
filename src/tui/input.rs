//! Reads terminal events and signals, each on its own thread that sleeps until one arrives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crossterm::event::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::LoopEvent;
#[cfg(unix)]
use crate::tui::state::{Intent, Msg};

/// Spawns a thread that reads the terminal, so that the loop does not poll.
pub(super) fn spawn_event_reader(results: UnboundedSender<LoopEvent>) -> UnboundedReceiver<Event> {
    let (sender, events) = unbounded_channel();
    let reader = thread::Builder::new().name("keywright-input".into()).spawn(move || {
        while wait_for_input() {
            // Reads only complete events; `wait_for_input` waits for the rest of a sequence.
            while has_event() {
                let Ok(event) = crossterm::event::read() else { break };
                if sender.send(event).is_err() {
                    return;
                }
            }
        }
        // The terminal is closed. The loop may have ended.
        let _ = results.send(LoopEvent::Disconnected);
    });
    if let Err(error) = reader {
        tracing::error!(kind = %error.kind(), "cannot start the thread that reads the terminal");
    }
    events
}

/// Returns whether crossterm has a complete event. With a timeout of zero crossterm does not read the
/// terminal, and a long timeout makes it poll while a frame is written. The short timeout is tried
/// several times because the thread may be suspended during it.
fn has_event() -> bool {
    const POLL_TIMEOUT: Duration = Duration::from_micros(20);
    (0..4).any(|_| crossterm::event::poll(POLL_TIMEOUT).unwrap_or(false))
}

/// Waits for input. Returns false if the terminal is closed; crossterm does not report that and would
/// read the end of the input again and again.
#[cfg(unix)]
fn wait_for_input() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = std::io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    loop {
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => {
                let closed = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
                return !polled[0].revents().intersects(closed);
            }
        }
    }
}

#[cfg(not(unix))]
fn wait_for_input() -> bool {
    crossterm::event::poll(Duration::MAX).is_ok()
}

/// Signal handlers. They are registered before the terminal modes change; otherwise a signal could end
/// the program without restoring the terminal.
#[derive(Default)]
pub(super) struct SignalHandlers {
    #[cfg(unix)]
    registered: Option<signal_hook::iterator::Signals>,
    /// Whether a signal asked to quit; set immediately, also while the program is stopped.
    pub(super) quit_requested: Arc<AtomicBool>,
}

impl SignalHandlers {
    #[cfg(unix)]
    pub(super) fn register() -> Self {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
        let quit_requested = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // Sets the flag even while the program is stopped in the background.
            let _ = signal_hook::flag::register(signal, Arc::clone(&quit_requested));
        }
        let signals = [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH];
        Self { registered: signal_hook::iterator::Signals::new(signals).ok(), quit_requested }
    }

    #[cfg(not(unix))]
    pub(super) fn register() -> Self {
        Self::default()
    }
}

/// Spawns a thread that forwards signals as events.
#[cfg(unix)]
pub(super) fn spawn_signal_forwarder(signals: SignalHandlers, results: UnboundedSender<LoopEvent>) {
    use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
    let Some(mut signals) = signals.registered else { return };
    // If the thread cannot be started, signals are ignored.
    let _ = thread::Builder::new().name("keywright-signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGCONT => LoopEvent::Redraw,
                SIGWINCH => match crossterm::terminal::size() {
                    Ok((columns, rows)) => LoopEvent::Message(Msg::Resized(columns, rows)),
                    Err(_) => continue,
                },
                SIGTSTP => LoopEvent::Message(Msg::Intent(Intent::Suspend)),
                _ => LoopEvent::Disconnected,
            };
            if results.send(event).is_err() {
                return;
            }
        }
    });
}

#[cfg(not(unix))]
pub(super) fn spawn_signal_forwarder(_: SignalHandlers, _: UnboundedSender<LoopEvent>) {}
