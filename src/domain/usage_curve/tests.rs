//! What samples and known days say about days and about spending between them.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const NOON: &str = "2026-11-24T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Returns samples of `(time, lifetime usage, usage of the day)`.
fn samples(rows: &[(&str, f64, Option<f64>)]) -> Vec<UsageSample> {
    let sample = |(time, usage, daily): &(&str, f64, Option<f64>)| UsageSample {
        usage_daily: *daily,
        ..UsageSample::new(at(time), *usage)
    };
    rows.iter().map(sample).collect()
}

/// Returns the days from the 1st of November on.
fn days(rows: &[(&str, f64, Option<f64>)], now: &str) -> Vec<Option<f64>> {
    let days = DailySpending::from_samples(&samples(rows), date("2026-11-01"), at(now));
    let today = now[..10].parse().unwrap();
    let count = u16::from(now[8..10].parse::<u8>().unwrap());
    days.last_days(today, count).map(|(_, usd)| usd).collect()
}

#[test]
fn corrections_do_not_count_as_spending_and_restarts_lose_none() {
    let now = at(NOON);
    let spent = |usages: &[f64]| {
        let samples =
            (0..).zip(usages).map(|(hour, usage)| UsageSample::new(now + hours(hour), *usage));
        let curve = UsageCurve::new(samples, now + hours(20));
        let (first, last) = curve.time_bounds().unwrap();
        curve.spent_between(first, last)
    };
    for (usages, expected) in [
        (&[10.0, 9.9, 10.0, 9.9, 10.5][..], 0.5),
        (&[10.0, 0.0, 0.5, 1.5], 1.5),
        (&[10.0, f64::NAN, 11.0], 1.0),
        (&[0.0, 0.0], 0.0),
    ] {
        assert!((spent(usages) - expected).abs() < 1e-9, "{usages:?}");
    }
}

#[test]
fn nine_days_with_idle_days_come_out_exactly() {
    let spent = [100.0, 20.0, 0.0, 60.0, 0.0, 0.0, 40.0, 80.0, 0.0];
    for hour in [0, 9, 23] {
        let mut lifetime = 12.34;
        let samples: Vec<UsageSample> = (1..)
            .zip(spent)
            .map(|(day, usd)| {
                lifetime += usd;
                let time = at(&format!("2026-11-{day:02}T{hour:02}:30:00Z"));
                UsageSample { usage_daily: Some(usd), ..UsageSample::new(time, lifetime) }
            })
            .collect();
        let now = at("2026-11-09T23:59:00Z");
        let days = DailySpending::from_samples(&samples, date("2026-11-01"), now);
        let found: Vec<_> = days.last_days(date("2026-11-09"), 9).map(|(_, usd)| usd).collect();
        assert_eq!(found, spent.map(Some), "at {hour}:30");
    }
}

#[test]
fn spending_after_the_last_reading_of_a_day_is_seen_on_the_next() {
    let rows = [
        ("2026-11-01T10:00:00Z", 5.0, Some(1.0)),
        // Two more were spent on the 1st, after ten.
        ("2026-11-02T10:00:00Z", 7.5, Some(0.5)),
    ];
    assert_eq!(days(&rows, "2026-11-02T12:00:00Z"), [Some(3.0), Some(0.5)]);
    // Until then the day is not closed, whatever was read within it.
    let first_day = [rows[0], ("2026-11-01T23:59:00Z", 7.0, Some(3.0))];
    assert_eq!(days(&first_day, "2026-11-02T12:00:00Z"), [None, None]);
    assert_eq!(days(&first_day, "2026-11-01T23:59:30Z"), [Some(3.0)]);
}

#[test]
fn spending_between_distant_readings_leaves_these_days_unknown() {
    let rows = [
        ("2026-11-01T10:00:00Z", 5.0, Some(5.0)),
        ("2026-11-04T10:00:00Z", 9.0, Some(1.0)),
        ("2026-11-07T10:00:00Z", 11.0, Some(2.0)),
    ];
    assert_eq!(
        days(&rows, "2026-11-07T12:00:00Z"),
        [None, None, None, Some(1.0), Some(0.0), Some(0.0), Some(2.0)]
    );
}

#[test]
fn readings_without_the_usage_of_the_day_give_only_idle_days() {
    let rows = [
        ("2026-11-01T10:00:00Z", 5.0, None),
        ("2026-11-04T10:00:00Z", 5.0, None),
        ("2026-11-05T01:00:00Z", 6.0, None),
        ("2026-11-05T22:00:00Z", 7.0, None),
    ];
    assert_eq!(days(&rows, "2026-11-05T23:00:00Z"), [None, Some(0.0), Some(0.0), None, None]);
}

#[test]
fn nothing_was_spent_before_the_first_usage_of_a_key() {
    assert_eq!(
        days(&[("2026-11-03T10:00:00Z", 0.75, Some(0.75))], "2026-11-03T12:00:00Z"),
        [Some(0.0), Some(0.0), Some(0.75)]
    );
    assert_eq!(
        days(&[("2026-11-03T10:00:00Z", 2.75, Some(0.75))], "2026-11-03T12:00:00Z"),
        [None, None, Some(0.75)]
    );
}

#[test]
fn contradictions_leave_days_unknown() {
    // The clock was an hour ahead: the usage of the 1st was read on the 2nd.
    let rows = [
        ("2026-11-01T20:00:00Z", 14.0, Some(4.0)),
        ("2026-11-02T00:30:00Z", 15.0, Some(5.0)),
        ("2026-11-03T10:00:00Z", 16.0, Some(0.5)),
    ];
    assert_eq!(days(&rows, "2026-11-03T12:00:00Z"), [None, None, Some(0.5)]);
    // A replica that lags behind says nothing about its day.
    let rows = [
        ("2026-11-01T10:00:00Z", 10.0, Some(1.0)),
        ("2026-11-02T10:00:00Z", 9.5, Some(0.0)),
        ("2026-11-02T11:00:00Z", 11.0, Some(0.5)),
    ];
    assert_eq!(days(&rows, "2026-11-02T12:00:00Z"), [None, None]);
}

#[test]
fn known_days_are_pinned_below_a_known_midnight() {
    let known: DailySpending = [("2026-11-21", 3.0), ("2026-11-22", 0.0), ("2026-11-23", 1.0)]
        .map(|(day, usd)| (date(day), usd))
        .into_iter()
        .collect();
    let now = at(NOON);
    let mut curve = UsageCurve::new(samples(&[(NOON, 9.0, Some(0.5))]), now);
    curve.pin_days(&known);
    let spent = |day: &str| {
        Some(curve.spent_between(midnight(date(day)), midnight(date(day).tomorrow().unwrap())))
    };
    assert_eq!(
        ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"].map(spent),
        [Some(3.0), Some(0.0), Some(1.0), Some(0.5)]
    );
    assert_eq!(curve.count_readings(0.0), 4);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Checks that every day that counts as known is right, whenever the readings were made.
    #[test]
    fn known_days_are_never_wrong(
        steps in prop::collection::vec((0..30_i64 * 1_440, 0..3_u32), 1..80),
        readings in prop::collection::btree_set(0..30_i64 * 1_440, 1..60),
        has_daily in any::<bool>(),
    ) {
        let start = at("2026-11-01T00:00:00Z");
        let spent_until = |minute: i64, from: i64| -> f64 {
            steps.iter().filter(|(at, _)| (from..minute).contains(at)).map(|(_, usd)| f64::from(*usd)).sum()
        };
        let samples: Vec<UsageSample> = readings.iter().map(|minute| UsageSample {
            usage_daily: has_daily.then(|| spent_until(*minute, minute / 1_440 * 1_440)),
            ..UsageSample::new(start + SignedDuration::from_mins(*minute), 100.0 + spent_until(*minute, 0))
        }).collect();
        let now = samples[samples.len() - 1].at;
        let days = DailySpending::from_samples(&samples, date("2026-11-01"), now);
        let today = to_utc(now).date();
        for (day, usd) in days.iter() {
            let first = i64::from(day.day() - 1) * 1_440;
            let end = if day == today { readings.iter().next_back().copied().unwrap() } else { first + 1_440 };
            prop_assert!((usd - spent_until(end, first)).abs() < 1e-9, "{day}: {usd}");
        }
        // With a reading every day nothing is unknown from the first one on.
        let read_days: std::collections::BTreeSet<i64> = readings.iter().map(|minute| minute / 1_440).collect();
        if has_daily && read_days.iter().zip(read_days.iter().skip(1)).all(|(a, b)| b - a == 1) {
            prop_assert!(read_days.len() <= days.iter().count());
        }
    }
}
