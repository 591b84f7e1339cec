//! The HTML pages and headers of every response. Nothing from the request is echoed.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Response, StatusCode};

/// The headers of every response. There is no `Access-Control-*` header, so that scripts of other
/// sites cannot read a response.
const HEADERS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("connection", "close"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    ),
    ("content-type", "text/html; charset=utf-8"),
    // The URL of this page contains the code (RFC 9700 §4.2).
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// The page of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallbackPage {
    /// An authorization code was received.
    CodeReceived,
    /// An error response was received.
    ErrorReceived,
    /// The request was not valid.
    Rejected(StatusCode),
}

impl CallbackPage {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::CodeReceived | Self::ErrorReceived => StatusCode::OK,
            Self::Rejected(status) => status,
        }
    }

    fn html(self) -> &'static str {
        match self {
            Self::CodeReceived => include_str!("../../../../assets/callback-received.html"),
            Self::ErrorReceived => include_str!("../../../../assets/callback-denied.html"),
            Self::Rejected(StatusCode::CONFLICT) => {
                include_str!("../../../../assets/callback-already-used.html")
            }
            Self::Rejected(_) => include_str!("../../../../assets/callback-rejected.html"),
        }
    }

    pub(super) fn to_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.html()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.status() == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}
