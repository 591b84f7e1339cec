//! The HTTP client of OpenRouter. Each method sends one request; the caller decides about retries.

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

/// The maximum number of bytes read from a response.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The app attribution headers; values are ASCII.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// `HTTP-Referer`: the URL of the app.
    pub url: String,
    /// `X-OpenRouter-Title`.
    pub title: String,
    /// `X-OpenRouter-Categories`, comma separated.
    pub categories: String,
}

/// A success response to the creation of a key.
#[derive(Debug)]
pub enum CreateKeyResponse {
    /// The response contains a key.
    Key(CreatedKey),
    /// No key was found; the response is kept for the user.
    Unexpected {
        /// The part that was read.
        body: SecretString,
        /// Whether the response was longer than [`MAX_RESPONSE_BYTES`].
        truncated: bool,
    },
}

/// The response to [`Client::probe_server`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    /// The HTTP status.
    pub status: u16,
    /// The time of the server's clock.
    pub date: Option<Timestamp>,
}

/// An HTTP client for one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    host: String,
}

impl Client {
    /// Creates a client for `server` with a `timeout` for each request.
    ///
    /// Takes some milliseconds for an https server, because it loads the system's certificates.
    pub fn new(server: &Url, timeout: Duration, app: &Attribution) -> Result<Self, Error> {
        // Fails if this provider is already installed.
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
            // Shorter than the request timeout, so that a failed connection is recognized as such.
            .connect_timeout((timeout / 2).min(Duration::from_secs(15)))
            // Redirects are not followed with credentials.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .http1_only()
            .referer(false);
        if server.scheme() == "http" {
            // Only loopback may use http, so there are no certificates and no proxy.
            builder = builder.tls_certs_only([]).no_proxy();
        }
        let http = builder.build().map_err(|error| Error::from_reqwest(&host, &error))?;
        Ok(Self { http, server: server.clone(), host })
    }

    /// Exchanges a code for a key (`POST /api/v1/auth/keys`).
    #[expect(
        clippy::disallowed_methods,
        reason = "the request body contains the code and verifier"
    )]
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

    /// Creates an authorization code with an existing key instead of the consent page
    /// (`POST /api/v1/auth/keys/code`).
    pub async fn create_auth_code(
        &self,
        key: &ApiKey,
        challenge: &str,
        request: &KeyRequest,
    ) -> Result<AuthCode, Error> {
        let mut body = json!({
            // Required but not used: the response contains the code.
            "callback_url": "http://127.0.0.1/",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "key_label": request.label,
        });
        // Unset fields are omitted because not every field accepts null.
        for (name, value) in [
            ("limit", request.limit.map(|limit| json!(limit))),
            (
                "usage_limit_type",
                request.limit_reset.map(ResetInterval::as_str).map(|interval| json!(interval)),
            ),
            ("expires_at", request.expiry.as_ref().map(|expiry| json!(expiry.to_api_string()))),
            ("workspace_id", request.workspace_id.as_ref().map(|id| json!(id))),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let request = self
            .http
            .post(self.endpoint_url("api/v1/auth/keys/code"))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.bearer_header(key)?)
            .body(body.to_string());
        let response = self.send_request(request).await?;
        match response.read_error {
            Some(error) => Err(error),
            None => {
                wire::parse_auth_code(&String::from_utf8_lossy(&response.body)).ok_or_else(|| {
                    Error::UnexpectedResponse { server: self.host.clone(), expected: "a code" }
                })
            }
        }
    }

    /// Returns the properties of `key` (`GET /api/v1/key`).
    pub async fn get_current_key(&self, key: &ApiKey) -> Result<KeyInfo, Error> {
        let unexpected = Error::UnexpectedResponse {
            server: self.host.clone(),
            expected: "a description of a key",
        };
        let bearer = self.bearer_header(key)?;
        let response = self
            .send_request(
                self.http.get(self.endpoint_url("api/v1/key")).header(AUTHORIZATION, bearer),
            )
            .await?;
        match response.read_error {
            Some(error) => Err(error),
            None => {
                wire::parse_key_info(&String::from_utf8_lossy(&response.body)).ok_or(unexpected)
            }
        }
    }

    /// Sends `GET /api/v1/key` without a key, which OpenRouter answers with 401.
    pub async fn probe_server(&self) -> Result<ProbeResponse, Error> {
        let response = self.http.get(self.endpoint_url("api/v1/key")).send().await;
        let response = response.map_err(|error| Error::from_reqwest(&self.host, &error))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let parser = jiff::fmt::rfc2822::DateTimeParser::new();
        Ok(ProbeResponse {
            status: response.status().as_u16(),
            date: date.and_then(|date| parser.parse_timestamp(date).ok()),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "the header contains the key")]
    fn bearer_header(&self, key: &impl ExposeSecret<str>) -> Result<HeaderValue, Error> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
            .map_err(|_| Error::NotSent {
                server: self.host.clone(),
                reason: "the key contains characters that are not allowed in a header".into(),
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

    /// Sends a request and reads at most `limit` bytes of the response. A success status returns
    /// the body, even if it is incomplete; every other status is an error.
    async fn send_with_limit(
        &self,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<RawResponse, Error> {
        let to_error = |error| Error::from_reqwest(&self.host, &error);
        let request = request.build().map_err(to_error)?;
        let secrets = redaction::extract_secrets(&request);
        let mut response = self.http.execute(request).await.map_err(to_error)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(parse_retry_after);
        let mut body = Vec::new();
        let (mut read_error, mut truncated) = (None, false);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let remaining = limit - body.len();
                    body.extend_from_slice(&chunk[..chunk.len().min(remaining)]);
                    truncated = chunk.len() > remaining;
                    if truncated {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    read_error = Some(Error::from_reqwest(&self.host, &error));
                    break;
                }
            }
        }
        let server = self.host.clone();
        // A message that repeats a secret must not be shown or logged.
        let message = || {
            wire::parse_error_message(&String::from_utf8_lossy(&body))
                .filter(|text| !redaction::contains_secret(text, &secrets))
        };
        match status {
            200..=299 => Ok(RawResponse { body, read_error, truncated }),
            429 => Err(Error::RateLimited { server, retry_after }),
            // The server or a proxy failed; the server may have acted before.
            408 | 500..=599 => {
                let detail = message().map(|m| format!(": {m}")).unwrap_or_default();
                Err(Error::OutcomeUnknown {
                    server,
                    reason: format!("it answered {status}{detail}"),
                })
            }
            _ => Err(Error::Rejected { server, status, message: message() }),
        }
    }
}

struct RawResponse {
    body: Vec<u8>,
    read_error: Option<Error>,
    /// Whether the response was longer than the limit.
    truncated: bool,
}

/// Returns the key in a success response, even if the response is incomplete.
fn parse_create_response(response: RawResponse) -> Result<CreateKeyResponse, Error> {
    match wire::parse_created_key(&String::from_utf8_lossy(&response.body)) {
        Some(created) => Ok(CreateKeyResponse::Key(created)),
        None => match response.read_error {
            Some(error) => Err(error),
            None => Ok(CreateKeyResponse::Unexpected {
                body: wire::to_secret_text(&response.body),
                truncated: response.truncated,
            }),
        },
    }
}

/// Parses `Retry-After` in either form of RFC 9110 §10.2.3.
fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(at.duration_since(Timestamp::now())).ok()
}
