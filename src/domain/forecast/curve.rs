//! Spending over time, interpolated between samples, and the buckets of a chart.

use jiff::{SignedDuration, Timestamp};

/// The lifetime usage of a key at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSample {
    /// When it was recorded.
    pub at: Timestamp,
    /// USD.
    pub usage: f64,
}

/// Pairs of seconds since the epoch and USD. Both never decrease.
#[derive(Debug)]
pub(super) struct UsageCurve(Vec<(f64, f64)>);

impl UsageCurve {
    /// Builds the curve from the samples until `now`. Ignores a sample that is not later than the
    /// one before it or is not a finite number.
    ///
    /// A small decrease is a correction by the server or a replica that lags behind: the highest
    /// value is used until usage exceeds it, so that fluctuation does not count as spending. A
    /// decrease to less than half is a restart from that value, and later increases count.
    pub(super) fn new(samples: impl IntoIterator<Item = UsageSample>, now: Timestamp) -> Self {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let (mut base, mut high) = (0.0, 0.0);
        for sample in samples {
            let at = to_epoch_seconds(sample.at);
            let is_late = points.last().is_some_and(|(last, _)| at <= *last);
            if is_late || sample.at > now || !sample.usage.is_finite() {
                continue;
            }
            if sample.usage < high / 2.0 {
                base += high - sample.usage;
                high = sample.usage;
            }
            high = sample.usage.max(high);
            points.push((at, base + high));
        }
        Self(points)
    }

    /// Returns the times of the first and the last sample.
    pub(super) fn time_bounds(&self) -> Option<(f64, f64)> {
        Some((self.0.first()?.0, self.0.last()?.0))
    }

    /// Returns the number of samples from `start` on, including the last one before it.
    pub(super) fn count_samples(&self, start: f64) -> usize {
        let before = self.0.partition_point(|(at, _)| *at <= start);
        self.0.len() - before + before.min(1)
    }

    /// Returns the spending between two times, interpolated linearly between samples. Before the
    /// first and after the last sample it is zero.
    pub(super) fn spent_between(&self, from: f64, to: f64) -> f64 {
        (self.usage_at(to) - self.usage_at(from)).max(0.0)
    }

    fn usage_at(&self, at: f64) -> f64 {
        let next = self.0.partition_point(|(time, _)| *time <= at);
        match (next.checked_sub(1).map(|before| self.0[before]), self.0.get(next)) {
            (Some((t0, y0)), Some((t1, y1))) => y0 + (y1 - y0) * ((at - t0) / (t1 - t0)),
            (Some((_, end)), None) => end,
            (None, Some((_, start))) => *start,
            (None, None) => 0.0,
        }
    }
}

/// Returns whole seconds since the epoch, the precision of `samples.json`, so that a check and its
/// sample have the same time.
#[expect(clippy::cast_precision_loss, reason = "a timestamp's seconds are below 2^53")]
pub(super) fn to_epoch_seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// Returns the spending in USD in each of `buckets` equal parts of the `span` that ends at `now`,
/// oldest first; `None` for a part without samples. For whole UTC days `now` is the next midnight.
/// The sum is the spending within the span, as far as there are samples.
pub fn spending_series(
    samples: &[UsageSample],
    now: Timestamp,
    buckets: u32,
    span: SignedDuration,
) -> Vec<Option<f64>> {
    let curve = UsageCurve::new(samples.iter().copied(), now);
    let (width, end) = (span.as_secs_f64() / f64::from(buckets), to_epoch_seconds(now));
    // Calculated from the end, so that adjacent buckets share the exact edge.
    let edge = |index: u32| end - width * f64::from(buckets - index);
    (0..buckets)
        .map(|index| {
            let (first, last) = curve.time_bounds()?;
            let (from, to) = (edge(index).max(first), edge(index + 1).min(last));
            (from < to).then(|| curve.spent_between(from, to))
        })
        .collect()
}

#[cfg(test)]
mod tests;
