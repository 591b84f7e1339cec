//! A forecast in one sentence, no finer than it is sure. Must not know: how it was reckoned.

use jiff::{SignedDuration, Timestamp};

use super::{End, Forecast, Spent};
use crate::domain::text::utc;

/// Within this much an hour may be named.
const AN_HOUR_OR_SO: SignedDuration = SignedDuration::from_hours(3);

/// Fewer samples than this, and the sentence says how few.
const FEW: usize = 6;

impl Forecast {
    /// One plain sentence without its full stop: `at this pace the limit is reached on Thursday
    /// about 15:00 UTC`, `at this pace $3.10 of $10.00 is spent by the reset on Monday`. Times
    /// and amounts are as coarse as they are unsure.
    pub fn words(&self, now: Timestamp) -> String {
        let said = match (self.reached, self.earliest, self.end.zip(self.spent)) {
            (Some(reached), Some(earliest), _) => {
                format!("the limit is reached {}", self.when(earliest, reached, now))
            }
            (_, earliest, Some((end, spent))) => {
                let amount = amount(spent);
                let by = ending(end, now);
                let limit = self.limit;
                let fast = earliest.map(|at| {
                    format!(", though at its fastest the limit is reached {}", on(at, now))
                });
                let fast = fast.unwrap_or_default();
                format!("{amount} of ${limit:.2} is spent by {by}{fast}")
            }
            _ => String::from("the limit lasts for more than a year"),
        };
        format!("at this pace {said}{}", self.caution(now))
    }

    fn when(&self, earliest: Timestamp, reached: Timestamp, now: Timestamp) -> String {
        let Some(latest) = self.latest else {
            let day = on(reached, now);
            return match self.end {
                Some(end) => format!("{day}, perhaps not before {}", ending(end, now)),
                None => format!("{day}, perhaps much later"),
            };
        };
        if latest.duration_since(earliest) <= AN_HOUR_OR_SO {
            let hour = SignedDuration::from_hours(1);
            if reached.duration_since(now) < hour {
                return String::from("within about an hour");
            }
            let half = SignedDuration::from_mins(30);
            let round = utc(reached.saturating_add(half).unwrap_or(reached));
            let day = on(reached.saturating_add(half).unwrap_or(reached), now);
            return format!("{day} about {:02}:00 UTC", round.hour());
        }
        let (first, last) = (name(earliest, now), name(latest, now));
        if first == last { on(reached, now) } else { format!("between {first} and {last}") }
    }

    /// What makes it rough: few samples, or a past much shorter than the time foretold.
    fn caution(&self, now: Timestamp) -> String {
        let until = self.reached.or(self.end.map(|(at, _)| at));
        let far = until.is_none_or(|at| at.duration_since(now) > self.span * 2);
        if self.samples >= FEW && !far {
            return String::new();
        }
        let (count, unit) = match self.span.as_hours() {
            hours @ 0..48 => (hours, "hour"),
            hours => (hours / 24, "day"),
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("; {} samples over {count} {unit}{plural}, so this is rough", self.samples)
    }
}

/// An amount as exact as it is sure: to the cent, to ten cents, or between whole dollars.
fn amount(spent: Spent) -> String {
    let Spent { low, likely, high } = spent;
    match high - low {
        ..0.1 => format!("${likely:.2}"),
        ..2.0 => format!("about ${:.2}", (likely * 10.0).round() / 10.0),
        _ => format!("between ${:.0} and ${:.0}", low.floor(), high.ceil()),
    }
}

fn ending((at, end): (Timestamp, End), now: Timestamp) -> String {
    match (end, on(at, now)) {
        // Every reset is at midnight; "tomorrow" would sound like a day more.
        (End::Reset, day) if day == "tomorrow" => String::from("the reset at midnight UTC"),
        (End::Reset, day) => format!("the reset {day}"),
        (End::Expiry, day) => format!("its expiry {day}"),
    }
}

/// `today`, `tomorrow`, `on Thursday`, `on 24 December`: the UTC day, seen from `now`.
fn on(at: Timestamp, now: Timestamp) -> String {
    match name(at, now) {
        day if day == "today" || day == "tomorrow" => day,
        day => format!("on {day}"),
    }
}

fn name(at: Timestamp, now: Timestamp) -> String {
    let (day, today) = (utc(at).date(), utc(now).date());
    match day.duration_since(today).as_hours() / 24 {
        0 => String::from("today"),
        1 => String::from("tomorrow"),
        // The same weekday of next week would be taken for today's.
        2..=6 => day.strftime("%A").to_string(),
        _ => day.strftime("%-d %B").to_string(),
    }
}
