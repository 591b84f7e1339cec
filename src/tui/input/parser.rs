//! Parses the bytes that a terminal sends into events.
//!
//! A terminal sends more than key presses: it also answers queries, its own and those of programs
//! that ran before. Only sequences that are known to be keys, mouse buttons, focus changes or
//! pastes become events. Everything else is dropped as a whole, even if it was split between two
//! reads.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use secrecy::zeroize::Zeroize;

use super::decode::{decode_background, decode_control, decode_csi, decode_ss3};
use crate::tui::state::Background;

/// After this time a lone escape byte is the escape key.
const ESCAPE_TIME_LIMIT: Duration = Duration::from_millis(50);
/// An incomplete sequence is dropped after this time without a byte.
const SEQUENCE_TIME_LIMIT: Duration = Duration::from_secs(2);
/// A paste without an end is delivered after this time without a byte. What comes later would be taken
/// for key presses.
const PASTE_TIME_LIMIT: Duration = Duration::from_secs(10);

/// The longest control sequence that can be a key.
const MAX_SEQUENCE_LENGTH: usize = 64;
/// What exceeds this number of bytes of a paste is dropped; no field holds as much.
const MAX_PASTE_LENGTH: usize = 64 * 1024;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// The 8-bit string terminator.
const ST: u8 = 0x9c;
const CTRL_C: u8 = 0x03;
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ground,
    /// After the first byte of a character of several bytes.
    Utf8 {
        alt: bool,
    },
    /// After an escape byte.
    Escape,
    /// After an escape byte that was delivered as the escape key because nothing followed in time.
    LateEscape,
    /// After `ESC O`: a key of the keypad in application mode, or F1 to F4.
    Ss3,
    /// After `ESC [`.
    Csi,
    /// After `ESC [ [`: F1 to F5 of the Linux console.
    ConsoleFunctionKey,
    /// In the bytes that follow `ESC [ M`.
    X10Mouse {
        remaining: u8,
    },
    /// In a string of the kinds OSC, DCS, APC, PM and SOS.
    String {
        is_osc: bool,
        /// Whether an 8-bit control started it, so that one may also end it.
        is_8_bit: bool,
        previous: u8,
    },
    Paste,
}

/// A parser for the input of a terminal. Has no clock: the caller waits for [`Self::time_limit`] and
/// then calls [`Self::expire`].
#[derive(Debug)]
pub struct InputParser {
    state: State,
    /// The bytes of an incomplete character, control sequence, answer or paste.
    buffer: Vec<u8>,
    /// The background that the terminal reported.
    background: Option<Background>,
}

impl Default for InputParser {
    fn default() -> Self {
        Self { state: State::Ground, buffer: Vec::new(), background: None }
    }
}

impl InputParser {
    /// Parses the bytes of one read and appends the events.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) {
        for (index, byte) in bytes.iter().enumerate() {
            let is_last = index + 1 == bytes.len();
            self.advance(*byte, is_last, events);
        }
    }

    /// Returns the background that the terminal reported since the last call.
    pub const fn take_background(&mut self) -> Option<Background> {
        self.background.take()
    }

    /// Returns how long to wait for the next byte, or `None` if nothing is incomplete.
    pub fn time_limit(&self) -> Option<Duration> {
        match self.state {
            State::Ground => None,
            State::Escape => Some(ESCAPE_TIME_LIMIT),
            State::Paste => Some(PASTE_TIME_LIMIT),
            State::Utf8 { .. }
            | State::LateEscape
            | State::Ss3
            | State::Csi
            | State::ConsoleFunctionKey
            | State::X10Mouse { .. }
            | State::String { .. } => Some(SEQUENCE_TIME_LIMIT),
        }
    }

    /// Ends what is incomplete, because no byte arrived within the time limit.
    pub fn expire(&mut self, events: &mut Vec<Event>) {
        match self.state {
            State::Escape => {
                events.push(Event::Key(KeyCode::Esc.into()));
                self.enter(State::LateEscape);
            }
            State::Paste => self.finish_paste(events),
            _ => self.enter(State::Ground),
        }
    }

    /// Ends a string. Of all answers only the background colour matters.
    fn finish_string(&mut self, is_osc: bool) {
        if is_osc {
            self.background = decode_background(&self.buffer).or(self.background);
        }
        self.enter(State::Ground);
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.buffer.zeroize();
    }

    fn advance(&mut self, byte: u8, is_last: bool, events: &mut Vec<Event>) {
        match (self.state, byte) {
            (State::Paste, _) => self.advance_paste(byte, events),
            // Always quits, so that no incomplete sequence can keep the program from reacting.
            (_, CTRL_C) => {
                self.enter(State::Ground);
                events.push(Event::Key(decode_control(CTRL_C)));
            }
            (State::Ground, _) => self.advance_ground(byte, false, events),
            (State::LateEscape, b'[' | b']' | b'O' | b'P' | b'X' | b'^' | b'_') if !is_last => {
                self.advance_escape(byte, events);
            }
            (State::LateEscape, _) => {
                self.enter(State::Ground);
                self.advance_ground(byte, false, events);
            }
            (State::Utf8 { alt }, _) => self.advance_utf8(byte, alt, events),
            // CAN and SUB end a sequence.
            (state, 0x18 | 0x1a) if state != State::Escape => self.enter(State::Ground),
            (State::String { is_osc, is_8_bit, previous }, _) => match byte {
                b'\\' if previous == ESC => self.finish_string(is_osc),
                _ if previous == ESC => self.advance_escape(byte, events),
                BEL if is_osc => self.finish_string(is_osc),
                // In 7-bit strings, and after a byte of UTF-8, it is part of a character.
                ST if is_8_bit && previous < 0x80 => self.finish_string(is_osc),
                _ => {
                    if self.buffer.len() < MAX_SEQUENCE_LENGTH {
                        self.buffer.push(byte);
                    }
                    self.state = State::String { is_osc, is_8_bit, previous: byte };
                }
            },
            (State::Escape, _) => self.advance_escape(byte, events),
            (_, ESC) => self.enter(State::Escape),
            (State::Csi, _) => self.advance_csi(byte, events),
            (State::Ss3, b'0'..=b';') => self.buffer.push(byte),
            (State::Ss3, _) => {
                events.extend(decode_ss3(byte).filter(|_| self.buffer.is_empty()).map(Event::Key));
                self.enter(State::Ground);
            }
            (State::ConsoleFunctionKey, _) => {
                if let b'A'..=b'E' = byte {
                    events.push(Event::Key(KeyCode::F(byte - b'A' + 1).into()));
                }
                self.enter(State::Ground);
            }
            (State::X10Mouse { remaining: 2.. }, _) => {
                let State::X10Mouse { remaining } = self.state else { return };
                self.enter(State::X10Mouse { remaining: remaining - 1 });
            }
            (State::X10Mouse { .. }, _) => self.enter(State::Ground),
        }
    }

    fn advance_ground(&mut self, byte: u8, alt: bool, events: &mut Vec<Event>) {
        let modifiers = if alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
        let string = State::String { is_osc: byte == 0x9d, is_8_bit: true, previous: 0 };
        match byte {
            ESC => self.enter(State::Escape),
            ..0x20 | 0x7f => {
                let key = decode_control(byte);
                events.push(Event::Key(KeyEvent::new(key.code, key.modifiers | modifiers)));
            }
            0x20..0x7f => {
                let code = KeyCode::Char(char::from(byte));
                events.push(Event::Key(KeyEvent::new(code, modifiers)));
            }
            // No terminal sends keys with 8-bit controls; the byte in the buffer keeps any from matching.
            0x9b => {
                self.enter(State::Csi);
                self.buffer.push(byte);
            }
            0x90 | 0x98 | 0x9d..=0x9f => self.enter(string),
            0xc2..=0xf4 => {
                self.enter(State::Utf8 { alt });
                self.buffer.push(byte);
            }
            _ => {}
        }
    }

    fn advance_utf8(&mut self, byte: u8, alt: bool, events: &mut Vec<Event>) {
        if !(0x80..0xc0).contains(&byte) {
            self.enter(State::Ground);
            if alt {
                return self.advance_escape(byte, events);
            }
            return self.advance_ground(byte, false, events);
        }
        self.buffer.push(byte);
        let length = match self.buffer[0] {
            ..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        if self.buffer.len() < length {
            return;
        }
        let character = std::str::from_utf8(&self.buffer).ok().and_then(|text| text.chars().next());
        if let Some(c) = character.filter(|c| !c.is_control()) {
            let modifiers = if alt { KeyModifiers::ALT } else { KeyModifiers::NONE };
            events.push(Event::Key(KeyEvent::new(KeyCode::Char(c), modifiers)));
            self.enter(State::Ground);
        } else {
            self.enter(if alt { State::Escape } else { State::Ground });
        }
    }

    fn advance_escape(&mut self, byte: u8, events: &mut Vec<Event>) {
        self.enter(State::Ground);
        match byte {
            ESC => {
                events.push(Event::Key(KeyCode::Esc.into()));
                self.enter(State::Escape);
            }
            b'[' => self.enter(State::Csi),
            b'O' => self.enter(State::Ss3),
            b']' | b'P' | b'X' | b'^' | b'_' => {
                let is_osc = byte == b']';
                self.enter(State::String { is_osc, is_8_bit: false, previous: 0 });
            }
            // No character starts with these bytes.
            0x80..0xc2 | 0xf5.. => self.enter(State::Escape),
            _ => self.advance_ground(byte, true, events),
        }
    }

    fn advance_csi(&mut self, byte: u8, events: &mut Vec<Event>) {
        match (byte, &self.buffer[..]) {
            (b'M', []) => self.enter(State::X10Mouse { remaining: 3 }),
            (b'[', []) => self.enter(State::ConsoleFunctionKey),
            (b'~', b"200") => self.enter(State::Paste),
            (0x40..=0x7e, parameters) => {
                events.extend(decode_csi(parameters, byte));
                self.enter(State::Ground);
            }
            // A byte that does not belong here stays in the buffer, so that no key matches.
            (_, parameters) if parameters.len() < MAX_SEQUENCE_LENGTH => self.buffer.push(byte),
            _ => {}
        }
    }

    fn advance_paste(&mut self, byte: u8, events: &mut Vec<Event>) {
        // The end of a longer paste is still recognised.
        if self.buffer.len() >= MAX_PASTE_LENGTH + PASTE_END.len() {
            self.buffer.remove(MAX_PASTE_LENGTH);
        }
        self.buffer.push(byte);
        if self.buffer.ends_with(PASTE_END) {
            self.buffer.truncate(self.buffer.len() - PASTE_END.len());
            self.finish_paste(events);
        }
    }

    fn finish_paste(&mut self, events: &mut Vec<Event>) {
        events.push(Event::Paste(String::from_utf8_lossy(&self.buffer).into_owned()));
        self.enter(State::Ground);
    }
}

#[cfg(test)]
mod tests;
