//! The HTTP client of OpenRouter. A request is sent again after a temporary failure if it is idempotent
//! and the client was told to retry.

mod account;
mod certificates;
mod content_encoding;
mod error;
mod keys;
mod proxy;
mod redaction;
mod server_clock;
pub(crate) mod wire;

pub use certificates::TrustedCertificates;
pub use error::Error;
pub use proxy::{ProxyServer, Route};
pub use wire::{CreatedKey, Page};

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use server_clock::{ServerClock, parse_retry_after};
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
    proxy: Option<ProxyServer>,
    clock: ServerClock,
    max_retries: u32,
}

/// How a server is reached from this machine.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Through a proxy or directly.
    pub route: Route,
}

impl Connection {
    /// Reads the environment variables that apply to `server`. Fails if one of them makes a secure
    /// connection impossible.
    pub fn from_env(server: &Url) -> Result<Self, Error> {
        if server.scheme() != "http" {
            TrustedCertificates::from_env()?;
        }
        Ok(Self { route: Route::from_env(server)? })
    }
}

impl Client {
    /// Creates a client for `server` with a `timeout` for each request.
    ///
    /// Takes some milliseconds for an https server, because it loads the system's certificates.
    pub fn new(server: &Url, timeout: Duration, app: &Attribution) -> Result<Self, Error> {
        // Fails if this provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = server.host_str().unwrap_or_default().to_owned();
        let proxy = match Connection::from_env(server)?.route {
            Route::Proxy(proxy) => Some(proxy),
            Route::Loopback | Route::Direct | Route::Excepted(_) => None,
        };
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
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
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
            .referer(false)
            // The library bypasses a proxy that it does not understand.
            .no_proxy();
        let to_error = |error| Error::from_reqwest(&host, &error);
        if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.to_reqwest().map_err(to_error)?);
        }
        if server.scheme() == "http" {
            // Only loopback may use http, so there are no certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(to_error)?;
        Ok(Self {
            http,
            server: server.clone(),
            host,
            proxy,
            clock: ServerClock::default(),
            max_retries: 0,
        })
    }

    /// Returns a client that sends an idempotent request up to `max_retries` times more after a
    /// temporary failure; a new client sends it once.
    #[must_use]
    pub fn with_retries(self, max_retries: u32) -> Self {
        Self { max_retries, ..self }
    }

    /// Returns a client that sends each request once.
    #[must_use]
    pub fn once(&self) -> Self {
        self.clone().with_retries(0)
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
        self.once().fetch(request, "a code", wire::parse_auth_code).await
    }

    /// Returns the properties of `key` (`GET /api/v1/key`).
    pub async fn get_current_key(&self, key: &ApiKey) -> Result<KeyInfo, Error> {
        let request = self.http.get(self.endpoint_url("api/v1/key"));
        let request = request.header(AUTHORIZATION, self.bearer_header(key)?);
        self.fetch(request, "a description of a key", wire::parse_key_info).await
    }

    /// Sends `GET /api/v1/key` without a key, which OpenRouter answers with 401.
    pub async fn probe_server(&self) -> Result<ProbeResponse, Error> {
        let request = self.http.get(self.endpoint_url("api/v1/key"));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.explain_error(&error).await),
        };
        Ok(ProbeResponse {
            status: response.status().as_u16(),
            date: server_clock::parse_date(response.headers()),
        })
    }

    /// Returns the server's time according to its last response; before the first response, this
    /// machine's time.
    pub fn server_time(&self) -> Timestamp {
        self.clock.now()
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

    /// Classifies a request without a response. If a proxy refused the connection, it is asked for
    /// the reason.
    async fn explain_error(&self, error: &reqwest::Error) -> Error {
        if let Some(proxy) = &self.proxy
            && error.is_connect()
        {
            let messages = error::error_messages(error);
            let certificate_problem = error::certificate_problem(error);
            let port = self.server.port_or_known_default().unwrap_or(443);
            let timed_out = error.is_timeout();
            let explained = proxy
                .explain_failure(&messages, certificate_problem, timed_out, &self.host, port)
                .await;
            if let Some(error) = explained {
                return error;
            }
        }
        Error::from_reqwest(&self.host, error)
    }

    fn endpoint_url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    /// Sends an idempotent request and parses its response; `expected` says what that is.
    fn fetch<T>(
        &self,
        request: reqwest::RequestBuilder,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> impl Future<Output = Result<T, Error>> {
        self.fetch_with_limit(request, MAX_RESPONSE_BYTES, expected, parse)
    }

    async fn fetch_with_limit<T>(
        &self,
        mut request: reqwest::RequestBuilder,
        limit: usize,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let mut tries = 0;
        let response = loop {
            let again = request.try_clone().filter(|_| tries < self.max_retries);
            // Boxed, because every future that sends a request would contain this one.
            let sent = Box::pin(self.send_with_limit(request, limit)).await;
            let error = match sent
                .and_then(|response| response.read_error.clone().map_or(Ok(response), Err))
            {
                Ok(response) => break response,
                Err(error) => error,
            };
            let (Some(again), Some(delay)) = (again, error.retry_delay(tries)) else {
                return Err(error);
            };
            tokio::time::sleep(delay).await;
            (request, tries) = (again, tries + 1);
        };
        parse(&String::from_utf8_lossy(&response.body))
            .ok_or_else(|| Error::UnexpectedResponse { server: self.host.clone(), expected })
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
        let request = request.build().map_err(|error| Error::from_reqwest(&self.host, &error))?;
        let secrets = redaction::extract_secrets(&request);
        let mut response = match self.http.execute(request).await {
            Ok(response) => response,
            Err(error) => return Err(self.explain_error(&error).await),
        };
        self.clock.record(response.headers());
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(parse_retry_after);
        let codings = response.headers().get_all(CONTENT_ENCODING).into_iter();
        let codings: Vec<_> = codings.filter_map(|coding| coding.to_str().ok()).collect();
        let codings = codings.join(",");
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
        let mut received = None;
        if let Some((decoded, has_more)) = content_encoding::decode_body(&codings, &body, limit) {
            received = Some(std::mem::replace(&mut body, decoded));
            truncated |= has_more;
        }
        let server = self.host.clone();
        // A message that repeats a secret must not be shown or logged.
        let message = || {
            wire::parse_error_message(&String::from_utf8_lossy(&body))
                .filter(|text| !redaction::contains_secret(text, &secrets))
        };
        match status {
            200..=299 => Ok(RawResponse { body, received, read_error, truncated }),
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
    /// The decoded body, or the body as received if it could not be decoded.
    body: Vec<u8>,
    /// The body as received, if it was decoded.
    received: Option<Vec<u8>>,
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
                // Decoding may have lost a part, so the response is kept as it was received.
                body: wire::to_secret_text(response.received.as_deref().unwrap_or(&response.body)),
                truncated: response.truncated,
            }),
        },
    }
}

/// Returns the key in a response that [`CreateKeyResponse::Unexpected`] kept, if this version can
/// read it.
#[expect(clippy::disallowed_methods, reason = "the response may contain a key")]
pub fn parse_saved_response(saved: &SecretString) -> Option<CreatedKey> {
    let bytes = wire::from_secret_text(saved.expose_secret());
    let decoded = content_encoding::decode_body("", &bytes, MAX_RESPONSE_BYTES)
        .or_else(|| content_encoding::decode_body("deflate", &bytes, MAX_RESPONSE_BYTES));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoded
        .and_then(|(decoded, _)| wire::parse_created_key(&text(&decoded)))
        .or_else(|| wire::parse_created_key(&text(&bytes)))
}
