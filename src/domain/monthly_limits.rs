//! What the limits of several keys allow in a month.

use jiff::Timestamp;

use super::text::utc_date;
use super::{ResetInterval, StoredKey};

/// Returns the sum of what the limits allow in the month of `now`, in USD. `None` if no key has a
/// limit.
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
    keys.into_iter().filter_map(monthly).reduce(|sum, limit| sum + limit)
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
        let keys = [
            key(Some(2.0), "daily"),
            key(Some(7.0), "weekly"),
            key(Some(5.0), "monthly"),
            key(None, "daily"),
        ];
        assert_eq!(sum_of_monthly_limits(&keys, now), Some(60.0 + 30.0 + 5.0));
        assert_eq!(sum_of_monthly_limits(&keys[3..], now), None);
    }
}
