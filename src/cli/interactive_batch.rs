//! Prompts and progress while a batch of keys is created: reads commands and codes from standard
//! input, and stops on signals.

use std::io::{self, IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use secrecy::zeroize::Zeroizing;
use tokio::sync::mpsc;

use super::output::{eprint, eprintln, print_status, print_warning};
use super::prompts::EchoGuard;
use super::sign_in::print_sign_in_address;
use super::signals::spawn_signal_handler;
use crate::domain::{AuthCode, ProvisioningEvent};
use crate::services::keys::{BatchCommand, BatchControls, ItemResult, Progress};

/// The longest line that could be a code.
const MAX_LINE_BYTES: usize = 600;

/// Reads commands and codes, and prints progress.
pub(super) struct BatchPrompter {
    commands: mpsc::Sender<BatchCommand>,
    codes: mpsc::Sender<AuthCode>,
    /// Whether a typed line is a code; else each letter is a command.
    reads_codes: Arc<AtomicBool>,
    is_reading: AtomicBool,
    is_terminal: bool,
    /// Whether each step is printed: the user takes part in a consent, but not in a request.
    is_verbose: bool,
    _echo_guard: Option<EchoGuard>,
}

impl BatchPrompter {
    /// Starts to handle signals at once, and the keyboard once a command or code can be typed.
    pub(super) fn start(is_verbose: bool) -> (Self, BatchControls) {
        let (commands, command_receiver) = mpsc::channel(4);
        let (codes, pasted_codes) = mpsc::channel(1);
        let stop = commands.clone();
        spawn_signal_handler(move || {
            // The receiver is gone once the batch has ended.
            let _ = stop.try_send(BatchCommand::Stop);
        });
        let is_terminal = io::stdin().is_terminal();
        let prompter = Self {
            commands,
            codes,
            reads_codes: Arc::default(),
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
            Progress::Provisioning(ProvisioningEvent::Notice(text)) => print_status(&text),
            Progress::Provisioning(ProvisioningEvent::StepStarted(_)) => {}
            Progress::ItemFinished(ItemResult { label, result, warning }) => {
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

    /// Reads on a separate thread, which keeps running when the batch ends.
    fn spawn_reader(&self) {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (commands, codes, reads_codes) =
            (self.commands.clone(), self.codes.clone(), Arc::clone(&self.reads_codes));
        thread::spawn(move || {
            let mut typed = Zeroizing::new(String::with_capacity(MAX_LINE_BYTES));
            for byte in io::stdin().lock().bytes() {
                let Ok(byte) = byte else { break };
                let reads_code = reads_codes.load(Ordering::Acquire);
                match byte {
                    b'\n' | b'\r' => {
                        if reads_code && !typed.is_empty() {
                            handle_line(&typed, &commands, &codes);
                        }
                        typed.clear();
                    }
                    8 | 127 => drop(typed.pop()),
                    letter if !reads_code => {
                        if let Some(command) = parse_command(letter) {
                            let _ = commands.blocking_send(command);
                        }
                    }
                    letter if letter.is_ascii() && typed.len() < MAX_LINE_BYTES => {
                        typed.push(char::from(letter));
                    }
                    _ => {}
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

fn handle_line(typed: &str, commands: &mpsc::Sender<BatchCommand>, codes: &mpsc::Sender<AuthCode>) {
    if let ([letter], true) = (typed.as_bytes(), io::stdin().is_terminal())
        && let Some(command) = parse_command(*letter)
    {
        let _ = commands.blocking_send(command);
        return;
    }
    match AuthCode::parse(typed) {
        Ok(code) => drop(codes.blocking_send(code)),
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
