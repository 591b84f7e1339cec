//! Which request counts, and which of those was the first.
//! Owns: the rules. Must not know: sockets, clocks, how an answer is written.

use std::sync::OnceLock;

use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::mpsc;

use super::AuthorizationResponse;
use super::response::CallbackPage;
use crate::domain::{AuthCode, sanitize};

/// The longest code; no server is known to issue a tenth of it.
const MAX_CODE_BYTES: usize = 512;

/// How much of the server's words is kept, in graphemes.
const MAX_DESCRIPTION_GRAPHEMES: usize = 200;

/// Where requests are judged.
pub(super) struct CallbackValidator {
    host: String,
    nonce: String,
    first_response: OnceLock<FirstResponse>,
    sender: mpsc::Sender<AuthorizationResponse>,
}

/// What came first, as far as it takes to know it again. The code itself is the caller's alone.
#[derive(PartialEq)]
enum FirstResponse {
    Code([u8; 32]),
    Error,
}

/// The answer on its way to the caller, who hears it when this is dropped, whatever befalls the
/// connection that brought it.
pub(super) struct DeliverOnDrop {
    response: Option<AuthorizationResponse>,
    sender: mpsc::Sender<AuthorizationResponse>,
}

impl Drop for DeliverOnDrop {
    fn drop(&mut self) {
        if let Some(answer) = self.response.take() {
            // Fails when nobody waits any more.
            let _ = self.sender.try_send(answer);
        }
    }
}

impl CallbackValidator {
    pub(super) fn new(
        host: String,
        nonce: String,
        caller: mpsc::Sender<AuthorizationResponse>,
    ) -> Self {
        Self { host, nonce, first_response: OnceLock::new(), sender: caller }
    }

    /// The page for a request, and news if it was the first that counted.
    pub(super) fn handle_request<B>(
        &self,
        request: &Request<B>,
    ) -> (CallbackPage, Option<DeliverOnDrop>) {
        let (page, news) = match self.validate_request(request) {
            Ok(answer) => self.accept_first(answer),
            Err(status) => (CallbackPage::Rejected(status), None),
        };
        tracing::debug!(status = page.status().as_u16(), "the callback was visited");
        (page, news)
    }

    fn accept_first(&self, answer: CallbackParams) -> (CallbackPage, Option<DeliverOnDrop>) {
        let (page, this) = match &answer {
            CallbackParams::Code(code) => {
                (CallbackPage::CodeReceived, FirstResponse::Code(Sha256::digest(code).into()))
            }
            CallbackParams::Error(_) => (CallbackPage::ErrorReceived, FirstResponse::Error),
        };
        match self.first_response.set(this) {
            Ok(()) => {
                let answer = match answer {
                    CallbackParams::Code(code) => AuthorizationResponse::Code(AuthCode::from(code)),
                    CallbackParams::Error(description) => {
                        AuthorizationResponse::Error { description }
                    }
                };
                (page, Some(DeliverOnDrop { response: Some(answer), sender: self.sender.clone() }))
            }
            Err(this) if self.first_response.get() == Some(&this) => (page, None),
            Err(_) => (CallbackPage::Rejected(StatusCode::CONFLICT), None),
        }
    }

    /// What a request says, or the status of the first rule that it breaks.
    fn validate_request<B>(&self, request: &Request<B>) -> Result<CallbackParams, StatusCode> {
        self.check_host(request.uri(), request.headers())?;
        self.check_path(request.uri().path())?;
        // HEAD and OPTIONS too: only a person's navigation brings a code.
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        check_purpose(request.headers())?;
        check_body(request.headers())?;
        self.parse_query(request.uri().query().unwrap_or_default())
    }

    /// A name that an attacker points at 127.0.0.1 arrives with that name (DNS rebinding).
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), StatusCode> {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if host == self.host.as_str() => {}
            // RFC 9112 §3.2: more than one is an error of the client.
            (_, Some(_)) => return Err(StatusCode::BAD_REQUEST),
            (_, None) => return Err(StatusCode::MISDIRECTED_REQUEST),
        }
        // RFC 9112 §3.2.2: the absolute form would count for more than `Host`.
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
        let matches = given.as_bytes().ct_eq(self.nonce.as_bytes());
        if matches.into() { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
    }

    /// RFC 6749 §4.1.2 and §4.1.2.1; no parameter twice (§3.1), unknown ones are ignored.
    fn parse_query(&self, query: &str) -> Result<CallbackParams, StatusCode> {
        let (mut code, mut error, mut description, mut state) = (None, None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "code" => &mut code,
                "error" => &mut error,
                "error_description" => &mut description,
                "state" => &mut state,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(StatusCode::BAD_REQUEST);
            }
        }
        // Not every server gives it back; the nonce in the path has matched already.
        if let Some(state) = state
            && !bool::from(state.as_bytes().ct_eq(self.nonce.as_bytes()))
        {
            return Err(StatusCode::BAD_REQUEST);
        }
        match (code, error) {
            (Some(code), None)
                if (1..=MAX_CODE_BYTES).contains(&code.len())
                    && code.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(CallbackParams::Code(code))
            }
            (None, Some(error)) if !error.is_empty() => {
                // "access_denied" says no more than the refusal itself.
                Ok(CallbackParams::Error(
                    [description, Some(error).filter(|error| error != "access_denied")]
                        .into_iter()
                        .flatten()
                        .map(|words| sanitize(words.trim(), MAX_DESCRIPTION_GRAPHEMES))
                        .find(|words| !words.is_empty()),
                ))
            }
            _ => Err(StatusCode::BAD_REQUEST),
        }
    }
}

enum CallbackParams {
    Code(String),
    Error(Option<String>),
}

/// Only a navigation of a person's own counts: a prefetch would use the code up unseen, and an
/// image, a frame or a script is another site's doing (Fetch Metadata).
fn check_purpose(headers: &HeaderMap) -> Result<(), StatusCode> {
    let early = |value: &[u8]| {
        let value = value.to_ascii_lowercase();
        [&b"prefetch"[..], b"prerender", b"preview"]
            .iter()
            .any(|word| value.windows(word.len()).any(|part| part == *word))
    };
    let is_early = ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .any(|value| early(value.as_bytes()));
    let is_document = headers.get_all("sec-fetch-dest").iter().all(|value| value == "document");
    if is_document && !is_early { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
}

fn check_body(headers: &HeaderMap) -> Result<(), StatusCode> {
    let empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length == "0");
    if empty && !headers.contains_key(TRANSFER_ENCODING) {
        Ok(())
    } else {
        Err(StatusCode::PAYLOAD_TOO_LARGE)
    }
}
