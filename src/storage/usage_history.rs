//! `samples.json`: the lifetime usage of each key (by hash) over time, for charts and forecasts.
//!
//! Each key has one text of `seconds:microdollars` pairs in ascending order, so that a year of
//! samples takes a few kilobytes. A second text has the usage of the UTC day at these times, as far
//! as the server reported it; older versions ignore and keep it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::UsageSample;
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "samples.json";

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Older samples are deleted.
const RETENTION: i64 = 365 * DAY;

/// The first Monday, 00:00 UTC, after the epoch: buckets begin with OpenRouter's days and weeks.
const FIRST_MONDAY: i64 = 4 * DAY;

/// The earliest plausible time, 2026-01-01 00:00 UTC: Keywright did not exist before.
const EARLIEST: i64 = 1_767_225_600;

/// The highest valid amount in USD. Up to here an `f64` represents every microdollar.
const MAX_USD: f64 = 1e9;

#[derive(Clone, Default, Serialize, Deserialize)]
struct UsageHistory {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    keys: BTreeMap<String, KeyHistory>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "StoredHistory", into = "StoredHistory")]
struct KeyHistory {
    spent: UsageSeries,
    /// Fields written by a newer version, preserved on update.
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// The history of a key as it is on disk.
#[derive(Clone, Default, Serialize, Deserialize)]
struct StoredHistory {
    #[serde(default)]
    spent: Pairs,
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    daily: Pairs,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// The usage at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UsagePoint {
    unix_seconds: i64,
    /// Of the lifetime.
    microdollars: u64,
    /// Of the UTC day, if reported.
    daily: Option<u64>,
}

/// The points of one key, in strictly ascending order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct UsageSeries(Vec<UsagePoint>);

impl From<StoredHistory> for KeyHistory {
    fn from(stored: StoredHistory) -> Self {
        let daily: HashMap<i64, u64> = stored.daily.0.into_iter().collect();
        let points = stored.spent.0.into_iter().map(|(unix_seconds, microdollars)| UsagePoint {
            unix_seconds,
            microdollars,
            daily: daily.get(&unix_seconds).copied(),
        });
        Self { spent: UsageSeries(points.collect()), unknown: stored.unknown }
    }
}

impl From<KeyHistory> for StoredHistory {
    fn from(history: KeyHistory) -> Self {
        let points = &history.spent.0;
        let daily = points.iter().filter_map(|point| Some((point.unix_seconds, point.daily?)));
        Self {
            spent: Pairs(
                points.iter().map(|point| (point.unix_seconds, point.microdollars)).collect(),
            ),
            daily: Pairs(daily.collect()),
            unknown: history.unknown,
        }
    }
}

/// Seconds since the epoch and microdollars, in strictly ascending order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Pairs(Vec<(i64, u64)>);

impl Pairs {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Pairs> for String {
    fn from(pairs: Pairs) -> Self {
        let pairs = pairs.0.iter().map(|(seconds, amount)| format!("{seconds}:{amount}"));
        pairs.collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for Pairs {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse_pair = |pair: &str| {
            let (at, usage) = pair.split_once(':')?;
            let (at, usage) = (at.parse().ok()?, usage.parse().ok()?);
            Timestamp::from_second(at).ok()?;
            (to_microdollars(to_dollars(usage))? == usage).then_some((at, usage))
        };
        let pairs: Option<Vec<(i64, u64)>> = text.split_whitespace().map(parse_pair).collect();
        match pairs {
            Some(pairs) if pairs.is_sorted_by(|a, b| a.0 < b.0) => Ok(Self(pairs)),
            _ => Err("samples are seconds:microdollars, ascending"),
        }
    }
}

impl UsagePoint {
    fn from_sample(sample: &UsageSample) -> Option<Self> {
        Some(Self {
            unix_seconds: sample.at.as_second(),
            microdollars: to_microdollars(sample.usage)?,
            daily: sample.usage_daily.and_then(to_microdollars),
        })
    }

    fn to_sample(self) -> Option<UsageSample> {
        let at = Timestamp::from_second(self.unix_seconds).ok()?;
        let usage_daily = self.daily.map(to_dollars);
        Some(UsageSample { usage_daily, ..UsageSample::new(at, to_dollars(self.microdollars)) })
    }

    /// Returns the bucket of the point at `now`, as its width and number; one point per bucket is
    /// kept. Each bucket is within one bucket of the next width, so repeated downsampling keeps the
    /// same points as doing it once.
    fn bucket(self, now: i64) -> (i64, i64) {
        let width = match (now - self.unix_seconds).abs() {
            age if age <= DAY => HOUR / 6,
            age if age <= WEEK => HOUR,
            age if age <= 60 * DAY => DAY,
            _ => WEEK,
        };
        (width, (self.unix_seconds - FIRST_MONDAY).div_euclid(width))
    }
}

#[expect(clippy::cast_precision_loss, reason = "microdollars below 2^53 are exact")]
fn to_dollars(microdollars: u64) -> f64 {
    microdollars as f64 / 1e6
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 10^15 microdollars"
)]
fn to_microdollars(usage: f64) -> Option<u64> {
    // The range excludes NaN, infinities and negative amounts.
    (0.0..=MAX_USD).contains(&usage).then(|| (usage * 1e6).round() as u64)
}

impl UsageSeries {
    /// Inserts a point and corrects for clocks that were wrong.
    ///
    /// Lifetime usage only grows. A later point with no more usage than the new one was recorded
    /// while the clock was ahead, and is deleted. A later point with more usage was recorded by
    /// another process at the same time, and stays, unless it is more than [`RETENTION`] ahead.
    /// A new point before [`EARLIEST`] comes from a clock that was reset, and is ignored.
    fn insert(&mut self, new: UsagePoint) {
        let points = &mut self.0;
        if new.unix_seconds < EARLIEST {
            return;
        }
        points.retain(|point| {
            let ahead = point.unix_seconds - new.unix_seconds;
            ahead < 0 || (ahead <= RETENTION && point.microdollars > new.microdollars)
        });
        let index = points.partition_point(|point| point.unix_seconds < new.unix_seconds);
        if points.get(index).is_none_or(|point| point.unix_seconds > new.unix_seconds) {
            points.insert(index, new);
        }
        self.downsample(new.unix_seconds);
    }

    /// Deletes points that are too old or too close together at `now`. The last point of each
    /// bucket stays, because at the end of a day it is the total of that day. The first and the
    /// last point of the series stay too.
    fn downsample(&mut self, now: i64) {
        let points = &mut self.0;
        let oldest = now - RETENTION;
        let mut expired_count = points.partition_point(|point| point.unix_seconds < oldest);
        if let (Some(before), Some(after)) =
            (expired_count.checked_sub(1), points.get(expired_count).copied())
            && points[before].microdollars == after.microdollars
            && after.unix_seconds > oldest
        {
            // Nothing was spent between the two points, so the usage at `oldest` is known.
            points[before].unix_seconds = oldest;
            expired_count = before;
        }
        points.drain(..expired_count);

        let mut kept: Vec<UsagePoint> = Vec::with_capacity(points.len());
        for (index, &point) in points.iter().enumerate() {
            let next = points.get(index + 1);
            if index > 0 && next.is_some_and(|next| next.bucket(now) == point.bucket(now)) {
                continue;
            }
            // While nothing is spent, the first and the last point are enough.
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

/// Records samples by the hash of their key in one transaction. Invalid amounts (negative, not finite, above `MAX_USD`) are ignored.
pub fn record_usage(location: &StoreLocation, usage: &[(&str, UsageSample)]) -> Result<(), Error> {
    let points: Vec<(&str, UsagePoint)> = usage
        .iter()
        .filter_map(|(hash, sample)| Some((*hash, UsagePoint::from_sample(sample)?)))
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    location.update(FILE_NAME, |samples: &mut UsageHistory| {
        for (hash, point) in points {
            samples.keys.entry(hash.to_owned()).or_default().spent.insert(point);
        }
    })
}

/// Returns all samples by the hash of the key, in strictly ascending order of time.
pub fn read_samples(location: &StoreLocation) -> Result<HashMap<String, Vec<UsageSample>>, Error> {
    let keys = location.read::<UsageHistory>(FILE_NAME)?.keys;
    let samples =
        |row: KeyHistory| row.spent.0.into_iter().filter_map(UsagePoint::to_sample).collect();
    Ok(keys.into_iter().map(|(hash, row)| (hash, samples(row))).collect())
}

/// Deletes the samples of a key. Returns whether there were any.
pub fn remove_key(location: &StoreLocation, hash: &str) -> Result<bool, Error> {
    location.update(FILE_NAME, |samples: &mut UsageHistory| samples.keys.remove(hash).is_some())
}

#[cfg(test)]
mod tests;
