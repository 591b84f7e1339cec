//! Decides whether a callback request is valid, and whether it is the first valid one.

use std::sync::OnceLock;

use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::response::CallbackPage;
use crate::domain::{AuthorizationResponse, ResponseParams, is_same_nonce};

/// Decides whether a callback request is valid.
pub(super) struct CallbackValidator {
    host: String,
    nonce: String,
    first_response: OnceLock<FirstResponse>,
    sender: mpsc::Sender<AuthorizationResponse>,
}

/// What is needed to recognize the first response when it is repeated: the hash of the code.
#[derive(PartialEq)]
enum FirstResponse {
    Code([u8; 32]),
    Error,
}

/// Sends the authorization response to the caller when it is dropped, even if the connection fails.
pub(super) struct DeliverOnDrop {
    response: Option<AuthorizationResponse>,
    sender: mpsc::Sender<AuthorizationResponse>,
}

impl Drop for DeliverOnDrop {
    fn drop(&mut self) {
        if let Some(response) = self.response.take() {
            // Fails if the caller no longer waits.
            let _ = self.sender.try_send(response);
        }
    }
}

impl CallbackValidator {
    pub(super) fn new(
        host: String,
        nonce: String,
        sender: mpsc::Sender<AuthorizationResponse>,
    ) -> Self {
        Self { host, nonce, first_response: OnceLock::new(), sender }
    }

    /// Returns the page for a request, and the delivery if the request is the first valid one.
    pub(super) fn handle_request<B>(
        &self,
        request: &Request<B>,
    ) -> (CallbackPage, Option<DeliverOnDrop>) {
        let (page, delivery) = match self.validate_request(request) {
            Ok(params) => self.accept_first(params),
            Err(status) => (CallbackPage::Rejected(status), None),
        };
        tracing::debug!(status = page.status().as_u16(), "callback request");
        (page, delivery)
    }

    fn accept_first(&self, params: ResponseParams) -> (CallbackPage, Option<DeliverOnDrop>) {
        let (page, received) = match &params {
            ResponseParams::Code(code) => {
                (CallbackPage::CodeReceived, FirstResponse::Code(Sha256::digest(code).into()))
            }
            ResponseParams::Error(_) => (CallbackPage::ErrorReceived, FirstResponse::Error),
        };
        match self.first_response.set(received) {
            Ok(()) => {
                let response = Some(AuthorizationResponse::from(params));
                (page, Some(DeliverOnDrop { response, sender: self.sender.clone() }))
            }
            Err(received) if self.first_response.get() == Some(&received) => (page, None),
            Err(_) => (CallbackPage::Rejected(StatusCode::CONFLICT), None),
        }
    }

    /// Returns the parameters of a valid request, or the status of the first violated rule.
    fn validate_request<B>(&self, request: &Request<B>) -> Result<ResponseParams, StatusCode> {
        self.check_host(request.uri(), request.headers())?;
        self.check_path(request.uri().path())?;
        // HEAD and OPTIONS are rejected too: only a navigation delivers a code.
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        check_purpose(request.headers())?;
        check_body(request.headers())?;
        // The nonce in the path has matched.
        let query = request.uri().query().unwrap_or_default();
        ResponseParams::parse_query(query, Some(&self.nonce)).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// Rejects other host names: after DNS rebinding the attacker's name is in `Host`.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), StatusCode> {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if host == self.host.as_str() => {}
            // RFC 9112 §3.2: more than one `Host` is a client error.
            (_, Some(_)) => return Err(StatusCode::BAD_REQUEST),
            (_, None) => return Err(StatusCode::MISDIRECTED_REQUEST),
        }
        // RFC 9112 §3.2.2: the absolute form takes precedence over `Host`.
        match uri.authority() {
            Some(authority)
                if authority.as_str() != self.host || uri.scheme_str() != Some("http") =>
            {
                Err(StatusCode::BAD_REQUEST)
            }
            _ => Ok(()),
        }
    }

    fn check_path(&self, path: &str) -> Result<(), StatusCode> {
        let given = path.strip_prefix("/callback/").unwrap_or_default();
        if is_same_nonce(given, &self.nonce) { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
    }
}

/// Accepts only a top-level navigation. A prefetch would use the code before the user sees the
/// page, and an image, frame or script request comes from another site (Fetch Metadata).
fn check_purpose(headers: &HeaderMap) -> Result<(), StatusCode> {
    let is_prefetch_value = |value: &[u8]| {
        let value = value.to_ascii_lowercase();
        [&b"prefetch"[..], b"prerender", b"preview"]
            .iter()
            .any(|word| value.windows(word.len()).any(|part| part == *word))
    };
    let is_prefetch = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .any(|value| is_prefetch_value(value.as_bytes()));
    let is_document = headers.get_all("sec-fetch-dest").iter().all(|value| value == "document");
    if is_document && !is_prefetch { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

fn check_body(headers: &HeaderMap) -> Result<(), StatusCode> {
    let empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length == "0");
    if empty && !headers.contains_key(TRANSFER_ENCODING) {
        Ok(())
    } else {
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    }
}
