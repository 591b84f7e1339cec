//! A proxy in front of the sandbox that injects faults and records requests.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the proxy does with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The sandbox responds.
    Pass,
    /// Respond with this; the sandbox does not receive the request.
    Respond(u16, String),
    /// Respond with 429 and this `Retry-After`.
    RateLimit(u64),
    /// The sandbox handles the request, and its response is lost.
    LoseResponse,
    /// The sandbox handles the request, and this is the response.
    ReplaceResponse(u16, String),
    /// The sandbox handles the request, and half of its response is sent.
    TruncateResponse,
}

type Rule = Box<dyn Fn(&str) -> Fault + Send>;

pub struct Proxy {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    rule: Arc<Mutex<Rule>>,
}

impl Proxy {
    /// Starts a proxy in front of `sandbox` that passes all requests.
    pub fn before(sandbox: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fault::Pass)));
        let behind = sandbox.trim_start_matches("http://").to_owned();
        let (log, rules) = (Arc::clone(&requests), Arc::clone(&rule));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (log, rules, behind) = (Arc::clone(&log), Arc::clone(&rules), behind.clone());
                thread::spawn(move || serve(socket, &log, &rules, &behind));
            }
        });
        Self { url, requests, rule }
    }

    /// Sets the rule; a request is `METHOD /path?query`.
    pub fn set_rule(&self, rule: impl Fn(&str) -> Fault + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Returns the number of requests that begin with `beginning`.
    pub fn count(&self, beginning: &str) -> usize {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.starts_with(beginning))
            .count()
    }

    /// Returns all requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut socket: TcpStream,
    requests: &Mutex<Vec<String>>,
    rule: &Mutex<Rule>,
    behind: &str,
) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
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
    let request = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    requests.lock().unwrap().push(request.clone());
    let fault = (rule.lock().unwrap())(&request);
    let forward = || {
        let mut there = TcpStream::connect(behind).ok()?;
        // The sandbox leaves hanging up to whoever asks.
        let (first, rest) = head.split_once("\r\n")?;
        write!(there, "{first}\r\nConnection: close\r\n{rest}").ok()?;
        there.write_all(&body).ok()?;
        let mut answer = Vec::new();
        there.read_to_end(&mut answer).ok()?;
        Some(answer)
    };
    let whole = |status: u16, body: &str| {
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let answer = match fault {
        Fault::Pass => forward()?,
        Fault::Respond(status, body) => whole(status, &body).into_bytes(),
        Fault::RateLimit(after) => {
            format!("HTTP/1.1 429 Slow\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n")
                .into_bytes()
        }
        Fault::LoseResponse => {
            forward()?;
            return None;
        }
        Fault::ReplaceResponse(status, body) => {
            forward()?;
            whole(status, &body).into_bytes()
        }
        Fault::TruncateResponse => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"data\":[{\"hash\":\"".to_vec()
        }
    };
    socket.write_all(&answer).ok()
}
