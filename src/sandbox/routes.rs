//! Routes requests to handlers and checks authorization.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::ledger::{Account, AuthorizationCode, Key, MicroUsd, TokenOwner};
use super::origin::{self, RequestSource};
use super::response::{self, ApiError, HttpResponse};
use super::{account_json, account_routes, consent, pages, request, secrets};

/// A parsed HTTP request. Contains secrets, so it does not implement `Debug`.
pub struct HttpRequest {
    /// The HTTP method.
    pub method: String,
    /// The path and query.
    pub target: String,
    /// Where the request comes from.
    pub source: RequestSource,
    /// The bearer token of the `Authorization` header.
    pub bearer_token: Option<String>,
    /// The request body.
    pub body: Vec<u8>,
}

/// The ID of the sandbox's only application.
const APP_ID: u32 = 1;

/// Handles a request.
pub fn handle_request(
    http_request: &HttpRequest,
    account: &mut Account,
    now: Timestamp,
) -> HttpResponse {
    let (path, query) = http_request.target.split_once('?').unwrap_or((&http_request.target, ""));
    let path: Vec<&str> = path.split('/').skip(1).collect();
    let methods = allowed_methods(&path);
    if let Err(error) = origin::check_origin(&http_request.method, &http_request.source) {
        return error.into();
    }
    if methods.is_empty() {
        return ApiError::new(404, "Not Found").into();
    }
    if !methods.contains(&http_request.method.as_str()) {
        let rejection = HttpResponse::from(ApiError::new(405, "Method Not Allowed"));
        return HttpResponse { allow: Some(methods.join(", ")), ..rejection };
    }
    let response = match (http_request.method.as_str(), path.as_slice()) {
        ("GET", ["auth"]) => Ok(consent::show_consent_page(query)),
        ("POST", ["auth"]) => Ok(consent::handle_decision(query, &http_request.body, account, now)),
        ("GET", ["keys", hash]) => Ok(render_key_page(account.find_key(hash), false, now)),
        ("GET", ["logs"]) => {
            let fields = request::parse_query(query);
            let hash = fields.get("api_key_hash").and_then(|hash| hash.as_str());
            Ok(render_key_page(hash.and_then(|hash| account.find_key(hash)), true, now))
        }
        ("POST", ["sandbox", action]) => handle_control(action, &http_request.body, account, now),
        (_, ["api", "v1", "key"]) => get_current_key(http_request, account, now),
        (_, ["api", "v1", "auth", "keys"]) => exchange_code(http_request, account, now),
        (_, ["api", "v1", "auth", "keys", "code"]) => create_code(http_request, account, now),
        (_, ["api", "v1", rest @ ..]) => handle_management(http_request, rest, query, account, now),
        _ => Err(not_found()),
    };
    response.unwrap_or_else(HttpResponse::from)
}

fn allowed_methods(path: &[&str]) -> &'static [&'static str] {
    match path {
        ["auth"] | ["api", "v1", "keys"] => &["GET", "POST"],
        ["sandbox", "spend" | "clock"] => &["POST"],
        ["keys", _] | ["logs"] | ["api", "v1", "key"] => &["GET"],
        ["api", "v1", "auth", "keys"] | ["api", "v1", "auth", "keys", "code"] => &["POST"],
        ["api", "v1", "keys", _] => &["GET", "PATCH", "DELETE"],
        ["api", "v1", rest @ ..] => account_routes::allowed_methods(rest),
        _ => &[],
    }
}

/// Handles the sandbox's own endpoints, which OpenRouter does not have: spend on a key, and advance
/// the clock.
fn handle_control(
    action: &str,
    body: &[u8],
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let fields = request::parse_body(body)?;
    let number = |name| fields.get(name).and_then(serde_json::Value::as_f64);
    if action == "spend" {
        let hash = fields.get("hash").and_then(|hash| hash.as_str()).unwrap_or_default();
        let usd = number("usd")
            .and_then(MicroUsd::from_dollars)
            .ok_or_else(|| ApiError::bad_request("usd must be an amount"))?;
        check_usable(account, account.find_key(hash).ok_or_else(key_not_found)?, now)?;
        if !account.record_spending(hash, usd, now) {
            return Err(key_not_found());
        }
    } else {
        let hours = fields.get("hours").and_then(serde_json::Value::as_i64);
        // A negative value would make windows end before they start.
        let hours = hours.filter(|hours| (0..=24 * 366).contains(hours));
        let hours =
            hours.ok_or_else(|| ApiError::bad_request("hours must be a number from 0 to 8784"))?;
        account.advance_clock(SignedDuration::from_hours(hours));
    }
    Ok(HttpResponse::json(200, &json!({ "done": true })))
}

/// Rejects a request made with a key, as the server does.
fn check_usable(account: &Account, key: &Key, now: Timestamp) -> Result<(), ApiError> {
    if key.disabled {
        return Err(ApiError::new(401, "the key is disabled"));
    }
    if key.is_expired(now) {
        return Err(ApiError::new(401, "the key has expired"));
    }
    let layers = account.layers(key, now);
    match layers.iter().find(|layer| layer.remaining() <= MicroUsd::default()) {
        Some(layer) if layer.scope == "key_limit" => {
            Err(ApiError::new(403, "the limit of the key is reached"))
        }
        Some(_) => Err(ApiError::new(403, "a budget around the key is spent")),
        None => Ok(()),
    }
}

fn render_key_page(key: Option<&Key>, activity: bool, now: Timestamp) -> HttpResponse {
    match key {
        Some(key) => HttpResponse::html(200, pages::render_key(key, activity, now)),
        None => HttpResponse::html(
            404,
            pages::render_notice("No such key", "It was deleted or never existed."),
        ),
    }
}

fn authenticate<'a>(
    http_request: &HttpRequest,
    account: &'a Account,
    now: Timestamp,
) -> Result<TokenOwner<'a>, ApiError> {
    let missing = || ApiError::new(401, "Missing Authentication header");
    let token = http_request.bearer_token.as_deref().ok_or_else(missing)?;
    account.authenticate(token, now).ok_or_else(|| ApiError::new(401, "User not found."))
}

fn get_current_key(
    http_request: &HttpRequest,
    account: &Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let data = match authenticate(http_request, account, now)? {
        TokenOwner::ApiKey(key) => {
            let mut data = response::current_key_to_json(key, now);
            account_json::add_budgets(&mut data, &account.layers(key, now), now);
            data
        }
        TokenOwner::ManagementKey(masked) => response::management_key_to_json(masked, now),
    };
    Ok(HttpResponse::data(data))
}

fn exchange_code(
    http_request: &HttpRequest,
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let fields = request::parse_body(&http_request.body)?;
    let parsed = request::parse_exchange_request(&fields)?;
    let secret = secrets::generate_key()?;
    let key = account.exchange_code(
        parsed.code,
        parsed.code_verifier,
        parsed.code_challenge_method,
        &secret,
        now,
    )?;
    Ok(HttpResponse::json(200, &json!({ "key": secret, "user_id": key.policy.creator_user_id })))
}

/// Allows every active key; OpenRouter does not document further conditions.
fn create_code(
    http_request: &HttpRequest,
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    authenticate(http_request, account, now)?;
    let parsed = request::parse_authorization_request(&request::parse_body(&http_request.body)?)?;
    if parsed.callback_url.is_none() {
        return Err(ApiError::bad_request("callback_url is required"));
    }
    let code = secrets::generate_code()?;
    let authorization = AuthorizationCode {
        policy: parsed.policy,
        challenge: parsed.code_challenge,
        issued_at: now,
    };
    account.store_code(code.clone(), authorization);
    let created_at = response::format_seconds(now);
    let data = json!({ "id": code, "app_id": APP_ID, "created_at": created_at });
    Ok(HttpResponse::data(data))
}

/// Handles what the account has: its keys here, everything else in [`account_routes`]. All require the management key.
fn handle_management(
    http_request: &HttpRequest,
    rest: &[&str],
    query: &str,
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    if let TokenOwner::ApiKey(_) = authenticate(http_request, account, now)? {
        return Err(ApiError::new(403, "Only management keys can perform this operation"));
    }
    if rest.first() != Some(&"keys") {
        let HttpRequest { method, body, .. } = http_request;
        return account_routes::handle_request(method, rest, query, body, account, now);
    }
    let key_response = |key: &Key| HttpResponse::data(response::key_to_json(key, now));
    match (http_request.method.as_str(), rest) {
        ("GET", ["keys"]) => {
            let filter = request::parse_list_filter(&request::parse_query(query))?;
            let page = account.list_keys(&filter, now);
            let rows: Vec<_> =
                page.into_iter().map(|key| response::key_to_json(key, now)).collect();
            Ok(HttpResponse::data(rows.into()))
        }
        ("POST", ["keys"]) => {
            let policy = request::parse_create_request(&request::parse_body(&http_request.body)?)?;
            let secret = secrets::generate_key()?;
            let key = account.create_key(policy, &secret, now);
            let created = json!({ "data": response::key_to_json(key, now), "key": secret });
            Ok(HttpResponse::json(201, &created))
        }
        ("GET", ["keys", hash]) => {
            account.find_key(hash).map(key_response).ok_or_else(key_not_found)
        }
        ("PATCH", ["keys", hash]) => {
            let patch = request::parse_patch(&request::parse_body(&http_request.body)?)?;
            account.update_key(hash, patch, now).map(key_response).ok_or_else(key_not_found)
        }
        ("DELETE", ["keys", hash]) if account.delete_key(hash) => {
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
