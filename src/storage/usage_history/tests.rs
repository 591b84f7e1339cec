//! Retention and downsampling, with clocks and servers that are wrong.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Records `(seconds from NOW, USD)` one after another and returns the samples that are kept.
fn record_all(usage: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let location = StoreLocation::in_memory();
    for (second, usd) in usage {
        record_usage(&location, &[("k", UsageSample::new(at(NOW + second), *usd))]).unwrap();
    }
    let samples = read_samples(&location).unwrap().remove("k").unwrap_or_default();
    samples.iter().map(|sample| (sample.at.as_second() - NOW, sample.usage)).collect()
}

/// Returns a series in which every second point has the usage of its day.
fn series(points: &[(i64, u64)]) -> UsageSeries {
    let mut series = UsageSeries::default();
    for (at, usage) in points {
        let daily = (at % 2 == 1).then_some(*usage / 3);
        series.insert(UsagePoint { unix_seconds: NOW + at, microdollars: *usage, daily });
    }
    series
}

#[test]
fn each_key_has_its_own_samples_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    record_usage(
        &location,
        &[
            ("a", UsageSample::new(at(NOW), 1.5)),
            ("b", UsageSample::new(at(NOW), 0.0)),
            ("a", UsageSample::new(at(NOW + 900), 2.0)),
        ],
    )
    .unwrap();
    let all = read_samples(&location).unwrap();
    let first = UsageSample::new(at(NOW), 1.5);
    assert_eq!(all["a"], [first, UsageSample::new(at(NOW + 900), 2.0)]);
    assert_eq!(all["b"], [UsageSample::new(at(NOW), 0.0)]);
    assert!(remove_key(&location, "a").unwrap());
    assert!(!remove_key(&location, "a").unwrap());
    assert_eq!(read_samples(&location).unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn each_key_is_one_text_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    for hour in 0..48_u32 {
        let time = at(NOW + i64::from(hour) * HOUR);
        record_usage(&location, &[("a", UsageSample::new(time, f64::from(hour) * 0.1))]).unwrap();
    }
    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert!(text.contains("\"spent\":\"1790000000:0 1790003600:100000 1790007200:200000 "));
    assert_eq!(text.matches('"').count(), 10, "{text}");
}

#[test]
fn usage_of_the_day_is_a_second_text_that_old_files_lack() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let path = dir.path().join(FILE_NAME);
    let old =
        r#"{"version": 1, "keys": {"a": {"spent": "1790000000:1500000 1790000900:2000000"}}}"#;
    std::fs::write(&path, old).unwrap();
    let sample = UsageSample { usage_daily: Some(0.25), ..UsageSample::new(at(NOW + 1_800), 2.25) };
    record_usage(&location, &[("a", sample)]).unwrap();
    let found = &read_samples(&location).unwrap()["a"];
    assert_eq!(found[..2], [UsageSample::new(at(NOW), 1.5), UsageSample::new(at(NOW + 900), 2.0)]);
    assert_eq!(found[2], sample);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"daily\":\"1790001800:250000\""), "{text}");
    // The first text is as before, so that an older version reads it.
    assert!(
        text.contains("\"spent\":\"1790000000:1500000 1790000900:2000000 1790001800:2250000\"")
    );
}

#[test]
fn only_the_last_sample_moves_while_nothing_is_spent() {
    assert_eq!(
        record_all(&[(0, 1.0), (900, 1.0), (1_800, 1.0), (2_700, 1.0), (3_600, 2.0), (4_500, 2.0)]),
        [(0, 1.0), (2_700, 1.0), (3_600, 2.0), (4_500, 2.0)]
    );
}

#[test]
fn invalid_amounts_are_ignored() {
    for usage in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.01, 1e12, f64::MAX] {
        assert_eq!(record_all(&[(0, 1.0), (900, usage), (1_800, 2.0)]), [(0, 1.0), (1_800, 2.0)]);
        let location = StoreLocation::in_memory();
        record_usage(&location, &[("k", UsageSample::new(at(NOW), usage))]).unwrap();
        assert_eq!(read_samples(&location).unwrap().len(), 0, "{usage}");
    }
    assert_eq!(record_all(&[(0, -0.0), (900, 1e9)]), [(0, 0.0), (900, 1e9)]);
}

#[test]
fn decreasing_usage_is_recorded_unchanged() {
    let usage = [(0, 5.0), (900, 10.0), (1_800, 9.9), (2_700, 0.0), (3_600, 0.5)];
    assert_eq!(record_all(&usage), usage);
}

#[test]
fn samples_from_a_clock_that_was_ahead_are_deleted_when_it_is_corrected() {
    let day = 86_400;
    assert_eq!(record_all(&[(0, 1.0), (20 * day, 2.0), (900, 2.0)]), [(0, 1.0), (900, 2.0)]);
    assert_eq!(record_all(&[(0, 1.0), (20 * day, 2.0), (900, 3.0)]), [(0, 1.0), (900, 3.0)]);
    // Also if all samples have a wrong time.
    assert_eq!(record_all(&[(20 * day, 0.0), (21 * day, 0.0), (0, 0.0)]), [(0, 0.0)]);
}

#[test]
fn sample_from_far_in_the_future_does_not_block_later_samples() {
    let years = 3 * RETENTION;
    for wrong in [(years, 1.0), (years, 2.0), (years, 9.0)] {
        let expected = [(900, 2.0), (1_800, 3.0)];
        assert_eq!(record_all(&[(0, 1.0), wrong, (900, 2.0), (1_800, 3.0)]), expected);
        assert_eq!(record_all(&[wrong, (900, 2.0), (1_800, 3.0)]), expected);
    }
}

#[test]
fn slower_process_inserts_samples_before_those_of_a_faster_one() {
    assert_eq!(
        record_all(&[(0, 1.0), (1_800, 3.0), (900, 2.0)]),
        [(0, 1.0), (900, 2.0), (1_800, 3.0)]
    );
    assert_eq!(record_all(&[(0, 1.0), (1_800, 3.0), (1_800, 2.0)]), [(0, 1.0), (1_800, 3.0)]);
}

#[test]
fn sample_from_a_clock_reset_to_the_epoch_is_ignored() {
    assert_eq!(record_all(&[(0, 1.0), (900, 2.0), (-NOW, 2.5)]), [(0, 1.0), (900, 2.0)]);
}

#[test]
fn unused_key_keeps_both_ends_of_the_retention_time() {
    assert_eq!(
        record_all(&[(0, 1.0), (RETENTION + 900, 1.0)]),
        [(900, 1.0), (RETENTION + 900, 1.0)]
    );
    assert_eq!(record_all(&[(0, 1.0), (RETENTION + 900, 2.0)]), [(RETENTION + 900, 2.0)]);
}

#[test]
fn last_sample_of_a_utc_day_is_kept() {
    // One sample per hour for ten days: those older than a week are reduced to one per day.
    let midnight = NOW - NOW.rem_euclid(DAY);
    let mut series = UsageSeries::default();
    for hour in 0..=240 {
        series.insert(UsagePoint {
            unix_seconds: midnight + hour * HOUR,
            microdollars: hour.unsigned_abs(),
            daily: None,
        });
    }
    let hours: Vec<u64> = series.0.iter().take(4).map(|point| point.microdollars).collect();
    assert_eq!(hours, [0, 23, 47, 71]);
}

#[test]
fn fields_of_a_newer_version_are_preserved() {
    let location = StoreLocation::in_memory();
    location
        .update(FILE_NAME, |samples: &mut UsageHistory| {
            samples.unknown.insert("later".into(), 1.into());
            samples.keys.entry("k".into()).or_default().unknown.insert("more".into(), 2.into());
        })
        .unwrap();
    record_usage(&location, &[("k", UsageSample::new(at(NOW), 1.0))]).unwrap();
    let samples: UsageHistory = location.read(FILE_NAME).unwrap();
    assert_eq!(
        (&samples.unknown["later"], &samples.keys["k"].unknown["more"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn invalid_and_newer_files_are_reported_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let location = StoreLocation::Directory(dir.path().to_owned());
    let path = dir.path().join(FILE_NAME);
    let rows = ["1", "1:x", "1:-1", "2:1 1:2", "1:1 1:1", "1:1000000000000001", "999999999999:1"];
    let rows = rows.map(|spent| format!("{{\"keys\": {{\"k\": {{\"spent\": \"{spent}\"}}}}}}"));
    let texts = ["{\"version\": 2}", "{", "[]"].map(String::from);
    for text in rows.iter().chain(&texts) {
        std::fs::write(&path, text).unwrap();
        assert!(
            record_usage(&location, &[("k", UsageSample::new(at(NOW), 1.0))]).is_err(),
            "{text}"
        );
        assert!(read_samples(&location).is_err(), "{text}");
        assert!(remove_key(&location, "k").is_err(), "{text}");
        assert_eq!(&std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// Generates time steps in seconds and the spending in each, in microdollars.
fn steps() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![60..900_i64, 3_000..5_000_i64, 20_000..400_000_i64];
    let spent = prop_oneof![Just(0_u64), 1..5_000_000_u64];
    prop::collection::vec((step, spent), 1..900)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn series_is_bounded_and_keeps_its_ends(steps in steps()) {
        let mut all = vec![(0, 0)];
        for (step, spent) in steps {
            let (at, usage) = all[all.len() - 1];
            all.push((at + step, usage + spent));
        }
        let mut series = series(&all);
        let (last_at, last_usage) = all[all.len() - 1];
        prop_assert!(series.0.len() <= 400, "{}", series.0.len());
        let last = series.0[series.0.len() - 1];
        prop_assert_eq!((last.unix_seconds, last.microdollars), (NOW + last_at, last_usage));
        if last_at <= RETENTION {
            prop_assert_eq!(series.0.first(), Some(&UsagePoint { unix_seconds: NOW, microdollars: 0, daily: None }));
        }
        prop_assert!(series.0.is_sorted_by(|a, b| a.unix_seconds < b.unix_seconds));
        let once = series.clone();
        series.downsample(NOW + last_at);
        prop_assert_eq!(&series, &once);
        let history = KeyHistory { spent: once.clone(), ..KeyHistory::default() };
        let text = serde_json::to_string(&history).unwrap();
        prop_assert_eq!(serde_json::from_str::<KeyHistory>(&text).unwrap().spent, once);
    }

    #[test]
    fn series_is_ordered_and_bounded_for_any_clock(
        samples in prop::collection::vec((-2 * RETENTION..2 * RETENTION, 0..100_u64), 1..900)
    ) {
        let series = series(&samples);
        prop_assert!(series.0.is_sorted_by(|a, b| a.unix_seconds < b.unix_seconds));
        prop_assert!(series.0.len() <= 800, "{}", series.0.len());
    }
}

#[test]
fn refresh_every_minute_for_weeks_stays_small() {
    let mut series = UsageSeries::default();
    for minute in 0..70 * 24 * 60 {
        series.insert(UsagePoint {
            unix_seconds: NOW + minute * 60,
            microdollars: minute.unsigned_abs(),
            daily: Some(minute.unsigned_abs() % 1_440),
        });
    }
    assert!((300..=400).contains(&series.0.len()), "{}", series.0.len());
}
