//! JSON of the command line: OpenRouter's field names, USD as numbers, UTC with `Z`, unknown as
//! null, never a secret.

use super::exit_code;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::{ApiKey, KeyRequest, RequestedPolicy, StoredKey, UserError};

/// One key.
pub fn key_to_json(held: &StoredKey, now: Timestamp) -> Value {
    let reading = held.info.as_ref();
    let figure = |pick: fn(&crate::domain::KeyInfo) -> Option<f64>| {
        reading.and_then(|reading| pick(reading))
    };
    let granted = held.granted.as_ref();
    let reset = held.reset();
    json!({
        "label": held.label,
        "hash": held.hash,
        "masked": held.masked,
        "server": held.server,
        "store": held.store,
        "created_at": to_iso8601(Some(held.created_at)),
        "asked": requested_to_json(&held.requested),
        "granted": {
            "limit": granted.and_then(|granted| granted.limit),
            "limit_reset": granted.and_then(|granted| granted.limit_reset.as_deref()),
            "expires_at": to_iso8601(granted.and_then(|granted| granted.expires_at)),
        },
        "differences": held.differing_fields(),
        "state": held.state(now),
        "disabled": held.disabled,
        "limit": held.limit(),
        "limit_remaining": held.remaining(now),
        "limit_reset": reset,
        "next_reset_at": to_iso8601(reset.and_then(|reset| reset.next_after(now))),
        "expires_at": to_iso8601(held.expires_at()),
        "usage": figure(|reading| reading.usage),
        "usage_daily": figure(|reading| reading.usage_daily),
        "usage_weekly": figure(|reading| reading.usage_weekly),
        "usage_monthly": figure(|reading| reading.usage_monthly),
        "checked_at": to_iso8601(held.checked_at),
    })
}

/// What was asked for, or is planned.
pub fn requested_to_json(asked: &RequestedPolicy) -> Value {
    json!({
        "limit": asked.limit,
        "limit_reset": asked.limit_reset,
        "expires_at": to_iso8601(asked.expires_at),
        "workspace_id": asked.workspace_id,
    })
}

/// A key that would be cut: the fields of [`key`], of which nothing is known but what is asked for.
pub fn planned_key_to_json(request: &KeyRequest) -> Value {
    let nobody = ApiKey::from(String::new());
    let (label, at) = (request.label.clone(), Timestamp::UNIX_EPOCH);
    let mut key =
        key_to_json(&StoredKey::new(label, &nobody, String::new(), String::new(), at), at);
    for (name, value) in key.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "label" | "differences" | "granted" => {}
            "asked" => *value = requested_to_json(&RequestedPolicy::from(request)),
            "state" => *value = "unknown".into(),
            _ => *value = Value::Null,
        }
    }
    key
}

/// What went wrong.
pub fn error_to_json(trouble: &UserError) -> Value {
    json!({"error": {
        "code": exit_code(trouble.kind),
        "message": trouble.message,
        "meaning": trouble.meaning,
        "advice": trouble.advice,
    }})
}

/// Whole seconds with `Z`.
pub(super) fn to_iso8601(at: Option<Timestamp>) -> Option<String> {
    at.and_then(|at| Timestamp::from_second(at.as_second()).ok()).map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::KeyInfo;

    #[test]
    fn limit_remaining_is_null_after_a_reset_until_the_next_check() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let checked_at = at("2026-11-24T12:00:00Z");
        let key = ApiKey::from(String::from("x"));
        let mut stored_key = StoredKey::new(
            "ci".parse().unwrap(),
            &key,
            String::new(),
            String::from("os"),
            checked_at,
        );
        stored_key.checked_at = Some(checked_at);
        stored_key.info = Some(Arc::new(KeyInfo {
            limit: Some(10.0),
            limit_remaining: Some(0.0),
            limit_reset: Some("daily".into()),
            ..KeyInfo::default()
        }));
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
