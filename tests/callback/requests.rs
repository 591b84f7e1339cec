//! Which requests count: host, query, method and purpose.

use crate::support::Waiting;

// --- No DNS rebinding

#[test]
fn the_host_must_be_127_0_0_1_with_the_port_exactly_once() {
    let waiting = Waiting::new();
    let (port, path) = (waiting.port, &waiting.path);
    let hosts = |lines: &str| waiting.say(format!("GET {path}?code=x HTTP/1.1\r\n{lines}\r\n"));
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
        assert_eq!(hosts(&format!("Host: {host}\r\n")).status, 421, "{host}");
    }
    assert_eq!(hosts("").status, 421);
    let right = format!("Host: 127.0.0.1:{port}\r\n");
    assert_eq!(hosts(&right.repeat(2)).status, 400);
    assert_eq!(hosts(&format!("{right}Host: evil.example\r\n")).status, 400);
    for target in [
        format!("http://evil.example{path}?code=x"),
        format!("https://127.0.0.1:{port}{path}?code=x"),
        format!("http://me@127.0.0.1:{port}{path}?code=x"),
    ] {
        assert_eq!(waiting.say(waiting.head(&target, &[])).status, 400, "{target}");
    }
    assert!(waiting.is_still_waiting());
    let absolute = format!("http://127.0.0.1:{port}{path}?code=absolute");
    assert_eq!(waiting.say(waiting.head(&absolute, &[])).status, 200);
    assert_eq!(waiting.answer(), "code absolute");
}

// --- Refusals

#[test]
fn an_error_counts_only_with_the_right_nonce() {
    let waiting = Waiting::new();
    let wrong = waiting.head("/callback/WRONG?error=access_denied", &[]);
    assert_eq!(waiting.say(wrong).status, 404);
    assert!(waiting.is_still_waiting());
    let page = waiting.get("?error=access_denied");
    assert_eq!(page.status, 200);
    assert_eq!(waiting.get("?error=access_denied"), page);
    assert_eq!(waiting.get("?code=late").status, 409);
    assert_eq!(waiting.answer(), "refused None");
}

#[test]
fn the_words_of_a_refusal_are_made_safe_for_a_terminal() {
    for (query, words) in [
        (
            "error=access_denied&error_description=No+thanks%1b%5B2J%E2%80%AE",
            "Some(\"No thanks[2J\")",
        ),
        ("error=access_denied&error_description=%1b", "None"),
        ("error=server_error", "Some(\"server_error\")"),
        ("error=server_error&error_description=", "Some(\"server_error\")"),
    ] {
        let waiting = Waiting::new();
        assert_eq!(waiting.get(&format!("?{query}")).status, 200);
        assert_eq!(waiting.answer(), format!("refused {words}"));
    }
    let waiting = Waiting::new();
    waiting.get(&format!("?error=x&error_description={}", "long".repeat(500)));
    assert!(waiting.answer().len() < 230);
}

// --- What a code may be

#[test]
fn a_missing_empty_repeated_or_odd_code_gets_400_and_the_wait_goes_on() {
    let waiting = Waiting::new();
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
        assert_eq!(waiting.get(query).status, 400, "{query}");
    }
    waiting.succeeds();
}

#[test]
fn a_code_is_opaque_and_percent_decoded() {
    let longest = "c".repeat(512);
    for (query, code) in [
        ("?code=!%22%23%24%25%26'()*%2B,-./~", "!\"#$%&'()*+,-./~"),
        ("?lang=en&code=x%3D%3D&user=1", "x=="),
        ("?code=c", "c"),
        (&format!("?code={longest}"), &longest),
    ] {
        let waiting = Waiting::new();
        assert_eq!(waiting.get(query).status, 200, "{query}");
        assert_eq!(waiting.answer(), format!("code {code}"));
    }
}

#[test]
fn a_state_that_comes_back_must_be_the_nonce() {
    let waiting = Waiting::new();
    let nonce = waiting.nonce();
    for state in ["WRONG", "", &nonce[..42], &format!("{nonce}&state={nonce}")] {
        assert_eq!(waiting.get(&format!("?code=x&state={state}")).status, 400, "{state}");
        assert_eq!(waiting.get(&format!("?error=x&state={state}")).status, 400, "{state}");
    }
    assert!(waiting.is_still_waiting());
    assert_eq!(waiting.get(&format!("?code=x&state={nonce}")).status, 200);
    assert_eq!(waiting.answer(), "code x");
}

// --- GET only

#[test]
fn every_method_but_get_gets_405_and_no_cors() {
    let waiting = Waiting::new();
    let target = format!("{}?code=x", waiting.path);
    let cors = ["Origin: https://evil.example", "Access-Control-Request-Method: GET"];
    for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PATCH", "BREW", "get"] {
        let reply = waiting.say(waiting.head_of(method, &target, &cors));
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("GET"));
        assert_eq!(reply.body.is_empty(), method == "HEAD");
    }
    waiting.succeeds();
}

// --- Navigations only

#[test]
fn a_prefetch_or_a_load_that_is_no_document_gets_403() {
    let waiting = Waiting::new();
    let target = format!("{}?code=x", waiting.path);
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
        assert_eq!(waiting.say(waiting.head(&target, &[line])).status, 403, "{line}");
    }
    assert!(waiting.is_still_waiting());
    let browser =
        ["Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: cross-site"];
    assert_eq!(waiting.say(waiting.head(&target, &browser)).status, 200);
    assert_eq!(waiting.answer(), "code x");
}
