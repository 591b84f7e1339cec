//! A callback on a thread of its own, and a client that writes bytes and reads bytes.
//! Owns: what must hold for every answer, checked wherever one is read.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keywright::api::oauth::{AuthorizationResponse, CallbackListener};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A callback that is being waited for, and lingers after its answer.
pub struct Waiting {
    pub port: u16,
    /// `/callback/<nonce>`.
    pub path: String,
    answers: Mutex<Receiver<String>>,
    leave: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    pub fn new() -> Self {
        let (tell_url, url) = mpsc::channel();
        let (tell, answers) = mpsc::channel();
        let (leave, left) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let callback = CallbackListener::bind(0).await.unwrap();
                tell_url.send(callback.url().clone()).unwrap();
                let answered = async {
                    let (answer, lingering) = callback.wait_for_response().await.unwrap();
                    tell.send(in_words(&answer)).unwrap();
                    std::future::pending::<()>().await;
                    drop(lingering);
                };
                tokio::select! {
                    () = answered => {}
                    _ = left => {}
                }
            });
        });
        let url = url.recv_timeout(PATIENCE).unwrap();
        assert_eq!(url.scheme(), "http");
        assert_eq!(url.host_str(), Some("127.0.0.1"));
        Self {
            port: url.port().unwrap(),
            path: url.path().to_owned(),
            answers: Mutex::new(answers),
            leave: Some(leave),
            thread: Some(thread),
        }
    }

    pub fn nonce(&self) -> &str {
        self.path.strip_prefix("/callback/").unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// A plain GET of `target` with these further header lines.
    pub fn head(&self, target: &str, lines: &[&str]) -> String {
        self.head_of("GET", target, lines)
    }

    pub fn head_of(&self, method: &str, target: &str, lines: &[&str]) -> String {
        let port = self.port;
        let first = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}");
        [&[first.as_str()], lines, &["\r\n"]].concat().join("\r\n")
    }

    pub fn say(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut socket = self.connect();
        socket.write_all(bytes.as_ref()).unwrap();
        Reply::read(&mut socket)
    }

    pub fn get(&self, query: &str) -> Reply {
        self.say(self.head(&format!("{}{query}", self.path), &[]))
    }

    /// The answer that the caller got, in words.
    pub fn answer(&self) -> String {
        self.answers.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    pub fn is_still_waiting(&self) -> bool {
        self.answers.lock().unwrap().try_recv().is_err()
    }

    /// The real callback still comes through, and is the one answer.
    pub fn succeeds(&self) {
        assert!(self.is_still_waiting());
        assert_eq!(self.get("?code=the-real-one").status, 200);
        assert_eq!(self.answer(), "code the-real-one");
        assert!(self.is_still_waiting());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.leave.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub fn in_words(answer: &AuthorizationResponse) -> String {
    match answer {
        AuthorizationResponse::Code(code) => format!("code {}", code.expose_secret()),
        AuthorizationResponse::Error { description } => format!("refused {description:?}"),
    }
}

/// An answer, whole.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// Reads until the server closes, and checks what every answer must have.
    pub fn read(socket: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .filter(|(name, _)| name != "date")
            .collect();
        let reply = Self { status, headers, body: body.to_owned() };
        reply.has_the_headers_of_every_answer();
        reply
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} comes twice");
        value
    }

    fn has_the_headers_of_every_answer(&self) {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            (
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("connection", "close"),
        ] {
            assert_eq!(self.header(name), Some(value), "{self:?}");
        }
        assert!(!self.headers.iter().any(|(name, _)| name.starts_with("access-control-")));
    }
}
