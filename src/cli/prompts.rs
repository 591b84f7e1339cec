//! Prompts, among them those for secrets, which are not echoed, and secrets from standard input.

#[cfg(any(windows, test))]
mod console_line;
mod echo_guard;
mod stdin_wait;

use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};

use super::output::{cancelled_error, eprint, set_prompt_open, usage_error};
use super::signals::{add_signal_handler, disable_prompt_signals};
use crate::domain::{UserError, trim_secret_input};
pub(super) use echo_guard::EchoGuard;
pub(super) use stdin_wait::{StdinWait, StdinWaitEnd};

/// The maximum number of bytes of standard input that are searched for a key.
const MAX_KEY_INPUT_BYTES: u64 = 64 * 1024;

static ARE_DISABLED: AtomicBool = AtomicBool::new(false);

/// Leaves the terminal and the signals to the dashboard: from now on nobody can be asked.
pub fn disable_prompts() {
    ARE_DISABLED.store(true, Ordering::Release);
    disable_prompt_signals();
}

/// Returns whether nobody can be asked, because the dashboard has the terminal.
pub(super) fn are_disabled() -> bool {
    ARE_DISABLED.load(Ordering::Acquire)
}

/// Reads text that contains a key: from a hidden prompt if standard input is a terminal, else all of
/// standard input.
pub(super) fn read_key_input(prompt: &'static str) -> Result<SecretString, UserError> {
    if io::stdin().is_terminal() {
        return Ok(prompt_hidden_line(prompt)?.unwrap_or_default());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    // After a failed read the bytes before it are used; without a complete key they are rejected.
    let _ = io::stdin().lock().take(MAX_KEY_INPUT_BYTES).read_to_end(&mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}

/// Returns whether there is a terminal for a prompt, even if standard input is not one.
pub(super) fn has_terminal() -> bool {
    echo_guard::open_terminal().is_some()
}

/// Prompts for a line without echo on the terminal, even if standard input is not a terminal.
/// Returns `None` at the end of the input.
pub(super) fn prompt_hidden_line(prompt: &'static str) -> Result<Option<SecretString>, UserError> {
    let Some(terminal) = echo_guard::open_terminal() else {
        return Err(usage_error("there is no terminal for the prompt", "run it in a terminal")
            .with_meaning("nothing was changed"));
    };
    let echo_guard = EchoGuard::for_terminal(terminal.try_clone().ok());
    read_interruptible(Some(echo_guard), move || {
        eprint(prompt);
        let result = read_terminal_line(terminal);
        eprint("\n");
        result
    })
}

/// Prompts for a line on standard input, which is a terminal. The end of the input cancels, as a signal
/// does.
pub(super) fn prompt_line(prompt: &str) -> Result<String, UserError> {
    let prompt = prompt.to_owned();
    let line = read_interruptible(None, move || {
        // After the signal handler is in place: a ctrl-c that answers the prompt at once must reach it.
        eprint(&prompt);
        let mut line = String::new();
        let result = io::stdin().read_line(&mut line);
        PromptResult::Line(matches!(result, Ok(1..)).then_some(line))
    })?;
    // The terminal has echoed the line break.
    set_prompt_open(!line.as_ref().is_some_and(|line| line.ends_with('\n')));
    line.ok_or_else(cancelled_error)
}

/// Reads on a thread, so that a signal can end the wait.
fn read_interruptible<T: Send + 'static>(
    echo_guard: Option<EchoGuard>,
    read: impl FnOnce() -> PromptResult<T> + Send + 'static,
) -> Result<Option<T>, UserError> {
    let (result_sender, result_receiver) = mpsc::channel();
    // So that the echo of the terminal is restored.
    let interrupt = result_sender.clone();
    add_signal_handler(move || interrupt.send(PromptResult::Interrupted).is_ok());
    thread::spawn(move || result_sender.send(read()));
    let result = result_receiver.recv();
    // Dropped before the receiver, so that no signal ends the program while echo is off.
    drop(echo_guard);
    match result {
        Ok(PromptResult::Line(line)) => Ok(line),
        Ok(PromptResult::Interrupted) | Err(_) => Err(cancelled_error()),
    }
}

/// The result of a prompt.
enum PromptResult<T = SecretString> {
    /// A line, or the end of the input.
    Line(Option<T>),
    /// A signal or ctrl-c.
    Interrupted,
}

#[cfg(not(windows))]
fn read_terminal_line(terminal: std::fs::File) -> PromptResult {
    PromptResult::Line(read_secret_line(&mut io::BufReader::new(terminal)))
}

/// Reads key events: bytes that are read from the console are not UTF-8.
#[cfg(windows)]
fn read_terminal_line(_terminal: std::fs::File) -> PromptResult {
    console_line::read_console_line()
}

/// Reads a line from standard input. `None` at its end.
pub(super) fn read_stdin_line() -> Option<SecretString> {
    read_secret_line(&mut io::stdin().lock())
}

/// Reads a line and trims it. `None` at the end of the input.
pub(super) fn read_secret_line(reader: &mut impl BufRead) -> Option<SecretString> {
    let mut text = String::new();
    let result = reader.read_line(&mut text);
    let line = SecretString::from(trim_secret_input(&text));
    text.zeroize();
    matches!(result, Ok(1..)).then_some(line)
}

/// Reads a line after a prompt on a terminal whose echo an [`EchoGuard`] has disabled. `None` at the
/// end of the input.
pub(super) fn read_prompted_line() -> Option<SecretString> {
    #[cfg(not(windows))]
    let line = read_stdin_line();
    #[cfg(windows)]
    let line = match console_line::read_console_line() {
        PromptResult::Line(line) => line,
        PromptResult::Interrupted => None,
    };
    eprint("\n");
    line
}
