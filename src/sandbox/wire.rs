//! Converts between tiny_http and the routes: reads requests and writes responses.

use std::io::{self, Read as _, Write as _};

use jiff::Timestamp;
use tiny_http::{Request, Response, StatusCode};

use super::origin::RequestSource;
use super::response::{ApiError, ContentType, HttpResponse};
use super::routes::HttpRequest;

/// The maximum size of a request body.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The largest declared body that tiny_http may discard. It allocates a buffer of the declared size,
/// and a failed allocation aborts the process.
const MAX_DRAINED_BYTES: usize = 16 * 1024 * 1024;

/// Reads a request. Returns `None` if it was rejected for its size or was incomplete.
pub fn read_request(mut request: Request) -> Option<(HttpRequest, Request)> {
    let declared = request.body_length().unwrap_or(0);
    if declared > MAX_DRAINED_BYTES {
        // Only an upgrade takes the body reader out of the request, and only forgetting it prevents
        // its drop, which would read the body. The connection stays open until the process ends.
        std::mem::forget(request.upgrade("close", Response::empty(413)));
        return None;
    }
    let chunked = find_header(&request, "Transfer-Encoding").is_some();
    let max_bytes = if chunked { MAX_BODY_BYTES + 1 } else { declared.min(MAX_BODY_BYTES + 1) };
    let mut body = Vec::new();
    if max_bytes > 0 {
        request.as_reader().take(max_bytes as u64).read_to_end(&mut body).ok()?;
    }
    if declared > MAX_BODY_BYTES || body.len() > MAX_BODY_BYTES {
        // `respond` writes the response before it drains the body; `into_writer` drains first.
        let rejection = HttpResponse::from(ApiError::new(413, "Payload Too Large"));
        let _ = request.respond(Response::from_string(rejection.body).with_status_code(413));
        return None;
    }
    let http_request = HttpRequest {
        method: request.method().to_string(),
        target: request.url().to_owned(),
        source: RequestSource {
            host: find_single_header(&request, "Host"),
            origin: find_header(&request, "Origin").map(String::from),
            fetch_site: find_header(&request, "Sec-Fetch-Site").map(String::from),
        },
        bearer_token: find_header(&request, "Authorization").and_then(parse_bearer_token),
        body,
    };
    Some((http_request, request))
}

/// Writes a response.
///
/// The head is written here because tiny_http does not allow `Connection: close`, and a burst of
/// kept-alive connections can exhaust its thread pool.
pub fn write_response(request: Request, response: &HttpResponse, now: Timestamp) -> io::Result<()> {
    let body = if request.method() == &tiny_http::Method::Head { "" } else { &response.body };
    let kind = match response.content_type {
        ContentType::Json => "application/json",
        // No form-action, because browsers also apply it to the redirect after a form.
        ContentType::Html => {
            "text/html; charset=utf-8\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; frame-ancestors 'none'\r\n\
             Referrer-Policy: no-referrer"
        }
    };
    let mut head = vec![
        format!(
            "HTTP/1.1 {} {}",
            response.status,
            StatusCode(response.status).default_reason_phrase()
        ),
        format!("Date: {}", now.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        format!("Content-Type: {kind}"),
        format!("Content-Length: {}", response.body.len()),
        "Cache-Control: no-store".into(),
        "X-Content-Type-Options: nosniff".into(),
        "Connection: close".into(),
    ];
    head.extend(response.location.iter().map(|location| format!("Location: {location}")));
    head.extend(response.allow.iter().map(|allow| format!("Allow: {allow}")));
    let mut writer = request.into_writer();
    writer.write_all(format!("{}\r\n\r\n{body}", head.join("\r\n")).as_bytes())?;
    writer.flush()
}

fn find_header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    request
        .headers()
        .iter()
        .find(|header| header.field.equiv(name))
        .map(|header| header.value.as_str())
}

/// Returns the value of a header that must not be repeated.
fn find_single_header(request: &Request, name: &'static str) -> Option<String> {
    let mut headers = request.headers().iter().filter(|header| header.field.equiv(name));
    let header = headers.next()?;
    headers.next().is_none().then(|| header.value.as_str().trim().to_owned())
}

/// Returns the bearer token of an `Authorization` header. The scheme is case-insensitive (RFC 9110
/// section 11.1).
fn parse_bearer_token(value: &str) -> Option<String> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
