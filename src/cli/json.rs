//! JSON documents of the command line. Fields have OpenRouter's names, amounts are in USD, times
//! are in UTC with `Z`, unknown values are null. None contains a secret.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::CommandFactory;

use super::repeated_options::complete_commands;
use super::{Cli, exit_code};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::{
    ApiKey, KeyRequest, Label, RequestedPolicy, Rotated, StoreKind, StoredKey, UserError,
    collect_ordered, sanitize,
};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// Returns the JSON of a key.
pub fn key_to_json(key: &StoredKey, now: Timestamp) -> Value {
    let amount = |field: fn(&crate::domain::KeyInfo) -> Option<f64>| {
        key.info.as_ref().and_then(|info| field(info))
    };
    let granted = key.granted.as_ref();
    let info = key.info.as_deref();
    json!({
        "label": key.label,
        "hash": key.hash,
        "masked": key.masked,
        "server": key.server,
        "store": key.location,
        "created_at": to_iso8601(Some(key.created_at)),
        "created_by": key.shared.as_ref().and_then(|record| record.created_by()),
        // The store has the entry and not the key's text: `deleted` or `destroyed`.
        "secret_loss": key.secret_loss(),
        "requested": requested_to_json(&key.requested),
        "granted": {
            "limit": granted.and_then(|granted| granted.limit.value()),
            "limit_reset": granted.and_then(|granted| granted.limit_reset.value()),
            "expires_at": to_iso8601(granted.and_then(|granted| granted.expires_at.value())),
        },
        "differences": key.differing_fields(),
        "state": key.state(now),
        "disabled": key.disabled,
        // It leaked and may still be used.
        "leaked": key.is_exposed(now),
        "limit": key.limit().value(),
        "limit_remaining": key.remaining(now),
        // What the key may still spend, if a budget around it leaves less than its limit.
        "remaining": key.spendable(now),
        "limit_reset": key.reset().value(),
        "next_reset_at": to_iso8601(key.next_reset(now)),
        "expires_at": to_iso8601(key.expires_at().value()),
        "unrecognized": unrecognized_to_json(key),
        "user_id": key.account_id().map(|id| sanitize(id, 100)),
        "other_account": key.other_account.is_some(),
        "effective_budget": info.and_then(|info| info.effective_budget.as_ref()),
        "budgets": info.map(|info| &info.budgets),
        "workspace_id": info
            .and_then(|info| info.workspace_id.as_ref())
            .or(key.requested.workspace_id.as_ref()),
        "guardrail": key.guardrail.as_ref().map(|guardrail| &guardrail.name),
        "allowed_data_regions": info.map(|info| &info.allowed_data_regions),
        "last_used_at": to_iso8601(key.last_used_at()),
        "dormant": key.is_dormant(now),
        "usage": amount(|info| info.usage),
        "usage_daily": amount(|info| info.usage_daily),
        "usage_weekly": amount(|info| info.usage_weekly),
        "usage_monthly": amount(|info| info.usage_monthly),
        "checked_at": to_iso8601(key.checked_at),
    })
}

/// Returns the fields whose value is not known, each with the text that the server sent, or null if
/// the response lacked the field. In the JSON of the key these fields are null, which does not mean
/// that there is no limit, reset or expiry.
fn unrecognized_to_json(key: &StoredKey) -> Value {
    let (limit, reset, expiry) = (key.limit(), key.reset(), key.expires_at());
    let fields = [
        ("limit", limit.to_known().err()),
        ("limit_reset", reset.to_known().err()),
        ("expires_at", expiry.to_known().err()),
    ];
    let unknown = fields.into_iter().filter_map(|(name, words)| {
        let words = words?;
        Some((name.to_owned(), if words.is_empty() { Value::Null } else { words.into() }))
    });
    Value::Object(collect_ordered(unknown))
}

/// The names that stored keys still have at the server, where a rename is pending.
pub struct PendingNames(HashMap<String, Label>);

impl PendingNames {
    /// Reads them from the journal. One that cannot be read is reported by whatever needs it next.
    pub fn load(services: &ServiceContext) -> Self {
        Self(keys::list_pending_names(services).unwrap_or_default())
    }

    /// Adds `pending_rename` to the JSON of a key: the name that it has until `recover` renames it.
    pub fn add_to(&self, key: &mut Value) {
        if let Some(name) = key["hash"].as_str().and_then(|hash| self.0.get(hash)) {
            key["pending_rename"] = json!(name);
        }
    }
}

/// Returns the JSON of a key that replaced another one.
pub fn rotated_to_json(rotated: &Rotated, now: Timestamp) -> Value {
    let mut key = key_to_json(&rotated.new, now);
    key["old"] = rotated.old.as_ref().map(|old| key_to_json(old, now)).into();
    key["not_carried"] = json!(rotated.not_carried);
    key
}

/// Returns the JSON of a requested or planned policy.
pub fn requested_to_json(requested: &RequestedPolicy) -> Value {
    json!({
        "limit": requested.limit,
        "limit_reset": requested.limit_reset,
        "expires_at": to_iso8601(requested.expires_at),
        "workspace_id": requested.workspace_id,
    })
}

/// Returns the JSON of a key that would be created: the fields of [`key_to_json`], with null for
/// everything except the request.
pub fn planned_key_to_json(request: &KeyRequest) -> Value {
    let no_secret = ApiKey::from(String::new());
    let (label, at) = (request.label.clone(), Timestamp::UNIX_EPOCH);
    let mut key =
        key_to_json(&StoredKey::new(label, &no_secret, String::new(), StoreKind::Memory, at), at);
    for (name, value) in key.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "label" | "differences" | "granted" | "unrecognized" => {}
            "requested" => *value = requested_to_json(&RequestedPolicy::from(request)),
            "state" => *value = "unknown".into(),
            _ => *value = Value::Null,
        }
    }
    key
}

/// Returns the number of keys in each state that occurs.
pub fn count_states(keys: &[StoredKey], now: Timestamp) -> Value {
    let mut counts = serde_json::Map::new();
    for key in keys {
        let count = counts.entry(key.state(now).as_str()).or_insert_with(|| 0.into());
        *count = (count.as_u64().unwrap_or(0) + 1).into();
    }
    counts.into()
}

/// Returns the JSON of an error.
pub fn error_to_json(error: &UserError) -> Value {
    let UserError { kind, message, meaning, advice } = error;
    json!({"error": {
        "code": exit_code(*kind), "message": message, "meaning": complete_commands(meaning),
        "advice": complete_commands(advice),
    }})
}

/// Formats a time in whole seconds with `Z`.
pub(super) fn to_iso8601(at: Option<Timestamp>) -> Option<String> {
    at.and_then(|at| Timestamp::from_second(at.as_second()).ok()).map(|at| at.to_string())
}

/// Returns whether `--json` is among the arguments and is an option of Keywright, not of the
/// program that `run` starts. For arguments that cannot be parsed.
pub fn is_json_requested(args: impl IntoIterator<Item = OsString>) -> bool {
    let cli = Cli::command();
    let own: Vec<_> = args.into_iter().skip(1).take_while(|argument| argument != "--").collect();
    let command = own.iter().find_map(|argument| cli.find_subcommand(argument));
    command.is_none_or(|command| command.get_name() != "run")
        && own.iter().any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyInfo, Reported};

    #[test]
    fn limit_remaining_is_null_after_a_reset_until_the_next_check() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let checked_at = at("2026-11-24T12:00:00Z");
        let info = KeyInfo {
            limit: Reported::Value(10.0),
            limit_remaining: Some(0.0),
            limit_reset: Reported::Value(crate::domain::ResetInterval::Daily),
            ..KeyInfo::default()
        };
        let stored_key = StoredKey::sample("ci", checked_at).with_check(checked_at, info);
        let json = |now: &str| key_to_json(&stored_key, at(now));
        let before = json("2026-11-24T23:59:59Z");
        assert_eq!(
            (&before["state"], &before["limit_remaining"]),
            (&json!("limit_reached"), &json!(0.0))
        );
        let after = json("2026-11-25T00:00:00Z");
        assert_eq!((&after["state"], &after["limit_remaining"]), (&json!("active"), &Value::Null));
    }
}
