//! Times in response headers, and the server's clock, which decides when days and resets begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, HeaderValue};

/// A smaller difference is ignored, because a response takes time.
const MIN_DIFFERENCE_SECONDS: i64 = 30;

/// How far the server's clock is ahead of this machine's. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerClock(Arc<AtomicI64>);

impl ServerClock {
    /// Reads the clock from the headers of a response.
    pub(super) fn record(&self, headers: &HeaderMap) {
        if let Some(date) = parse_date(headers) {
            let ahead = date.duration_since(Timestamp::now()).as_secs();
            let ahead = if ahead.abs() < MIN_DIFFERENCE_SECONDS { 0 } else { ahead };
            self.0.store(ahead, Ordering::Relaxed);
        }
    }

    /// Returns the server's time; until the first response, this machine's time.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        Timestamp::now().saturating_add(ahead).unwrap_or_else(|_| Timestamp::now())
    }
}

/// Returns the `Date` of a response.
pub(super) fn parse_date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

/// Parses `Retry-After` in either form of RFC 9110 §10.2.3.
pub(super) fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(Timestamp::now())).ok()
}
