//! Plans: what is read, and every error at its place.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use jiff::Timestamp;
use keywright::domain::{Cents, Expiry, KeyRequest, ResetInterval};
use keywright::services::plan::{Diagnostic, parse};
use proptest::prelude::*;

const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn request(label: &str) -> KeyRequest {
    KeyRequest {
        label: label.parse().unwrap(),
        limit: None,
        limit_reset: None,
        expiry: None,
        workspace_id: None,
    }
}

fn complaints(text: impl AsRef<[u8]>) -> Vec<Diagnostic> {
    parse(text.as_ref(), now()).unwrap_err()
}

fn said(text: impl AsRef<[u8]>) -> String {
    let words: Vec<String> = complaints(text).iter().map(ToString::to_string).collect();
    words.join("\n") + "\n"
}

#[test]
fn a_plan_is_read_with_its_defaults_in_its_order() {
    let id = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10";
    let text = format!(
        "# ours\n[defaults]\nlimit = 10\nreset = \"weekly\"\nexpires = \"90d\"\n\n\
         [[key]]\nlabel = \"zed\"\n\n[[key]]\nlabel = 'a b'\nlimit = 2.5\nexpires = 2027-12-31\n\n\
         [[key]]\nlabel = \"free\"\nlimit = \"none\"\nexpires = \"never\"\nworkspace = \"{id}\"\n\n\
         [[key]]\nlabel = \"ci\"\nreset = \"never\"\nexpires = 2027-12-31T10:00:00Z\n"
    );
    let usd = |text: &str| Cents::parse_limit(text).unwrap();
    let expiry = |text: &str| Expiry::parse(text, now()).unwrap();
    let weekly = KeyRequest {
        limit: usd("10"),
        limit_reset: Some(ResetInterval::Weekly),
        expiry: expiry("90d"),
        ..request("zed")
    };
    assert_eq!(
        parse(text.as_bytes(), now()).unwrap(),
        [
            weekly.clone(),
            KeyRequest {
                limit: usd("2.50"),
                limit_reset: Some(ResetInterval::Weekly),
                expiry: expiry("2027-12-31"),
                ..request("a b")
            },
            KeyRequest { workspace_id: Some(id.into()), ..request("free") },
            KeyRequest {
                limit: usd("10"),
                expiry: expiry("2027-12-31T10:00:00Z"),
                ..request("ci")
            },
        ]
    );
    // As Windows saves it.
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(parse(windows.as_bytes(), now()).unwrap()[0], weekly);
    assert_eq!(parse(b"", now()).unwrap(), []);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    insta::assert_snapshot!(said(include_str!("plan/wrong.toml")));
}

#[test]
fn what_is_not_toml_is_said_with_all_else() {
    insta::assert_snapshot!(said(
        "[[key]\nlabel = \"a\"\n\n[[key]]\nlabel = aider\nlimit = \"20\"\n\n[[key]]\nlabel = \"b\"\nlabel = \"c\"\nreset = \n"
    ));
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let said = said(b"[[key]]\r\nlabel = \"caf\xe9\"\r\n");
    assert_eq!(said, "line 2, column 13: this is not UTF-8 text: save the file as UTF-8\n");
}

#[test]
fn a_key_is_refused_and_masked_wherever_it_stands() {
    let escaped = KEY.replacen('-', "\\u002d", 1);
    for text in [
        format!("[[key]]\nlabel = \"{KEY}\"\n"),
        format!("[[key]]\nlabel = \"{escaped}\"\n"),
        format!("[[key]]\nlabel = \"a\"\nlimit = \"{KEY}\"\n"),
        format!("[[key]]\nlabel = \"a\"\nreset = \"{KEY}\"\n"),
        format!("[[key]]\nlabel = \"a\"\nexpires = \"30d {KEY}\"\n"),
        format!("[[key]]\nlabel = \"a\"\nworkspace = \"{KEY}\"\n"),
        format!("[[key]]\nlabel = \"a\"\n{KEY} = 1\n"),
        format!("[{KEY}]\n"),
        format!("# {KEY}\n"),
        format!("[[key]]\nlabel = {KEY}\n"),
        format!("[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"a\" # {KEY}\n"),
    ] {
        let said = said(&text);
        assert!(said.contains("a key stands here (sk-or-v1-012...cdef)"), "{text}: {said}");
        assert!(!said.contains("0123456789ab"), "{said}");
    }
}

#[test]
fn a_hundred_thousand_keys_are_read_at_once_and_so_are_as_many_errors() {
    let began = std::time::Instant::now();
    let keys: Vec<String> = (0..100_000).map(|n| format!("[[key]]\nlabel = \"key {n}\"")).collect();
    let right = keys.join("\n");
    assert_eq!(parse(right.as_bytes(), now()).unwrap().len(), 100_000);
    let wrong = right.replace("label", "lable");
    assert_eq!(complaints(&wrong).len(), 200_000);
    let same = "[[key]]\nlabel = \"a\"\n".repeat(100_000);
    assert_eq!(complaints(&same).len(), 99_999);
    // Far above what it takes, far below what a quadratic reader would.
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn whatever_the_bytes_it_ends_in_keys_or_in_places_within_the_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(complaints) = parse(&bytes, now()) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(!complaints.is_empty());
            prop_assert!(complaints.is_sorted_by_key(|complaint| complaint.position));
            prop_assert!(complaints.iter().all(|c| c.position.line <= lines && c.position.column <= 201));
        }
    }

    #[test]
    fn pieces_of_plans_in_any_order_break_nothing_and_show_no_key(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "[[key]]\n", "[key]\n", "[defaults]\n", "label = \"a\"\n", "limit = 5\n", "limit = \"5\"\n",
                "reset = \"dialy\"\n", "expires = 2027-01-01\n", "workspace = \"x\"\n", "\"", "'''", "[", "=", "\r\n",
                "é", "\u{202e}", "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ]),
            0..30,
        )
    ) {
        if let Err(complaints) = parse(pieces.concat().as_bytes(), now()) {
            for complaint in complaints {
                prop_assert!(!complaint.message.contains("0123456789ab"), "{complaint}");
                prop_assert!(!complaint.message.contains(['\u{202e}', '\n']), "{complaint}");
            }
        }
    }

    #[test]
    fn every_label_and_amount_comes_back_as_it_was_written(label in "[^\\p{C}\\p{Z}'\"\\\\]{1,20}", cents in 1u64..100_000_000) {
        let text = format!("[[key]]\nlabel = \"{label}\"\nlimit = {}.{:02}\n", cents / 100, cents % 100);
        if let Ok(expected) = label.parse() {
            let read = parse(text.as_bytes(), now()).unwrap();
            prop_assert_eq!(&read[0].label, &expected);
            prop_assert_eq!(read[0].limit.unwrap().to_string(), format!("{}.{:02}", cents / 100, cents % 100));
        }
    }
}
