//! The terminal's modes, and giving them back: on leaving, on a panic, on stopping.

use std::io::{self, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

/// One write a frame: the most that a frame of a large terminal takes.
const FRAME_BUFFER_SIZE: usize = 64 * 1024;

/// xterm's button events (1000) in the form without limits to the columns (1006).
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// How long a signal takes at most from one thread to the other.
#[cfg(unix)]
const SIGNAL_DELIVERY_TIME: std::time::Duration = std::time::Duration::from_millis(50);

/// Whether the modes are ours; a panic of any thread gives them back once.
static MODES_SET: AtomicBool = AtomicBool::new(false);

/// A terminal in our modes, until dropped.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<TerminalWriter>>,
    /// Whether clicks are asked for.
    mouse_enabled: bool,
}

impl Terminal {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        static PANIC_HOOK: Once = Once::new();
        PANIC_HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // First the screen, or the report would go with it.
                reset_modes(&mut TerminalWriter::default());
                report(info);
            }));
        });
        let mut out = TerminalWriter(Vec::with_capacity(FRAME_BUFFER_SIZE));
        let entered = set_modes(&mut out)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(out)))
            .map(|inner| Self { inner, mouse_enabled: false });
        if entered.is_err() {
            reset_modes(&mut TerminalWriter::default());
        }
        entered
    }

    /// Draws one frame: what differs from the last. Not on a terminal that a panic gave back.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if !MODES_SET.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.inner.draw(render).map(|_| ())
    }

    /// Asks for clicks and the wheel, or no more of them. Not for moves of the mouse, which would
    /// wake the program for nothing.
    pub(super) fn set_mouse_capture(&mut self, wanted: bool) -> io::Result<()> {
        if self.mouse_enabled == wanted {
            return Ok(());
        }
        self.mouse_enabled = wanted;
        let out = self.inner.backend_mut();
        out.write_all(if wanted { MOUSE_ON } else { MOUSE_OFF })?;
        Write::flush(out)
    }

    /// Writes a sequence between two frames.
    #[expect(clippy::disallowed_methods, reason = "door: copy, through the terminal")]
    pub(super) fn write_sequence(sequence: &SecretString) -> io::Result<()> {
        TerminalWriter::write_to_stdout(sequence.expose_secret().as_bytes())
    }

    /// Gives the terminal to the shell, stops, and takes it back when the shell says go on. Not
    /// when it is to `leave`: it may go on in the background, where reaching for the terminal would
    /// stop it again.
    pub(super) fn suspend(&mut self, leave: &AtomicBool) -> io::Result<()> {
        self.leave();
        #[cfg(unix)]
        loop {
            signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
            if leave.load(Ordering::Acquire) || is_in_foreground() {
                break;
            }
            // A signal that woke it may be on its way to another thread in this moment.
            std::thread::sleep(SIGNAL_DELIVERY_TIME);
            if leave.load(Ordering::Acquire) {
                break;
            }
        }
        if leave.load(Ordering::Acquire) { Ok(()) } else { self.reenter() }
    }

    /// Takes the terminal (again) and paints all of it with the next frame.
    pub(super) fn reenter(&mut self) -> io::Result<()> {
        set_modes(self.inner.backend_mut())?;
        self.mouse_enabled = false;
        // Not `clear`: it asks the terminal where its cursor is, and the thread that reads keys
        // gets the answer.
        let size = self.inner.size()?;
        self.inner.resize(Rect::from((Position::ORIGIN, size)))
    }

    fn leave(&mut self) {
        reset_modes(self.inner.backend_mut());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The way to the terminal. One write a frame, past the buffer of `std`, and nothing is kept of it:
/// there may be a key in it.
#[derive(Default)]
struct TerminalWriter(Vec<u8>);

impl TerminalWriter {
    #[cfg(unix)]
    fn write_to_stdout(mut bytes: &[u8]) -> io::Result<()> {
        let stdout = io::stdout();
        while !bytes.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&stdout, bytes))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn write_to_stdout(bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout();
        stdout.write_all(bytes)?;
        stdout.flush()
    }
}

impl Write for TerminalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let passed = Self::write_to_stdout(&self.0);
        self.0.as_mut_slice().zeroize();
        self.0.clear();
        passed
    }
}

/// Whether the terminal is this program's now. One that does not say so is.
#[cfg(unix)]
fn is_in_foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(io::stdin());
    group.map_or(true, |group| group == rustix::process::getpgrp())
}

fn set_modes(out: &mut impl Write) -> io::Result<()> {
    enable_raw_mode()?;
    MODES_SET.store(true, Ordering::Release);
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, Hide)
}

/// Whoever cannot be written to has nothing to get back.
fn reset_modes(out: &mut impl Write) {
    if MODES_SET.swap(false, Ordering::AcqRel) {
        let _ = out.write_all(MOUSE_OFF);
        let _ = queue!(out, DisableFocusChange, DisableBracketedPaste, Show, LeaveAlternateScreen);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests;
