//! Tests that a panic resets the terminal: runs this test program again in a pseudo-terminal, where it
//! panics.

#![cfg(unix)]

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::*;

const PANIC_SITE_VAR: &str = "KEYWRIGHT_TEST_PANICS";

/// The sites where the test panics.
const PANIC_SITES: [&str; 6] =
    ["the loop", "drawing", "a task", "a local task", "a blocking call", "a thread"];

#[test]
#[ignore = "panics; run by the test below in a pseudo-terminal"]
fn panics() {
    let Ok(site) = std::env::var(PANIC_SITE_VAR) else { return };
    let mut terminal = Terminal::enter().unwrap();
    terminal.set_mouse_capture(true).unwrap();
    terminal.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let panic_now = || panic!("panic of the test");
    let _ = catch_unwind(AssertUnwindSafe(|| match &*site {
        "drawing" => terminal.draw(|_| panic_now()).unwrap(),
        "a task" => drop(runtime.block_on(runtime.spawn(async move { panic_now() }))),
        "a local task" => {
            let task = local.spawn_local(async move { panic_now() });
            drop(local.block_on(&runtime, task));
        }
        "a blocking call" => drop(runtime.block_on(runtime.spawn_blocking(panic_now))),
        "a thread" => drop(std::thread::spawn(panic_now).join()),
        _ => panic_now(),
    }));
    assert!(terminal.draw(|_| ()).is_err(), "draws after the terminal was reset");
    // As in a release build: nothing is dropped after the hook.
    std::process::abort();
}

fn modes(master: &dyn MasterPty) -> String {
    let modes = master.get_termios().unwrap();
    format!("{:?} {:?} {:?}", modes.local_flags, modes.input_flags, modes.output_flags)
}

#[test]
fn a_panic_in_a_task_or_while_drawing_resets_the_terminal() {
    for site in PANIC_SITES {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let before = modes(&*pty.master);
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tui::terminal::tests::panics", "--ignored", "--nocapture"]);
        command.env(PANIC_SITE_VAR, site);
        command.env("TERM", "xterm-256color");
        let mut child = pty.slave.spawn_command(command).unwrap();
        let mut output = pty.master.try_clone_reader().unwrap();
        // The master stays open because the modes are read from it.
        let reader = std::thread::spawn(move || {
            let mut written = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                written.extend_from_slice(&buffer[..read]);
            }
            written
        });
        assert!(!child.wait().unwrap().success(), "{site}: it did not abort");
        assert_eq!(modes(&*pty.master), before, "{site}");
        drop(pty.slave);
        let written = String::from_utf8_lossy(&reader.join().unwrap()).into_owned();
        let last = |on: &str, off: &str| (written.rfind(on), written.rfind(off));
        for (set, reset) in [
            ("\u{1b}[?1049h", "\u{1b}[?1049l"),
            ("\u{1b}[?2004h", "\u{1b}[?2004l"),
            ("\u{1b}[?1004h", "\u{1b}[?1004l"),
            ("\u{1b}[?1000h", "\u{1b}[?1000l"),
            ("\u{1b}[?1006h", "\u{1b}[?1006l"),
            ("\u{1b}[?25l", "\u{1b}[?25h"),
        ] {
            let (set_at, reset_at) = last(set, reset);
            assert!(set_at.is_some() && reset_at > set_at, "{site}, {set:?}: {written}");
        }
        let (report, back) = last("panic of the test", "\u{1b}[?1049l");
        assert!(report > back, "{site}: the report was lost with the screen: {written}");
    }
}
