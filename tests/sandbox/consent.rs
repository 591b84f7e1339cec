//! Signing in: the consent page, the way back, the exchange.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use keywright::sandbox::answer_consent;
use serde_json::json;
use url::Url;

use super::{Answer, CHALLENGE, VERIFIER, WORKSPACE, auth, call, exchange, sandbox};

fn asked(callback: &str) -> Vec<(&str, &str)> {
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

fn location(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 302, "{}", answer.body);
    let url = Url::parse(&answer.head["location"]).unwrap();
    url.query_pairs().into_owned().collect()
}

#[test]
fn consent_leads_to_a_key_with_everything_that_was_agreed() {
    let sandbox = sandbox();
    let target = auth(&[asked("http://127.0.0.1:9/cb?nonce=1"), vec![("state", "s t")]].concat());
    let back = location(&call(&sandbox, "POST", &target, "", "decision=approve"));
    assert_eq!(back.keys().map(String::as_str).collect::<Vec<_>>(), ["code", "nonce", "state"]);
    assert_eq!((&*back["nonce"], &*back["state"]), ("1", "s t"));

    let bought = exchange(&sandbox, &back["code"]).json();
    let key = bought["key"].as_str().unwrap();
    assert!(key.len() == 73 && key.starts_with("sk-or-v1-"));
    assert!(bought["user_id"].is_string());
    let again = exchange(&sandbox, &back["code"]).error();
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
fn the_consent_page_shows_what_is_asked_and_escapes_it() {
    let sandbox = sandbox();
    let page = call(&sandbox, "GET", &auth(&asked("http://localhost:4000/cb")), "", "");
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
fn refusing_says_access_denied_and_echoes_the_state() {
    let sandbox = sandbox();
    let target = auth(&[asked("https://app.example/cb"), vec![("state", "xyz")]].concat());
    let back = location(&call(&sandbox, "POST", &target, "", "decision=refuse"));
    assert_eq!((&*back["error"], &*back["state"]), ("access_denied", "xyz"));
    assert!(!back["error_description"].is_empty() && !back.contains_key("code"));
}

#[test]
fn a_bad_authorization_request_gets_a_page_that_says_why() {
    let sandbox = sandbox();
    let bad: [(&[(&str, &str)], &str); 10] = [
        (&[], "code_challenge is required"),
        (&[("callback_url", "http://example.com/cb")], "callback_url must be"),
        (&[("callback_url", "http://127.0.0.2/cb")], "callback_url must be"),
        (&[("callback_url", "no address")], "callback_url must be"),
        (&[("code_challenge", "c"), ("code_challenge_method", "S512")], "code_challenge_method"),
        (&[("callback_url", "https://a.example"), ("code_challenge_method", "S256")], "needs a"),
        (&[("code_challenge", "c"), ("limit", "lots")], "limit must be"),
        (&[("code_challenge", "c"), ("usage_limit_type", "yearly")], "usage_limit_type must be"),
        (&[("code_challenge", "c"), ("expires_at", "2099-12-31T23:59Z")], "expires_at must be"),
        (&[("code_challenge", "c"), ("workspace_id", "home")], "workspace_id must be"),
    ];
    for (pairs, words) in bad {
        for method in ["GET", "POST"] {
            let page = call(&sandbox, method, &auth(pairs), "", "decision=approve");
            assert_eq!(page.status, 400, "{pairs:?}");
            assert!(page.body.contains(words), "{words} is not in {}", page.body);
        }
    }
    let long = "x".repeat(101);
    let page =
        call(&sandbox, "GET", &auth(&[("code_challenge", "c"), ("key_label", &long)]), "", "");
    assert_eq!(page.status, 400);
    let undecided = auth(&[("code_challenge", "c")]);
    assert_eq!(call(&sandbox, "POST", &undecided, "", "decision=perhaps").status, 400);
}

#[test]
fn without_a_callback_the_page_shows_a_code_that_exchanges() {
    let sandbox = sandbox();
    let pairs = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let address = format!("{}{}", sandbox.url(), auth(&pairs));
    let code = answer_consent(&address, true).unwrap().unwrap();
    assert_eq!(exchange(&sandbox, &code).status, 200);
    assert_eq!(answer_consent(&address, false), Ok(None));
}

#[test]
fn decide_lands_on_the_callback_as_a_browser_does() {
    let sandbox = sandbox();
    for (approve, expected) in [(true, "GET /cb/nonce?a=1&code="), (false, "error=access_denied")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let callback = format!("http://{}/cb/nonce?a=1", listener.local_addr().unwrap());
        let address = format!("{}{}", sandbox.url(), auth(&asked(&callback)));
        let person = std::thread::spawn(move || answer_consent(&address, approve));
        let (mut socket, _) = listener.accept().unwrap();
        let mut seen = String::new();
        while !seen.ends_with("\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            seen.push(char::from(byte[0]));
        }
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(socket);
        assert_eq!(person.join().unwrap(), Ok(None));
        for part in [expected, "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate"] {
            assert!(seen.contains(part), "{part} is not in {seen}");
        }
    }
}

#[test]
fn decide_says_in_words_what_went_wrong() {
    let sandbox = sandbox();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lost = auth(&asked(&format!("http://{gone}/cb")));
    let cases = [
        ("nonsense".to_owned(), "not an address"),
        ("https://openrouter.ai/auth".to_owned(), "only http addresses on loopback"),
        (format!("{}/auth", sandbox.url()), "answered 400: Without callback_url"),
        (format!("{}{lost}", sandbox.url()), "did not answer"),
    ];
    for (address, words) in cases {
        let error = answer_consent(&address, true).unwrap_err();
        assert!(error.contains(words), "{words} is not in {error}");
    }
}

#[test]
fn the_exchange_refuses_in_the_documented_words() {
    let sandbox = sandbox();
    let pairs = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let code =
        answer_consent(&format!("{}{}", sandbox.url(), auth(&pairs)), true).unwrap().unwrap();
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
    for (body, (status, words)) in cases {
        let refused = call(&sandbox, "POST", "/api/v1/auth/keys", "", &body.to_string());
        assert_eq!(refused.error(), (status, words.to_owned()), "{body}");
    }
    let broken = call(&sandbox, "POST", "/api/v1/auth/keys", "", "{\"code\":");
    assert_eq!(broken.error().0, 400);
    assert_eq!(exchange(&sandbox, &code).status, 200);
}
