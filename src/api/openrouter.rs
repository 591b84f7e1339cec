//! The HTTP client of OpenRouter. A request is sent again after a temporary failure if it is idempotent
//! and the client was told to retry.

mod account;
mod certificates;
mod content_encoding;
mod error;
mod keys;
mod management;
mod proxy;
mod redaction;
mod send;
mod server_clock;
pub(crate) mod wire;

pub use certificates::TrustedCertificates;
pub use error::{Error, MAX_RETRY_AFTER};
pub use management::ManagementClient;
pub use proxy::{ProxyServer, Route};
pub use wire::{CreatedKey, Page};

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use send::RawResponse;
use serde_json::json;
use server_clock::ServerClock;
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

    fn endpoint_url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }
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
