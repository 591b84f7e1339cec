//! The budgets around a key: every layer that can reject a request made with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::reported::{Reported, parse_number};
use super::{KeyState, StoredKey, Thresholds, format_usd, sanitize};

/// The scope of the key's own limit.
pub(super) const KEY_LIMIT_SCOPE: &str = "key_limit";

/// One budget that `GET /key` reports. Field names are OpenRouter's, amounts are in USD.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Which layer it is, such as `workspace` or `key_limit`; safe to show.
    pub scope: String,
    /// The most that may be spent in one window.
    pub limit_usd: Option<f64>,
    /// What was spent in the present window.
    pub spend_usd: Option<f64>,
    /// What remains; requests are rejected from zero on.
    pub remaining_usd: Option<f64>,
    /// `daily`, `weekly`, `monthly`, or none for a lifetime budget.
    pub reset_interval: Option<String>,
    /// When the window ends; null for a lifetime budget.
    #[serde(skip_serializing_if = "Reported::is_missing")]
    pub resets_at: Reported<Timestamp>,
    /// Whether spending through the owner's provider keys counts.
    pub include_byok: Option<bool>,
    /// The guardrail that it belongs to.
    pub guardrail_id: Option<String>,
    /// The budget's own id.
    pub budget_id: Option<String>,
}

impl Budget {
    /// Parses a budget leniently; `None` if it is no object.
    pub fn from_json(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| field_text(fields, name);
        let amount = |name: &str| fields.get(name).and_then(parse_number);
        Some(Self {
            scope: text("scope").unwrap_or_default(),
            limit_usd: amount("limit_usd"),
            spend_usd: amount("spend_usd"),
            remaining_usd: amount("remaining_usd"),
            reset_interval: text("reset_interval"),
            resets_at: Reported::from_json(fields.get("resets_at")),
            include_byok: fields.get("include_byok").and_then(Value::as_bool),
            guardrail_id: text("guardrail_id"),
            budget_id: text("budget_id"),
        })
    }

    /// Returns whether it is the key's own limit.
    pub fn is_key_limit(&self) -> bool {
        self.scope == KEY_LIMIT_SCOPE
    }

    /// Returns the name of the layer as shown to the user; an unknown scope as the server wrote it.
    pub fn layer_name(&self) -> &str {
        match self.scope.as_str() {
            "workspace_default_member" => "the workspace's default guardrail for members",
            "workspace_default_key" => "the workspace's default guardrail for keys",
            "member" => "the member's guardrail",
            "api_key" => "the key's guardrail",
            "workspace" => "the workspace budget",
            KEY_LIMIT_SCOPE => "the key's limit",
            "" => "a budget",
            scope => scope,
        }
    }
}

/// Returns a text field, safe to show; `None` if it is missing or empty.
pub fn field_text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = fields.get(name)?.as_str()?;
    Some(sanitize(text, 100)).filter(|text| !text.is_empty())
}

/// The requests to free models that the account may make, per UTC day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FreeModelRequests {
    /// The most in a day.
    pub limit: Option<f64>,
    /// How many were made today.
    pub used: Option<f64>,
    /// How many remain today.
    pub remaining: Option<f64>,
}

/// A guardrail that a key is assigned to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardrailRef {
    /// The guardrail's UUID.
    pub id: String,
    /// Its name, safe to show.
    pub name: String,
}

/// The layer that blocks a key first: its own limit or a budget around it.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingLayer {
    /// What may be spent in one window, if known.
    pub limit: Option<f64>,
    /// What remains.
    pub remaining: f64,
    /// When the window of a budget ends; `None` for a lifetime budget, where it is not known, and for the
    /// key's own limit: see [`StoredKey::next_reset`].
    pub resets_at: Option<Timestamp>,
    /// Whether it is the key's own limit.
    pub is_key_limit: bool,
}

impl StoredKey {
    /// Returns whether the window of a budget has ended since the last check, so that its figures are out of
    /// date. What was reported after the end by the clock of this machine, which may be wrong, is not.
    pub fn has_rolled_over(&self, budget: &Budget, now: Timestamp) -> bool {
        budget
            .resets_at
            .value()
            .is_some_and(|at| at <= now && self.checked_at.is_none_or(|checked_at| checked_at < at))
    }

    /// Returns the budget around the key that rejects its requests at `now`, the one that is enforced
    /// first. The key's own limit is not among them: see [`KeyState::LimitReached`].
    pub fn blocking_budget(&self, now: Timestamp) -> Option<&Budget> {
        let info = self.info.as_ref()?;
        let blocks = |budget: &&Budget| {
            !budget.is_key_limit()
                && budget.remaining_usd.is_some_and(|remaining| remaining <= 0.0)
                && !self.has_rolled_over(budget, now)
        };
        info.budgets.iter().find(blocks).or_else(|| info.effective_budget.as_deref().filter(blocks))
    }

    /// Returns the layer that blocks the key first: the one with the least left. `None` without any
    /// limit or budget, or while no figures are known.
    pub fn binding_layer(&self, now: Timestamp) -> Option<BindingLayer> {
        let own = self.remaining(now).map(|remaining| BindingLayer {
            limit: self.limit().value(),
            remaining,
            resets_at: None,
            is_key_limit: true,
        });
        let info = self.info.as_ref()?;
        let around = info
            .budgets
            .iter()
            .chain(info.effective_budget.as_deref())
            .filter(|budget| !budget.is_key_limit() && !self.has_rolled_over(budget, now))
            .filter_map(|budget| {
                Some(BindingLayer {
                    limit: budget.limit_usd,
                    remaining: budget
                        .remaining_usd
                        .or_else(|| Some(budget.limit_usd? - budget.spend_usd?))?,
                    resets_at: budget.resets_at.value(),
                    is_key_limit: false,
                })
            });
        own.into_iter().chain(around).min_by(|one, other| one.remaining.total_cmp(&other.remaining))
    }

    /// Returns what the key may still spend, in USD: what the layer that blocks first has left.
    pub fn spendable(&self, now: Timestamp) -> Option<f64> {
        self.binding_layer(now).map(|layer| layer.remaining.max(0.0))
    }

    /// Returns the spent share of the layer that blocks first, from 0 to 1.
    pub fn spent_share(&self, now: Timestamp) -> Option<f64> {
        let share = |limit: f64, remaining: f64| {
            if limit > 0.0 { ((limit - remaining) / limit).max(0.0) } else { 1.0 }
        };
        let layer = self.binding_layer(now)?;
        // Of a budget, only the remaining amount may be known.
        let own = || Some(share(self.limit().value()?, self.remaining(now)?));
        layer.limit.map(|limit| share(limit, layer.remaining)).or_else(own)
    }

    /// Returns by what, how much and until when the key is blocked, as
    /// `by the workspace budget: $50.00 spent of $50.00, until …`. `None` if it is not blocked.
    pub fn describe_block(
        &self,
        now: Timestamp,
        format_time: impl Fn(Timestamp) -> String,
    ) -> Option<String> {
        let budget = self.blocking_budget(now).filter(|_| self.state(now) == KeyState::Blocked)?;
        let assigned = budget
            .guardrail_id
            .as_deref()
            .and_then(|id| self.guardrail.as_ref().filter(|guardrail| guardrail.id == id));
        let layer = match assigned {
            Some(guardrail) => format!("guardrail '{}'", guardrail.name),
            None => budget.layer_name().to_owned(),
        };
        let amount = match (budget.spend_usd, budget.limit_usd) {
            (Some(spent), Some(limit)) => {
                format!(": {} spent of {}", format_usd(spent), format_usd(limit))
            }
            (None, Some(limit)) => format!(": {} spent", format_usd(limit)),
            (Some(spent), None) => format!(": {} spent", format_usd(spent)),
            (None, None) => String::new(),
        };
        let until = match &budget.resets_at {
            Reported::None => ", with no reset".to_owned(),
            Reported::Missing => String::new(),
            resets_at => format!(", until {}", resets_at.describe("", format_time)),
        };
        Some(format!("by {layer}{amount}{until}"))
    }

    /// Returns when the key was last used, as far as the account reported it.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.info.as_ref()?.last_used_at
    }

    /// Returns whether the key worked and was not used for the time of [`Thresholds::dormant`].
    /// `None` if that is not known: only the account reports when a key was last used.
    pub fn is_dormant(&self, now: Timestamp) -> Option<bool> {
        let info = self.info.as_ref()?;
        let since = match info.last_used_at {
            Some(at) => at,
            // A key that never spent anything was never used, even if the account does not report
            // its last use.
            None if info.usage == Some(0.0) => self.created_at,
            None => return None,
        };
        let stopped =
            matches!(self.state(now), KeyState::Disabled | KeyState::Expired | KeyState::Rejected);
        Some(!stopped && now.duration_since(since) > Thresholds::current().dormant)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::KeyInfo;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn key(budgets: &[Value]) -> StoredKey {
        let budgets: Vec<_> = budgets.iter().filter_map(Budget::from_json).collect();
        let info = KeyInfo {
            limit: Some(10.0).into(),
            limit_remaining: Some(9.0),
            limit_reset: Reported::None,
            expires_at: Reported::None,
            effective_budget: budgets.first().cloned().map(Box::new),
            budgets,
            ..KeyInfo::default()
        };
        let key = StoredKey::sample("x", at("2026-11-01T00:00:00Z"));
        key.with_check(at("2026-11-24T12:00:00Z"), info)
    }

    #[test]
    fn an_exhausted_budget_blocks_until_its_window_ends() {
        let workspace = json!({"scope": "workspace", "limit_usd": 50, "spend_usd": "50.25",
            "remaining_usd": -0.25, "resets_at": "2026-11-30T00:00:00.000000+00:00"});
        let own = json!({"scope": "key_limit", "limit_usd": 10, "remaining_usd": 0});
        let stored_key = key(&[workspace.clone(), own.clone()]);
        let now = at("2026-11-24T12:00:10Z");
        assert_eq!(stored_key.state(now), KeyState::Blocked);
        assert_eq!(
            stored_key.describe_block(now, |at| at.to_string()).as_deref(),
            Some("by the workspace budget: $50.25 spent of $50.00, until 2026-11-30T00:00:00Z")
        );
        // The key's own figures decide about its own limit.
        assert_eq!(key(&[own]).state(now), KeyState::Active);
        let mut later = stored_key.clone();
        later.checked_at = Some(at("2026-11-29T23:00:00Z"));
        assert_eq!(later.state(at("2026-11-30T00:00:00Z")), KeyState::Active);
        // The clock of this machine is an hour ahead: the server still reports the window that ends at midnight.
        later.checked_at = Some(at("2026-11-30T00:30:00Z"));
        assert_eq!(later.state(at("2026-11-30T00:30:10Z")), KeyState::Blocked);
        // Certain facts come first.
        later.disabled = Some(true);
        assert_eq!(later.state(at("2026-11-29T23:30:00Z")), KeyState::Disabled);
        // Without budgets, as an older server answers.
        assert_eq!(key(&[]).state(now), KeyState::Active);
    }

    #[test]
    fn unknown_scopes_and_words_are_shown_as_they_are() {
        let odd =
            json!({"scope": "planet", "limit_usd": 1, "remaining_usd": 0, "resets_at": "soon"});
        let now = at("2026-11-24T12:00:10Z");
        let words = key(&[odd]).describe_block(now, |at| at.to_string());
        assert_eq!(words.as_deref(), Some("by planet: $1.00 spent, until soon"));
        let lifetime = json!({"scope": "api_key", "guardrail_id": "g", "limit_usd": 1,
            "spend_usd": 1, "remaining_usd": 0, "resets_at": null});
        let mut stored_key = key(&[lifetime]);
        let words = stored_key.describe_block(now, |at| at.to_string());
        assert_eq!(
            words.as_deref(),
            Some("by the key's guardrail: $1.00 spent of $1.00, with no reset")
        );
        stored_key.guardrail = Some(GuardrailRef { id: "g".into(), name: "research".into() });
        let words = stored_key.describe_block(now, |at| at.to_string()).unwrap();
        assert!(words.starts_with("by guardrail 'research': "), "{words}");
    }

    #[test]
    fn a_key_is_dormant_after_thirty_days_without_use() {
        let now = at("2026-11-24T12:00:10Z");
        let used = |text: &str, usage: Option<f64>| {
            let mut stored_key = key(&[]);
            let info = Arc::make_mut(stored_key.info.as_mut().unwrap());
            (info.last_used_at, info.usage) = (text.parse().ok(), usage);
            stored_key
        };
        assert_eq!(used("2026-10-25T12:00:10Z", None).is_dormant(now), Some(false));
        assert_eq!(used("2026-10-25T12:00:09Z", None).is_dormant(now), Some(true));
        // It was created on the 1st of November.
        assert_eq!(used("", Some(0.0)).is_dormant(now), Some(false));
        assert_eq!(used("", Some(0.0)).is_dormant(at("2026-12-02T00:00:00Z")), Some(true));
        assert_eq!(used("", Some(1.0)).is_dormant(now), None);
    }

    #[test]
    fn the_layer_with_the_least_left_binds() {
        let now = at("2026-11-24T12:00:10Z");
        let workspace = json!({"scope": "workspace", "limit_usd": 50, "remaining_usd": 1.5,
            "resets_at": "2026-11-30T00:00:00Z"});
        let binding = key(&[workspace]).binding_layer(now).unwrap();
        assert_eq!((binding.limit, binding.remaining), (Some(50.0), 1.5));
        assert_eq!(key(&[]).binding_layer(now).map(|layer| layer.remaining), Some(9.0));
        let unlimited = {
            let mut key =
                key(&[json!({"scope": "workspace", "limit_usd": 50, "remaining_usd": 20})]);
            let info = Arc::make_mut(key.info.as_mut().unwrap());
            (info.limit, info.limit_remaining) = (Reported::None, None);
            key
        };
        assert_eq!((unlimited.spendable(now), unlimited.spent_share(now)), (Some(20.0), Some(0.6)));
        let own = key(&[json!({"scope": "workspace", "limit_usd": 50, "remaining_usd": 20})]);
        assert_eq!((own.spendable(now), own.spent_share(now)), (Some(9.0), Some(0.1)));
        let exceeded = key(&[json!({"scope": "workspace", "limit_usd": 50, "remaining_usd": -1})]);
        assert_eq!((exceeded.spendable(now), exceeded.spent_share(now)), (Some(0.0), Some(1.02)));
        let low = json!({"scope": "workspace", "limit_usd": 50, "remaining_usd": 1.5});
        assert_eq!(key(&[low]).state(now), KeyState::Low);
    }
}
