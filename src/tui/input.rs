//! What comes from outside without being asked for: key presses and signals, each on a thread that
//! sleeps until there is one. Must not know: what they mean.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crossterm::event::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::LoopEvent;
#[cfg(unix)]
use crate::tui::state::{Intent, Msg};

/// A thread that reads the terminal, so that the loop need not poll.
pub(super) fn spawn_event_reader(results: UnboundedSender<LoopEvent>) -> UnboundedReceiver<Event> {
    let (send, typed) = unbounded_channel();
    let reader = thread::Builder::new().name("keywright-input".into()).spawn(move || {
        while wait_for_input() {
            // Nothing but whole events: of a sequence that is still on its way the rest is waited
            // for above.
            while has_event() {
                let Ok(event) = crossterm::event::read() else { break };
                if send.send(event).is_err() {
                    return;
                }
            }
        }
        // The terminal is gone. The loop may be, too.
        let _ = results.send(LoopEvent::Disconnected);
    });
    if let Err(error) = reader {
        tracing::error!(kind = %error.kind(), "no thread to read the terminal");
    }
    typed
}

/// Whether crossterm has an event. Given no time at all it would not look, and it spends what it is
/// given asking the terminal again and again, in the way of the frame that is being written. So it
/// is given little, and more than once: a thread that is put aside just then looks too late.
fn has_event() -> bool {
    const POLL_TIMEOUT: Duration = Duration::from_micros(20);
    (0..4).any(|_| crossterm::event::poll(POLL_TIMEOUT).unwrap_or(false))
}

/// Waits for input; false when there will be none any more, of which crossterm says nothing: it
/// would read the end of a terminal that was closed again and again.
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
                let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
                return !polled[0].revents().intersects(gone);
            }
        }
    }
}

#[cfg(not(unix))]
fn wait_for_input() -> bool {
    crossterm::event::poll(Duration::MAX).is_ok()
}

/// Signals, from before the terminal is taken over: one that comes while that is done must not end
/// the program with the terminal in its modes.
#[derive(Default)]
pub(super) struct SignalHandlers {
    #[cfg(unix)]
    registered: Option<signal_hook::iterator::Signals>,
    /// Whether one came that asks to leave: known at once to a program that was stopped.
    pub(super) quit_requested: Arc<AtomicBool>,
}

impl SignalHandlers {
    #[cfg(unix)]
    pub(super) fn register() -> Self {
        use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
        let leave = Arc::default();
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // Without it the program is told only once it has its terminal again.
            let _ = signal_hook::flag::register(signal, Arc::clone(&leave));
        }
        let heeded = [SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH];
        Self { registered: signal_hook::iterator::Signals::new(heeded).ok(), quit_requested: leave }
    }

    #[cfg(not(unix))]
    pub(super) fn register() -> Self {
        Self::default()
    }
}

/// Signals as messages.
#[cfg(unix)]
pub(super) fn spawn_signal_forwarder(signals: SignalHandlers, results: UnboundedSender<LoopEvent>) {
    use signal_hook::consts::{SIGCONT, SIGTSTP, SIGWINCH};
    let Some(mut signals) = signals.registered else { return };
    // Without the thread the signals are heeded by nobody, as if they had not come.
    let _ = thread::Builder::new().name("keywright-signals".into()).spawn(move || {
        for signal in signals.forever() {
            let incoming = match signal {
                SIGCONT => LoopEvent::Redraw,
                SIGWINCH => match crossterm::terminal::size() {
                    Ok((columns, rows)) => LoopEvent::Message(Msg::Resized(columns, rows)),
                    Err(_) => continue,
                },
                SIGTSTP => LoopEvent::Message(Msg::Intent(Intent::Suspend)),
                _ => LoopEvent::Disconnected,
            };
            if results.send(incoming).is_err() {
                return;
            }
        }
    });
}

#[cfg(not(unix))]
pub(super) fn spawn_signal_forwarder(_: SignalHandlers, _: UnboundedSender<LoopEvent>) {}
