//! Forecasts of known spending, and their descriptions.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::domain::KeyInfo;
use crate::domain::text::to_utc;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Returns a sample every `step` hours from `days` before `now` until `now`. `rate` is the spending
/// in USD in the hour that begins at its argument.
fn spending(
    now: Timestamp,
    days: i64,
    step: i64,
    rate: impl Fn(Timestamp) -> f64,
) -> Vec<UsageSample> {
    let mut usage = 1.0;
    let mut samples = Vec::new();
    for hour in 0..=days * 24 {
        let time = now - hours(days * 24 - hour);
        if hour % step == 0 {
            samples.push(UsageSample::new(time, usage));
        }
        usage += rate(time);
    }
    samples
}

/// Returns a key checked at `now`.
fn key(now: Timestamp, limit: Option<f64>, remaining: f64, reset: Option<&str>) -> StoredKey {
    let info = KeyInfo {
        limit: limit.into(),
        limit_remaining: limit.map(|_| remaining),
        limit_reset: reset.and_then(|reset| ResetInterval::parse(reset).ok()?).into(),
        ..KeyInfo::default()
    };
    StoredKey::sample("x", at("2026-01-01T00:00:00Z")).with_check(now, info)
}

/// Forecasts from samples alone.
fn forecast(samples: &[UsageSample], stored_key: &StoredKey, now: Timestamp) -> Option<Forecast> {
    forecast_spending(samples, &DailySpending::new(), stored_key, now)
}

/// A Tuesday.
const NOON: &str = "2026-11-24T12:00:00Z";

#[test]
fn constant_spending_reaches_the_limit_at_the_expected_time() {
    let now = at(NOON);
    // A dollar a day; 2.25 left; the week ends on Monday.
    let samples = spending(now, 10, 1, |_| 1.0 / 24.0);
    let found = forecast(&samples, &key(now, Some(10.0), 2.25, Some("weekly")), now).unwrap();
    assert!((found.usd_per_day - 1.0).abs() < 1e-9);
    let error = found.reached_at.unwrap().duration_since(at("2026-11-26T18:00:00Z"));
    assert!(error.abs() < SignedDuration::from_secs(2), "{error}");
    assert_eq!((found.sample_count, found.sampled_span), (169, hours(168)));
    assert_eq!(found.period_end, Some((at("2026-11-30T00:00:00Z"), PeriodEnd::Reset)));
    assert_eq!(
        found.describe(now),
        "at this pace the limit is reached on Thursday about 18:00 UTC"
    );
    assert_eq!(found.summarize(now), "limit reached on Thursday about 18:00 UTC");
}

#[test]
fn limit_not_reached_before_the_reset_gives_the_amount() {
    let now = at(NOON);
    let samples = spending(now, 10, 1, |_| 0.5 / 24.0);
    let found = forecast(&samples, &key(now, Some(10.0), 9.0, Some("weekly")), now).unwrap();
    // 5.5 days at half a dollar, on top of one.
    assert!((found.spent_at_end.unwrap().likely - 3.75).abs() < 1e-6);
    assert_eq!(
        (found.reached_at, found.earliest_reached_at, found.latest_reached_at),
        (None, None, None)
    );
    assert_eq!(found.describe(now), "at this pace $3.75 of $10.00 is spent by the reset on Monday");
    assert_eq!(found.summarize(now), "$3.75 of $10.00 by the reset");
}

#[test]
fn period_ends_at_the_reset() {
    for (now, reset, end, text) in [
        ("2026-11-29T23:00:00Z", "weekly", "2026-11-30T00:00:00Z", "the reset at midnight UTC"),
        ("2026-11-30T00:00:00Z", "weekly", "2026-12-07T00:00:00Z", "the reset on 7 December"),
        ("2028-02-28T12:00:00Z", "daily", "2028-02-29T00:00:00Z", "the reset at midnight UTC"),
        ("2028-02-28T12:00:00Z", "monthly", "2028-03-01T00:00:00Z", "the reset on Wednesday"),
        ("2027-02-28T12:00:00Z", "monthly", "2027-03-01T00:00:00Z", "the reset at midnight UTC"),
    ] {
        let now = at(now);
        let samples = spending(now, 20, 1, |_| 0.01);
        let found = forecast(&samples, &key(now, Some(99.0), 90.0, Some(reset)), now).unwrap();
        assert_eq!(found.period_end, Some((at(end), PeriodEnd::Reset)));
        assert!(found.describe(now).contains(&format!("by {text}")), "{}", found.describe(now));
    }
}

#[test]
fn reset_within_the_samples_does_not_change_the_rate() {
    // The limit was reset at midnight; lifetime usage was not.
    let now = at("2026-11-30T06:00:00Z");
    let samples = spending(now, 7, 1, |_| 0.25);
    let found = forecast(&samples, &key(now, Some(6.0), 4.5, Some("weekly")), now).unwrap();
    assert!((found.usd_per_day - 6.0).abs() < 1e-9);
    assert_eq!(found.describe(now), "at this pace the limit is reached tomorrow about 00:00 UTC");
}

#[test]
fn expiry_before_the_limit_ends_the_period() {
    let now = at(NOON);
    let samples = spending(now, 14, 1, |_| 0.5 / 24.0);
    let mut stored_key = key(now, Some(10.0), 9.0, None);
    Arc::make_mut(stored_key.info.as_mut().unwrap()).expires_at =
        Some(at("2026-11-28T12:00:00Z")).into();
    let found = forecast(&samples, &stored_key, now).unwrap();
    assert_eq!(
        found.describe(now),
        "at this pace $3.00 of $10.00 is spent by its expiry on Saturday"
    );
}

#[test]
fn weekend_is_within_the_bounds() {
    // A dollar an hour from Monday to Friday; on Friday noon the week has half a day of it left.
    let now = at("2026-11-27T12:00:00Z");
    let rate = |time: Timestamp| {
        f64::from(u8::from(to_utc(time).date().weekday().to_monday_zero_offset() < 5))
    };
    let samples = spending(now, 21, 1, rate);
    let found = forecast(&samples, &key(now, Some(300.0), 192.0, Some("weekly")), now).unwrap();
    let spent = found.spent_at_end.unwrap();
    assert!((found.usd_per_day - 24.0 * 5.0 / 7.0).abs() < 1e-6);
    assert!(spent.low <= 120.0 && 120.0 <= spent.high, "{spent:?}");
    assert_eq!(
        found.describe(now),
        "at this pace $120 to $168 of $300.00 is spent by the reset on Monday"
    );
    assert_eq!(found.summarize(now), "$120 to $168 of $300.00 by the reset");
}

#[test]
fn a_limit_that_is_reached_only_at_the_fastest_is_named_before_the_amount() {
    let now = at(NOON);
    let samples = spending(now, 10, 1, |_| 0.5 / 24.0);
    let mut found = forecast(&samples, &key(now, Some(10.0), 9.0, Some("weekly")), now).unwrap();
    found.earliest_reached_at = Some(at("2026-11-28T12:00:00Z"));
    assert_eq!(found.summarize(now), "limit possibly reached on Saturday");
    found.sample_count = 2;
    assert_eq!(found.summarize(now), "limit possibly reached on Saturday; rough");
}

#[test]
fn burst_gives_wide_bounds_and_an_old_burst_no_forecast() {
    let now = at(NOON);
    let burst = |from: i64| {
        let begin = now - hours(from);
        spending(
            now,
            14,
            1,
            move |time| {
                if (begin..begin + hours(2)).contains(&time) { 5.0 } else { 0.0 }
            },
        )
    };
    let stored_key = key(now, Some(20.0), 5.0, Some("weekly"));
    let found = forecast(&burst(60), &stored_key, now).unwrap();
    assert!(
        found.earliest_reached_at < found.reached_at && found.latest_reached_at.is_none(),
        "{found:?}"
    );
    assert_eq!(
        found.describe(now),
        "if it is used as before, the limit is probably reached on Saturday, before the reset on Monday"
    );
    assert_eq!(found.summarize(now), "if used again: limit reached on Saturday");
    assert_eq!(forecast(&burst(6 * 24), &stored_key, now), None);
}

#[test]
fn few_samples_are_described_as_rough() {
    let now = at(NOON);
    let samples: Vec<UsageSample> = spending(now, 1, 1, |_| 0.1).split_off(22);
    let found = forecast(&samples, &key(now, Some(10.0), 3.0, Some("weekly")), now).unwrap();
    assert_eq!((found.sample_count, found.sampled_span), (3, hours(2)));
    assert!(found.latest_reached_at.is_none());
    assert_eq!(
        found.describe(now),
        "at this pace the limit is probably reached tomorrow, before the reset on Monday; \
         3 samples over 2 hours, so this is rough"
    );
}

#[test]
fn no_forecast_without_a_basis() {
    let now = at(NOON);
    let good = spending(now, 7, 1, |_| 0.1);
    let stored_key = key(now, Some(10.0), 3.0, Some("weekly"));
    assert!(forecast(&good, &stored_key, now).is_some());

    let last = good.len() - 1;
    let close = |second: i64| {
        let usage = 1e3 - f64::from(u16::try_from(second).unwrap());
        UsageSample::new(now - SignedDuration::from_secs(second), usage)
    };
    for (why, samples) in [
        ("none", vec![]),
        ("one", good[last..].to_vec()),
        ("two", good[last - 1..].to_vec()),
        ("less than an hour", vec![close(3_599), close(1_800), close(0)]),
        ("nothing spent", spending(now, 7, 1, |_| 0.0)),
        ("old", spending(now - hours(25), 7, 1, |_| 0.1)),
        ("not yet", spending(now + hours(24 * 30), 7, 1, |_| 0.1)),
        ("no numbers", good.iter().map(|s| UsageSample { usage: f64::NAN, ..*s }).collect()),
    ] {
        assert_eq!(forecast(&samples, &stored_key, now), None, "{why}");
    }

    let alter = |change: fn(&mut StoredKey)| {
        let mut stored_key = key(at(NOON), Some(10.0), 3.0, Some("weekly"));
        change(&mut stored_key);
        stored_key
    };
    for (why, stored_key) in [
        ("no limit", key(now, None, 0.0, None)),
        (
            "no remaining",
            alter(|stored_key| {
                Arc::make_mut(stored_key.info.as_mut().unwrap()).limit_remaining = None;
            }),
        ),
        ("at its limit", key(now, Some(10.0), 0.0, Some("weekly"))),
        ("no number", key(now, Some(10.0), f64::NAN, Some("weekly"))),
        ("never checked", alter(|stored_key| stored_key.info = None)),
        ("stale", alter(|stored_key| stored_key.checked_at = Some(at(NOON) - hours(25)))),
        ("window ended", key(now - hours(13), Some(10.0), 3.0, Some("daily"))),
        ("rejected", alter(|stored_key| stored_key.rejected_at = stored_key.checked_at)),
        ("disabled", alter(|stored_key| stored_key.disabled = Some(true))),
        (
            "expired",
            alter(|stored_key| {
                Arc::make_mut(stored_key.info.as_mut().unwrap()).expires_at =
                    stored_key.checked_at.into();
            }),
        ),
        (
            "own provider keys",
            alter(|stored_key| {
                let info = Arc::make_mut(stored_key.info.as_mut().unwrap());
                info.include_byok_in_limit = Some(true);
                info.byok_usage = Some(1.0);
            }),
        ),
    ] {
        assert_eq!(forecast(&good, &stored_key, now), None, "{why}");
    }
}

#[test]
fn last_check_counts_before_it_is_recorded() {
    let now = at(NOON);
    let samples: Vec<UsageSample> = spending(now, 1, 1, |_| 0.1).split_off(22);
    let mut stored_key = key(now, Some(10.0), 3.0, Some("weekly"));
    Arc::make_mut(stored_key.info.as_mut().unwrap()).usage = Some(samples[2].usage);
    assert_eq!(forecast(&samples[..2], &stored_key, now), forecast(&samples, &stored_key, now));
}

/// Returns the known days before the day of `NOON`, the latest last.
fn known_days(spent: &[f64]) -> DailySpending {
    let today = to_utc(at(NOON)).date();
    let first = -i64::try_from(spent.len()).unwrap();
    let dates = (first..0).map(|day| today.saturating_add(jiff::Span::new().days(day)));
    dates.zip(spent.iter().copied()).collect()
}

#[test]
fn idle_days_and_bursts_count_as_they_were() {
    let now = at(NOON);
    // Nothing but the present usage was read here; the rest is from the activity of the account.
    let mut stored_key = key(now, Some(100.0), 40.0, None);
    let info = Arc::make_mut(stored_key.info.as_mut().unwrap());
    (info.usage, info.usage_daily) = (Some(1_000.0), Some(0.0));
    let forecast = |spent: &[f64]| forecast_spending(&[], &known_days(spent), &stored_key, now);

    // 13.5 days with 108 dollars, in three bursts: five days at 8 a day are left.
    let bursts = [0.0, 36.0, 36.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 36.0];
    let found = forecast(&bursts).unwrap();
    assert!((found.usd_per_day - 8.0).abs() < 1e-9, "{found:?}");
    assert_eq!(found.reached_at.unwrap(), at("2026-11-29T12:00:00Z"));
    // Two bursts can come within five days, or none in a week.
    assert!(found.earliest_reached_at.unwrap() < at("2026-11-28T12:00:00Z"), "{found:?}");
    assert!(found.latest_reached_at.is_none_or(|at| at > found.reached_at.unwrap()), "{found:?}");

    // The same amount every day gives narrow bounds.
    let steady = forecast(&[8.0; 13]).unwrap();
    assert!(steady.earliest_reached_at > found.earliest_reached_at, "{steady:?} {found:?}");
    // An idle week after a burst predicts nothing.
    let idle = [50.0, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(forecast(&idle), None);
    // Days that are not connected with the present one say nothing about the rate.
    assert_eq!(forecast(&[]), None);
}

#[test]
fn usage_of_the_day_places_spending_between_readings() {
    let now = at(NOON);
    let sample = |time: &str, usage: f64, daily: f64| UsageSample {
        usage_daily: Some(daily),
        ..UsageSample::new(at(time), usage)
    };
    // One reading a day: everything was spent on Saturday, nothing on Sunday.
    let samples = [
        sample("2026-11-20T23:00:00Z", 10.0, 0.0),
        sample("2026-11-21T01:00:00Z", 10.0, 0.0),
        sample("2026-11-22T23:00:00Z", 16.0, 0.0),
        sample("2026-11-23T12:00:00Z", 16.0, 0.0),
        sample(NOON, 18.0, 2.0),
    ];
    let curve = UsageCurve::new(samples, now);
    let midnight = |day: &str| to_epoch_seconds(at(&format!("2026-11-{day}T00:00:00Z")));
    let spent = |from: f64, to: f64| Some(curve.spent_between(from, to));
    assert_eq!(spent(midnight("21"), midnight("22")), Some(6.0));
    assert_eq!(spent(midnight("22"), midnight("24")), Some(0.0));
    assert_eq!(spent(midnight("24"), to_epoch_seconds(now)), Some(2.0));
}

/// Generates the seconds between samples and the spending in them.
fn steps() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((1..200_000_i64, prop_oneof![Just(0.0), 0.0..50.0_f64]), 0..60)
}

fn rising(now: Timestamp, steps: &[(i64, f64)]) -> Vec<UsageSample> {
    let total: i64 = steps.iter().map(|(step, _)| step).sum();
    let mut sample = UsageSample::new(now - SignedDuration::from_secs(total), 0.0);
    let mut samples = vec![sample];
    for (step, spent) in steps {
        sample.at += SignedDuration::from_secs(*step);
        sample.usage += spent;
        samples.push(sample);
    }
    samples
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn bounds_enclose_the_forecast_and_the_description_has_no_minutes(
        steps in steps(), limit in 0.01..1e6_f64, left in 0.0..1.0_f64,
        reset in prop::sample::select(vec![None, Some("daily"), Some("weekly"), Some("monthly")]),
        age in 0..86_400_i64,
    ) {
        let checked_at = at(NOON);
        let now = checked_at + SignedDuration::from_secs(age);
        let stored_key = key(checked_at, Some(limit), limit * left, reset);
        if let Some(found) = forecast(&rising(checked_at, &steps), &stored_key, now) {
            prop_assert!(found.usd_per_day > 0.0);
            if let Some(reached) = found.reached_at {
                prop_assert!(found.earliest_reached_at.unwrap() <= reached && reached >= now);
                prop_assert!(found.latest_reached_at.is_none_or(|latest| latest >= reached));
                prop_assert!(found.period_end.is_none_or(|(end, _)| reached <= end));
            } else {
                prop_assert_eq!(found.latest_reached_at, None);
            }
            if let Some(spent) = found.spent_at_end {
                prop_assert!(0.0 <= spent.low && spent.low <= spent.likely);
                prop_assert!(spent.likely <= spent.high && spent.high <= limit);
            }
            let text = found.describe(now);
            let condition = if found.is_idle { "if it is used as before, " } else { "at this pace " };
            prop_assert!(text.starts_with(condition), "{text}");
            prop_assert!(text.split(':').skip(1).all(|rest| rest.starts_with("00 UTC")), "{text}");
        }
    }

    #[test]
    fn constant_spending_is_found_with_any_sampling(
        gaps in prop::collection::vec(600..40_000_i64, 8..60), daily in 0.01..100.0_f64
    ) {
        let now = at(NOON);
        let steps: Vec<(i64, f64)> =
            gaps.into_iter().map(|gap| (gap, daily * f64::from(i32::try_from(gap).unwrap()) / 86_400.0)).collect();
        let samples = rising(now, &steps);
        // The remaining limit is enough for two days, and there is no reset.
        let stored_key = key(now, Some(daily * 10.0), daily * 2.0, None);
        let reached = forecast(&samples, &stored_key, now).unwrap().reached_at.unwrap();
        prop_assert!(reached.duration_since(now + hours(48)).abs() < SignedDuration::from_secs(3));
    }
}
