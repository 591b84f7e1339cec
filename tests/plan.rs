//! Tests for plans: parsing, and errors with their positions.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use jiff::Timestamp;
use keywright::domain::{Cents, DefaultedFields, Expiry, KeyDefaults, KeyRequest, ResetInterval};
use keywright::services::diagnostic::Diagnostic;
use keywright::services::plan::{self, NameField, NamePlace};
use proptest::prelude::*;

const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn request(label: &str) -> KeyRequest {
    KeyRequest { label: label.parse().unwrap(), ..KeyRequest::default() }
}

/// Parses a plan where keys have no policy by default.
fn parse(bytes: &[u8], now: Timestamp) -> Result<Vec<KeyRequest>, Vec<Diagnostic>> {
    let mut requests = plan::parse(bytes, &KeyDefaults::none(), now)?.requests;
    for request in &mut requests {
        request.defaulted = DefaultedFields::default();
    }
    Ok(requests)
}

#[test]
fn a_key_without_a_policy_takes_the_defaults() {
    let text = "[[key]]\nlabel = \"a\"\n[[key]]\nlabel = \"b\"\nlimit = 5\n";
    let requests = plan::parse(text.as_bytes(), &KeyDefaults::default(), now()).unwrap().requests;
    let policies: Vec<String> =
        requests.iter().map(|request| request.describe_policy(None)).collect();
    assert_eq!(
        policies,
        [
            "limit $10.00, reset monthly, expires 2027-02-23",
            "limit $5.00, reset never, expires never"
        ]
    );
    assert!(requests[0].defaulted.limit && !requests[1].defaulted.any());
}

#[test]
fn names_of_workspaces_and_guardrails_are_kept_for_a_look_up_and_a_uuid_is_taken_as_it_is() {
    let id = "1f0e9c1a-5b7d-4c3e-9a44-0d2b6f8e7a10";
    let text = format!(
        "[defaults]\nguardrail = \"research\"\nworkspace = \"{id}\"\n[[key]]\nlabel = \"a\"\n\
         [[key]]\nlabel = \"b\"\nguardrail = \"none\"\nworkspace = \"Lab\"\n\
         [[key]]\nlabel = \"c\"\nworkspace = \"default\"\n"
    );
    let plan = plan::parse(text.as_bytes(), &KeyDefaults::default(), now()).unwrap();
    let ids: Vec<_> = plan.requests.iter().map(|it| it.workspace_id.as_deref()).collect();
    assert_eq!(ids, [Some(id), None, None]);
    let names: Vec<_> = plan
        .names
        .iter()
        .map(|it| {
            let NamePlace::Plan(position) = &it.place else { panic!("{it:?}") };
            (it.key, it.field, it.name.as_str(), position.line)
        })
        .collect();
    assert_eq!(
        names,
        [
            (0, NameField::Guardrail, "research", 2),
            (1, NameField::Workspace, "Lab", 9),
            (2, NameField::Guardrail, "research", 2),
        ]
    );
}

fn diagnostics(text: impl AsRef<[u8]>) -> Vec<Diagnostic> {
    parse(text.as_ref(), now()).unwrap_err()
}

fn format_diagnostics(text: impl AsRef<[u8]>) -> String {
    let lines: Vec<String> = diagnostics(text).iter().map(ToString::to_string).collect();
    lines.join("\n") + "\n"
}

#[test]
fn keys_are_parsed_in_order_and_with_defaults() {
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
fn all_errors_are_reported_at_once_with_their_positions() {
    insta::assert_snapshot!(format_diagnostics(include_str!("plan/wrong.toml")));
}

#[test]
fn invalid_toml_is_reported_together_with_other_errors() {
    insta::assert_snapshot!(format_diagnostics(
        "[[key]\nlabel = \"a\"\n\n[[key]]\nlabel = aider\nlimit = \"20\"\n\n[[key]]\nlabel = \"b\"\nlabel = \"c\"\nreset = \n"
    ));
}

#[test]
fn bytes_that_are_not_utf8_are_reported_with_their_position() {
    let message = format_diagnostics(b"[[key]]\r\nlabel = \"caf\xe9\"\r\n");
    assert_eq!(message, "line 2, column 13: the file is not UTF-8 text: save it as UTF-8\n");
}

#[test]
fn a_key_anywhere_in_a_plan_is_rejected_and_masked() {
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
        let messages = format_diagnostics(&text);
        assert!(messages.contains("this is a key (sk-or-v1-012...cdef)"), "{text}: {messages}");
        assert!(!messages.contains("0123456789ab"), "{messages}");
    }
}

#[test]
fn an_example_of_a_key_in_a_comment_is_accepted() {
    let text = "# keys look like sk-or-v1-… or sk-or-v1-0e6...1c96\n[[key]]\nlabel = \"a\"\n";
    assert_eq!(parse(text.as_bytes(), now()), Ok(vec![request("a")]));
}

#[test]
fn a_hundred_thousand_keys_or_errors_are_parsed_in_reasonable_time() {
    let started = std::time::Instant::now();
    let keys: Vec<String> = (0..100_000).map(|n| format!("[[key]]\nlabel = \"key {n}\"")).collect();
    let right = keys.join("\n");
    assert_eq!(parse(right.as_bytes(), now()).unwrap().len(), 100_000);
    let wrong = right.replace("label", "lable");
    assert_eq!(diagnostics(&wrong).len(), 200_000);
    let same = "[[key]]\nlabel = \"a\"\n".repeat(100_000);
    assert_eq!(diagnostics(&same).len(), 99_999);
    // Much more than needed, and much less than a quadratic parser needs.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_give_keys_or_errors_with_valid_positions(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(diagnostics) = parse(&bytes, now()) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(!diagnostics.is_empty());
            prop_assert!(diagnostics.is_sorted_by_key(|diagnostic| diagnostic.position));
            prop_assert!(diagnostics.iter().all(|d| d.position.line <= lines && d.position.column <= 201));
        }
    }

    #[test]
    fn pieces_of_plans_in_any_order_are_handled_and_show_no_key(
        pieces in proptest::collection::vec(
            prop::sample::select(vec![
                "[[key]]\n", "[key]\n", "[defaults]\n", "label = \"a\"\n", "limit = 5\n", "limit = \"5\"\n",
                "reset = \"dialy\"\n", "expires = 2027-01-01\n", "workspace = \"x\"\n", "\"", "'''", "[", "=", "\r\n",
                "é", "\u{202e}", "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ]),
            0..30,
        )
    ) {
        if let Err(diagnostics) = parse(pieces.concat().as_bytes(), now()) {
            for diagnostic in diagnostics {
                prop_assert!(!diagnostic.message.contains("0123456789ab"), "{diagnostic}");
                prop_assert!(!diagnostic.message.contains(['\u{202e}', '\n']), "{diagnostic}");
            }
        }
    }

    #[test]
    fn labels_and_amounts_are_parsed_as_written(label in "[^\\p{C}\\p{Z}'\"\\\\]{1,20}", cents in 1u64..100_000_000) {
        let text = format!("[[key]]\nlabel = \"{label}\"\nlimit = {}.{:02}\n", cents / 100, cents % 100);
        if let Ok(expected) = label.parse() {
            let requests = parse(text.as_bytes(), now()).unwrap();
            prop_assert_eq!(&requests[0].label, &expected);
            prop_assert_eq!(requests[0].limit.unwrap().to_string(), format!("{}.{:02}", cents / 100, cents % 100));
        }
    }
}
