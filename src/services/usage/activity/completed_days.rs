//! Which completed days of the activity are known, which are final, and when they are read again.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::{
    ActivityRow, DailySpending, ModelUse, from_nanodollars, to_nanodollars, utc_date,
};
use crate::services::usage::{ACTIVITY_DAYS, first_day};
use crate::storage::activity_cache::CachedActivity;

/// How long after its end a day becomes final: the server may add to it for a while.
pub const SETTLING_TIME: SignedDuration = SignedDuration::from_hours(6);

/// How long after its end the dashboard reads a day: at once; when the requests that were still
/// running have ended, as OpenRouter recommends; and when it is final.
const READING_TIMES: [SignedDuration; 3] =
    [SignedDuration::ZERO, SignedDuration::from_mins(30), SETTLING_TIME];

/// Returns the days of an entry from `from` on. A day without a row had no spending.
pub fn to_days(activity: &CachedActivity, from: Date) -> DailySpending {
    let mut days = DailySpending::new();
    let mut totals: BTreeMap<Date, i64> = BTreeMap::new();
    let first = activity.from.max(from);
    for date in first.series(1.day()).take_while(|date| *date <= activity.to) {
        totals.insert(date, 0);
    }
    for model_use in &activity.uses {
        if let Some(total) = totals.get_mut(&model_use.date) {
            *total = total.saturating_add(to_nanodollars(model_use.usage).unwrap_or(0));
        }
    }
    for (date, total) in totals {
        days.set(date, from_nanodollars(total));
    }
    days
}

impl CachedActivity {
    /// Returns the last of the days that were read this long after their end.
    pub(super) fn days_to(&self, after_end: SignedDuration) -> Date {
        self.to.min(last_day(self.read_at, after_end))
    }

    /// Returns whether each day was read as often as is needed by now.
    pub(super) fn is_up_to_date(&self, now: Timestamp) -> bool {
        READING_TIMES.iter().all(|&after| self.days_to(after) >= last_day(now, after))
    }
}

/// Returns the last day that ended this long before `now`.
fn last_day(now: Timestamp, after_end: SignedDuration) -> Date {
    utc_date(now.saturating_sub(after_end).unwrap_or(now)).saturating_sub(1.day())
}

/// Returns the last day to which the server adds nothing any more.
pub fn last_final_day(now: Timestamp) -> Date {
    last_day(now, SETTLING_TIME)
}

/// Merges the cached final days with the days that the server reported on `today`, and returns all
/// completed days.
///
/// Of the thirty days that the server reports the first one is left out: its clock may be ahead of the
/// one that says what today is.
pub fn merge(
    cached: Option<CachedActivity>,
    rows: &[ActivityRow],
    today: Date,
    now: Timestamp,
) -> CachedActivity {
    let first = first_day(today, ACTIVITY_DAYS);
    let yesterday = today.saturating_sub(1.day());
    // Days between what is cached and what is reported would be unknown.
    let is_recent = |to: Date| (first.saturating_sub(1.day())..today).contains(&to);
    let cached = cached.filter(|entry| is_recent(entry.days_to(SETTLING_TIME)));
    let (from, known_to, mut uses) = match cached {
        Some(entry) => (entry.from, Some(entry.days_to(SETTLING_TIME)), entry.uses),
        None => (first, None, Vec::new()),
    };
    uses.retain(|model_use| known_to.is_some_and(|known_to| model_use.date <= known_to));
    let mut added: BTreeMap<(Date, &str), (u64, i64)> = BTreeMap::new();
    for row in rows {
        let is_new = known_to.is_none_or(|known_to| row.date > known_to);
        if is_new && (first..=yesterday).contains(&row.date) {
            let sum = added.entry((row.date, &row.model)).or_default();
            sum.0 = sum.0.saturating_add(row.requests);
            sum.1 = sum.1.saturating_add(to_nanodollars(row.usage).unwrap_or(0));
        }
    }
    uses.extend(added.into_iter().map(|((date, model), (requests, usage))| ModelUse {
        date,
        model: model.to_owned(),
        requests,
        usage: from_nanodollars(usage),
    }));
    CachedActivity { from, to: yesterday, read_at: now, uses }
}
