//! A callback listener on its own thread and a raw client that checks the headers of every response.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keywright::api::oauth::CallbackListener;
use keywright::domain::AuthorizationResponse;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

/// The time limit of every wait.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A callback listener that stays open after its response.
pub struct Listener {
    pub port: u16,
    /// `/callback/<nonce>`.
    pub path: String,
    responses: Mutex<Receiver<String>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub fn new() -> Self {
        let (url_sender, url) = mpsc::channel();
        let (response_sender, responses) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let callback = CallbackListener::bind(0).await.unwrap();
                url_sender.send(callback.url().clone()).unwrap();
                let respond = async {
                    let (response, guard) = callback.wait_for_response().await.unwrap();
                    response_sender.send(describe(&response)).unwrap();
                    std::future::pending::<()>().await;
                    drop(guard);
                };
                tokio::select! {
                    () = respond => {}
                    _ = stopped => {}
                }
            });
        });
        let url = url.recv_timeout(TIMEOUT).unwrap();
        assert_eq!(url.scheme(), "http");
        assert_eq!(url.host_str(), Some("127.0.0.1"));
        Self {
            port: url.port().unwrap(),
            path: url.path().to_owned(),
            responses: Mutex::new(responses),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn nonce(&self) -> &str {
        self.path.strip_prefix("/callback/").unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    /// Returns a GET request for `target` with additional header lines.
    pub fn request(&self, target: &str, lines: &[&str]) -> String {
        self.request_with_method("GET", target, lines)
    }

    pub fn request_with_method(&self, method: &str, target: &str, lines: &[&str]) -> String {
        let port = self.port;
        let first = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}");
        [&[first.as_str()], lines, &["\r\n"]].concat().join("\r\n")
    }

    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut socket = self.connect();
        socket.write_all(bytes.as_ref()).unwrap();
        Reply::read(&mut socket)
    }

    pub fn get(&self, query: &str) -> Reply {
        self.send(self.request(&format!("{}{query}", self.path), &[]))
    }

    /// Waits for the authorization response and describes it.
    pub fn response(&self) -> String {
        self.responses.lock().unwrap().recv_timeout(TIMEOUT).unwrap()
    }

    pub fn has_no_response(&self) -> bool {
        self.responses.lock().unwrap().try_recv().is_err()
    }

    /// Asserts that a valid callback is still accepted and is the only response.
    pub fn assert_accepts_code(&self) {
        assert!(self.has_no_response());
        assert_eq!(self.get("?code=the-real-one").status, 200);
        assert_eq!(self.response(), "code the-real-one");
        assert!(self.has_no_response());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.stop.take());
        let result = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(result, Some(Ok(()))));
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket.set_write_timeout(Some(TIMEOUT)).unwrap();
    socket
}

pub fn describe(response: &AuthorizationResponse) -> String {
    match response {
        AuthorizationResponse::Code(code) => format!("code {}", code.expose_secret()),
        AuthorizationResponse::Error { description } => format!("denied {description:?}"),
    }
}

/// A complete HTTP response.
#[derive(Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// Reads until the server closes the connection and checks the common headers.
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
        reply.assert_common_headers();
        reply
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} is repeated");
        value
    }

    fn assert_common_headers(&self) {
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
