//! The curve through samples, and the buckets of a chart.

use proptest::prelude::*;

use super::*;
use crate::domain::forecast::tests::{NOON, at, hours, rising, steps};

#[test]
fn corrections_do_not_count_as_spending_and_restarts_lose_none() {
    let now = at(NOON);
    let curve = |usages: &[f64]| {
        let samples: Vec<UsageSample> = (0..)
            .zip(usages)
            .map(|(hour, usage)| UsageSample { at: now + hours(hour), usage: *usage })
            .collect();
        let end = now + hours(20);
        spending_series(&samples, end, 1, hours(20))[0]
    };
    for (usages, spent) in [
        (&[10.0, 9.9, 10.0, 9.9, 10.5][..], 0.5),
        (&[10.0, 0.0, 0.5, 1.5], 1.5),
        (&[10.0, f64::NAN, 11.0], 1.0),
        (&[0.0, 0.0], 0.0),
    ] {
        let found = curve(usages).unwrap();
        assert!((found - spent).abs() < 1e-9, "{usages:?}: {found}");
    }
    assert_eq!((curve(&[]), curve(&[3.0])), (None, None));
}

#[test]
fn gap_is_spread_over_its_days_and_days_without_samples_are_none() {
    let midnight = at("2026-11-25T00:00:00Z");
    let day = |days_ago: i64| midnight - hours(24 * days_ago);
    let samples = [
        UsageSample { at: day(5), usage: 1.0 },
        UsageSample { at: day(2), usage: 4.0 },
        UsageSample { at: day(1) + hours(12), usage: 4.25 },
    ];
    let series = spending_series(&samples, midnight, 7, hours(24 * 7));
    assert_eq!(series.len(), 7);
    assert_eq!(series[..2], [None, None]);
    for (spent, expected) in series[2..].iter().zip([1.0, 1.0, 1.0, 1.0 / 6.0, 0.25 / 3.0]) {
        assert!((spent.unwrap() - expected).abs() < 1e-9, "{series:?}");
    }
    assert_eq!(spending_series(&samples, midnight, 0, hours(1)), []);
    assert_eq!(spending_series(&samples, midnight, 2, hours(0)), [None, None]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn series_adds_up_to_the_spending_within_its_span(
        steps in steps(), buckets in 1..40_u32, days in 1..60_i64
    ) {
        let now = at(NOON);
        let samples = rising(now, &steps);
        let total: f64 = spending_series(&samples, now, buckets, hours(days * 24)).into_iter().flatten().sum();
        let whole = spending_series(&samples, now, 1, hours(days * 24))[0].unwrap_or(0.0);
        prop_assert!((total - whole).abs() < 1e-6);
        let all = samples[samples.len() - 1].usage - samples[0].usage;
        if samples[0].at >= now - hours(days * 24) {
            prop_assert!((total - all).abs() < 1e-6, "{total} {all}");
        }
        prop_assert!(total <= all + 1e-6);
    }
}
