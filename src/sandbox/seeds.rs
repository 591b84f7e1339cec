//! The seed keys of the account: four keys with a past of thirty days, with a burst and an idle week, and
//! generated ones.

use jiff::{SignedDuration, Timestamp};

use super::SeedKey;
use super::ledger::{Account, Key, KeyPolicy, MicroUsd, Reset, USER_ID, utc_date};

/// The days of the past before today.
const PAST_DAYS: i64 = 30;

/// The credits that the account has bought at least, in USD, and in which steps.
const MIN_CREDITS: f64 = 250.0;
const CREDIT_STEP: f64 = 50.0;

/// A seed key and its spending.
struct SeedSpec {
    label: String,
    limit: Option<f64>,
    reset: Option<Reset>,
    expires_in_days: Option<i64>,
    age_days: i64,
    disabled: bool,
    /// The spending before the last thirty days, as pairs of days ago and USD.
    old_spending: Vec<(i64, f64)>,
    /// The relative spending on a day: the arguments are how many days ago it was, from 1 to 30,
    /// and the index of the key.
    weight: fn(i64, usize) -> u8,
    /// USD for each unit of weight, before the current window.
    usd_per_weight: f64,
    /// The spending in the current window, on any date.
    window_spending: f64,
}

impl SeedSpec {
    /// Returns the spending of the last thirty completed days, as pairs of days ago and USD. Most of
    /// the spending of the current window is on its days, the rest is today's.
    fn past(&self, index: usize, now: Timestamp) -> Vec<(i64, f64)> {
        let start = self.reset.map(|reset| reset.window_start(utc_date(now)));
        let is_in_window =
            |ago: i64| start.is_none_or(|start| utc_date(add_days(now, -ago)) >= start);
        let days = 1..=PAST_DAYS.min(self.age_days);
        let weights: Vec<(i64, f64)> = days
            .map(|ago| (ago, f64::from((self.weight)(ago, index))))
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        let in_window = weights.iter().filter(|(ago, _)| is_in_window(*ago));
        let sum: f64 = in_window.map(|(_, weight)| weight).sum();
        let usd = |(ago, weight): (i64, f64)| {
            let unit = if is_in_window(ago) {
                self.window_spending * PAST_SHARE_OF_WINDOW / sum
            } else {
                self.usd_per_weight
            };
            (ago, weight * unit)
        };
        weights.into_iter().map(usd).collect()
    }
}

/// The part of the current window's spending that was not today.
const PAST_SHARE_OF_WINDOW: f64 = 0.85;

/// Creates a key with a history for each secret.
pub fn create_seed_keys(
    account: &mut Account,
    secrets: Vec<String>,
    now: Timestamp,
) -> Vec<SeedKey> {
    account.reserve_keys(secrets.len());
    let seed_keys = secrets
        .into_iter()
        .enumerate()
        .map(|(index, key)| create_seed_key(account, build_seed_spec(index), index, key, now))
        .collect();
    let used: MicroUsd =
        account.keys().iter().map(|key| key.spending.spent_in_window(None, now)).sum();
    let bought = (used.to_dollars() / CREDIT_STEP + 1.0).ceil() * CREDIT_STEP;
    account.total_credits = MicroUsd::from_dollars(bought.max(MIN_CREDITS)).unwrap_or_default();
    seed_keys
}

fn create_seed_key(
    account: &mut Account,
    spec: SeedSpec,
    index: usize,
    secret: String,
    now: Timestamp,
) -> SeedKey {
    let created_at = add_days(now, -spec.age_days);
    let mut policy = KeyPolicy::unrestricted(spec.label.clone());
    policy.limit = spec.limit.and_then(MicroUsd::from_dollars);
    policy.reset = spec.reset;
    policy.expires_at = spec.expires_in_days.map(|days| add_days(now, days));
    let expires_at = policy.expires_at;
    let key = account.create_key(policy, &secret, created_at);
    for (ago, amount) in spec.old_spending.iter().copied().chain(spec.past(index, now)) {
        add_spending(key, amount, add_days(now, -ago));
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

/// Returns the position of a day in a pattern that repeats.
fn remainder(ago: i64, length: i64) -> usize {
    usize::try_from(ago.rem_euclid(length)).unwrap_or(0)
}

fn build_seed_spec(index: usize) -> SeedSpec {
    let base = SeedSpec {
        label: String::new(),
        limit: None,
        reset: None,
        expires_in_days: None,
        age_days: 34,
        disabled: false,
        old_spending: Vec::new(),
        // About ten days of thirty.
        weight: |ago, index| {
            let index = i64::try_from(index).unwrap_or(0);
            u8::from((ago * 5 + index * 7) % 3 == 0) * [1, 2][remainder(index, 2)]
        },
        usd_per_weight: 0.4,
        window_spending: 0.0,
    };
    match index {
        0 => SeedSpec {
            label: "laptop".into(),
            limit: Some(10.0),
            reset: Some(Reset::Monthly),
            weight: |ago, _| [2, 3, 1, 0, 2, 1, 4][remainder(ago, 7)],
            usd_per_weight: 0.11,
            window_spending: 1.24,
            ..base
        },
        1 => SeedSpec {
            label: "ci".into(),
            limit: Some(25.0),
            reset: Some(Reset::Monthly),
            age_days: 94,
            old_spending: vec![(63, 17.4), (35, 21.85)],
            // A burst nine days ago.
            weight: |ago, _| if ago == 9 { 24 } else { [1, 1, 2, 1, 1, 0, 0][remainder(ago, 7)] },
            usd_per_weight: 0.45,
            window_spending: 24.31,
            ..base
        },
        2 => SeedSpec {
            label: "notebook".into(),
            limit: Some(15.0),
            reset: Some(Reset::Weekly),
            age_days: 120,
            disabled: true,
            old_spending: vec![(40, 3.75), (33, 5.02)],
            weight: |ago, _| if ago < 16 { 0 } else { [3, 0, 2, 1][remainder(ago, 4)] },
            usd_per_weight: 0.8,
            ..base
        },
        3 => SeedSpec {
            label: "agent".into(),
            limit: Some(8.0),
            reset: Some(Reset::Daily),
            expires_in_days: Some(3),
            age_days: 33,
            // An idle week.
            weight: |ago, _| match ago {
                8..=14 => 0,
                ago => [4, 6, 3, 5, 1][remainder(ago, 5)],
            },
            usd_per_weight: 1.1,
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
                window_spending: window,
                ..base
            }
        }
    }
}
