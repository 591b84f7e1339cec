//! A key in a word: what its figures mean for the person who holds it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{KeyInfo, ResetInterval, StoredKey};

/// A key in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Works.
    Active,
    /// Below a fifth of its limit, or below what it spends in a day.
    Low,
    /// Nothing left in this window.
    LimitReached,
    /// Works for 30 days at most.
    Expiring,
    /// Works no more: its time is over.
    Expired,
    /// Switched off by its owner.
    Disabled,
    /// The server no longer knows it (401).
    #[serde(rename = "dead")]
    Rejected,
    /// Never asked, or so long ago that it may be anything by now.
    Unknown,
}

impl KeyState {
    /// The word, as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Low => "low",
            Self::LimitReached => "limit_reached",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Rejected => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// A reading older than this says nothing about today.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Days before its end from which a key is expiring; the nearer ones are shown by their count.
const EXPIRING_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);

impl StoredKey {
    /// The state at `now`, from what is known of it. What is certain comes first: an end that has
    /// passed needs no server to say so.
    pub fn state(&self, now: Timestamp) -> KeyState {
        let left = self.expires_at().map(|at| at.duration_since(now));
        if left.is_some_and(|left| left <= SignedDuration::ZERO) {
            return KeyState::Expired;
        }
        if self.disabled == Some(true) {
            return KeyState::Disabled;
        }
        if self.rejected_at.is_some() {
            return KeyState::Rejected;
        }
        let Some(reading) = self.info.as_ref().filter(|_| !self.is_stale(now)) else {
            return KeyState::Unknown;
        };
        match self.remaining(now) {
            Some(remaining) if remaining <= 0.0 => return KeyState::LimitReached,
            Some(remaining) if reading.is_low(remaining) => return KeyState::Low,
            _ => {}
        }
        if left.is_some_and(|left| left <= EXPIRING_WITHIN) {
            return KeyState::Expiring;
        }
        KeyState::Active
    }

    /// Whether the figures are too old to speak for now. A clock that was set back makes none old.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.checked_at.is_none_or(|at| now.duration_since(at) > STALE_AFTER)
    }

    /// Whether a window has ended since the figures were read: they speak of the one before.
    pub fn has_reset_since_check(&self, now: Timestamp) -> bool {
        let next = self.checked_at.and_then(|at| self.reset()?.next_after(at));
        next.is_some_and(|next| next <= now)
    }

    /// What is left in this window, in USD; `None` where there is no limit or it is not known.
    pub fn remaining(&self, now: Timestamp) -> Option<f64> {
        let reading = self.info.as_ref().filter(|_| !self.has_reset_since_check(now))?;
        reading.limit.and(reading.limit_remaining)
    }

    /// What was spent in this window, in USD: `limit - limit_remaining`, and never `usage`, which
    /// is of the key's whole life. Without a limit there is no window: what was spent this month.
    pub fn spent(&self, now: Timestamp) -> Option<f64> {
        let reading = self.info.as_ref()?;
        match reading.limit {
            Some(limit) => Some((limit - self.remaining(now)?).max(0.0)),
            None => reading.usage_monthly,
        }
    }
}

impl KeyInfo {
    /// Below a fifth of the limit; or below a day's burn, where the window outlasts the day.
    fn is_low(&self, remaining: f64) -> bool {
        let daily = self.limit_reset.as_deref() == Some(ResetInterval::Daily.as_str());
        let burn = self.usage_daily.filter(|_| !daily).unwrap_or(0.0);
        self.limit.is_some_and(|limit| remaining < limit * 0.2) || remaining < burn
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A key that was read at noon of a Tuesday, with that limit, what is left, and that window.
    fn key(limit: Option<f64>, remaining: Option<f64>, reset: Option<&str>) -> StoredKey {
        let mut held: StoredKey = serde_json::from_value(serde_json::json!({
            "label": "x", "hash": "", "masked": "", "server": "", "store": "os",
            "created_at": "2026-11-01T00:00:00Z",
        }))
        .unwrap();
        held.checked_at = Some(at("2026-11-24T12:00:00Z"));
        held.info = Some(Arc::new(KeyInfo {
            limit,
            limit_remaining: remaining,
            limit_reset: reset.map(String::from),
            ..KeyInfo::default()
        }));
        held
    }

    #[test]
    fn the_figures_decide_the_word() {
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
    fn less_than_a_days_burn_is_low_unless_the_day_ends_the_window() {
        let now = at("2026-11-24T12:00:10Z");
        for (reset, expected) in [("weekly", KeyState::Low), ("daily", KeyState::Active)] {
            let mut held = key(Some(10.0), Some(4.0), Some(reset));
            Arc::make_mut(held.info.as_mut().unwrap()).usage_daily = Some(5.0);
            assert_eq!(held.state(now), expected, "{reset}");
        }
    }

    #[test]
    fn what_is_certain_comes_before_the_figures() {
        let now = at("2026-11-24T12:00:10Z");
        let mut held = key(Some(10.0), Some(9.0), None);
        Arc::make_mut(held.info.as_mut().unwrap()).expires_at = Some(at("2026-12-01T00:00:00Z"));
        assert_eq!(held.state(now), KeyState::Expiring);
        held.rejected_at = Some(now);
        assert_eq!(held.state(now), KeyState::Rejected);
        held.disabled = Some(true);
        assert_eq!(held.state(now), KeyState::Disabled);
        assert_eq!(held.state(at("2026-12-01T00:00:00Z")), KeyState::Expired);
    }

    #[test]
    fn figures_of_a_window_that_has_ended_are_not_taken_for_this_one() {
        let held = key(Some(10.0), Some(0.0), Some("daily"));
        assert_eq!(held.state(at("2026-11-24T23:59:59Z")), KeyState::LimitReached);
        let after = at("2026-11-25T00:00:00Z");
        assert_eq!((held.state(after), held.spent(after)), (KeyState::Active, None));
        // Weeks begin on Monday: the 30th of November 2026 is one.
        let held = key(Some(10.0), Some(0.0), Some("weekly"));
        assert!(!held.has_reset_since_check(at("2026-11-29T23:59:59Z")));
        assert!(held.has_reset_since_check(at("2026-11-30T00:00:00Z")));
    }

    #[test]
    fn old_figures_are_unknown_and_a_clock_set_back_makes_none_old() {
        let held = key(Some(10.0), Some(9.0), None);
        assert_eq!(held.state(at("2026-11-25T12:00:00Z")), KeyState::Active);
        assert_eq!(held.state(at("2026-11-25T12:00:01Z")), KeyState::Unknown);
        assert_eq!(held.state(at("2026-11-23T12:00:00Z")), KeyState::Active);
    }

    #[test]
    fn spent_is_of_this_window_and_never_below_nothing() {
        let now = at("2026-11-24T12:00:10Z");
        assert_eq!(key(Some(10.0), Some(9.0), None).spent(now), Some(1.0));
        assert_eq!(key(Some(10.0), Some(12.0), None).spent(now), Some(0.0));
        assert_eq!(key(Some(10.0), Some(-2.0), None).spent(now), Some(12.0));
    }
}
