//! The JSON of workspaces, guardrails, provider keys and budgets, with every field that the
//! official SDKs require.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ledger::{Account, Credential, Guardrail, Layer, Reset, Workspace, WorkspaceBudget};
use super::response::{format_microseconds, format_seconds, usd_to_json};

/// Returns the JSON of a workspace.
pub fn workspace_to_json(workspace: &Workspace) -> Value {
    json!({
        "id": workspace.id,
        "name": workspace.name,
        "slug": workspace.slug,
        "description": null,
        "default_guardrail_id": workspace.default_guardrail_id,
        "default_text_model": null,
        "default_image_model": null,
        "default_provider_sort": null,
        "include_byok_in_budgets": workspace.include_byok,
        "io_logging_api_key_ids": null,
        "io_logging_sampling_rate": 1,
        "is_data_discount_logging_enabled": false,
        "is_observability_broadcast_enabled": false,
        "is_observability_io_logging_enabled": false,
        "created_by": super::ledger::USER_ID,
        "created_at": format_seconds(workspace.created_at),
        "updated_at": null,
    })
}

/// Returns the JSON of a budget of a workspace.
pub fn workspace_budget_to_json(budget: &WorkspaceBudget, workspace_id: &str) -> Value {
    json!({
        "id": budget.id,
        "workspace_id": workspace_id,
        "limit_usd": usd_to_json(budget.limit),
        "reset_interval": budget.reset.map(Reset::as_str),
        "created_at": format_seconds(budget.created_at),
        "updated_at": format_seconds(budget.updated_at),
    })
}

/// Returns the JSON of a guardrail.
pub fn guardrail_to_json(guardrail: &Guardrail) -> Value {
    let mut row = json!({
        "id": guardrail.id,
        "name": guardrail.name,
        "description": null,
        "limit_usd": guardrail.limit.map(usd_to_json),
        "reset_interval": guardrail.reset.map(Reset::as_str),
        "include_byok_in_budgets": guardrail.include_byok,
        "allowed_models": null,
        "ignored_models": null,
        "allowed_providers": null,
        "ignored_providers": null,
        "allowed_data_regions": null,
        "content_filters": null,
        "content_filter_builtins": null,
        "enforce_zdr": null,
        "workspace_id": guardrail.workspace_id,
        "created_at": format_seconds(guardrail.created_at),
        "updated_at": guardrail.updated_at.map(format_seconds),
    });
    for (name, value) in &guardrail.settings {
        row[name] = value.clone();
    }
    row
}

/// Returns the JSON of the assignments of one guardrail, or of all.
pub fn assignments_to_json(account: &Account, guardrail: Option<&str>) -> Vec<Value> {
    let assignments = account
        .assignments
        .iter()
        .filter(|assignment| guardrail.is_none_or(|id| assignment.guardrail_id == id));
    // A deleted key has no assignment.
    assignments
        .filter_map(|assignment| {
            let key = account.find_key(&assignment.key_hash)?;
            Some(json!({
                "id": assignment.id,
                "guardrail_id": assignment.guardrail_id,
                "key_hash": assignment.key_hash,
                "key_name": key.policy.name,
                "key_label": key.masked,
                "assigned_by": super::ledger::USER_ID,
                "created_at": format_seconds(assignment.created_at),
            }))
        })
        .collect()
}

/// Returns the JSON of a provider key.
pub fn credential_to_json(credential: &Credential, sort_order: usize) -> Value {
    json!({
        "id": credential.id,
        "provider": credential.provider,
        "label": credential.masked,
        "name": credential.name,
        "allowed_api_key_hashes": credential.allowed_key_hashes,
        "allowed_models": null,
        "allowed_user_ids": null,
        "disabled": credential.disabled,
        "is_fallback": credential.is_fallback,
        "is_byok_only": false,
        "is_required": false,
        "declared_region": null,
        "declared_zdr": null,
        "sort_order": sort_order,
        "workspace_id": credential.workspace_id,
        "created_at": format_seconds(credential.created_at),
    })
}

/// Adds `budgets` and `effective_budget`: the first layer that is spent, or else the one with the least
/// left.
pub fn add_budgets(data: &mut Value, layers: &[Layer<'_>], now: Timestamp) {
    let to_json = |layer: &Layer<'_>| {
        json!({
            "scope": layer.scope,
            "limit_usd": usd_to_json(layer.limit),
            "spend_usd": usd_to_json(layer.spent),
            "remaining_usd": usd_to_json(layer.remaining()),
            "reset_interval": layer.reset.map(Reset::as_str),
            "resets_at": layer.reset.and_then(|reset| reset.window_end(now)).map(format_microseconds),
            "include_byok": layer.include_byok,
            "guardrail_id": layer.guardrail_id,
            "budget_id": layer.budget_id,
        })
    };
    let is_spent = |layer: &&Layer<'_>| layer.remaining() <= super::ledger::MicroUsd::default();
    let effective = layers
        .iter()
        .find(is_spent)
        .or_else(|| layers.iter().min_by_key(|layer| layer.remaining()));
    data["budgets"] = layers.iter().map(to_json).collect();
    data["effective_budget"] = effective.map_or(Value::Null, to_json);
}
