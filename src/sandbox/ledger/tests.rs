//! Tests of the account on fixed dates.

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const NOON: &str = "2026-03-04T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn usd(dollars: f64) -> MicroUsd {
    MicroUsd::from_dollars(dollars).unwrap()
}

fn account_with_keys(names: &[&str]) -> (Account, Vec<String>) {
    let mut account = Account::new("management");
    let hashes = names
        .iter()
        .map(|n| account.create_key(KeyPolicy::unrestricted(*n), n, at(NOON)).hash.clone())
        .collect();
    (account, hashes)
}

fn names(keys: Vec<&Key>) -> Vec<&str> {
    keys.into_iter().map(|key| key.policy.name.as_str()).collect()
}

fn authorization(method: Option<ChallengeMethod>, value: &str) -> AuthorizationCode {
    let challenge = method.map(|method| CodeChallenge { method, value: value.into() });
    AuthorizationCode { policy: KeyPolicy::unrestricted("laptop"), challenge, issued_at: at(NOON) }
}

#[test]
fn windows_start_at_midnight_utc_and_weeks_on_monday() {
    // 2026-03-04 is a Wednesday.
    let (mut account, hashes) = account_with_keys(&["laptop"]);
    let spent = [
        ("2025-12-31T23:59:59Z", 32.0),
        ("2026-02-28T23:59:59Z", 16.0),
        ("2026-03-01T23:59:59Z", 8.0),
        ("2026-03-02T00:00:00Z", 4.0),
        ("2026-03-03T23:59:59Z", 2.0),
        ("2026-03-04T00:00:00Z", 1.0),
    ];
    for (when, amount) in spent {
        assert!(account.record_spending(&hashes[0], usd(amount), at(when)));
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
        let key = account.update_key(&hashes[0], patch, at(now)).unwrap();
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
fn amounts_add_up_and_can_be_negative() {
    let (mut account, hashes) = account_with_keys(&["laptop"]);
    for _ in 0..10 {
        account.record_spending(&hashes[0], usd(0.1), at(NOON));
    }
    let key = account.find_key(&hashes[0]).unwrap();
    assert_eq!(key.spending.spent_in_window(None, at(NOON)).to_whole_dollars(), Some(1));
    assert!((usd(0.25).minus(usd(1.0)).to_dollars() + 0.75).abs() < f64::EPSILON);
    for invalid in [-0.01, f64::NAN, f64::INFINITY, 1e10] {
        assert_eq!(MicroUsd::from_dollars(invalid), None);
    }
    assert!(!account.record_spending("unknown", usd(1.0), at(NOON)));
}

#[test]
fn only_the_matching_verifier_is_accepted() {
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
    for (consent_method, challenge, verifier, method, expected) in cases {
        let code = authorization(consent_method, challenge);
        let case = (consent_method, verifier, method);
        assert_eq!(code.verify(verifier, method, at(NOON)), expected, "{case:?}");
    }
}

#[test]
fn code_is_exchanged_once_for_a_key_with_the_agreed_policy() {
    let (mut account, _) = account_with_keys(&[]);
    let mut code = authorization(Some(ChallengeMethod::S256), CHALLENGE);
    code.policy.limit = MicroUsd::from_dollars(5.0);
    account.store_code("code".into(), code.clone());
    let s256 = Some(ChallengeMethod::S256);
    let mut exchange = |verifier, secret| {
        let result = account.exchange_code("code", Some(verifier), s256, secret, at(NOON));
        result.map(|key| key.policy)
    };
    assert_eq!(exchange("wrong", "first"), Err(ExchangeError::InvalidGrant));
    assert_eq!(exchange(VERIFIER, "second"), Ok(code.policy));
    assert_eq!(exchange(VERIFIER, "third"), Err(ExchangeError::InvalidGrant));
    assert!(account.authenticate("first", at(NOON)).is_none());
    assert!(account.authenticate("second", at(NOON)).is_some());
}

#[test]
fn code_expires_after_ten_minutes_and_is_kept_for_a_day() {
    let (mut account, _) = account_with_keys(&[]);
    account.store_code("code".into(), authorization(None, ""));
    let attempts = [
        ("2026-03-04T12:10:00Z", Err(ExchangeError::Expired)),
        ("2026-03-05T11:59:59Z", Err(ExchangeError::Expired)),
        ("2026-03-04T12:09:59Z", Ok(())),
        ("2026-03-04T12:09:59Z", Err(ExchangeError::InvalidGrant)),
    ];
    for (when, expected) in attempts {
        let result = account.exchange_code("code", None, None, "secret", at(when));
        assert_eq!(result.map(drop), expected, "{when}");
    }
    account.store_code("old".into(), authorization(None, ""));
    let later = at("2026-03-05T12:00:00Z");
    account.store_code(
        "new".into(),
        AuthorizationCode { issued_at: later, ..authorization(None, "") },
    );
    let result = account.exchange_code("old", None, None, "secret", later);
    assert_eq!(result.map(drop), Err(ExchangeError::InvalidGrant));
}

#[test]
fn pages_have_a_hundred_keys_and_apply_the_filter() {
    let (mut account, _) = account_with_keys(&[]);
    for index in 0..205 {
        let name = format!("{index}");
        account.create_key(KeyPolicy::unrestricted(&*name), &name, at(NOON));
    }
    let page =
        |offset| account.list_keys(&ListFilter { offset, ..ListFilter::default() }, at(NOON));
    assert_eq!(names(page(0)).len(), 100);
    assert_eq!(names(page(200)), ["200", "201", "202", "203", "204"]);
    assert_eq!(names(page(205)), [""; 0]);

    let (mut account, hashes) = account_with_keys(&["plain", "disabled"]);
    let disable = KeyPatch { disabled: Some(true), ..KeyPatch::default() };
    account.update_key(&hashes[1], disable, at(NOON));
    let expired = KeyPolicy { expires_at: Some(at(NOON)), ..KeyPolicy::unrestricted("expired") };
    account.create_key(expired, "expired", at("2026-03-01T00:00:00Z"));
    let other = KeyPolicy { workspace_id: "other".into(), ..KeyPolicy::unrestricted("other") };
    account.create_key(other, "other", at(NOON));
    let cases: [(bool, bool, Option<&str>, &[&str]); 5] = [
        (false, false, None, &["plain"]),
        (true, false, None, &["plain", "disabled"]),
        (false, true, None, &["plain", "expired"]),
        (true, true, None, &["plain", "disabled", "expired"]),
        (true, true, Some("other"), &["other"]),
    ];
    for (include_disabled, include_expired, workspace, expected) in cases {
        let workspace = workspace.map(str::to_owned);
        let filter =
            ListFilter { offset: 0, include_disabled, include_expired, workspace_id: workspace };
        assert_eq!(names(account.list_keys(&filter, at(NOON))), expected, "{filter:?}");
    }
}

#[test]
fn patch_distinguishes_absent_from_cleared_fields() {
    let (mut account, hashes) = account_with_keys(&["laptop"]);
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
            KeyPatch { name: Some("desktop".into()), ..KeyPatch::default() },
            KeyPolicy { name: "desktop".into(), ..limited.clone() },
        ),
        (
            KeyPatch { limit: Change::Clear, include_byok: Some(true), ..KeyPatch::default() },
            KeyPolicy { name: "desktop".into(), limit: None, include_byok: true, ..limited },
        ),
    ];
    for (patch, policy) in steps {
        let key = account.update_key(&hashes[0], patch, later).unwrap();
        assert_eq!((&key.policy, key.updated_at), (&policy, Some(later)));
    }
    assert!(account.update_key("unknown", KeyPatch::default(), later).is_none());
}

#[test]
fn only_tokens_of_active_keys_are_authenticated() {
    let (mut account, hashes) = account_with_keys(&["disabled", "deleted", "active"]);
    let expiring = KeyPolicy { expires_at: Some(at(NOON)), ..KeyPolicy::unrestricted("expiring") };
    account.create_key(expiring, "expiring", at("2026-03-01T00:00:00Z"));
    let is_active = |account: &Account, token| account.authenticate(token, at(NOON)).is_some();
    assert!(is_active(&account, "disabled") && is_active(&account, "deleted"));
    let disable = KeyPatch { disabled: Some(true), ..KeyPatch::default() };
    account.update_key(&hashes[0], disable, at(NOON));
    assert!(account.delete_key(&hashes[1]) && !account.delete_key(&hashes[1]));
    assert!(account.authenticate("expiring", at("2026-03-04T11:59:59Z")).is_some());
    for (token, expected) in [
        ("disabled", false),
        ("deleted", false),
        ("expiring", false),
        ("unknown", false),
        ("active", true),
    ] {
        assert_eq!(is_active(&account, token), expected, "{token}");
    }
    assert!(matches!(
        account.authenticate("management", at(NOON)),
        Some(TokenOwner::ManagementKey(_))
    ));
}

#[test]
fn key_has_a_hash_and_a_masked_form() {
    let secret = format!("sk-or-v1-0e6{}1c96", "5".repeat(57));
    let mut account = Account::new("");
    let key = account.create_key(KeyPolicy::unrestricted("laptop"), &secret, at(NOON));
    assert_eq!(key.masked, "sk-or-v1-0e6...1c96");
    assert_eq!(hash_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
