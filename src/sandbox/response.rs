//! HTTP responses, API errors and the JSON of keys in OpenRouter's format.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ledger::{DEFAULT_WORKSPACE_ID, ExchangeError, Key, MicroUsd, Spending, USER_ID};

/// The content type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`.
    Json,
    /// `text/html`.
    Html,
}

/// An HTTP response. May contain a secret, so it does not implement `Debug`.
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The content type of the body.
    pub content_type: ContentType,
    /// The response body.
    pub body: String,
    /// The target of a redirect.
    pub location: Option<String>,
    /// The allowed methods, for a 405.
    pub allow: Option<String>,
}

impl HttpResponse {
    /// Creates a JSON response.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, ContentType::Json, body.to_string())
    }

    /// Creates a successful response with `data`.
    pub fn data(data: Value) -> Self {
        Self::json(200, &json!({ "data": data }))
    }

    /// Creates a JSON response with rows. Writes one row at a time, because the values of a long list
    /// take many times the memory of their text.
    pub fn json_rows(rows: impl Iterator<Item = Value>) -> Self {
        let rows: Vec<String> = rows.map(|row| row.to_string()).collect();
        Self::new(200, ContentType::Json, format!("{{\"data\":[{}]}}", rows.join(",")))
    }

    /// Creates an HTML response.
    pub fn html(status: u16, body: String) -> Self {
        Self::new(status, ContentType::Html, body)
    }

    /// Creates a redirect to an application.
    pub fn redirect(location: String) -> Self {
        Self { location: Some(location), ..Self::new(302, ContentType::Html, String::new()) }
    }

    fn new(status: u16, kind: ContentType, body: String) -> Self {
        Self { status, content_type: kind, body, location: None, allow: None }
    }
}

/// Why a request is rejected.
#[derive(Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The message for the client.
    pub message: Cow<'static, str>,
}

impl ApiError {
    /// Creates a 400 error.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, message)
    }

    /// Creates an error.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<ExchangeError> for ApiError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::MethodMismatch => Self::bad_request("Invalid code_challenge_method"),
            ExchangeError::InvalidGrant => Self::new(403, "Invalid code or code_verifier"),
            ExchangeError::Expired => Self::new(403, "Authorization code expired"),
        }
    }
}

impl From<std::io::Error> for ApiError {
    fn from(_: std::io::Error) -> Self {
        Self::new(500, "Internal Server Error")
    }
}

impl From<ApiError> for HttpResponse {
    fn from(error: ApiError) -> Self {
        let body = json!({ "error": { "code": error.status, "message": error.message } });
        Self::json(error.status, &body)
    }
}

/// Returns the JSON of a key in `/keys`. `name` is the user's label, `label` the masked key.
pub fn key_to_json(key: &Key, now: Timestamp) -> Value {
    let policy = &key.policy;
    let mut row = json!({
        "hash": key.hash,
        "name": policy.name,
        "label": key.masked,
        "disabled": key.disabled,
        "limit": policy.limit.map(usd_to_json),
        "limit_remaining": key.remaining(now).map(usd_to_json),
        "limit_reset": policy.reset.map(super::ledger::Reset::as_str),
        "include_byok_in_limit": policy.include_byok,
        "created_at": format_seconds(key.created_at),
        "updated_at": key.updated_at.map(format_seconds),
        "last_used_at": key.spending.last_used_at().map(format_seconds),
        "expires_at": policy.expires_at.map(|at| at.to_string()),
        "creator_user_id": policy.creator_user_id,
        "external_user": null,
        "workspace_id": policy.workspace_id,
    });
    add_usage(&mut row, &key.spending, now);
    row
}

/// Returns the JSON of `GET /key` without its budgets. As at OpenRouter, times have microseconds and an offset, unlike
/// those of [`key_to_json`].
pub fn current_key_to_json(key: &Key, now: Timestamp) -> Value {
    let policy = &key.policy;
    let mut data = base_key_info(&key.masked, &key.spending, now);
    data["limit"] = json!(policy.limit.map(usd_to_json));
    data["limit_remaining"] = json!(key.remaining(now).map(usd_to_json));
    data["limit_reset"] = json!(policy.reset.map(super::ledger::Reset::as_str));
    data["include_byok_in_limit"] = json!(policy.include_byok);
    data["expires_at"] = json!(policy.expires_at.map(format_microseconds));
    data["creator_user_id"] = json!(policy.creator_user_id);
    data["workspace_id"] = json!(policy.workspace_id);
    data
}

/// Returns the JSON of `GET /key` for the management key.
pub fn management_key_to_json(masked: &str, now: Timestamp) -> Value {
    let mut data = base_key_info(masked, &Spending::default(), now);
    data["is_management_key"] = json!(true);
    data["is_provisioning_key"] = json!(true);
    data
}

/// Returns all fields of `GET /key` for a key without limit or expiry. The official SDKs reject a
/// response without the last six.
fn base_key_info(masked: &str, spending: &Spending, now: Timestamp) -> Value {
    let mut data = json!({
        "label": masked,
        "limit": null,
        "limit_remaining": null,
        "limit_reset": null,
        "include_byok_in_limit": false,
        "is_free_tier": false,
        "is_management_key": false,
        "is_provisioning_key": false,
        "expires_at": null,
        "creator_user_id": USER_ID,
        "rate_limit": {
            "requests": -1,
            "interval": "10s",
            "note": "This field is deprecated and safe to ignore.",
        },
        "allowed_data_regions": ["global"],
        "budgets": [],
        "effective_budget": null,
        "free_model_daily_requests": { "limit": 1000, "remaining": 1000, "used": 0 },
        "organization_id": null,
        "workspace_id": DEFAULT_WORKSPACE_ID,
    });
    add_usage(&mut data, spending, now);
    data
}

/// Adds the usage fields. The sandbox has no BYOK provider keys, so those fields are zero.
fn add_usage(data: &mut Value, spending: &Spending, now: Timestamp) {
    use super::ledger::Reset::{Daily, Monthly, Weekly};
    let windows = [
        ("usage", None),
        ("usage_daily", Some(Daily)),
        ("usage_weekly", Some(Weekly)),
        ("usage_monthly", Some(Monthly)),
    ];
    for (name, window) in windows {
        data[name] = usd_to_json(spending.spent_in_window(window, now));
        data[format!("byok_{name}")] = json!(0);
    }
}

/// Formats whole amounts without a fraction, like a JavaScript server.
pub fn usd_to_json(usd: MicroUsd) -> Value {
    usd.to_whole_dollars().map_or_else(|| json!(usd.to_dollars()), |whole| json!(whole))
}

/// Formats a time as `2027-12-31T23:59:59Z`.
pub fn format_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats a time as `2027-12-31T23:59:59.000000+00:00`.
pub fn format_microseconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}
