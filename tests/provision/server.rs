//! A server that answers the exchange as it is told, and counts how often it was asked; and a
//! browser that consents at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::Notify;
use url::Url;

/// What the exchange is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, content type, body.
    Whole(u16, &'static str, String),
    /// These bytes, then the end.
    Raw(&'static str),
    /// 429 with this `Retry-After`.
    SlowDown(&'static str),
    /// 307 to there.
    Redirect(String),
    /// The end, with nothing.
    Close,
    /// Nothing, for as long as the other side waits.
    Silence,
}

impl Reply {
    pub fn key(key: &str) -> Self {
        Self::Whole(200, "application/json", format!(r#"{{"key":"{key}","user_id":"user_1"}}"#))
    }
}

pub struct Server {
    pub url: String,
    state: Arc<State>,
}

struct State {
    replies: Mutex<Vec<Reply>>,
    exchanges: Mutex<usize>,
    heads: Mutex<Vec<String>>,
    arrived: Arc<Notify>,
    before: Box<dyn Fn() + Send + Sync>,
}

impl Server {
    /// Answers exchanges with these, the last one for good.
    pub fn new(replies: Vec<Reply>) -> Self {
        Self::with(replies, || ())
    }

    /// [`Self::new`], calling `before` when an exchange has arrived.
    pub fn with(replies: Vec<Reply>, before: impl Fn() + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            replies: Mutex::new(replies),
            exchanges: Mutex::new(0),
            heads: Mutex::default(),
            arrived: Arc::default(),
            before: Box::new(before),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.serve(socket));
            }
        });
        Self { url, state }
    }

    pub fn exchanges(&self) -> usize {
        *self.state.exchanges.lock().unwrap()
    }

    /// The heads of all requests, lower-case names.
    pub fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// Notified when an exchange has arrived.
    pub fn arrived(&self) -> Arc<Notify> {
        Arc::clone(&self.state.arrived)
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
        (self.before)();
        *self.exchanges.lock().unwrap() += 1;
        self.arrived.notify_one();
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
        };
        let _ = match reply {
            Reply::Whole(status, kind, body) => write!(
                socket,
                "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            Reply::Raw(bytes) => socket.write_all(bytes.as_bytes()),
            Reply::SlowDown(after) => write!(
                socket,
                "HTTP/1.1 429 Slow\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n"
            ),
            Reply::Redirect(to) => {
                write!(socket, "HTTP/1.1 307 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            }
            Reply::Close => Ok(()),
            // Until the other side gives up.
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

/// A browser whose person consents at once, to anyone: calls back with a code.
pub fn answer_the_callback(url: &Url) -> Result<(), String> {
    let callback = callback(url.as_str());
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
    callback(url).port().unwrap()
}

fn callback(url: &str) -> Url {
    let url = Url::parse(url).unwrap();
    let (_, callback) = url.query_pairs().find(|(name, _)| name == "callback_url").unwrap();
    Url::parse(&callback).unwrap()
}
