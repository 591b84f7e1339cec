//! Forecasts when a key reaches its limit, with bounds, from usage samples.

mod description;

use jiff::{SignedDuration, Timestamp};

use super::usage_curve::{UsageCurve, UsageSample, to_epoch_seconds};
use super::{DailySpending, KeyState, ResetInterval, StoredKey};

const SECONDS_PER_HOUR: f64 = 3_600.0;
const SECONDS_PER_DAY: f64 = 24.0 * SECONDS_PER_HOUR;
/// The longest time that a forecast covers.
const MAX_HORIZON_SECONDS: f64 = 365.0 * SECONDS_PER_DAY;

/// What ends the period of a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodEnd {
    /// The limit resets.
    Reset,
    /// The key expires.
    Expiry,
}

/// Spending at the end of the period, in USD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpentEstimate {
    /// At the slowest plausible rate.
    pub low: f64,
    /// At the usual rate.
    pub likely: f64,
    /// At the fastest plausible rate.
    pub high: f64,
}

/// The forecast for a key if it continues to spend at the same rate. A time is `None` if the limit
/// is not reached before the end of the period or within a year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// USD per day.
    pub usd_per_day: f64,
    /// The limit in USD.
    pub limit: f64,
    /// When the limit is reached at this rate.
    pub reached_at: Option<Timestamp>,
    /// The same at the fastest plausible rate; never after `reached_at`.
    pub earliest_reached_at: Option<Timestamp>,
    /// The same at the slowest plausible rate; never before `reached_at`.
    pub latest_reached_at: Option<Timestamp>,
    /// The next reset or the expiry, whichever is first, if within a year.
    pub period_end: Option<(Timestamp, PeriodEnd)>,
    /// Spending at `period_end`, at most the limit.
    pub spent_at_end: Option<SpentEstimate>,
    /// Whether nothing was spent in the day before the last sample.
    pub is_idle: bool,
    /// The number of samples used.
    pub sample_count: usize,
    /// The time between the first and the last of them.
    pub sampled_span: SignedDuration,
}

/// The part of the past from which the rate is calculated.
struct SpendingHistory {
    curve: UsageCurve,
    /// Seconds since the epoch.
    start: f64,
    span: f64,
    sample_count: usize,
    /// USD per second.
    usd_per_second: f64,
}

impl SpendingHistory {
    /// Returns the last `days`, or the part of them that has samples. `None` if that is too little
    /// for a rate: fewer than three samples, less than an hour, or no sample within the last day.
    fn new(curve: UsageCurve, now: Timestamp, days: f64) -> Option<Self> {
        let (first, last) = curve.time_bounds()?;
        let start = first.max(to_epoch_seconds(now) - days * SECONDS_PER_DAY);
        let (span, sample_count) = (last - start, curve.count_readings(start));
        if sample_count < 3
            || span < SECONDS_PER_HOUR
            || to_epoch_seconds(now) - last > SECONDS_PER_DAY
        {
            return None;
        }
        let rate = curve.spent_between(start, last) / span;
        Some(Self { curve, start, span, sample_count, usd_per_second: rate })
    }

    /// Returns whether anything was spent in the second half: an old burst does not predict
    /// spending.
    fn is_ongoing(&self) -> bool {
        let end = self.start + self.span;
        self.curve.spent_between(end - self.span / 2.0, end) > 0.0
    }

    /// Returns whether nothing was spent in the last day.
    fn is_idle(&self) -> bool {
        let end = self.start + self.span;
        self.span >= SECONDS_PER_DAY && self.curve.spent_between(end - SECONDS_PER_DAY, end) <= 0.0
    }

    /// Returns the slowest and the fastest plausible rate for the next `ahead` seconds.
    ///
    /// No distribution is assumed, because spending has bursts, nights and weekends. Instead a
    /// window of `ahead` seconds (at most half of the past, so that there are several positions)
    /// moves over the past, and the lowest and the highest rate in it are the bounds. With `n`
    /// samples the bounds differ from the rate by at least one part in `n`, because samples hide
    /// what happens between them. If `ahead` is longer than the past, the slowest rate assumes no
    /// spending in the rest of the time.
    fn rate_bounds(&self, ahead: f64) -> (f64, f64) {
        const STEPS: u32 = 48;
        let window = ahead.clamp(self.span / 8.0, self.span / 2.0);
        let (mut slow, mut fast) = (self.usd_per_second, self.usd_per_second);
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let from = self.start + (self.span - window) * share;
            let rate = self.curve.spent_between(from, from + window) / window;
            (slow, fast) = (slow.min(rate), fast.max(rate));
        }
        let margin =
            self.usd_per_second / u32::try_from(self.sample_count).map_or(f64::INFINITY, f64::from);
        let slow = slow.min(self.usd_per_second - margin) * (self.span / ahead).min(1.0);
        (slow, fast.max(self.usd_per_second + margin))
    }
}

/// Forecasts the spending of a key. The rate is taken from a whole day, week or fortnight, depending
/// on the reset interval, so that nights and weekends have their usual weight. `days` are the known
/// days of the key; together with the samples they say when idle days and bursts were.
///
/// Returns `None` if there is no basis for a forecast: no limit; a key that is rejected, disabled,
/// expired or at its limit; a check that is too old or from before a reset; fewer than three
/// samples or less than an hour of them; no recent spending; or a limit that includes the owner's
/// provider keys, whose usage the samples do not contain.
pub fn forecast_spending(
    samples: &[UsageSample],
    days: &DailySpending,
    stored_key: &StoredKey,
    now: Timestamp,
) -> Option<Forecast> {
    if !matches!(stored_key.state(now), KeyState::Active | KeyState::Low | KeyState::Expiring) {
        return None;
    }
    let info = stored_key.info.as_ref()?;
    let byok = info.byok_usage.is_some_and(|usage| usage > 0.0);
    if byok && info.include_byok_in_limit == Some(true) {
        return None;
    }
    let layer = stored_key.binding_layer(now)?;
    let limit = layer.limit.filter(|limit| limit.is_finite())?;
    let remaining = Some(layer.remaining).filter(|usd| usd.is_finite() && *usd > 0.0)?;
    // The clock may have been set back since the check.
    let checked_at = stored_key.checked_at?.min(now);
    let past_days = match stored_key.reset().value() {
        Some(ResetInterval::Daily) => 1.0,
        Some(ResetInterval::Weekly) => 7.0,
        Some(ResetInterval::Monthly) | None => 14.0,
    };
    // The last check may not be among the samples yet.
    let usage_daily = info.usage_daily;
    let newest = info.usage.map(|usage| UsageSample { at: checked_at, usage, usage_daily });
    let mut curve = UsageCurve::new(samples.iter().copied().chain(newest), now);
    curve.pin_days(days);
    let history =
        SpendingHistory::new(curve, now, past_days).filter(SpendingHistory::is_ongoing)?;

    // The key's own limit is reset by a rule, so the reset after an old check is known as well.
    let resets_at =
        if layer.is_key_limit { stored_key.next_reset(checked_at) } else { layer.resets_at };
    let reset = resets_at.map(|at| (at, PeriodEnd::Reset));
    let expiry = stored_key.expires_at().value().map(|at| (at, PeriodEnd::Expiry));
    let end = reset.into_iter().chain(expiry).min_by_key(|(at, _)| *at);
    let ahead = end
        .map(|(at, _)| to_epoch_seconds(at) - to_epoch_seconds(checked_at))
        .filter(|ahead| *ahead <= MAX_HORIZON_SECONDS);
    let horizon = ahead.unwrap_or(MAX_HORIZON_SECONDS);

    let (slow, fast) =
        history.rate_bounds((remaining / history.usd_per_second).min(horizon).max(1.0));
    let reached = |rate: f64| {
        let wait = remaining / rate;
        // With a check some hours old the result may be in the past: then it is now.
        (wait < horizon).then(|| add_seconds(checked_at, wait).max(now))
    };
    let spent_at_end = |rate: f64| ((limit - remaining).max(0.0) + rate * horizon).min(limit);
    Some(Forecast {
        usd_per_day: history.usd_per_second * SECONDS_PER_DAY,
        limit,
        reached_at: reached(history.usd_per_second),
        earliest_reached_at: reached(fast),
        latest_reached_at: reached(slow),
        period_end: end.filter(|_| ahead.is_some()),
        spent_at_end: ahead.map(|_| SpentEstimate {
            low: spent_at_end(slow),
            likely: spent_at_end(history.usd_per_second),
            high: spent_at_end(fast),
        }),
        is_idle: history.is_idle(),
        sample_count: history.sample_count,
        sampled_span: to_signed_duration(history.span),
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
