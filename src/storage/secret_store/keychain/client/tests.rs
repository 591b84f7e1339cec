//! Prompts and replies, with a bus that delivers messages which were written before.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::*;
use crate::storage::secret_store::keychain::native::wire::encode_delivered;

const PROMPT: &str = "/org/freedesktop/secrets/prompt/p1";
const PROVIDER: &str = ":1.5";

fn text(value: &str) -> Writer {
    let mut args = Writer::new("s");
    args.write_str(value);
    args
}

fn reply(call: u32, args: &Writer) -> Vec<u8> {
    encode_delivered(2, call, [PROVIDER, "/", "", ""], args)
}

fn error(call: u32, args: &Writer) -> Vec<u8> {
    encode_delivered(3, call, [PROVIDER, "/", "", "org.example.Failed"], args)
}

fn signal(sender: &str, path: &str, member: &str, args: &Writer) -> Vec<u8> {
    encode_delivered(4, 0, [sender, path, member, ""], args)
}

/// The arguments of `Completed`, with a result of this type.
fn result(dismissed: bool, signature: &str, value: &str) -> Writer {
    let mut args = Writer::new("bv");
    args.write_u32(dismissed.into());
    args.write_signature(signature);
    args.write_str(value);
    args
}

fn completed(args: &Writer) -> Vec<u8> {
    signal(PROVIDER, PROMPT, "Completed", args)
}

/// Returns a client to which the bus delivers these messages and then nothing more, and the other end.
fn client(delivered: &[Vec<u8>]) -> (Client, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&delivered.concat()).unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    (Client { bus: Bus::new(ours), session: None }, theirs)
}

/// Shows a prompt while the bus delivers these messages after the reply to `AddMatch`.
fn show_prompt(delivered: &[Vec<u8>]) -> Result<Option<String>, CallError> {
    let subscribed = [reply(1, &Writer::new(""))];
    let (mut client, _bus) = client(&[&subscribed, delivered].concat());
    client.show_prompt(PROMPT)
}

fn shown() -> Vec<u8> {
    reply(2, &Writer::new(""))
}

#[test]
fn a_prompt_returns_the_object_of_its_result() {
    for (signature, item) in [("o", Some("/item")), ("s", None)] {
        let end = completed(&result(false, signature, "/item"));
        // A provider may end a prompt before it replies to `Prompt`.
        for delivered in [[shown(), end.clone()], [end, shown()]] {
            assert_eq!(show_prompt(&delivered).unwrap().as_deref(), item);
        }
    }
}

#[test]
fn a_dismissed_prompt_leaves_the_keychain_locked() {
    let end = completed(&result(true, "s", ""));
    for delivered in [[shown(), end.clone()], [end, shown()]] {
        let outcome = show_prompt(&delivered);
        assert!(matches!(outcome, Err(CallError::Store(Error::Locked))), "{outcome:?}");
    }
}

#[test]
fn signals_of_others_do_not_end_a_prompt() {
    let others = [
        signal(":1.6", PROMPT, "Completed", &result(true, "s", "")),
        signal(PROVIDER, "/org/freedesktop/secrets/prompt/p2", "Completed", &result(true, "s", "")),
        signal(PROVIDER, PROMPT, "Shown", &result(true, "s", "")),
        encode_delivered(1, 2, [PROVIDER, PROMPT, "Completed", ""], &result(true, "s", "")),
        reply(77, &Writer::new("")),
    ];
    let end = [completed(&result(false, "o", "/item"))];
    for delivered in [
        [&others[..], &[shown()], &end].concat(),
        [&[shown()], &others[..], &end].concat(),
        [&others[..], &end, &[shown()]].concat(),
    ] {
        assert_eq!(show_prompt(&delivered).unwrap().as_deref(), Some("/item"));
    }
    let outcome = show_prompt(&[&[shown()], &others[..]].concat());
    assert!(matches!(outcome, Err(CallError::Bus(_))), "{outcome:?}");
}

#[test]
fn a_prompt_that_cannot_be_shown_or_understood_is_an_error() {
    let outcome = show_prompt(&[error(2, &text("no display"))]);
    assert!(matches!(outcome, Err(CallError::Rejected { .. })), "{outcome:?}");
    for (end, kind) in [
        (completed(&text("done")), io::ErrorKind::InvalidData),
        (Vec::new(), io::ErrorKind::UnexpectedEof),
    ] {
        match show_prompt(&[shown(), end]) {
            Err(CallError::Bus(error)) => assert_eq!(error.kind(), kind),
            outcome => panic!("{outcome:?}"),
        }
    }
}

#[test]
fn replies_in_another_order_reach_their_calls() {
    let (mut client, _bus) = client(&[reply(2, &text("b")), reply(1, &text("a"))]);
    let mut calls = Vec::new();
    for _ in 0..2 {
        calls.push(client.bus.send("a.b", ("/", "a.b"), "C", &Writer::new("")).unwrap());
    }
    for (call, text) in calls.into_iter().zip(["a", "b"]) {
        let reply = client.bus.receive_reply(call, "s").unwrap();
        assert_eq!(reply.body().read_str().unwrap(), text);
    }
}

#[test]
fn errors_are_shown_with_their_text_if_they_have_one() {
    let mut number = Writer::new("u");
    number.write_u32(7);
    for (args, shown) in
        [(text("locked"), "locked"), (Writer::new(""), "no details"), (number, "no details")]
    {
        let (mut client, _bus) = client(&[error(1, &args)]);
        match client.bus.call("a.b", ("/", "a.b"), "C", &Writer::new(""), "s") {
            Err(CallError::Rejected { name, message }) => {
                assert_eq!((name.as_str(), message.as_str()), ("org.example.Failed", shown));
            }
            outcome => panic!("{outcome:?}"),
        }
    }
}
