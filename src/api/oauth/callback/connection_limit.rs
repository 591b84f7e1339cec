//! Serves concurrent connections up to a limit and closes the oldest one for a new one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::connection::serve_connection;
use super::validation::CallbackValidator;

/// The maximum number of open connections.
const MAX_CONNECTIONS: usize = 32;

/// How long a connection is kept before a new one may replace it, and the pause after the system
/// has refused a socket. A browser sends its head within a millisecond of connecting, and a
/// complete head is answered in the poll that reads it, so a flood cannot displace the real
/// callback. 300 silent sockets are replaced within a second.
const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Accepts and serves connections for as long as it is polled.
pub(super) async fn serve_connections(listener: TcpListener, validator: Arc<CallbackValidator>) {
    let mut connections = ConnectionSet::new();
    let mut pause = None;
    loop {
        let not_before = connections.next_accept_time().max(pause);
        tokio::select! {
            // Open connections first: each one that is finished frees a place.
            biased;
            () = connections.serve_until_one_closes() => {}
            accepted = accept_after(&listener, not_before) => match accepted {
                Ok(socket) => connections.add_connection(serve_connection(socket, Arc::clone(&validator))),
                Err(error) if is_connection_error(&error) => {}
                // No descriptors or no memory. The listener stays readable, so retrying at once
                // without closing a connection would spin.
                Err(_) => pause = (!connections.reduce_limit()).then(|| Instant::now() + GRACE_PERIOD),
            }
        }
    }
}

async fn accept_after(
    listener: &TcpListener,
    not_before: Option<Instant>,
) -> io::Result<TcpStream> {
    if let Some(at) = not_before
        && at > Instant::now()
    {
        sleep_until(at).await;
    }
    listener.accept().await.map(|(socket, _)| socket)
}

/// Returns whether accepting failed only because this one connection was closed.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

struct ConnectionSet {
    /// Oldest first.
    connections: Vec<Connection>,
    /// [`MAX_CONNECTIONS`], or fewer while the system provides no more sockets.
    limit: usize,
}

struct Connection {
    accepted_at: Instant,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl ConnectionSet {
    const fn new() -> Self {
        Self { connections: Vec::new(), limit: MAX_CONNECTIONS }
    }

    /// Returns when the next connection may be accepted: if the set is full, after the grace period
    /// of the oldest one.
    fn next_accept_time(&self) -> Option<Instant> {
        let oldest = self.connections.first()?;
        (self.connections.len() >= self.limit).then(|| oldest.accepted_at + GRACE_PERIOD)
    }

    fn add_connection(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        let excess = (self.connections.len() + 1).saturating_sub(self.limit);
        self.connections.drain(..excess);
        self.connections.push(Connection { accepted_at: Instant::now(), future: Box::pin(future) });
    }

    /// Lowers the limit because the system provides no more sockets. One place stays free, so that
    /// the next connection can be accepted. Returns whether a place is free already.
    fn reduce_limit(&mut self) -> bool {
        let Some(oldest) = self.connections.first() else { return false };
        let is_closed = oldest.accepted_at + GRACE_PERIOD <= Instant::now();
        self.limit = (self.connections.len() - 1).max(1);
        self.connections.drain(..usize::from(is_closed));
        is_closed
    }

    /// Serves all connections until at least one is finished.
    async fn serve_until_one_closes(&mut self) {
        poll_fn(|cx| {
            let before = self.connections.len();
            self.connections
                .retain_mut(|connection| connection.future.as_mut().poll(cx).is_pending());
            if self.connections.len() == before {
                return Poll::Pending;
            }
            if self.connections.is_empty() {
                self.limit = MAX_CONNECTIONS;
            }
            Poll::Ready(())
        })
        .await;
    }
}
