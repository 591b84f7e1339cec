//! A person beside a queue of keys: what they type is a wish or a code, a signal is a wish to stop,
//! and what happens is said on standard error. Must not know: which keys they are.

use std::io::{self, IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use secrecy::zeroize::Zeroizing;
use tokio::sync::mpsc;

use super::output::{eprint, eprintln, print_status, print_warning};
use super::prompts::EchoGuard;
use super::sign_in::{print_sign_in_address, spawn_signal_handler};
use crate::domain::{AuthCode, ProvisioningEvent};
use crate::services::keys::{BatchCommand, BatchControls, ItemResult, Progress};

/// The longest line that could be a code.
const MAX_LINE_BYTES: usize = 600;

/// Someone at the keyboard, or a pipe, or nobody.
pub(super) struct BatchPrompter {
    commands: mpsc::Sender<BatchCommand>,
    codes: mpsc::Sender<AuthCode>,
    /// Whether what is typed is a code, by the line; else a letter is a wish.
    reads_codes: Arc<AtomicBool>,
    is_reading: AtomicBool,
    is_terminal: bool,
    /// Whether each step is said: a consent takes a person's time, a request does not.
    is_verbose: bool,
    _echo_guard: Option<EchoGuard>,
}

impl BatchPrompter {
    /// Listens from now on, to signals at once, to the keyboard when there is something to say.
    pub(super) fn start(in_words: bool) -> (Self, BatchControls) {
        let (wishes, wished) = mpsc::channel(4);
        let (codes, pasted) = mpsc::channel(1);
        let stop = wishes.clone();
        spawn_signal_handler(move || {
            // A queue that hears no more is at its end.
            let _ = stop.try_send(BatchCommand::Stop);
        });
        let terminal = io::stdin().is_terminal();
        let person = Self {
            commands: wishes,
            codes,
            reads_codes: Arc::default(),
            is_reading: AtomicBool::new(false),
            is_terminal: terminal,
            is_verbose: in_words,
            _echo_guard: (terminal && in_words).then(EchoGuard::new_cbreak),
        };
        if terminal && in_words {
            person.spawn_reader();
        }
        (person, BatchControls { commands: wished, pasted_codes: pasted })
    }

    /// Says what happens.
    pub(super) fn print_progress(&self, news: Progress<'_>) {
        let on_one_line = !self.is_verbose && io::stderr().is_terminal();
        if on_one_line && !matches!(news, Progress::Provisioning(ProvisioningEvent::StepStarted(_)))
        {
            eprint("\r\x1b[K");
        }
        match news {
            Progress::ItemStarted { number, total: of, label } if self.is_verbose => {
                print_status(&format!("{number} of {of}: {label}"));
            }
            Progress::ItemStarted { number, total: of, label } if on_one_line => {
                eprint(&format!("{number} of {of}: {label}"));
            }
            Progress::ItemStarted { .. } => {}
            Progress::Provisioning(ProvisioningEvent::SignInUrl { url, needs_code: paste }) => {
                self.reads_codes.store(paste, Ordering::Release);
                print_sign_in_address(&url, paste);
                if self.is_terminal {
                    eprintln(if paste {
                        "or s and enter skips this key, r asks anew, q stops; codes are not shown"
                    } else {
                        "s skips this key, r opens the page anew, q stops"
                    });
                }
                if paste {
                    self.spawn_reader();
                }
            }
            Progress::Provisioning(ProvisioningEvent::Notice(words)) => print_status(&words),
            Progress::Provisioning(ProvisioningEvent::StepStarted(_)) => {}
            Progress::ItemFinished(ItemResult { label, result, warning: note }) => {
                if let Some(note) = note {
                    print_warning(note);
                }
                match result {
                    Ok(held) if self.is_verbose => {
                        print_status(&format!("{label} is stored ({})", held.masked));
                    }
                    Ok(_) => {}
                    Err(trouble) => print_status(&format!("{label}: {}", trouble.message)),
                }
            }
        }
    }

    /// The line of progress leaves with the queue.
    pub(super) fn clear_progress_line(self) {
        if !self.is_verbose && io::stderr().is_terminal() {
            eprint("\r\x1b[K");
        }
    }

    /// Reads on a thread of its own, which is left behind at the end.
    fn spawn_reader(&self) {
        if self.is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (wishes, codes, pastes) =
            (self.commands.clone(), self.codes.clone(), Arc::clone(&self.reads_codes));
        thread::spawn(move || {
            let mut typed = Zeroizing::new(String::with_capacity(MAX_LINE_BYTES));
            for byte in io::stdin().lock().bytes() {
                let Ok(byte) = byte else { break };
                let paste = pastes.load(Ordering::Acquire);
                match byte {
                    b'\n' | b'\r' => {
                        if let (true, false) = (paste, typed.is_empty()) {
                            handle_line(&typed, &wishes, &codes);
                        }
                        typed.clear();
                    }
                    8 | 127 => drop(typed.pop()),
                    letter if !paste => {
                        if let Some(wish) = parse_command(letter) {
                            let _ = wishes.blocking_send(wish);
                        }
                    }
                    letter if letter.is_ascii() && typed.len() < MAX_LINE_BYTES => {
                        typed.push(char::from(letter));
                    }
                    _ => {}
                }
            }
            // A pipe that ends has no further code, and a queue that pastes needs one.
            if pastes.load(Ordering::Acquire) {
                print_status("no further code was given");
                let _ = wishes.blocking_send(BatchCommand::Stop);
            }
        });
    }
}

fn handle_line(typed: &str, wishes: &mpsc::Sender<BatchCommand>, codes: &mpsc::Sender<AuthCode>) {
    if let ([letter], true) = (typed.as_bytes(), io::stdin().is_terminal())
        && let Some(wish) = parse_command(*letter)
    {
        let _ = wishes.blocking_send(wish);
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
