//! Faults of the server during the exchange.

use super::*;

/// For each fault: the number of requests, the exit code and the message.
#[test]
fn every_exchange_fault_has_its_own_message_and_number_of_requests() {
    let json = |status, body: &str| Reply::Response(status, "application/json", body.into());
    let error = |status: u16, message: &str| {
        json(status, &format!(r#"{{"error":{{"code":{status},"message":"{message}"}}}}"#))
    };
    let html = |status| Reply::Response(status, "text/html", "<html>\u{1b}[31mproxy</html>".into());
    // Name, replies in order (the last one repeats), requests, exit code, text.
    let cases: Vec<(&str, Vec<Reply>, usize, u8, &str)> = vec![
        (
            "bad request",
            vec![error(400, "Invalid code_challenge_method")],
            1,
            1,
            "Invalid code_challenge_method",
        ),
        ("wrong code", vec![error(403, "Invalid code or code_verifier")], 1, 1, "sign in again"),
        ("method not allowed", vec![error(405, "Method Not Allowed")], 1, 1, "check --server"),
        ("not found", vec![html(404)], 1, 1, "check --server"),
        ("rate limited for too long", vec![Reply::RateLimited("3600")], 1, 6, "too many requests"),
        ("rate limited on every attempt", vec![Reply::RateLimited("0")], 4, 6, "too many requests"),
        ("server error", vec![error(500, "boom")], 3, 7, "may have been created"),
        ("bad gateway in HTML", vec![html(502)], 3, 7, "answered 502"),
        ("closed without a response", vec![Reply::Close], 3, 7, "may have been created"),
        ("truncated head", vec![Reply::Raw("HTTP/1.1 200 O")], 3, 7, "may have been created"),
        (
            "truncated body",
            vec![Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"ke")],
            3,
            7,
            "incomplete",
        ),
        ("timeout", vec![Reply::Silence], 3, 7, "timed out"),
        (
            "rejected after a lost response",
            vec![Reply::Close, error(403, "Invalid code or code_verifier")],
            2,
            7,
            "may have been created",
        ),
        ("success without a key", vec![json(200, r#"{"ok":true}"#)], 1, 7, "contains no key"),
        ("success in HTML", vec![html(200)], 1, 7, "contains no key"),
        ("empty success", vec![json(200, "")], 1, 7, "contains no key"),
    ];
    std::thread::scope(|scope| {
        for (name, replies, requests, code, text) in cases {
            scope.spawn(move || {
                let server = Server::new(replies);
                let services = services(&server.url);
                let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
                let message = format!("{}; {}", error.message, error.advice);
                assert!(message.contains(text), "{name}: {message}");
                assert_eq!(
                    (server.exchange_count(), exit_code(error.kind)),
                    (requests, code),
                    "{name}: {message}"
                );
                assert!(
                    !message.contains('\u{1b}') && !message.contains("the-code"),
                    "{name}: {message}"
                );
                // An attempt that may have created a key stays pending.
                assert_eq!(unresolved_count(&services), usize::from(code == 7), "{name}");
            });
        }
    });
}

#[test]
fn unreachable_server_receives_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let services = ServiceContext { max_retries: 1, ..services(&url) };
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(error.kind), 6);
    assert!(error.meaning.contains("no key was created"), "{error:?}");
    assert_eq!(unresolved_count(&services), 0);
}

#[test]
fn cancelling_during_a_rate_limit_ends_immediately() {
    let server = Server::new(vec![Reply::RateLimited("30")]);
    let began = std::time::Instant::now();
    let services = services(&server.url);
    let (outcome, _) = provision_with(
        &request("x"),
        AuthMethod::Browser,
        &services,
        |event, _, cancel| {
            if matches!(event, ProvisioningEvent::Notice(text) if text.contains("too many requests"))
            {
                cancel.send_replace(true);
            }
        },
    );
    assert_eq!((exit_code(failed(outcome).kind), server.exchange_count()), (5, 1));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(unresolved_count(&services), 0);
}

#[test]
fn redirects_are_not_followed_with_credentials() {
    let second = Server::new(vec![Reply::key("sk-or-v1-stolen")]);
    let server = Server::new(vec![Reply::Redirect(format!("{}/api/v1/auth/keys", second.url))]);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(error.advice.contains("redirects are not followed"), "{error:?}");
    assert_eq!((server.exchange_count(), second.exchange_count()), (1, 0));
}

#[test]
fn request_is_retried_after_a_lost_response() {
    let server = Server::new(vec![Reply::Close, Reply::key("sk-or-v1-late")]);
    let (_, key) =
        stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!((key.expose_secret(), server.exchange_count()), ("sk-or-v1-late", 2));
    let server = Server::new(vec![Reply::RateLimited("0"), Reply::key("sk-or-v1-late")]);
    stored(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert_eq!(server.exchange_count(), 2);
}

#[test]
fn received_key_is_stored_whatever_else_the_response_contains() {
    let large =
        format!(r#"{{"key":"sk-or-v1-large","user_id":null,"pad":"{}"}}"#, "x".repeat(2_000_000));
    for (body, expected) in [
        (r#"{"key":"sk-or-v1-plain","user_id":null}"#.to_owned(), "sk-or-v1-plain"),
        (r#"{"key":"of another shape","user_id":5}"#.to_owned(), "of another shape"),
        (r#"{"key":"a\u0007b\u001b[2Jc"}"#.to_owned(), "a\u{7}b\u{1b}[2Jc"),
        (r#"{"key":"sk-or-v1-truncated","user_i"#.to_owned(), "sk-or-v1-truncated"),
        (large, "sk-or-v1-large"),
    ] {
        let server = Server::new(vec![Reply::Response(200, "application/json", body)]);
        let services = services(&server.url);
        let (stored_key, key) =
            stored(provision_key(&request("x"), AuthMethod::Browser, &services).0);
        assert_eq!(key.expose_secret(), expected);
        assert!(stored_key.masked.chars().all(|c| !c.is_control()), "{}", stored_key.masked);
        let entry = services.entry_id("x");
        assert_eq!(services.secret_store.get(&entry, TIMEOUT).unwrap().expose_secret(), expected);
        assert_eq!(server.exchange_count(), 1);
    }
}

#[test]
fn unexpected_success_response_is_kept_in_the_secret_store() {
    let server = Server::new(vec![Reply::Response(200, "text/plain", "here: sk-or-v1-odd".into())]);
    let services = services(&server.url);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    let account =
        services.secret_store.list_accounts("keywright-attempts", TIMEOUT).unwrap().remove(0);
    assert!(error.meaning.contains(&account), "{error:?}");
    let entry = EntryId { service: "keywright-attempts".into(), account };
    let saved = services.secret_store.get(&entry, TIMEOUT).unwrap();
    assert_eq!(saved.expose_secret(), "here: sk-or-v1-odd");
}

#[test]
fn server_messages_that_repeat_a_secret_are_not_shown() {
    let error = r#"{"error":{"code":403,"message":"Invalid code the-code"}}"#;
    let server = Server::new(vec![Reply::Response(403, "application/json", error.into())]);
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services(&server.url)).0);
    assert!(error.message.contains("answered 403"), "{error:?}");
    assert!(!error.message.contains("the-code"), "{error:?}");
}
