//! Limits on sizes, times and the number of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keywright::api::oauth::CallbackListener;

use crate::support::{Listener, Reply, connect, runtime};

#[test]
fn head_of_8_kib_is_accepted_and_a_longer_one_gets_431() {
    let listener = Listener::new();
    let target = format!("{}?code=padded", listener.path);
    let padded = |length: usize| {
        let bare = listener.request(&target, &["X: "]).len();
        listener.request(&target, &[&format!("X: {}", "p".repeat(length - bare))])
    };
    assert_eq!(listener.send(padded(8193)).status, 431);
    // The response must arrive although the client is still sending.
    assert_eq!(listener.send(padded(200_000)).status, 431);
    assert_eq!(listener.send(listener.request(&target, &["X: y"; 200])).status, 431);
    assert!(listener.has_no_response());
    assert_eq!(listener.send(padded(8192)).status, 200);
    assert_eq!(listener.response(), "code padded");
}

#[test]
fn head_not_complete_within_three_seconds_gets_408() {
    let listener = Listener::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            assert_eq!(listener.send("GET /callback/").status, 408);
            assert!((2900..5000).contains(&begun.elapsed().as_millis()));
        });
        scope.spawn(|| {
            let begun = Instant::now();
            let mut socket = listener.connect();
            let mut writer = socket.try_clone().unwrap();
            let slow_sender = scope.spawn(move || {
                // Ends when the server has closed the connection.
                while writer.write_all(b"x").is_ok() && begun.elapsed() < Duration::from_secs(4) {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            assert_eq!(Reply::read(&mut socket).status, 408);
            assert!((2900..5000).contains(&begun.elapsed().as_millis()));
            drop(socket);
            slow_sender.join().unwrap();
        });
        // Slow connections do not delay others.
        thread::sleep(Duration::from_millis(50));
        listener.assert_accepts_code();
    });
}

#[test]
fn request_with_a_body_gets_413_or_400() {
    let listener = Listener::new();
    let target = format!("{}?code=x", listener.path);
    for (lines, status) in [
        (&["Content-Length: 5"][..], 413),
        (&["Content-Length: 40000000000"], 413),
        (&["Transfer-Encoding: chunked"], 413),
        (&["Content-Length: 5", "Expect: 100-continue"], 413),
        (&["Content-Length: -1"], 400),
        (&["Content-Length: 99999999999999999999999"], 400),
        (&["Content-Length: 0", "Content-Length: 5"], 400),
        (&["Transfer-Encoding: gzip"], 400),
    ] {
        let reply = listener.send(listener.request(&target, lines));
        assert_eq!(reply.status, status, "{lines:?}");
    }
    let mut upload = listener.request(&target, &["Content-Length: 200000"]);
    upload.push_str(&"b".repeat(200_000));
    assert_eq!(listener.send(upload).status, 413);
    assert!(listener.has_no_response());
    assert_eq!(listener.send(listener.request(&target, &["Content-Length: 0"])).status, 200);
}

#[test]
fn connection_is_closed_after_one_request() {
    let listener = Listener::new();
    let head = listener.request("/", &["Connection: keep-alive"]);
    let mut socket = listener.connect();
    socket.write_all(head.repeat(2).as_bytes()).unwrap();
    // `Reply::read` reads to the end of the stream; a second response would be in the body.
    let reply = Reply::read(&mut socket);
    assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    let http_1_0 = format!("GET / HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n", listener.port);
    assert_eq!(listener.send(http_1_0).status, 404);
}

#[test]
fn oldest_of_more_than_32_connections_is_closed() {
    let listener = Listener::new();
    let begun = Instant::now();
    let mut sockets: Vec<TcpStream> = (0..100).map(|_| listener.connect()).collect();
    for socket in &mut sockets[..68] {
        // Closed without a response, or reset.
        assert!(!matches!(socket.read(&mut [0; 1]), Ok(1..)));
    }
    assert!(begun.elapsed() < Duration::from_millis(2500), "closed by the head timeout");
    for socket in &mut sockets[68..] {
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn callback_is_answered_within_5_seconds_beside_300_slow_connections() {
    let listener = Listener::new();
    let mut flood: Vec<TcpStream> = (0..300).map(|_| listener.connect()).collect();
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for socket in &mut flood {
                    // Reconnects when the server has closed the connection.
                    if socket.write_all(b"G").is_err() {
                        *socket = listener.connect();
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        listener.assert_accepts_code();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn burst_of_connections_does_not_displace_a_request() {
    runtime().block_on(async {
        for is_complete in [true, false] {
            let callback = CallbackListener::bind(0).await.unwrap();
            let port = callback.url().port().unwrap();
            let head = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            // This code blocks the listener's thread, so all connections are pending before it
            // accepts the first.
            let mut real = connect(port);
            if is_complete {
                real.write_all(head.as_bytes()).unwrap();
            }
            let burst: Vec<TcpStream> = (0..100).map(|_| connect(port)).collect();
            if !is_complete {
                // Lets the listener accept all of them without delay.
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                real.write_all(head.as_bytes()).unwrap();
            }
            let status = tokio::task::spawn_blocking(move || Reply::read(&mut real).status);
            assert_eq!(status.await.unwrap(), 404);
            drop(burst);
        }
    });
}

#[test]
fn client_that_is_still_sending_is_not_reset() {
    let listener = Listener::new();
    let mut socket = listener.connect();
    socket.write_all(&[b'G'; 9000]).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 431);
    for _ in 0..3 {
        socket.write_all(&[b'G'; 1000]).unwrap();
    }
}
