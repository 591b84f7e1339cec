//! What travels, read leniently: unknown fields ignored, missing ones absent, numbers accepted as
//! numbers or strings, times in any ISO 8601 form. Must not know: connections.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::key::{ApiKey, AuthCode, Reading, clean};

/// The answer of `POST /auth/keys`.
#[derive(Debug)]
pub struct Exchanged {
    /// The key, of whatever shape.
    pub key: ApiKey,
    /// The account's user, where the server says so.
    pub user_id: Option<String>,
}

/// The key in an answer of success: where the documents put it, under `data`, or in an answer that
/// broke off after the whole key. `None` when there is none.
pub fn exchanged(body: &str) -> Option<Exchanged> {
    #[derive(Deserialize)]
    struct Answer {
        key: ApiKey,
        #[serde(default)]
        user_id: Value,
    }
    #[derive(Deserialize)]
    struct Wrapped {
        data: Answer,
    }
    let answer = serde_json::from_str::<Answer>(body)
        .or_else(|_| serde_json::from_str::<Wrapped>(body).map(|wrapped| wrapped.data));
    match answer {
        Ok(answer) => {
            Some(Exchanged { key: answer.key, user_id: answer.user_id.as_str().map(String::from) })
        }
        Err(_) => salvaged(body).map(|key| Exchanged { key, user_id: None }),
    }
    .filter(|exchanged| !is_empty(&exchanged.key))
}

/// The key of an answer whose JSON is cut off or wrong around it: a whole string after `"key":`.
fn salvaged(body: &str) -> Option<ApiKey> {
    let (_, rest) = body.split_once("\"key\"")?;
    let value = rest.trim_start().strip_prefix(':')?;
    let mut values = serde_json::Deserializer::from_str(value).into_iter::<ApiKey>();
    values.next()?.ok()
}

#[expect(clippy::disallowed_methods, reason = "door: an empty string is no key")]
fn is_empty(key: &ApiKey) -> bool {
    use secrecy::ExposeSecret;
    key.expose_secret().is_empty()
}

/// The code in an answer of `POST /auth/keys/code`, or `None` when there is none.
pub fn code(body: &str) -> Option<AuthCode> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let data = answer.get("data").unwrap_or(&answer);
    AuthCode::parse(data.get("id")?.as_str()?).ok()
}

/// The answer of `GET /key`, or `None` when it is something else.
pub fn reading(body: &str) -> Option<Reading> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let data = answer.get("data").unwrap_or(&answer).as_object()?;
    if !data.contains_key("limit") && !data.contains_key("usage") && !data.contains_key("label") {
        return None;
    }
    let number = |name: &str| data.get(name).and_then(number);
    let text = |name: &str| data.get(name).and_then(Value::as_str).map(|text| clean(text, 100));
    Some(Reading {
        limit: number("limit"),
        limit_remaining: number("limit_remaining"),
        limit_reset: text("limit_reset"),
        usage: number("usage"),
        usage_daily: number("usage_daily"),
        usage_weekly: number("usage_weekly"),
        usage_monthly: number("usage_monthly"),
        expires_at: data
            .get("expires_at")
            .and_then(Value::as_str)
            .and_then(|t| t.parse::<Timestamp>().ok()),
        byok_usage: number("byok_usage"),
        byok_usage_daily: number("byok_usage_daily"),
        byok_usage_weekly: number("byok_usage_weekly"),
        byok_usage_monthly: number("byok_usage_monthly"),
        include_byok_in_limit: data.get("include_byok_in_limit").and_then(Value::as_bool),
        is_management_key: data.get("is_management_key").and_then(Value::as_bool).unwrap_or(false),
        masked: text("label"),
        creator_user_id: text("creator_user_id"),
    })
}

/// The server's own words in an error answer, cleaned; `None` for anything but the documented form.
pub fn error_message(body: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(body).ok()?;
    let error = answer.get("error")?;
    let message = error.get("message").or(Some(error))?.as_str()?;
    Some(clean(message, 200)).filter(|message| !message.is_empty())
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

/// A body whose bytes are a secret, such as the one an odd answer of success is kept in.
pub fn secret_text(bytes: &[u8]) -> SecretString {
    SecretString::from(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[expect(clippy::disallowed_methods, reason = "a test's own key")]
    fn key(body: &str) -> Option<String> {
        exchanged(body).map(|exchanged| exchanged.key.expose_secret().to_owned())
    }

    #[test]
    fn a_key_is_found_wherever_an_answer_of_success_puts_it() {
        assert_eq!(key(r#"{"key":"k1","user_id":null}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k1","user_id":7}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key":"k1"}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"data":{"key":"k1"}}"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"{"key" : "k\u0031","user_"#).as_deref(), Some("k1"));
        assert_eq!(key(r#"<html>{"key":"k1"} tail"#).as_deref(), Some("k1"));
    }

    #[test]
    fn half_a_key_is_no_key() {
        for body in ["", "{}", r#"{"key":"k1"#, r#"{"key":null}"#, r#"{"key":""}"#, "[]", "\u{0}"] {
            assert_eq!(key(body), None, "{body}");
        }
    }

    #[test]
    fn numbers_come_as_numbers_or_text_and_times_in_any_form() {
        let reading = reading(
            r#"{"data":{"limit":"12.5","limit_remaining":3,"usage":null,"label":"sk-or\u001b[2J",
                "expires_at":"2027-12-31T23:59:59.000000+00:00","extra":[]}}"#,
        )
        .unwrap();
        assert_eq!(
            (reading.limit, reading.limit_remaining, reading.usage),
            (Some(12.5), Some(3.0), None)
        );
        assert_eq!(reading.masked.as_deref(), Some("sk-or[2J"));
        assert_eq!(reading.expires_at, "2027-12-31T23:59:59Z".parse().ok());
    }
}
