//! Errors of the HTTP client, distinguished by whether the server may have acted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::certificates::TrustedCertificates;
use crate::domain::{CheckResult, ErrorKind, KeyInfo, error_chain, io_error_text, sanitize};

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
        reason: String,
    },
    /// Nothing was sent: an environment variable makes a secure connection impossible.
    #[error("{variable} {problem}")]
    InvalidSetting {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong with its value, as the rest of a sentence. Contains no password.
        problem: String,
        /// What to do about it.
        advice: String,
    },
    /// Nothing was sent: the proxy did not connect to the server.
    #[error("the proxy {proxy} {reason}")]
    ProxyFailed {
        /// The address of the proxy and the variable that names it.
        proxy: String,
        /// What it did, as the rest of a sentence.
        reason: String,
        /// What to do about it.
        advice: String,
        /// Whether a retry can help.
        temporary: bool,
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
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What to do about [`Error::InvalidCertificate`]. On macOS and Windows the system verifies certificates and ignores the variable.
const INVALID_CERTIFICATE_ADVICE: &str = if cfg!(any(target_os = "macos", windows)) {
    "no secret was sent: check --server and this machine's clock, or add the certificate of your proxy to those that the system trusts"
} else {
    "no secret was sent: check --server and this machine's clock, or set SSL_CERT_FILE to the certificates of your proxy"
};

impl Error {
    /// Returns how long to wait before an idempotent request is sent again after `tries` tries, or
    /// `None` if that cannot help.
    pub fn retry_delay(&self, tries: u32) -> Option<Duration> {
        let backoff = Duration::from_millis(500 << tries.min(5));
        match self {
            Self::NotSent { .. } | Self::OutcomeUnknown { .. } => Some(backoff),
            Self::RateLimited { retry_after, .. } => {
                Some(retry_after.unwrap_or(backoff * 2)).filter(|wait| *wait <= MAX_RETRY_AFTER)
            }
            Self::ProxyFailed { temporary: true, .. } => Some(backoff),
            _ => None,
        }
    }

    /// Returns the kind of failure for the user.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidSetting { .. } => ErrorKind::InvalidInput,
            Self::NotSent { .. }
            | Self::InvalidCertificate { .. }
            | Self::ProxyFailed { .. }
            | Self::OutcomeUnknown { .. }
            | Self::RateLimited { .. } => ErrorKind::Unreachable,
            Self::Rejected { .. } | Self::UnexpectedResponse { .. } => ErrorKind::Failed,
        }
    }

    /// Returns what to do about the connection settings of this machine, if they are the cause.
    pub fn settings_advice(&self) -> Option<&str> {
        match self {
            Self::NotSent { .. } => {
                Some("check the network, the proxy settings and --server, then try again")
            }
            Self::InvalidCertificate { .. } => Some(INVALID_CERTIFICATE_ADVICE),
            Self::InvalidSetting { advice, .. } | Self::ProxyFailed { advice, .. } => Some(advice),
            _ => None,
        }
    }

    /// Returns the status of a rejected request.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Rejected { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            _ => None,
        }
    }

    /// Classifies a failed request. reqwest's own messages contain the URL, so only
    /// the kind and the innermost message are kept.
    pub(super) fn from_reqwest(server: &str, error: &reqwest::Error) -> Self {
        let server = String::from(server);
        if let Some(reason) = certificate_problem(error) {
            return Self::InvalidCertificate { server, reason };
        }
        if error.is_builder() && innermost_message(error).contains("No CA certificates") {
            return Self::InvalidSetting {
                variable: "SSL_CERT_FILE",
                problem: "is not set, and this system has no certificates of its own".into(),
                advice: "install the system's certificates (package ca-certificates), or set SSL_CERT_FILE to a file with certificates in PEM form".into(),
            };
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

/// Returns the messages of an error's sources, outermost first. The error's own message contains the URL.
pub(super) fn error_messages(error: &reqwest::Error) -> Vec<String> {
    error_chain(error).skip(1).map(ToString::to_string).collect()
}

fn innermost_message(error: &reqwest::Error) -> String {
    error_messages(error).pop().unwrap_or_default()
}

/// Returns the problem with a certificate, if there is one.
pub(super) fn certificate_problem(error: &reqwest::Error) -> Option<String> {
    use rustls::CertificateError as Problem;
    let tls = error_chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    let rustls::Error::InvalidCertificate(problem) = tls else { return None };
    let problem = match problem {
        Problem::Expired | Problem::ExpiredContext { .. } => "certificate has expired",
        Problem::NotValidYet | Problem::NotValidYetContext { .. } => "certificate is not valid yet",
        Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
            "certificate is for another host name"
        }
        Problem::UnknownIssuer => return Some(unknown_issuer_problem()),
        Problem::Revoked => "certificate was revoked",
        _ => "certificate is invalid",
    };
    Some(problem.into())
}

/// Describes an untrusted issuer, and names the variables that decide who is trusted.
fn unknown_issuer_problem() -> String {
    let problem = "certificate issued by an untrusted authority";
    match TrustedCertificates::from_env() {
        Ok(TrustedCertificates::Variables { sources, .. }) => {
            format!("{problem}: only those of {} are trusted", sources.join(" and "))
        }
        _ => problem.into(),
    }
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
    let innermost = innermost_message(error);
    if innermost.is_empty() {
        return "the connection failed".into();
    }
    // A library message for a problem that the user can solve.
    if innermost.contains("NoApplicationProtocol") {
        return "it does not support HTTP/1.1".into();
    }
    sanitize(&io_error_text(&innermost), 120)
}
