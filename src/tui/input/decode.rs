//! Decodes complete sequences. Only what is listed here is a key.

use crate::tui::state::Background;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// Decodes a control character.
pub(super) fn decode_control(byte: u8) -> KeyEvent {
    let ctrl = |first: char, offset: u8| {
        let code = KeyCode::Char(char::from(first as u8 + offset));
        KeyEvent::new(code, KeyModifiers::CONTROL)
    };
    match byte {
        b'\r' => KeyCode::Enter.into(),
        b'\t' => KeyCode::Tab.into(),
        0x7f => KeyCode::Backspace.into(),
        0 => ctrl(' ', 0),
        1..=0x1a => ctrl('a', byte - 1),
        _ => ctrl('4', byte.saturating_sub(0x1c) & 3),
    }
}

/// Decodes the byte after `ESC O`: a cursor or function key, or a key of the keypad in application mode.
pub(super) fn decode_ss3(byte: u8) -> Option<KeyEvent> {
    let code = match byte {
        b'M' => KeyCode::Enter,
        b'I' => KeyCode::Tab,
        b' ' => KeyCode::Char(' '),
        b'X' => KeyCode::Char('='),
        // The keypad's characters are those from `*` to `9`, moved by 64.
        b'j'..=b'y' => KeyCode::Char(char::from(byte - 64)),
        _ => decode_letter(byte)?,
    };
    Some(code.into())
}

/// Decodes a control sequence without its introducer.
pub(super) fn decode_csi(parameters: &[u8], last: u8) -> Option<Event> {
    let parameters = std::str::from_utf8(parameters).ok()?;
    match (parameters, last) {
        ("", b'I') => return Some(Event::FocusGained),
        ("", b'O') => return Some(Event::FocusLost),
        _ => {}
    }
    if let Some(button) = parameters.strip_prefix('<') {
        return decode_mouse(button, last);
    }
    // The third subfield of keys that terminals report by their code would be the text.
    let mut fields = parameters.split(';').map(|field| field.split(':'));
    let mut number = || -> Option<(Option<u32>, Option<u32>)> {
        let Some(mut subfields) = fields.next() else { return Some((None, None)) };
        let mut next = || match subfields.next() {
            None | Some("") => Some(None),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().map(Some)
            }
            Some(_) => None,
        };
        Some((next()?, next()?))
    };
    let (first, (modifiers, event_type), third) = (number()?.0, number()?, number()?.0);
    // A released key.
    if event_type == Some(3) {
        return None;
    }
    let modifiers = decode_modifiers(modifiers.unwrap_or(1))?;
    let code = match (last, first, third) {
        (b'u', Some(code), _) => decode_code(code, modifiers)?,
        // xterm's modifyOtherKeys.
        (b'~', Some(27), Some(code)) => decode_code(code, modifiers)?,
        (b'~', Some(number), None) => decode_number(number)?,
        (b'Z', None, None) => KeyCode::BackTab,
        (_, None | Some(1), None) => decode_letter(last)?,
        _ => return None,
    };
    Some(Event::Key(KeyEvent::new(code, modifiers)))
}

fn decode_letter(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(letter - b'P' + 1),
        _ => return None,
    })
}

fn decode_number(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        23 | 24 => KeyCode::F(u8::try_from(number - 12).ok()?),
        _ => return None,
    })
}

/// Decodes a key that the terminal reports by its Unicode code point.
fn decode_code(code: u32, modifiers: KeyModifiers) -> Option<KeyCode> {
    /// The keypad's enter in kitty's protocol.
    const KEYPAD_ENTER: u32 = 57_414;
    Some(match char::from_u32(code)? {
        _ if code == KEYPAD_ENTER => KeyCode::Enter,
        '\r' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        '\u{7f}' | '\u{8}' => KeyCode::Backspace,
        // Functional keys in the private use area are no characters.
        '\u{e000}'..='\u{f8ff}' => return None,
        c if c.is_control() => return None,
        c if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::Char(c.to_ascii_uppercase()),
        c => KeyCode::Char(c),
    })
}

/// Decodes modifiers, which are one more than the sum of their bits. Caps lock and num lock are ignored.
fn decode_modifiers(parameter: u32) -> Option<KeyModifiers> {
    let bits = u8::try_from(parameter.checked_sub(1)?).ok()?;
    // crossterm has no name for some of them; any other modifier keeps a binding from matching.
    let names = [
        KeyModifiers::SHIFT,
        KeyModifiers::ALT,
        KeyModifiers::CONTROL,
        KeyModifiers::SUPER,
        KeyModifiers::HYPER,
        KeyModifiers::META,
    ];
    let pressed = names.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    Some(pressed.fold(KeyModifiers::NONE, |all, (_, modifier)| all | modifier))
}

/// Decodes a mouse event in the SGR encoding: the left button and the wheel.
fn decode_mouse(parameters: &str, last: u8) -> Option<Event> {
    let mut numbers = parameters.split(';').map(|number| number.parse::<u16>().ok());
    let (Some(button), Some(column), Some(row), None) =
        (numbers.next()?, numbers.next()?, numbers.next()?, numbers.next())
    else {
        return None;
    };
    let kind = match (button, last) {
        (0, b'M') => MouseEventKind::Down(MouseButton::Left),
        (64, b'M') => MouseEventKind::ScrollUp,
        (65, b'M') => MouseEventKind::ScrollDown,
        _ => return None,
    };
    let (column, row) = (column.checked_sub(1)?, row.checked_sub(1)?);
    Some(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

/// Decodes the answer to the query of the background colour: `11;rgb:` and one to four hexadecimal
/// digits each for red, green and blue.
pub(super) fn decode_background(answer: &[u8]) -> Option<Background> {
    let text = std::str::from_utf8(answer).ok()?.trim_end_matches('\u{1b}');
    let colors = text.strip_prefix("11;rgb:").or_else(|| text.strip_prefix("11;rgba:"))?;
    let share = |digits: &str| -> Option<f64> {
        let most = 16_u32.checked_pow(u32::try_from(digits.len()).ok()?)?.checked_sub(1)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        (1..=4).contains(&digits.len()).then(|| f64::from(value) / f64::from(most))
    };
    let mut parts = colors.split('/').map(share);
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    // The weights of the relative luminance (ITU-R BT.709).
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    Some(if luminance > 0.5 { Background::Light } else { Background::Dark })
}
