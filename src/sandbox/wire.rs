//! Between tiny_http and the routes: reads a request, writes an answer. Knows nothing of keys.

use std::io::{self, Read as _, Write as _};

use jiff::Timestamp;
use tiny_http::{Request, Response, StatusCode};

use super::response::{ApiError, ContentType, HttpResponse};
use super::routes::HttpRequest;

/// The largest body that is read.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The largest declared body that is left to tiny_http to throw away. It does so in one buffer of
/// the declared size, and a size that cannot be had aborts the process.
const MAX_DRAINED_BYTES: usize = 16 * 1024 * 1024;

/// Reads a request; `None` where it was refused and answered for its size, or broke off.
pub fn read_request(mut request: Request) -> Option<(HttpRequest, Request)> {
    let declared = request.body_length().unwrap_or(0);
    if declared > MAX_DRAINED_BYTES {
        // Only an upgrade takes the body's reader out of the request, and only forgetting it keeps
        // it from being dropped. What remains: the connection lasts until the process ends.
        std::mem::forget(request.upgrade("close", Response::empty(413)));
        return None;
    }
    let chunked = find_header(&request, "Transfer-Encoding").is_some();
    let most = if chunked { MAX_BODY_BYTES + 1 } else { declared.min(MAX_BODY_BYTES + 1) };
    let mut body = Vec::new();
    if most > 0 {
        request.as_reader().take(most as u64).read_to_end(&mut body).ok()?;
    }
    if declared > MAX_BODY_BYTES || body.len() > MAX_BODY_BYTES {
        // Answered first and drained afterwards: `into_writer` would do it the other way round.
        let refusal = HttpResponse::from(ApiError::new(413, "Payload Too Large"));
        let _ = request.respond(Response::from_string(refusal.body).with_status_code(413));
        return None;
    }
    let call = HttpRequest {
        method: request.method().to_string(),
        target: request.url().to_owned(),
        bearer_token: find_header(&request, "Authorization").and_then(parse_bearer_token),
        body,
    };
    Some((call, request))
}

/// Writes the answer.
///
/// tiny_http lets nobody say `Connection: close`, and gives a thread to each open connection out
/// of a pool that a burst of kept-alive ones can starve. So the head is written here, and asks
/// the client to hang up.
pub fn write_response(request: Request, answer: &HttpResponse, now: Timestamp) -> io::Result<()> {
    let body = if request.method() == &tiny_http::Method::Head { "" } else { &answer.body };
    let kind = match answer.content_type {
        ContentType::Json => "application/json",
        // No form-action: browsers hold it against the redirect that answers a form, too.
        ContentType::Html => {
            "text/html; charset=utf-8\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; frame-ancestors 'none'\r\n\
             Referrer-Policy: no-referrer"
        }
    };
    let mut head = vec![
        format!("HTTP/1.1 {} {}", answer.status, StatusCode(answer.status).default_reason_phrase()),
        format!("Date: {}", now.strftime("%a, %d %b %Y %H:%M:%S GMT")),
        format!("Content-Type: {kind}"),
        format!("Content-Length: {}", answer.body.len()),
        "Cache-Control: no-store".into(),
        "X-Content-Type-Options: nosniff".into(),
        "Connection: close".into(),
    ];
    head.extend(answer.location.iter().map(|location| format!("Location: {location}")));
    head.extend(answer.allow.iter().map(|allow| format!("Allow: {allow}")));
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

/// The scheme is case-insensitive (RFC 9110 section 11.1).
fn parse_bearer_token(value: &str) -> Option<String> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}
