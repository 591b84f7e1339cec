//! The loopback address at which the browser hands over the code (RFC 8252 §7.3).
//! Owns: how long it is open and what comes of it. Must not know: what a code is for.
//!
//! | file | owns |
//! | --- | --- |
//! | `crowd` | how many sockets, and which one makes room |
//! | `visit` | one socket: deadlines, the head, the goodbye |
//! | `http` | hyper, from a head in memory to an answer in memory |
//! | `desk` | which request counts |
//! | `page` | what a browser gets to see |

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

use crate::domain::AuthCode;
use validation::CallbackValidator;

/// The longest a callback is open: as long as a code works.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(600);

/// How many may wait to be accepted. Beyond it a client's system tries again after one second,
/// then two, then four: with the usual 128 a crowd could keep the real visitor out.
const LISTEN_BACKLOG: u32 = 1024;

/// An open callback. Dropping it closes the port and every connection at once.
pub struct CallbackListener {
    url: Url,
    server: CallbackServer,
    responses: mpsc::Receiver<AuthorizationResponse>,
}

/// What the browser brought.
#[derive(Debug)]
pub enum AuthorizationResponse {
    /// The authorization code (RFC 6749 §4.1.2).
    Code(AuthCode),
    /// The person, or the server, said no (RFC 6749 §4.1.2.1).
    Error {
        /// The server's words, fit for a terminal.
        description: Option<String>,
    },
}

/// The port after the answer: the same code again gets the same page, another one 409.
/// Dropping it closes the port and every connection at once.
pub struct ListenerGuard {
    _server: CallbackServer,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// Nobody came in time.
    #[error("nobody came back from the consent page for ten minutes")]
    TimedOut,
    /// Another program listens there.
    #[error("port {port} of 127.0.0.1 is taken by another program")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// The system gives no listening socket.
    #[error("the callback cannot listen on 127.0.0.1: {}", .0.kind())]
    ListenFailed(#[source] io::Error),
}

impl CallbackListener {
    /// Listens on `port` of the literal 127.0.0.1, on a free one for 0, and serves from now on, at
    /// most ten minutes. `localhost` could resolve to something else (RFC 8252 §8.3).
    #[expect(clippy::unused_async, reason = "serving takes a runtime, which async code has")]
    pub async fn bind(port: u16) -> Result<Self, CallbackError> {
        Self::bind_with_timeout(port, CALLBACK_TIMEOUT)
    }

    fn bind_with_timeout(port: u16, life: Duration) -> Result<Self, CallbackError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => CallbackError::PortInUse { port },
            _ => CallbackError::ListenFailed(error),
        };
        let listener = open_listener(port).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let nonce = super::generate_nonce();
        // Unguessable and in the path, where every server gives it back (RFC 8252 §8.9-8.10).
        let url = Url::parse(&format!("http://{address}/callback/{nonce}"))
            .map_err(|error| refused(io::Error::other(error)))?;
        // Port 80 is in no `Host` header, and not in the URL either.
        let host = url
            .port()
            .map_or_else(|| address.ip().to_string(), |port| format!("{}:{port}", address.ip()));
        let (caller, answers) = mpsc::channel(1);
        let desk = Arc::new(CallbackValidator::new(host, nonce, caller));
        let open = CallbackServer::serve(async move {
            let _ = timeout(life, connection_limit::serve_connections(listener, desk)).await;
        });
        Ok(Self { url, server: open, responses: answers })
    }

    /// The `callback_url`. It holds the nonce: not for a log.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the first valid callback. Whoever comes with anything else is answered, and
    /// changes nothing.
    pub async fn wait_for_response(
        mut self,
    ) -> Result<(AuthorizationResponse, ListenerGuard), CallbackError> {
        match self.responses.recv().await {
            Some(answer) => Ok((answer, ListenerGuard { _server: self.server })),
            None => Err(CallbackError::TimedOut),
        }
    }
}

fn open_listener(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A fixed port is free again while its last connections wind down. On Windows the option
    // would let another program take the port over.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(LISTEN_BACKLOG)
}

/// The answer to a head, once it is whole, and what it brought, if it is the first that counts.
#[cfg(any(test, fuzzing))]
pub(crate) fn respond_to_bytes(
    bytes: &[u8],
    host: &str,
    nonce: &str,
) -> Option<(Vec<u8>, Option<AuthorizationResponse>)> {
    let head = bytes.get(..connection::find_head_end(bytes)?)?;
    let (caller, mut answers) = mpsc::channel(1);
    let (page, news) =
        http::respond_to_head(head, &CallbackValidator::new(host.into(), nonce.into(), caller));
    drop(news);
    Some((page, answers.try_recv().ok()))
}

type ServerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A server that runs on its own, so that pages are answered whatever the caller is doing, and
/// whose sockets are closed when the drop returns. An aborted task would close them only when the
/// runtime comes round to it; hence the server lies where both can reach it.
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
    async fn a_callback_nobody_visits_closes_after_its_time() {
        let callback = CallbackListener::bind_with_timeout(0, Duration::from_millis(20)).unwrap();
        let address = (Ipv4Addr::LOCALHOST, callback.url().port().unwrap());
        TcpStream::connect(address).unwrap();
        assert!(matches!(callback.wait_for_response().await, Err(CallbackError::TimedOut)));
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_callback_is_open_for_ten_minutes() {
        assert_eq!(CALLBACK_TIMEOUT, Duration::from_secs(600));
    }
}
