//! What is remembered, for how long and how finely, whatever clocks and servers do.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_790_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What remains of `(seconds from NOW, USD)` when they are recorded one after another.
fn kept(read: &[(i64, f64)]) -> Vec<(i64, f64)> {
    let place = StoreLocation::in_memory();
    for (second, usage) in read {
        record_usage(&place, &[("k", at(NOW + second), *usage)]).unwrap();
    }
    let samples = read_samples(&place).unwrap().remove("k").unwrap_or_default();
    samples.iter().map(|sample| (sample.at.as_second() - NOW, sample.usage)).collect()
}

fn line(points: &[(i64, u64)]) -> UsageSeries {
    let mut line = UsageSeries::default();
    for (at, usage) in points {
        line.insert(UsagePoint { unix_seconds: NOW + at, microdollars: *usage });
    }
    line
}

#[test]
fn each_key_has_its_own_samples_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    record_usage(&place, &[("a", at(NOW), 1.5), ("b", at(NOW), 0.0), ("a", at(NOW + 900), 2.0)])
        .unwrap();
    let all = read_samples(&place).unwrap();
    let first = UsageSample { at: at(NOW), usage: 1.5 };
    assert_eq!(all["a"], [first, UsageSample { at: at(NOW + 900), usage: 2.0 }]);
    assert_eq!(all["b"], [UsageSample { at: at(NOW), usage: 0.0 }]);
    assert!(remove_key(&place, "a").unwrap());
    assert!(!remove_key(&place, "a").unwrap());
    assert_eq!(read_samples(&place).unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_key_is_one_line_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    for hour in 0..48_u32 {
        let time = at(NOW + i64::from(hour) * HOUR);
        record_usage(&place, &[("a", time, f64::from(hour) * 0.1)]).unwrap();
    }
    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert!(text.contains("\"spent\": \"1790000000:0 1790003600:100000 1790007200:200000 "));
    assert_eq!(text.lines().count(), 8, "{text}");
}

#[test]
fn while_nothing_is_spent_only_the_last_time_moves() {
    assert_eq!(
        kept(&[(0, 1.0), (900, 1.0), (1_800, 1.0), (2_700, 1.0), (3_600, 2.0), (4_500, 2.0)]),
        [(0, 1.0), (2_700, 1.0), (3_600, 2.0), (4_500, 2.0)]
    );
}

#[test]
fn what_is_no_amount_is_passed_over() {
    for usage in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.01, 1e12, f64::MAX] {
        assert_eq!(kept(&[(0, 1.0), (900, usage), (1_800, 2.0)]), [(0, 1.0), (1_800, 2.0)]);
        let place = StoreLocation::in_memory();
        record_usage(&place, &[("k", at(NOW), usage)]).unwrap();
        assert_eq!(read_samples(&place).unwrap().len(), 0, "{usage}");
    }
    assert_eq!(kept(&[(0, -0.0), (900, 1e9)]), [(0, 0.0), (900, 1e9)]);
}

#[test]
fn usage_that_goes_down_is_remembered_as_it_was_said() {
    let read = [(0, 5.0), (900, 10.0), (1_800, 9.9), (2_700, 0.0), (3_600, 0.5)];
    assert_eq!(kept(&read), read);
}

#[test]
fn samples_of_a_clock_that_ran_ahead_go_when_it_is_put_right() {
    let day = 86_400;
    assert_eq!(kept(&[(0, 1.0), (20 * day, 2.0), (900, 2.0)]), [(0, 1.0), (900, 2.0)]);
    assert_eq!(kept(&[(0, 1.0), (20 * day, 2.0), (900, 3.0)]), [(0, 1.0), (900, 3.0)]);
    // Even where all were stamped too late.
    assert_eq!(kept(&[(20 * day, 0.0), (21 * day, 0.0), (0, 0.0)]), [(0, 0.0)]);
}

#[test]
fn a_slower_keywright_fills_in_what_a_quicker_one_has_passed() {
    assert_eq!(kept(&[(0, 1.0), (1_800, 3.0), (900, 2.0)]), [(0, 1.0), (900, 2.0), (1_800, 3.0)]);
    assert_eq!(kept(&[(0, 1.0), (1_800, 3.0), (1_800, 2.0)]), [(0, 1.0), (1_800, 3.0)]);
}

#[test]
fn a_clock_set_back_to_the_epoch_costs_no_sample() {
    assert_eq!(kept(&[(0, 1.0), (900, 2.0), (-NOW, 2.5)]), [(0, 1.0), (900, 2.0)]);
}

#[test]
fn a_key_at_rest_for_more_than_a_year_keeps_both_ends_of_the_year() {
    assert_eq!(kept(&[(0, 1.0), (RETENTION + 900, 1.0)]), [(900, 1.0), (RETENTION + 900, 1.0)]);
    assert_eq!(kept(&[(0, 1.0), (RETENTION + 900, 2.0)]), [(RETENTION + 900, 2.0)]);
}

#[test]
fn the_last_sample_of_a_utc_day_outlives_the_others() {
    // Every hour for ten days; what is older than a week is left with one a day.
    let midnight = NOW - NOW.rem_euclid(DAY);
    let mut line = UsageSeries::default();
    for hour in 0..=240 {
        line.insert(UsagePoint {
            unix_seconds: midnight + hour * HOUR,
            microdollars: hour.unsigned_abs(),
        });
    }
    let hours: Vec<u64> = line.0.iter().take(4).map(|point| point.microdollars).collect();
    assert_eq!(hours, [0, 23, 47, 71]);
}

#[test]
fn fields_of_another_version_are_kept() {
    let place = StoreLocation::in_memory();
    place
        .update(FILE_NAME, |samples: &mut UsageHistory| {
            samples.unknown.insert("later".into(), 1.into());
            samples.keys.entry("k".into()).or_default().unknown.insert("more".into(), 2.into());
        })
        .unwrap();
    record_usage(&place, &[("k", at(NOW), 1.0)]).unwrap();
    let samples: UsageHistory = place.read(FILE_NAME).unwrap();
    assert_eq!(
        (&samples.unknown["later"], &samples.keys["k"].unknown["more"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn broken_and_newer_files_are_said_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let place = StoreLocation::Directory(dir.path().to_owned());
    let path = dir.path().join(FILE_NAME);
    let rows = ["1", "1:x", "1:-1", "2:1 1:2", "1:1 1:1", "1:1000000000000001", "999999999999:1"];
    let rows = rows.map(|spent| format!("{{\"keys\": {{\"k\": {{\"spent\": \"{spent}\"}}}}}}"));
    let texts = ["{\"version\": 2}", "{", "[]"].map(String::from);
    for text in rows.iter().chain(&texts) {
        std::fs::write(&path, text).unwrap();
        assert!(record_usage(&place, &[("k", at(NOW), 1.0)]).is_err(), "{text}");
        assert!(read_samples(&place).is_err(), "{text}");
        assert!(remove_key(&place, "k").is_err(), "{text}");
        assert_eq!(&std::fs::read_to_string(&path).unwrap(), text);
    }
}

/// Steps of a clock that only runs forward, and what was spent in each, in microdollars.
fn steps() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![60..900_i64, 3_000..5_000_i64, 20_000..400_000_i64];
    let spent = prop_oneof![Just(0_u64), 1..5_000_000_u64];
    prop::collection::vec((step, spent), 1..900)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn a_key_is_bounded_and_keeps_its_ends(steps in steps()) {
        let mut all = vec![(0, 0)];
        for (step, spent) in steps {
            let (at, usage) = all[all.len() - 1];
            all.push((at + step, usage + spent));
        }
        let mut line = line(&all);
        let (last_at, last_usage) = all[all.len() - 1];
        prop_assert!(line.0.len() <= 400, "{}", line.0.len());
        prop_assert_eq!(line.0.last(), Some(&UsagePoint { unix_seconds: NOW + last_at, microdollars: last_usage }));
        if last_at <= RETENTION {
            prop_assert_eq!(line.0.first(), Some(&UsagePoint { unix_seconds: NOW, microdollars: 0 }));
        }
        prop_assert!(line.0.is_sorted_by(|a, b| a.unix_seconds < b.unix_seconds));
        let once = line.clone();
        line.downsample(NOW + last_at);
        prop_assert_eq!(&line, &once);
        prop_assert_eq!(UsageSeries::try_from(String::from(once.clone())), Ok(once));
    }

    #[test]
    fn whatever_the_clock_does_a_key_is_ordered_and_bounded(
        read in prop::collection::vec((-2 * RETENTION..2 * RETENTION, 0..100_u64), 1..900)
    ) {
        let line = line(&read);
        prop_assert!(line.0.is_sorted_by(|a, b| a.unix_seconds < b.unix_seconds));
        prop_assert!(line.0.len() <= 800, "{}", line.0.len());
    }
}

#[test]
fn a_refresh_every_minute_for_weeks_stays_small() {
    let mut line = UsageSeries::default();
    for minute in 0..70 * 24 * 60 {
        line.insert(UsagePoint {
            unix_seconds: NOW + minute * 60,
            microdollars: minute.unsigned_abs(),
        });
    }
    assert!((300..=400).contains(&line.0.len()), "{}", line.0.len());
}
