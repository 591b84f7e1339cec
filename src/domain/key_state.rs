//! The state of a key, derived from its last check and the time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{KeyInfo, LowThreshold, Reported, ResetInterval, StoredKey, Thresholds};

/// The state of a key at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// The key works.
    Active,
    /// Less remains than [`Thresholds::low`].
    Low,
    /// Nothing remains until the next reset.
    LimitReached,
    /// A budget around the key is spent: the server rejects its requests (403).
    Blocked,
    /// The key expires within the time of [`Thresholds::expiring`].
    Expiring,
    /// The key has expired.
    Expired,
    /// The owner disabled the key.
    Disabled,
    /// The server rejects the key (401).
    #[serde(rename = "dead")]
    Rejected,
    /// The key was never checked, or more than 24 hours ago.
    Unknown,
}

impl KeyState {
    /// Returns the name used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Low => "low",
            Self::LimitReached => "limit_reached",
            Self::Blocked => "blocked",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Rejected => "dead",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the word shown in tables, at most eight letters.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LimitReached => "at limit",
            Self::Rejected => "rejected",
            _ => self.as_str(),
        }
    }
}

impl KeyState {
    /// Returns the position of the state in lists that show urgent keys first: 0 is the most
    /// urgent. The order of the dashboard and of its warnings.
    pub const fn urgency_rank(self) -> u8 {
        match self {
            Self::LimitReached => 0,
            Self::Blocked => 1,
            Self::Rejected => 2,
            Self::Low => 3,
            Self::Expired => 4,
            Self::Expiring => 5,
            Self::Disabled => 6,
            Self::Unknown => 7,
            Self::Active => 8,
        }
    }

    /// Returns whether requests with the key succeed.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::Low | Self::Expiring)
    }

    /// Returns whether the dashboard warns about a key in this state.
    pub const fn needs_attention(self) -> bool {
        self.urgency_rank() <= Self::Expiring.urgency_rank()
    }
}

/// The share of a limit or a budget below which a key is [`KeyState::Low`].
const LOW_SHARE: f64 = 0.2;

/// A check older than this says nothing about the present state.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);

impl StoredKey {
    /// Returns whether the state is a reason to act. A key that another one replaced needs no higher limit and no
    /// later end.
    pub fn needs_attention(&self, now: Timestamp) -> bool {
        self.retirement.is_none() && self.state(now).needs_attention()
    }

    /// Returns whether it leaked and may still be used.
    pub fn is_exposed(&self, now: Timestamp) -> bool {
        self.leaked
            && !matches!(
                self.state(now),
                KeyState::Disabled | KeyState::Rejected | KeyState::Expired
            )
    }

    /// Returns whether this key may authorise the creation of another one: it is stored here, it
    /// works, no other key has replaced it, and it belongs to the account of the other keys.
    pub fn can_authorize(&self, now: Timestamp) -> bool {
        self.is_stored()
            && self.other_account.is_none()
            && self.retirement.is_none()
            && self.secret_loss().is_none()
            && self.state(now).is_usable()
    }

    /// Returns the state at `now` by the thresholds of the process.
    pub fn state(&self, now: Timestamp) -> KeyState {
        self.state_by(&Thresholds::current(), now)
    }

    /// Returns the state at `now`. Certain facts come first: an expiry that has passed needs no
    /// check.
    pub fn state_by(&self, thresholds: &Thresholds, now: Timestamp) -> KeyState {
        let expires_at = self.expires_at();
        let left = expires_at.value().map(|at| at.duration_since(now));
        if left.is_some_and(|left| left <= SignedDuration::ZERO) {
            return KeyState::Expired;
        }
        if self.disabled == Some(true) {
            return KeyState::Disabled;
        }
        if self.rejected_at.is_some() {
            return KeyState::Rejected;
        }
        let Some(info) = self.info.as_ref().filter(|_| !self.is_stale(now)) else {
            return KeyState::Unknown;
        };
        if self.remaining(now).is_some_and(|remaining| remaining <= 0.0) {
            return KeyState::LimitReached;
        }
        if self.blocking_budget(now).is_some() {
            return KeyState::Blocked;
        }
        let is_low = match thresholds.low {
            Some(threshold) => self.is_below(threshold, now),
            None => self.is_low_by_default(info, now),
        };
        if is_low {
            return KeyState::Low;
        }
        if self.expires_within(thresholds, now) {
            return KeyState::Expiring;
        }
        // A limit or an expiry that is not understood may already stop the key.
        if matches!(expires_at, Reported::Other(_)) || matches!(info.limit, Reported::Other(_)) {
            return KeyState::Unknown;
        }
        KeyState::Active
    }

    /// Returns whether the key works and expires soon, whatever else its state says.
    pub fn is_expiring(&self, now: Timestamp) -> bool {
        let is_over = matches!(
            self.state(now),
            KeyState::Expired | KeyState::Disabled | KeyState::Rejected | KeyState::Unknown
        );
        !is_over && self.expires_within(&Thresholds::current(), now)
    }

    fn expires_within(&self, thresholds: &Thresholds, now: Timestamp) -> bool {
        self.expires_at().value().is_some_and(|at| {
            at.duration_since(now) <= thresholds.expiring_for(self.lifetime_until(at))
        })
    }

    /// Returns whether less remains than `threshold`, in the layer that would block first.
    pub(super) fn is_below(&self, threshold: LowThreshold, now: Timestamp) -> bool {
        let layer = self.binding_layer(now).and_then(|layer| Some((layer.limit?, layer.remaining)));
        layer.is_some_and(|(limit, remaining)| match threshold {
            LowThreshold::Percent(percent) => remaining < limit * percent / 100.0,
            LowThreshold::Usd(amount) => remaining < amount,
        })
    }

    /// Returns whether less than a fifth of a limit remains, or less than a day's spending.
    fn is_low_by_default(&self, info: &KeyInfo, now: Timestamp) -> bool {
        let remaining = self.remaining(now);
        remaining.is_some_and(|remaining| info.is_low(self.limit().value(), remaining))
            || self.binding_layer(now).is_some_and(|layer| {
                layer.limit.is_some_and(|limit| layer.remaining < limit * LOW_SHARE)
            })
    }

    /// Returns whether the last check is too old. A clock that was set back makes no check too old.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.checked_at.is_none_or(|at| now.duration_since(at) > STALE_AFTER)
    }

    /// Returns whether the limit was reset after the last check, so that its figures are out of
    /// date.
    pub fn has_reset_since_check(&self, now: Timestamp) -> bool {
        // Every reset is at midnight, so there is none between two times of one day.
        let day = |at: Timestamp| at.as_second().div_euclid(86_400);
        self.checked_at
            .filter(|at| day(*at) != day(now))
            .and_then(|at| self.next_reset(at))
            .is_some_and(|next| next <= now)
    }

    /// Returns the remaining limit at `now`, in USD. `None` without a limit, and from a reset until
    /// the next check, because the last known figure is of the interval before.
    pub fn remaining(&self, now: Timestamp) -> Option<f64> {
        let info = self.info.as_ref().filter(|_| !self.has_reset_since_check(now))?;
        info.limit_remaining.filter(|_| !info.limit.is_none())
    }

    /// Returns the spending since the last reset, in USD: `limit - limit_remaining`, not `usage`,
    /// which is the lifetime total. Without a limit it is the spending of this month.
    pub fn spent(&self, now: Timestamp) -> Option<f64> {
        let info = self.info.as_ref()?;
        match info.limit.to_known() {
            Ok(Some(limit)) => Some((limit - self.remaining(now)?).max(0.0)),
            Ok(None) => info.usage_monthly,
            Err(_) => None,
        }
    }
}

impl KeyInfo {
    /// Returns whether less than a fifth of the limit remains, or less than a day's spending unless
    /// the limit resets daily.
    fn is_low(&self, limit: Option<f64>, remaining: f64) -> bool {
        let resets_daily = self.limit_reset.value() == Some(ResetInterval::Daily);
        let daily_usage = self.usage_daily.filter(|_| !resets_daily).unwrap_or(0.0);
        limit.is_some_and(|limit| remaining < limit * LOW_SHARE) || remaining < daily_usage
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Returns a key checked on a Tuesday at noon.
    fn key(limit: Option<f64>, remaining: Option<f64>, reset: Option<&str>) -> StoredKey {
        let info = KeyInfo {
            limit: limit.into(),
            limit_remaining: remaining,
            limit_reset: reset.and_then(|reset| ResetInterval::parse(reset).ok()?).into(),
            ..KeyInfo::default()
        };
        let key = StoredKey::sample("x", at("2026-11-01T00:00:00Z"));
        key.with_check(at("2026-11-24T12:00:00Z"), info)
    }

    #[test]
    fn state_follows_the_remaining_limit() {
        let now = at("2026-11-24T12:00:10Z");
        for (limit, remaining, expected) in [
            (None, None, KeyState::Active),
            (None, Some(0.0), KeyState::Active),
            (Some(10.0), None, KeyState::Active),
            (Some(10.0), Some(2.0), KeyState::Active),
            (Some(10.0), Some(1.99), KeyState::Low),
            (Some(10.0), Some(0.0), KeyState::LimitReached),
            (Some(10.0), Some(-3.0), KeyState::LimitReached),
            (Some(0.0), Some(0.0), KeyState::LimitReached),
            (Some(10.0), Some(12.0), KeyState::Active),
            (Some(1e12), Some(1e12), KeyState::Active),
        ] {
            let state = key(limit, remaining, Some("weekly")).state(now);
            assert_eq!(state, expected, "{limit:?} {remaining:?}");
        }
    }

    #[test]
    fn configured_thresholds_decide_when_a_key_is_low_or_expiring() {
        let now = at("2026-11-24T12:00:10Z");
        let by = |low: Option<LowThreshold>, expiring: Option<i64>| Thresholds {
            low,
            expiring: expiring.map(SignedDuration::from_hours),
            ..Thresholds::default()
        };
        let low = key(Some(10.0), Some(4.0), None);
        for (threshold, expected) in [
            (None, KeyState::Active),
            (Some(LowThreshold::Percent(50.0)), KeyState::Low),
            (Some(LowThreshold::Percent(40.0)), KeyState::Active),
            (Some(LowThreshold::Usd(4.5)), KeyState::Low),
        ] {
            assert_eq!(low.state_by(&by(threshold, None), now), expected, "{threshold:?}");
        }
        // A lifetime of 40 days: it is expiring in the last seven.
        let mut expiring = key(None, None, None);
        Arc::make_mut(expiring.info.as_mut().unwrap()).expires_at =
            Reported::Value(at("2026-12-11T00:00:00Z"));
        assert_eq!(expiring.state_by(&by(None, None), now), KeyState::Active);
        expiring.checked_at = Some(at("2026-12-04T00:00:00Z"));
        let last_days = at("2026-12-04T00:00:10Z");
        assert_eq!(expiring.state_by(&by(None, None), last_days), KeyState::Expiring);
        assert_eq!(expiring.state_by(&by(None, Some(24)), last_days), KeyState::Active);
        assert_eq!(expiring.state_by(&by(None, Some(30 * 24)), now), KeyState::Expiring);
    }

    #[test]
    fn less_than_a_days_spending_is_low_unless_the_limit_resets_daily() {
        let now = at("2026-11-24T12:00:10Z");
        for (reset, expected) in [("weekly", KeyState::Low), ("daily", KeyState::Active)] {
            let mut stored_key = key(Some(10.0), Some(4.0), Some(reset));
            Arc::make_mut(stored_key.info.as_mut().unwrap()).usage_daily = Some(5.0);
            assert_eq!(stored_key.state(now), expected, "{reset}");
        }
    }

    #[test]
    fn expiry_and_disabled_come_before_the_remaining_limit() {
        let now = at("2026-11-24T12:00:10Z");
        let mut stored_key = key(Some(10.0), Some(9.0), None);
        Arc::make_mut(stored_key.info.as_mut().unwrap()).expires_at =
            Reported::Value(at("2026-12-01T00:00:00Z"));
        assert_eq!(stored_key.state(now), KeyState::Expiring);
        stored_key.rejected_at = Some(now);
        assert_eq!(stored_key.state(now), KeyState::Rejected);
        stored_key.disabled = Some(true);
        assert_eq!(stored_key.state(now), KeyState::Disabled);
        assert_eq!(stored_key.state(at("2026-12-01T00:00:00Z")), KeyState::Expired);
    }

    #[test]
    fn figures_from_before_a_reset_are_not_used_after_it() {
        let stored_key = key(Some(10.0), Some(0.0), Some("daily"));
        assert_eq!(stored_key.state(at("2026-11-24T23:59:59Z")), KeyState::LimitReached);
        let after = at("2026-11-25T00:00:00Z");
        assert_eq!((stored_key.state(after), stored_key.spent(after)), (KeyState::Active, None));
        // Weeks begin on Monday: the 30th of November 2026 is one.
        let stored_key = key(Some(10.0), Some(0.0), Some("weekly"));
        assert!(!stored_key.has_reset_since_check(at("2026-11-29T23:59:59Z")));
        assert!(stored_key.has_reset_since_check(at("2026-11-30T00:00:00Z")));
    }

    #[test]
    fn old_check_is_unknown_and_a_clock_set_back_makes_none_old() {
        let stored_key = key(Some(10.0), Some(9.0), None);
        assert_eq!(stored_key.state(at("2026-11-25T12:00:00Z")), KeyState::Active);
        assert_eq!(stored_key.state(at("2026-11-25T12:00:01Z")), KeyState::Unknown);
        assert_eq!(stored_key.state(at("2026-11-23T12:00:00Z")), KeyState::Active);
    }

    #[test]
    fn expired_is_more_urgent_than_expiring_and_both_need_attention() {
        assert!(KeyState::Expired.urgency_rank() < KeyState::Expiring.urgency_rank());
        for state in [KeyState::Active, KeyState::Disabled, KeyState::Unknown] {
            assert!(!state.needs_attention());
            assert!(KeyState::Expiring.urgency_rank() < state.urgency_rank());
        }
    }

    #[test]
    fn spent_is_since_the_last_reset_and_never_negative() {
        let now = at("2026-11-24T12:00:10Z");
        assert_eq!(key(Some(10.0), Some(9.0), None).spent(now), Some(1.0));
        assert_eq!(key(Some(10.0), Some(12.0), None).spent(now), Some(0.0));
        assert_eq!(key(Some(10.0), Some(-2.0), None).spent(now), Some(12.0));
    }
}
