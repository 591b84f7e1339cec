//! The callback listener from outside, over raw sockets: the properties it must keep.
//! Every answer that any of these reads is checked for its headers as well (`support`).

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
use support::{Reply, Waiting, connect, in_words, runtime};

// --- The path holds a nonce

#[test]
fn a_wrong_nonce_gets_404_and_the_wait_goes_on() {
    let waiting = Waiting::new();
    assert_eq!(waiting.nonce().len(), 43);
    let nonce = waiting.nonce();
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
        assert_eq!(waiting.say(waiting.head(&format!("{path}?code=x"), &[])).status, 404, "{path}");
    }
    assert_ne!(Waiting::new().nonce(), nonce);
    waiting.succeeds();
}

// --- Loopback only

#[test]
fn only_the_literal_127_0_0_1_listens() {
    let waiting = Waiting::new();
    let refused = |address: std::net::IpAddr| TcpStream::connect((address, waiting.port)).is_err();
    assert!(refused(Ipv6Addr::LOCALHOST.into()));
    #[cfg(target_os = "linux")]
    {
        assert!(refused(Ipv4Addr::new(127, 0, 0, 2).into()));
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{:04X}", waiting.port);
        let listening: Vec<&str> = sockets
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|columns| columns[3] == "0A" && columns[1].ends_with(&port))
            .map(|columns| columns[1].split_once(':').unwrap().0)
            .map(|address| if address == "0100007F" { "127.0.0.1" } else { "another" })
            .collect();
        assert_eq!(listening, ["127.0.0.1"]);
    }
    waiting.succeeds();
}

#[test]
fn a_taken_port_is_said_and_a_free_one_is_used_as_asked() {
    runtime().block_on(async {
        let first = CallbackListener::bind(0).await.unwrap();
        let port = first.url().port().unwrap();
        let error = CallbackListener::bind(port).await.err().unwrap();
        assert!(matches!(error, CallbackError::PortInUse { port: taken } if taken == port));
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
fn the_first_valid_callback_wins_and_nothing_before_it_ends_the_wait() {
    let waiting = Waiting::new();
    let path = &waiting.path;
    assert_eq!(waiting.say(waiting.head("/favicon.ico", &[])).status, 404);
    assert_eq!(waiting.say(waiting.head("/callback/WRONG?code=x", &[])).status, 404);
    assert_eq!(waiting.say(waiting.head_of("POST", &format!("{path}?code=x"), &[])).status, 405);
    assert_eq!(waiting.say("\x16\x03\x01\x02\x00\x01\x00\x01\u{0}").status, 400);
    assert_eq!(waiting.say("nonsense\r\n\r\n").status, 400);
    drop(waiting.connect());
    waiting.succeeds();
}

// --- Once

#[test]
fn the_same_code_again_gets_the_same_page_and_another_code_gets_409() {
    let waiting = Waiting::new();
    let first = waiting.get("?code=one");
    assert_eq!(first.status, 200);
    assert_eq!(waiting.get("?code=one"), first);
    assert_eq!(waiting.get("?code=%6fne&x=1"), first);
    assert_eq!(waiting.get("?code=two").status, 409);
    assert_eq!(waiting.get("?error=access_denied").status, 409);
    assert_eq!(waiting.get("?code=on").status, 409);
    assert_eq!(waiting.answer(), "code one");
    assert!(waiting.is_still_waiting());
}

#[test]
fn twenty_at_once_are_one_answer_and_twenty_pages() {
    let waiting = Waiting::new();
    let start = Barrier::new(20);
    let pages: Vec<Reply> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut socket = waiting.connect();
                    start.wait();
                    let head = waiting.head(&format!("{}?code=same", waiting.path), &[]);
                    socket.write_all(head.as_bytes()).unwrap();
                    Reply::read(&mut socket)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(pages.iter().all(|page| page.status == 200 && *page == pages[0]));
    assert_eq!(waiting.answer(), "code same");
    assert!(waiting.is_still_waiting());
}

// --- Open only as long as needed

#[test]
fn the_port_is_closed_the_moment_any_of_it_is_dropped() {
    let closed = |port: u16| {
        let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    };
    // Nothing is awaited between a drop and its check: the runtime has no chance to help.
    runtime().block_on(async {
        let callback = CallbackListener::bind(0).await.unwrap();
        let port = callback.url().port().unwrap();
        drop(connect(port));
        drop(callback);
        closed(port);

        let callback = CallbackListener::bind(0).await.unwrap();
        let port = callback.url().port().unwrap();
        let mut inside = connect(port);
        let waited =
            tokio::time::timeout(Duration::from_millis(50), callback.wait_for_response()).await;
        assert!(waited.is_err());
        closed(port);
        assert!(!matches!(inside.read(&mut [0; 1]), Ok(1..)), "a connection outlived its callback");

        for (query, words) in [("code=x", "code x"), ("error=access_denied", "refused None")] {
            let callback = CallbackListener::bind(0).await.unwrap();
            let port = callback.url().port().unwrap();
            let path = callback.url().path().to_owned();
            let client = thread::spawn(move || {
                let mut socket = connect(port);
                let head = format!("GET {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
                socket.write_all(head.as_bytes()).unwrap();
                Reply::read(&mut socket).status
            });
            let (answer, lingering) = callback.wait_for_response().await.unwrap();
            drop(lingering);
            closed(port);
            assert_eq!(in_words(&answer), words);
            // The page was out before the caller heard of it.
            assert_eq!(client.join().unwrap(), 200);
        }
    });
}

// --- The page waits for nothing

#[test]
fn the_page_answers_at_once_whatever_the_caller_is_doing() {
    runtime().block_on(async {
        // Bound, but not yet waited for: the browser is being opened, say.
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
        assert_eq!(in_words(&callback.wait_for_response().await.unwrap().0), "code x");
    });
}

// --- The headers of every answer

#[test]
fn every_answer_has_its_headers_and_echoes_nothing() {
    let waiting = Waiting::new();
    let nonce = waiting.nonce();
    let right = &waiting.path;
    let mark = "M4RKED";
    let line = format!("X-{mark}: {mark}");
    let mut seen = Vec::new();
    for bytes in [
        waiting.head(&format!("/{mark}?code={mark}"), &[&line]),
        waiting.head(&format!("{right}?{mark}"), &[&line]),
        waiting.head_of(mark, &format!("{right}?code={mark}"), &[&line]),
        waiting.head(&format!("{right}?code={mark}"), &[&line, "Sec-Fetch-Dest: image"]),
        waiting.head(&format!("{right}?code={mark}"), &[&line, "Content-Length: 1"]),
        waiting.head(&format!("{right}?code={mark}"), &[&line.repeat(900)]),
        waiting.head(&format!("{right}?code={mark}"), &[mark]),
        format!("GET /{mark} HTTP/1.1\r\nHost: {mark}\r\n\r\n"),
        format!("GET /{mark} HTTP/9.9\r\nHost: {mark}\r\n\r\n"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{mark}"),
        format!("{mark}\r\n\r\n"),
        format!("\u{16}{mark}"),
        waiting.head(&format!("{right}?code={mark}"), &[&line]),
        waiting.head(&format!("{right}?code=2{mark}"), &[&line]),
    ] {
        let reply = waiting.say(bytes);
        let text = format!("{reply:?}");
        assert!(!text.contains(mark) && !text.contains(&mark.to_lowercase()), "{text}");
        assert!(!text.contains(nonce), "{text}");
        seen.push(reply.status);
    }
    assert_eq!(seen, [404, 400, 405, 403, 413, 431, 400, 421, 400, 400, 400, 400, 200, 409]);

    // A client that stops in the middle and still listens.
    let mut socket = waiting.connect();
    socket.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 400);
}
