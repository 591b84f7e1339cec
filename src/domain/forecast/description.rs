//! Describes a forecast in one sentence, with no more precision than it has.

use jiff::{SignedDuration, Timestamp};

use super::{Forecast, PeriodEnd, SpentEstimate};
use crate::domain::format_usd;
use crate::domain::text::to_utc;

/// The largest difference of the bounds for which an hour is named.
const MAX_SPREAD_FOR_HOUR: SignedDuration = SignedDuration::from_hours(3);

/// With fewer samples than this the sentence says how many there are.
const FEW_SAMPLES: usize = 6;

impl Forecast {
    /// Returns a sentence without a full stop: `at this pace the limit is reached on Thursday about
    /// 15:00 UTC`, `at this pace $3.10 of $10.00 is spent by the reset on Monday`. Uncertain times
    /// and amounts are rounded. A key that is idle has no present pace, so the sentence names its earlier use.
    pub fn describe(&self, now: Timestamp) -> String {
        let result = match (
            self.reached_at,
            self.earliest_reached_at,
            self.period_end.zip(self.spent_at_end),
        ) {
            (Some(reached), Some(earliest), _) => {
                let end = self.period_end.filter(|_| self.latest_reached_at.is_none());
                let end = end.map(|end| format!(", before {}", describe_period_end(end, now)));
                let reached = self.describe_reached(earliest, reached, now);
                format!("the limit is {reached}{}", end.unwrap_or_default())
            }
            (_, earliest, Some((end, spent))) => {
                let amount = format_spent(spent);
                let by = describe_period_end(end, now);
                let limit = self.limit;
                let fastest = earliest.map(|at| {
                    format!(
                        ", though at its fastest the limit is reached {}",
                        format_day_with_preposition(at, now)
                    )
                });
                let fastest = fastest.unwrap_or_default();
                format!("{amount} of {} is spent by {by}{fastest}", format_usd(limit))
            }
            _ => String::from("the limit lasts for more than a year"),
        };
        let condition = if self.is_idle { "if it is used as before," } else { "at this pace" };
        format!("{condition} {result}{}", self.describe_uncertainty(now))
    }

    /// Returns the result of [`Self::describe`] in a few words, for example `limit reached on Thursday about
    /// 15:00 UTC`, `$3.10 of $10.00 by the reset`. It is shown beside the dates of the reset and the expiry.
    pub fn summarize(&self, now: Timestamp) -> String {
        let result = match (self.reached_at, self.earliest_reached_at, self.period_end) {
            (Some(reached), Some(earliest), _) => {
                format!("limit {}", self.describe_reached(earliest, reached, now))
            }
            // What is possible matters more than the amount.
            (_, Some(earliest), _) => {
                format!("limit possibly reached {}", format_day_with_preposition(earliest, now))
            }
            (_, None, Some((_, end))) => {
                let amount = self.spent_at_end.map(format_spent).unwrap_or_default();
                let end = match end {
                    PeriodEnd::Reset => "the reset",
                    PeriodEnd::Expiry => "its expiry",
                };
                format!("{amount} of {} by {end}", format_usd(self.limit))
            }
            (_, None, None) => String::from("limit lasts for more than a year"),
        };
        // The condition makes it uncertain enough.
        let (condition, result) = if self.is_idle {
            ("if used again: ", result.replacen("probably ", "", 1))
        } else {
            ("", result)
        };
        let end = if self.describe_uncertainty(now).is_empty() { "" } else { "; rough" };
        format!("{condition}{result}{end}")
    }

    /// Returns `probably reached on Thursday`, `reached between Thursday and Saturday`.
    fn describe_reached(&self, earliest: Timestamp, reached: Timestamp, now: Timestamp) -> String {
        let Some(latest) = self.latest_reached_at else {
            return format!("probably reached {}", format_day_with_preposition(reached, now));
        };
        if latest.duration_since(earliest) <= MAX_SPREAD_FOR_HOUR {
            let hour = SignedDuration::from_hours(1);
            if reached.duration_since(now) < hour {
                return String::from("reached within about an hour");
            }
            let half = SignedDuration::from_mins(30);
            let round = to_utc(reached.saturating_add(half).unwrap_or(reached));
            let day =
                format_day_with_preposition(reached.saturating_add(half).unwrap_or(reached), now);
            return format!("reached {day} about {:02}:00 UTC", round.hour());
        }
        let (first, last) = (format_day(earliest, now), format_day(latest, now));
        if first == last {
            format!("reached {}", format_day_with_preposition(reached, now))
        } else {
            format!("reached between {first} and {last}")
        }
    }

    /// Returns why the forecast is rough: few samples, or a past much shorter than the period.
    fn describe_uncertainty(&self, now: Timestamp) -> String {
        let until = self.reached_at.or(self.period_end.map(|(at, _)| at));
        let is_far = until.is_none_or(|at| at.duration_since(now) > self.sampled_span * 2);
        if self.sample_count >= FEW_SAMPLES && !is_far {
            return String::new();
        }
        let (count, unit) = match self.sampled_span.as_hours() {
            hours @ 0..48 => (hours, "hour"),
            hours => (hours / 24, "day"),
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("; {} samples over {count} {unit}{plural}, so this is rough", self.sample_count)
    }
}

/// Formats an amount as precisely as its bounds allow: to the cent, to ten cents, or as a range of
/// whole dollars.
fn format_spent(spent: SpentEstimate) -> String {
    let SpentEstimate { low, likely, high } = spent;
    match high - low {
        ..0.1 => format_usd(likely),
        ..2.0 => format!("about {}", format_usd((likely * 10.0).round() / 10.0)),
        _ => format!("${:.0} to ${:.0}", low.floor(), high.ceil()),
    }
}

fn describe_period_end((at, end): (Timestamp, PeriodEnd), now: Timestamp) -> String {
    match (end, format_day_with_preposition(at, now)) {
        // Every reset is at midnight, so "tomorrow" would suggest a day more.
        (PeriodEnd::Reset, day) if day == "tomorrow" => String::from("the reset at midnight UTC"),
        (PeriodEnd::Reset, day) => format!("the reset {day}"),
        (PeriodEnd::Expiry, day) => format!("its expiry {day}"),
    }
}

/// Formats the UTC day relative to `now`: `today`, `tomorrow`, `on Thursday`, `on 24 December`.
fn format_day_with_preposition(at: Timestamp, now: Timestamp) -> String {
    match format_day(at, now) {
        day if day == "today" || day == "tomorrow" => day,
        day => format!("on {day}"),
    }
}

fn format_day(at: Timestamp, now: Timestamp) -> String {
    let (day, today) = (to_utc(at).date(), to_utc(now).date());
    match day.duration_since(today).as_hours() / 24 {
        0 => String::from("today"),
        1 => String::from("tomorrow"),
        // The weekday alone is ambiguous from seven days on.
        2..=6 => day.strftime("%A").to_string(),
        _ => day.strftime("%-d %B").to_string(),
    }
}
