//! Lenient parsing of response bodies: unknown fields are ignored, missing ones are `None`, numbers
//! may be strings, and times may have any ISO 8601 form.

pub mod account;

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::domain::{
    AccountKey, ApiKey, AuthCode, Budget, FreeModelRequests, KeyInfo, Reported, is_key_hash,
    parse_number, sanitize,
};

/// The response to `POST /auth/keys`.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key; its format is not checked.
    pub key: ApiKey,
    /// The ID of the account's user, if the server returns it.
    pub user_id: Option<String>,
}

/// Returns the key in a success response: at the documented place, under `data`, or in a response
/// that was truncated after the complete key.
pub fn parse_created_key(body: &str) -> Option<CreatedKey> {
    // A map takes the last of duplicate names, as RFC 8259 §4 says that most readers do.
    let response: Option<Value> = serde_json::from_str(body).ok();
    let from_object = |object: &Value| {
        Some(CreatedKey {
            key: ApiKey::from(String::from(object.get("key")?.as_str()?)),
            user_id: object.get("user_id").and_then(Value::as_str).map(String::from),
        })
    };
    response
        .as_ref()
        .and_then(|response| from_object(response).or_else(|| from_object(response.get("data")?)))
        .or_else(|| Some(CreatedKey { key: extract_truncated_key(body)?, user_id: None }))
        .filter(|created| !is_empty_key(&created.key))
}

/// Returns the key in truncated or invalid JSON: the last complete string after `"key":`.
fn extract_truncated_key(body: &str) -> Option<ApiKey> {
    const NAME: &str = "\"key\"";
    body.rmatch_indices(NAME).find_map(|(at, _)| {
        let value = body[at + NAME.len()..].trim_start().strip_prefix(':')?;
        serde_json::Deserializer::from_str(value).into_iter::<ApiKey>().next()?.ok()
    })
}

#[expect(clippy::disallowed_methods, reason = "an empty string is not a key")]
fn is_empty_key(key: &ApiKey) -> bool {
    use secrecy::ExposeSecret;
    key.expose_secret().is_empty()
}

/// Returns what is under `data`, or the whole response.
fn parse_data(body: &str) -> Option<Value> {
    let mut response: Value = serde_json::from_str(body).ok()?;
    Some(response.get_mut("data").map(Value::take).unwrap_or(response))
}

/// Parses a response that is one object, such as that to `GET` and `PATCH /keys/{hash}`.
pub fn parse_object<T>(
    body: &str,
    parse: impl FnOnce(&Map<String, Value>) -> Option<T>,
) -> Option<T> {
    parse(parse_data(body)?.as_object()?)
}

/// Returns the code in the response to `POST /auth/keys/code`.
pub fn parse_auth_code(body: &str) -> Option<AuthCode> {
    AuthCode::parse(parse_data(body)?.get("id")?.as_str()?).ok()
}

/// Parses the response to `GET /key`.
pub fn parse_key_info(body: &str) -> Option<KeyInfo> {
    let is_described =
        |data: &Map<_, _>| ["limit", "usage", "label"].iter().any(|name| data.contains_key(*name));
    parse_object(body, |data| is_described(data).then(|| parse_key_info_fields(data)))
}

fn parse_key_info_fields(data: &Map<String, Value>) -> KeyInfo {
    let number = |name: &str| data.get(name).and_then(parse_number);
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(|text| sanitize(text, 100));
    KeyInfo {
        limit: Reported::from_json(data.get("limit")),
        limit_remaining: number("limit_remaining"),
        limit_reset: Reported::from_json(data.get("limit_reset")),
        usage: number("usage"),
        usage_daily: number("usage_daily"),
        usage_weekly: number("usage_weekly"),
        usage_monthly: number("usage_monthly"),
        expires_at: Reported::from_json(data.get("expires_at")),
        byok_usage: number("byok_usage"),
        byok_usage_daily: number("byok_usage_daily"),
        byok_usage_weekly: number("byok_usage_weekly"),
        byok_usage_monthly: number("byok_usage_monthly"),
        include_byok_in_limit: data.get("include_byok_in_limit").and_then(Value::as_bool),
        is_management_key: data.get("is_management_key").and_then(Value::as_bool).unwrap_or(false),
        masked: text("label"),
        creator_user_id: text("creator_user_id"),
        budgets: data
            .get("budgets")
            .and_then(Value::as_array)
            .map(|budgets| budgets.iter().take(50).filter_map(Budget::from_json).collect())
            .unwrap_or_default(),
        effective_budget: data.get("effective_budget").and_then(Budget::from_json).map(Box::new),
        allowed_data_regions: account::parse_texts(data, "allowed_data_regions")
            .unwrap_or_default(),
        is_free_tier: data.get("is_free_tier").and_then(Value::as_bool),
        free_model_daily_requests: data
            .get("free_model_daily_requests")
            .and_then(Value::as_object)
            .map(|requests| {
                let number = |name: &str| requests.get(name).and_then(parse_number);
                FreeModelRequests {
                    limit: number("limit"),
                    used: number("used"),
                    remaining: number("remaining"),
                }
            }),
        workspace_id: text("workspace_id"),
        last_used_at: parse_time(data, "last_used_at"),
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The number of all rows, including invalid ones; the next page starts after them.
    pub row_count: usize,
    /// The size of the response.
    pub byte_count: usize,
    /// The valid rows.
    pub items: Vec<T>,
}

impl<T> Page<T> {
    /// Returns the number of rows that are not valid.
    pub const fn unreadable_count(&self) -> usize {
        self.row_count.saturating_sub(self.items.len())
    }
}

/// Parses the response to `GET /keys`. Rows without a valid hash are skipped.
pub fn parse_key_list(body: &str) -> Option<Page<AccountKey>> {
    parse_page(body, parse_account_key_fields)
}

/// Parses one page of rows.
pub fn parse_page<T>(
    body: &str,
    parse: impl Fn(&Map<String, Value>) -> Option<T>,
) -> Option<Page<T>> {
    let data = parse_data(body)?;
    let rows = data.as_array()?;
    let items = rows.iter().filter_map(|row| parse(row.as_object()?)).collect();
    Some(Page { row_count: rows.len(), byte_count: body.len(), items })
}

/// Parses the response to `GET` and `PATCH /keys/{hash}`.
pub fn parse_account_key(body: &str) -> Option<AccountKey> {
    parse_object(body, parse_account_key_fields)
}

/// Returns whether the response to `DELETE /keys/{hash}` confirms the deletion.
pub fn is_deletion_confirmed(body: &str) -> bool {
    parse_data(body).is_some_and(|data| data.get("deleted") == Some(&Value::Bool(true)))
}

fn parse_account_key_fields(row: &Map<String, Value>) -> Option<AccountKey> {
    let text = |name: &str| row.get(name).and_then(Value::as_str);
    Some(AccountKey {
        hash: text("hash").filter(|hash| is_key_hash(hash))?.into(),
        name: text("name").map(String::from),
        disabled: row.get("disabled").and_then(Value::as_bool),
        created_at: parse_time(row, "created_at"),
        last_used_at: parse_time(row, "last_used_at"),
        workspace_id: text("workspace_id").map(String::from),
        info: parse_key_info_fields(row),
    })
}

fn parse_time(row: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    row.get(name)?.as_str()?.parse().ok()
}

/// Returns the sanitized message of a documented error response.
pub fn parse_error_message(body: &str) -> Option<String> {
    let response: Value = serde_json::from_str(body).ok()?;
    let error = response.get("error")?;
    let message = error.get("message").or(Some(error))?.as_str()?;
    Some(sanitize(message, 200)).filter(|message| !message.is_empty())
}

/// Begins the text of a response that is not UTF-8; base64 follows.
const BASE64_PREFIX: &str = "base64:";

/// Converts an unexpected success response, which may contain a key, into a secret. Keeps every
/// byte.
pub fn to_secret_text(bytes: &[u8]) -> SecretString {
    SecretString::from(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{BASE64_PREFIX}{}", BASE64_STANDARD.encode(bytes)),
    })
}

/// Returns the bytes of a response from its text.
pub fn from_secret_text(text: &str) -> Vec<u8> {
    let encoded = text.strip_prefix(BASE64_PREFIX);
    encoded
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[expect(clippy::disallowed_methods, reason = "a test compares the key")]
    fn key(body: &str) -> Option<String> {
        parse_created_key(body).map(|created| created.key.expose_secret().to_owned())
    }

    #[test]
    fn key_is_found_at_every_known_place() {
        assert_eq!(key(r#"{"key":"k1","user_id":null}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k1","user_id":7}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k1"}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"data":{"key":"k1"}}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key" : "k\u0031","user_"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"<html>{"key":"k1"} tail"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k0","user_id":"a","key":"k1"}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k0","key":"k1","use"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"data":{"key":"k0","key":"k1"}}"#).as_deref(), Some("k1"));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test compares the response")]
    fn a_kept_response_loses_no_byte() {
        for bytes in [&b"{\"id\":1}"[..], b"\x1f\x8b\xff\x00", "\u{fffd}".as_bytes(), b""] {
            assert_eq!(from_secret_text(to_secret_text(bytes).expose_secret()), bytes);
        }
        assert_eq!(from_secret_text("base64:!"), b"base64:!");
    }

    #[test]
    fn created_key_is_found_after_its_description() {
        let body = r#"{"data":{"hash":"x","name":"key"},"key":"k1"}"#;
        assert_eq!(key(body).as_deref(), Some("k1"));
        assert_eq!(key(&body[..body.len() - 1]).as_deref(), Some("k1"));
    }

    #[test]
    fn rows_are_parsed_leniently_and_all_are_counted() {
        let hash = "0a".repeat(32);
        let body = format!(
            r#"{{"data":[{{"hash":"{hash}","name":"a\u001b[2J","disabled":"no","limit":"5",
                "created_at":"yesterday","more":1}},{{"hash":"../keys"}},7]}}"#
        );
        let page = parse_key_list(&body).unwrap();
        assert_eq!((page.row_count, page.items.len()), (3, 1));
        let row = &page.items[0];
        assert_eq!((row.disabled, row.created_at, row.info.limit.value()), (None, None, Some(5.0)));
        assert_eq!(row.name.as_deref(), Some("a\u{1b}[2J"));
        assert_eq!(row.display_name(), "a[2J");
        for body in ["", "{}", r#"{"data":{}}"#, "<html>", r#"{"data":[{"#] {
            assert!(parse_key_list(body).is_none(), "{body}");
        }
    }

    #[test]
    fn only_a_confirmed_deletion_counts() {
        assert!(is_deletion_confirmed(r#"{"deleted":true}"#));
        for body in ["", "<html>", "{}", r#"{"deleted":false}"#, r#"{"deleted":"true"}"#] {
            assert!(!is_deletion_confirmed(body), "{body}");
        }
    }

    #[test]
    fn incomplete_key_is_rejected() {
        for body in ["", "{}", r#"{"key":"k1"#, r#"{"key":null}"#, r#"{"key":""}"#, "[]", "\u{0}"] {
            assert_eq!(key(body), None, "{body}");
        }
    }

    #[test]
    fn numbers_may_be_strings_and_times_may_have_any_form() {
        let info = parse_key_info(
            r#"{"data":{"limit":"12.5","limit_remaining":3,"usage":null,"label":"sk-or\u001b[2J",
                "expires_at":"2027-12-31T23:59:59.000000+00:00","extra":[]}}"#,
        )
        .unwrap();
        assert_eq!(
            (info.limit.value(), info.limit_remaining, info.usage),
            (Some(12.5), Some(3.0), None)
        );
        assert_eq!(info.masked.as_deref(), Some("sk-or[2J"));
        assert_eq!(info.expires_at.value(), "2027-12-31T23:59:59Z".parse().ok());
        assert!(info.limit_reset.is_missing());
    }
}
