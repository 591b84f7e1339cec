//! What the account holds from the start: four keys with a past, and as many more as are asked
//! for. Pure but for the secrets, which it is handed.

use jiff::{SignedDuration, Timestamp};

use super::Seed;
use super::ledger::{Key, Ledger, Policy, Reset, USER, Usd};

/// A key and its past: amounts by days ago.
struct Sketch {
    label: String,
    limit: Option<f64>,
    reset: Option<Reset>,
    days_left: Option<i64>,
    days_old: i64,
    disabled: bool,
    spent: Vec<(i64, f64)>,
    /// What the current window shall have seen, whatever day it is.
    window: f64,
}

/// Cuts a key for each secret and gives them their pasts.
pub fn plant(ledger: &mut Ledger, secrets: Vec<String>, now: Timestamp) -> Vec<Seed> {
    ledger.expect(secrets.len());
    secrets
        .into_iter()
        .enumerate()
        .map(|(place, key)| plant_one(ledger, sketch(place), key, now))
        .collect()
}

fn plant_one(ledger: &mut Ledger, sketch: Sketch, secret: String, now: Timestamp) -> Seed {
    let created_at = days(now, -sketch.days_old);
    let mut policy = Policy::named(sketch.label.clone());
    policy.limit = sketch.limit.and_then(Usd::new);
    policy.reset = sketch.reset;
    policy.expires_at = sketch.days_left.map(|left| days(now, left));
    let expires_at = policy.expires_at;
    let key = ledger.issue(policy, &secret, created_at);
    for (ago, amount) in &sketch.spent {
        spend(key, *amount, days(now, -ago));
    }
    let so_far = key.spending.within(sketch.reset, now).dollars();
    spend(key, sketch.window - so_far, now);
    if sketch.disabled {
        key.disabled = true;
        key.updated_at = Some(days(now, -1));
    }
    Seed {
        label: sketch.label,
        key: secret,
        limit: sketch.limit,
        limit_reset: sketch.reset.map(Reset::word),
        expires_at,
        created_at,
        user_id: USER,
    }
}

fn spend(key: &mut Key, amount: f64, at: Timestamp) {
    if let Some(amount) = Usd::new(amount).filter(|amount| *amount > Usd::default()) {
        key.spending.add(amount, at);
    }
}

/// Whole seconds: that is how the account says when a key was cut.
fn days(now: Timestamp, days: i64) -> Timestamp {
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    second.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now)
}

fn sketch(place: usize) -> Sketch {
    let fresh = Sketch {
        label: String::new(),
        limit: None,
        reset: None,
        days_left: None,
        days_old: 21,
        disabled: false,
        spent: Vec::new(),
        window: 0.0,
    };
    match place {
        0 => Sketch {
            label: "laptop".into(),
            limit: Some(10.0),
            reset: Some(Reset::Monthly),
            spent: vec![(19, 0.31), (12, 0.18), (4, 0.27), (1, 0.09)],
            window: 1.24,
            ..fresh
        },
        1 => Sketch {
            label: "ci".into(),
            limit: Some(25.0),
            reset: Some(Reset::Monthly),
            days_old: 94,
            spent: vec![(63, 17.4), (35, 21.85), (8, 4.12), (2, 6.3)],
            window: 24.31,
            ..fresh
        },
        2 => Sketch {
            label: "notebook".into(),
            limit: Some(15.0),
            reset: Some(Reset::Weekly),
            days_old: 120,
            disabled: true,
            spent: vec![(40, 3.75), (33, 5.02), (16, 2.6)],
            ..fresh
        },
        3 => Sketch {
            label: "agent".into(),
            limit: Some(8.0),
            reset: Some(Reset::Daily),
            days_left: Some(3),
            days_old: 27,
            spent: vec![(6, 4.4), (5, 7.1), (3, 6.05), (1, 5.52)],
            window: 2.4,
            ..fresh
        },
        _ => {
            let limit = [None, Some(5.0), Some(10.0), Some(25.0), Some(50.0)][place % 5];
            let reset = [None, Some(Reset::Daily), Some(Reset::Weekly), Some(Reset::Monthly)];
            // Spreads the shares of the limit from nothing to 95 %.
            let share = [0.0, 0.42, 0.07, 0.81, 0.19, 0.63, 0.3, 0.95][place % 8];
            let window = limit.unwrap_or(20.0) * share;
            Sketch {
                label: format!("tool-{:04}", place + 1),
                limit,
                reset: limit.and(reset[place % 4]),
                disabled: place % 40 == 39,
                spent: vec![(1, window / 4.0)],
                window,
                ..fresh
            }
        }
    }
}
