//! Prompts and progress while a batch of keys is created: reads commands and codes from standard
//! input, and stops on signals.

use std::io::{self, BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use secrecy::zeroize::Zeroizing;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::output::{eprint, eprintln, print_status, print_warning};
use super::prompts::{EchoGuard, StdinWait, StdinWaitEnd};
use super::sign_in::print_sign_in_address;
use super::signals::add_signal_handler;
use crate::domain::{AuthorizationResponse, ProvisioningEvent};
use crate::services::keys::{BatchCommand, BatchControls, ItemResult, Progress};

/// The longest line that could be a code or an address with one.
const MAX_LINE_BYTES: usize = 2048;

/// Reads commands and codes, and prints progress.
pub(super) struct BatchPrompter {
    commands: mpsc::Sender<BatchCommand>,
    codes: mpsc::Sender<AuthorizationResponse>,
    /// Whether a typed line is a code; else each letter is a command.
    reads_codes: Arc<AtomicBool>,
    /// The sign-in address that was printed last.
    sign_in_url: Arc<Mutex<String>>,
    reader_end: Mutex<Option<StdinWaitEnd>>,
    is_reading: AtomicBool,
    is_terminal: bool,
    /// Whether each step is printed: true if the user consents to each key, false if the management key
    /// or another key creates them.
    is_verbose: bool,
    _echo_guard: Option<EchoGuard>,
}

impl BatchPrompter {
    /// Starts to handle signals at once, and the keyboard once a command or code can be typed.
    pub(super) fn start(is_verbose: bool) -> (Self, BatchControls) {
        let (commands, command_receiver) = mpsc::channel(4);
        let (codes, pasted_codes) = mpsc::channel(1);
        let stop = commands.clone();
        add_signal_handler(move || {
            // The receiver is gone once the batch has ended.
            !matches!(stop.try_send(BatchCommand::Stop), Err(TrySendError::Closed(_)))
        });
        let is_terminal = io::stdin().is_terminal();
        let prompter = Self {
            commands,
            codes,
            reads_codes: Arc::default(),
            sign_in_url: Arc::default(),
            reader_end: Mutex::default(),
            is_reading: AtomicBool::new(false),
            is_terminal,
            is_verbose,
            _echo_guard: (is_terminal && is_verbose).then(EchoGuard::new_cbreak),
        };
        if is_terminal && is_verbose {
            prompter.spawn_reader();
        }
        (prompter, BatchControls { commands: command_receiver, pasted_codes })
    }

    /// Prints a progress event.
    pub(super) fn print_progress(&self, event: Progress<'_>) {
        let on_one_line = !self.is_verbose && io::stderr().is_terminal();
        if on_one_line
            && !matches!(event, Progress::Provisioning(ProvisioningEvent::StepStarted(_)))
        {
            eprint("\r\x1b[K");
        }
        match event {
            Progress::ItemStarted { number, total, label } if self.is_verbose => {
                print_status(&format!("{number} of {total}: {label}"));
            }
            Progress::ItemStarted { number, total, label } if on_one_line => {
                eprint(&format!("{number} of {total}: {label}"));
            }
            Progress::ItemStarted { .. } => {}
            Progress::Provisioning(ProvisioningEvent::SignInUrl { url, needs_code }) => {
                self.reads_codes.store(needs_code, Ordering::Release);
                lock_url(&self.sign_in_url).clone_from(&url);
                print_sign_in_address(&url, needs_code);
                if self.is_terminal {
                    eprintln(if needs_code {
                        "or type a letter and enter: s skips this key, r tries again, q stops; codes are not shown"
                    } else {
                        "s skips this key, r opens the page again, q stops"
                    });
                }
                if needs_code {
                    self.spawn_reader();
                }
            }
            Progress::Provisioning(
                ProvisioningEvent::Notice(text) | ProvisioningEvent::BrowserFailed(text),
            ) => print_status(&text),
            Progress::Provisioning(ProvisioningEvent::StepStarted(_)) => {}
            Progress::ItemFinished(ItemResult { label, result, warning, .. }) => {
                if let Some(warning) = warning {
                    print_warning(warning);
                }
                match result {
                    Ok(stored_key) if self.is_verbose => {
                        print_status(&format!("{label} is stored ({})", stored_key.masked));
                    }
                    Ok(_) => {}
                    Err(error) => print_status(&format!("{label}: {}", error.message)),
                }
            }
        }
    }

    /// Clears the progress line at the end of the batch.
    pub(super) fn clear_progress_line(self) {
        if !self.is_verbose && io::stderr().is_terminal() {
            eprint("\r\x1b[K");
        }
    }

    /// Reads on a separate thread, on a terminal until the batch ends.
    fn spawn_reader(&self) {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok((wait, end)) = StdinWait::new() else { return };
        *self.reader_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        let (commands, codes, reads_codes) =
            (self.commands.clone(), self.codes.clone(), Arc::clone(&self.reads_codes));
        let (sign_in_url, is_terminal) = (Arc::clone(&self.sign_in_url), self.is_terminal);
        thread::spawn(move || {
            let mut typed = Zeroizing::new(String::with_capacity(MAX_LINE_BYTES));
            loop {
                // A pipe is read by nothing else.
                if is_terminal && !wait.wait() {
                    return;
                }
                let Some(bytes) = read_available_bytes() else { break };
                // Several letters at once are a paste and not commands.
                if let ([letter], true) = (&bytes[..], typed.is_empty())
                    && !reads_codes.load(Ordering::Acquire)
                    && let Some(command) = parse_command(*letter)
                {
                    let _ = commands.blocking_send(command);
                    continue;
                }
                for byte in bytes.iter().copied() {
                    match byte {
                        b'\n' | b'\r' => {
                            let url = lock_url(&sign_in_url).clone();
                            handle_line(&typed, &url, &commands, &codes);
                            typed.clear();
                        }
                        8 | 127 => drop(typed.pop()),
                        letter if letter.is_ascii() && typed.len() < MAX_LINE_BYTES => {
                            typed.push(char::from(letter));
                        }
                        _ => {}
                    }
                }
            }
            // After the end of a pipe no further code can arrive.
            if reads_codes.load(Ordering::Acquire) {
                print_status("no further code was entered");
                let _ = commands.blocking_send(BatchCommand::Stop);
            }
        });
    }
}

/// Reads what standard input has; waits for the first byte. `None` at the end of the input.
fn read_available_bytes() -> Option<Zeroizing<Vec<u8>>> {
    let mut stdin = io::stdin().lock();
    let bytes = Zeroizing::new(stdin.fill_buf().ok()?.to_vec());
    stdin.consume(bytes.len());
    (!bytes.is_empty()).then_some(bytes)
}

fn lock_url(sign_in_url: &Mutex<String>) -> MutexGuard<'_, String> {
    sign_in_url.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handle_line(
    typed: &str,
    sign_in_url: &str,
    commands: &mpsc::Sender<BatchCommand>,
    codes: &mpsc::Sender<AuthorizationResponse>,
) {
    if typed.trim().is_empty() {
        return;
    }
    if let ([letter], true) = (typed.as_bytes(), io::stdin().is_terminal())
        && let Some(command) = parse_command(*letter)
    {
        let _ = commands.blocking_send(command);
        return;
    }
    match AuthorizationResponse::parse_pasted(typed, sign_in_url) {
        Ok(response) => drop(codes.blocking_send(response)),
        Err(problem) => print_status(problem),
    }
}

const fn parse_command(letter: u8) -> Option<BatchCommand> {
    match letter {
        b's' => Some(BatchCommand::Skip),
        b'r' => Some(BatchCommand::Retry),
        b'q' => Some(BatchCommand::Stop),
        _ => None,
    }
}
