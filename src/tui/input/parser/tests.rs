//! Tests of the parser: replies, keys, pastes and what is cut off.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::*;

/// Feeds each chunk as one read and lets the time limit pass after the last.
fn parse(chunks: &[&[u8]]) -> Vec<Event> {
    let mut parser = InputParser::default();
    let mut events = Vec::new();
    for chunk in chunks {
        parser.feed(chunk, &mut events);
    }
    while parser.time_limit().is_some() {
        parser.expire(&mut events);
    }
    events
}

fn key(code: KeyCode) -> Event {
    Event::Key(code.into())
}

fn modified(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

/// Answers of terminals to queries, and what a terminal reports on its own.
const REPLIES: &[&[u8]] = &[
    b"\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\",
    b"\x1b]11;rgb:0000/0000/0000\x07",
    b"\x1b]52;c;c2stb3ItdjEtZGN5ZGN5\x1b\\",
    b"\x1b]lterminal \xc3\x9c c d y\x1b\\",
    b"\x1bP>|xterm(390)\x1b\\",
    b"\x1bP1+r524742=382f382f38\x1b\\",
    b"\x1bP!|00000000\x1b\\",
    b"\x1b_Gi=31;OK\x1b\\",
    b"\x1b^dcy\x07dcy\x1b\\",
    b"\x1bXdcy\x1b\\",
    b"\x1b[>41;354;0c",
    b"\x1b[?62;22c",
    b"\x1b[?1u",
    b"\x1b[?2026;2$y",
    b"\x1b[24;80R",
    b"\x1b[0n",
    b"\x1b[8;24;80t",
    b"\x1b[?997;1n",
    b"\x1b[Mdcy",
    b"\x1b[M #!",
    b"\x1b[35;12;7M",
    b"\x9d11;rgb:dcdc/dcdc/dcdc\x9c",
    b"\x9b>41;354;0c",
    b"\x90dcy\x9c",
];

#[test]
fn replies_are_dropped_however_they_are_split() {
    for reply in REPLIES {
        for split in 1..reply.len() {
            let (first, second) = reply.split_at(split);
            assert_eq!(
                parse(&[first, second, b"x"]),
                [key(KeyCode::Char('x'))],
                "{reply:?} at {split}"
            );
        }
    }
}

#[test]
fn unterminated_sequences_end_with_their_time_limit() {
    for reply in REPLIES {
        for length in 2..reply.len() {
            let mut parser = InputParser::default();
            let mut events = Vec::new();
            parser.feed(&reply[..length], &mut events);
            if parser.time_limit().is_some() {
                parser.expire(&mut events);
            }
            parser.feed(b"x", &mut events);
            assert_eq!(events, [key(KeyCode::Char('x'))], "{:?}", &reply[..length]);
        }
    }
}

#[test]
fn reply_whose_first_byte_was_late_is_dropped() {
    let mut parser = InputParser::default();
    let mut events = Vec::new();
    parser.feed(b"\x1b", &mut events);
    parser.expire(&mut events);
    parser.feed(b"]10;rgb:d0d0/d0d0/d0d0\x1b\\", &mut events);
    assert_eq!(events, [key(KeyCode::Esc)]);
    assert_eq!(parser.time_limit(), None);
}

#[test]
fn ctrl_c_quits_out_of_every_sequence() {
    let ctrl_c = modified(KeyCode::Char('c'), KeyModifiers::CONTROL);
    for start in
        [&b""[..], b"\x1b", b"\x1b[", b"\x1b]", b"\x1b]52;c;", b"\x1bO", b"\x1b[M", b"\xe2"]
    {
        assert_eq!(parse(&[start, b"\x03"]), std::slice::from_ref(&ctrl_c), "{start:?}");
    }
}

#[test]
fn keys_of_terminals_are_decoded() {
    let alt = KeyModifiers::ALT;
    let ctrl = KeyModifiers::CONTROL;
    for (bytes, expected) in [
        (&b"d"[..], key(KeyCode::Char('d'))),
        ("é".as_bytes(), key(KeyCode::Char('é'))),
        ("🔑".as_bytes(), key(KeyCode::Char('🔑'))),
        (b"\r", key(KeyCode::Enter)),
        (b"\t", key(KeyCode::Tab)),
        (b"\x7f", key(KeyCode::Backspace)),
        (b"\x1b", key(KeyCode::Esc)),
        (b"\x13", modified(KeyCode::Char('s'), ctrl)),
        (b"\x1a", modified(KeyCode::Char('z'), ctrl)),
        (b"\0", modified(KeyCode::Char(' '), ctrl)),
        (b"\x1bc", modified(KeyCode::Char('c'), alt)),
        ("\x1bé".as_bytes(), modified(KeyCode::Char('é'), alt)),
        (b"\x1b\x7f", modified(KeyCode::Backspace, alt)),
        (b"\x1b[A", key(KeyCode::Up)),
        (b"\x1bOA", key(KeyCode::Up)),
        (b"\x1b[1;5D", modified(KeyCode::Left, ctrl)),
        (b"\x1b[1;2C", modified(KeyCode::Right, KeyModifiers::SHIFT)),
        (b"\x1b[Z", key(KeyCode::BackTab)),
        (b"\x1b[3~", key(KeyCode::Delete)),
        (b"\x1b[5~", key(KeyCode::PageUp)),
        (b"\x1b[11~", key(KeyCode::F(1))),
        (b"\x1b[24~", key(KeyCode::F(12))),
        (b"\x1bOP", key(KeyCode::F(1))),
        (b"\x1b[[A", key(KeyCode::F(1))),
        (b"\x1bOM", key(KeyCode::Enter)),
        (b"\x1bOy", key(KeyCode::Char('9'))),
        (b"\x1b[27;5;99~", modified(KeyCode::Char('c'), ctrl)),
        (b"\x1b[99;5u", modified(KeyCode::Char('c'), ctrl)),
        (b"\x1b[114;2u", modified(KeyCode::Char('R'), KeyModifiers::SHIFT)),
        (b"\x1b[27u", key(KeyCode::Esc)),
        (b"\x1b[I", Event::FocusGained),
        (b"\x1b[O", Event::FocusLost),
        (b"\x1b[200~a\x1b[A\x03\r\x1b[201~", Event::Paste("a\x1b[A\x03\r".into())),
    ] {
        for split in 1..=bytes.len() {
            let (first, second) = bytes.split_at(split);
            assert_eq!(parse(&[first, second]), std::slice::from_ref(&expected), "{bytes:?}");
        }
    }
    let click = MouseEventKind::Down(MouseButton::Left);
    let click = MouseEvent { kind: click, column: 11, row: 6, modifiers: KeyModifiers::NONE };
    assert_eq!(parse(&[b"\x1b[<0;12;7M\x1b[<0;12;7m"]), [Event::Mouse(click)]);
}

#[test]
fn released_and_unknown_keys_are_no_events() {
    for bytes in [
        &b"\x1b[99;1:3u"[..],
        b"\x1b[99;257u",
        b"\x1b[57399u",
        b"\x1bO2P",
        b"\x1b[2$y",
        b"\x1b[1;5;9A",
        b"\x1b[27;5;99;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1y",
        b"\x80\xc2\x9f\xff",
    ] {
        assert_eq!(parse(&[bytes]), [], "{bytes:?}");
    }
}

#[test]
fn long_paste_is_truncated_and_still_ends() {
    let text = "d".repeat(MAX_PASTE_LENGTH * 2);
    let bytes = format!("\x1b[200~{text}\x1b[201~x");
    let events = parse(&[bytes.as_bytes()]);
    assert_eq!(events, [Event::Paste(text[..MAX_PASTE_LENGTH].into()), key(KeyCode::Char('x'))]);
}

#[test]
fn the_background_is_read_from_the_answer_and_nothing_else() {
    use crate::tui::state::Background;
    for (bytes, expected) in [
        (&b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"[..], Some(Background::Light)),
        (b"\x1b]11;rgb:0000/2b2b/3636\x07", Some(Background::Dark)),
        (b"\x1b]11;rgb:fd/f6/e3\x1b\\", Some(Background::Light)),
        (b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\", None),
        (b"\x1b]11;rgb:ffff/ffff\x1b\\", None),
        (b"\x1b]11;rgb:fffff/fffff/fffff\x1b\\", None),
        (b"\x1bP11;rgb:ffff/ffff/ffff\x1b\\", None),
    ] {
        // Wherever the answer is split between two reads.
        for at in 0..bytes.len() {
            let (mut parser, mut events) = (InputParser::default(), Vec::new());
            parser.feed(&bytes[..at], &mut events);
            parser.feed(&bytes[at..], &mut events);
            assert_eq!(parser.take_background(), expected, "{at}");
            assert!(events.is_empty(), "{events:?}");
            assert_eq!(parser.take_background(), None);
        }
    }
}
