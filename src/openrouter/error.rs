//! What can come back instead of an answer, sorted by the one thing that matters: whether the
//! server may have acted. Must not know: what was asked.

use std::sync::Arc;

use std::time::Duration;

use crate::key::{Read, Reading, clean};

/// A request that brought no usable answer. Never holds a URL, a code or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was sent: no connection, no such host, no trust in its certificate.
    #[error("{server} could not be reached ({why})")]
    NotSent {
        /// The server's host.
        server: String,
        /// Why, in a few words.
        why: String,
    },
    /// Sent, and no whole answer came: the server may have acted.
    #[error("{server} was asked and gave no whole answer ({why})")]
    Ambiguous {
        /// The server's host.
        server: String,
        /// Why, in a few words.
        why: String,
    },
    /// The server asks for patience (429); it did not act.
    #[error("{server} asks to slow down (429)")]
    SlowDown {
        /// The server's host.
        server: String,
        /// From `Retry-After`, if it was there.
        retry_after: Option<Duration>,
    },
    /// A clean refusal; the server did not act.
    #[error("{server} answered {status}{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Refused {
        /// The server's host.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words, cleaned.
        message: Option<String>,
    },
    /// An answer of success that is not what was asked for.
    #[error("{server} answered something that is not {expected}")]
    Odd {
        /// The server's host.
        server: String,
        /// What it should have been.
        expected: &'static str,
    },
}

/// What asking a key about itself came to.
impl From<Result<Reading, Error>> for Read {
    fn from(answer: Result<Reading, Error>) -> Self {
        match answer {
            Ok(reading) => Self::Told(Arc::new(reading)),
            Err(Error::Refused { status: 401, .. }) => Self::Refused,
            Err(Error::Refused { status: 402, .. }) => Self::NoCredit,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// The longest that `Retry-After` is obeyed; beyond it a person decides.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Error {
    /// How long to wait before the same request is sent again, after so many tries, by someone to
    /// whom repeating it is safe; `None` where repeating brings nothing.
    pub fn pause(&self, tries: u32) -> Option<Duration> {
        let backoff = Duration::from_millis(500 << tries.min(5));
        match self {
            Self::NotSent { .. } | Self::Ambiguous { .. } => Some(backoff),
            Self::SlowDown { retry_after, .. } => {
                Some(retry_after.unwrap_or(backoff * 2)).filter(|wait| *wait <= LONGEST_WAIT)
            }
            Self::Refused { .. } | Self::Odd { .. } => None,
        }
    }

    /// The status of a clean refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::SlowDown { .. } => Some(429),
            Self::NotSent { .. } | Self::Ambiguous { .. } | Self::Odd { .. } => None,
        }
    }

    /// Sorts a failed request. reqwest's own words carry the URL: only their kind is kept.
    pub(super) fn of_transport(server: &str, error: &reqwest::Error) -> Self {
        let server = String::from(server);
        if error.is_connect() || error.is_builder() {
            return Self::NotSent { server, why: connect_reason(error) };
        }
        let why = if error.is_timeout() {
            "it took too long"
        } else if error.is_body() || error.is_decode() {
            "the answer broke off"
        } else {
            "the connection broke"
        };
        Self::Ambiguous { server, why: why.into() }
    }
}

/// The innermost words of a failed connection: those of the resolver, the socket or TLS. None of
/// them holds more of the URL than its host.
fn connect_reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no connection in time".into();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if std::ptr::addr_eq(innermost, std::ptr::from_ref(error)) {
        return "no connection".into();
    }
    clean(&innermost.to_string(), 120)
}
