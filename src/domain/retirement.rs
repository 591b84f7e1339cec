//! Decides from usage samples whether a replaced key is still in use.

use jiff::{SignedDuration, Timestamp};

use super::{KeyInfo, Retirement, StoredKey, format_duration, format_relative_time, format_usd};

/// A smaller difference in usage does not count as spending, in USD.
const MIN_SPENT_USD: f64 = 0.000_000_5;

/// Whether a replaced key is still in use. The text says so to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetirementStatus {
    /// The key was not replaced.
    NotReplaced,
    /// The key was used recently.
    InUse(String),
    /// The key has not been observed for long enough.
    Observing(String),
    /// The key has been unused for the required time and may be deleted.
    Unused(String),
    /// The key no longer works.
    Inactive(String),
}

/// Returns the status of `stored_key` at `now`.
///
/// `samples` are times and lifetime usage in USD, oldest first. A gap between samples counts as
/// unused only if the usage after it is the same. They do not show requests that cost no credits, such as
/// those with a provider key (BYOK); the account tells when the last one was.
pub fn retirement_status(
    stored_key: &StoredKey,
    samples: &[(Timestamp, f64)],
    now: Timestamp,
) -> RetirementStatus {
    let Some(retirement) = &stored_key.retirement else { return RetirementStatus::NotReplaced };
    if stored_key.rejected_at.is_some() || stored_key.disabled == Some(true) {
        return RetirementStatus::Inactive("no longer works".into());
    }
    let required = required_time(retirement);
    let Some((last, usage)) = samples.last().copied() else {
        return RetirementStatus::Observing("no usage was recorded yet".into());
    };
    // The first sample after the last change. Lifetime usage does not fall, so a smaller figure says
    // that an earlier one was wrong. Nothing is known before the first sample.
    let mut unchanged_since = samples[0].0;
    for pair in samples.windows(2) {
        if (pair[1].1 - pair[0].1).abs() > MIN_SPENT_USD {
            unchanged_since = pair[1].0;
        }
    }
    let used_at = stored_key.last_used_at().filter(|at| *at > retirement.replaced_at);
    let unchanged_since = unchanged_since.max(used_at.unwrap_or(retirement.replaced_at));
    let unchanged_since = unchanged_since.max(retirement.replaced_at);
    if now.duration_since(last) > required.max(SignedDuration::from_mins(5)) {
        return RetirementStatus::Observing(format!(
            "usage last checked {} ago",
            format_duration(now.duration_since(last))
        ));
    }
    if stored_key.info.as_deref().is_some_and(has_unknown_use) {
        return RetirementStatus::Observing(UNKNOWN_USE.into());
    }
    let unused = last.duration_since(unchanged_since);
    if unused >= required {
        return RetirementStatus::Unused(format!("unused for {}", format_duration(unused)));
    }
    // Usage that an earlier sample lacks may have come before the replacement, so the comparison begins
    // with the first sample after it.
    let replaced = samples.partition_point(|(at, _)| *at < retirement.replaced_at);
    let since = samples.get(replaced..).unwrap_or_default();
    let from = last.checked_sub(required).unwrap_or(Timestamp::MIN);
    let baseline = since.iter().rev().find(|(at, _)| *at <= from).or(since.first());
    let baseline = baseline.copied().unwrap_or((last, usage));
    let spent = usage - baseline.1;
    if spent > MIN_SPENT_USD {
        let window = format_duration(last.duration_since(baseline.0));
        let window = window.strip_prefix("1 ").unwrap_or(&window);
        return RetirementStatus::InUse(format!(
            "still in use: {} in the last {window}",
            format_usd(spent)
        ));
    }
    if let Some(at) = used_at {
        let ago = format_relative_time(now, at);
        return RetirementStatus::InUse(format!("still in use: last used {ago}"));
    }
    let required = format_duration(required);
    // The usage rose by the only check since the replacement, perhaps before it.
    RetirementStatus::Observing(if unused < SignedDuration::from_mins(1) {
        format!("not known yet: it must be unused for {required}")
    } else {
        format!("unused so far: {} of {required}", format_duration(unused))
    })
}

const UNKNOWN_USE: &str =
    "used with a provider key (BYOK); only a management key tells when it was last used";

fn required_time(retirement: &Retirement) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(retirement.unused_for).unwrap_or(i64::MAX))
}

/// Returns whether a key was used in a way of which neither time nor samples are known.
fn has_unknown_use(info: &KeyInfo) -> bool {
    info.last_used_at.is_none() && info.byok_usage.is_some_and(|usage| usage > 0.0)
}

/// Returns why a replaced key must not be deleted as unused, by what the account reports at `now`.
pub fn describe_recent_use(
    stored_key: &StoredKey,
    reported: &KeyInfo,
    now: Timestamp,
) -> Option<String> {
    let retirement = stored_key.retirement.as_ref()?;
    let checked = stored_key.info.as_deref();
    let usage = |info: &KeyInfo| info.usage.unwrap_or(0.0) + info.byok_usage.unwrap_or(0.0);
    let spent = usage(reported) - checked.map_or(0.0, usage);
    if let Some(at) = reported.last_used_at
        && now.duration_since(at) < required_time(retirement)
    {
        return Some(format!("last used {}", format_relative_time(now, at)));
    }
    if checked.is_some() && spent > MIN_SPENT_USD {
        return Some(format!("{} since it was checked", format_usd(spent)));
    }
    has_unknown_use(reported).then(|| UNKNOWN_USE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Retirement;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn replaced_key(unused_for: u64) -> StoredKey {
        let retirement =
            Some(Retirement { replaced_at: at(0), unused_for, revoke_when_unused: false });
        StoredKey::sample("x (old)", at(-999)).with(|key| key.retirement = retirement)
    }

    #[test]
    fn rising_usage_is_reported_with_its_amount() {
        let stored_key = replaced_key(3_600);
        let samples = [(at(0), 1.0), (at(10), 1.5), (at(60), 1.62)];
        assert_eq!(
            retirement_status(&stored_key, &samples, at(61)),
            RetirementStatus::InUse("still in use: $0.62 in the last hour".into())
        );
        let samples = [(at(-300), 1.0), (at(0), 1.0), (at(100), 1.001)];
        assert_eq!(
            retirement_status(&stored_key, &samples, at(101)),
            RetirementStatus::InUse("still in use: <$0.01 in the last 2 hours".into())
        );
    }

    #[test]
    fn usage_from_before_the_replacement_is_not_use_after_it() {
        let stored_key = replaced_key(3_600);
        for samples in [
            vec![(at(-30), 1.0), (at(2), 2.6)],
            vec![(at(-30), 1.0), (at(2), 2.6), (at(8), 2.6)],
            vec![(at(-30), 1.0), (at(-1), 2.6)],
        ] {
            let now = samples[samples.len() - 1].0;
            let status = retirement_status(&stored_key, &samples, now);
            assert!(matches!(status, RetirementStatus::Observing(_)), "{status:?}");
        }
        let samples = [(at(-30), 1.0), (at(2), 2.6), (at(8), 2.7)];
        assert_eq!(
            retirement_status(&stored_key, &samples, at(8)),
            RetirementStatus::InUse("still in use: $0.10 in the last 6 minutes".into())
        );
    }

    #[test]
    fn use_that_costs_no_credits_counts() {
        let used = |last_used_at: Option<Timestamp>, byok_usage: f64| {
            let info = KeyInfo { last_used_at, byok_usage: Some(byok_usage), ..KeyInfo::default() };
            replaced_key(3_600).with(|key| key.info = Some(info.into()))
        };
        let samples = [(at(0), 2.0), (at(200), 2.0)];
        let status = |key: &StoredKey| retirement_status(key, &samples, at(200));
        let unused = |key: &StoredKey| matches!(status(key), RetirementStatus::Unused(_));
        assert!(unused(&used(None, 0.0)) && unused(&used(Some(at(-5)), 7.0)));
        assert!(unused(&used(Some(at(140)), 7.0)) && !unused(&used(Some(at(141)), 7.0)));
        assert_eq!(
            status(&used(Some(at(190)), 7.0)),
            RetirementStatus::InUse("still in use: last used 10 minutes ago".into())
        );
        assert_eq!(status(&used(None, 7.0)), RetirementStatus::Observing(UNKNOWN_USE.into()));
    }

    #[test]
    fn what_the_account_reports_decides_before_a_key_is_deleted() {
        let info = |last_used_at: Option<Timestamp>, usage: f64, byok_usage: f64| KeyInfo {
            last_used_at,
            usage: Some(usage),
            byok_usage: Some(byok_usage),
            ..KeyInfo::default()
        };
        let checked = replaced_key(3_600).with(|key| key.info = Some(info(None, 1.0, 2.0).into()));
        let describe = |reported: KeyInfo| describe_recent_use(&checked, &reported, at(200));
        assert_eq!(describe(info(Some(at(100)), 1.0, 2.0)), None);
        assert_eq!(describe(info(None, 1.0, 0.0)), None);
        assert_eq!(
            describe(info(Some(at(190)), 1.0, 2.0)),
            Some("last used 10 minutes ago".into())
        );
        assert_eq!(
            describe(info(Some(at(100)), 1.0, 2.5)),
            Some("$0.50 since it was checked".into())
        );
        assert_eq!(describe(info(None, 1.0, 2.0)), Some(UNKNOWN_USE.into()));
    }

    #[test]
    fn unused_requires_observation_for_the_whole_time_since_the_replacement() {
        let stored_key = replaced_key(3_600);
        let constant =
            |minutes: &[i64]| -> Vec<_> { minutes.iter().map(|m| (at(*m), 2.0)).collect() };
        assert!(matches!(
            retirement_status(&stored_key, &[], at(90)),
            RetirementStatus::Observing(_)
        ));
        assert!(matches!(
            retirement_status(&stored_key, &constant(&[-600, 59]), at(59)),
            RetirementStatus::Observing(_)
        ));
        assert_eq!(
            retirement_status(&stored_key, &constant(&[-600, 60]), at(61)),
            RetirementStatus::Unused("unused for 1 hour".into())
        );
        assert!(matches!(
            retirement_status(&stored_key, &constant(&[70, 100]), at(101)),
            RetirementStatus::Observing(_)
        ));
        assert_eq!(
            retirement_status(&stored_key, &constant(&[0, 20]), at(20)),
            RetirementStatus::Observing("unused so far: 20 minutes of 1 hour".into())
        );
        let soon = at(0) + SignedDuration::from_secs(1);
        assert_eq!(
            retirement_status(&stored_key, &[(at(0), 2.0), (soon, 2.0)], soon),
            RetirementStatus::Observing("not known yet: it must be unused for 1 hour".into())
        );
        // Nothing was recorded for three hours, so the usage in that time is unknown.
        assert!(matches!(
            retirement_status(&stored_key, &constant(&[0, 60]), at(240)),
            RetirementStatus::Observing(_)
        ));
        assert!(matches!(
            retirement_status(&stored_key, &constant(&[0, 60, 240]), at(240)),
            RetirementStatus::Unused(_)
        ));
    }

    #[test]
    fn a_smaller_figure_begins_the_observation_again() {
        let stored_key = replaced_key(3_600);
        for samples in [
            [(at(0), 2.0), (at(50), 1.0), (at(60), 1.0)],
            [(at(0), 2.0), (at(30), 2.0), (at(60), 0.0)],
        ] {
            assert!(matches!(
                retirement_status(&stored_key, &samples, at(61)),
                RetirementStatus::Observing(_)
            ));
        }
        let samples = [(at(0), 2.0), (at(10), 1.0), (at(70), 1.0)];
        assert!(matches!(
            retirement_status(&stored_key, &samples, at(71)),
            RetirementStatus::Unused(_)
        ));
    }

    #[test]
    fn disabled_key_is_inactive_and_other_key_is_not_replaced() {
        let mut stored_key = replaced_key(0);
        stored_key.disabled = Some(true);
        assert!(matches!(
            retirement_status(&stored_key, &[], at(0)),
            RetirementStatus::Inactive(_)
        ));
        stored_key.retirement = None;
        assert_eq!(retirement_status(&stored_key, &[], at(0)), RetirementStatus::NotReplaced);
    }
}
