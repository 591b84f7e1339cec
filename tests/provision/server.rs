//! A server with scripted responses to the exchange that counts its requests, and a browser that
//! consents immediately.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::Notify;
use url::Url;

/// The response to an exchange.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, content type and body.
    Response(u16, &'static str, String),
    /// These bytes, then the connection is closed.
    Raw(&'static str),
    /// 429 with this `Retry-After`.
    RateLimited(&'static str),
    /// 307 to this URL.
    Redirect(String),
    /// The connection is closed without a response.
    Close,
    /// No response for as long as the client waits.
    Silence,
}

impl Reply {
    pub fn key(key: &str) -> Self {
        Self::Response(200, "application/json", format!(r#"{{"key":"{key}","user_id":"user_1"}}"#))
    }
}

pub struct Server {
    pub url: String,
    state: Arc<State>,
}

struct State {
    replies: Mutex<Vec<Reply>>,
    exchange_count: Mutex<usize>,
    heads: Mutex<Vec<String>>,
    exchange_received: Arc<Notify>,
    before_reply: Box<dyn Fn() + Send + Sync>,
}

impl Server {
    /// Answers exchanges with `replies` in order and repeats the last one.
    pub fn new(replies: Vec<Reply>) -> Self {
        Self::with(replies, || ())
    }

    /// Like [`Self::new`], but calls `before_reply` when an exchange is received.
    pub fn with(replies: Vec<Reply>, before_reply: impl Fn() + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            replies: Mutex::new(replies),
            exchange_count: Mutex::new(0),
            heads: Mutex::default(),
            exchange_received: Arc::default(),
            before_reply: Box::new(before_reply),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(socket));
            }
        });
        Self { url, state }
    }

    pub fn exchange_count(&self) -> usize {
        *self.state.exchange_count.lock().unwrap()
    }

    /// Returns the heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// Returns a handle that is notified when an exchange is received.
    pub fn exchange_received(&self) -> Arc<Notify> {
        Arc::clone(&self.state.exchange_received)
    }
}

impl State {
    fn serve(&self, mut socket: TcpStream) {
        let Some((head, _)) = read_request(&socket) else { return };
        self.heads.lock().unwrap().push(head.clone());
        if !head.starts_with("POST /api/v1/auth/keys ") {
            let body = r#"{"data":{"label":"sk-or-v1-x...x","limit":null,"usage":0}}"#;
            let _ =
                write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            return;
        }
        (self.before_reply)();
        *self.exchange_count.lock().unwrap() += 1;
        self.exchange_received.notify_one();
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
        };
        let _ = match reply {
            Reply::Response(status, kind, body) => write!(
                socket,
                "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            Reply::Raw(bytes) => socket.write_all(bytes.as_bytes()),
            Reply::RateLimited(after) => write!(
                socket,
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
            ),
            Reply::Redirect(to) => {
                write!(
                    socket,
                    "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
                )
            }
            Reply::Close => Ok(()),
            // Waits until the client gives up.
            Reply::Silence => socket.read(&mut [0]).map(drop),
        };
    }
}

fn read_request(socket: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    loop {
        let before = head.len();
        reader.read_line(&mut head).ok()?;
        if head.len() - before <= 2 {
            break;
        }
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Acts as a browser that consents immediately: calls the callback with a code.
pub fn send_code_to_callback(url: &Url) -> Result<(), String> {
    let callback = callback_url(url.as_str());
    thread::spawn(move || {
        let authority = format!("127.0.0.1:{}", callback.port().unwrap());
        let mut socket = TcpStream::connect(&authority).unwrap();
        let path = callback.path();
        let _ = write!(socket, "GET {path}?code=the-code HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    Ok(())
}

pub fn callback_port(url: &str) -> u16 {
    callback_url(url).port().unwrap()
}

fn callback_url(url: &str) -> Url {
    let url = Url::parse(url).unwrap();
    let (_, callback) = url.query_pairs().find(|(name, _)| name == "callback_url").unwrap();
    Url::parse(&callback).unwrap()
}
