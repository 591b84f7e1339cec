//! Requests to the engine with a token, and what its responses mean.

mod login;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::Error;
use super::settings::{BaoOptions, Credentials, Environment, invalid, resolve_leader};
use super::tls::{add_tls, tls_problem};
use super::waiting::Outage;
use super::wire::{Body, Errors};
use crate::domain::{error_chain, sanitize};

/// The maximum number of bytes read from a response: a list of ten thousand labels fits.
const MAX_RESPONSE_BYTES: usize = 8 << 20;

/// A connection to the engine. The token is read, or the login made, at the first request.
pub(super) struct Session {
    http: reqwest::Client,
    url: Url,
    pub(super) address: String,
    namespace: Option<HeaderValue>,
    credentials: Option<Credentials>,
    token: Mutex<Option<Token>>,
    /// Held while a login is made, so that requests at the same time make one.
    login: tokio::sync::Mutex<()>,
    /// The last state of the cluster that was seen. A node that has not got as far does not respond, so
    /// that a read on a standby returns what was written before.
    index: Mutex<Option<HeaderValue>>,
    /// The time for a response that the user wants.
    timeout: Duration,
    pub(super) outage: Outage,
}

/// The token in use.
#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// Whether a login gave it, so that another login can replace it.
    is_from_login: bool,
}

/// A response that was received whole.
pub(super) struct Response {
    pub status: u16,
    body: Vec<u8>,
    /// Where a temporary redirect points.
    location: Option<String>,
}

impl Response {
    pub(super) fn parse<T: DeserializeOwned>(&self, address: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::UnexpectedResponse {
            address: address.into(),
            // serde's message could repeat a secret, so only the place is kept.
            problem: format!(
                "its JSON is invalid at line {}, column {}",
                error.line(),
                error.column()
            ),
        })
    }

    /// Returns the engine's own words.
    pub(super) fn message(&self) -> String {
        let errors: Errors = serde_json::from_slice(&self.body).unwrap_or_default();
        let texts: Vec<_> = errors.errors.iter().filter_map(Value::as_str).collect();
        sanitize(texts.join("; ").trim(), 300)
    }
}

impl Session {
    /// Reads the settings. Sends nothing.
    pub(super) fn open(options: &BaoOptions) -> Result<Self, Error> {
        // Fails if this provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let environment = Environment(&options.read_var);
        let mut url = environment.address(options)?;
        let namespace = match environment.namespace(options) {
            None => None,
            Some(text) => Some(HeaderValue::from_str(&text).map_err(|_| {
                invalid("BAO_NAMESPACE", "contains a character that is not allowed", "correct it")
            })?),
        };
        let address = url.origin().ascii_serialization();
        let tls = environment.tls()?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        // Without this header an agent beside the engine refuses the request.
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        let timeout = options.request_timeout;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout((timeout / 2).min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .referer(false)
            .no_proxy();
        let proxy = (options.find_proxy)(&url);
        if let Some(proxy) =
            proxy.map_err(|(name, problem, advice)| invalid(&name, &problem, &advice))?
        {
            builder = builder.proxy(proxy);
        }
        if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        } else {
            builder = add_tls(builder, &tls, &mut url)?;
        }
        let http = builder.build().map_err(|_| match tls.identity {
            Some(_) => invalid(
                "BAO_CLIENT_CERT",
                "and BAO_CLIENT_KEY do not belong together",
                "set them to the files of one certificate and its private key",
            ),
            None => invalid("BAO_CACERT", "cannot be used", "set it to a certificate in PEM form"),
        })?;
        let home = etcetera::home_dir().ok();
        let credentials = environment.credentials(options, home.as_deref())?;
        let (token, login, index) = Default::default();
        let outage = Outage::default();
        Ok(Self {
            http,
            url,
            address,
            namespace,
            credentials,
            token,
            login,
            index,
            timeout,
            outage,
        })
    }

    /// Returns the URL of an API path; each segment is encoded.
    fn api_url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.split('/'));
        }
        url.set_query(query);
        url
    }

    /// Sends a request with the token. Logs in first, and once more if the token was refused.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<&Body>,
    ) -> Result<Response, Error> {
        let token = self.token().await?;
        let response = self.send(method.clone(), path, query, body, Some(&token)).await?;
        if response.status == 403 && token.is_from_login && self.is_token_refused(&token).await {
            // Another request may have logged in again meanwhile.
            self.lock_token().take_if(|current| current.header == token.header);
            let token = self.token().await?;
            return self.send(method, path, query, body, Some(&token)).await;
        }
        Ok(response)
    }

    /// Sends a request that needs no token.
    pub(super) async fn request_without_token(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<Response, Error> {
        self.send(Method::GET, path, query, None, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Option<&Body>,
        token: Option<&Token>,
    ) -> Result<Response, Error> {
        let url = self.api_url(path, query);
        let response = self.send_to(url.clone(), &method, body, token).await?;
        // A node that is not the leader redirects to the leader while it cannot forward requests.
        let leader = match &response.location {
            Some(location) => {
                resolve_leader(&url, location).ok_or_else(|| Error::UnexpectedResponse {
                    address: self.address.clone(),
                    problem: "it redirects to where the token must not be sent".into(),
                })?
            }
            None => return self.checked(response),
        };
        match self.send_to(leader, &method, body, token).await {
            Ok(response) if response.location.is_none() => self.checked(response),
            // The leader that the node knows is gone or is no longer the leader.
            Ok(_) | Err(Error::Unreachable { .. }) => Err(Error::NoLeader(self.address.clone())),
            Err(error) => Err(error),
        }
    }

    fn checked(&self, response: Response) -> Result<Response, Error> {
        self.check_outage(&response)?;
        Ok(response)
    }

    async fn send_to(
        &self,
        url: Url,
        method: &Method,
        body: Option<&Body>,
        token: Option<&Token>,
    ) -> Result<Response, Error> {
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = token {
            request =
                request.header(HeaderName::from_static("x-vault-token"), token.header.clone());
        }
        if let Some(namespace) = &self.namespace {
            request =
                request.header(HeaderName::from_static("x-vault-namespace"), namespace.clone());
        }
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(index) = index {
            request = request
                .header(HeaderName::from_static("x-vault-index"), index)
                .header(HeaderName::from_static("x-vault-inconsistent"), "forward-active-node");
        }
        if let Some(body) = body {
            #[expect(clippy::disallowed_methods, reason = "the engine receives the secret")]
            let text = body.0.expose_secret().to_owned();
            request = request.header(CONTENT_TYPE, body.1).body(text);
        }
        request = request.timeout(self.outage.timeout(self.timeout));
        let response = request.send().await.map_err(|error| self.to_error(&error))?;
        self.outage.end();
        if let Some(index) = response.headers().get("x-vault-index") {
            *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
        }
        self.receive(response).await
    }

    async fn receive(&self, mut response: reqwest::Response) -> Result<Response, Error> {
        let status = response.status().as_u16();
        let location = response.headers().get(LOCATION).filter(|_| status == 307);
        let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.to_error(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(Error::UnexpectedResponse {
                    address: self.address.clone(),
                    problem: "it is longer than 8 MiB".into(),
                });
            }
        }
        Ok(Response { status, body, location })
    }

    /// Recognises responses that say that the engine cannot work now.
    fn check_outage(&self, response: &Response) -> Result<(), Error> {
        let address = || self.address.clone();
        match response.status {
            400 if response.body.starts_with(b"Client sent an HTTP request to an HTTPS server") => {
                Err(Error::UnexpectedResponse {
                    address: address(),
                    problem: "it speaks TLS, and the address begins with http://".into(),
                })
            }
            300..=399 => Err(Error::UnexpectedResponse {
                address: address(),
                problem: "it redirects, and redirects are not followed with a token".into(),
            }),
            412 => Err(Error::Lagging(address())),
            429 => Err(Error::TooManyRequests(address())),
            500..=599 => {
                let message = response.message();
                let has = |text: &str| message.contains(text);
                Err(if has("Vault is sealed") || has("OpenBao is sealed") || has("is sealed") {
                    Error::Sealed(address())
                } else if has("not initialized") {
                    Error::NotInitialized(address())
                } else if has("active cluster node not found")
                    || has("node not active")
                    || has("leader")
                    || has("standby")
                {
                    Error::NoLeader(address())
                } else {
                    Error::Status { address: address(), status: response.status, message }
                })
            }
            _ => Ok(()),
        }
    }

    /// Returns the error for a response that is not a success; `operation` and `path` are what was asked.
    pub(super) async fn to_status_error(
        &self,
        response: &Response,
        operation: &'static str,
        path: &str,
    ) -> Error {
        if response.status != 403 {
            return Error::Status {
                address: self.address.clone(),
                status: response.status,
                message: response.message(),
            };
        }
        let token = self.lock_token().clone();
        match token {
            Some(token) if self.is_token_refused(&token).await => {
                Error::BadToken(self.address.clone())
            }
            _ => Error::Forbidden { operation, path: path.into() },
        }
    }

    /// Returns whether the engine does not know the token, as opposed to refusing it one path.
    async fn is_token_refused(&self, token: &Token) -> bool {
        let response =
            self.send(Method::GET, "auth/token/lookup-self", None, None, Some(token)).await;
        response.is_ok_and(|response| response.status == 403)
    }

    fn lock_token(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Classifies a request without a response. Messages of the library contain the URL, which has the
    /// label, so only the kind is kept.
    fn to_error(&self, error: &reqwest::Error) -> Error {
        let address = self.address.clone();
        if let Some(problem) = tls_problem(error) {
            return Error::Untrusted { address, problem };
        }
        if error.is_connect() || error.is_builder() {
            let reason = if error.is_timeout() {
                "the connection timed out".into()
            } else {
                error_chain(error)
                    .last()
                    .map(|last| sanitize(&last.to_string(), 120))
                    .unwrap_or_default()
            };
            return Error::Unreachable { address, reason };
        }
        let reason = if error.is_timeout() { "it timed out" } else { "the connection was closed" };
        Error::NoResponse { address, reason: reason.into() }
    }
}

/// A session that is opened at the first request; errors are not remembered.
#[derive(Default)]
pub(super) struct LazySession(Mutex<Option<Arc<Session>>>);

impl LazySession {
    pub(super) fn get(&self, options: &BaoOptions) -> Result<Arc<Session>, Error> {
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let opened = Arc::new(Session::open(options)?);
        *session = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Reads the settings and the token again at the next request.
    pub(super) fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
