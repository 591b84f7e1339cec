//! What is final, what is cached, and days whose boundaries are not certain.

use super::*;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn row(date: &str, model: &str, usage: f64) -> ActivityRow {
    ActivityRow {
        date: day(date),
        model: model.into(),
        provider: "p".into(),
        requests: 3,
        prompt_tokens: 0,
        completion_tokens: 0,
        usage,
        byok_usage: 0.0,
    }
}

fn merge_at(
    cached: Option<CachedActivity>,
    rows: &[ActivityRow],
    now: &str,
) -> (CachedActivity, Option<CachedActivity>) {
    merge(cached, rows, day(&now[..10]), now.parse().unwrap())
}

#[test]
fn a_day_is_final_some_hours_after_its_end() {
    let rows = [row("2026-11-26", "a", 1.0), row("2026-11-25", "a", 2.0)];
    for (now, last) in [
        ("2026-11-27T00:30:00Z", "2026-11-25"),
        ("2026-11-27T05:59:59Z", "2026-11-25"),
        ("2026-11-27T06:00:00Z", "2026-11-26"),
    ] {
        let (all, stored) = merge_at(None, &rows, now);
        let stored = stored.unwrap();
        assert_eq!((all.to, stored.to), (day("2026-11-26"), day(last)), "{now}");
        assert_eq!(to_days(&all, all.from).get(day("2026-11-26")), Some(1.0));
        assert!(stored.uses.iter().all(|model_use| model_use.date <= stored.to));
    }
}

#[test]
fn final_days_do_not_change_and_new_ones_are_added() {
    let (_, first) = merge_at(None, &[row("2026-11-20", "a", 1.0)], "2026-11-21T12:00:00Z");
    let rows =
        [row("2026-11-20", "a", 99.0), row("2026-11-22", "a", 0.5), row("2026-11-22", "a", 0.25)];
    let (all, stored) = merge_at(first.clone(), &rows, "2026-11-23T12:00:00Z");
    let days = to_days(&all, day("2026-11-19"));
    let found: Vec<_> = days.last_days(day("2026-11-23"), 5).map(|(_, usd)| usd).collect();
    assert_eq!(found, [Some(0.0), Some(1.0), Some(0.0), Some(0.75), None]);
    assert_eq!(stored.unwrap().from, first.unwrap().from);
}

#[test]
fn a_gap_after_the_cached_days_begins_a_new_entry() {
    let old = CachedActivity {
        from: day("2026-08-01"),
        to: day("2026-09-01"),
        uses: vec![ModelUse {
            date: day("2026-08-05"),
            model: "a".into(),
            requests: 1,
            usage: 1.0,
        }],
    };
    let (all, _) = merge_at(Some(old), &[], "2026-11-23T12:00:00Z");
    assert_eq!((all.from, all.uses.len()), (day("2026-10-25"), 0));
    // A cache from a clock that was ahead is not used.
    let ahead = CachedActivity { from: day("2026-11-01"), to: day("2026-12-24"), uses: Vec::new() };
    let (all, stored) =
        merge_at(Some(ahead), &[row("2026-11-22", "a", 2.0)], "2026-11-23T12:00:00Z");
    assert_eq!((all.to, stored.unwrap().to), (day("2026-11-22"), day("2026-11-22")));
    assert_eq!(to_days(&all, all.from).get(day("2026-11-22")), Some(2.0));
}

#[test]
fn rows_of_the_present_day_and_of_days_that_are_not_covered_are_left_out() {
    let rows =
        [row("2026-11-23", "a", 5.0), row("2026-10-24", "a", 7.0), row("2026-10-25", "a", 1.0)];
    let (all, _) = merge_at(None, &rows, "2026-11-23T12:00:00Z");
    assert_eq!(all.uses.iter().map(|model_use| model_use.usage).collect::<Vec<_>>(), [1.0]);
}
