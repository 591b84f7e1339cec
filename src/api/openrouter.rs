//! The HTTP client of OpenRouter: one request, one answer, sorted by whether the server may have
//! acted. Owns: transport rules (TLS, redirects, sizes, times, attribution). Must not know: why a
//! request is made, or whether to repeat it.

mod error;
mod keys;
mod redaction;
pub(crate) mod wire;

pub use error::{Error, INVALID_CERTIFICATE_ADVICE};
pub use wire::{CreatedKey, Page};

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use crate::domain::{ApiKey, AuthCode, CodeVerifier, KeyInfo, KeyRequest, ResetInterval};

/// The most that is read of an answer, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

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
pub enum CreateKeyResponse {
    /// With a key in it.
    Key(CreatedKey),
    /// Without one that could be found: kept for the person, never thrown away.
    Unexpected {
        /// What was read of it.
        body: SecretString,
        /// Whether there was more than [`ANSWER_LIMIT`].
        truncated: bool,
    },
}

/// A server that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
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
        let http = builder.build().map_err(|error| Error::from_reqwest(&host, &error))?;
        Ok(Self { http, server: server.clone(), host })
    }

    /// Exchanges a code for a key (`POST /api/v1/auth/keys`), once.
    #[expect(clippy::disallowed_methods, reason = "door: the HTTP body")]
    pub async fn exchange_code(
        &self,
        code: &AuthCode,
        verifier: &CodeVerifier,
    ) -> Result<CreateKeyResponse, Error> {
        let body = json!({
            "code": code.expose_secret(),
            "code_verifier": verifier.expose_secret(),
            "code_challenge_method": "S256",
        });
        let request = self
            .http
            .post(self.endpoint_url("api/v1/auth/keys"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        parse_create_response(self.send_request(request).await?)
    }

    /// Has a key of the account vouch for a new one, in the consent page's place
    /// (`POST /api/v1/auth/keys/code`): the code for the exchange.
    pub async fn create_auth_code(
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
            (
                "usage_limit_type",
                request.limit_reset.map(ResetInterval::as_str).map(|word| json!(word)),
            ),
            ("expires_at", request.expiry.as_ref().map(|expiry| json!(expiry.to_api_string()))),
            ("workspace_id", request.workspace_id.as_ref().map(|id| json!(id))),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let sent = self
            .http
            .post(self.endpoint_url("api/v1/auth/keys/code"))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.bearer_header(key)?)
            .body(body.to_string());
        let answer = self.send_request(sent).await?;
        match answer.read_error {
            Some(error) => Err(error),
            None => {
                wire::parse_auth_code(&String::from_utf8_lossy(&answer.body)).ok_or_else(|| {
                    Error::UnexpectedResponse { server: self.host.clone(), expected: "a code" }
                })
            }
        }
    }

    /// Asks a key about itself (`GET /api/v1/key`).
    pub async fn get_current_key(&self, key: &ApiKey) -> Result<KeyInfo, Error> {
        let odd = Error::UnexpectedResponse {
            server: self.host.clone(),
            expected: "a description of a key",
        };
        let bearer = self.bearer_header(key)?;
        let answer = self
            .send_request(
                self.http.get(self.endpoint_url("api/v1/key")).header(AUTHORIZATION, bearer),
            )
            .await?;
        match answer.read_error {
            Some(error) => Err(error),
            None => wire::parse_key_info(&String::from_utf8_lossy(&answer.body)).ok_or(odd),
        }
    }

    /// Knocks: asks for the description of a key (`GET /api/v1/key`) and shows none, which
    /// OpenRouter answers with 401.
    pub async fn probe_server(&self) -> Result<ProbeResponse, Error> {
        let answer = self.http.get(self.endpoint_url("api/v1/key")).send().await;
        let answer = answer.map_err(|error| Error::from_reqwest(&self.host, &error))?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        let parser = jiff::fmt::rfc2822::DateTimeParser::new();
        Ok(ProbeResponse {
            status: answer.status().as_u16(),
            date: date.and_then(|date| parser.parse_timestamp(date).ok()),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "door: the HTTP header")]
    fn bearer_header(&self, key: &impl ExposeSecret<str>) -> Result<HeaderValue, Error> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
            .map_err(|_| Error::NotSent {
                server: self.host.clone(),
                reason: "the key holds characters that no request can carry".into(),
            })?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }

    fn endpoint_url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    async fn send_request(&self, request: reqwest::RequestBuilder) -> Result<RawResponse, Error> {
        self.send_with_limit(request, MAX_RESPONSE_BYTES).await
    }

    /// Sends once, and reads at most so many bytes of the answer. Success comes with its body,
    /// however far that came; all else is an error.
    async fn send_with_limit(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<RawResponse, Error> {
        let failed = |error| Error::from_reqwest(&self.host, &error);
        let request = request.build().map_err(failed)?;
        let secrets = redaction::extract_secrets(&request);
        let mut response = self.http.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(parse_retry_after);
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
                    broken = Some(Error::from_reqwest(&self.host, &error));
                    break;
                }
            }
        }
        let server = self.host.clone();
        // Words that repeat what was sent are not for a screen or a log.
        let message = || {
            wire::parse_error_message(&String::from_utf8_lossy(&body))
                .filter(|words| !redaction::contains_secret(words, &secrets))
        };
        match status {
            200..=299 => Ok(RawResponse { body, read_error: broken, truncated: more }),
            429 => Err(Error::RateLimited { server, retry_after }),
            // The server, or something before it, broke down: it may have acted first.
            408 | 500..=599 => {
                let words = message().map(|m| format!(": {m}")).unwrap_or_default();
                Err(Error::OutcomeUnknown {
                    server,
                    reason: format!("it answered {status}{words}"),
                })
            }
            _ => Err(Error::Rejected { server, status, message: message() }),
        }
    }
}

struct RawResponse {
    body: Vec<u8>,
    read_error: Option<Error>,
    /// Whether there was more than was read.
    truncated: bool,
}

/// The key in an answer of success, however that answer ended.
fn parse_create_response(answer: RawResponse) -> Result<CreateKeyResponse, Error> {
    match wire::parse_created_key(&String::from_utf8_lossy(&answer.body)) {
        Some(exchanged) => Ok(CreateKeyResponse::Key(exchanged)),
        None => match answer.read_error {
            Some(error) => Err(error),
            None => Ok(CreateKeyResponse::Unexpected {
                body: wire::to_secret_text(&answer.body),
                truncated: answer.truncated,
            }),
        },
    }
}

/// `Retry-After` in either form of RFC 9110 §10.2.3.
fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(Timestamp::now())).ok()
}
