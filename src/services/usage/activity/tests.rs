//! What is final, what is cached, and days whose boundaries are not certain.

use jiff::Timestamp;

use super::*;
use crate::domain::{ActivityRow, ModelUse};

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn row(date: &str, model: &str, usage: f64) -> ActivityRow {
    ActivityRow { date: day(date), model: model.into(), requests: 3, usage }
}

fn merge_at(cached: Option<CachedActivity>, rows: &[ActivityRow], now: &str) -> CachedActivity {
    merge(cached, rows, day(&now[..10]), now.parse().unwrap())
}

#[test]
fn a_day_is_known_at_once_and_final_some_hours_after_its_end() {
    let rows = [row("2026-11-26", "a", 1.0), row("2026-11-25", "a", 2.0)];
    for (now, last) in [
        ("2026-11-27T00:00:10Z", "2026-11-25"),
        ("2026-11-27T05:59:59Z", "2026-11-25"),
        ("2026-11-27T06:00:00Z", "2026-11-26"),
    ] {
        let entry = merge_at(None, &rows, now);
        assert_eq!(
            (entry.to, entry.days_to(SETTLING_TIME)),
            (day("2026-11-26"), day(last)),
            "{now}"
        );
        assert_eq!(to_days(&entry, entry.from).get(day("2026-11-26")), Some(1.0));
        // What the server added meanwhile counts.
        let rows = [row("2026-11-26", "a", 5.0), row("2026-11-25", "a", 5.0)];
        let later = merge_at(Some(entry), &rows, "2026-11-27T06:10:00Z");
        let usd = if last == "2026-11-25" { 5.0 } else { 1.0 };
        let days = to_days(&later, later.from);
        assert_eq!(days.get(day("2026-11-26")), Some(usd), "{now}");
        assert_eq!(days.get(day("2026-11-25")), Some(2.0), "{now}");
    }
}

#[test]
fn a_day_is_read_at_once_after_half_an_hour_and_when_it_is_final() {
    for (read_at, now, expected) in [
        ("2026-11-27T23:59:00Z", "2026-11-28T00:00:10Z", false),
        ("2026-11-28T00:11:00Z", "2026-11-28T00:29:00Z", true),
        ("2026-11-28T00:11:00Z", "2026-11-28T00:30:00Z", false),
        ("2026-11-28T00:30:00Z", "2026-11-28T05:59:00Z", true),
        ("2026-11-28T00:30:00Z", "2026-11-28T06:00:00Z", false),
        ("2026-11-28T06:00:00Z", "2026-11-28T23:59:00Z", true),
        ("2026-11-28T06:00:00Z", "2026-11-29T00:00:00Z", false),
    ] {
        let entry = merge_at(None, &[], read_at);
        assert_eq!(entry.is_up_to_date(now.parse().unwrap()), expected, "{read_at} {now}");
    }
    // An older version wrote final days only, without the time.
    let mut old = merge_at(None, &[], "2026-11-28T00:11:00Z");
    old.read_at = Timestamp::MAX;
    assert!(old.is_up_to_date("2026-11-28T12:00:00Z".parse().unwrap()));
    assert!(!old.is_up_to_date("2026-11-29T00:11:00Z".parse().unwrap()));
}

#[test]
fn final_days_do_not_change_and_new_ones_are_added() {
    let first = merge_at(None, &[row("2026-11-20", "a", 1.0)], "2026-11-21T12:00:00Z");
    let rows =
        [row("2026-11-20", "a", 99.0), row("2026-11-22", "a", 0.5), row("2026-11-22", "a", 0.25)];
    let entry = merge_at(Some(first.clone()), &rows, "2026-11-23T12:00:00Z");
    let days = to_days(&entry, day("2026-11-19"));
    let found: Vec<_> = days.last_days(day("2026-11-23"), 5).map(|(_, usd)| usd).collect();
    assert_eq!(found, [Some(0.0), Some(1.0), Some(0.0), Some(0.75), None]);
    assert_eq!(entry.from, first.from);
}

#[test]
fn a_gap_after_the_cached_days_begins_a_new_entry() {
    let old = CachedActivity {
        from: day("2026-08-01"),
        to: day("2026-09-01"),
        read_at: "2026-09-02T12:00:00Z".parse().unwrap(),
        uses: vec![ModelUse {
            date: day("2026-08-05"),
            model: "a".into(),
            requests: 1,
            usage: 1.0,
        }],
    };
    let all = merge_at(Some(old), &[], "2026-11-23T12:00:00Z");
    assert_eq!((all.from, all.uses.len()), (day("2026-10-25"), 0));
    // A cache from a clock that was ahead is not used.
    let ahead = CachedActivity {
        from: day("2026-11-01"),
        to: day("2026-12-24"),
        read_at: "2026-12-25T12:00:00Z".parse().unwrap(),
        uses: Vec::new(),
    };
    let all = merge_at(Some(ahead), &[row("2026-11-22", "a", 2.0)], "2026-11-23T12:00:00Z");
    assert_eq!(all.to, day("2026-11-22"));
    assert_eq!(to_days(&all, all.from).get(day("2026-11-22")), Some(2.0));
}

#[test]
fn rows_of_the_present_day_and_of_days_that_are_not_covered_are_left_out() {
    let rows =
        [row("2026-11-23", "a", 5.0), row("2026-10-24", "a", 7.0), row("2026-10-25", "a", 1.0)];
    let all = merge_at(None, &rows, "2026-11-23T12:00:00Z");
    assert_eq!(all.uses.iter().map(|model_use| model_use.usage).collect::<Vec<_>>(), [1.0]);
}
