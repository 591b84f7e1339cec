//! Events of the Windows console that ask the program to end.

use std::thread;

use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};

/// Calls `on_event` for each ctrl-c, ctrl-break and closing of the console, on a thread of its own,
/// until it returns false. Nothing else happens on these events as long as the thread runs. In raw mode
/// ctrl-c is a key event instead.
pub fn spawn_console_listener(mut on_event: impl FnMut() -> bool + Send + 'static) {
    // Registered here: an event right after this call does not end the program.
    let (Ok(mut interrupted), Ok(mut broken), Ok(mut closed)) =
        (ctrl_c(), ctrl_break(), ctrl_close())
    else {
        tracing::error!("cannot handle the events of the console");
        return;
    };
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
        runtime.block_on(async {
            loop {
                let event = tokio::select! {
                    event = interrupted.recv() => event,
                    event = broken.recv() => event,
                    event = closed.recv() => event,
                };
                if event.is_none() || !on_event() {
                    return;
                }
            }
        });
    });
}
