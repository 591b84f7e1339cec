//! The line through samples, and the bars of a chart made of it.

use proptest::prelude::*;

use super::*;
use crate::domain::forecast::tests::{NOON, at, hours, rising, steps};

#[test]
fn corrections_are_no_spending_and_a_new_beginning_loses_none() {
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
fn a_gap_is_spread_over_its_days_and_the_unknown_stays_unknown() {
    let midnight = at("2026-11-25T00:00:00Z");
    let day = |back: i64| midnight - hours(24 * back);
    let samples = [
        UsageSample { at: day(5), usage: 1.0 },
        UsageSample { at: day(2), usage: 4.0 },
        UsageSample { at: day(1) + hours(12), usage: 4.25 },
    ];
    let bars = spending_series(&samples, midnight, 7, hours(24 * 7));
    assert_eq!(bars.len(), 7);
    assert_eq!(bars[..2], [None, None]);
    for (bar, expected) in bars[2..].iter().zip([1.0, 1.0, 1.0, 1.0 / 6.0, 0.25 / 3.0]) {
        assert!((bar.unwrap() - expected).abs() < 1e-9, "{bars:?}");
    }
    assert_eq!(spending_series(&samples, midnight, 0, hours(1)), []);
    assert_eq!(spending_series(&samples, midnight, 2, hours(0)), [None, None]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_series_sums_to_what_was_spent_within_its_span(
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
