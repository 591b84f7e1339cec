//! The fields of the inventory that decide the state of a key. A large inventory is read many times
//! faster without the others.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::budget::KEY_LIMIT_SCOPE;
use super::{
    Budget, GuardrailRef, KeyInfo, KeyLocation, Label, PendingReplacement, Reported, ResetInterval,
    Retirement, StoreKind, StoredKey,
};

/// One row of the inventory, borrowed from its text.
#[derive(Deserialize)]
pub struct StateFields<'a> {
    /// The URL of the server that issued the key.
    #[serde(borrow)]
    pub server: Cow<'a, str>,
    created_at: Timestamp,
    #[serde(default)]
    lifetime_from: Option<Timestamp>,
    #[serde(default, borrow, alias = "asked")]
    requested: Option<&'a RawValue>,
    #[serde(default, borrow)]
    granted: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "reading")]
    info: Option<InfoFields<'a>>,
    #[serde(default)]
    checked_at: Option<Timestamp>,
    #[serde(default, rename = "refused_at")]
    rejected_at: Option<Timestamp>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    leaked: bool,
    #[serde(default)]
    guardrail: Option<GuardrailRef>,
    #[serde(default)]
    replaces: Option<PendingReplacement>,
    #[serde(default)]
    other_entry: Option<Label>,
    #[serde(default, rename = "retiring")]
    retirement: Option<Retirement>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InfoFields<'a> {
    limit: Reported<f64>,
    limit_remaining: Option<f64>,
    limit_reset: Reported<ResetInterval>,
    usage_daily: Option<f64>,
    expires_at: Reported<Timestamp>,
    #[serde(borrow)]
    budgets: Vec<BudgetFields<'a>>,
    #[serde(borrow)]
    effective_budget: Option<BudgetFields<'a>>,
}

/// A budget around the key; empty for the key's own limit, which has figures of its own.
#[derive(Default)]
struct BudgetFields<'a> {
    scope: Cow<'a, str>,
    limit_usd: Option<f64>,
    spend_usd: Option<f64>,
    remaining_usd: Option<f64>,
    resets_at: Reported<Timestamp>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum BudgetField {
    Scope,
    LimitUsd,
    SpendUsd,
    RemainingUsd,
    ResetsAt,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for BudgetFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BudgetVisitor)
    }
}

struct BudgetVisitor;

impl<'de> Visitor<'de> for BudgetVisitor {
    type Value = BudgetFields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a budget")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BudgetFields<'de>, A::Error> {
        let mut fields = BudgetFields::default();
        while let Some(field) = map.next_key()? {
            match field {
                BudgetField::Scope => {
                    fields.scope = map.next_value::<Text<'de>>()?.0;
                    // Most budgets are of this scope, which stands first.
                    if fields.scope == KEY_LIMIT_SCOPE {
                        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        break;
                    }
                }
                BudgetField::LimitUsd => fields.limit_usd = map.next_value()?,
                BudgetField::SpendUsd => fields.spend_usd = map.next_value()?,
                BudgetField::RemainingUsd => fields.remaining_usd = map.next_value()?,
                BudgetField::ResetsAt => fields.resets_at = map.next_value()?,
                BudgetField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

/// Reads an inventory and calls the function with each row.
pub struct StateRows<'f, 'de>(pub &'f mut VisitRow<'f, 'de>);

/// Called with each row.
pub type VisitRow<'f, 'de> = dyn FnMut(StateFields<'de>) -> serde_json::Result<()> + 'f;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum InventoryField {
    Keys,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for StateRows<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StateRows<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an inventory")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key()? {
            match field {
                InventoryField::Keys => map.next_value_seed(StateRows(self.0))?,
                InventoryField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            (self.0)(row).map_err(Error::custom)?;
        }
        Ok(())
    }
}

impl StateFields<'_> {
    /// Returns a key without any of these fields, to be filled with [`Self::fill`].
    pub fn empty_key() -> StoredKey {
        let location = KeyLocation::Stored(StoreKind::Keychain);
        StoredKey::default().with(|key| key.location = location)
    }

    /// Replaces the fields of `key`, whose state is then that of the row.
    ///
    /// # Errors
    ///
    /// Returns an error if a field is not valid.
    pub fn fill(self, key: &mut StoredKey) -> serde_json::Result<()> {
        key.created_at = self.created_at;
        key.lifetime_from = self.lifetime_from;
        // Of a checked key, only a requested guardrail matters.
        let is_checked = self.info.is_some();
        let requested = self.requested.map(RawValue::get);
        let requested = requested.filter(|text| !is_checked || text.contains("guardrail"));
        key.requested = requested.map(serde_json::from_str).transpose()?.unwrap_or_default();
        let granted = self.granted.filter(|_| !is_checked);
        key.granted = granted.map(|text| serde_json::from_str(text.get())).transpose()?;
        key.info = self.info.map(|info| Arc::new(info.into()));
        key.checked_at = self.checked_at;
        key.rejected_at = self.rejected_at;
        key.disabled = self.disabled;
        key.leaked = self.leaked;
        key.guardrail = self.guardrail;
        key.replaces = self.replaces;
        key.other_entry = self.other_entry;
        key.retirement = self.retirement;
        Ok(())
    }
}

impl From<InfoFields<'_>> for KeyInfo {
    fn from(fields: InfoFields<'_>) -> Self {
        Self {
            limit: fields.limit,
            limit_remaining: fields.limit_remaining,
            limit_reset: fields.limit_reset,
            usage_daily: fields.usage_daily,
            expires_at: fields.expires_at,
            budgets: fields.budgets.into_iter().filter_map(BudgetFields::into_budget).collect(),
            effective_budget: fields
                .effective_budget
                .and_then(BudgetFields::into_budget)
                .map(Box::new),
            ..Self::default()
        }
    }
}

impl BudgetFields<'_> {
    fn into_budget(self) -> Option<Budget> {
        (self.scope != KEY_LIMIT_SCOPE).then(|| Budget {
            scope: self.scope.into_owned(),
            limit_usd: self.limit_usd,
            spend_usd: self.spend_usd,
            remaining_usd: self.remaining_usd,
            resets_at: self.resets_at,
            ..Budget::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn amount() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            json!(null),
            json!(0),
            json!(0.5),
            json!(1.99),
            json!(2),
            json!(10.0),
            json!(-1),
        ])
    }

    fn reported(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let words = values.iter().map(|word| json!(word));
        prop::sample::select(
            words.chain([json!(null), json!(7), json!("soon")]).collect::<Vec<_>>(),
        )
    }

    fn time() -> impl Strategy<Value = Value> {
        reported(&["2026-11-24T11:00:00Z", "2026-11-25T00:00:00Z", "2027-11-24T12:00:00Z"])
    }

    fn checked() -> impl Strategy<Value = Value> {
        let times = ["2026-11-20T11:00:00Z", "2026-11-23T13:00:00Z", "2026-11-24T11:59:00Z"];
        prop::sample::select(
            times.map(|at| json!(at)).into_iter().chain([json!(null)]).collect::<Vec<_>>(),
        )
    }

    prop_compose! {
        fn budget()(
            scope in prop::sample::select(vec!["key_limit", "workspace", "plan\u{e9}t"]),
            limit in amount(), spent in amount(), remaining in amount(), resets_at in time(),
        ) -> Value {
            json!({"scope": scope, "limit_usd": limit, "spend_usd": spent,
                "remaining_usd": remaining, "resets_at": resets_at, "budget_id": "b"})
        }
    }

    prop_compose! {
        fn row()(
            (limit, remaining, daily) in (amount(), amount(), amount()),
            reset in reported(&["daily", "weekly", "never"]),
            (expires_at, granted_until) in (time(), time()),
            budgets in prop::collection::vec(budget(), 0..3),
            effective in prop::option::of(budget()),
            (checked_at, rejected_at) in (checked(), checked()),
            (disabled, leaked) in (prop::option::of(any::<bool>()), any::<bool>()),
            (has_info, has_granted, is_replaced, replaces, is_renamed) in
                any::<(bool, bool, bool, bool, bool)>(),
            (is_old, awaits_guardrail, has_guardrail) in any::<(bool, bool, bool)>(),
        ) -> Value {
            let mut row = json!({
                "label": "x", "hash": "h", "masked": "m", "server": "s\u{e9}", "store": "os",
                "created_at": "2026-11-01T00:00:00Z", "checked_at": checked_at,
                "refused_at": rejected_at, "disabled": disabled, "leaked": leaked, "later": {"a": [1]},
            });
            let requested = if is_old { "asked" } else { "requested" };
            row[requested] = json!({"limit": 20, "limit_reset": "weekly",
                "expires_at": "2026-11-26T00:00:00Z", "expires": "30d"});
            if has_granted {
                row["granted"] = json!({"limit": limit, "expires_at": granted_until});
            }
            if has_info {
                row["reading"] = json!({"limit": limit, "limit_remaining": remaining.clone(),
                    "limit_reset": reset, "usage_daily": daily, "usage": remaining,
                    "expires_at": expires_at, "budgets": budgets, "effective_budget": effective});
            }
            if is_replaced {
                row["retiring"] = json!({"since": "2026-11-24T10:00:00Z", "quiet_for": 3600});
            }
            if awaits_guardrail {
                row[requested]["guardrail"] = json!({"id": "g", "name": "research"});
            }
            if has_guardrail {
                row["guardrail"] = json!({"id": "g", "name": "research"});
            }
            if replaces {
                row["replaces"] = json!({"hash": "o", "quiet_for": 3600});
            }
            if is_renamed {
                row["other_entry"] = json!("y");
            }
            row
        }
    }

    proptest! {
        #[test]
        fn the_state_is_that_of_the_whole_row(row in row()) {
            let text = row.to_string();
            let whole: StoredKey = serde_json::from_str(&text).unwrap();
            let fields: StateFields<'_> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&fields.server, &whole.server);
            let mut key = StateFields::empty_key();
            fields.fill(&mut key).unwrap();
            for now in ["2026-11-24T12:00:00Z", "2026-11-25T00:00:00Z", "2026-12-01T00:00:00Z"] {
                let now = now.parse().unwrap();
                prop_assert_eq!(key.state(now), whole.state(now));
                prop_assert_eq!(key.is_exposed(now), whole.is_exposed(now));
                prop_assert_eq!(key.needs_attention(now), whole.needs_attention(now));
            }
            prop_assert_eq!(key.is_unfinished(), whole.is_unfinished());
            prop_assert_eq!(key.checked_at, whole.checked_at);
        }
    }
}
