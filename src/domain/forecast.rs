//! Where a key's spending leads: its pace, when that reaches the limit, and how sure that is.
//! Owns the reckoning and its words. Must not know: where samples are kept, clocks.

mod curve;
mod words;

pub use curve::{UsageSample, spending_series};

use jiff::{SignedDuration, Timestamp};

use super::text::to_utc;
use super::{KeyInfo, KeyState, ResetInterval, StoredKey};
use curve::{UsageCurve, to_epoch_seconds};

const SECONDS_PER_HOUR: f64 = 3_600.0;
const SECONDS_PER_DAY: f64 = 24.0 * SECONDS_PER_HOUR;
/// Further ahead nothing is foretold.
const MAX_HORIZON_SECONDS: f64 = 365.0 * SECONDS_PER_DAY;

/// What ends the time that a forecast is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodEnd {
    /// What was spent starts again at zero.
    Reset,
    /// The key works no more.
    Expiry,
}

/// USD spent of the limit, at the slowest, the usual and the fastest pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpentEstimate {
    /// At the slowest.
    pub low: f64,
    /// At the usual pace.
    pub likely: f64,
    /// At the fastest.
    pub high: f64,
}

/// Where the spending of a key leads if it goes on as before. Times are `None` where the limit is
/// not reached before `end`, or within a year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// USD a day.
    pub usd_per_day: f64,
    /// USD.
    pub limit: f64,
    /// When the limit is reached at this pace.
    pub reached_at: Option<Timestamp>,
    /// The same at the fastest pace that is plausible; never after `reached`.
    pub earliest_reached_at: Option<Timestamp>,
    /// The same at the slowest; never before `reached`.
    pub latest_reached_at: Option<Timestamp>,
    /// The next reset or the expiry, whichever comes first, if within a year.
    pub period_end: Option<(Timestamp, PeriodEnd)>,
    /// What will have been spent of the limit at `end`.
    pub spent_at_end: Option<SpentEstimate>,
    /// How many samples this rests on,
    pub sample_count: usize,
    /// and over how long.
    pub sampled_span: SignedDuration,
}

/// The part of the past from which a pace is taken.
struct SpendingHistory {
    curve: UsageCurve,
    /// Seconds since the epoch.
    start: f64,
    span: f64,
    sample_count: usize,
    /// USD a second.
    usd_per_second: f64,
}

impl SpendingHistory {
    /// The last `days`, or as much of them as is known. `None` where that cannot carry a pace:
    /// fewer than three samples, less than an hour, or nothing new for a day.
    fn new(
        samples: impl IntoIterator<Item = UsageSample>,
        now: Timestamp,
        days: f64,
    ) -> Option<Self> {
        let curve = UsageCurve::new(samples, now);
        let (first, last) = curve.time_bounds()?;
        let start = first.max(to_epoch_seconds(now) - days * SECONDS_PER_DAY);
        let (span, samples) = (last - start, curve.count_samples(start));
        if samples < 3 || span < SECONDS_PER_HOUR || to_epoch_seconds(now) - last > SECONDS_PER_DAY
        {
            return None;
        }
        let pace = curve.spent_between(start, last) / span;
        Some(Self { curve, start, span, sample_count: samples, usd_per_second: pace })
    }

    /// Whether anything was spent in the later half: a burst that is long over foretells nothing.
    fn is_ongoing(&self) -> bool {
        let end = self.start + self.span;
        self.curve.spent_between(end - self.span / 2.0, end) > 0.0
    }

    /// The slowest and the fastest pace that are plausible for the next `ahead` seconds.
    ///
    /// No distribution is assumed: spending comes in bursts, with nights and weekends. Instead a
    /// window as long as the time ahead (at most half of the past, or there would be little to
    /// compare) slides over the past, and its emptiest and fullest places are the bounds. Few
    /// samples hide what went on between them, so the bounds are never closer to the pace than
    /// one part in as many as there are samples. And further ahead than the past reaches back
    /// there may be a pause which it could not show: the slowest pace is that of a past which
    /// is followed by nothing.
    fn rate_bounds(&self, ahead: f64) -> (f64, f64) {
        const STEPS: u32 = 48;
        let window = ahead.clamp(self.span / 8.0, self.span / 2.0);
        let (mut slow, mut fast) = (self.usd_per_second, self.usd_per_second);
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let from = self.start + (self.span - window) * share;
            let pace = self.curve.spent_between(from, from + window) / window;
            (slow, fast) = (slow.min(pace), fast.max(pace));
        }
        let part =
            self.usd_per_second / u32::try_from(self.sample_count).map_or(f64::INFINITY, f64::from);
        let slow = slow.min(self.usd_per_second - part) * (self.span / ahead).min(1.0);
        (slow, fast.max(self.usd_per_second + part))
    }
}

/// What a key spends, in USD a day, over the last week. Where samples cannot say (see
/// [`forecast`]), what the server counted since Monday, or since the first of the month, once a
/// day of it has passed; for a key that was cut since then that is too little.
pub fn daily_spending(
    samples: &[UsageSample],
    reading: Option<&KeyInfo>,
    now: Timestamp,
) -> Option<f64> {
    if let Some(past) = SpendingHistory::new(samples.iter().copied(), now, 7.0) {
        return Some(past.usd_per_second * SECONDS_PER_DAY);
    }
    let today = to_utc(now).date();
    let days = |whole: i8| {
        let time = to_epoch_seconds(now).rem_euclid(SECONDS_PER_DAY) / SECONDS_PER_DAY;
        Some(f64::from(whole) + time).filter(|days| *days >= 1.0)
    };
    let counted = |usage: Option<f64>, days: Option<f64>| Some(usage? / days?);
    let reading = reading?;
    counted(reading.usage_weekly, days(today.weekday().to_monday_zero_offset()))
        .or_else(|| counted(reading.usage_monthly, days(today.day() - 1)))
        .filter(|burn| burn.is_finite() && *burn >= 0.0)
}

/// Where the spending of `held` leads. The past is a whole day, week or fortnight, as the window
/// goes, so that nights and weekends weigh what they should.
///
/// `None` where nothing honest can be said: no limit; a key that is dead, off, expired or at its
/// limit; figures that are stale or of a window that has ended; fewer than three samples or less
/// than an hour of them; nothing spent lately; a limit that counts the owner's provider keys too,
/// of which samples know nothing.
pub fn forecast_spending(
    samples: &[UsageSample],
    held: &StoredKey,
    now: Timestamp,
) -> Option<Forecast> {
    if !matches!(held.state(now), KeyState::Active | KeyState::Low | KeyState::Expiring) {
        return None;
    }
    let reading = held.info.as_ref()?;
    let byok = reading.byok_usage.is_some_and(|usage| usage > 0.0);
    if byok && reading.include_byok_in_limit == Some(true) {
        return None;
    }
    let limit = held.limit().filter(|limit| limit.is_finite())?;
    let remaining = held.remaining(now).filter(|left| left.is_finite() && *left > 0.0)?;
    // A clock that was set back since the reading knows nothing of what lies between.
    let read_at = held.checked_at?.min(now);
    let days = match held.reset() {
        Some(ResetInterval::Daily) => 1.0,
        Some(ResetInterval::Weekly) => 7.0,
        Some(ResetInterval::Monthly) | None => 14.0,
    };
    // The last answer may not be among the samples yet.
    let newest = reading.usage.map(|usage| UsageSample { at: read_at, usage });
    let known = samples.iter().copied().filter(|sample| sample.at <= now).chain(newest);
    let past = SpendingHistory::new(known, now, days).filter(SpendingHistory::is_ongoing)?;

    let reset =
        held.reset().and_then(|reset| reset.next_after(read_at)).map(|at| (at, PeriodEnd::Reset));
    let expiry = held.expires_at().map(|at| (at, PeriodEnd::Expiry));
    let end = reset.into_iter().chain(expiry).min_by_key(|(at, _)| *at);
    let ahead = end
        .map(|(at, _)| to_epoch_seconds(at) - to_epoch_seconds(read_at))
        .filter(|ahead| *ahead <= MAX_HORIZON_SECONDS);
    let horizon = ahead.unwrap_or(MAX_HORIZON_SECONDS);

    let (slow, fast) = past.rate_bounds((remaining / past.usd_per_second).min(horizon).max(1.0));
    let reached = |pace: f64| {
        let wait = remaining / pace;
        // Figures some hours old may say that it happened meanwhile: then it is now, if at all.
        (wait < horizon).then(|| add_seconds(read_at, wait).max(now))
    };
    let by_end = |pace: f64| ((limit - remaining).max(0.0) + pace * horizon).min(limit);
    Some(Forecast {
        usd_per_day: past.usd_per_second * SECONDS_PER_DAY,
        limit,
        reached_at: reached(past.usd_per_second),
        earliest_reached_at: reached(fast),
        latest_reached_at: reached(slow),
        period_end: end.filter(|_| ahead.is_some()),
        spent_at_end: ahead.map(|_| SpentEstimate {
            low: by_end(slow),
            likely: by_end(past.usd_per_second),
            high: by_end(fast),
        }),
        sample_count: past.sample_count,
        sampled_span: to_signed_duration(past.span),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a year at most")]
fn to_signed_duration(seconds: f64) -> SignedDuration {
    SignedDuration::from_secs(seconds as i64)
}

fn add_seconds(at: Timestamp, seconds: f64) -> Timestamp {
    at.saturating_add(to_signed_duration(seconds)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
