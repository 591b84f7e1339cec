//! Sizes, deadlines and crowds.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keywright::api::oauth::CallbackListener;

use crate::support::{Reply, Waiting, connect, runtime};

#[test]
fn a_head_over_8_kib_gets_431_and_one_of_8_kib_is_read() {
    let waiting = Waiting::new();
    let target = format!("{}?code=padded", waiting.path);
    let padded = |length: usize| {
        let bare = waiting.head(&target, &["X: "]).len();
        waiting.head(&target, &[&format!("X: {}", "p".repeat(length - bare))])
    };
    assert_eq!(waiting.say(padded(8193)).status, 431);
    // Still sending when the answer comes: it must arrive all the same.
    assert_eq!(waiting.say(padded(200_000)).status, 431);
    assert_eq!(waiting.say(waiting.head(&target, &["X: y"; 200])).status, 431);
    assert!(waiting.is_still_waiting());
    assert_eq!(waiting.say(padded(8192)).status, 200);
    assert_eq!(waiting.answer(), "code padded");
}

#[test]
fn a_head_that_takes_three_seconds_gets_408_however_it_dribbles() {
    let waiting = Waiting::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            assert_eq!(waiting.say("GET /callback/").status, 408);
            assert!((2900..5000).contains(&begun.elapsed().as_millis()));
        });
        scope.spawn(|| {
            let begun = Instant::now();
            let mut socket = waiting.connect();
            let mut writer = socket.try_clone().unwrap();
            let dribbling = scope.spawn(move || {
                // Ends when the server has closed.
                while writer.write_all(b"x").is_ok() && begun.elapsed() < Duration::from_secs(4) {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            assert_eq!(Reply::read(&mut socket).status, 408);
            assert!((2900..5000).contains(&begun.elapsed().as_millis()));
            drop(socket);
            dribbling.join().unwrap();
        });
        // The slow ones are in nobody's way.
        thread::sleep(Duration::from_millis(50));
        waiting.succeeds();
    });
}

#[test]
fn a_body_of_any_size_gets_413_or_400() {
    let waiting = Waiting::new();
    let target = format!("{}?code=x", waiting.path);
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
        let reply = waiting.say(waiting.head(&target, lines));
        assert_eq!(reply.status, status, "{lines:?}");
    }
    let mut upload = waiting.head(&target, &["Content-Length: 200000"]);
    upload.push_str(&"b".repeat(200_000));
    assert_eq!(waiting.say(upload).status, 413);
    assert!(waiting.is_still_waiting());
    assert_eq!(waiting.say(waiting.head(&target, &["Content-Length: 0"])).status, 200);
}

#[test]
fn a_connection_carries_one_request_and_is_closed() {
    let waiting = Waiting::new();
    let head = waiting.head("/", &["Connection: keep-alive"]);
    let mut socket = waiting.connect();
    socket.write_all(head.repeat(2).as_bytes()).unwrap();
    // `Reply::read` sees the end of the stream; a second answer would be part of the body.
    let reply = Reply::read(&mut socket);
    assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    let old = format!("GET / HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n", waiting.port);
    assert_eq!(waiting.say(old).status, 404);
}

#[test]
fn at_most_32_connections_are_open_and_the_oldest_makes_room() {
    let waiting = Waiting::new();
    let begun = Instant::now();
    let mut sockets: Vec<TcpStream> = (0..100).map(|_| waiting.connect()).collect();
    for socket in &mut sockets[..68] {
        // Closed without a word, or reset: nothing was asked.
        assert!(!matches!(socket.read(&mut [0; 1]), Ok(1..)));
    }
    assert!(begun.elapsed() < Duration::from_millis(2500), "not by the deadline of their heads");
    for socket in &mut sockets[68..] {
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn with_300_dribbling_sockets_the_real_callback_is_answered_within_5_seconds() {
    let waiting = Waiting::new();
    let mut flood: Vec<TcpStream> = (0..300).map(|_| waiting.connect()).collect();
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for socket in &mut flood {
                    // Whoever was dropped comes again.
                    if socket.write_all(b"G").is_err() {
                        *socket = waiting.connect();
                    }
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        waiting.succeeds();
        stop.store(true, Ordering::Relaxed);
    });
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_burst_does_not_push_out_a_request_that_is_complete_or_about_to_be() {
    runtime().block_on(async {
        for is_complete in [true, false] {
            let callback = CallbackListener::bind(0).await.unwrap();
            let port = callback.url().port().unwrap();
            let head = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
            // The listener's thread is busy with these very lines: all of them are at the door
            // before it sees the first.
            let mut real = connect(port);
            if is_complete {
                real.write_all(head.as_bytes()).unwrap();
            }
            let burst: Vec<TcpStream> = (0..100).map(|_| connect(port)).collect();
            if !is_complete {
                // Turns enough to see them all, and no time.
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
fn a_client_that_is_still_sending_is_not_reset_under_its_answer() {
    let waiting = Waiting::new();
    let mut socket = waiting.connect();
    socket.write_all(&[b'G'; 9000]).unwrap();
    assert_eq!(Reply::read(&mut socket).status, 431);
    for _ in 0..3 {
        socket.write_all(&[b'G'; 1000]).unwrap();
    }
}
