//! A person beside a queue of keys: what they type is a wish or a code, a signal is a wish to stop,
//! and what happens is said on standard error. Must not know: which keys they are.

use std::io::{self, IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use secrecy::zeroize::Zeroizing;
use tokio::sync::mpsc;

use super::output::{line, say, tell, warn};
use super::prompts::Quiet;
use super::sign_in::{heed_signals, say_address};
use crate::domain::{AuthCode, ProvisioningEvent};
use crate::services::keys::{End, Hands, News, Wish};

/// The longest line that could be a code.
const LONGEST: usize = 600;

/// Someone at the keyboard, or a pipe, or nobody.
pub(super) struct Person {
    wishes: mpsc::Sender<Wish>,
    codes: mpsc::Sender<AuthCode>,
    /// Whether what is typed is a code, by the line; else a letter is a wish.
    pastes: Arc<AtomicBool>,
    reading: AtomicBool,
    terminal: bool,
    /// Whether each step is said: a consent takes a person's time, a request does not.
    in_words: bool,
    _quiet: Option<Quiet>,
}

impl Person {
    /// Listens from now on, to signals at once, to the keyboard when there is something to say.
    pub(super) fn beside(in_words: bool) -> (Self, Hands) {
        let (wishes, wished) = mpsc::channel(4);
        let (codes, pasted) = mpsc::channel(1);
        let stop = wishes.clone();
        heed_signals(move || {
            // A queue that hears no more is at its end.
            let _ = stop.try_send(Wish::Stop);
        });
        let terminal = io::stdin().is_terminal();
        let person = Self {
            wishes,
            codes,
            pastes: Arc::default(),
            reading: AtomicBool::new(false),
            terminal,
            in_words,
            _quiet: (terminal && in_words).then(Quiet::by_the_key),
        };
        if terminal && in_words {
            person.read();
        }
        (person, Hands { wishes: wished, pasted })
    }

    /// Says what happens.
    pub(super) fn hear(&self, news: News<'_>) {
        let on_one_line = !self.in_words && io::stderr().is_terminal();
        if on_one_line && !matches!(news, News::Journey(ProvisioningEvent::StepStarted(_))) {
            tell("\r\x1b[K");
        }
        match news {
            News::Turn { number, of, label } if self.in_words => {
                say(&format!("{number} of {of}: {label}"));
            }
            News::Turn { number, of, label } if on_one_line => {
                tell(&format!("{number} of {of}: {label}"));
            }
            News::Turn { .. } => {}
            News::Journey(ProvisioningEvent::SignInUrl { url, needs_code: paste }) => {
                self.pastes.store(paste, Ordering::Release);
                say_address(&url, paste);
                if self.terminal {
                    line(if paste {
                        "or s and enter skips this key, r asks anew, q stops; codes are not shown"
                    } else {
                        "s skips this key, r opens the page anew, q stops"
                    });
                }
                if paste {
                    self.read();
                }
            }
            News::Journey(ProvisioningEvent::Notice(words)) => say(&words),
            News::Journey(ProvisioningEvent::StepStarted(_)) => {}
            News::End(End { label, result, note }) => {
                if let Some(note) = note {
                    warn(note);
                }
                match result {
                    Ok(held) if self.in_words => {
                        say(&format!("{label} is stored ({})", held.masked));
                    }
                    Ok(_) => {}
                    Err(trouble) => say(&format!("{label}: {}", trouble.message)),
                }
            }
        }
    }

    /// The line of progress leaves with the queue.
    pub(super) fn leave(self) {
        if !self.in_words && io::stderr().is_terminal() {
            tell("\r\x1b[K");
        }
    }

    /// Reads on a thread of its own, which is left behind at the end.
    fn read(&self) {
        if self.reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (wishes, codes, pastes) =
            (self.wishes.clone(), self.codes.clone(), Arc::clone(&self.pastes));
        thread::spawn(move || {
            let mut typed = Zeroizing::new(String::with_capacity(LONGEST));
            for byte in io::stdin().lock().bytes() {
                let Ok(byte) = byte else { break };
                let paste = pastes.load(Ordering::Acquire);
                match byte {
                    b'\n' | b'\r' => {
                        if let (true, false) = (paste, typed.is_empty()) {
                            heed_line(&typed, &wishes, &codes);
                        }
                        typed.clear();
                    }
                    8 | 127 => drop(typed.pop()),
                    letter if !paste => {
                        if let Some(wish) = wish(letter) {
                            let _ = wishes.blocking_send(wish);
                        }
                    }
                    letter if letter.is_ascii() && typed.len() < LONGEST => {
                        typed.push(char::from(letter));
                    }
                    _ => {}
                }
            }
            // A pipe that ends has no further code, and a queue that pastes needs one.
            if pastes.load(Ordering::Acquire) {
                say("no further code was given");
                let _ = wishes.blocking_send(Wish::Stop);
            }
        });
    }
}

fn heed_line(typed: &str, wishes: &mpsc::Sender<Wish>, codes: &mpsc::Sender<AuthCode>) {
    if let ([letter], true) = (typed.as_bytes(), io::stdin().is_terminal())
        && let Some(wish) = wish(*letter)
    {
        let _ = wishes.blocking_send(wish);
        return;
    }
    match AuthCode::parse(typed) {
        Ok(code) => drop(codes.blocking_send(code)),
        Err(problem) => say(problem),
    }
}

const fn wish(letter: u8) -> Option<Wish> {
    match letter {
        b's' => Some(Wish::Skip),
        b'r' => Some(Wish::Retry),
        b'q' => Some(Wish::Stop),
        _ => None,
    }
}
