//! Which request means what, and who may make it. Knows the ledger and the shapes; must not know
//! sockets or clocks.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::ledger::{Account, AuthorizationCode, Key, MicroUsd, TokenOwner};
use super::response::{self, ApiError, HttpResponse};
use super::{consent, pages, request, secrets};

/// One request, after it travelled. Holds secrets, so it does not print.
pub struct HttpRequest {
    /// GET, POST and so on.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// What follows `Bearer` in the authorization header.
    pub bearer_token: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// OpenRouter has many applications; the sandbox has one.
const APP_ID: u32 = 1;

/// Answers a call.
pub fn handle_request(call: &HttpRequest, ledger: &mut Account, now: Timestamp) -> HttpResponse {
    let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let methods = allowed_methods(&path);
    if methods.is_empty() {
        return ApiError::new(404, "Not Found").into();
    }
    if !methods.contains(&call.method.as_str()) {
        let refused = HttpResponse::from(ApiError::new(405, "Method Not Allowed"));
        return HttpResponse { allow: Some(methods.join(", ")), ..refused };
    }
    let answer = match (call.method.as_str(), path.as_slice()) {
        ("GET", ["auth"]) => Ok(consent::show_consent_page(query)),
        ("POST", ["auth"]) => Ok(consent::handle_decision(query, &call.body, ledger, now)),
        ("GET", ["keys", hash]) => Ok(render_key_page(ledger.find_key(hash), false, now)),
        ("GET", ["logs"]) => {
            let fields = request::parse_query(query);
            let hash = fields.get("api_key_hash").and_then(|hash| hash.as_str());
            Ok(render_key_page(hash.and_then(|hash| ledger.find_key(hash)), true, now))
        }
        ("POST", ["sandbox", deed]) => handle_control(deed, &call.body, ledger, now),
        (_, ["api", "v1", "key"]) => get_current_key(call, ledger, now),
        (_, ["api", "v1", "auth", "keys"]) => exchange_code(call, ledger, now),
        (_, ["api", "v1", "auth", "keys", "code"]) => create_code(call, ledger, now),
        (_, ["api", "v1", rest @ ..]) => handle_management(call, rest, query, ledger, now),
        _ => Err(not_found()),
    };
    answer.unwrap_or_else(HttpResponse::from)
}

fn allowed_methods(path: &[&str]) -> &'static [&'static str] {
    match path {
        ["auth"] | ["api", "v1", "keys"] => &["GET", "POST"],
        ["sandbox", "spend" | "clock"] => &["POST"],
        ["keys", _] | ["logs"] | ["api", "v1", "key"] => &["GET"],
        ["api", "v1", "auth", "keys"] | ["api", "v1", "auth", "keys", "code"] => &["POST"],
        ["api", "v1", "keys", _] => &["GET", "PATCH", "DELETE"],
        _ => &[],
    }
}

/// What no account can do and a person who tries things out wants to: spend on a key, and let time
/// go by. The sandbox's own, and none of OpenRouter's.
fn handle_control(
    deed: &str,
    body: &[u8],
    ledger: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let fields = request::parse_body(body)?;
    let number = |name| fields.get(name).and_then(serde_json::Value::as_f64);
    if deed == "spend" {
        let hash = fields.get("hash").and_then(|hash| hash.as_str()).unwrap_or_default();
        let usd = number("usd")
            .and_then(MicroUsd::from_dollars)
            .ok_or_else(|| ApiError::bad_request("usd is an amount"))?;
        if !ledger.record_spending(hash, usd, now) {
            return Err(key_not_found());
        }
    } else {
        let hours = fields.get("hours").and_then(serde_json::Value::as_i64);
        // Backwards would make windows end before they began.
        let hours = hours.filter(|hours| (0..=24 * 366).contains(hours));
        let hours =
            hours.ok_or_else(|| ApiError::bad_request("hours is a number from 0 to 8784"))?;
        ledger.advance_clock(SignedDuration::from_hours(hours));
    }
    Ok(HttpResponse::json(200, &json!({ "done": true })))
}

fn render_key_page(key: Option<&Key>, activity: bool, now: Timestamp) -> HttpResponse {
    match key {
        Some(key) => HttpResponse::html(200, pages::render_key(key, activity, now)),
        None => HttpResponse::html(
            404,
            pages::render_notice("No such key", "It was deleted, or never here."),
        ),
    }
}

fn authenticate<'a>(
    call: &HttpRequest,
    ledger: &'a Account,
    now: Timestamp,
) -> Result<TokenOwner<'a>, ApiError> {
    let missing = || ApiError::new(401, "Missing Authentication header");
    let token = call.bearer_token.as_deref().ok_or_else(missing)?;
    ledger.authenticate(token, now).ok_or_else(|| ApiError::new(401, "User not found."))
}

fn get_current_key(
    call: &HttpRequest,
    ledger: &Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let data = match authenticate(call, ledger, now)? {
        TokenOwner::ApiKey(key) => response::current_key_to_json(key, now),
        TokenOwner::ManagementKey(masked) => response::management_key_to_json(masked, now),
    };
    Ok(HttpResponse::json(200, &json!({ "data": data })))
}

fn exchange_code(
    call: &HttpRequest,
    ledger: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let fields = request::parse_body(&call.body)?;
    let asked = request::parse_exchange_request(&fields)?;
    let secret = secrets::generate_key()?;
    let key = ledger.exchange_code(
        asked.code,
        asked.code_verifier,
        asked.code_challenge_method,
        &secret,
        now,
    )?;
    Ok(HttpResponse::json(200, &json!({ "key": secret, "user_id": key.policy.creator_user_id })))
}

/// Any live key may: whether OpenRouter asks for more is not documented.
fn create_code(
    call: &HttpRequest,
    ledger: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    authenticate(call, ledger, now)?;
    let asked = request::parse_authorization_request(&request::parse_body(&call.body)?)?;
    if asked.callback_url.is_none() {
        return Err(ApiError::bad_request("callback_url is required"));
    }
    let code = secrets::generate_code()?;
    let agreed =
        AuthorizationCode { policy: asked.policy, challenge: asked.code_challenge, issued_at: now };
    ledger.store_code(code.clone(), agreed);
    let created_at = response::format_seconds(now);
    let data = json!({ "id": code, "app_id": APP_ID, "created_at": created_at });
    Ok(HttpResponse::json(200, &json!({ "data": data })))
}

/// `/keys` and `/keys/{hash}`, the management key's own.
fn handle_management(
    call: &HttpRequest,
    rest: &[&str],
    query: &str,
    ledger: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    if let TokenOwner::ApiKey(_) = authenticate(call, ledger, now)? {
        return Err(ApiError::new(403, "Only management keys can perform this operation"));
    }
    let one =
        |key: &Key| HttpResponse::json(200, &json!({ "data": response::key_to_json(key, now) }));
    match (call.method.as_str(), rest) {
        ("GET", ["keys"]) => {
            let filter = request::parse_list_filter(&request::parse_query(query))?;
            let page = ledger.list_keys(&filter, now);
            let rows: Vec<_> =
                page.into_iter().map(|key| response::key_to_json(key, now)).collect();
            Ok(HttpResponse::json(200, &json!({ "data": rows })))
        }
        ("POST", ["keys"]) => {
            let policy = request::parse_create_request(&request::parse_body(&call.body)?)?;
            let secret = secrets::generate_key()?;
            let key = ledger.create_key(policy, &secret, now);
            let created = json!({ "data": response::key_to_json(key, now), "key": secret });
            Ok(HttpResponse::json(201, &created))
        }
        ("GET", ["keys", hash]) => ledger.find_key(hash).map(one).ok_or_else(key_not_found),
        ("PATCH", ["keys", hash]) => {
            let patch = request::parse_patch(&request::parse_body(&call.body)?)?;
            ledger.update_key(hash, patch, now).map(one).ok_or_else(key_not_found)
        }
        ("DELETE", ["keys", hash]) if ledger.delete_key(hash) => {
            Ok(HttpResponse::json(200, &json!({ "deleted": true })))
        }
        ("DELETE", ["keys", _]) => Err(key_not_found()),
        _ => Err(not_found()),
    }
}

fn key_not_found() -> ApiError {
    ApiError::new(404, "API key not found")
}

fn not_found() -> ApiError {
    ApiError::new(404, "Not Found")
}
