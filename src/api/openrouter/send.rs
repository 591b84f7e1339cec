//! Sends requests, again after a temporary failure if they are idempotent, and classifies what came back.

use reqwest::header::{CONTENT_ENCODING, RETRY_AFTER};

use super::server_clock::parse_retry_after;
use super::{Client, Error, MAX_RESPONSE_BYTES, content_encoding, error, redaction, wire};

pub(super) struct RawResponse {
    /// The decoded body, or the body as received if it could not be decoded.
    pub(super) body: Vec<u8>,
    /// The body as received, if it was decoded.
    pub(super) received: Option<Vec<u8>>,
    pub(super) read_error: Option<Error>,
    /// Whether the response was longer than the limit.
    pub(super) truncated: bool,
}

impl Client {
    /// Sends an idempotent request and parses its response; `expected` says what that is.
    pub(super) fn fetch<T>(
        &self,
        request: reqwest::RequestBuilder,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> impl Future<Output = Result<T, Error>> {
        self.fetch_with_limit(request, MAX_RESPONSE_BYTES, expected, parse)
    }

    pub(super) async fn fetch_with_limit<T>(
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

    pub(super) async fn send_request(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<RawResponse, Error> {
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

    /// Classifies a request without a response. If a proxy refused the connection, it is asked for
    /// the reason.
    pub(super) async fn explain_error(&self, error: &reqwest::Error) -> Error {
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
}
