//! The syntax of the filter: a word matches labels and states; terms such as `state:low`,
//! `spent>10`, `expires<7d`, `workspace:x` and `store:os` compare fields. A term after `-` must not
//! match.

use jiff::{SignedDuration, Timestamp};

use crate::domain::StoredKey;

/// A parsed filter: a key is shown if every term matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<Term>,
    /// What is wrong with a term, which then matches every key.
    pub problem: Option<String>,
    /// The text before a comparison that is not a known field. The term is then compared with
    /// labels.
    pub unknown_field: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    is_negated: bool,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// A subsequence of the label, or part of the state's name.
    Word(String),
    State(String),
    Workspace(String),
    Store(String),
    Amount(Amount, Comparison, f64),
    Time(Time, Comparison, SignedDuration),
    /// The time is not set.
    Never(Time),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    Spent,
    Limit,
    Left,
    /// The spent share of the limit in per cent.
    Used,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Expires,
    Resets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    Greater,
}

impl Filter {
    /// Parses a filter as typed. A term that is not complete yet matches every key.
    pub fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            let (is_negated, rest) = match word.strip_prefix('-') {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, word),
            };
            match parse_condition(rest) {
                Ok(Some(condition)) => {
                    if let (Condition::Word(_), Some((field, _))) =
                        (&condition, rest.split_once([':', '<', '>']))
                    {
                        filter.unknown_field.get_or_insert_with(|| field.to_owned());
                    }
                    filter.terms.push(Term { is_negated, condition });
                }
                Ok(None) => {}
                Err(problem) => filter.problem = filter.problem.or(Some(problem)),
            }
        }
        filter
    }

    /// Returns whether every term matches the key.
    pub fn matches(&self, key: &StoredKey, now: Timestamp) -> bool {
        self.terms.iter().all(|term| term.condition.matches(key, now) != term.is_negated)
    }
}

impl Condition {
    fn matches(&self, key: &StoredKey, now: Timestamp) -> bool {
        match self {
            Self::Word(word) => {
                is_subsequence(word, key.label.as_str())
                    || word.len() > 1 && key.state(now).as_str().starts_with(word.as_str())
            }
            Self::State(state) => {
                let current = key.state(now);
                current.as_str().starts_with(state.as_str())
                    || "expiring".starts_with(state.as_str()) && key.is_expiring(now)
                    || "attention".starts_with(state.as_str()) && key.needs_attention(now)
            }
            Self::Workspace(part) => {
                key.workspace_id().is_some_and(|id| id.to_lowercase().contains(part.as_str()))
            }
            Self::Store(part) => key.location.store_name().to_lowercase().contains(part.as_str()),
            Self::Amount(amount, comparison, bound) => {
                let value = match amount {
                    Amount::Spent => key.spent(now),
                    Amount::Limit => key.limit().value(),
                    Amount::Left => key.spendable(now),
                    Amount::Used => key.spent_share(now).map(|share| share * 100.0),
                };
                value.is_some_and(|value| match comparison {
                    Comparison::Less => value < *bound,
                    Comparison::Greater => value > *bound,
                })
            }
            Self::Time(time, comparison, bound) => time.of(key, now).is_some_and(|at| {
                let left = at.duration_since(now);
                match comparison {
                    Comparison::Less => left < *bound,
                    Comparison::Greater => left > *bound,
                }
            }),
            Self::Never(time) => time.of(key, now).is_none(),
        }
    }
}

impl Time {
    fn of(self, key: &StoredKey, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Expires => key.expires_at().value(),
            Self::Resets => key.next_reset(now),
        }
    }
}

/// Returns the condition of one word, or `None` while its value is missing.
fn parse_condition(word: &str) -> Result<Option<Condition>, String> {
    let lower = word.to_lowercase();
    let Some(at) = lower.find([':', '<', '>']) else {
        return Ok(Some(Condition::Word(lower)));
    };
    let (field, rest) = lower.split_at(at);
    let value = rest[1..].trim_start_matches('=');
    let comparison = match rest.chars().next() {
        Some('<') => Some(Comparison::Less),
        Some('>') => Some(Comparison::Greater),
        _ => None,
    };
    let amount = match field {
        "spent" => Some(Amount::Spent),
        "limit" => Some(Amount::Limit),
        "left" | "remaining" => Some(Amount::Left),
        "used" => Some(Amount::Used),
        _ => None,
    };
    let time = match field {
        "expires" | "ends" => Some(Time::Expires),
        "resets" => Some(Time::Resets),
        _ => None,
    };
    let is_known =
        amount.is_some() || time.is_some() || matches!(field, "state" | "workspace" | "store");
    // A label may contain these characters.
    if !is_known {
        return Ok(Some(Condition::Word(lower)));
    }
    if value.is_empty() {
        return Ok(None);
    }
    let condition = match (field, amount, time, comparison) {
        ("state", _, _, None) => Condition::State(value.replace([' ', '-'], "_")),
        ("workspace", _, _, None) => Condition::Workspace(value.to_owned()),
        ("store", _, _, None) => Condition::Store(value.to_owned()),
        (_, Some(amount), _, Some(comparison)) => {
            let number = value.trim_start_matches('$').trim_end_matches('%');
            let bound = number.parse().ok().filter(|bound: &f64| bound.is_finite());
            let bound = bound.ok_or_else(|| format!("write an amount, for example {field}>10"))?;
            Condition::Amount(amount, comparison, bound)
        }
        (_, _, Some(time), Some(comparison)) => {
            let bound = parse_duration(value)
                .ok_or_else(|| format!("write a duration, for example {field}<7d"))?;
            Condition::Time(time, comparison, bound)
        }
        (_, _, Some(time), None) if "never".starts_with(value) => Condition::Never(time),
        (_, _, _, Some(_)) => return Err(format!("write {field}:, for example {field}:{value}")),
        _ => return Err(format!("compare with < or >, for example {field}>{value}")),
    };
    Ok(Some(condition))
}

/// Parses `12h`, `7d`, `2w` or `3mo`; without a unit, days.
fn parse_duration(text: &str) -> Option<SignedDuration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let hours: i64 = match unit {
        "m" | "min" => return number.parse().ok().map(SignedDuration::from_mins),
        "h" => 1,
        "" | "d" => 24,
        "w" => 7 * 24,
        "mo" => 30 * 24,
        "y" => 365 * 24,
        _ => return None,
    };
    // Longer durations are limited to a lifetime, so that they do not overflow.
    let number: i64 = number.parse().ok()?;
    Some(SignedDuration::from_hours(number.min(100_000).checked_mul(hours)?))
}

/// Returns whether the letters of `word` occur in `label` in this order, ignoring case.
fn is_subsequence(word: &str, label: &str) -> bool {
    let mut label_chars = label.chars().flat_map(char::to_lowercase);
    word.chars().all(|expected| label_chars.any(|c| c == expected))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::KeyInfo;

    fn now() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    /// Returns a key with a limit of $10 that expires after some days.
    fn key(label: &str, left: f64, days: Option<i64>) -> StoredKey {
        // Of a short lifetime only the last quarter counts as expiring.
        let created_at = now() - SignedDuration::from_hours(24 * 90);
        let expires_at = days.map(|days| now() + SignedDuration::from_hours(24 * days)).into();
        let info = KeyInfo {
            limit: Some(10.0).into(),
            limit_remaining: Some(left),
            usage: Some(10.0 - left),
            expires_at,
            workspace_id: Some("0DF9E665-aaaa".into()),
            ..KeyInfo::default()
        };
        StoredKey::sample(label, created_at).with_check(now(), info)
    }

    fn matching(filter: &str) -> Vec<String> {
        let keys = [
            key("laptop", 9.0, None),
            key("ci", 0.5, Some(90)),
            key("agent", 9.5, Some(2)),
            key("low road", 10.0, None),
        ];
        let filter = Filter::parse(filter);
        let matching = keys.iter().filter(|key| filter.matches(key, now()));
        matching.map(|key| key.label.to_string()).collect()
    }

    #[test]
    fn words_match_labels_and_states() {
        assert_eq!(matching("lpt"), ["laptop"]);
        assert_eq!(matching("LOW"), ["ci", "low road"]);
        assert_eq!(matching("low road"), ["low road"]);
        assert_eq!(matching("expiring"), ["agent"]);
        assert_eq!(matching("").len(), 4);
        assert_eq!(matching("-laptop -ci"), ["agent", "low road"]);
    }

    #[test]
    fn fields_narrow_the_list() {
        for (filter, expected) in [
            ("state:low", vec!["ci"]),
            ("state:attention", vec!["ci", "agent"]),
            ("-state:active", vec!["ci", "agent"]),
            ("spent>1", vec!["ci"]),
            ("spent>$0.9 spent<2", vec!["laptop"]),
            ("left<1", vec!["ci"]),
            ("used>=50%", vec!["ci"]),
            ("expires<7d", vec!["agent"]),
            ("expires>4w", vec!["ci"]),
            ("expires:never", vec!["laptop", "low road"]),
            ("workspace:0df9 agent", vec!["agent"]),
            ("workspace:other", vec![]),
            ("store:os ci", vec!["ci"]),
            ("store:file", vec![]),
        ] {
            assert_eq!(matching(filter), expected, "{filter}");
        }
    }

    #[test]
    fn unfinished_and_wrong_terms_hide_nothing() {
        for filter in ["state:", "spent>", "expires<", "-", "spent>abc", "expires<soon", "spent:1"]
        {
            let expected = usize::from(filter != "-") * 4;
            assert_eq!(matching(filter).len(), expected, "{filter}");
        }
        for (filter, problem) in [
            ("spent>abc", "write an amount, for example spent>10"),
            ("expires<soon", "write a duration, for example expires<7d"),
            ("spent:1", "compare with < or >, for example spent>1"),
            ("state>low", "write state:, for example state:low"),
        ] {
            assert_eq!(Filter::parse(filter).problem.as_deref(), Some(problem));
        }
        // Other labels may contain these characters.
        assert_eq!(Filter::parse("a:b x<y").problem, None);
    }

    proptest! {
        #[test]
        fn words_agree_with_a_naive_subsequence_search(label in "[a-c]{0,6}", word in "[a-c]{0,3}") {
            fn naive(word: &[u8], label: &[u8]) -> bool {
                match (word, label) {
                    ([], _) => true,
                    (_, []) => false,
                    ([a, rest @ ..], [b, more @ ..]) if a == b => naive(rest, more) || naive(word, more),
                    (_, [_, more @ ..]) => naive(word, more),
                }
            }
            prop_assert_eq!(is_subsequence(&word, &label), naive(word.as_bytes(), label.as_bytes()));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let filter = Filter::parse(&text);
            filter.matches(&key("laptop", 9.0, Some(1)), now());
        }
    }
}
