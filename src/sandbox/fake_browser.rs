//! Plays the person in the browser: opens the consent page, presses a button, and goes where the
//! answer leads. Speaks plain HTTP over a socket; must not know the ledger.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use url::{Host, Url};

const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_RESPONSE_BYTES: u64 = 256 * 1024;
/// What a browser says about a page that a person goes to.
const NAVIGATION_HEADERS: &str = "Accept: text/html\r\nSec-Fetch-Dest: document\r\n\
                          Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n";
const FORM_HEADERS: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Opens `address`, an `/auth` URL of a sandbox, and approves or refuses. Follows the way back to
/// the application as a browser does.
///
/// Approving without a `callback_url` returns the code that the page shows; everything else
/// returns `None`. An error is words for a person.
pub fn answer_consent(address: &str, approve: bool) -> Result<Option<String>, String> {
    let page = Url::parse(address).map_err(|_| "that is not an address".to_owned())?;
    let shown = fetch_page(&page, None)?;
    if shown.status != 200 {
        return Err(format!(
            "the consent page answered {}{}",
            shown.status,
            shown.failure_reason()
        ));
    }
    let decision = if approve { "decision=approve" } else { "decision=refuse" };
    let decided = fetch_page(&page, Some(decision))?;
    match (decided.status, decided.location()) {
        (302, Some(back)) => {
            let back = Url::parse(back).map_err(|_| "the way back is not an address".to_owned())?;
            let landed = fetch_page(&back, None)?;
            if landed.status < 400 {
                Ok(None)
            } else {
                Err(format!("the application's callback answered {}", landed.status))
            }
        }
        (200, _) => Ok(decided.element_text("code").filter(|_| approve).map(str::to_owned)),
        (status, _) => {
            Err(format!("the decision was answered {status}{}", decided.failure_reason()))
        }
    }
}

/// Spends that much on a key of the sandbox at `server`, as a program using it would.
pub fn spend_on_key(server: &str, hash: &str, usd: f64) -> Result<(), String> {
    post_control(server, "spend", &format!(r#"{{"hash":"{hash}","usd":{usd}}}"#))
}

/// Moves the clock of the sandbox at `server` on by a day.
pub fn advance_clock_one_day(server: &str) -> Result<(), String> {
    post_control(server, "clock", r#"{"hours":24}"#)
}

fn post_control(server: &str, deed: &str, body: &str) -> Result<(), String> {
    let url = format!("{server}/sandbox/{deed}");
    let url = Url::parse(&url).map_err(|_| "that is not an address".to_owned())?;
    let answer = fetch_page(&url, Some(body))?;
    if answer.status == 200 {
        Ok(())
    } else {
        Err(format!("the sandbox answered {}", answer.status))
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

    /// The text of the element with this id.
    fn element_text(&self, id: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!(" id=\"{id}\">"))?;
        rest.split_once('<').map(|(text, _)| text)
    }

    /// What the page says is wrong, after a colon.
    fn failure_reason(&self) -> String {
        self.element_text("reason").map_or_else(String::new, |reason| format!(": {reason}"))
    }
}

/// One request on a connection of its own: GET, or POST where there is a form.
fn fetch_page(url: &Url, form: Option<&str>) -> Result<FetchedPage, String> {
    let place = match (url.scheme(), url.host()) {
        ("http", Some(Host::Domain("localhost"))) => "localhost",
        ("http", Some(Host::Ipv4(address))) if address == Ipv4Addr::LOCALHOST => "127.0.0.1",
        _ => return Err("only http addresses on loopback can be visited".into()),
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let (method, length, body) = match form {
        Some(form) => ("POST", format!("{FORM_HEADERS}Content-Length: {}\r\n", form.len()), form),
        None => ("GET", String::new(), ""),
    };
    let request = format!(
        "{method} {path}{query} HTTP/1.1\r\nHost: {place}:{port}\r\nConnection: close\r\n\
         {NAVIGATION_HEADERS}{length}\r\n{body}",
        path = url.path(),
    );
    let answer = send_request(place, port, &request)
        .map_err(|error| format!("{place}:{port} did not answer: {}", error.kind()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(FetchedPage {
        status: status.ok_or_else(|| format!("{place}:{port} does not speak HTTP"))?,
        headers: head.to_owned(),
        body: body.to_owned(),
    })
}

fn send_request(place: &str, port: u16, request: &str) -> std::io::Result<String> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    // `localhost` may be two addresses, and the application listens on one.
    for address in (place, port).to_socket_addrs()? {
        let mut socket = match TcpStream::connect_timeout(&address, SOCKET_TIMEOUT) {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        socket.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        socket.take(MAX_RESPONSE_BYTES).read_to_end(&mut answer)?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Err(last)
}
