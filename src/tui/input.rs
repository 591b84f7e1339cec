//! Reads terminal events and signals, each on its own thread that sleeps until one arrives.

#[cfg(any(windows, test))]
mod console;
mod decode;
mod parser;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossterm::event::Event;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::LoopEvent;
#[cfg(unix)]
use crate::tui::state::{Intent, Msg};
pub use parser::InputParser;

/// Spawns a thread that reads the terminal, so that the loop does not poll.
pub(super) fn spawn_event_reader(results: UnboundedSender<LoopEvent>) -> UnboundedReceiver<Event> {
    let (sender, events) = unbounded_channel();
    let reader = thread::Builder::new().name("keywright-input".into()).spawn(move || {
        read_events(&sender, &results);
        // The terminal is closed. The loop may have ended.
        let _ = results.send(LoopEvent::Disconnected);
    });
    if let Err(error) = reader {
        tracing::error!(kind = %error.kind(), "cannot start the thread that reads the terminal");
    }
    events
}

/// Sends events until the terminal or the receiver is closed. Does not use crossterm's reader, which
/// takes the answers of a terminal for key presses.
#[cfg(unix)]
fn read_events(sender: &UnboundedSender<Event>, results: &UnboundedSender<LoopEvent>) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::time::Timespec;
    use secrecy::zeroize::Zeroize;
    let stdin = std::io::stdin();
    let mut parser = InputParser::default();
    let mut buffer = [0; 4096];
    let mut events = Vec::new();
    loop {
        let limit = parser.time_limit().and_then(|limit| Timespec::try_from(limit).ok());
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(0) => parser.expire(&mut events),
            Ok(_) => {
                let closed = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
                if polled[0].revents().intersects(closed) {
                    return;
                }
                match rustix::io::read(&stdin, &mut buffer) {
                    Ok(0) => return,
                    Ok(length) => {
                        parser.feed(&buffer[..length], &mut events);
                        // It may contain a pasted key.
                        buffer[..length].zeroize();
                    }
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
                    Err(_) => return,
                }
            }
        }
        if let Some(background) = parser.take_background() {
            // The loop may have ended.
            let _ = results.send(LoopEvent::Message(Msg::BackgroundReported(background)));
        }
        for event in events.drain(..) {
            if sender.send(event).is_err() {
                return;
            }
        }
    }
}

#[cfg(windows)]
fn read_events(sender: &UnboundedSender<Event>, _: &UnboundedSender<LoopEvent>) {
    while let Ok(event) = crossterm::event::read() {
        if let Some(event) = console::normalize_console_event(event)
            && sender.send(event).is_err()
        {
            return;
        }
    }
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

    #[cfg(windows)]
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
                SIGWINCH => match super::terminal::size() {
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

#[cfg(windows)]
pub(super) fn spawn_signal_forwarder(_: SignalHandlers, results: UnboundedSender<LoopEvent>) {
    crate::platform::console_events::spawn_console_listener(move || {
        results.send(LoopEvent::Disconnected).is_ok()
    });
}
