//! Acts as the user's browser: opens the consent page, submits a decision and follows the redirect.
//! Uses plain HTTP over a socket.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use url::{Host, Url};

const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a response.
const MAX_RESPONSE_BYTES: u64 = 256 * 1024;
/// The headers that a browser sends for a navigation.
const NAVIGATION_HEADERS: &str = "Accept: text/html\r\nSec-Fetch-Dest: document\r\n\
                          Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n";
const FORM_HEADERS: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Opens `address`, an `/auth` URL of a sandbox, approves or denies, and follows the redirect to the
/// application.
///
/// Returns the code on the page after an approval without `callback_url`, otherwise `None`. An
/// error is a message for the user.
pub fn answer_consent(address: &str, approve: bool) -> Result<Option<String>, String> {
    let page = Url::parse(address).map_err(|_| "the URL is invalid".to_owned())?;
    let page_response = fetch_page(&page, None)?;
    if page_response.status != 200 {
        return Err(format!(
            "the consent page answered {}{}",
            page_response.status,
            page_response.failure_reason()
        ));
    }
    let decision = if approve { "decision=approve" } else { "decision=refuse" };
    let decided = fetch_page(&page, Some(decision))?;
    match (decided.status, decided.location()) {
        (302, Some(target)) => {
            let target =
                Url::parse(target).map_err(|_| "the redirect URL is invalid".to_owned())?;
            let response = fetch_page(&target, None)?;
            if response.status < 400 {
                Ok(None)
            } else {
                Err(format!("the application's callback answered {}", response.status))
            }
        }
        (200, _) => Ok(decided.element_text("code").filter(|_| approve).map(str::to_owned)),
        (status, _) => {
            Err(format!("the decision was answered {status}{}", decided.failure_reason()))
        }
    }
}

/// Spends `usd` on a key of the sandbox at `server`, like a program that uses the key.
pub fn spend_on_key(server: &str, hash: &str, usd: f64) -> Result<(), String> {
    post_control(server, "spend", &format!(r#"{{"hash":"{hash}","usd":{usd}}}"#))
}

/// Advances the clock of the sandbox at `server` by one day.
pub fn advance_clock_one_day(server: &str) -> Result<(), String> {
    post_control(server, "clock", r#"{"hours":24}"#)
}

fn post_control(server: &str, action: &str, body: &str) -> Result<(), String> {
    let url = format!("{server}/sandbox/{action}");
    let url = Url::parse(&url).map_err(|_| "the URL is invalid".to_owned())?;
    let response = fetch_page(&url, Some(body))?;
    if response.status == 200 {
        Ok(())
    } else {
        let body: serde_json::Value = serde_json::from_str(&response.body).unwrap_or_default();
        let reason = body["error"]["message"].as_str().unwrap_or("no reason was given");
        Err(format!("the sandbox refused: {reason} ({})", response.status))
    }
}

struct FetchedPage {
    status: u16,
    headers: String,
    body: String,
}

impl FetchedPage {
    fn location(&self) -> Option<&str> {
        self.headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(name, value)| name.eq_ignore_ascii_case("location").then(|| value.trim()))
    }

    /// Returns the text of the element with this ID.
    fn element_text(&self, id: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!(" id=\"{id}\">"))?;
        rest.split_once('<').map(|(text, _)| text)
    }

    /// Returns the error on the page after a colon, or an empty string.
    fn failure_reason(&self) -> String {
        self.element_text("reason").map_or_else(String::new, |reason| format!(": {reason}"))
    }
}

/// Sends one request on a new connection: `POST` with a form, otherwise `GET`.
fn fetch_page(url: &Url, form: Option<&str>) -> Result<FetchedPage, String> {
    let host = match (url.scheme(), url.host()) {
        ("http", Some(Host::Domain("localhost"))) => "localhost",
        ("http", Some(Host::Ipv4(address))) if address == Ipv4Addr::LOCALHOST => "127.0.0.1",
        _ => return Err("only http URLs on loopback are allowed".into()),
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let (method, length, body) = match form {
        Some(form) => ("POST", format!("{FORM_HEADERS}Content-Length: {}\r\n", form.len()), form),
        None => ("GET", String::new(), ""),
    };
    let request = format!(
        "{method} {path}{query} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\
         {NAVIGATION_HEADERS}{length}\r\n{body}",
        path = url.path(),
    );
    let response = send_request(host, port, &request)
        .map_err(|error| format!("{host}:{port} did not answer: {}", error.kind()))?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(FetchedPage {
        status: status.ok_or_else(|| format!("{host}:{port} sent no HTTP response"))?,
        headers: head.to_owned(),
        body: body.to_owned(),
    })
}

fn send_request(host: &str, port: u16, request: &str) -> std::io::Result<String> {
    let mut last_error = std::io::ErrorKind::AddrNotAvailable.into();
    // `localhost` can resolve to two addresses, and the application listens on only one.
    for address in (host, port).to_socket_addrs()? {
        let mut socket = match TcpStream::connect_timeout(&address, SOCKET_TIMEOUT) {
            Ok(socket) => socket,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        socket.write_all(request.as_bytes())?;
        let mut response = Vec::new();
        socket.take(MAX_RESPONSE_BYTES).read_to_end(&mut response)?;
        return Ok(String::from_utf8_lossy(&response).into_owned());
    }
    Err(last_error)
}
