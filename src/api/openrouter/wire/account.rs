//! Parses what the account has besides its keys. A row without an id is skipped.

use serde_json::{Map, Value};

use super::parse_data;
use crate::domain::{
    ActivityRow, ByokCredential, Credits, Guardrail, GuardrailAssignment, Reported, Workspace,
    WorkspaceBudget, field_text, is_key_hash, parse_number, sanitize,
};

type Fields = Map<String, Value>;

/// Parses the response to `GET /credits`.
pub fn parse_credits(body: &str) -> Option<Credits> {
    let data = parse_data(body)?;
    let number = |name: &str| data.get(name).and_then(parse_number);
    Some(Credits { total_credits: number("total_credits")?, total_usage: number("total_usage")? })
}

/// The model of an activity row that names none.
const UNNAMED_MODEL: &str = "(no model named)";

/// Parses a row of `GET /activity`; `None` without its date or amount. Some servers write its date as a
/// time.
pub fn parse_activity_row(row: &Fields) -> Option<ActivityRow> {
    let requests = row.get("requests").and_then(parse_number).unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limited here")]
    let requests = requests.clamp(0.0, 1e15) as u64;
    Some(ActivityRow {
        date: row.get("date")?.as_str()?.get(..10)?.parse().ok()?,
        model: field_text(row, "model")
            .or_else(|| field_text(row, "model_permaslug"))
            .unwrap_or_else(|| UNNAMED_MODEL.to_owned()),
        requests,
        usage: row.get("usage").and_then(parse_number)?,
    })
}

/// Parses a row of `GET /workspaces`.
pub fn parse_workspace(row: &Fields) -> Option<Workspace> {
    let text = |name: &str| field_text(row, name);
    Some(Workspace {
        id: text("id")?,
        name: text("name").unwrap_or_default(),
        slug: text("slug").unwrap_or_default(),
    })
}

/// Parses a row of `GET /workspaces/{id}/budgets`.
pub fn parse_workspace_budget(row: &Fields) -> Option<WorkspaceBudget> {
    Some(WorkspaceBudget {
        id: field_text(row, "id")?,
        limit_usd: row.get("limit_usd").and_then(parse_number),
        reset_interval: Reported::from_json(row.get("reset_interval")),
    })
}

/// Parses a row of `GET /guardrails`.
pub fn parse_guardrail(row: &Fields) -> Option<Guardrail> {
    let flag = |name: &str| row.get(name).and_then(Value::as_bool);
    Some(Guardrail {
        id: field_text(row, "id")?,
        name: field_text(row, "name").unwrap_or_default(),
        limit_usd: Reported::from_json(row.get("limit_usd")),
        reset_interval: Reported::from_json(row.get("reset_interval")),
        include_byok_in_budgets: flag("include_byok_in_budgets"),
        enforce_zdr: flag("enforce_zdr"),
        allowed_models: parse_texts(row, "allowed_models"),
        allowed_providers: parse_texts(row, "allowed_providers"),
        ignored_models: parse_texts(row, "ignored_models"),
        ignored_providers: parse_texts(row, "ignored_providers"),
        allowed_data_regions: parse_texts(row, "allowed_data_regions"),
        workspace_id: field_text(row, "workspace_id"),
    })
}

/// Parses a row of `GET /guardrails/assignments/keys`.
pub fn parse_assignment(row: &Fields) -> Option<GuardrailAssignment> {
    Some(GuardrailAssignment {
        guardrail_id: field_text(row, "guardrail_id")?,
        key_hash: field_text(row, "key_hash").filter(|hash| is_key_hash(hash))?,
    })
}

/// Parses a row of `GET /byok`.
pub fn parse_credential(row: &Fields) -> Option<ByokCredential> {
    let text = |name: &str| field_text(row, name);
    Some(ByokCredential {
        id: text("id")?,
        name: text("name").or_else(|| text("label")).unwrap_or_default(),
        allowed_api_key_hashes: parse_texts(row, "allowed_api_key_hashes"),
    })
}

/// Returns a number of the response by its name, such as `assigned_count`.
pub fn parse_count(body: &str, name: &str) -> Option<u64> {
    parse_data(body)?.get(name)?.as_u64()
}

/// Returns the texts of a list, safe to show; `None` if it is null or missing.
pub fn parse_texts(fields: &Fields, name: &str) -> Option<Vec<String>> {
    let list = fields.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(|text| sanitize(text, 100)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Fields {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn rows_are_parsed_leniently_and_without_an_id_not_at_all() {
        assert_eq!(
            parse_credits(r#"{"data":{"total_credits":"10.5","total_usage":3}}"#)
                .map(Credits::remaining),
            Some(7.5)
        );
        assert_eq!(parse_credits(r#"{"data":{"total_usage":3}}"#), None);
        let activity = parse_activity_row(&row(json!({
            "date": "2026-11-24 00:00:00", "model": "a/b\u{1b}", "requests": 3, "usage": 0.123_456_789,
        })))
        .unwrap();
        assert_eq!(activity.date.to_string(), "2026-11-24");
        assert_eq!((activity.model.as_str(), activity.requests), ("a/b", 3));
        assert!((activity.usage - 0.123_456_789).abs() < 1e-12);
        for odd in [
            json!({"model": "a", "usage": 1}),
            json!({"date": "yesterday", "model": "a", "usage": 1}),
            json!({"date": "2026-11-24", "model": "a"}),
            json!({"date": "2026-11-24", "model": "a", "usage": "much"}),
        ] {
            assert_eq!(parse_activity_row(&row(odd)), None);
        }
        let unnamed = json!({"date": "2026-11-24", "usage": 2.5});
        assert_eq!(parse_activity_row(&row(unnamed)).unwrap().model, UNNAMED_MODEL);
        assert!(parse_workspace(&row(json!({"name": "x"}))).is_none());
        let guardrail =
            parse_guardrail(&row(json!({"id": "g", "name": "n", "limit_usd": null}))).unwrap();
        assert!(guardrail.limit_usd.is_none() && guardrail.reset_interval.is_missing());
        assert!(parse_assignment(&row(json!({"guardrail_id": "g", "key_hash": "../x"}))).is_none());
        let credential = json!({"id": "c", "label": "sk-...1", "allowed_api_key_hashes": null});
        assert_eq!(parse_credential(&row(credential)).unwrap().allowed_api_key_hashes, None);
        assert_eq!(parse_count(r#"{"assigned_count":2}"#, "assigned_count"), Some(2));
    }
}
