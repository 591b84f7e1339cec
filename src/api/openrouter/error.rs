//! What can come back instead of an answer, sorted by the one thing that matters: whether the
//! server may have acted. Must not know: what was asked.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{CheckResult, KeyInfo, sanitize};

/// A request that brought no usable answer. Never holds a URL, a code or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was sent: no connection, no such host.
    #[error("{server} could not be reached ({reason})")]
    NotSent {
        /// The server's host.
        server: String,
        /// Why, in a few words.
        reason: String,
    },
    /// Nothing was sent: whoever answered there could not show that it is the server.
    #[error("{server} is not to be trusted: {reason}")]
    InvalidCertificate {
        /// The server's host.
        server: String,
        /// What is wrong with its certificate.
        reason: &'static str,
    },
    /// Sent, and no whole answer came: the server may have acted.
    #[error("{server} was asked and gave no whole answer ({reason})")]
    OutcomeUnknown {
        /// The server's host.
        server: String,
        /// Why, in a few words.
        reason: String,
    },
    /// The server asks for patience (429); it did not act.
    #[error("{server} asks to slow down (429)")]
    RateLimited {
        /// The server's host.
        server: String,
        /// From `Retry-After`, if it was there.
        retry_after: Option<Duration>,
    },
    /// A clean refusal; the server did not act.
    #[error("{server} answered {status}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Rejected {
        /// The server's host.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, cleaned.
        message: Option<String>,
    },
    /// An answer of success that is not what was asked for.
    #[error("{server} answered something that is not {expected}")]
    UnexpectedResponse {
        /// The server's host.
        server: String,
        /// What it should have been.
        expected: &'static str,
    },
}

/// What asking a key about itself came to.
impl From<Result<KeyInfo, Error>> for CheckResult {
    fn from(answer: Result<KeyInfo, Error>) -> Self {
        match answer {
            Ok(reading) => Self::Valid(Arc::new(reading)),
            Err(Error::Rejected { status: 401, .. }) => Self::Rejected,
            Err(Error::Rejected { status: 402, .. }) => Self::InsufficientCredits,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// The longest that `Retry-After` is obeyed; beyond it a person decides.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What to do about [`Error::Untrusted`].
pub const INVALID_CERTIFICATE_ADVICE: &str = "it was shown no secret: somebody may stand between; check --server and this machine's clock; where a proxy looks into your traffic, SSL_CERT_FILE names its certificates";

impl Error {
    /// How long to wait before the same request is sent again, after so many tries, by someone to
    /// whom repeating it is safe; `None` where repeating brings nothing.
    pub fn retry_delay(&self, tries: u32) -> Option<Duration> {
        let backoff = Duration::from_millis(500 << tries.min(5));
        match self {
            Self::NotSent { .. } | Self::OutcomeUnknown { .. } => Some(backoff),
            Self::RateLimited { retry_after, .. } => {
                Some(retry_after.unwrap_or(backoff * 2)).filter(|wait| *wait <= MAX_RETRY_AFTER)
            }
            Self::InvalidCertificate { .. }
            | Self::Rejected { .. }
            | Self::UnexpectedResponse { .. } => None,
        }
    }

    /// The status of a clean refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            Self::NotSent { .. }
            | Self::InvalidCertificate { .. }
            | Self::OutcomeUnknown { .. }
            | Self::UnexpectedResponse { .. } => None,
        }
    }

    /// Sorts a failed request. reqwest's own words carry the URL: only their kind is kept.
    pub(super) fn from_reqwest(server: &str, error: &reqwest::Error) -> Self {
        let server = String::from(server);
        if let Some(why) = certificate_problem(error) {
            return Self::InvalidCertificate { server, reason: why };
        }
        if error.is_connect() || error.is_builder() {
            return Self::NotSent { server, reason: connect_error_reason(error) };
        }
        let why = if error.is_timeout() {
            "it took too long"
        } else if error.is_body() || error.is_decode() {
            "the answer broke off"
        } else {
            transport_error_reason(error)
        };
        Self::OutcomeUnknown { server, reason: why.into() }
    }
}

/// The chain of an error's sources, what an `io::Error` wraps among them.
fn error_chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

/// What is wrong with the server's certificate.
fn certificate_problem(error: &reqwest::Error) -> Option<&'static str> {
    use rustls::CertificateError as Wrong;
    let tls = error_chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    let rustls::Error::InvalidCertificate(wrong) = tls else { return None };
    Some(match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => "its certificate has expired",
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "its certificate is not valid yet",
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        Wrong::UnknownIssuer => "nobody whom this machine trusts vouches for its certificate",
        Wrong::Revoked => "its certificate was revoked",
        _ => "its certificate is not accepted",
    })
}

/// How a connection broke that was there.
fn transport_error_reason(error: &reqwest::Error) -> &'static str {
    let http = error_chain(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let io = error_chain(error).find_map(|error| error.downcast_ref::<io::Error>());
    match (http, io) {
        (Some(http), _) if http.is_parse() => "what it answered is not HTTP/1.1",
        (Some(http), _) if http.is_incomplete_message() => "it hung up before it had answered",
        (_, Some(io)) if io.kind() == io::ErrorKind::ConnectionReset => "it reset the connection",
        _ => "the connection broke",
    }
}

/// The innermost words of a failed connection: those of the resolver, the socket or TLS. None of
/// them holds more of the URL than its host.
fn connect_error_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no connection in time".into();
    }
    let Some(innermost) = error_chain(error).skip(1).last().map(ToString::to_string) else {
        return "no connection".into();
    };
    // The words of libraries for what a person can do something about.
    if innermost.contains("proxy authorization required") {
        return "its proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
            .into();
    }
    if innermost.contains("NoApplicationProtocol") {
        return "it does not speak HTTP/1.1".into();
    }
    sanitize(&innermost, 120)
}
