//! The lifetime usage of a key over time: what samples and known days say about it.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

use super::DailySpending;
use super::text::to_utc;

/// Two amounts that differ by this many USD or less are the same: samples have microdollars.
const ROUNDING_USD: f64 = 0.000_002_5;

/// What the server reported about the usage of a key at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSample {
    /// When it was recorded.
    pub at: Timestamp,
    /// Lifetime usage in USD.
    pub usage: f64,
    /// Usage of the UTC day of `at` in USD, if reported.
    pub usage_daily: Option<f64>,
}

impl UsageSample {
    /// Returns a sample without the usage of its day.
    pub const fn new(at: Timestamp, usage: f64) -> Self {
        Self { at, usage, usage_daily: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// Seconds since the epoch.
    at: f64,
    /// USD.
    usage: f64,
    /// Whether it counts as a reading; the others were derived from one.
    is_reading: bool,
    /// Whether the server reported less than before, so that the usage is that of an earlier time.
    is_late: bool,
}

/// Points in ascending order of time; usage never decreases.
#[derive(Debug)]
pub(super) struct UsageCurve(Vec<Point>);

impl UsageCurve {
    /// Builds the curve from the samples until `now`. Ignores a sample that is not later than the
    /// one before it or is not a finite number.
    ///
    /// A small decrease is a correction by the server or a replica that lags behind: the highest
    /// value is used until usage exceeds it, so that fluctuation does not count as spending. A
    /// decrease to less than half is a restart from that value, and later increases count.
    ///
    /// The usage of a day, subtracted from the lifetime usage, is the usage at the midnight before.
    pub(super) fn new(samples: impl IntoIterator<Item = UsageSample>, now: Timestamp) -> Self {
        let mut curve = Self(Vec::new());
        let (mut base, mut high) = (0.0, 0.0);
        for sample in samples {
            let at = to_epoch_seconds(sample.at);
            let is_repeated = curve.0.last().is_some_and(|last| at <= last.at);
            if is_repeated || sample.at > now || !sample.usage.is_finite() {
                continue;
            }
            if sample.usage < high / 2.0 {
                base += high - sample.usage;
                high = sample.usage;
            }
            let is_late = sample.usage < high;
            let daily = sample.usage_daily.filter(|daily| !is_late && daily.is_finite());
            high = sample.usage.max(high);
            let usage = base + high;
            curve.0.push(Point { at, usage, is_reading: true, is_late });
            if let Some(daily) = daily {
                curve.pin(midnight(to_utc(sample.at).date()), usage - daily, false);
            }
        }
        curve
    }

    /// Adds the beginning of each known day whose end is known, from the latest to the earliest.
    pub(super) fn pin_days(&mut self, days: &DailySpending) {
        for day in days.iter().rev() {
            let (start, end) = (midnight(day.0), midnight(day.0.saturating_add(1.day())));
            let index = self.0.partition_point(|point| point.at < end);
            let Some(next) = self.0.get(index).filter(|point| point.at <= end) else { continue };
            self.pin(start, next.usage - day.1, true);
        }
    }

    /// Adds a derived point, unless it contradicts its neighbours: then a clock or the server was
    /// wrong, and the time between them stays unknown.
    fn pin(&mut self, at: f64, usage: f64, is_reading: bool) {
        let index = self.0.partition_point(|point| point.at < at);
        let before = index.checked_sub(1).map_or(f64::NEG_INFINITY, |before| self.0[before].usage);
        let after = self.0.get(index).map_or((f64::INFINITY, f64::INFINITY), |p| (p.at, p.usage));
        let is_known = after.0 <= at;
        if is_known || usage < before.max(0.0) - ROUNDING_USD || usage > after.1 + ROUNDING_USD {
            return;
        }
        let usage = usage.max(0.0).max(before).min(after.1);
        self.0.insert(index, Point { at, usage, is_reading, is_late: false });
    }

    /// Returns the times of the first and the last point.
    pub(super) fn time_bounds(&self) -> Option<(f64, f64)> {
        Some((self.0.first()?.at, self.0.last()?.at))
    }

    /// Returns the number of readings from `start` on, including the last one before it.
    pub(super) fn count_readings(&self, start: f64) -> usize {
        let split = self.0.partition_point(|point| point.at <= start);
        let (before, after) = self.0.split_at(split);
        let count = |points: &[Point]| points.iter().filter(|point| point.is_reading).count();
        count(after) + count(before).min(1)
    }

    /// Returns the spending between two times, interpolated linearly between points. Before the
    /// first and after the last point it is zero.
    pub(super) fn spent_between(&self, from: f64, to: f64) -> f64 {
        (self.usage_at(to) - self.usage_at(from)).max(0.0)
    }

    fn usage_at(&self, at: f64) -> f64 {
        let next = self.0.partition_point(|point| point.at <= at);
        match (next.checked_sub(1).map(|before| self.0[before]), self.0.get(next)) {
            (Some(a), Some(b)) => a.usage + (b.usage - a.usage) * ((at - a.at) / (b.at - a.at)),
            (Some(end), None) => end.usage,
            (None, Some(start)) => start.usage,
            (None, None) => 0.0,
        }
    }

    /// Returns what was spent on a UTC day, or until the last sample if that is of `today`. `None` if
    /// the samples do not say it exactly.
    pub(super) fn spent_on(&self, date: Date, today: Date) -> Option<f64> {
        let start = self.exact_usage_at(midnight(date))?;
        let end_of_day = midnight(date.saturating_add(1.day()));
        let end = match self.exact_usage_at(end_of_day) {
            Some(end) => end,
            None if date == today => {
                let last = self.0.last()?;
                (last.at >= midnight(date)).then_some(last.usage)?
            }
            None => return None,
        };
        let spent = end - start;
        Some(if spent <= ROUNDING_USD { 0.0 } else { spent })
    }

    /// Returns the usage at a time if it is known without interpolation: there is a point, or nothing
    /// was spent between the points around it.
    fn exact_usage_at(&self, at: f64) -> Option<f64> {
        let next = self.0.partition_point(|point| point.at < at);
        match (next.checked_sub(1).map(|before| self.0[before]), self.0.get(next)) {
            (_, Some(point)) if point.at <= at => (!point.is_late).then_some(point.usage),
            (Some(a), Some(b)) if a.is_late || b.is_late => None,
            (Some(a), Some(b)) => (b.usage - a.usage <= ROUNDING_USD).then_some(a.usage),
            // Usage cannot have been below zero before.
            (None, Some(first)) => (first.usage <= ROUNDING_USD).then_some(0.0),
            (_, None) => None,
        }
    }
}

/// Returns the seconds since the epoch at which a UTC day begins.
fn midnight(date: Date) -> f64 {
    Offset::UTC.to_timestamp(date.into()).map_or(f64::INFINITY, to_epoch_seconds)
}

/// Returns whole seconds since the epoch, the precision of `samples.json`, so that a check and its
/// sample have the same time.
#[expect(clippy::cast_precision_loss, reason = "a timestamp's seconds are below 2^53")]
pub(super) fn to_epoch_seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

#[cfg(test)]
mod tests;
