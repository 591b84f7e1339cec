//! What was spent over time, as a line through samples. Owns: gaps, figures that go down, and the
//! buckets of a chart. Must not know: limits and windows.

use jiff::{SignedDuration, Timestamp};

/// What a key had spent in its whole life at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UsageSample {
    /// When it was read.
    pub at: Timestamp,
    /// USD.
    pub usage: f64,
}

/// A line that never falls: seconds since the epoch (ascending), USD.
#[derive(Debug)]
pub(super) struct UsageCurve(Vec<(f64, f64)>);

impl UsageCurve {
    /// Through the samples until `now`. One that does not come after the one before it, or is no
    /// number, is passed over.
    ///
    /// Usage that goes down a little is a server's correction, or one of its replicas lagging
    /// behind: the highest figure stands until it is passed, so that flapping is not spending.
    /// Usage that falls below half has begun anew: what comes on top of it is spending.
    pub(super) fn new(samples: impl IntoIterator<Item = UsageSample>, now: Timestamp) -> Self {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let (mut base, mut high) = (0.0, 0.0);
        for sample in samples {
            let at = to_epoch_seconds(sample.at);
            let late = points.last().is_some_and(|(last, _)| at <= *last);
            if late || sample.at > now || !sample.usage.is_finite() {
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

    /// The first and the last second of which anything is known.
    pub(super) fn time_bounds(&self) -> Option<(f64, f64)> {
        Some((self.0.first()?.0, self.0.last()?.0))
    }

    /// How many samples the line rests on from `start`: the one that it comes from counts too.
    pub(super) fn count_samples(&self, start: f64) -> usize {
        let before = self.0.partition_point(|(at, _)| *at <= start);
        self.0.len() - before + before.min(1)
    }

    /// What was spent in these seconds. Between two samples it was spent evenly, for all we know;
    /// before the first and after the last nothing is known.
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

/// Whole seconds since the epoch: `samples.json` has no finer ones, so one reading is one sample.
#[expect(clippy::cast_precision_loss, reason = "the calendar's seconds are below 2^53")]
pub(super) fn to_epoch_seconds(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// What was spent in each of `buckets` equal parts of the `span` that ends at `now`, in USD, the
/// oldest first; `None` where no sample speaks of any part of it. For whole UTC days let `now` be
/// the coming midnight. The sum is what was spent within the span, as far as samples reach.
pub fn spending_series(
    samples: &[UsageSample],
    now: Timestamp,
    buckets: u32,
    span: SignedDuration,
) -> Vec<Option<f64>> {
    let curve = UsageCurve::new(samples.iter().copied(), now);
    let (width, end) = (span.as_secs_f64() / f64::from(buckets), to_epoch_seconds(now));
    // Counted from the end, so that neighbours share their edge exactly.
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
