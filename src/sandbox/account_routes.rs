//! Handles the requests about guardrails, workspaces, provider keys, credits and activity. All
//! require the management key, which the caller has checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::account_json::{
    assignments_to_json, credential_to_json, guardrail_to_json, workspace_budget_to_json,
    workspace_to_json,
};
use super::activity::{provider_of, split_by_model};
use super::ledger::{
    Account, Change, Credential, DEFAULT_WORKSPACE_ID, Guardrail, MicroUsd, Reset, WorkspaceBudget,
    utc_date,
};
use super::request::{self, JsonFields};
use super::response::{ApiError, HttpResponse, usd_to_json};

/// How many completed days `GET /activity` covers.
const ACTIVITY_DAYS: i64 = 30;

/// Returns the methods of a path below `/api/v1`; empty if it is none of these.
pub fn allowed_methods(path: &[&str]) -> &'static [&'static str] {
    match path {
        ["credits" | "activity" | "workspaces" | "byok"]
        | ["workspaces", _]
        | ["workspaces", _, "budgets"]
        | ["guardrails", "assignments", "keys"] => &["GET"],
        ["workspaces", _, "budgets", _] => &["PUT", "DELETE"],
        ["guardrails"] | ["guardrails", _, "assignments", "keys"] => &["GET", "POST"],
        ["guardrails", _, "assignments", "keys", "remove"] => &["POST"],
        ["guardrails", _] => &["GET", "PATCH", "DELETE"],
        ["byok", _] => &["GET", "PATCH"],
        _ => &[],
    }
}

/// Handles a request to one of the paths of [`allowed_methods`].
pub fn handle_request(
    method: &str,
    path: &[&str],
    query: &str,
    body: &[u8],
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let query = request::parse_query(query);
    let ok = |data: Value| Ok(HttpResponse::data(data));
    match (method, path) {
        ("GET", ["credits"]) => {
            let used: MicroUsd =
                account.keys().iter().map(|key| key.spending.spent_in_window(None, now)).sum();
            ok(json!({
                "total_credits": usd_to_json(account.total_credits),
                "total_usage": usd_to_json(used),
            }))
        }
        ("GET", ["activity"]) => list_activity(&query, account, now),
        ("GET", ["workspaces"]) => {
            paginate(&query, account.workspaces.iter().map(workspace_to_json))
        }
        ("GET", ["workspaces", id]) => {
            ok(workspace_to_json(account.find_workspace(id).ok_or_else(not_found)?))
        }
        ("GET", ["workspaces", id, "budgets"]) => {
            let workspace = account.find_workspace(id).ok_or_else(not_found)?;
            let rows: Vec<_> = workspace
                .budgets
                .iter()
                .map(|budget| workspace_budget_to_json(budget, &workspace.id))
                .collect();
            let include = workspace.include_byok;
            let response = json!({ "data": rows, "include_byok_in_budgets": include });
            Ok(HttpResponse::json(200, &response))
        }
        (_, ["workspaces", id, "budgets", interval]) => {
            change_workspace_budget(method, id, interval, body, account, now)
        }
        ("GET", ["guardrails"]) => {
            let workspace = request::parse_workspace_id(&query)?;
            let workspace = workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE_ID);
            let rows =
                account.guardrails.iter().filter(|guardrail| guardrail.workspace_id == workspace);
            paginate(&query, rows.map(guardrail_to_json))
        }
        ("POST", ["guardrails"]) => {
            let fields = request::parse_body(body)?;
            let name = request::parse_string(&fields, "name")?;
            let name = name.ok_or_else(|| ApiError::bad_request("name is required"))?;
            let workspace = request::parse_workspace_id(&fields)?;
            let mut guardrail = Guardrail {
                id: account.next_id(),
                name: name.to_owned(),
                limit: None,
                reset: None,
                include_byok: false,
                workspace_id: workspace.unwrap_or_else(|| DEFAULT_WORKSPACE_ID.to_owned()),
                settings: Map::new(),
                created_at: now,
                updated_at: None,
            };
            update_guardrail(&mut guardrail, &fields)?;
            let data = guardrail_to_json(&guardrail);
            account.guardrails.push(guardrail);
            Ok(HttpResponse::json(201, &json!({ "data": data })))
        }
        ("GET", ["guardrails", "assignments", "keys"]) => {
            paginate(&query, assignments_to_json(account, None).into_iter())
        }
        ("GET", ["guardrails", id]) => {
            ok(guardrail_to_json(account.find_guardrail(id).ok_or_else(not_found)?))
        }
        ("PATCH", ["guardrails", id]) => {
            let fields = request::parse_body(body)?;
            let guardrail = account.find_guardrail(id).ok_or_else(not_found)?;
            // A rejected request changes nothing.
            let mut updated = guardrail.clone();
            update_guardrail(&mut updated, &fields)?;
            updated.updated_at = Some(now);
            *guardrail = updated;
            ok(guardrail_to_json(guardrail))
        }
        ("DELETE", ["guardrails", id]) if account.delete_guardrail(id) => {
            Ok(HttpResponse::json(200, &json!({ "deleted": true })))
        }
        ("GET", ["guardrails", id, "assignments", "keys"]) => {
            account.find_guardrail(id).ok_or_else(not_found)?;
            paginate(&query, assignments_to_json(account, Some(id)).into_iter())
        }
        ("POST", ["guardrails", id, "assignments", "keys"]) => {
            account.find_guardrail(id).ok_or_else(not_found)?;
            let hashes = parse_key_hashes(body)?;
            let count = account.assign_keys(id, &hashes, now);
            Ok(HttpResponse::json(200, &json!({ "assigned_count": count })))
        }
        ("POST", ["guardrails", id, "assignments", "keys", "remove"]) => {
            account.find_guardrail(id).ok_or_else(not_found)?;
            let hashes = parse_key_hashes(body)?;
            let count = account.unassign_keys(id, &hashes);
            Ok(HttpResponse::json(200, &json!({ "unassigned_count": count })))
        }
        ("GET", ["byok"]) => {
            let workspace = request::parse_workspace_id(&query)?;
            let workspace = workspace.as_deref().unwrap_or(DEFAULT_WORKSPACE_ID);
            let provider = request::parse_string(&query, "provider")?;
            let rows = account.credentials.iter().filter(|credential| {
                credential.workspace_id == workspace
                    && provider.is_none_or(|provider| credential.provider == provider)
            });
            paginate(
                &query,
                rows.enumerate().map(|(at, credential)| credential_to_json(credential, at)),
            )
        }
        (_, ["byok", id]) => {
            let at = account.credentials.iter().position(|credential| credential.id == *id);
            let at = at.ok_or_else(not_found)?;
            if method == "PATCH" {
                update_credential(&mut account.credentials[at], &request::parse_body(body)?)?;
            }
            ok(credential_to_json(&account.credentials[at], at))
        }
        _ => Err(not_found()),
    }
}

fn not_found() -> ApiError {
    ApiError::new(404, "Resource not found")
}

/// Returns one page of rows and the number of all.
fn paginate(
    query: &JsonFields,
    rows: impl Iterator<Item = Value>,
) -> Result<HttpResponse, ApiError> {
    // The query of `/auth` has a limit as well, which is parsed as a number.
    let number = |name: &str, default: usize| match query.get(name) {
        None => Ok(default),
        Some(value) => value
            .as_f64()
            .map(|number| number.to_string())
            .or_else(|| value.as_str().map(str::to_owned))
            .and_then(|text| text.parse::<usize>().ok())
            .ok_or_else(|| ApiError::bad_request(format!("{name} must be a whole number"))),
    };
    let (offset, limit) = (number("offset", 0)?, number("limit", 50)?);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::bad_request("limit must be a number from 1 to 100"));
    }
    let rows: Vec<Value> = rows.collect();
    let count = rows.len();
    let page: Vec<Value> = rows.into_iter().skip(offset).take(limit).collect();
    Ok(HttpResponse::json(200, &json!({ "data": page, "total_count": count })))
}

fn list_activity(
    query: &JsonFields,
    account: &Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let today = utc_date(now);
    let first = today.saturating_sub(jiff::Span::new().days(ACTIVITY_DAYS));
    let only = match request::parse_string(query, "date")? {
        None => None,
        Some(text) => {
            let date: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
            let date = date.filter(|date| (first..today).contains(date));
            let message = "date must be one of the last 30 completed UTC days, as YYYY-MM-DD";
            Some(date.ok_or_else(|| ApiError::bad_request(message))?)
        }
    };
    let by_workspace = match request::parse_string(query, "group_by")? {
        None => false,
        Some("workspace") => true,
        Some(_) => return Err(ApiError::bad_request("group_by must be workspace")),
    };
    let hash = request::parse_string(query, "api_key_hash")?;
    let workspace = request::parse_workspace_id(query)?;
    let keys = account.select_keys(hash, workspace.as_deref()).ok_or_else(not_found)?;
    let mut rows: BTreeMap<(Date, &str, &str), MicroUsd> = BTreeMap::new();
    for key in keys {
        let id = if by_workspace { &*key.policy.workspace_id } else { "" };
        for (date, spent) in key.spending.days() {
            if (first..today).contains(&date) && only.is_none_or(|only| only == date) {
                for (model, spent) in split_by_model(key.number, date, spent) {
                    let total = rows.entry((date, model, id)).or_default();
                    *total = [*total, spent].into_iter().sum();
                }
            }
        }
    }
    Ok(HttpResponse::json_rows(rows.into_iter().rev().map(|((date, model, workspace), spent)| {
        // A request costs about a cent.
        #[expect(clippy::cast_possible_truncation, reason = "a billion dollars at most")]
        let requests = (spent.to_dollars() * 100.0).ceil() as i64;
        let mut row = json!({
            "date": date.to_string(),
            "model": model,
            "model_permaslug": model,
            "endpoint_id": "550e8400-e29b-41d4-a716-446655440000",
            "provider_name": provider_of(model),
            "usage": usd_to_json(spent),
            "byok_usage_inference": 0,
            "requests": requests,
            "prompt_tokens": 2_400 * requests,
            "completion_tokens": 300 * requests,
            "reasoning_tokens": 0,
            "cached_tokens": 0,
        });
        if by_workspace {
            row["workspace_id"] = workspace.into();
        }
        row
    })))
}

fn change_workspace_budget(
    method: &str,
    id: &str,
    interval: &str,
    body: &[u8],
    account: &mut Account,
    now: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let reset = match interval {
        "lifetime" => None,
        name => Some(Reset::parse(name).ok_or_else(not_found)?),
    };
    let new_id = account.next_id();
    let workspace = account.find_workspace(id).ok_or_else(not_found)?;
    let at = workspace.budgets.iter().position(|budget| budget.reset == reset);
    if method == "DELETE" {
        workspace.budgets.remove(at.ok_or_else(not_found)?);
        return Ok(HttpResponse::json(200, &json!({ "deleted": true })));
    }
    let fields = request::parse_body(body)?;
    let limit = request::parse_amount(&fields, "limit_usd")?
        .apply_to(None)
        .filter(|limit| *limit > MicroUsd::default())
        .ok_or_else(|| ApiError::bad_request("limit_usd must be greater than 0"))?;
    let contradicts = |other: &WorkspaceBudget| {
        let (own, others) = (window_rank(reset), window_rank(other.reset));
        (others < own && other.limit >= limit) || (others > own && other.limit <= limit)
    };
    if workspace.budgets.iter().any(contradicts) {
        let message = "Budget limits must strictly decrease as the interval narrows";
        return Err(ApiError::bad_request(message));
    }
    if let Some(include) = request::parse_bool(&fields, "include_byok_in_budgets")? {
        workspace.include_byok = include;
    }
    let at = at.unwrap_or_else(|| {
        let budget = WorkspaceBudget { id: new_id, limit, reset, created_at: now, updated_at: now };
        workspace.budgets.push(budget);
        workspace.budgets.len() - 1
    });
    let budget = &mut workspace.budgets[at];
    (budget.limit, budget.updated_at) = (limit, now);
    let data = workspace_budget_to_json(&workspace.budgets[at], &workspace.id);
    let include = workspace.include_byok;
    Ok(HttpResponse::json(200, &json!({ "data": data, "include_byok_in_budgets": include })))
}

/// Returns the position of a window from the shortest to the lifetime.
const fn window_rank(reset: Option<Reset>) -> u8 {
    match reset {
        Some(Reset::Daily) => 0,
        Some(Reset::Weekly) => 1,
        Some(Reset::Monthly) => 2,
        None => 3,
    }
}

fn parse_key_hashes(body: &[u8]) -> Result<Vec<String>, ApiError> {
    let invalid = || ApiError::bad_request("key_hashes must be a list of at least one hash");
    let fields = request::parse_body(body)?;
    request::parse_texts(&fields, "key_hashes")?
        .apply_to(None)
        .filter(|hashes| !hashes.is_empty() && hashes.iter().all(|hash| !hash.is_empty()))
        .ok_or_else(invalid)
}

/// Applies the fields of a request. Unknown ones are ignored, as at OpenRouter.
fn update_guardrail(guardrail: &mut Guardrail, fields: &JsonFields) -> Result<(), ApiError> {
    if let Some(name) = request::parse_string(fields, "name")? {
        if !(1..=200).contains(&name.chars().count()) {
            return Err(ApiError::bad_request("name must have 1 to 200 characters"));
        }
        name.clone_into(&mut guardrail.name);
    }
    guardrail.limit = request::parse_amount(fields, "limit_usd")?.apply_to(guardrail.limit);
    guardrail.reset = request::parse_interval(fields, "reset_interval")?.apply_to(guardrail.reset);
    if let Some(include) = request::parse_bool(fields, "include_byok_in_budgets")? {
        guardrail.include_byok = include;
    }
    for name in ["allowed_models", "allowed_providers", "ignored_models", "ignored_providers"] {
        let texts = request::parse_texts(fields, name)?;
        if matches!(&texts, Change::Set(texts) if texts.is_empty()) {
            return Err(ApiError::bad_request(format!("{name} must not be empty")));
        }
        set_texts(&mut guardrail.settings, name, texts);
    }
    let regions = request::parse_texts(fields, "allowed_data_regions")?;
    set_texts(&mut guardrail.settings, "allowed_data_regions", regions);
    let flags = fields.iter().filter(|(name, _)| {
        name.starts_with("enforce_zdr") || name.starts_with("enable_") || *name == "description"
    });
    guardrail.settings.extend(flags.map(|(name, value)| (name.clone(), value.clone())));
    Ok(())
}

fn set_texts(settings: &mut JsonFields, name: &str, texts: Change<Vec<String>>) {
    if texts != Change::Keep {
        settings.insert(name.to_owned(), json!(texts.apply_to(None)));
    }
}

fn update_credential(credential: &mut Credential, fields: &JsonFields) -> Result<(), ApiError> {
    let hashes = request::parse_texts(fields, "allowed_api_key_hashes")?;
    if matches!(&hashes, Change::Set(hashes) if !(1..=100).contains(&hashes.len())) {
        let message = "allowed_api_key_hashes must be null or have 1 to 100 hashes";
        return Err(ApiError::bad_request(message));
    }
    let disabled = request::parse_bool(fields, "disabled")?;
    let is_fallback = request::parse_bool(fields, "is_fallback")?;
    credential.allowed_key_hashes = hashes.apply_to(credential.allowed_key_hashes.take());
    credential.disabled = disabled.unwrap_or(credential.disabled);
    credential.is_fallback = is_fallback.unwrap_or(credential.is_fallback);
    Ok(())
}
