//! Tests of the sandbox over raw sockets, independent of Keywright's own client.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use keywright::sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use url::Url;

#[path = "sandbox/account.rs"]
mod account;
#[path = "sandbox/consent.rs"]
mod consent;
#[path = "sandbox/keys.rs"]
mod keys;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const WORKSPACE: &str = "0df9e665-d932-5740-b2c7-b52af166bc11";

fn sandbox() -> Sandbox {
    Sandbox::start(&Options { port: 0, key_count: 4 }).unwrap()
}

struct Response {
    status: u16,
    head: BTreeMap<String, String>,
    body: String,
}

impl Response {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns the status and message of an error.
    fn error(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json["error"]["code"], self.status);
        (self.status, json["error"]["message"].as_str().unwrap().to_owned())
    }
}

fn raw(sandbox: &Sandbox, request: &str) -> Response {
    let mut socket = TcpStream::connect(sandbox.url().trim_start_matches("http://")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let head = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Response { status, head, body: body.to_owned() }
}

fn call(sandbox: &Sandbox, method: &str, target: &str, token: &str, body: &str) -> Response {
    let bearer =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length = body.len();
    raw(
        sandbox,
        &format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{bearer}\
             HTTP-Referer: https://example.com\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(sandbox: &Sandbox, code: &str) -> Response {
    let body = json!({ "code": code, "code_verifier": VERIFIER, "code_challenge_method": "S256" });
    call(sandbox, "POST", "/api/v1/auth/keys", "", &body.to_string())
}

fn auth_url(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://sandbox/auth").unwrap();
    url.query_pairs_mut().extend_pairs(pairs);
    format!("/auth?{}", url.query().unwrap())
}

#[test]
fn account_starts_with_four_keys_in_different_states() {
    let sandbox = sandbox();
    let seeds = sandbox.seed_keys();
    let labels: Vec<_> = seeds.iter().map(|seed| &*seed.label).collect();
    assert_eq!(labels, ["laptop", "ci", "notebook", "agent"]);
    let get_key = |index: usize| call(&sandbox, "GET", "/api/v1/key", &seeds[index].secret, "");
    let remaining_share = |response: Response| {
        let data = response.json()["data"].take();
        data["limit_remaining"].as_f64().unwrap() / data["limit"].as_f64().unwrap()
    };
    assert!(remaining_share(get_key(0)) > 0.8);
    assert!(remaining_share(get_key(1)) < 0.05);
    assert_eq!(get_key(2).status, 401);
    assert_eq!(get_key(3).status, 200);
    let expiry = seeds[3].expires_at.unwrap();
    let days = expiry.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((1..7).contains(&days));
    assert_eq!(Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap().seed_keys().len(), 1);
}

#[test]
fn unknown_paths_get_404_and_wrong_methods_405() {
    let sandbox = sandbox();
    for target in ["/", "/nothing", "/api/v1/keys/a/b", "/api/v1/key/", "/auth/"] {
        assert_eq!(call(&sandbox, "GET", target, "", "").error().0, 404, "{target}");
    }
    for (method, target, allow) in [
        ("PUT", "/auth", "GET, POST"),
        ("GET", "/api/v1/auth/keys", "POST"),
        ("GET", "/api/v1/auth/keys/code", "POST"),
        ("POST", "/api/v1/key", "GET"),
        ("DELETE", "/api/v1/keys", "GET, POST"),
        ("POST", "/api/v1/keys/abc", "GET, PATCH, DELETE"),
        ("POST", "/logs", "GET"),
    ] {
        let response = call(&sandbox, method, target, "", "");
        assert_eq!(response.error().0, 405, "{method} {target}");
        assert_eq!(response.head["allow"], allow);
        assert!(response.head["date"].ends_with(" GMT"));
    }
}

#[test]
fn key_pages_are_served_as_html() {
    let sandbox = sandbox();
    let list = call(&sandbox, "GET", "/api/v1/keys", sandbox.management_key(), "").json();
    let hash = list["data"][0]["hash"].as_str().unwrap();
    for target in [format!("/keys/{hash}"), format!("/logs?api_key_hash={hash}")] {
        let page = call(&sandbox, "GET", &target, "", "");
        assert_eq!(page.status, 200);
        assert!(page.body.contains("<h1>laptop</h1>"));
    }
    for target in ["/keys/unknown", "/logs?api_key_hash=unknown", "/logs"] {
        assert_eq!(call(&sandbox, "GET", target, "", "").status, 404);
    }
}

#[test]
fn other_host_names_and_pages_of_other_sites_are_rejected() {
    let sandbox = sandbox();
    let host = sandbox.url().trim_start_matches("http://").to_owned();
    let send = |method: &str, target: &str, headers: &str| {
        let text = format!(
            "{method} {target} HTTP/1.1\r\nConnection: close\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        raw(&sandbox, &text).status
    };
    let own = format!("Host: {host}\r\n");
    let auth = "/auth?code_challenge=x";
    assert_eq!(send("GET", auth, &own), 200);
    assert_eq!(send("GET", auth, &format!("{own}Sec-Fetch-Site: cross-site\r\n")), 200);
    for headers in ["", "Host: attacker.example\r\n", &format!("{own}Host: attacker.example\r\n")] {
        assert_eq!(send("GET", auth, headers), 421, "{headers}");
    }
    for headers in ["Origin: https://attacker.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        for target in [auth, "/sandbox/clock", "/api/v1/auth/keys"] {
            assert_eq!(send("POST", target, &format!("{own}{headers}")), 403, "{target} {headers}");
        }
    }
}

#[test]
fn eight_clients_are_served_beside_four_slow_ones() {
    let sandbox = sandbox();
    let address = sandbox.url().trim_start_matches("http://");
    let slow_clients: Vec<_> = (0..4)
        .map(|_| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(b"POST /api/v1/keys HTTP/1.1\r\nContent-Length: 9\r\n\r\n{").unwrap();
            // One at a time: tiny_http queues a burst behind connections that have a thread.
            std::thread::sleep(Duration::from_millis(20));
            socket
        })
        .collect();
    std::thread::scope(|scope| {
        for seed in sandbox.seed_keys().into_iter().cycle().take(8) {
            let sandbox = &sandbox;
            scope.spawn(move || {
                for _ in 0..5 {
                    let status = call(sandbox, "GET", "/api/v1/key", &seed.secret, "").status;
                    assert_eq!(status, if seed.label == "notebook" { 401 } else { 200 });
                }
            });
        }
    });
    drop(slow_clients);
}

#[test]
fn oversized_bodies_are_rejected_and_the_sandbox_keeps_running() {
    let sandbox = sandbox();
    let oversized = "x".repeat(70_000);
    assert_eq!(call(&sandbox, "POST", "/api/v1/keys", "", &oversized).status, 413);
    let chunked = format!(
        "POST /api/v1/keys HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{oversized}\r\n0\r\n\r\n",
        oversized.len()
    );
    assert_eq!(raw(&sandbox, &chunked).status, 413);
    let mut socket = TcpStream::connect(sandbox.url().trim_start_matches("http://")).unwrap();
    socket.write_all(b"POST / HTTP/1.1\r\nContent-Length: 40000000000\r\n\r\n").unwrap();
    let mut start = [0; 12];
    socket.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    assert_eq!(call(&sandbox, "GET", "/nothing", "", "").status, 404);
}

#[test]
fn dropping_the_sandbox_closes_the_port() {
    let sandbox = sandbox();
    let address = sandbox.url().trim_start_matches("http://").to_owned();
    let key = sandbox.seed_keys()[0].secret.clone();
    assert_eq!(call(&sandbox, "GET", "/api/v1/key", &key, "").status, 200);
    drop(sandbox);
    let start = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(2), "the port is still open");
        std::thread::sleep(Duration::from_millis(5));
    }
}
