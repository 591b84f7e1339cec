//! The HTTP client of OpenRouter: one request, one answer, sorted by whether the server may have
//! acted. Owns: transport rules (TLS, redirects, sizes, times, attribution). Must not know: why a
//! request is made, or whether to repeat it.

mod error;
mod keys;
mod redaction;
pub(crate) mod wire;

pub use error::{DISTRUST, Error};
pub use wire::{Exchanged, Page};

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::domain::{ApiKey, AuthCode, CodeVerifier, KeyRequest, Reading, Reset};

/// The most that is read of an answer, in bytes.
pub const ANSWER_LIMIT: usize = 64 * 1024;

/// Who we say we are: ASCII header values.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// `HTTP-Referer`: the app's identity.
    pub url: String,
    /// `X-OpenRouter-Title`.
    pub title: String,
    /// `X-OpenRouter-Categories`, comma separated.
    pub categories: String,
}

/// An answer of success to the exchange.
#[derive(Debug)]
pub enum Issued {
    /// With a key in it.
    Key(Exchanged),
    /// Without one that could be found: kept for the person, never thrown away.
    Odd {
        /// What was read of it.
        body: SecretString,
        /// Whether there was more than [`ANSWER_LIMIT`].
        more: bool,
    },
}

/// A server that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The HTTP status.
    pub status: u16,
    /// The server's clock.
    pub date: Option<Timestamp>,
}

/// A client of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    host: String,
}

impl Client {
    /// A client of `server` that gives each request `timeout`.
    ///
    /// Reads the system's certificates for an https server, so it costs some milliseconds.
    pub fn new(server: &Url, timeout: Duration, app: &Attribution) -> Result<Self, Error> {
        // A second call finds the provider installed: the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = server.host_str().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("http-referer", &app.url),
            ("x-openrouter-title", &app.title),
            ("x-openrouter-categories", &app.categories),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(timeout)
            // Shorter than the whole, or a connection that never opens would look like one that did.
            .connect_timeout((timeout / 2).min(Duration::from_secs(15)))
            // A redirect would carry the secret to a server nobody chose.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .http1_only()
            .referer(false);
        if server.scheme() == "http" {
            // Loopback alone may be http: no certificate to check, no proxy to pass.
            builder = builder.tls_certs_only([]).no_proxy();
        }
        let http = builder.build().map_err(|error| Error::of_transport(&host, &error))?;
        Ok(Self { http, server: server.clone(), host })
    }

    /// Exchanges a code for a key (`POST /api/v1/auth/keys`), once.
    #[expect(clippy::disallowed_methods, reason = "door: the HTTP body")]
    pub async fn exchange(
        &self,
        code: &AuthCode,
        verifier: &CodeVerifier,
    ) -> Result<Issued, Error> {
        let body = json!({
            "code": code.expose_secret(),
            "code_verifier": verifier.expose_secret(),
            "code_challenge_method": "S256",
        });
        let request = self
            .http
            .post(self.url("api/v1/auth/keys"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        issued(self.send(request).await?)
    }

    /// Has a key of the account vouch for a new one, in the consent page's place
    /// (`POST /api/v1/auth/keys/code`): the code for the exchange.
    pub async fn create_code(
        &self,
        key: &ApiKey,
        challenge: &str,
        request: &KeyRequest,
    ) -> Result<AuthCode, Error> {
        let mut body = json!({
            // Required, and called by nobody: the code is in the answer.
            "callback_url": "http://127.0.0.1/",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "key_label": request.label,
        });
        // What is not asked for is left out: not every field takes a null.
        for (name, value) in [
            ("limit", request.limit.map(|limit| json!(limit))),
            ("usage_limit_type", request.reset.map(Reset::as_str).map(|word| json!(word))),
            ("expires_at", request.expiry.as_ref().map(|expiry| json!(expiry.wire()))),
            ("workspace_id", request.workspace.as_ref().map(|id| json!(id))),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let sent = self
            .http
            .post(self.url("api/v1/auth/keys/code"))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.bearer(key)?)
            .body(body.to_string());
        let answer = self.send(sent).await?;
        match answer.broken {
            Some(error) => Err(error),
            None => wire::code(&String::from_utf8_lossy(&answer.body))
                .ok_or_else(|| Error::Odd { server: self.host.clone(), expected: "a code" }),
        }
    }

    /// Asks a key about itself (`GET /api/v1/key`).
    pub async fn key(&self, key: &ApiKey) -> Result<Reading, Error> {
        let odd = Error::Odd { server: self.host.clone(), expected: "a description of a key" };
        let bearer = self.bearer(key)?;
        let answer =
            self.send(self.http.get(self.url("api/v1/key")).header(AUTHORIZATION, bearer)).await?;
        match answer.broken {
            Some(error) => Err(error),
            None => wire::reading(&String::from_utf8_lossy(&answer.body)).ok_or(odd),
        }
    }

    /// Knocks: asks for the description of a key (`GET /api/v1/key`) and shows none, which
    /// OpenRouter answers with 401.
    pub async fn reach(&self) -> Result<Reached, Error> {
        let answer = self.http.get(self.url("api/v1/key")).send().await;
        let answer = answer.map_err(|error| Error::of_transport(&self.host, &error))?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let parser = jiff::fmt::rfc2822::DateTimeParser::new();
        Ok(Reached {
            status: answer.status().as_u16(),
            date: date.and_then(|date| parser.parse_timestamp(date).ok()),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "door: the HTTP header")]
    fn bearer(&self, key: &impl ExposeSecret<str>) -> Result<HeaderValue, Error> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
            .map_err(|_| Error::NotSent {
                server: self.host.clone(),
                why: "the key holds characters that no request can carry".into(),
            })?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Error> {
        self.send_for(request, ANSWER_LIMIT).await
    }

    /// Sends once, and reads at most so many bytes of the answer. Success comes with its body,
    /// however far that came; all else is an error.
    async fn send_for(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<Answer, Error> {
        let failed = |error| Error::of_transport(&self.host, &error);
        let request = request.build().map_err(failed)?;
        let secrets = redaction::secrets(&request);
        let mut response = self.http.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(retry_after);
        let mut body = Vec::new();
        let (mut broken, mut more) = (None, false);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = limit - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    more = chunk.len() > room;
                    if more {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(Error::of_transport(&self.host, &error));
                    break;
                }
            }
        }
        let server = self.host.clone();
        // Words that repeat what was sent are not for a screen or a log.
        let message = || {
            wire::error_message(&String::from_utf8_lossy(&body))
                .filter(|words| !redaction::repeats(words, &secrets))
        };
        match status {
            200..=299 => Ok(Answer { body, broken, more }),
            429 => Err(Error::SlowDown { server, retry_after }),
            // The server, or something before it, broke down: it may have acted first.
            408 | 500..=599 => {
                let words = message().map(|m| format!(": {m}")).unwrap_or_default();
                Err(Error::Ambiguous { server, why: format!("it answered {status}{words}") })
            }
            _ => Err(Error::Refused { server, status, message: message() }),
        }
    }
}

struct Answer {
    body: Vec<u8>,
    broken: Option<Error>,
    /// Whether there was more than was read.
    more: bool,
}

/// The key in an answer of success, however that answer ended.
fn issued(answer: Answer) -> Result<Issued, Error> {
    match wire::exchanged(&String::from_utf8_lossy(&answer.body)) {
        Some(exchanged) => Ok(Issued::Key(exchanged)),
        None => match answer.broken {
            Some(error) => Err(error),
            None => Ok(Issued::Odd { body: wire::secret_text(&answer.body), more: answer.more }),
        },
    }
}

/// `Retry-After` in either form of RFC 9110 §10.2.3.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(Timestamp::now())).ok()
}
