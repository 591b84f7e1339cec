//! Guardrails, workspaces, provider keys, credits and activity of the sandbox.

use super::*;

fn management(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call(sandbox, method, &format!("/api/v1/{path}"), sandbox.management_key(), &body)
}

fn data(sandbox: &Sandbox, path: &str) -> Value {
    let response = management(sandbox, "GET", path, &Value::Null);
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    response.json()["data"].clone()
}

fn current_key(sandbox: &Sandbox, secret: &str) -> Value {
    call(sandbox, "GET", "/api/v1/key", secret, "").json()["data"].clone()
}

#[test]
fn a_key_has_one_guardrail_and_its_budget_is_a_layer_of_the_key() {
    let sandbox = sandbox();
    let seed = sandbox.seed_keys().remove(0);
    let hash = data(&sandbox, "keys")[0]["hash"].clone();
    let research = data(&sandbox, "guardrails")[0].clone();
    assert_eq!((&research["name"], &research["limit_usd"]), (&json!("research"), &json!(20)));
    let strict = management(
        &sandbox,
        "POST",
        "guardrails",
        &json!({"name": "strict", "limit_usd": 1.0, "reset_interval": "monthly", "allowed_models": ["a/b"]}),
    );
    assert_eq!(strict.status, 201, "{}", strict.body);
    let strict = strict.json()["data"]["id"].as_str().unwrap().to_owned();
    let research = research["id"].as_str().unwrap();
    let hashes = json!({ "key_hashes": [hash, "f".repeat(64)] });
    for id in [research, &strict] {
        let path = format!("guardrails/{id}/assignments/keys");
        let response = management(&sandbox, "POST", &path, &hashes);
        assert_eq!((response.status, response.json()), (200, json!({"assigned_count": 1})));
    }
    assert_eq!(data(&sandbox, "guardrails/assignments/keys").as_array().unwrap().len(), 1);
    assert_eq!(data(&sandbox, &format!("guardrails/{research}/assignments/keys")), json!([]));
    let key = current_key(&sandbox, &seed.secret);
    let scopes: Vec<_> = key["budgets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["scope"].as_str().unwrap())
        .collect();
    assert_eq!(scopes, ["api_key", "key_limit"]);
    // $1.24 of $1.00 was spent this month: this layer rejects requests, and the key's own does not.
    let layer = &key["effective_budget"];
    assert_eq!((&layer["scope"], &layer["guardrail_id"]), (&json!("api_key"), &json!(strict)));
    assert_eq!(
        (&layer["remaining_usd"], &layer["reset_interval"]),
        (&json!(-0.24), &json!("monthly"))
    );
    assert!(layer["resets_at"].as_str().unwrap().ends_with("+00:00"));
    let path = format!("guardrails/{strict}/assignments/keys/remove");
    assert_eq!(management(&sandbox, "POST", &path, &hashes).json(), json!({"unassigned_count": 1}));
    assert_eq!(current_key(&sandbox, &seed.secret)["effective_budget"]["scope"], "key_limit");
    assert_eq!(
        management(&sandbox, "DELETE", &format!("guardrails/{strict}"), &Value::Null).status,
        200
    );
    for (method, body) in
        [("GET", Value::Null), ("PATCH", json!({"name": "x"})), ("DELETE", Value::Null)]
    {
        let response = management(&sandbox, method, &format!("guardrails/{strict}"), &body);
        assert_eq!(response.status, 404, "{method}");
    }
    for body in [json!({}), json!({"key_hashes": []}), json!({"key_hashes": "x"})] {
        let path = format!("guardrails/{research}/assignments/keys");
        assert_eq!(management(&sandbox, "POST", &path, &body).status, 400, "{body}");
    }
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x", "limit_usd": -1}),
        json!({"name": "x", "reset_interval": "yearly"}),
    ] {
        assert_eq!(management(&sandbox, "POST", "guardrails", &body).status, 400, "{body}");
    }
}

#[test]
fn the_budget_of_a_workspace_counts_all_of_its_keys() {
    let sandbox = sandbox();
    let seed = sandbox.seed_keys().remove(0);
    let workspaces = data(&sandbox, "workspaces?limit=1&offset=1");
    assert_eq!(
        (&workspaces[0]["slug"], workspaces.as_array().unwrap().len()),
        (&json!("research"), 1)
    );
    assert_eq!(data(&sandbox, "workspaces/default")["name"], "Default");
    let path = "workspaces/default/budgets/monthly";
    assert_eq!(management(&sandbox, "PUT", path, &json!({"limit_usd": 0})).status, 400);
    assert_eq!(management(&sandbox, "PUT", path, &json!({"limit_usd": 5})).status, 200);
    let budgets = data(&sandbox, "workspaces/default/budgets");
    assert_eq!(
        (&budgets[0]["limit_usd"], &budgets[0]["reset_interval"]),
        (&json!(5), &json!("monthly"))
    );
    let layer = current_key(&sandbox, &seed.secret)["effective_budget"].clone();
    assert_eq!((&layer["scope"], &layer["budget_id"]), (&json!("workspace"), &budgets[0]["id"]));
    assert!(layer["spend_usd"].as_f64().unwrap() > 20.0, "ci has spent more: {layer}");
    assert_eq!(management(&sandbox, "DELETE", path, &Value::Null).status, 200);
    assert_eq!(management(&sandbox, "DELETE", path, &Value::Null).status, 404);
    // A key can be moved.
    let hash = data(&sandbox, "keys")[0]["hash"].as_str().unwrap().to_owned();
    let research = workspaces[0]["id"].clone();
    let moved =
        management(&sandbox, "PATCH", &format!("keys/{hash}"), &json!({"workspace_id": research}));
    assert_eq!(moved.json()["data"]["workspace_id"], research);
    let found = data(&sandbox, &format!("keys?workspace_id={}", research.as_str().unwrap()));
    assert_eq!(found[0]["hash"], json!(hash));
}

#[test]
fn provider_keys_credits_and_activity_need_the_management_key() {
    let sandbox = sandbox();
    let seeds = sandbox.seed_keys();
    for path in ["credits", "activity", "byok", "guardrails", "workspaces"] {
        let path = format!("/api/v1/{path}");
        assert_eq!(call(&sandbox, "GET", &path, "", "").status, 401, "{path}");
        assert_eq!(call(&sandbox, "GET", &path, &seeds[0].secret, "").status, 403, "{path}");
        assert_eq!(call(&sandbox, "PUT", &path, "", "").status, 405, "{path}");
    }
    let credits = data(&sandbox, "credits");
    assert!(credits["total_usage"].as_f64().unwrap() > 0.0 && credits["total_credits"] == 250);
    let credential = data(&sandbox, "byok")[0].clone();
    let path = format!("byok/{}", credential["id"].as_str().unwrap());
    let hash = data(&sandbox, "keys")[1]["hash"].as_str().unwrap().to_owned();
    let changed = management(&sandbox, "PATCH", &path, &json!({"allowed_api_key_hashes": [hash]}));
    assert_eq!(changed.json()["data"]["allowed_api_key_hashes"], json!([hash]));
    assert_eq!(
        management(&sandbox, "PATCH", &path, &json!({"allowed_api_key_hashes": []})).status,
        400
    );
    assert_eq!(data(&sandbox, &path)["allowed_api_key_hashes"], json!([hash]));

    let rows = data(&sandbox, "activity");
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let days: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["date"].as_str().unwrap()).collect();
    assert!(!days.is_empty() && !days.contains(&today.as_str()), "{days:?}");
    let of_key = data(&sandbox, &format!("activity?api_key_hash={hash}"));
    assert!((1..rows.as_array().unwrap().len()).contains(&of_key.as_array().unwrap().len()));
    let one_day = data(&sandbox, &format!("activity?date={}", days[0]));
    assert!(one_day.as_array().unwrap().iter().all(|row| row["date"] == days[0]));
    for query in
        [format!("date={today}"), "date=2020-01-01".into(), "date=x".into(), "group_by=day".into()]
    {
        let response = management(&sandbox, "GET", &format!("activity?{query}"), &Value::Null);
        assert_eq!(response.status, 400, "{query}");
    }
    let unknown = format!("activity?api_key_hash={}", "f".repeat(64));
    assert_eq!(management(&sandbox, "GET", &unknown, &Value::Null).status, 404);
}
