//! `/auth`: the consent page and the redirect to the application. Stateless: the form is posted to
//! the URL of the page.

use jiff::Timestamp;
use url::form_urlencoded;

use super::ledger::{Account, AuthorizationCode};
use super::request::{self, AuthorizationRequest, JsonFields};
use super::response::{ApiError, HttpResponse};
use super::{pages, secrets};

/// Handles `GET /auth`.
pub fn show_consent_page(query: &str) -> HttpResponse {
    match parse_authorization_query(query) {
        Ok((_, request)) => HttpResponse::html(200, pages::render_consent(&request)),
        Err(error) => error_page(&error),
    }
}

/// Handles `POST /auth`: the user's decision.
pub fn handle_decision(
    query: &str,
    form: &[u8],
    account: &mut Account,
    now: Timestamp,
) -> HttpResponse {
    try_handle_decision(query, form, account, now).unwrap_or_else(|error| error_page(&error))
}

fn try_handle_decision(
    query: &str,
    form: &[u8],
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let (fields, request) = parse_authorization_query(query)?;
    let decision = form_urlencoded::parse(form)
        .find_map(|(name, value)| (name == "decision").then_some(value))
        .ok_or_else(|| ApiError::bad_request("decision is missing"))?;
    let mut outcome = match decision.as_ref() {
        "approve" => {
            let code = secrets::generate_code()?;
            let AuthorizationRequest { code_challenge: challenge, policy, .. } = request;
            account
                .store_code(code.clone(), AuthorizationCode { policy, challenge, issued_at: now });
            vec![("code", code)]
        }
        "refuse" => vec![
            ("error", "access_denied".to_owned()),
            ("error_description", "The user denied the request".to_owned()),
        ],
        _ => return Err(ApiError::bad_request("decision must be approve or refuse")),
    };
    let Some(mut callback) = request.callback_url else {
        return Ok(HttpResponse::html(
            200,
            match outcome.first() {
                Some(("code", code)) => pages::render_code(code),
                _ => pages::render_notice(
                    "Access denied",
                    "No key was created. You can close this page.",
                ),
            },
        ));
    };
    if let Some(state) = fields.get("state").and_then(|state| state.as_str()) {
        outcome.push(("state", state.to_owned()));
    }
    callback.query_pairs_mut().extend_pairs(outcome);
    Ok(HttpResponse::redirect(callback.into()))
}

fn parse_authorization_query(query: &str) -> Result<(JsonFields, AuthorizationRequest), ApiError> {
    let fields = request::parse_query(query);
    let request = request::parse_authorization_request(&fields)?;
    if request.callback_url.is_none() && request.code_challenge.is_none() {
        return Err(ApiError::bad_request("Without callback_url, code_challenge is required"));
    }
    Ok((fields, request))
}

fn error_page(error: &ApiError) -> HttpResponse {
    HttpResponse::html(
        error.status,
        pages::render_notice("This request cannot be authorized", &error.message),
    )
}
