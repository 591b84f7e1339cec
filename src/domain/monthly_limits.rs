//! What the limits of several keys allow in a month.

use jiff::Timestamp;

use super::text::utc_date;
use super::{KeyState, ResetInterval, StoredKey};

/// Returns the sum of what the limits of the keys that work allow in the month of `now`, in USD.
/// Disabled, expired, rejected and replaced keys do not count. `None` without such keys, or if one of
/// them has no limit.
pub fn sum_of_monthly_limits<'a>(
    keys: impl IntoIterator<Item = &'a StoredKey>,
    now: Timestamp,
) -> Option<f64> {
    let days = f64::from(utc_date(now).days_in_month());
    let monthly = |key: &StoredKey| {
        let factor = match key.reset().value() {
            Some(ResetInterval::Daily) => days,
            Some(ResetInterval::Weekly) => days / 7.0,
            Some(ResetInterval::Monthly) | None => 1.0,
        };
        key.limit().value().filter(|limit| limit.is_finite()).map(|limit| limit * factor)
    };
    let counts = |key: &&StoredKey| {
        let ended = [KeyState::Disabled, KeyState::Expired, KeyState::Rejected];
        key.retirement.is_none() && !ended.contains(&key.state(now))
    };
    let mut limits = keys.into_iter().filter(counts).map(monthly).peekable();
    limits.peek()?;
    limits.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_as_often_as_it_resets_in_the_month() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let key = |limit: Option<f64>, reset: &str| -> StoredKey {
            serde_json::from_value(serde_json::json!({
                "label": "x", "hash": "", "masked": "", "server": "", "store": "os",
                "created_at": "2026-11-01T00:00:00Z",
                "granted": { "limit": limit, "limit_reset": reset, "expires_at": null },
            }))
            .unwrap()
        };
        let mut disabled = key(Some(90.0), "monthly");
        disabled.disabled = Some(true);
        let keys = [
            key(Some(2.0), "daily"),
            key(Some(7.0), "weekly"),
            key(Some(5.0), "monthly"),
            disabled,
            key(None, "daily"),
        ];
        assert_eq!(sum_of_monthly_limits(&keys[..4], now), Some(60.0 + 30.0 + 5.0));
        assert_eq!(sum_of_monthly_limits(&keys[3..4], now), None);
        // What a key without a limit may spend has no bound.
        assert_eq!(sum_of_monthly_limits(&keys, now), None);
    }
}
