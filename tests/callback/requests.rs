//! Which requests are valid: host, query, method and fetch metadata.

use crate::support::Listener;

// --- No DNS rebinding

#[test]
fn host_must_be_127_0_0_1_with_the_port_exactly_once() {
    let listener = Listener::new();
    let (port, path) = (listener.port, &listener.path);
    let send_with =
        |lines: &str| listener.send(format!("GET {path}?code=x HTTP/1.1\r\n{lines}\r\n"));
    for host in [
        format!("localhost:{port}"),
        String::from("127.0.0.1"),
        format!("127.0.0.1:{}", port - 1),
        format!("127.0.0.1:0{port}"),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.1:{port}, evil.example"),
        format!("[::1]:{port}"),
        String::new(),
    ] {
        assert_eq!(send_with(&format!("Host: {host}\r\n")).status, 421, "{host}");
    }
    assert_eq!(send_with("").status, 421);
    let valid_host = format!("Host: 127.0.0.1:{port}\r\n");
    assert_eq!(send_with(&valid_host.repeat(2)).status, 400);
    assert_eq!(send_with(&format!("{valid_host}Host: evil.example\r\n")).status, 400);
    for target in [
        format!("http://evil.example{path}?code=x"),
        format!("https://127.0.0.1:{port}{path}?code=x"),
        format!("http://me@127.0.0.1:{port}{path}?code=x"),
    ] {
        assert_eq!(listener.send(listener.request(&target, &[])).status, 400, "{target}");
    }
    assert!(listener.has_no_response());
    let absolute = format!("http://127.0.0.1:{port}{path}?code=absolute");
    assert_eq!(listener.send(listener.request(&absolute, &[])).status, 200);
    assert_eq!(listener.response(), "code absolute");
}

// --- Error responses

#[test]
fn error_response_requires_the_nonce() {
    let listener = Listener::new();
    let request = listener.request("/callback/WRONG?error=access_denied", &[]);
    assert_eq!(listener.send(request).status, 404);
    assert!(listener.has_no_response());
    let page = listener.get("?error=access_denied");
    assert_eq!(page.status, 200);
    assert_eq!(listener.get("?error=access_denied"), page);
    assert_eq!(listener.get("?code=late").status, 409);
    assert_eq!(listener.response(), "denied None");
}

#[test]
fn error_description_is_sanitized_for_a_terminal() {
    for (query, expected) in [
        (
            "error=access_denied&error_description=No+thanks%1b%5B2J%E2%80%AE",
            "Some(\"No thanks[2J\")",
        ),
        ("error=access_denied&error_description=%1b", "None"),
        ("error=server_error", "Some(\"server_error\")"),
        ("error=server_error&error_description=", "Some(\"server_error\")"),
    ] {
        let listener = Listener::new();
        assert_eq!(listener.get(&format!("?{query}")).status, 200);
        assert_eq!(listener.response(), format!("denied {expected}"));
    }
    let listener = Listener::new();
    listener.get(&format!("?error=x&error_description={}", "long".repeat(500)));
    assert!(listener.response().len() < 230);
}

// --- Valid codes

#[test]
fn invalid_code_gets_400_and_has_no_effect() {
    let listener = Listener::new();
    for query in [
        "",
        "?",
        "?code",
        "?code=",
        "?Code=x",
        "?code=x&code=x",
        "?code=x&%63ode=y",
        "?code=&code=x",
        "?code=x&error=access_denied",
        "?code=x&error=",
        "?error=",
        "?error=a&error=b",
        "?code=a+b",
        "?code=a%20b",
        "?code=a%00",
        "?code=a%0d%0aX:y",
        "?code=a%7f",
        "?code=%C3%A9",
        "?code=%ff",
        &format!("?code={}", "c".repeat(513)),
    ] {
        assert_eq!(listener.get(query).status, 400, "{query}");
    }
    listener.assert_accepts_code();
}

#[test]
fn code_is_opaque_and_percent_decoded() {
    let longest = "c".repeat(512);
    for (query, code) in [
        ("?code=!%22%23%24%25%26'()*%2B,-./~", "!\"#$%&'()*+,-./~"),
        ("?lang=en&code=x%3D%3D&user=1", "x=="),
        ("?code=c", "c"),
        (&format!("?code={longest}"), &longest),
    ] {
        let listener = Listener::new();
        assert_eq!(listener.get(query).status, 200, "{query}");
        assert_eq!(listener.response(), format!("code {code}"));
    }
}

#[test]
fn returned_state_must_match_the_nonce() {
    let listener = Listener::new();
    let nonce = listener.nonce();
    for state in ["WRONG", "", &nonce[..42], &format!("{nonce}&state={nonce}")] {
        assert_eq!(listener.get(&format!("?code=x&state={state}")).status, 400, "{state}");
        assert_eq!(listener.get(&format!("?error=x&state={state}")).status, 400, "{state}");
    }
    assert!(listener.has_no_response());
    assert_eq!(listener.get(&format!("?code=x&state={nonce}")).status, 200);
    assert_eq!(listener.response(), "code x");
}

// --- GET only

#[test]
fn methods_other_than_get_get_405_without_cors_headers() {
    let listener = Listener::new();
    let target = format!("{}?code=x", listener.path);
    let cors = ["Origin: https://evil.example", "Access-Control-Request-Method: GET"];
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PATCH", "BREW", "get"] {
        let reply = listener.send(listener.request_with_method(method, &target, &cors));
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("GET"));
        assert_eq!(reply.body.is_empty(), method == "HEAD");
    }
    listener.assert_accepts_code();
}

// --- Navigations only

#[test]
fn prefetch_and_subresource_requests_get_403() {
    let listener = Listener::new();
    let target = format!("{}?code=x", listener.path);
    for line in [
        "Sec-Purpose: prefetch",
        "Sec-Purpose: prefetch;prerender",
        "sec-purpose: Prefetch;anonymous-client-ip",
        "Purpose: prefetch",
        "X-Purpose: preview",
        "X-Moz: prefetch",
        "Sec-Fetch-Dest: image",
        "Sec-Fetch-Dest: iframe",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Dest: ",
        "Sec-Fetch-Dest: document\r\nSec-Fetch-Dest: image",
    ] {
        assert_eq!(listener.send(listener.request(&target, &[line])).status, 403, "{line}");
    }
    assert!(listener.has_no_response());
    let browser =
        ["Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"];
    assert_eq!(listener.send(listener.request(&target, &browser)).status, 200);
    assert_eq!(listener.response(), "code x");
}
