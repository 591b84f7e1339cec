//! The ledger on chosen days.

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const NOON: &str = "2026-03-04T12:00:00Z";

fn at(word: &str) -> Timestamp {
    word.parse().unwrap()
}

fn usd(dollars: f64) -> MicroUsd {
    MicroUsd::from_dollars(dollars).unwrap()
}

fn account(names: &[&str]) -> (Account, Vec<String>) {
    let mut ledger = Account::new("management");
    let hashes = names
        .iter()
        .map(|n| ledger.create_key(KeyPolicy::unrestricted(*n), n, at(NOON)).hash.clone())
        .collect();
    (ledger, hashes)
}

fn names(keys: Vec<&Key>) -> Vec<&str> {
    keys.into_iter().map(|key| key.policy.name.as_str()).collect()
}

fn agreed(method: Option<ChallengeMethod>, value: &str) -> AuthorizationCode {
    let challenge = method.map(|method| CodeChallenge { method, value: value.into() });
    AuthorizationCode { policy: KeyPolicy::unrestricted("laptop"), challenge, issued_at: at(NOON) }
}

#[test]
fn windows_begin_at_midnight_utc_and_weeks_on_monday() {
    // 2026-03-04 is a Wednesday.
    let (mut ledger, hashes) = account(&["laptop"]);
    let spent = [
        ("2025-12-31T23:59:59Z", 32.0),
        ("2026-02-28T23:59:59Z", 16.0),
        ("2026-03-01T23:59:59Z", 8.0),
        ("2026-03-02T00:00:00Z", 4.0),
        ("2026-03-03T23:59:59Z", 2.0),
        ("2026-03-04T00:00:00Z", 1.0),
    ];
    for (when, amount) in spent {
        assert!(ledger.record_spending(&hashes[0], usd(amount), at(when)));
    }
    let cases = [
        (None, NOON, 63.0, None),
        (Some(Reset::Daily), NOON, 1.0, Some("2026-03-05T00:00:00Z")),
        (Some(Reset::Weekly), NOON, 7.0, Some("2026-03-09T00:00:00Z")),
        (Some(Reset::Monthly), NOON, 15.0, Some("2026-04-01T00:00:00Z")),
        (Some(Reset::Daily), "2026-03-05T00:00:00Z", 0.0, Some("2026-03-06T00:00:00Z")),
        (Some(Reset::Weekly), "2026-03-08T23:59:59Z", 7.0, Some("2026-03-09T00:00:00Z")),
        (Some(Reset::Weekly), "2026-03-09T00:00:00Z", 0.0, Some("2026-03-16T00:00:00Z")),
        (Some(Reset::Weekly), "2026-03-01T23:59:59Z", 24.0, Some("2026-03-02T00:00:00Z")),
        (Some(Reset::Monthly), "2026-12-31T23:59:59Z", 0.0, Some("2027-01-01T00:00:00Z")),
    ];
    for (reset, now, spent, next) in cases {
        let patch = KeyPatch {
            limit: Change::Set(usd(100.0)),
            reset: reset.map_or(Change::Clear, Change::Set),
            ..KeyPatch::default()
        };
        let key = ledger.update_key(&hashes[0], patch, at(now)).unwrap();
        assert_eq!(key.spending.spent_in_window(reset, at(now)), usd(spent), "{reset:?} {now}");
        assert_eq!(key.remaining(at(now)), Some(usd(100.0 - spent)), "{reset:?} {now}");
        assert_eq!(
            reset.and_then(|reset| reset.window_end(at(now))),
            next.map(at),
            "{reset:?} {now}"
        );
    }
}

#[test]
fn money_adds_up_and_can_run_below_zero() {
    let (mut ledger, hashes) = account(&["laptop"]);
    for _ in 0..10 {
        ledger.record_spending(&hashes[0], usd(0.1), at(NOON));
    }
    let key = ledger.find_key(&hashes[0]).unwrap();
    assert_eq!(key.spending.spent_in_window(None, at(NOON)).to_whole_dollars(), Some(1));
    assert!((usd(0.25).minus(usd(1.0)).to_dollars() + 0.75).abs() < f64::EPSILON);
    for nonsense in [-0.01, f64::NAN, f64::INFINITY, 1e10] {
        assert_eq!(MicroUsd::from_dollars(nonsense), None);
    }
    assert!(!ledger.record_spending("unknown", usd(1.0), at(NOON)));
}

#[test]
fn a_challenge_is_answered_by_its_verifier_alone() {
    let s256 = Some(ChallengeMethod::S256);
    let plain = Some(ChallengeMethod::Plain);
    let cases = [
        // RFC 7636 appendix B.
        (s256, CHALLENGE, Some(VERIFIER), s256, Ok(())),
        (s256, CHALLENGE, Some(VERIFIER), None, Ok(())),
        (s256, CHALLENGE, Some(VERIFIER), plain, Err(ExchangeError::MethodMismatch)),
        (s256, CHALLENGE, Some(CHALLENGE), s256, Err(ExchangeError::InvalidGrant)),
        (s256, CHALLENGE, None, s256, Err(ExchangeError::InvalidGrant)),
        (plain, VERIFIER, Some(VERIFIER), plain, Ok(())),
        (plain, VERIFIER, Some(VERIFIER), s256, Err(ExchangeError::MethodMismatch)),
        (plain, VERIFIER, Some("another"), plain, Err(ExchangeError::InvalidGrant)),
        (None, "", None, None, Ok(())),
        (None, "", None, s256, Err(ExchangeError::MethodMismatch)),
        (None, "", Some(VERIFIER), None, Err(ExchangeError::InvalidGrant)),
    ];
    for (agreed_on, challenge, verifier, method, outcome) in cases {
        let code = agreed(agreed_on, challenge);
        let case = (agreed_on, verifier, method);
        assert_eq!(code.verify(verifier, method, at(NOON)), outcome, "{case:?}");
    }
}

#[test]
fn a_code_buys_one_key_with_what_was_agreed() {
    let (mut ledger, _) = account(&[]);
    let mut code = agreed(Some(ChallengeMethod::S256), CHALLENGE);
    code.policy.limit = MicroUsd::from_dollars(5.0);
    ledger.store_code("code".into(), code.clone());
    let s256 = Some(ChallengeMethod::S256);
    let mut buy = |verifier, secret| {
        let bought = ledger.exchange_code("code", Some(verifier), s256, secret, at(NOON));
        bought.map(|key| key.policy)
    };
    assert_eq!(buy("wrong", "first"), Err(ExchangeError::InvalidGrant));
    assert_eq!(buy(VERIFIER, "second"), Ok(code.policy));
    assert_eq!(buy(VERIFIER, "third"), Err(ExchangeError::InvalidGrant));
    assert!(ledger.authenticate("first", at(NOON)).is_none());
    assert!(ledger.authenticate("second", at(NOON)).is_some());
}

#[test]
fn a_code_lives_ten_minutes_and_is_remembered_for_a_day() {
    let (mut ledger, _) = account(&[]);
    ledger.store_code("code".into(), agreed(None, ""));
    let tries = [
        ("2026-03-04T12:10:00Z", Err(ExchangeError::Expired)),
        ("2026-03-05T11:59:59Z", Err(ExchangeError::Expired)),
        ("2026-03-04T12:09:59Z", Ok(())),
        ("2026-03-04T12:09:59Z", Err(ExchangeError::InvalidGrant)),
    ];
    for (when, outcome) in tries {
        let bought = ledger.exchange_code("code", None, None, "secret", at(when));
        assert_eq!(bought.map(drop), outcome, "{when}");
    }
    ledger.store_code("old".into(), agreed(None, ""));
    let later = at("2026-03-05T12:00:00Z");
    ledger.store_code("new".into(), AuthorizationCode { issued_at: later, ..agreed(None, "") });
    let bought = ledger.exchange_code("old", None, None, "secret", later);
    assert_eq!(bought.map(drop), Err(ExchangeError::InvalidGrant));
}

#[test]
fn pages_hold_a_hundred_and_hide_what_was_not_asked_for() {
    let (mut ledger, _) = account(&[]);
    for place in 0..205 {
        let name = format!("{place}");
        ledger.create_key(KeyPolicy::unrestricted(&*name), &name, at(NOON));
    }
    let page = |offset| ledger.list_keys(&ListFilter { offset, ..ListFilter::default() }, at(NOON));
    assert_eq!(names(page(0)).len(), 100);
    assert_eq!(names(page(200)), ["200", "201", "202", "203", "204"]);
    assert_eq!(names(page(205)), [""; 0]);

    let (mut ledger, hashes) = account(&["plain", "off"]);
    let off = KeyPatch { disabled: Some(true), ..KeyPatch::default() };
    ledger.update_key(&hashes[1], off, at(NOON));
    let over = KeyPolicy { expires_at: Some(at(NOON)), ..KeyPolicy::unrestricted("over") };
    ledger.create_key(over, "over", at("2026-03-01T00:00:00Z"));
    let away = KeyPolicy { workspace_id: "away".into(), ..KeyPolicy::unrestricted("away") };
    ledger.create_key(away, "away", at(NOON));
    let cases: [(bool, bool, Option<&str>, &[&str]); 5] = [
        (false, false, None, &["plain"]),
        (true, false, None, &["plain", "off"]),
        (false, true, None, &["plain", "over"]),
        (true, true, None, &["plain", "off", "over"]),
        (true, true, Some("away"), &["away"]),
    ];
    for (disabled, expired, workspace, expected) in cases {
        let workspace = workspace.map(str::to_owned);
        let filter = ListFilter {
            offset: 0,
            include_disabled: disabled,
            include_expired: expired,
            workspace_id: workspace,
        };
        assert_eq!(names(ledger.list_keys(&filter, at(NOON))), expected, "{filter:?}");
    }
}

#[test]
fn a_patch_tells_what_is_absent_from_what_is_cleared() {
    let (mut ledger, hashes) = account(&["laptop"]);
    let later = at("2026-03-05T08:00:00Z");
    let limited = KeyPolicy {
        limit: MicroUsd::from_dollars(5.0),
        reset: Some(Reset::Daily),
        ..KeyPolicy::unrestricted("laptop")
    };
    let steps = [
        (
            KeyPatch {
                limit: Change::Set(usd(5.0)),
                reset: Change::Set(Reset::Daily),
                ..KeyPatch::default()
            },
            limited.clone(),
        ),
        (
            KeyPatch { name: Some("desk".into()), ..KeyPatch::default() },
            KeyPolicy { name: "desk".into(), ..limited.clone() },
        ),
        (
            KeyPatch { limit: Change::Clear, include_byok: Some(true), ..KeyPatch::default() },
            KeyPolicy { name: "desk".into(), limit: None, include_byok: true, ..limited },
        ),
    ];
    for (patch, policy) in steps {
        let key = ledger.update_key(&hashes[0], patch, later).unwrap();
        assert_eq!((&key.policy, key.updated_at), (&policy, Some(later)));
    }
    assert!(ledger.update_key("unknown", KeyPatch::default(), later).is_none());
}

#[test]
fn a_token_stands_for_somebody_only_while_its_key_lives() {
    let (mut ledger, hashes) = account(&["disabled", "deleted", "alive"]);
    let mortal = KeyPolicy { expires_at: Some(at(NOON)), ..KeyPolicy::unrestricted("mortal") };
    ledger.create_key(mortal, "mortal", at("2026-03-01T00:00:00Z"));
    let alive = |ledger: &Account, token| ledger.authenticate(token, at(NOON)).is_some();
    assert!(alive(&ledger, "disabled") && alive(&ledger, "deleted"));
    let off = KeyPatch { disabled: Some(true), ..KeyPatch::default() };
    ledger.update_key(&hashes[0], off, at(NOON));
    assert!(ledger.delete_key(&hashes[1]) && !ledger.delete_key(&hashes[1]));
    assert!(ledger.authenticate("mortal", at("2026-03-04T11:59:59Z")).is_some());
    for (token, lives) in [
        ("disabled", false),
        ("deleted", false),
        ("mortal", false),
        ("never cut", false),
        ("alive", true),
    ] {
        assert_eq!(alive(&ledger, token), lives, "{token}");
    }
    assert!(matches!(
        ledger.authenticate("management", at(NOON)),
        Some(TokenOwner::ManagementKey(_))
    ));
}

#[test]
fn a_key_is_named_by_its_hash_and_shown_masked() {
    let secret = format!("sk-or-v1-0e6{}1c96", "5".repeat(57));
    let mut ledger = Account::new("");
    let key = ledger.create_key(KeyPolicy::unrestricted("laptop"), &secret, at(NOON));
    assert_eq!(key.masked, "sk-or-v1-0e6...1c96");
    assert_eq!(hash_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
