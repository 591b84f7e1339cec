//! The seed keys of the account: four keys with a history, and generated ones.

use jiff::{SignedDuration, Timestamp};

use super::SeedKey;
use super::ledger::{Account, Key, KeyPolicy, MicroUsd, Reset, USER_ID};

/// A seed key and its spending, as pairs of days ago and USD.
struct SeedSpec {
    label: String,
    limit: Option<f64>,
    reset: Option<Reset>,
    expires_in_days: Option<i64>,
    age_days: i64,
    disabled: bool,
    spending: Vec<(i64, f64)>,
    /// The spending in the current window, on any date.
    window_spending: f64,
}

/// Creates a key with a history for each secret.
pub fn create_seed_keys(
    ledger: &mut Account,
    secrets: Vec<String>,
    now: Timestamp,
) -> Vec<SeedKey> {
    ledger.reserve_keys(secrets.len());
    secrets
        .into_iter()
        .enumerate()
        .map(|(index, key)| create_seed_key(ledger, build_seed_spec(index), key, now))
        .collect()
}

fn create_seed_key(
    ledger: &mut Account,
    spec: SeedSpec,
    secret: String,
    now: Timestamp,
) -> SeedKey {
    let created_at = add_days(now, -spec.age_days);
    let mut policy = KeyPolicy::unrestricted(spec.label.clone());
    policy.limit = spec.limit.and_then(MicroUsd::from_dollars);
    policy.reset = spec.reset;
    policy.expires_at = spec.expires_in_days.map(|days| add_days(now, days));
    let expires_at = policy.expires_at;
    let key = ledger.create_key(policy, &secret, created_at);
    for (ago, amount) in &spec.spending {
        add_spending(key, *amount, add_days(now, -ago));
    }
    let spent = key.spending.spent_in_window(spec.reset, now).to_dollars();
    add_spending(key, spec.window_spending - spent, now);
    if spec.disabled {
        key.disabled = true;
        key.updated_at = Some(add_days(now, -1));
    }
    SeedKey {
        label: spec.label,
        secret,
        limit: spec.limit,
        limit_reset: spec.reset.map(Reset::as_str),
        expires_at,
        created_at,
        user_id: USER_ID,
    }
}

fn add_spending(key: &mut Key, amount: f64, at: Timestamp) {
    if let Some(amount) =
        MicroUsd::from_dollars(amount).filter(|amount| *amount > MicroUsd::default())
    {
        key.spending.add(amount, at);
    }
}

/// Rounds to whole seconds, the precision of OpenRouter's creation times.
fn add_days(now: Timestamp, days: i64) -> Timestamp {
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    second.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now)
}

fn build_seed_spec(index: usize) -> SeedSpec {
    let base = SeedSpec {
        label: String::new(),
        limit: None,
        reset: None,
        expires_in_days: None,
        age_days: 21,
        disabled: false,
        spending: Vec::new(),
        window_spending: 0.0,
    };
    match index {
        0 => SeedSpec {
            label: "laptop".into(),
            limit: Some(10.0),
            reset: Some(Reset::Monthly),
            spending: vec![(19, 0.31), (12, 0.18), (4, 0.27), (1, 0.09)],
            window_spending: 1.24,
            ..base
        },
        1 => SeedSpec {
            label: "ci".into(),
            limit: Some(25.0),
            reset: Some(Reset::Monthly),
            age_days: 94,
            spending: vec![(63, 17.4), (35, 21.85), (8, 4.12), (2, 6.3)],
            window_spending: 24.31,
            ..base
        },
        2 => SeedSpec {
            label: "notebook".into(),
            limit: Some(15.0),
            reset: Some(Reset::Weekly),
            age_days: 120,
            disabled: true,
            spending: vec![(40, 3.75), (33, 5.02), (16, 2.6)],
            ..base
        },
        3 => SeedSpec {
            label: "agent".into(),
            limit: Some(8.0),
            reset: Some(Reset::Daily),
            expires_in_days: Some(3),
            age_days: 27,
            spending: vec![(6, 4.4), (5, 7.1), (3, 6.05), (1, 5.52)],
            window_spending: 2.4,
            ..base
        },
        _ => {
            let limit = [None, Some(5.0), Some(10.0), Some(25.0), Some(50.0)][index % 5];
            let reset = [None, Some(Reset::Daily), Some(Reset::Weekly), Some(Reset::Monthly)];
            // Spreads the spent share of the limit from 0 to 95 %.
            let share = [0.0, 0.42, 0.07, 0.81, 0.19, 0.63, 0.3, 0.95][index % 8];
            let window = limit.unwrap_or(20.0) * share;
            SeedSpec {
                label: format!("tool-{:04}", index + 1),
                limit,
                reset: limit.and(reset[index % 4]),
                disabled: index % 40 == 39,
                spending: vec![(1, window / 4.0)],
                window_spending: window,
                ..base
            }
        }
    }
}
