//! A plan beside what is held: what is missing, what is as planned, what is not and how.

use std::collections::HashMap;
use std::fmt;

use crate::domain::{
    Cents, Expiry, GrantedPolicy, KeyRequest, Label, RequestedPolicy, ResetInterval, StoredKey,
    UnresolvedAttempt, format_date,
};

/// How a planned key stands.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyDiff {
    /// Not held: to be cut.
    Missing,
    /// Held, as planned.
    Unchanged(StoredKey),
    /// Held, and otherwise.
    Differs {
        /// As it is.
        stored: StoredKey,
        /// As it should be; an expiry in days counts from the day it was cut.
        planned: RequestedPolicy,
        /// How.
        differences: Vec<Difference>,
    },
    /// Not held, and not to be cut: this attempt may have issued it already.
    Pending(UnresolvedAttempt),
}

/// One thing that is not as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// OpenRouter's name of it.
    pub field: &'static str,
    /// What the plan says, in words.
    pub planned: String,
    /// What it is, in words.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.replace('_', " ");
        write!(f, "{name} is {}, the plan says {}", self.actual, self.planned)
    }
}

/// Compares a plan with the keys held for its server, and with the attempts there that may have
/// issued one; in the plan's order.
pub fn compare(
    plan: Vec<KeyRequest>,
    held: Vec<StoredKey>,
    owed: Vec<UnresolvedAttempt>,
) -> Vec<(KeyRequest, KeyDiff)> {
    let mut owed: HashMap<Label, UnresolvedAttempt> =
        owed.into_iter().map(|owed| (owed.label.clone(), owed)).collect();
    let mut held: HashMap<String, StoredKey> =
        held.into_iter().map(|held| (held.label.as_str().to_owned(), held)).collect();
    plan.into_iter()
        .map(|request| {
            let standing = match held.remove(request.label.as_str()) {
                None => owed.remove(&request.label).map_or(KeyDiff::Missing, KeyDiff::Pending),
                Some(held) => {
                    let planned = RequestedPolicy {
                        expires_at: resolve_expiry(&request, &held),
                        ..RequestedPolicy::from(&request)
                    };
                    match find_differences(&planned, &held) {
                        none if none.is_empty() => KeyDiff::Unchanged(held),
                        differences => KeyDiff::Differs { stored: held, planned, differences },
                    }
                }
            };
            (request, standing)
        })
        .collect()
}

fn find_differences(planned: &RequestedPolicy, held: &StoredKey) -> Vec<Difference> {
    let is = GrantedPolicy {
        limit: held.limit(),
        limit_reset: held.reset().map(|reset| reset.as_str().into()),
        expires_at: held.expires_at(),
    };
    let usd = |amount: Option<f64>| amount.map_or("none".into(), |usd| format!("${usd:.2}"));
    let date = |at: Option<jiff::Timestamp>| at.map_or("never".into(), format_date);
    let never = |word: Option<&str>| String::from(word.unwrap_or("never"));
    let mut found: Vec<Difference> = planned
        .differing_fields(&is)
        .into_iter()
        .map(|name| match name {
            "limit" => Difference {
                field: name,
                planned: usd(planned.limit.map(Cents::to_dollars)),
                actual: usd(is.limit),
            },
            "limit_reset" => Difference {
                field: name,
                planned: never(planned.limit_reset.map(ResetInterval::as_str)),
                actual: never(is.limit_reset.as_deref()),
            },
            _ => Difference {
                field: name,
                planned: date(planned.expires_at),
                actual: date(is.expires_at),
            },
        })
        .collect();
    let workspace = |id: &Option<String>| id.as_deref().unwrap_or("default").to_lowercase();
    let (wanted, is) = (workspace(&planned.workspace_id), workspace(&held.requested.workspace_id));
    if wanted != is {
        found.push(Difference { field: "workspace_id", planned: wanted, actual: is });
    }
    found
}

/// When the planned key would expire had it been cut when the held one was: `30d` is not another
/// expiry every day.
fn resolve_expiry(request: &KeyRequest, held: &StoredKey) -> Option<jiff::Timestamp> {
    let planned = request.expiry.as_ref()?;
    if held.requested.expires_input.as_ref() == Some(&planned.input) {
        return held.requested.expires_at;
    }
    let then = Expiry::parse(&planned.input, held.created_at).ok().flatten();
    Some(then.map_or(planned.at, |expiry| expiry.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApiKey;

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    fn request(limit: &str, expires: &str, now: &str) -> KeyRequest {
        KeyRequest {
            label: "ci".parse().unwrap(),
            limit: Cents::parse_limit(limit).unwrap(),
            limit_reset: None,
            expiry: Expiry::parse(expires, at(now)).unwrap(),
            workspace_id: None,
        }
    }

    fn held(asked: &KeyRequest, on: &str) -> StoredKey {
        let key = ApiKey::from(String::from("k"));
        StoredKey {
            requested: RequestedPolicy::from(asked),
            ..StoredKey::new("ci".parse().unwrap(), &key, "s".into(), "os".into(), at(on))
        }
    }

    fn found(plan: &KeyRequest, held: &StoredKey) -> Vec<String> {
        match compare(vec![plan.clone()], vec![held.clone()], Vec::new()).remove(0).1 {
            KeyDiff::Differs { differences, .. } => differences
                .into_iter()
                .map(|one| format!("{}: {} planned, is {}", one.field, one.planned, one.actual))
                .collect(),
            KeyDiff::Unchanged(_) => Vec::new(),
            KeyDiff::Missing | KeyDiff::Pending(_) => panic!("it is held"),
        }
    }

    #[test]
    fn an_expiry_in_days_counts_from_the_day_the_key_was_cut() {
        let cut = held(&request("5", "30d", "2026-11-01T10:00:00Z"), "2026-11-01T10:00:05Z");
        assert_eq!(found(&request("5", "30d", "2026-11-20T00:00:00Z"), &cut), [""; 0]);
        assert_eq!(
            found(&request("5", "31d", "2026-11-20T00:00:00Z"), &cut),
            ["expires_at: 2026-12-02 planned, is 2026-12-01"]
        );
        // Taken over from elsewhere: nobody typed anything.
        let mut taken = cut.clone();
        taken.requested.expires_input = None;
        assert_eq!(found(&request("5", "30d", "2026-11-20T00:00:00Z"), &taken), [""; 0]);
        assert_eq!(found(&request("5", "2026-12-01", "2026-11-20T00:00:00Z"), &taken), [""; 0]);
    }

    #[test]
    fn what_was_granted_counts_and_not_what_was_asked() {
        let plan = request("20", "never", "2026-11-20T00:00:00Z");
        let mut cut = held(&plan, "2026-11-01T10:00:00Z");
        assert_eq!(found(&plan, &cut), [""; 0]);
        cut.granted = Some(GrantedPolicy {
            limit: Some(10.0),
            limit_reset: Some("daily".into()),
            expires_at: None,
        });
        assert_eq!(
            found(&plan, &cut),
            ["limit: $20.00 planned, is $10.00", "limit_reset: never planned, is daily"]
        );
        cut.granted = None;
        cut.requested.workspace_id = Some("W".into());
        assert_eq!(found(&plan, &cut), ["workspace_id: default planned, is w"]);
    }

    #[test]
    fn the_plans_order_is_kept_and_what_is_not_planned_is_left_out() {
        let plan = |label: &str| KeyRequest {
            label: label.parse().unwrap(),
            ..request("none", "never", "2026-11-20T00:00:00Z")
        };
        let owed = |label: &str| UnresolvedAttempt {
            id: label.into(),
            label: label.parse().unwrap(),
            server: "s".into(),
            started_at: at("2026-11-01T10:00:00Z"),
        };
        let ci = held(&plan("ci"), "2026-11-01T10:00:00Z");
        let mut other = ci.clone();
        other.label = "other".parse().unwrap();
        assert_eq!(
            compare(
                vec![plan("z"), plan("ci"), plan("a")],
                vec![other, ci.clone()],
                vec![owed("ci"), owed("a")]
            ),
            [
                (plan("z"), KeyDiff::Missing),
                (plan("ci"), KeyDiff::Unchanged(ci)),
                (plan("a"), KeyDiff::Pending(owed("a")))
            ]
        );
    }
}
