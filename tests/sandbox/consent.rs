//! The sign-in: the consent page, the redirect and the exchange.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use keywright::sandbox::answer_consent;
use serde_json::json;
use url::Url;

use super::{CHALLENGE, Response, VERIFIER, WORKSPACE, auth_url, call, exchange, sandbox};

fn parameters(callback: &str) -> Vec<(&str, &str)> {
    vec![
        ("callback_url", callback),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("key_label", "laptop & <b>\"friends\"</b> {{main}}"),
        ("limit", "12.5"),
        ("usage_limit_type", "weekly"),
        ("expires_at", "2099-12-31T23:59:59Z"),
        ("workspace_id", WORKSPACE),
    ]
}

fn redirect_params(response: &Response) -> BTreeMap<String, String> {
    assert_eq!(response.status, 302, "{}", response.body);
    let url = Url::parse(&response.head["location"]).unwrap();
    url.query_pairs().into_owned().collect()
}

#[test]
fn approved_consent_creates_a_key_with_all_requested_properties() {
    let sandbox = sandbox();
    let target =
        auth_url(&[parameters("http://127.0.0.1:9/cb?nonce=1"), vec![("state", "s t")]].concat());
    let params = redirect_params(&call(&sandbox, "POST", &target, "", "decision=approve"));
    assert_eq!(params.keys().map(String::as_str).collect::<Vec<_>>(), ["code", "nonce", "state"]);
    assert_eq!((&*params["nonce"], &*params["state"]), ("1", "s t"));

    let exchanged = exchange(&sandbox, &params["code"]).json();
    let key = exchanged["key"].as_str().unwrap();
    assert!(key.len() == 73 && key.starts_with("sk-or-v1-"));
    assert!(exchanged["user_id"].is_string());
    let again = exchange(&sandbox, &params["code"]).error();
    assert_eq!(again, (403, "Invalid code or code_verifier".into()));

    let me = call(&sandbox, "GET", "/api/v1/key", key, "").json()["data"].take();
    let mask = format!("{}...{}", &key[..12], &key[69..]);
    assert_eq!(
        json!([
            me["label"],
            me["limit"],
            me["limit_remaining"],
            me["limit_reset"],
            me["expires_at"],
            me["workspace_id"],
            me["is_management_key"],
            me["usage"],
            me["organization_id"],
            me["budgets"][0],
            me["allowed_data_regions"],
            me["free_model_daily_requests"]["used"]
        ]),
        json!([
            mask,
            12.5,
            12.5,
            "weekly",
            "2099-12-31T23:59:59.000000+00:00",
            WORKSPACE,
            false,
            0,
            null,
            me["effective_budget"],
            ["global"],
            0
        ])
    );
    let list = format!("/api/v1/keys?workspace_id={WORKSPACE}");
    let list = call(&sandbox, "GET", &list, sandbox.management_key(), "").json();
    assert_eq!(
        json!([list["data"][0]["name"], list["data"][0]["label"], list["data"][0]["expires_at"]]),
        json!(["laptop & <b>\"friends\"</b> {{main}}", mask, "2099-12-31T23:59:59Z"])
    );
}

#[test]
fn consent_page_shows_the_request_escaped() {
    let sandbox = sandbox();
    let page = call(&sandbox, "GET", &auth_url(&parameters("http://localhost:4000/cb")), "", "");
    assert_eq!((page.status, &*page.head["content-type"]), (200, "text/html; charset=utf-8"));
    for shown in [
        "SANDBOX",
        "Authorize http://localhost:4000?",
        ">laptop &amp; &lt;b&gt;&quot;friends&quot;&lt;/b&gt; {{main}}</dd>",
        ">$12.50</dd>",
        ">weekly</dd>",
        ">2099-12-31T23:59:59Z</dd>",
        WORKSPACE,
        "id=\"authorize\"",
        "id=\"refuse\"",
    ] {
        assert!(page.body.contains(shown), "{shown} is not in {}", page.body);
    }
    assert!(!page.body.contains("<b>") && !page.body.contains("<script"));
    assert!(!page.head["content-security-policy"].contains("form-action"));
}

#[test]
fn denied_consent_redirects_with_access_denied_and_the_state() {
    let sandbox = sandbox();
    let target = auth_url(&[parameters("https://app.example/cb"), vec![("state", "xyz")]].concat());
    let params = redirect_params(&call(&sandbox, "POST", &target, "", "decision=refuse"));
    assert_eq!((&*params["error"], &*params["state"]), ("access_denied", "xyz"));
    assert!(!params["error_description"].is_empty() && !params.contains_key("code"));
}

#[test]
fn invalid_authorization_request_gets_a_page_with_the_reason() {
    let sandbox = sandbox();
    let invalid: [(&[(&str, &str)], &str); 10] = [
        (&[], "code_challenge is required"),
        (&[("callback_url", "http://example.com/cb")], "callback_url must be"),
        (&[("callback_url", "http://127.0.0.2/cb")], "callback_url must be"),
        (&[("callback_url", "not a URL")], "callback_url must be"),
        (&[("code_challenge", "c"), ("code_challenge_method", "S512")], "code_challenge_method"),
        (&[("callback_url", "https://a.example"), ("code_challenge_method", "S256")], "needs a"),
        (&[("code_challenge", "c"), ("limit", "lots")], "limit must be"),
        (&[("code_challenge", "c"), ("usage_limit_type", "yearly")], "usage_limit_type must be"),
        (&[("code_challenge", "c"), ("expires_at", "2099-12-31T23:59Z")], "expires_at must be"),
        (&[("code_challenge", "c"), ("workspace_id", "home")], "workspace_id must be"),
    ];
    for (pairs, reason) in invalid {
        for method in ["GET", "POST"] {
            let page = call(&sandbox, method, &auth_url(pairs), "", "decision=approve");
            assert_eq!(page.status, 400, "{pairs:?}");
            assert!(page.body.contains(reason), "{reason} is not in {}", page.body);
        }
    }
    let long = "x".repeat(101);
    let page =
        call(&sandbox, "GET", &auth_url(&[("code_challenge", "c"), ("key_label", &long)]), "", "");
    assert_eq!(page.status, 400);
    let undecided = auth_url(&[("code_challenge", "c")]);
    assert_eq!(call(&sandbox, "POST", &undecided, "", "decision=perhaps").status, 400);
}

#[test]
fn without_a_callback_the_page_shows_a_valid_code() {
    let sandbox = sandbox();
    let pairs = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let address = format!("{}{}", sandbox.url(), auth_url(&pairs));
    let code = answer_consent(&address, true).unwrap().unwrap();
    assert_eq!(exchange(&sandbox, &code).status, 200);
    assert_eq!(answer_consent(&address, false), Ok(None));
}

#[test]
fn answer_consent_calls_the_callback_like_a_browser() {
    let sandbox = sandbox();
    for (approve, expected) in [(true, "GET /cb/nonce?a=1&code="), (false, "error=access_denied")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let callback = format!("http://{}/cb/nonce?a=1", listener.local_addr().unwrap());
        let address = format!("{}{}", sandbox.url(), auth_url(&parameters(&callback)));
        let browser = std::thread::spawn(move || answer_consent(&address, approve));
        let (mut socket, _) = listener.accept().unwrap();
        let mut seen = String::new();
        while !seen.ends_with("\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            seen.push(char::from(byte[0]));
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(socket);
        assert_eq!(browser.join().unwrap(), Ok(None));
        for part in [expected, "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate"] {
            assert!(seen.contains(part), "{part} is not in {seen}");
        }
    }
}

#[test]
fn answer_consent_reports_what_failed() {
    let sandbox = sandbox();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = auth_url(&parameters(&format!("http://{closed}/cb")));
    let cases = [
        ("nonsense".to_owned(), "URL is invalid"),
        ("https://openrouter.ai/auth".to_owned(), "only http URLs on loopback"),
        (format!("{}/auth", sandbox.url()), "answered 400: Without callback_url"),
        (format!("{}{unreachable}", sandbox.url()), "did not answer"),
    ];
    for (address, expected) in cases {
        let error = answer_consent(&address, true).unwrap_err();
        assert!(error.contains(expected), "{expected} is not in {error}");
    }
}

#[test]
fn exchange_errors_have_the_documented_messages() {
    let sandbox = sandbox();
    let pairs = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let code =
        answer_consent(&format!("{}{}", sandbox.url(), auth_url(&pairs)), true).unwrap().unwrap();
    let cases = [
        (
            json!({ "code": code, "code_verifier": VERIFIER, "code_challenge_method": "plain" }),
            (400, "Invalid code_challenge_method"),
        ),
        (
            json!({ "code": code, "code_verifier": VERIFIER, "code_challenge_method": "S512" }),
            (400, "Invalid code_challenge_method"),
        ),
        (json!({ "code": code, "code_verifier": "wrong" }), (403, "Invalid code or code_verifier")),
        (json!({ "code": code }), (403, "Invalid code or code_verifier")),
        (json!({ "code": "unknown" }), (403, "Invalid code or code_verifier")),
        (json!({ "code_verifier": VERIFIER }), (400, "code is required")),
        (json!([]), (400, "The request body must be a JSON object")),
    ];
    for (body, (status, message)) in cases {
        let rejected = call(&sandbox, "POST", "/api/v1/auth/keys", "", &body.to_string());
        assert_eq!(rejected.error(), (status, message.to_owned()), "{body}");
    }
    let broken = call(&sandbox, "POST", "/api/v1/auth/keys", "", "{\"code\":");
    assert_eq!(broken.error().0, 400);
    assert_eq!(exchange(&sandbox, &code).status, 200);
}
