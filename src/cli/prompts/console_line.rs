//! A line typed on the Windows console in raw mode. The console echoes lines in its normal mode.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use secrecy::zeroize::Zeroizing;

#[cfg(windows)]
use super::PromptResult;

/// Longer lines are cut off. The buffer must not grow, since growing leaves copies in memory.
const MAX_LINE_BYTES: usize = 4096;

/// Whether the line is complete after a key event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineState {
    Incomplete,
    Complete,
    EndOfInput,
    Interrupted,
}

/// Reads a line from the console. The caller has switched it to raw mode.
#[cfg(windows)]
pub(super) fn read_console_line() -> PromptResult {
    use crossterm::event::{Event, read};
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINE_BYTES));
    loop {
        let state = match read() {
            Ok(Event::Key(key)) => apply_key(&mut line, key),
            Ok(_) => LineState::Incomplete,
            Err(_) => LineState::EndOfInput,
        };
        match state {
            LineState::Incomplete => {}
            LineState::Complete => {
                let line = crate::domain::trim_secret_input(&line);
                return PromptResult::Line(Some(line.into()));
            }
            LineState::EndOfInput => return PromptResult::Line(None),
            LineState::Interrupted => return PromptResult::Interrupted,
        }
    }
}

fn apply_key(line: &mut Zeroizing<String>, key: KeyEvent) -> LineState {
    if key.kind == KeyEventKind::Release {
        return LineState::Incomplete;
    }
    // AltGr is reported as ctrl and alt, and types a character.
    let is_control =
        key.modifiers.contains(KeyModifiers::CONTROL) && !key.modifiers.contains(KeyModifiers::ALT);
    match key.code {
        KeyCode::Enter => return LineState::Complete,
        KeyCode::Char('c') if is_control => return LineState::Interrupted,
        KeyCode::Char('d' | 'z') if is_control && line.is_empty() => return LineState::EndOfInput,
        KeyCode::Char('u') if is_control => line.clear(),
        KeyCode::Backspace => drop(line.pop()),
        KeyCode::Char(c) if !is_control && line.len() + c.len_utf8() <= MAX_LINE_BYTES => {
            line.push(c);
        }
        _ => {}
    }
    LineState::Incomplete
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_keys(keys: &[(KeyCode, KeyModifiers)]) -> (String, LineState) {
        let mut line = Zeroizing::new(String::new());
        let mut state = LineState::Incomplete;
        for (code, modifiers) in keys {
            state = apply_key(&mut line, KeyEvent::new(*code, *modifiers));
        }
        (line.to_string(), state)
    }

    #[test]
    fn typed_characters_form_a_line_that_enter_completes() {
        let plain = |c| (KeyCode::Char(c), KeyModifiers::NONE);
        let alt_gr = (KeyCode::Char('@'), KeyModifiers::CONTROL | KeyModifiers::ALT);
        let backspace = (KeyCode::Backspace, KeyModifiers::NONE);
        let enter = (KeyCode::Enter, KeyModifiers::NONE);
        let (line, state) = type_keys(&[plain('p'), plain('x'), backspace, plain('ä'), alt_gr]);
        assert_eq!((line.as_str(), state), ("pä@", LineState::Incomplete));
        assert_eq!(type_keys(&[plain('p'), enter]), ("p".into(), LineState::Complete));
    }

    #[test]
    fn ctrl_c_interrupts_and_ctrl_z_ends_the_input() {
        let control = |c| (KeyCode::Char(c), KeyModifiers::CONTROL);
        assert_eq!(type_keys(&[control('c')]).1, LineState::Interrupted);
        assert_eq!(type_keys(&[control('z')]).1, LineState::EndOfInput);
        assert_eq!(type_keys(&[control('x')]), (String::new(), LineState::Incomplete));
    }

    #[test]
    fn a_released_key_types_nothing() {
        let mut line = Zeroizing::new(String::new());
        let mut key = KeyEvent::new(KeyCode::Char('p'), KeyModifiers::NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!((apply_key(&mut line, key), line.len()), (LineState::Incomplete, 0));
    }
}
