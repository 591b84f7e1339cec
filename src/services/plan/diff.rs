//! Compares a plan with the stored keys.

use std::collections::HashMap;
use std::fmt;

use crate::domain::{
    Cents, DefaultedFields, Expiry, GrantedPolicy, KeyLocation, KeyRequest, Reported,
    RequestedPolicy, ResetInterval, StoredKey, UnresolvedAttempt, format_date, format_usd,
};

/// State of a planned key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyDiff {
    /// Not stored: to be created.
    Missing,
    /// Stored, with the planned policy.
    Unchanged(StoredKey),
    /// Stored, with a different policy.
    Differs {
        /// The stored key.
        stored: StoredKey,
        /// The planned policy. An expiry in days counts from the creation of the stored key.
        planned: RequestedPolicy,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// Not stored: a key was created for it that belongs to an account which is not confirmed.
    OtherAccount(StoredKey),
    /// Not stored, and not to be created: this attempt may already have created it.
    Pending(UnresolvedAttempt),
}

/// The field of a key that is in another store than the plan says: it is moved, not replaced.
pub const STORE_FIELD: &str = "store";

/// One field that differs from the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// OpenRouter's name for the field.
    pub field: &'static str,
    /// The planned value, for display.
    pub planned: String,
    /// The current value, for display.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.replace('_', " ");
        write!(f, "{name} is {}, the plan says {}", self.actual, self.planned)
    }
}

/// Compares a plan with the keys stored for its server, and with the attempts there that may have
/// created a key. Returns the planned keys in order.
pub fn compare(
    plan: Vec<KeyRequest>,
    stored: Vec<StoredKey>,
    pending: Vec<UnresolvedAttempt>,
) -> Vec<(KeyRequest, KeyDiff)> {
    let mut pending: HashMap<String, UnresolvedAttempt> = pending
        .into_iter()
        .map(|attempt| (attempt.label.canonical().into_owned(), attempt))
        .collect();
    let mut of_other_account = HashMap::new();
    let mut stored: HashMap<String, StoredKey> = stored
        .into_iter()
        .filter_map(|key| {
            if !key.is_of_unconfirmed_account() {
                return Some((key.label.canonical().into_owned(), key));
            }
            let intended =
                key.other_account.as_ref().and_then(|other| other.intended_label.as_ref());
            let label = intended.unwrap_or(&key.label).canonical().into_owned();
            of_other_account.insert(label, key);
            None
        })
        .collect();
    plan.into_iter()
        .map(|request| {
            let label = request.label.canonical();
            let diff = match stored.remove(&*label) {
                None => match (of_other_account.remove(&*label), pending.remove(&*label)) {
                    (Some(key), _) => KeyDiff::OtherAccount(key),
                    (None, Some(attempt)) => KeyDiff::Pending(attempt),
                    (None, None) => KeyDiff::Missing,
                },
                Some(stored) => {
                    let planned = planned_policy(&request, &stored);
                    let mut differences = find_differences(&planned, &stored);
                    differences.extend(find_other_store(&request, &stored));
                    match differences {
                        none if none.is_empty() => KeyDiff::Unchanged(stored),
                        differences => KeyDiff::Differs { stored, planned, differences },
                    }
                }
            };
            (request, diff)
        })
        .collect()
}

/// Returns the policy that the plan has for a stored key. A field that the plan does not have stays as
/// it is: the defaults, which may change, are for new keys.
fn planned_policy(request: &KeyRequest, stored: &StoredKey) -> RequestedPolicy {
    let DefaultedFields { limit, limit_reset, expiry, workspace_id, guardrail } = request.defaulted;
    let mut planned = RequestedPolicy {
        expires_at: resolve_expiry(request, stored),
        ..RequestedPolicy::from(request)
    };
    let known_limit = stored.limit().value().map(Cents::try_from);
    if limit {
        planned.limit = known_limit.and_then(Result::ok);
    }
    if limit_reset {
        planned.limit_reset = stored.reset().value();
    }
    if expiry {
        planned.expires_at = stored.expires_at().value();
    }
    if workspace_id {
        planned.workspace_id.clone_from(&stored.requested.workspace_id);
    }
    if guardrail {
        planned.guardrail.clone_from(&stored.guardrail);
    }
    planned
}

/// Returns the difference if the key is in another store than the planned one, and does not wait to be
/// moved there.
fn find_other_store(request: &KeyRequest, stored: &StoredKey) -> Option<Difference> {
    let planned = request.store.as_ref()?;
    let KeyLocation::Stored(actual) = &stored.location else { return None };
    if actual == planned || stored.move_to.as_ref() == Some(planned) {
        return None;
    }
    Some(Difference {
        field: STORE_FIELD,
        planned: planned.to_string(),
        actual: actual.to_string(),
    })
}

fn find_differences(planned: &RequestedPolicy, stored: &StoredKey) -> Vec<Difference> {
    let actual = GrantedPolicy {
        limit: stored.limit(),
        limit_reset: stored.reset(),
        expires_at: stored.expires_at(),
    };
    let usd = |amount: &Reported<f64>| amount.describe("none", format_usd);
    let date = |at: &Reported<jiff::Timestamp>| at.describe("never", format_date);
    let reset = |interval: &Reported<ResetInterval>| {
        interval.describe("never", |interval| interval.as_str().to_owned())
    };
    let mut differences: Vec<Difference> = planned
        .differing_fields(&actual)
        .into_iter()
        .map(|field| match field {
            "limit" => Difference {
                field,
                planned: usd(&planned.limit.map(Cents::to_dollars).into()),
                actual: usd(&actual.limit),
            },
            "limit_reset" => Difference {
                field,
                planned: reset(&planned.limit_reset.into()),
                actual: reset(&actual.limit_reset),
            },
            _ => Difference {
                field,
                planned: date(&planned.expires_at.into()),
                actual: date(&actual.expires_at),
            },
        })
        .collect();
    let (wanted, assigned) = (planned.guardrail.as_ref(), stored.guardrail.as_ref());
    // A plan without a guardrail says nothing about it.
    if let Some(wanted) =
        wanted.filter(|wanted| Some(&wanted.id) != assigned.map(|assigned| &assigned.id))
    {
        differences.push(Difference {
            field: "guardrail",
            planned: wanted.name.clone(),
            actual: assigned.map_or_else(|| "none".to_owned(), |assigned| assigned.name.clone()),
        });
    }
    let workspace = |id: &Option<String>| id.as_deref().unwrap_or("default").to_lowercase();
    let (planned, actual) =
        (workspace(&planned.workspace_id), workspace(&stored.requested.workspace_id));
    if planned != actual {
        differences.push(Difference { field: "workspace_id", planned, actual });
    }
    differences
}

/// Returns the planned expiry, counted from the creation of the stored key: otherwise `30d` would
/// differ each day.
fn resolve_expiry(request: &KeyRequest, stored: &StoredKey) -> Option<jiff::Timestamp> {
    let planned = request.expiry.as_ref()?;
    if stored.requested.expires_input.as_ref() == Some(&planned.input) {
        return stored.requested.expires_at;
    }
    let from_creation = Expiry::parse(&planned.input, stored.created_at).ok().flatten();
    Some(from_creation.map_or(planned.at, |expiry| expiry.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    fn request(limit: &str, expires: &str, now: &str) -> KeyRequest {
        KeyRequest {
            label: "ci".parse().unwrap(),
            limit: Cents::parse_limit(limit).unwrap(),
            expiry: Expiry::parse(expires, at(now)).unwrap(),
            ..KeyRequest::default()
        }
    }

    fn stored_key(request: &KeyRequest, created_at: &str) -> StoredKey {
        let requested = RequestedPolicy::from(request);
        StoredKey::sample("ci", at(created_at)).with(|key| key.requested = requested)
    }

    fn differences(plan: &KeyRequest, stored: &StoredKey) -> Vec<String> {
        match compare(vec![plan.clone()], vec![stored.clone()], Vec::new()).remove(0).1 {
            KeyDiff::Differs { differences, .. } => differences
                .into_iter()
                .map(|d| format!("{}: {} planned, is {}", d.field, d.planned, d.actual))
                .collect(),
            KeyDiff::Unchanged(_) => Vec::new(),
            KeyDiff::Missing | KeyDiff::OtherAccount(_) | KeyDiff::Pending(_) => {
                panic!("the key is stored")
            }
        }
    }

    #[test]
    fn an_expiry_in_days_counts_from_the_creation_of_the_key() {
        let stored =
            stored_key(&request("5", "30d", "2026-11-01T10:00:00Z"), "2026-11-01T10:00:05Z");
        assert_eq!(differences(&request("5", "30d", "2026-11-20T00:00:00Z"), &stored), [""; 0]);
        assert_eq!(
            differences(&request("5", "31d", "2026-11-20T00:00:00Z"), &stored),
            ["expires_at: 2026-12-02 planned, is 2026-12-01"]
        );
        // An imported key has no input text for its expiry.
        let mut imported = stored.clone();
        imported.requested.expires_input = None;
        assert_eq!(differences(&request("5", "30d", "2026-11-20T00:00:00Z"), &imported), [""; 0]);
        assert_eq!(
            differences(&request("5", "2026-12-01", "2026-11-20T00:00:00Z"), &imported),
            [""; 0]
        );
    }

    #[test]
    fn the_granted_policy_is_compared_and_not_the_requested_one() {
        let plan = request("20", "never", "2026-11-20T00:00:00Z");
        let mut stored = stored_key(&plan, "2026-11-01T10:00:00Z");
        assert_eq!(differences(&plan, &stored), [""; 0]);
        stored.granted = Some(GrantedPolicy {
            limit: Reported::Value(10.0),
            limit_reset: Reported::Value(ResetInterval::Daily),
            expires_at: Reported::None,
        });
        assert_eq!(
            differences(&plan, &stored),
            ["limit: $20.00 planned, is $10.00", "limit_reset: never planned, is daily"]
        );
        stored.granted = None;
        stored.requested.workspace_id = Some("W".into());
        assert_eq!(differences(&plan, &stored), ["workspace_id: default planned, is w"]);
    }

    #[test]
    fn the_order_of_the_plan_is_kept_and_other_keys_are_ignored() {
        let plan = |label: &str| KeyRequest {
            label: label.parse().unwrap(),
            ..request("none", "never", "2026-11-20T00:00:00Z")
        };
        let pending = |label: &str| UnresolvedAttempt {
            waits_for_store: false,
            id: label.into(),
            label: label.parse().unwrap(),
            server: "s".into(),
            started_at: at("2026-11-01T10:00:00Z"),
        };
        let ci = stored_key(&plan("ci"), "2026-11-01T10:00:00Z");
        let mut other = ci.clone();
        other.label = "other".parse().unwrap();
        assert_eq!(
            compare(
                vec![plan("z"), plan("ci"), plan("a")],
                vec![other, ci.clone()],
                vec![pending("ci"), pending("a")]
            ),
            [
                (plan("z"), KeyDiff::Missing),
                (plan("ci"), KeyDiff::Unchanged(ci)),
                (plan("a"), KeyDiff::Pending(pending("a")))
            ]
        );
    }
}
