//! Tests of the callback listener over raw sockets. The headers of every response are checked
//! in `support`.

#![expect(clippy::disallowed_methods, reason = "a test compares secrets")]
#![expect(clippy::unwrap_used, reason = "a test's own helpers may fail it")]

#[path = "callback/limits.rs"]
mod limits;
#[path = "callback/requests.rs"]
mod requests;
#[path = "callback/support.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use keywright::api::oauth::{CallbackError, CallbackListener};
use support::{Listener, Reply, connect, describe, runtime};

// --- The path contains a nonce

#[test]
fn wrong_nonce_gets_404_and_has_no_effect() {
    let listener = Listener::new();
    assert_eq!(listener.nonce().len(), 43);
    let nonce = listener.nonce();
    for path in [
        "/callback/WRONG",
        "/callback/",
        "/callback",
        "/",
        &format!("/callback/{}", &nonce[..42]),
        &format!("/callback/{nonce}x"),
        &format!("/callback/{nonce}/"),
        &format!("/callback//{nonce}"),
        &format!("/Callback/{nonce}"),
        &format!("/{nonce}"),
        &format!("/callback/{}", "A".repeat(43)),
    ] {
        assert_eq!(
            listener.send(listener.request(&format!("{path}?code=x"), &[])).status,
            404,
            "{path}"
        );
    }
    assert_ne!(Listener::new().nonce(), nonce);
    listener.assert_accepts_code();
}

// --- Loopback only

#[test]
fn listens_only_on_127_0_0_1() {
    let listener = Listener::new();
    let refused = |address: std::net::IpAddr| TcpStream::connect((address, listener.port)).is_err();
    assert!(refused(Ipv6Addr::LOCALHOST.into()));
    #[cfg(target_os = "linux")]
    {
        assert!(refused(Ipv4Addr::new(127, 0, 0, 2).into()));
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{:04X}", listener.port);
        let listening: Vec<&str> = sockets
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|columns| columns[3] == "0A" && columns[1].ends_with(&port))
            .map(|columns| columns[1].split_once(':').unwrap().0)
            .map(|address| if address == "0100007F" { "127.0.0.1" } else { "another" })
            .collect();
        assert_eq!(listening, ["127.0.0.1"]);
    }
    listener.assert_accepts_code();
}

#[test]
fn used_port_is_an_error_and_a_free_one_is_bound() {
    runtime().block_on(async {
        let first = CallbackListener::bind(0).await.unwrap();
        let port = first.url().port().unwrap();
        let error = CallbackListener::bind(port).await.err().unwrap();
        assert!(matches!(error, CallbackError::PortInUse { port: used } if used == port));
        assert_eq!(
            error.to_string(),
            format!("port {port} on 127.0.0.1 is in use by another program")
        );
        drop(first);
        assert_eq!(CallbackListener::bind(port).await.unwrap().url().port(), Some(port));
    });
}

// --- The first valid callback wins

#[test]
fn invalid_requests_before_the_first_valid_callback_have_no_effect() {
    let listener = Listener::new();
    let path = &listener.path;
    assert_eq!(listener.send(listener.request("/favicon.ico", &[])).status, 404);
    assert_eq!(listener.send(listener.request("/callback/WRONG?code=x", &[])).status, 404);
    assert_eq!(
        listener.send(listener.request_with_method("POST", &format!("{path}?code=x"), &[])).status,
        405
    );
    assert_eq!(listener.send("\x16\x03\x01\x02\x00\x01\x00\x01\u{0}").status, 400);
    assert_eq!(listener.send("nonsense\r\n\r\n").status, 400);
    drop(listener.connect());
    listener.assert_accepts_code();
}

// --- Only one response

#[test]
fn repeated_code_gets_the_same_page_and_another_code_409() {
    let listener = Listener::new();
    let first = listener.get("?code=one");
    assert_eq!(first.status, 200);
    assert_eq!(listener.get("?code=one"), first);
    assert_eq!(listener.get("?code=%6fne&x=1"), first);
    assert_eq!(listener.get("?code=two").status, 409);
    assert_eq!(listener.get("?error=access_denied").status, 409);
    assert_eq!(listener.get("?code=on").status, 409);
    assert_eq!(listener.response(), "code one");
    assert!(listener.has_no_response());
}

#[test]
fn twenty_concurrent_requests_get_one_response_and_twenty_pages() {
    let listener = Listener::new();
    let start = Barrier::new(20);
    let pages: Vec<Reply> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut socket = listener.connect();
                    start.wait();
                    let head = listener.request(&format!("{}?code=same", listener.path), &[]);
                    socket.write_all(head.as_bytes()).unwrap();
                    Reply::read(&mut socket)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(pages.iter().all(|page| page.status == 200 && *page == pages[0]));
    assert_eq!(listener.response(), "code same");
    assert!(listener.has_no_response());
}

// --- Open only as long as needed

#[test]
fn port_is_closed_as_soon_as_listener_or_guard_is_dropped() {
    let assert_closed = |port: u16| {
        let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    };
    // Nothing is awaited between a drop and its check, so the runtime cannot close the port.
    runtime().block_on(async {
        let callback = CallbackListener::bind(0).await.unwrap();
        let port = callback.url().port().unwrap();
        drop(connect(port));
        drop(callback);
        assert_closed(port);

        let callback = CallbackListener::bind(0).await.unwrap();
        let port = callback.url().port().unwrap();
        let mut open_connection = connect(port);
        let waited =
            tokio::time::timeout(Duration::from_millis(50), callback.wait_for_response()).await;
        assert!(waited.is_err());
        assert_closed(port);
        assert!(
            !matches!(open_connection.read(&mut [0; 1]), Ok(1..)),
            "a connection outlived its listener"
        );

        for (query, expected) in [("code=x", "code x"), ("error=access_denied", "denied None")] {
            let callback = CallbackListener::bind(0).await.unwrap();
            let port = callback.url().port().unwrap();
            let path = callback.url().path().to_owned();
            let client = thread::spawn(move || {
                let mut socket = connect(port);
                let head = format!("GET {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
                socket.write_all(head.as_bytes()).unwrap();
                Reply::read(&mut socket).status
            });
            let (response, guard) = callback.wait_for_response().await.unwrap();
            drop(guard);
            assert_closed(port);
            assert_eq!(describe(&response), expected);
            // The page was written before the caller received the response.
            assert_eq!(client.join().unwrap(), 200);
        }
    });
}

// --- Requests are answered immediately

#[test]
fn page_is_served_before_the_caller_waits() {
    runtime().block_on(async {
        // Bound, but not awaited yet, for example while the browser is opened.
        let callback = CallbackListener::bind(0).await.unwrap();
        let port = callback.url().port().unwrap();
        let path = callback.url().path().to_owned();
        let page = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let mut socket = connect(port);
            let head = format!("GET {path}?code=x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            socket.write_all(head.as_bytes()).unwrap();
            let page = Reply::read(&mut socket);
            assert!(begun.elapsed() < Duration::from_secs(1));
            page
        })
        .await
        .unwrap();
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.body.contains("Authorization received"));
        assert!(page.body.contains("Go back to the terminal"));
        assert!(!page.body.contains("<script") && !page.body.contains("http"));
        assert_eq!(describe(&callback.wait_for_response().await.unwrap().0), "code x");
    });
}

// --- The headers of every response

#[test]
fn every_response_has_the_headers_and_echoes_nothing() {
    let listener = Listener::new();
    let nonce = listener.nonce();
    let path = &listener.path;
    let marker = "M4RKED";
    let line = format!("X-{marker}: {marker}");
    let mut statuses = Vec::new();
    for bytes in [
        listener.request(&format!("/{marker}?code={marker}"), &[&line]),
        listener.request(&format!("{path}?{marker}"), &[&line]),
        listener.request_with_method(marker, &format!("{path}?code={marker}"), &[&line]),
        listener.request(&format!("{path}?code={marker}"), &[&line, "Sec-Fetch-Dest: image"]),
        listener.request(&format!("{path}?code={marker}"), &[&line, "Content-Length: 1"]),
        listener.request(&format!("{path}?code={marker}"), &[&line.repeat(900)]),
        listener.request(&format!("{path}?code={marker}"), &[marker]),
        format!("GET /{marker} HTTP/1.1\r\nHost: {marker}\r\n\r\n"),
        format!("GET /{marker} HTTP/9.9\r\nHost: {marker}\r\n\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{marker}"),
        format!("{marker}\r\n\r\n"),
        format!("\u{16}{marker}"),
        listener.request(&format!("{path}?code={marker}"), &[&line]),
        listener.request(&format!("{path}?code=2{marker}"), &[&line]),
    ] {
        let reply = listener.send(bytes);
        let text = format!("{reply:?}");
        assert!(!text.contains(marker) && !text.contains(&marker.to_lowercase()), "{text}");
        assert!(!text.contains(nonce), "{text}");
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [404, 400, 405, 403, 413, 431, 400, 421, 400, 400, 400, 400, 200, 409]);

    // A client that stops sending in the middle of the head and still reads.
    let mut socket = listener.connect();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 400);
}
