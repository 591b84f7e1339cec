//! The loopback listener that receives the authorization response (RFC 8252 §7.3).
//!
//! | module | contains |
//! | --- | --- |
//! | `connection_limit` | the maximum number of connections and which one is closed for a new one |
//! | `connection` | one connection: size limits, timeouts, reading and closing |
//! | `http` | hyper, from a request head in memory to a response in memory |
//! | `validation` | whether a request is a valid authorization response |
//! | `response` | the HTML pages and response headers |

mod connection;
mod connection_limit;
mod http;
mod response;
mod validation;

use std::future::poll_fn;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use crate::domain::{AUTH_CODE_LIFETIME, AuthorizationResponse};
use validation::CallbackValidator;

/// The backlog of the listening socket. When it is full, the client's system retries after one
/// second, then two, then four; the usual 128 would let a flood delay the real callback.
const LISTEN_BACKLOG: u32 = 1024;

/// A listening callback. Dropping it immediately closes the port and every connection.
pub struct CallbackListener {
    url: Url,
    server: CallbackServer,
    responses: mpsc::Receiver<AuthorizationResponse>,
}

/// Keeps the port open after the first response: the same code gets the same page, a different
/// code gets 409. Dropping it immediately closes the port and every connection.
pub struct ListenerGuard {
    _server: CallbackServer,
}

/// Why no authorization response was received.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// No valid callback arrived in time.
    #[error("no response from the consent page within ten minutes")]
    TimedOut,
    /// Another program listens on the port.
    #[error("port {port} on 127.0.0.1 is in use by another program")]
    PortInUse {
        /// The requested port.
        port: u16,
    },
    /// The system provides no listening socket.
    #[error("the callback cannot listen on 127.0.0.1: {}", crate::domain::io_error_text(.0))]
    ListenFailed(#[source] io::Error),
}

impl CallbackListener {
    /// Listens on `port` of the literal 127.0.0.1, or on a free port for 0, and serves requests
    /// for at most [`AUTH_CODE_LIFETIME`]. `localhost` could resolve to another address
    /// (RFC 8252 §8.3).
    #[expect(clippy::unused_async, reason = "spawning the server needs a runtime")]
    pub async fn bind(port: u16) -> Result<Self, CallbackError> {
        Self::bind_with_timeout(port, AUTH_CODE_LIFETIME.unsigned_abs())
    }

    fn bind_with_timeout(port: u16, lifetime: Duration) -> Result<Self, CallbackError> {
        let to_error = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => CallbackError::PortInUse { port },
            _ => CallbackError::ListenFailed(error),
        };
        let listener = open_listener(port).map_err(to_error)?;
        let address = listener.local_addr().map_err(to_error)?;
        let nonce = super::generate_nonce();
        // The nonce is in the path because every server returns the path (RFC 8252 §8.9-8.10).
        let url = Url::parse(&format!("http://{address}/callback/{nonce}"))
            .map_err(|error| to_error(io::Error::other(error)))?;
        // Neither the `Host` header nor the URL contains the default port 80.
        let host = url
            .port()
            .map_or_else(|| address.ip().to_string(), |port| format!("{}:{port}", address.ip()));
        let (sender, responses) = mpsc::channel(1);
        let validator = Arc::new(CallbackValidator::new(host, nonce, sender));
        let server = CallbackServer::serve(async move {
            let _ =
                timeout(lifetime, connection_limit::serve_connections(listener, validator)).await;
        });
        Ok(Self { url, server, responses })
    }

    /// Returns the `callback_url`. It contains the nonce and must not be logged.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the first valid callback. Other requests are answered and have no effect.
    pub async fn wait_for_response(
        mut self,
    ) -> Result<(AuthorizationResponse, ListenerGuard), CallbackError> {
        match self.responses.recv().await {
            Some(response) => Ok((response, ListenerGuard { _server: self.server })),
            None => Err(CallbackError::TimedOut),
        }
    }
}

fn open_listener(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Allows a fixed port to be bound again while old connections are in TIME_WAIT. On Windows
    // the option would let another program take over the port.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(LISTEN_BACKLOG)
}

/// Returns the HTTP response to a complete request head, and the authorization response if the
/// request is the first valid one.
#[cfg(any(test, fuzzing))]
pub(crate) fn respond_to_bytes(
    bytes: &[u8],
    host: &str,
    nonce: &str,
) -> Option<(Vec<u8>, Option<AuthorizationResponse>)> {
    let head = bytes.get(..connection::find_head_end(bytes)?)?;
    let (sender, mut responses) = mpsc::channel(1);
    let validator = CallbackValidator::new(host.into(), nonce.into(), sender);
    let (page, delivery) = http::respond_to_head(head, &validator);
    drop(delivery);
    Some((page, responses.try_recv().ok()))
}

type ServerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that runs as its own task, so that it responds while the caller is busy, and whose
/// sockets are closed when the drop returns. Aborting the task would close them only when the
/// runtime next polls it, so the future is shared between the task and this handle.
struct CallbackServer {
    future: Arc<Mutex<Option<ServerFuture>>>,
    task: JoinHandle<()>,
}

impl CallbackServer {
    fn serve(server: impl Future<Output = ()> + Send + 'static) -> Self {
        let server: ServerFuture = Box::pin(server);
        let server = Arc::new(Mutex::new(Some(server)));
        let shared = Arc::clone(&server);
        let task = tokio::spawn(poll_fn(move |cx| {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(server) = shared.as_mut() {
                ready!(server.as_mut().poll(cx));
                *shared = None;
            }
            Poll::Ready(())
        }));
        Self { future: server, task }
    }
}

impl Drop for CallbackServer {
    fn drop(&mut self) {
        *self.future.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn unanswered_callback_closes_after_its_timeout() {
        let callback = CallbackListener::bind_with_timeout(0, Duration::from_millis(20)).unwrap();
        let address = (Ipv4Addr::LOCALHOST, callback.url().port().unwrap());
        TcpStream::connect(address).unwrap();
        assert!(matches!(callback.wait_for_response().await, Err(CallbackError::TimedOut)));
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn callback_is_open_for_ten_minutes() {
        assert_eq!(AUTH_CODE_LIFETIME.unsigned_abs(), Duration::from_secs(600));
    }
}
