//! Proxies and certificates that the environment names: used as named, or refused before anything is
//! sent.

use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Counters, HTTP_1, Transport, certificate_dir, raw, serve, whole};

/// A key of the usual form.
const KEY: &str = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Serves TLS with a certificate for `elsewhere.example`, which only a proxy can reach.
fn serve_elsewhere() -> (u16, Arc<Counters>) {
    serve(Transport::Tls("wrong-name", HTTP_1), whole("401 Unauthorized", ""))
}

/// Starts a SOCKS proxy that connects every request to `port` on this machine. Returns its port and
/// the hosts it was asked for.
fn serve_socks(port: u16, password: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_port = listener.local_addr().unwrap().port();
    let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
    let shared = Arc::clone(&hosts);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let hosts = Arc::clone(&shared);
            thread::spawn(move || handle_socks(socket, port, password, &hosts));
        }
    });
    (own_port, hosts)
}

fn handle_socks(
    mut socket: TcpStream,
    port: u16,
    password: Option<&str>,
    hosts: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        socket.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    if read(1)? == [4] {
        // SOCKS4a: command, port, 0.0.0.x, user, host.
        read(7)?;
        let mut text = || {
            let mut text = Vec::new();
            loop {
                match read(1)?[0] {
                    0 => return String::from_utf8(text).ok(),
                    byte => text.push(byte),
                }
            }
        };
        text()?;
        hosts.lock().unwrap().push(text()?);
        socket.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).ok()?;
    } else {
        let count = read(1)?[0];
        let methods = read(count.into())?;
        let method = if password.is_some() { 2 } else { 0 };
        if !methods.contains(&method) {
            socket.write_all(&[5, 255]).ok()?;
            return None;
        }
        socket.write_all(&[5, method]).ok()?;
        if let Some(password) = password {
            let mut read = |count: usize| {
                let mut bytes = vec![0; count];
                socket.read_exact(&mut bytes).ok().map(|()| bytes)
            };
            let length = read(2)?[1];
            read(length.into())?;
            let length = read(1)?[0];
            let is_right = read(length.into())? == password.as_bytes();
            socket.write_all(&[1, u8::from(!is_right)]).ok()?;
            if !is_right {
                return None;
            }
        }
        let mut read = |count: usize| {
            let mut bytes = vec![0; count];
            socket.read_exact(&mut bytes).ok().map(|()| bytes)
        };
        let head = read(4)?;
        assert_eq!(head[3], 3, "the proxy resolves the name");
        let length = read(1)?[0];
        let host = read(length.into())?;
        read(2)?;
        hosts.lock().unwrap().push(String::from_utf8(host).unwrap());
        socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
    }
    let there = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let (mut from, mut to) = (socket.try_clone().ok()?, there.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut &there, &mut socket).ok().map(|_| ())
}

/// Runs the program for `https://elsewhere.example`. Returns exit code, stdout and stderr.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    run_with_input(arguments, environment, Stdio::null())
}

fn run_with_input(
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: Stdio,
) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keywright"))
        .args(["--server", "https://elsewhere.example", "--store", "memory", "--timeout", "5"])
        .args(["--retries", "0"])
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("KEYWRIGHT_DATA_DIR", home.path().join("data"))
        .env("SSL_CERT_FILE", certificate_dir().join("trusted.pem"))
        .envs(environment.iter().copied())
        .stdin(input)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Returns the lines of `doctor` about the way to the server.
fn diagnose(environment: &[(&str, &str)]) -> Vec<String> {
    let (_, out, _) = run(&["doctor", "--json"], environment);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let text = |check: &serde_json::Value, name: &str| check[name].as_str().unwrap().to_owned();
    let names = ["certificates", "proxy", "server"];
    checks
        .iter()
        .filter(|check| names.contains(&text(check, "name").as_str()))
        .map(|check| {
            format!("{} {}: {}", text(check, "status"), text(check, "name"), text(check, "message"))
        })
        .collect()
}

#[test]
fn every_kind_of_socks_proxy_is_used_and_resolves_the_name() {
    let (server, counters) = serve_elsewhere();
    for (scheme, user, password) in
        [("socks5h", "", None), ("socks4a", "", None), ("socks5h", "me:p%26q%3A1@", Some("p&q:1"))]
    {
        let (port, hosts) = serve_socks(server, password);
        let before = counters.connections.load(Ordering::SeqCst);
        let proxy = format!(" {scheme}://{user}127.0.0.1:{port}\n");
        let lines = diagnose(&[("all_proxy", &proxy)]);
        let shown = format!("all_proxy={scheme}://127.0.0.1:{port}");
        assert_eq!(lines[1], format!("ok proxy: the server was reached through {shown}"));
        assert!(lines[2].starts_with("ok server: "), "{lines:?}");
        assert_eq!(*hosts.lock().unwrap(), ["elsewhere.example"]);
        assert_eq!(counters.connections.load(Ordering::SeqCst), before + 1);
    }
    let (port, _) = serve_socks(server, Some("right"));
    for (user, expected) in [
        ("", "requires a user name and a password"),
        ("me:wrong@", "rejected the user name and password"),
    ] {
        let proxy = format!("socks5h://{user}127.0.0.1:{port}");
        let lines = diagnose(&[("ALL_PROXY", &proxy)]);
        let shown = format!("socks5h://127.0.0.1:{port} (ALL_PROXY)");
        assert_eq!(lines[1], format!("fail proxy: the proxy {shown} {expected}"));
    }
    let (port, _) = serve(Transport::Plain, whole("400 Bad", ""));
    let lines = diagnose(&[("ALL_PROXY", &format!("socks5h://127.0.0.1:{port}"))]);
    assert!(lines[1].starts_with("fail proxy: "), "{lines:?}");
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_before_the_consent_and_never_bypassed() {
    for value in
        ["socks://127.0.0.1:1", "ftp://127.0.0.1:1", "garbage://x", "http://a b", "http://"]
    {
        let environment = [("ALL_PROXY", value)];
        let (code, out, err) = run(&["new", "laptop", "--no-browser"], &environment);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("ALL_PROXY "), "{err}");
        assert!(err.contains("no key was created"), "{err}");
        assert!(!err.contains("https://elsewhere.example"), "no address to sign in: {err}");
        // Every command has the same exit code and says what to do.
        let with_key = [environment[0], ("OPENROUTER_MANAGEMENT_KEY", KEY)];
        for command in ["account", "usage"] {
            let (code, _, err) = run(&[command], &with_key);
            assert_eq!(code, 2, "{command}: {err}");
            assert!(err.contains("or unset it"), "{command}: {err}");
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(KEY.as_bytes()).unwrap();
        file.rewind().unwrap();
        let (code, _, err) = run_with_input(&["import", "laptop"], &environment, file.into());
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("nothing was stored") && err.contains("or unset it"), "{err}");
        let lines = diagnose(&environment);
        assert!(lines[1].starts_with("fail proxy: ALL_PROXY "), "{lines:?}");
        assert!(lines[2].starts_with("fail server: ALL_PROXY "), "{lines:?}");
    }
    let (port, _) = serve(Transport::Closed, raw(""));
    let lines = diagnose(&[("ALL_PROXY", &format!("http://127.0.0.1:{port}"))]);
    let shown = format!("http://127.0.0.1:{port} (ALL_PROXY)");
    let expected =
        format!("fail proxy: the proxy {shown} could not be reached (connection refused)");
    assert_eq!(lines[1], expected);
}

#[test]
fn a_connect_proxy_is_used_and_no_proxy_is_obeyed() {
    let (server, _) = serve_elsewhere();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(&tunnels);
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            shared.fetch_add(1, Ordering::SeqCst);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            assert!(head.starts_with(b"CONNECT elsewhere.example:443 "));
            socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let there = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut from, mut to) = (socket.try_clone().unwrap(), there.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = std::io::copy(&mut &there, &mut socket);
        }
    });
    let proxy = format!("127.0.0.1:{port}");
    let lines = diagnose(&[("HTTPS_PROXY", &proxy), ("https_proxy", "http://other:1")]);
    let expected = format!(
        "warn proxy: the server was reached through HTTPS_PROXY=http://{proxy}; https_proxy differs and is not used"
    );
    assert_eq!(lines[1], expected);
    assert!(lines[0].starts_with("ok certificates: only the one of SSL_CERT_FILE="), "{lines:?}");
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
    for exceptions in ["*", "elsewhere.example:443", ".example"] {
        let lines = diagnose(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", exceptions)]);
        assert_eq!(lines[1], "ok proxy: not used: NO_PROXY lists this server");
        assert!(
            lines[2].starts_with("fail server: elsewhere.example could not be reached"),
            "{lines:?}"
        );
    }
    let lines = diagnose(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", "elsewhere.example:8443")]);
    assert!(lines[1].contains("was reached through"), "{lines:?}");
    assert_eq!(tunnels.load(Ordering::SeqCst), 2);
}

#[test]
fn the_variable_of_unusable_certificates_is_named_by_the_error_and_by_doctor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.pem");
    std::fs::write(&path, "").unwrap();
    let path = path.to_str().unwrap();
    for (variable, value, expected) in [
        ("SSL_CERT_FILE", path, format!("SSL_CERT_FILE names {path}, which is empty")),
        ("SSL_CERT_FILE", "/none", "SSL_CERT_FILE names /none, which does not exist".into()),
        ("SSL_CERT_FILE", "", "SSL_CERT_FILE is set to nothing".into()),
    ] {
        let environment = [(variable, value)];
        let (code, _, err) = run(&["new", "laptop", "--no-browser"], &environment);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(&expected) && err.contains("no key was created"), "{err}");
        let lines = diagnose(&environment);
        assert_eq!(lines[0], format!("fail certificates: {expected}"));
    }
}
