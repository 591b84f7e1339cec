//! Conditions of a key that the user should know: it is at a limit, expires, or is not used.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::text::{format_date, format_relative_time};
use super::{
    Cents, KeyState, StoredKey, Thresholds, UsageSample, UserError, ValidationError, format_usd,
};

/// What a key is that [`StoredKey::is_exposed`].
pub const EXPOSED: &str = "leaked and not disabled";

impl StoredKey {
    /// Returns the error about a key that [`Self::is_exposed`].
    pub fn exposed_error(&self) -> UserError {
        let disable = self.label.command("disable");
        UserError::failed(
            format!("'{}' is {EXPOSED}", self.label),
            format!("disable it now: {disable}; or delete it at {}", self.page_url()),
        )
        .with_meaning("whoever has it can spend with it")
    }
}

/// A reason to look at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nothing remains until the next reset.
    LimitReached,
    /// A budget around the key is spent.
    Blocked,
    /// The server rejects the key.
    Dead,
    /// Less remains than [`WatchThresholds::below`].
    Low,
    /// The key has expired.
    Expired,
    /// The key expires within [`WatchThresholds::expiring`].
    Expiring,
    /// The key leaked and could not be disabled.
    Leaked,
    /// The key was not used for [`WatchThresholds::idle`].
    Idle,
    /// A condition of a newer version, kept for it.
    #[serde(other)]
    Unknown,
}

impl Condition {
    /// Returns the name used in JSON and in the environment of `watch --exec`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LimitReached => "limit_reached",
            Self::Blocked => "blocked",
            Self::Dead => "dead",
            Self::Low => "low",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::Leaked => "leaked",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }
}

/// The remaining budget at which a key is low.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LowThreshold {
    /// Percent of the limit.
    Percent(f64),
    /// An amount in USD.
    Usd(f64),
}

impl FromStr for LowThreshold {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        let invalid =
            || ValidationError("write a share such as 20%, or an amount in USD such as 5".into());
        let Some(percent) = text.trim().strip_suffix('%') else {
            // The message of an amount also offers none.
            let amount = text.parse::<Cents>().map_err(|_| invalid())?;
            return Ok(Self::Usd(amount.to_dollars()));
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Self::Percent(percent)),
            _ => Err(invalid()),
        }
    }
}

/// The thresholds at which a key is reported.
#[derive(Clone, Copy, Debug)]
pub struct WatchThresholds {
    /// The remaining budget. `None` for that of [`KeyState::Low`].
    pub below: Option<LowThreshold>,
    /// The time until the expiry. `None` for that of [`KeyState::Expiring`].
    pub expiring: Option<SignedDuration>,
    /// The time without use; `None` to ignore it.
    pub idle: Option<SignedDuration>,
}

/// A condition of a key, with its figures in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The reason.
    pub condition: Condition,
    /// The figures, such as `$0.31 of $5.00 left`.
    pub detail: String,
}

/// Returns why a key needs attention, the most urgent reason first. Empty if there is none.
/// `samples` are those of the key's lifetime usage, in ascending order of time.
pub fn find_attention(
    key: &StoredKey,
    samples: &[UsageSample],
    thresholds: &WatchThresholds,
    now: Timestamp,
) -> Vec<Attention> {
    let attention = |condition, detail| Attention { condition, detail };
    if key.is_exposed(now) {
        return vec![attention(Condition::Leaked, EXPOSED.into())];
    }
    // Another key has replaced it, so its limit and its end matter to nobody.
    if key.retirement.is_some() {
        return Vec::new();
    }
    let relative = |at| format!("{} ({})", format_relative_time(now, at), format_date(at));
    let state = key.state(now);
    match state {
        KeyState::Expired => {
            let at = key.expires_at().value();
            let detail = at.map_or_else(String::new, |at| format!("expired {}", relative(at)));
            return vec![attention(Condition::Expired, detail)];
        }
        KeyState::Rejected => {
            return vec![attention(Condition::Dead, "the server rejects the key".into())];
        }
        KeyState::Disabled => return Vec::new(),
        _ => {}
    }
    let mut found = Vec::new();
    if state == KeyState::LimitReached {
        found.push(attention(Condition::LimitReached, format_remaining(key, now)));
    } else if let Some(by) = key.describe_block(now, format_date) {
        found.push(attention(Condition::Blocked, format!("blocked {by}")));
    } else if thresholds
        .below
        .map_or(state == KeyState::Low, |threshold| key.is_below(threshold, now))
    {
        found.push(attention(Condition::Low, format_remaining(key, now)));
    }
    if let Some(at) = key.expires_at().value()
        && at.duration_since(now)
            <= thresholds
                .expiring
                .unwrap_or_else(|| Thresholds::current().expiring_for(key.lifetime_until(at)))
    {
        found.push(attention(Condition::Expiring, format!("expires {}", relative(at))));
    }
    if let Some(idle) = thresholds.idle {
        let used = last_use(key, samples);
        if now.duration_since(used) > idle {
            found.push(attention(Condition::Idle, format!("not used since {}", format_date(used))));
        }
    }
    found
}

/// Formats the remaining budget as `$0.31 of $5.00 left, resets in 3 days`.
fn format_remaining(key: &StoredKey, now: Timestamp) -> String {
    let Some(layer) = key.binding_layer(now) else { return String::new() };
    let limit = layer.limit.map_or_else(String::new, |limit| format!(" of {}", format_usd(limit)));
    let left = format!("{}{limit} left", format_usd(layer.remaining.max(0.0)));
    let resets_at = if layer.is_key_limit { key.next_reset(now) } else { layer.resets_at };
    match resets_at {
        Some(at) => format!("{left}, resets {}", format_relative_time(now, at)),
        None => left,
    }
}

/// Returns the latest time at which the key may have been used: between the last two samples that
/// differ, or, where none differ, before the first one.
fn last_use(key: &StoredKey, samples: &[UsageSample]) -> Timestamp {
    let increase = samples.windows(2).rev().find(|pair| pair[1].usage > pair[0].usage);
    let sampled = match (increase, samples.first()) {
        (Some(pair), _) => pair[1].at,
        (None, Some(first)) if first.usage > 0.0 => first.at,
        _ => key.created_at,
    };
    // What the account says is exact, but may be older than the samples.
    key.last_used_at().map_or(sampled, |at| at.max(sampled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyInfo;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(remaining: f64, expires_at: Option<&str>) -> StoredKey {
        let info = KeyInfo {
            limit: Some(10.0).into(),
            limit_remaining: Some(remaining),
            expires_at: expires_at.map(at).into(),
            ..KeyInfo::default()
        };
        StoredKey::sample("x", at("2026-09-01T00:00:00Z")).with_check(at(NOW), info)
    }

    fn find(key: &StoredKey, below: Option<&str>, idle_days: Option<i64>) -> Vec<Condition> {
        let thresholds = WatchThresholds {
            below: below.map(|text| text.parse().unwrap()),
            expiring: Some(SignedDuration::from_hours(7 * 24)),
            idle: idle_days.map(|days| SignedDuration::from_hours(24 * days)),
        };
        let samples = [("2026-10-01T00:00:00Z", 1.0), ("2026-10-20T00:00:00Z", 2.0), (NOW, 2.0)]
            .map(|(time, usage)| UsageSample::new(at(time), usage));
        find_attention(key, &samples, &thresholds, at(NOW))
            .into_iter()
            .map(|attention| attention.condition)
            .collect()
    }

    #[test]
    fn a_key_is_low_below_a_share_or_an_amount() {
        for (remaining, below, expected) in [
            (1.99, None, vec![Condition::Low]),
            (2.0, None, vec![]),
            (4.99, Some("50%"), vec![Condition::Low]),
            (5.0, Some("50%"), vec![]),
            (1.0, Some("0.50"), vec![]),
            (0.49, Some("$0.50"), vec![Condition::Low]),
            (0.0, Some("0.01"), vec![Condition::LimitReached]),
        ] {
            assert_eq!(find(&key(remaining, None), below, None), expected, "{remaining} {below:?}");
        }
        for text in ["", "0%", "101%", "x", "-5", "nan%"] {
            let error = text.parse::<LowThreshold>().unwrap_err();
            assert!(!error.0.contains("none"), "{text}: {error:?}");
        }
    }

    #[test]
    fn expiry_and_use_have_lines_of_their_own() {
        assert_eq!(
            find(&key(9.0, Some("2026-12-01T12:00:00Z")), None, None),
            [Condition::Expiring]
        );
        assert_eq!(find(&key(9.0, Some("2026-12-01T12:00:01Z")), None, None), []);
        assert_eq!(
            find(&key(0.0, Some("2026-11-24T11:00:00Z")), None, Some(1)),
            [Condition::Expired]
        );
        // The last use was on the 20th of October.
        assert_eq!(find(&key(9.0, None), None, Some(35)), [Condition::Idle]);
        assert_eq!(find(&key(9.0, None), None, Some(36)), []);
        assert_eq!(
            find(&key(1.0, Some("2026-11-25T00:00:00Z")), None, Some(1)),
            [Condition::Low, Condition::Expiring, Condition::Idle]
        );
    }

    #[test]
    fn a_disabled_key_needs_no_attention_and_a_rejected_one_does() {
        let mut stored_key = key(0.0, None);
        stored_key.rejected_at = Some(at(NOW));
        assert_eq!(find(&stored_key, None, None), [Condition::Dead]);
        stored_key.disabled = Some(true);
        assert_eq!(find(&stored_key, None, Some(1)), []);
        // Neither does one that another key has replaced, as in `needs_attention`.
        let replaced_at = at(NOW);
        let mut replaced = key(0.0, None);
        replaced.retirement = Some(crate::domain::Retirement {
            replaced_at,
            unused_for: 0,
            revoke_when_unused: false,
        });
        assert_eq!(find(&replaced, None, Some(1)), []);
        assert!(!replaced.needs_attention(replaced_at));
    }
}
