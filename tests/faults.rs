//! What a server, a proxy or a stranger between can do to the exchange: what the person reads for
//! each, in the real program, and how often the code was sent, counted where it arrives.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

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

/// What becomes of a connection.
#[derive(Clone)]
enum Fate {
    /// Reset before a byte of the request is read.
    ResetUnread,
    /// Reset when the request has come, all but its last byte.
    ResetRead,
    /// These bytes, once the request was read.
    Say(Vec<u8>),
    /// These bytes, one every 50 ms.
    Dribble(&'static str),
    /// This head, and a body without an end.
    Endless(&'static str),
}

/// How the server is reached.
#[derive(Clone, Copy)]
enum Road {
    Plain,
    /// TLS with that certificate, and these protocols (ALPN).
    Tls(&'static str, &'static [&'static str]),
    /// It is a proxy on the way to another server.
    Proxy,
    /// Nobody listens.
    Nobody,
}

/// What arrived at the server.
#[derive(Default)]
struct Count {
    connections: AtomicUsize,
    codes: AtomicUsize,
    written: AtomicUsize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls")
}

fn serve(road: Road, fate: Fate) -> (u16, Arc<Count>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count: Arc<Count> = Arc::default();
    if matches!(road, Road::Nobody) {
        return (port, count);
    }
    let counted = Arc::clone(&count);
    let config = match road {
        Road::Tls(certificate, protocols) => Some(config(certificate, protocols)),
        Road::Plain | Road::Proxy | Road::Nobody => None,
    };
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (fate, count, config) = (fate.clone(), Arc::clone(&counted), config.clone());
            count.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || match config {
                None => answer(socket, &fate, &count),
                Some(config) => {
                    let session = ServerConnection::new(config).unwrap();
                    answer_over(StreamOwned::new(session, socket), &fate, &count);
                }
            });
        }
    });
    (port, count)
}

fn config(certificate: &str, protocols: &[&str]) -> Arc<ServerConfig> {
    let file = folder().join(format!("{certificate}.pem"));
    let chain = vec![CertificateDer::from_pem_file(&file).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&file).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A socket that is closed on bytes it did not read is reset.
fn answer(socket: TcpStream, fate: &Fate, count: &Count) {
    match fate {
        Fate::ResetUnread => drop(socket.peek(&mut [0])),
        Fate::ResetRead => {
            let mut seen = vec![0; 16 * 1024];
            loop {
                let there = socket.peek(&mut seen).unwrap_or(0);
                let text = String::from_utf8_lossy(&seen[..there]);
                if there == 0 || text.ends_with('}') {
                    note(&text, count);
                    let mut most = vec![0; there.saturating_sub(1)];
                    let _ = (&socket).read_exact(&mut most);
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        Fate::Say(_) | Fate::Dribble(_) | Fate::Endless(_) => answer_over(socket, fate, count),
    }
}

fn note(request: &str, count: &Count) {
    let sent = request.contains("the-code");
    count.codes.fetch_add(usize::from(sent), Ordering::SeqCst);
}

fn answer_over(mut stream: impl Read + Write, fate: &Fate, count: &Count) {
    let Some(request) = read_request(&mut stream) else { return };
    note(&request, count);
    match fate {
        Fate::Say(bytes) => drop(stream.write_all(bytes)),
        Fate::Dribble(text) => {
            for byte in text.bytes() {
                if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        Fate::Endless(head) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[0; 4096]).is_ok() {
                count.written.fetch_add(4096, Ordering::SeqCst);
            }
        }
        Fate::ResetUnread | Fate::ResetRead => {}
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

/// Runs `new`, with a person who pastes a code; its exit code, and its last words.
fn cut(port: u16, road: Road) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let server = match road {
        Road::Plain | Road::Nobody => format!("http://127.0.0.1:{port}"),
        Road::Tls(..) => format!("https://localhost:{port}"),
        Road::Proxy => "https://keywright.invalid".into(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command
        .args(["--server", &server, "--store", "memory", "--timeout", "1", "--retries", "2"])
        .args(["new", "laptop", "--no-browser"])
        .env_clear()
        .env("HOME", home.path())
        .env("KEYWRIGHT_DATA_DIR", home.path().join("data"))
        .env("SSL_CERT_FILE", folder().join("trusted.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if matches!(road, Road::Proxy) {
        command.env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
    }
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "the-code").unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    let last = words.rsplit("keywright: ").next().unwrap();
    // The name under which an answer is kept is another one each time.
    let (last, name) = last.split_once("username ").unwrap_or((last, ""));
    let rest = name.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    let name = if name.is_empty() { "" } else { "username …" };
    (output.status.code().unwrap(), format!("{last}{name}{rest}").trim().to_owned())
}

fn whole(head: &str, body: &str) -> Fate {
    let length = body.len();
    Fate::Say(format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

fn raw(text: &str) -> Fate {
    Fate::Say(text.as_bytes().to_vec())
}

const KEY: &str = "{\"key\":\"sk-or-v1-x\",\"limit\":null}";
const HTTP_1: &[&str] = &["http/1.1"];

/// A frame of settings and a goodbye: all that a server says that speaks HTTP/2 alone.
const HTTP_2: &str = "\0\0\0\u{4}\0\0\0\0\0\0\0\u{8}\u{7}\0\0\0\0\0\0\0\0\0\0\0\0\u{1}";

#[test]
fn each_fault_of_the_exchange_has_its_own_sentence_and_sends_no_code_too_often() {
    let padding = "x".repeat(64 * 1024);
    let late = format!("{{\"pad\":\"{padding}\",\"key\":\"sk-or-v1-x\"}}");
    let (second, seconds) = serve(Road::Plain, whole("200 OK", KEY));
    let elsewhere = format!(
        "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:{second}/api/v1/auth/keys\r\nContent-Length: 0\r\n\r\n"
    );
    let endless =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json\r\n\r\n\u{1f}";
    // What happens, on which road, connections and codes that arrive.
    let faults: Vec<(&str, Road, Fate, usize, usize)> = vec![
        ("refused", Road::Nobody, raw(""), 0, 0),
        ("reset before the request is read", Road::Plain, Fate::ResetUnread, 3, 0),
        ("reset after the request is read", Road::Plain, Fate::ResetRead, 3, 3),
        ("nothing, and the end", Road::Plain, raw(""), 3, 3),
        ("cut off in the head", Road::Plain, raw("HTTP/1.1 200 O"), 3, 3),
        (
            "cut off in the body",
            Road::Plain,
            raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"ke"),
            3,
            3,
        ),
        (
            "slow by the byte",
            Road::Plain,
            Fate::Dribble("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"key\":\"sk-or-v1-x\"}"),
            3,
            3,
        ),
        ("200 with nonsense", Road::Plain, whole("200 OK", "<html>welcome"), 1, 1),
        ("64 KiB and the key behind them", Road::Plain, whole("200 OK", &late), 1, 1),
        ("a compressed answer without an end", Road::Plain, Fate::Endless(endless), 1, 1),
        ("redirect to another host", Road::Plain, raw(&elsewhere), 1, 1),
        ("HTTP/2 alone", Road::Plain, raw(HTTP_2), 3, 3),
        ("HTTP/2 alone, over TLS", Road::Tls("good", &["h2"]), whole("200 OK", KEY), 3, 0),
        ("TLS of the wrong name", Road::Tls("wrong-name", HTTP_1), whole("200 OK", KEY), 1, 0),
        (
            "TLS of an unknown issuer",
            Road::Tls("unknown-issuer", HTTP_1),
            whole("200 OK", KEY),
            1,
            0,
        ),
        ("TLS that has expired", Road::Tls("expired", HTTP_1), whole("200 OK", KEY), 1, 0),
        (
            "a proxy that wants a password",
            Road::Proxy,
            whole("407 Proxy Authentication Required", ""),
            3,
            0,
        ),
        // What the certificates are wrong beside.
        ("nothing is wrong", Road::Tls("good", HTTP_1), whole("200 OK", KEY), 2, 1),
    ];
    let rows: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = faults
            .into_iter()
            .map(|(name, road, fate, connections, codes)| {
                scope.spawn(move || {
                    let (port, count) = serve(road, fate);
                    let (code, words) = cut(port, road);
                    let arrived = |count: &AtomicUsize| count.load(Ordering::SeqCst);
                    let seen = (arrived(&count.connections), arrived(&count.codes));
                    assert!(arrived(&count.written) < 8 * 1024 * 1024, "{name}: all was read");
                    (name, (connections, codes), seen, code, words)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let mut table = String::new();
    for (name, _, (connections, codes), code, words) in &rows {
        let arrived = format!("{connections} connections, {codes} codes");
        writeln!(table, "{name}\n  {arrived}, exit {code}").unwrap();
        // What is said when nothing is wrong is another test's.
        for line in words.replace(" (os error 111)", "").lines().filter(|_| *code != 0) {
            writeln!(table, "  > {line}").unwrap();
        }
    }
    for (name, expected, seen, code, words) in &rows {
        assert_eq!(expected, seen, "{name}: connections and codes\n{table}");
        assert!(!words.contains("the-code") && !words.contains("sk-or-v1-x\""), "{name}: {words}");
        // What may have been created says so, and how; what cannot have been says that.
        let told = match code {
            0 => true,
            7 => words.contains("may have been created") || words.contains("contains no key"),
            _ => words.contains("no key was created"),
        };
        assert!(told, "{name}: {words}");
    }
    assert_eq!(seconds.connections.load(Ordering::SeqCst), 0, "a redirect was followed");
    insta::assert_snapshot!(table);
}
