//! Faults of the server, a proxy or the network during the exchange: the error message of the real
//! program for each, and how often the code was sent, counted at the server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "faults/connection_settings.rs"]
mod connection_settings;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How the server treats a connection.
#[derive(Clone)]
enum Behavior {
    /// Resets it before reading any byte of the request.
    ResetUnread,
    /// Resets it after reading all but the last byte of the request.
    ResetRead,
    /// Sends these bytes after reading the request.
    Send(Vec<u8>),
    /// Sends these bytes, one every 50 ms.
    SendSlowly(&'static str),
    /// Sends this head and an endless body.
    Endless(&'static str),
}

/// How the client connects to the server.
#[derive(Clone, Copy)]
enum Transport {
    Plain,
    /// TLS with this certificate and these ALPN protocols.
    Tls(&'static str, &'static [&'static str]),
    /// The server is a proxy for another server.
    Proxy,
    /// No server listens.
    Closed,
}

/// What the server received.
#[derive(Default)]
struct Counters {
    connections: AtomicUsize,
    codes: AtomicUsize,
    written: AtomicUsize,
}

fn certificate_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls")
}

fn serve(transport: Transport, behavior: Behavior) -> (u16, Arc<Counters>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let counters: Arc<Counters> = Arc::default();
    if matches!(transport, Transport::Closed) {
        return (port, counters);
    }
    let shared = Arc::clone(&counters);
    let config = match transport {
        Transport::Tls(certificate, protocols) => Some(config(certificate, protocols)),
        Transport::Plain | Transport::Proxy | Transport::Closed => None,
    };
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (behavior, counters, config) =
                (behavior.clone(), Arc::clone(&shared), config.clone());
            counters.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || match config {
                None => respond(socket, &behavior, &counters),
                Some(config) => {
                    let session = ServerConnection::new(config).unwrap();
                    respond_over(StreamOwned::new(session, socket), &behavior, &counters);
                }
            });
        }
    });
    (port, counters)
}

fn config(certificate: &str, protocols: &[&str]) -> Arc<ServerConfig> {
    let file = certificate_dir().join(format!("{certificate}.pem"));
    let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A socket that is closed with unread bytes is reset.
fn respond(socket: TcpStream, behavior: &Behavior, counters: &Counters) {
    match behavior {
        Behavior::ResetUnread => drop(socket.peek(&mut [0])),
        Behavior::ResetRead => {
            let mut seen = vec![0; 16 * 1024];
            loop {
                let available = socket.peek(&mut seen).unwrap_or(0);
                let text = String::from_utf8_lossy(&seen[..available]);
                if available == 0 || text.ends_with('}') {
                    record_request(&text, counters);
                    let mut all_but_one = vec![0; available.saturating_sub(1)];
                    let _ = (&socket).read_exact(&mut all_but_one);
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Behavior::Send(_) | Behavior::SendSlowly(_) | Behavior::Endless(_) => {
            respond_over(socket, behavior, counters);
        }
    }
}

fn record_request(request: &str, counters: &Counters) {
    let sent = request.contains("the-code");
    counters.codes.fetch_add(usize::from(sent), Ordering::SeqCst);
}

fn respond_over(mut stream: impl Read + Write, behavior: &Behavior, counters: &Counters) {
    let Some(request) = read_request(&mut stream) else { return };
    record_request(&request, counters);
    match behavior {
        Behavior::Send(bytes) => drop(stream.write_all(bytes)),
        Behavior::SendSlowly(text) => {
            for byte in text.bytes() {
                if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Behavior::Endless(head) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[0; 4096]).is_ok() {
                counters.written.fetch_add(4096, Ordering::SeqCst);
            }
        }
        Behavior::ResetUnread | Behavior::ResetRead => {}
    }
    let _ = stream.flush();
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    loop {
        let before = request.len();
        reader.read_line(&mut request).ok()?;
        match request.len() - before {
            0 => return None,
            1 | 2 => break,
            _ => {}
        }
    }
    let lower = request.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    match reader.read_exact(&mut body) {
        Ok(()) => Some(request + &String::from_utf8_lossy(&body)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
        Err(_) => None,
    }
}

/// Runs `new` and pastes a code. Returns the exit code and the error message.
fn create_key(port: u16, transport: Transport) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let server = match transport {
        Transport::Plain | Transport::Closed => format!("http://127.0.0.1:{port}"),
        Transport::Tls(..) => format!("https://localhost:{port}"),
        Transport::Proxy => "https://keywright.invalid".into(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command
        .args(["--server", &server, "--store", "memory", "--timeout", "1", "--retries", "2"])
        .args(["new", "laptop", "--no-browser"])
        .env_clear()
        .env("HOME", home.path())
        .env("KEYWRIGHT_DATA_DIR", home.path().join("data"))
        .env("SSL_CERT_FILE", certificate_dir().join("trusted.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if matches!(transport, Transport::Proxy) {
        command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
    }
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "the-code").unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let message = stderr.rsplit("keywright: ").next().unwrap();
    // The account name of a saved response differs each time.
    let (message, name) = message.split_once("username ").unwrap_or((message, ""));
    let rest = name.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let name = if name.is_empty() { "" } else { "username …" };
    let message = format!("{message}{name}{rest}").replace(&format!(":{port}"), ":PORT");
    (output.status.code().unwrap(), message.trim().to_owned())
}

fn whole(head: &str, body: &str) -> Behavior {
    let length = body.len();
    Behavior::Send(
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes(),
    )
}

fn raw(text: &str) -> Behavior {
    Behavior::Send(text.as_bytes().to_vec())
}

fn raw_bytes(bytes: &[u8]) -> Behavior {
    Behavior::Send(bytes.to_vec())
}

/// A compressed response, with or without the header that says so.
fn gzip(is_declared: bool, body: &str) -> Behavior {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body.as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let coding = if is_declared { "Content-Encoding: gzip\r\n" } else { "" };
    let head = format!("HTTP/1.1 200 OK\r\n{coding}Content-Length: {}\r\n\r\n", body.len());
    Behavior::Send([head.as_bytes(), &body].concat())
}

const DUPLICATE_NAMES: &str = "{\"key\":\"sk-or-v1-x\",\"user_id\":\"a\",\"user_id\":\"b\",\"key\":\"sk-or-v1-x\",\"limit\":null}";
const KEY: &str = "{\"key\":\"sk-or-v1-x\",\"limit\":null}";
const HTTP_1: &[&str] = &["http/1.1"];

/// A SETTINGS and a GOAWAY frame: the response of a server that supports only HTTP/2.
const HTTP_2: &str = "\0\0\0\u{4}\0\0\0\0\0\0\0\u{8}\u{7}\0\0\0\0\0\0\0\0\0\0\0\0\u{1}";

#[test]
fn each_exchange_fault_has_its_own_message_and_a_limited_number_of_sent_codes() {
    let padding = "x".repeat(64 * 1024);
    let late_key = format!("{{\"pad\":\"{padding}\",\"key\":\"sk-or-v1-x\"}}");
    let (other_port, other_counters) = serve(Transport::Plain, whole("200 OK", KEY));
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{other_port}/api/v1/auth/keys\r\nContent-Length: 0\r\n\r\n"
    );
    let endless =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n\r\n\u{1f}";
    // Fault, transport, behavior, expected connections and expected codes.
    let faults: Vec<(&str, Transport, Behavior, usize, usize)> = vec![
        ("connection refused", Transport::Closed, raw(""), 0, 0),
        ("reset before the request is read", Transport::Plain, Behavior::ResetUnread, 3, 0),
        ("reset after the request is read", Transport::Plain, Behavior::ResetRead, 3, 3),
        ("closed without a response", Transport::Plain, raw(""), 3, 3),
        ("truncated head", Transport::Plain, raw("HTTP/1.1 200 O"), 3, 3),
        (
            "truncated body",
            Transport::Plain,
            raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"ke"),
            3,
            3,
        ),
        (
            "one byte at a time",
            Transport::Plain,
            Behavior::SendSlowly(
                "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"key\":\"sk-or-v1-x\"}",
            ),
            3,
            3,
        ),
        ("compressed response", Transport::Plain, gzip(true, KEY), 2, 1),
        ("compressed response that is not declared", Transport::Plain, gzip(false, KEY), 2, 1),
        ("compressed response in an unknown coding", Transport::Plain, raw_bytes(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\n\x8b\xff\x00\x80",
        ), 1, 1),
        ("duplicate names", Transport::Plain, whole("200 OK", DUPLICATE_NAMES), 2, 1),
        ("200 with HTML", Transport::Plain, whole("200 OK", "<html>welcome"), 1, 1),
        ("key after the first 64 KiB", Transport::Plain, whole("200 OK", &late_key), 1, 1),
        ("endless compressed response", Transport::Plain, Behavior::Endless(endless), 1, 1),
        ("redirect to another host", Transport::Plain, raw(&redirect), 1, 1),
        ("HTTP/2 only", Transport::Plain, raw(HTTP_2), 3, 3),
        ("HTTP/2 only, over TLS", Transport::Tls("good", &["h2"]), whole("200 OK", KEY), 3, 0),
        (
            "certificate for another name",
            Transport::Tls("wrong-name", HTTP_1),
            whole("200 OK", KEY),
            1,
            0,
        ),
        (
            "certificate from an unknown issuer",
            Transport::Tls("unknown-issuer", HTTP_1),
            whole("200 OK", KEY),
            1,
            0,
        ),
        ("expired certificate", Transport::Tls("expired", HTTP_1), whole("200 OK", KEY), 1, 0),
        // The second connection asks the proxy for the reason.
        (
            "proxy that requires a password",
            Transport::Proxy,
            whole("407 Proxy Authentication Required", ""),
            2,
            0,
        ),
        (
            "proxy that requires NTLM",
            Transport::Proxy,
            raw("HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"),
            2,
            0,
        ),
        ("proxy that forbids the server", Transport::Proxy, whole("403 Forbidden", "no"), 2, 0),
        ("proxy without a way to the server", Transport::Proxy, whole("502 Bad", ""), 6, 0),
        ("proxy that is none", Transport::Proxy, whole("405 No", "<html>"), 2, 0),
        ("proxy that closes the connection", Transport::Proxy, raw(""), 3, 0),
        // The valid certificate, for comparison.
        ("no fault", Transport::Tls("good", HTTP_1), whole("200 OK", KEY), 2, 1),
    ];
    let rows: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = faults
            .into_iter()
            .map(|(name, transport, behavior, connections, codes)| {
                scope.spawn(move || {
                    let (port, counters) = serve(transport, behavior);
                    let (code, message) = create_key(port, transport);
                    let get = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
                    let received = (get(&counters.connections), get(&counters.codes));
                    assert!(
                        get(&counters.written) < 8 * 1024 * 1024,
                        "{name}: read without a limit"
                    );
                    (name, (connections, codes), received, code, message)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut table = String::new();
    for (name, _, (connections, codes), code, message) in &rows {
        writeln!(table, "{name}\n  {connections} connections, {codes} codes, exit {code}").unwrap();
        // The message of a successful run is checked elsewhere.
        let certificates = certificate_dir();
        let message = message.replace(&*certificates.to_string_lossy(), "tests/tls");
        for line in message.lines().filter(|_| *code != 0) {
            writeln!(table, "  > {line}").unwrap();
        }
    }
    for (name, expected, received, code, message) in &rows {
        assert_eq!(expected, received, "{name}: connections and codes\n{table}");
        assert!(!message.contains("the-code"), "{name}: {message}");
        assert!(!message.contains("sk-or-v1-x\""), "{name}: {message}");
        // The message states whether a key may have been created.
        let states_outcome = match code {
            0 => true,
            7 => message.contains("may have been created") || message.contains("contains no key"),
            _ => message.contains("no key was created"),
        };
        assert!(states_outcome, "{name}: {message}");
    }
    assert_eq!(other_counters.connections.load(Ordering::SeqCst), 0, "a redirect was followed");
    insta::assert_snapshot!(table);
}
