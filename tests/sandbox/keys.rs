//! Codes created with an existing key, and the operations of the management key.

use keywright::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use super::{CHALLENGE, WORKSPACE, call, exchange, sandbox};

#[test]
fn existing_key_creates_a_code_for_another() {
    let sandbox = sandbox();
    let laptop = &sandbox.seed_keys()[0].secret;
    let target = "/api/v1/auth/keys/code";
    let create_code =
        |token: &str, body: Value| call(&sandbox, "POST", target, token, &body.to_string());
    let request = json!({
        "callback_url": "https://app.example/cb", "code_challenge": CHALLENGE,
        "code_challenge_method": "S256", "key_label": "spare", "limit": 3,
        "usage_limit_type": "daily", "expires_at": "2099-12-31T23:59:59Z",
    });
    let data = create_code(laptop, request.clone()).json()["data"].take();
    assert!(data["app_id"].is_u64() && data["created_at"].as_str().unwrap().ends_with('Z'));
    let exchanged = exchange(&sandbox, data["id"].as_str().unwrap()).json();
    let me = call(&sandbox, "GET", "/api/v1/key", exchanged["key"].as_str().unwrap(), "").json();
    assert_eq!(json!([me["data"]["limit"], me["data"]["limit_reset"]]), json!([3, "daily"]));

    assert_eq!(create_code("", request.clone()).status, 401);
    assert_eq!(create_code("sk-or-v1-unknown", request.clone()).status, 401);
    assert_eq!(create_code(&sandbox.seed_keys()[2].secret, request.clone()).status, 401);
    for (field, value) in [
        ("callback_url", Value::Null),
        ("callback_url", json!("http://example.com")),
        ("code_challenge_method", json!("s256")),
        ("limit", json!("3")),
        ("limit", Value::Null),
        ("limit", json!(-1)),
        ("usage_limit_type", Value::Null),
        ("expires_at", json!("2099-12-31T23:59:59+00:00")),
        ("expires_at", json!("2099-12-31 23:59:59Z")),
        ("key_label", json!("x".repeat(101))),
        ("workspace_id", json!("default")),
    ] {
        let mut body = request.clone();
        body[field] = value;
        assert_eq!(create_code(laptop, body.clone()).status, 400, "{body}");
    }
}

#[test]
fn only_the_management_key_manages_keys() {
    let sandbox = sandbox();
    let management = sandbox.management_key();
    let laptop = &sandbox.seed_keys()[0].secret;
    let me = call(&sandbox, "GET", "/api/v1/key", management, "").json();
    assert_eq!(me["data"]["is_management_key"], true);
    for (method, target) in [
        ("GET", "/api/v1/keys".to_owned()),
        ("POST", "/api/v1/keys".to_owned()),
        ("GET", format!("/api/v1/keys/{}", "0".repeat(64))),
        ("PATCH", format!("/api/v1/keys/{}", "0".repeat(64))),
        ("DELETE", format!("/api/v1/keys/{}", "0".repeat(64))),
    ] {
        let error = |token: &str| call(&sandbox, method, &target, token, "{}").error();
        assert_eq!(error(""), (401, "Missing Authentication header".into()));
        assert_eq!(error("sk-or-v1-unknown").0, 401);
        assert_eq!(error(laptop), (403, "Only management keys can perform this operation".into()));
    }
}

#[test]
fn managed_key_is_created_updated_and_deleted() {
    let sandbox = sandbox();
    let token = sandbox.management_key();
    let send = |method: &str, target: &str, body: Value| {
        call(&sandbox, method, target, token, &body.to_string())
    };
    for invalid in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": 1 }),
        json!({ "name": "x", "limit_reset": "yearly" }),
        json!({ "name": "x", "include_byok_in_limit": "yes" }),
        json!({ "name": "x", "expires_at": "2099-12-31T23:59Z" }),
        json!({ "name": "x", "expires_at": "2099-13-31T23:59:59Z" }),
    ] {
        assert_eq!(send("POST", "/api/v1/keys", invalid.clone()).status, 400, "{invalid}");
    }
    let created = send(
        "POST",
        "/api/v1/keys",
        json!({
            "name": "robot", "limit": 50, "limit_reset": "monthly", "include_byok_in_limit": true,
            "expires_at": "2099-12-31T23:59:59.5Z",
        }),
    );
    assert_eq!(created.status, 201);
    let created = created.json();
    let (key, data) = (created["key"].as_str().unwrap(), &created["data"]);
    assert_eq!(
        json!([data["name"], data["limit"], data["expires_at"], data["updated_at"]]),
        json!(["robot", 50, "2099-12-31T23:59:59.5Z", null])
    );
    let path = format!("/api/v1/keys/{}", data["hash"].as_str().unwrap());
    assert_eq!(call(&sandbox, "GET", &path, token, "").json()["data"], *data);

    let no_fields = (400, "No update fields provided".to_owned());
    let later = json!({ "expires_at": "2100-12-31T23:59:59Z" });
    assert_eq!(send("PATCH", &path, later).error(), no_fields);
    assert_eq!(send("PATCH", &path, json!({})).error(), no_fields);
    let patched = send(
        "PATCH",
        &path,
        json!({
            "limit": null, "disabled": true, "expires_at": "2100-12-31T23:59:59Z"
        }),
    );
    let patched = patched.json()["data"].take();
    assert_eq!(
        json!([
            patched["limit"],
            patched["limit_remaining"],
            patched["limit_reset"],
            patched["disabled"],
            patched["expires_at"]
        ]),
        json!([null, null, "monthly", true, "2099-12-31T23:59:59.5Z"])
    );
    assert!(patched["updated_at"].is_string());
    assert_eq!(call(&sandbox, "GET", "/api/v1/key", key, "").status, 401);

    assert_eq!(call(&sandbox, "DELETE", &path, token, "").json(), json!({ "deleted": true }));
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(send(method, &path, json!({ "name": "x" })).error().0, 404);
    }
    assert_eq!(call(&sandbox, "GET", "/api/v1/keys/ABC", token, "").error().0, 404);
}

#[test]
fn list_is_paged_and_filtered() {
    let sandbox = Sandbox::start(&Options { port: 0, key_count: 204 }).unwrap();
    let seeds = sandbox.seed_keys();
    assert_eq!((seeds.len(), &*seeds[4].label), (204, "tool-0005"));
    let list = |query: &str| {
        let target = format!("/api/v1/keys{query}");
        call(&sandbox, "GET", &target, sandbox.management_key(), "")
    };
    let names = |query: &str| -> Vec<String> {
        let rows = list(query).json()["data"].take();
        rows.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().into()).collect()
    };
    let first = names("?include_disabled=true");
    assert_eq!((first.len(), &*first[2]), (100, "notebook"));
    assert_eq!(names("?include_disabled=true&offset=200").len(), 4);
    assert_eq!(
        names("?include_disabled=false&include_expired=true&offset=1")[..2],
        ["ci", "agent"]
    );
    assert_eq!(names(&format!("?workspace_id={WORKSPACE}")), [""; 0]);
    for invalid in ["?offset=-1", "?offset=x", "?include_disabled=yes", "?workspace_id=1"] {
        assert_eq!(list(invalid).error().0, 400, "{invalid}");
    }
}

#[test]
fn a_key_that_cannot_be_used_spends_nothing() {
    let sandbox = sandbox();
    let body = r#"{"name":"new","limit":1}"#;
    let created = call(&sandbox, "POST", "/api/v1/keys", sandbox.management_key(), body).json();
    let hash = created["data"]["hash"].as_str().unwrap();
    let spend = |usd| keywright::sandbox::spend_on_key(sandbox.url(), hash, usd);
    assert_eq!(spend(1.0), Ok(()));
    let refusal = spend(0.5).unwrap_err();
    assert!(refusal.ends_with("the limit of the key is reached (403)"), "{refusal}");
    let path = format!("/api/v1/keys/{hash}");
    let off = r#"{"disabled":true,"limit":9}"#;
    let row = call(&sandbox, "PATCH", &path, sandbox.management_key(), off).json();
    assert_eq!(row["data"]["usage"].as_f64(), Some(1.0));
    let refusal = spend(0.5).unwrap_err();
    assert!(refusal.ends_with("the key is disabled (401)"), "{refusal}");
}
