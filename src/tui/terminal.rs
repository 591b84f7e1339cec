//! Sets the terminal modes and resets them on exit, panic and suspend.

mod backend;

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, RestorePosition, SavePosition, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::style::{ContentStyle, ResetColor, SetStyle};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::IntoCrossterm;
use ratatui::buffer::{Buffer, CellDiffOption};
use ratatui::layout::{Position, Rect, Size};
use ratatui::{Frame, TerminalOptions, Viewport};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};

use super::view::WrappedLink;
use backend::FrameBackend;

/// Buffer size for one frame on a large terminal, so that each frame is one write.
const FRAME_BUFFER_SIZE: usize = 64 * 1024;

/// xterm's button events (1000) in the SGR encoding (1006), which has no column limit.
#[cfg(unix)]
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1006h";
#[cfg(unix)]
const MOUSE_OFF: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// Requests the background colour (OSC 11).
const BACKGROUND_QUERY: &[u8] = b"\x1b]11;?\x1b\\";

/// The largest size that is drawn, in columns and rows. The largest size that a terminal can report
/// would need more memory than most machines have.
const MAX_SIZE: (u16, u16) = (1_000, 500);

/// Returns the columns and rows to draw.
pub(super) fn size() -> io::Result<(u16, u16)> {
    Ok(match window_size()? {
        // Some terminals report 0 if the size is unknown.
        (0, 0) => (80, 24),
        (columns, rows) => (columns.min(MAX_SIZE.0), rows.min(MAX_SIZE.1)),
    })
}

/// Asks the terminal on standard output. crossterm would open `/dev/tty` for each frame.
#[cfg(unix)]
fn window_size() -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout())?;
    Ok((size.ws_col, size.ws_row))
}

#[cfg(windows)]
fn window_size() -> io::Result<(u16, u16)> {
    crossterm::terminal::size()
}

fn drawn_area() -> io::Result<Rect> {
    Ok(Rect::from((Position::ORIGIN, Size::from(size()?))))
}

/// Maximum time until another thread has handled a signal.
#[cfg(unix)]
const SIGNAL_DELIVERY_TIME: std::time::Duration = std::time::Duration::from_millis(50);

/// Whether the modes are set; a panic in any thread resets them once.
static MODES_SET: AtomicBool = AtomicBool::new(false);

/// A terminal whose modes are reset on drop.
pub(super) struct Terminal {
    inner: ratatui::Terminal<FrameBackend<TerminalWriter>>,
    /// Whether mouse events are enabled.
    mouse_enabled: bool,
    /// The area of the last frame.
    area: Rect,
}

impl Terminal {
    /// Sets the terminal modes and switches to the alternate screen.
    pub(super) fn enter() -> io::Result<Self> {
        static PANIC_HOOK: Once = Once::new();
        PANIC_HOOK.call_once(|| {
            let report = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // The report would be lost with the alternate screen if it were printed first.
                reset_modes(&mut TerminalWriter::default());
                report(info);
            }));
        });
        let mut out = TerminalWriter(Vec::with_capacity(FRAME_BUFFER_SIZE));
        let entered = set_modes(&mut out)
            .and_then(|()| {
                let area = drawn_area()?;
                let options = TerminalOptions { viewport: Viewport::Fixed(area) };
                ratatui::Terminal::with_options(FrameBackend::new(out, area.as_size()), options)
            })
            .map(|mut inner| {
                let area = inner.get_frame().area();
                Self { inner, mouse_enabled: false, area }
            });
        if entered.is_err() {
            reset_modes(&mut TerminalWriter::default());
        }
        entered
    }

    /// Requests the background colour, with the next frame. The answer arrives as input.
    pub(super) fn request_background(&mut self) {
        self.inner.backend_mut().writer().0.extend_from_slice(BACKGROUND_QUERY);
    }

    /// Draws the differences to the last frame. Fails after a panic has reset the terminal.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if !MODES_SET.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let area = drawn_area()?;
        if area != self.area {
            self.resize(area)?;
        }
        let draw = |frame: &mut Frame<'_>| {
            render(frame);
            mark_narrow(frame.buffer_mut());
        };
        self.inner.draw(draw).map(|_| ())
    }

    /// Writes an address over its text in the last frame: as a link (OSC 8), and without moving the
    /// cursor between its rows, so that the terminal copies it without line breaks.
    pub(super) fn draw_link(&mut self, link: &WrappedLink) -> io::Result<()> {
        let WrappedLink { row, url, style } = link;
        let style: ContentStyle = (*style).into_crossterm();
        let out = self.inner.backend_mut().writer();
        queue!(out, SavePosition, MoveTo(0, *row), SetStyle(style))?;
        write!(out, "\x1b]8;id=keywright;{url}\x1b\\{url}\x1b]8;;\x1b\\")?;
        execute!(out, ResetColor, RestorePosition)
    }

    /// Turns mouse buttons and wheel events on or off. Mouse moves stay off because they would wake the
    /// program without need.
    pub(super) fn set_mouse_capture(&mut self, enabled: bool) -> io::Result<()> {
        if self.mouse_enabled == enabled {
            return Ok(());
        }
        self.mouse_enabled = enabled;
        let out = self.inner.backend_mut().writer();
        if enabled {
            queue_mouse_on(out)?;
        } else {
            queue_mouse_off(out)?;
        }
        Write::flush(out)
    }

    /// Writes a sequence between two frames.
    #[expect(clippy::disallowed_methods, reason = "copies the key through the terminal")]
    pub(super) fn write_sequence(sequence: &SecretString) -> io::Result<()> {
        TerminalWriter::write_to_stdout(sequence.expose_secret().as_bytes())
    }

    /// Resets the terminal, stops the process, and sets the modes again when the shell continues it.
    /// Does not set them if `quit_requested`: in the background, access to the terminal would stop the
    /// process again.
    pub(super) fn suspend(&mut self, quit_requested: &AtomicBool) -> io::Result<()> {
        self.leave();
        #[cfg(unix)]
        loop {
            signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
            if quit_requested.load(Ordering::Acquire) || is_in_foreground() {
                break;
            }
            // Another thread may still be handling the signal that continued the process.
            std::thread::sleep(SIGNAL_DELIVERY_TIME);
            if quit_requested.load(Ordering::Acquire) {
                break;
            }
        }
        if quit_requested.load(Ordering::Acquire) { Ok(()) } else { self.reenter() }
    }

    /// Sets the terminal modes again; the next frame repaints the whole screen.
    pub(super) fn reenter(&mut self) -> io::Result<()> {
        set_modes(self.inner.backend_mut().writer())?;
        self.mouse_enabled = false;
        // Not `clear`: it queries the cursor position, and the thread that reads events would receive
        // the response.
        self.resize(drawn_area()?)
    }

    fn resize(&mut self, area: Rect) -> io::Result<()> {
        self.area = area;
        // What is replaced may contain a key.
        self.inner.swap_buffers();
        self.inner.backend_mut().resize(area.as_size());
        self.inner.resize(area)
    }

    /// Resets the terminal and wipes what was on screen, because it may contain a key.
    fn leave(&mut self) {
        reset_modes(self.inner.backend_mut().writer());
        self.inner.swap_buffers();
        self.inner.backend_mut().wipe();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Writes each frame to the terminal at once, without the buffer of `std`, and wipes it afterwards
/// because it may contain a key.
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

    #[cfg(windows)]
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
        let result = Self::write_to_stdout(&self.0);
        self.0.as_mut_slice().zeroize();
        self.0.clear();
        result
    }
}

/// Marks lines and blocks as one cell wide, because ratatui measures every unmarked character of several
/// bytes for each frame.
fn mark_narrow(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        // U+2500 to U+259F.
        if let [0xE2, 0x94 | 0x95, _] | [0xE2, 0x96, 0x80..=0x9F] = cell.symbol().as_bytes() {
            cell.set_diff_option(CellDiffOption::ForcedWidth(NonZeroU16::MIN));
        }
    }
}

/// Returns whether the process is in the foreground; true if the terminal does not report it.
#[cfg(unix)]
fn is_in_foreground() -> bool {
    let group = rustix::termios::tcgetpgrp(io::stdin());
    group.map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(unix)]
fn queue_mouse_on(out: &mut impl Write) -> io::Result<()> {
    out.write_all(MOUSE_ON)
}

#[cfg(unix)]
fn queue_mouse_off(out: &mut impl Write) -> io::Result<()> {
    out.write_all(MOUSE_OFF)
}

/// Changes the mode of the console: a sequence alone yields no events there.
#[cfg(windows)]
fn queue_mouse_on(out: &mut impl Write) -> io::Result<()> {
    queue!(out, crossterm::event::EnableMouseCapture)
}

#[cfg(windows)]
fn queue_mouse_off(out: &mut impl Write) -> io::Result<()> {
    queue!(out, crossterm::event::DisableMouseCapture)
}

fn set_modes(out: &mut impl Write) -> io::Result<()> {
    enable_raw_mode()?;
    MODES_SET.store(true, Ordering::Release);
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, Hide)
}

/// Resets the modes once; ignores errors because a closed terminal has nothing to reset.
fn reset_modes(out: &mut impl Write) {
    if MODES_SET.swap(false, Ordering::AcqRel) {
        let _ = queue_mouse_off(out);
        let _ = queue!(out, DisableFocusChange, DisableBracketedPaste, Show, LeaveAlternateScreen);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests;
