//! `samples.json`: how much each key (by its hash) had spent in its whole life, at which time.
//! Owns how long that is remembered, and how finely. Losing it loses no key and no figure, only
//! the past. Must not know: clocks (a sample brings its own time), networks, what the figures mean.
//!
//! One line a key: `seconds:microdollars`, ascending, so that a year of a key is some kilobytes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::UsageSample;
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "samples.json";

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Nothing is remembered for longer.
const RETENTION: i64 = 365 * DAY;

/// The first Monday, 00:00 UTC, after the epoch: cells begin where OpenRouter's days and weeks do.
const FIRST_MONDAY: i64 = 4 * DAY;

/// More than this in USD is no figure; up to here an `f64` carries every microdollar.
const MAX_USD: f64 = 1e9;

#[derive(Clone, Default, Serialize, Deserialize)]
struct UsageHistory {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    keys: BTreeMap<String, KeyHistory>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct KeyHistory {
    #[serde(default)]
    spent: UsageSeries,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Seconds since the epoch, and microdollars spent until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UsagePoint {
    unix_seconds: i64,
    microdollars: u64,
}

/// The points of a key, their times strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct UsageSeries(Vec<UsagePoint>);

impl From<UsageSeries> for String {
    fn from(line: UsageSeries) -> Self {
        let words =
            line.0.iter().map(|point| format!("{}:{}", point.unix_seconds, point.microdollars));
        words.collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for UsageSeries {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let point = |word: &str| {
            let (at, usage) = word.split_once(':')?;
            let point =
                UsagePoint { unix_seconds: at.parse().ok()?, microdollars: usage.parse().ok()? };
            let sample = point.to_sample()?;
            (to_microdollars(sample.usage)? == point.microdollars).then_some(point)
        };
        let points: Option<Vec<UsagePoint>> = text.split_whitespace().map(point).collect();
        match points {
            Some(points) if points.is_sorted_by(|a, b| a.unix_seconds < b.unix_seconds) => {
                Ok(Self(points))
            }
            _ => Err("samples are seconds:microdollars, ascending"),
        }
    }
}

impl UsagePoint {
    #[expect(clippy::cast_precision_loss, reason = "microdollars below 2^53 are exact")]
    fn to_sample(self) -> Option<UsageSample> {
        let at = Timestamp::from_second(self.unix_seconds).ok()?;
        Some(UsageSample { at, usage: self.microdollars as f64 / 1e6 })
    }

    /// Where a point belongs when it is seen from `now`; one point a cell is remembered. Finer
    /// cells lie whole within coarser ones, so what is thinned today needs no regret tomorrow.
    fn bucket(self, now: i64) -> (i64, i64) {
        let step = match (now - self.unix_seconds).abs() {
            age if age <= DAY => HOUR / 6,
            age if age <= WEEK => HOUR,
            age if age <= 60 * DAY => DAY,
            _ => WEEK,
        };
        (step, (self.unix_seconds - FIRST_MONDAY).div_euclid(step))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between nothing and 10^15 microdollars"
)]
fn to_microdollars(usage: f64) -> Option<u64> {
    // The range refuses NaN, infinities and what is below nothing.
    (0.0..=MAX_USD).contains(&usage).then(|| (usage * 1e6).round() as u64)
}

impl UsageSeries {
    /// Takes a point in, whatever the clock did before.
    ///
    /// A life's spending only grows. So what is stamped later than the new point, yet knows of no
    /// more spending, was written under a clock that ran ahead, and goes; what is stamped later
    /// and knows of more comes from another Keywright that was quicker, and stays. A point more
    /// than a year behind the last would be forgotten at once: that clock is believed in nothing.
    fn insert(&mut self, new: UsagePoint) {
        let points = &mut self.0;
        if points.last().is_some_and(|last| new.unix_seconds < last.unix_seconds - RETENTION) {
            return;
        }
        points.retain(|point| {
            point.unix_seconds < new.unix_seconds || point.microdollars > new.microdollars
        });
        let place = points.partition_point(|point| point.unix_seconds < new.unix_seconds);
        if points.get(place).is_none_or(|point| point.unix_seconds > new.unix_seconds) {
            points.insert(place, new);
        }
        self.downsample(new.unix_seconds);
    }

    /// Forgets what is too old or too close together, seen from `now`. The last point of a cell
    /// stays: at the end of a day it is the day's total. The first of all and the last stay too.
    fn downsample(&mut self, now: i64) {
        let points = &mut self.0;
        let oldest = now - RETENTION;
        let mut gone = points.partition_point(|point| point.unix_seconds < oldest);
        if let (Some(before), Some(after)) = (gone.checked_sub(1), points.get(gone).copied())
            && points[before].microdollars == after.microdollars
            && after.unix_seconds > oldest
        {
            // Nothing was spent across the edge: the part within the year is still known.
            points[before].unix_seconds = oldest;
            gone = before;
        }
        points.drain(..gone);

        let mut kept: Vec<UsagePoint> = Vec::with_capacity(points.len());
        for (index, &point) in points.iter().enumerate() {
            let next = points.get(index + 1);
            if index > 0 && next.is_some_and(|next| next.bucket(now) == point.bucket(now)) {
                continue;
            }
            // Of a stretch in which nothing was spent, its ends tell everything.
            match kept.as_slice() {
                [.., first, last]
                    if first.microdollars == last.microdollars
                        && last.microdollars == point.microdollars =>
                {
                    kept.pop();
                }
                _ => {}
            }
            kept.push(point);
        }
        *points = kept;
    }
}

/// Remembers what keys had spent in their whole life: hash, when it was read, USD. In one
/// transaction. What is no amount (negative, not finite, above a thousand millions) is passed over.
pub fn record_usage(place: &StoreLocation, read: &[(&str, Timestamp, f64)]) -> Result<(), Error> {
    let points: Vec<(&str, UsagePoint)> = read
        .iter()
        .filter_map(|(hash, at, usage)| {
            Some((
                *hash,
                UsagePoint { unix_seconds: at.as_second(), microdollars: to_microdollars(*usage)? },
            ))
        })
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    place.update(FILE_NAME, |samples: &mut UsageHistory| {
        for (hash, point) in points {
            samples.keys.entry(hash.to_owned()).or_default().spent.insert(point);
        }
    })
}

/// Everything remembered, by the hash of the key; times strictly ascend.
pub fn read_samples(place: &StoreLocation) -> Result<HashMap<String, Vec<UsageSample>>, Error> {
    let keys = place.read::<UsageHistory>(FILE_NAME)?.keys;
    let samples =
        |row: KeyHistory| row.spent.0.into_iter().filter_map(UsagePoint::to_sample).collect();
    Ok(keys.into_iter().map(|(hash, row)| (hash, samples(row))).collect())
}

/// Forgets a key; whether anything was remembered of it.
pub fn remove_key(place: &StoreLocation, hash: &str) -> Result<bool, Error> {
    place.update(FILE_NAME, |samples: &mut UsageHistory| samples.keys.remove(hash).is_some())
}

#[cfg(test)]
mod tests;
