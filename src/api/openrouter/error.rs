//! Errors of the HTTP client, distinguished by whether the server may have acted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{CheckResult, KeyInfo, sanitize};

/// A request without a usable response. Never contains a URL, a code or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was sent: the connection failed or the host does not exist.
    #[error("{server} could not be reached ({reason})")]
    NotSent {
        /// The server's host.
        server: String,
        /// The cause, in a few words.
        reason: String,
    },
    /// Nothing was sent: the server's certificate is invalid.
    #[error("the connection to {server} is not secure: {reason}")]
    InvalidCertificate {
        /// The server's host.
        server: String,
        /// What is wrong with its certificate.
        reason: &'static str,
    },
    /// The request was sent and no complete response was received: the server may have acted.
    #[error("{server} sent no complete response ({reason})")]
    OutcomeUnknown {
        /// The server's host.
        server: String,
        /// The cause, in a few words.
        reason: String,
    },
    /// The server limits the request rate (429); it did not act.
    #[error("{server} received too many requests (429)")]
    RateLimited {
        /// The server's host.
        server: String,
        /// The value of `Retry-After`, if present.
        retry_after: Option<Duration>,
    },
    /// The server rejected the request; it did not act.
    #[error("{server} answered {status}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Rejected {
        /// The server's host.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The server's error message, sanitized.
        message: Option<String>,
    },
    /// A success response with an unexpected body.
    #[error("{server} sent an unexpected response instead of {expected}")]
    UnexpectedResponse {
        /// The server's host.
        server: String,
        /// The expected content.
        expected: &'static str,
    },
}

impl From<Result<KeyInfo, Error>> for CheckResult {
    fn from(result: Result<KeyInfo, Error>) -> Self {
        match result {
            Ok(info) => Self::Valid(Arc::new(info)),
            Err(Error::Rejected { status: 401, .. }) => Self::Rejected,
            Err(Error::Rejected { status: 402, .. }) => Self::InsufficientCredits,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// The longest `Retry-After` to wait for; the user decides about a longer one.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What to do about [`Error::InvalidCertificate`].
pub const INVALID_CERTIFICATE_ADVICE: &str = "no secret was sent: check --server and this machine's clock, or set SSL_CERT_FILE to the certificates of your proxy";

impl Error {
    /// Returns how long to wait before an idempotent request is retried after `tries` attempts, or
    /// `None` if a retry cannot help.
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

    /// Returns the status of a rejected request.
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

    /// Classifies a failed request. reqwest's messages contain the URL, so only the kind is kept.
    pub(super) fn from_reqwest(server: &str, error: &reqwest::Error) -> Self {
        let server = String::from(server);
        if let Some(reason) = certificate_problem(error) {
            return Self::InvalidCertificate { server, reason };
        }
        if error.is_connect() || error.is_builder() {
            return Self::NotSent { server, reason: connect_error_reason(error) };
        }
        let reason = if error.is_timeout() {
            "it timed out"
        } else if error.is_body() || error.is_decode() {
            "the response was incomplete"
        } else {
            transport_error_reason(error)
        };
        Self::OutcomeUnknown { server, reason: reason.into() }
    }
}

/// Returns the chain of an error's sources, including errors wrapped in an `io::Error`.
fn error_chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

/// Returns the problem with the server's certificate, if there is one.
fn certificate_problem(error: &reqwest::Error) -> Option<&'static str> {
    use rustls::CertificateError as Problem;
    let tls = error_chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    let rustls::Error::InvalidCertificate(problem) = tls else { return None };
    Some(match problem {
        Problem::Expired | Problem::ExpiredContext { .. } => "certificate has expired",
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => "certificate is not valid yet",
        Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
            "certificate is for another host name"
        }
        Problem::UnknownIssuer => "certificate issued by an untrusted authority",
        Problem::Revoked => "certificate was revoked",
        _ => "certificate is invalid",
    })
}

/// Describes how an established connection failed.
fn transport_error_reason(error: &reqwest::Error) -> &'static str {
    let http = error_chain(error).find_map(|error| error.downcast_ref::<hyper::Error>());
    let io = error_chain(error).find_map(|error| error.downcast_ref::<io::Error>());
    match (http, io) {
        (Some(http), _) if http.is_parse() => "the response is not HTTP/1.1",
        (Some(http), _) if http.is_incomplete_message() => {
            "it closed the connection before responding"
        }
        (_, Some(io)) if io.kind() == io::ErrorKind::ConnectionReset => "it reset the connection",
        _ => "the connection failed",
    }
}

/// Returns the innermost message of a failed connection, from the resolver, the socket or TLS. It
/// contains no part of the URL except the host.
fn connect_error_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the connection timed out".into();
    }
    let Some(innermost) = error_chain(error).skip(1).last().map(ToString::to_string) else {
        return "the connection failed".into();
    };
    // Library messages for problems that the user can solve.
    if innermost.contains("proxy authorization required") {
        return "the proxy requires a user name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
            .into();
    }
    if innermost.contains("NoApplicationProtocol") {
        return "it does not support HTTP/1.1".into();
    }
    sanitize(&innermost, 120)
}
