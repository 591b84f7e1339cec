//! Whether a key that was replaced is still used, from what was seen of its usage. Pure: the time
//! comes in as an argument. Must not know: how the figures were come by.

use jiff::{SignedDuration, Timestamp};

use super::StoredKey;

/// Usage that differs by less was not spent, in USD.
const MIN_SPENT_USD: f64 = 0.000_000_5;

/// What can be said of a key that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetirementStatus {
    /// It was not replaced.
    NotReplaced,
    /// It was used lately.
    InUse(String),
    /// It has not been watched for long enough.
    Observing(String),
    /// Its usage stood still for as long as was asked: it may go.
    Unused(String),
    /// It works no more: nobody can use it.
    Inactive(String),
}

/// Looks at a replaced key's usage over its whole life (USD), as it was seen at these times, in
/// their order. Only what was seen counts: a pause in watching is not a pause in use unless the
/// figure is the same after it.
pub fn retirement_status(
    held: &StoredKey,
    seen: &[(Timestamp, f64)],
    now: Timestamp,
) -> RetirementStatus {
    let Some(retiring) = &held.retirement else { return RetirementStatus::NotReplaced };
    if held.rejected_at.is_some() || held.disabled == Some(true) {
        return RetirementStatus::Inactive("works no more".into());
    }
    let quiet_for =
        SignedDuration::from_secs(i64::try_from(retiring.unused_for).unwrap_or(i64::MAX));
    let Some((last, usage)) = seen.last().copied() else {
        return RetirementStatus::Observing("its usage was not seen yet".into());
    };
    // The first sighting after the last rise; before the first of all nothing is known.
    let mut still_since = seen[0].0;
    for pair in seen.windows(2) {
        if pair[1].1 > pair[0].1 + MIN_SPENT_USD {
            still_since = pair[1].0;
        }
    }
    let still_since = still_since.max(retiring.replaced_at);
    if now.duration_since(last) > quiet_for.max(SignedDuration::from_mins(5)) {
        return RetirementStatus::Observing(format!(
            "its usage was last seen {} ago",
            format_duration(now.duration_since(last))
        ));
    }
    let still = last.duration_since(still_since);
    if still >= quiet_for {
        return RetirementStatus::Unused(format!("unused for {}", format_duration(still)));
    }
    let from = last.checked_sub(quiet_for).unwrap_or(Timestamp::MIN);
    let before = seen.iter().rev().find(|(at, _)| *at <= from).unwrap_or(&seen[0]);
    let spent = usage - before.1;
    if spent > MIN_SPENT_USD {
        let window = format_duration(last.duration_since(before.0));
        let window = window.strip_prefix("1 ").unwrap_or(&window);
        return RetirementStatus::InUse(format!(
            "still in use: {} in the last {window}",
            format_spent(spent)
        ));
    }
    RetirementStatus::Observing(format!(
        "unused for {} of {}",
        format_duration(still),
        format_duration(quiet_for)
    ))
}

/// `$0.12`; less than a cent is still not nothing.
fn format_spent(usd: f64) -> String {
    if usd < 0.01 { "less than $0.01".into() } else { format!("${usd:.2}") }
}

/// `1 hour`, `20 minutes`, `2 days`.
fn format_duration(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ApiKey, Retirement};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn replaced(quiet_for: u64) -> StoredKey {
        let key = ApiKey::from(String::from("x"));
        let mut held =
            StoredKey::new("x (old)".parse().unwrap(), &key, "s".into(), "os".into(), at(-999));
        held.retirement = Some(Retirement {
            replaced_at: at(0),
            unused_for: quiet_for,
            revoke_when_unused: false,
        });
        held
    }

    #[test]
    fn a_key_whose_usage_rises_is_in_use_and_the_amount_is_said() {
        let held = replaced(3_600);
        let seen = [(at(-30), 1.0), (at(10), 1.5), (at(50), 1.62)];
        assert_eq!(
            retirement_status(&held, &seen, at(51)),
            RetirementStatus::InUse("still in use: $0.62 in the last hour".into())
        );
        let seen = [(at(-300), 1.0), (at(0), 1.0), (at(100), 1.001)];
        assert_eq!(
            retirement_status(&held, &seen, at(101)),
            RetirementStatus::InUse("still in use: less than $0.01 in the last hour".into())
        );
    }

    #[test]
    fn quiet_is_said_only_of_what_was_watched_for_as_long_since_the_handing_over() {
        let held = replaced(3_600);
        let still = |minutes: &[i64]| -> Vec<_> { minutes.iter().map(|m| (at(*m), 2.0)).collect() };
        assert!(matches!(retirement_status(&held, &[], at(90)), RetirementStatus::Observing(_)));
        assert!(matches!(
            retirement_status(&held, &still(&[-600, 59]), at(59)),
            RetirementStatus::Observing(_)
        ));
        assert_eq!(
            retirement_status(&held, &still(&[-600, 60]), at(61)),
            RetirementStatus::Unused("unused for 1 hour".into())
        );
        assert!(matches!(
            retirement_status(&held, &still(&[70, 100]), at(101)),
            RetirementStatus::Observing(_)
        ));
        // Nobody looked for three hours: who knows.
        assert!(matches!(
            retirement_status(&held, &still(&[0, 60]), at(240)),
            RetirementStatus::Observing(_)
        ));
        assert!(matches!(
            retirement_status(&held, &still(&[0, 60, 240]), at(240)),
            RetirementStatus::Unused(_)
        ));
    }

    #[test]
    fn a_key_that_works_no_more_may_go_and_one_that_was_not_replaced_may_not() {
        let mut held = replaced(0);
        held.disabled = Some(true);
        assert!(matches!(retirement_status(&held, &[], at(0)), RetirementStatus::Inactive(_)));
        held.retirement = None;
        assert_eq!(retirement_status(&held, &[], at(0)), RetirementStatus::NotReplaced);
    }
}
