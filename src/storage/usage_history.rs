//! `samples.json`: how much each key (by its hash) had spent in its whole life, at which time.
//! Owns how long that is remembered, and how finely. Losing it loses no key and no figure, only
//! the past. Must not know: clocks (a sample brings its own time), networks, what the figures mean.
//!
//! One line a key: `seconds:microdollars`, ascending, so that a year of a key is some kilobytes.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::Sample;
use crate::storage::json_store::{Error, Place, Version};

const NAME: &str = "samples.json";

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Nothing is remembered for longer.
const YEAR: i64 = 365 * DAY;

/// The first Monday, 00:00 UTC, after the epoch: cells begin where OpenRouter's days and weeks do.
const MONDAY: i64 = 4 * DAY;

/// More than this in USD is no figure; up to here an `f64` carries every microdollar.
const MOST: f64 = 1e9;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Samples {
    #[serde(default)]
    version: Version,
    #[serde(default)]
    keys: BTreeMap<String, Row>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Row {
    #[serde(default)]
    spent: Line,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Seconds since the epoch, and microdollars spent until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    at: i64,
    usage: u64,
}

/// The points of a key, their times strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Line(Vec<Point>);

impl From<Line> for String {
    fn from(line: Line) -> Self {
        let words = line.0.iter().map(|point| format!("{}:{}", point.at, point.usage));
        words.collect::<Vec<_>>().join(" ")
    }
}

impl TryFrom<String> for Line {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let point = |word: &str| {
            let (at, usage) = word.split_once(':')?;
            let point = Point { at: at.parse().ok()?, usage: usage.parse().ok()? };
            let sample = point.sample()?;
            (micros(sample.usage)? == point.usage).then_some(point)
        };
        let points: Option<Vec<Point>> = text.split_whitespace().map(point).collect();
        match points {
            Some(points) if points.is_sorted_by(|a, b| a.at < b.at) => Ok(Self(points)),
            _ => Err("samples are seconds:microdollars, ascending"),
        }
    }
}

impl Point {
    #[expect(clippy::cast_precision_loss, reason = "microdollars below 2^53 are exact")]
    fn sample(self) -> Option<Sample> {
        let at = Timestamp::from_second(self.at).ok()?;
        Some(Sample { at, usage: self.usage as f64 / 1e6 })
    }

    /// Where a point belongs when it is seen from `now`; one point a cell is remembered. Finer
    /// cells lie whole within coarser ones, so what is thinned today needs no regret tomorrow.
    fn cell(self, now: i64) -> (i64, i64) {
        let step = match (now - self.at).abs() {
            age if age <= DAY => HOUR / 6,
            age if age <= WEEK => HOUR,
            age if age <= 60 * DAY => DAY,
            _ => WEEK,
        };
        (step, (self.at - MONDAY).div_euclid(step))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between nothing and 10^15 microdollars"
)]
fn micros(usage: f64) -> Option<u64> {
    // The range refuses NaN, infinities and what is below nothing.
    (0.0..=MOST).contains(&usage).then(|| (usage * 1e6).round() as u64)
}

impl Line {
    /// Takes a point in, whatever the clock did before.
    ///
    /// A life's spending only grows. So what is stamped later than the new point, yet knows of no
    /// more spending, was written under a clock that ran ahead, and goes; what is stamped later
    /// and knows of more comes from another Keywright that was quicker, and stays. A point more
    /// than a year behind the last would be forgotten at once: that clock is believed in nothing.
    fn note(&mut self, new: Point) {
        let points = &mut self.0;
        if points.last().is_some_and(|last| new.at < last.at - YEAR) {
            return;
        }
        points.retain(|point| point.at < new.at || point.usage > new.usage);
        let place = points.partition_point(|point| point.at < new.at);
        if points.get(place).is_none_or(|point| point.at > new.at) {
            points.insert(place, new);
        }
        self.thin(new.at);
    }

    /// Forgets what is too old or too close together, seen from `now`. The last point of a cell
    /// stays: at the end of a day it is the day's total. The first of all and the last stay too.
    fn thin(&mut self, now: i64) {
        let points = &mut self.0;
        let oldest = now - YEAR;
        let mut gone = points.partition_point(|point| point.at < oldest);
        if let (Some(before), Some(after)) = (gone.checked_sub(1), points.get(gone).copied())
            && points[before].usage == after.usage
            && after.at > oldest
        {
            // Nothing was spent across the edge: the part within the year is still known.
            points[before].at = oldest;
            gone = before;
        }
        points.drain(..gone);

        let mut kept: Vec<Point> = Vec::with_capacity(points.len());
        for (index, &point) in points.iter().enumerate() {
            let next = points.get(index + 1);
            if index > 0 && next.is_some_and(|next| next.cell(now) == point.cell(now)) {
                continue;
            }
            // Of a stretch in which nothing was spent, its ends tell everything.
            match kept.as_slice() {
                [.., first, last] if first.usage == last.usage && last.usage == point.usage => {
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
pub fn record(place: &Place, read: &[(&str, Timestamp, f64)]) -> Result<(), Error> {
    let points: Vec<(&str, Point)> = read
        .iter()
        .filter_map(|(hash, at, usage)| {
            Some((*hash, Point { at: at.as_second(), usage: micros(*usage)? }))
        })
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    place.update(NAME, |samples: &mut Samples| {
        for (hash, point) in points {
            samples.keys.entry(hash.to_owned()).or_default().spent.note(point);
        }
    })
}

/// Everything remembered, by the hash of the key; times strictly ascend.
pub fn read(place: &Place) -> Result<HashMap<String, Vec<Sample>>, Error> {
    let keys = place.read::<Samples>(NAME)?.keys;
    let samples = |row: Row| row.spent.0.into_iter().filter_map(Point::sample).collect();
    Ok(keys.into_iter().map(|(hash, row)| (hash, samples(row))).collect())
}

/// Forgets a key; whether anything was remembered of it.
pub fn forget(place: &Place, hash: &str) -> Result<bool, Error> {
    place.update(NAME, |samples: &mut Samples| samples.keys.remove(hash).is_some())
}

#[cfg(test)]
mod tests;
