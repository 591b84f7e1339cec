//! Everyone at the door at once.
//! Owns: how many sockets are served, and which one makes room for the next. Must not know HTTP.

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

/// The most connections at a time.
const MAX_CONNECTIONS: usize = 32;

/// What each connection has for itself before it makes room for another, and the pause after the
/// system has refused a socket. A browser sends its head within a millisecond of connecting, and
/// a complete head is answered in the turn that reads it: a crowd, however fast it grows, cannot
/// push the real visitor out. 300 sockets that say nothing are through in a second.
const GRACE_PERIOD: Duration = Duration::from_millis(100);

/// Serves whoever connects, for as long as it is polled.
pub(super) async fn serve_connections(listener: TcpListener, desk: Arc<CallbackValidator>) {
    let mut crowd = ConnectionSet::new();
    let mut pause = None;
    loop {
        let not_before = crowd.next_accept_time().max(pause);
        tokio::select! {
            // Those inside first: who is answered is not in the way of the next.
            biased;
            () = crowd.serve_until_one_closes() => {}
            accepted = accept_after(&listener, not_before) => match accepted {
                Ok(socket) => crowd.add_connection(serve_connection(socket, Arc::clone(&desk))),
                Err(error) if is_connection_error(&error) => {}
                // No descriptors or no memory. The listener stays readable: without room made,
                // trying again at once would spin.
                Err(_) => pause = (!crowd.reduce_limit()).then(|| Instant::now() + GRACE_PERIOD),
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

/// Whether accepting failed because of that one connection, which is gone.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

struct ConnectionSet {
    /// Oldest first.
    connections: Vec<Connection>,
    /// How many there may be: [`MOST`], fewer while the system gives no more sockets than that.
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

    /// Until when nobody can be admitted: when it is full, the oldest one's grace.
    fn next_accept_time(&self) -> Option<Instant> {
        let oldest = self.connections.first()?;
        (self.connections.len() >= self.limit).then(|| oldest.accepted_at + GRACE_PERIOD)
    }

    fn add_connection(&mut self, visit: impl Future<Output = ()> + Send + 'static) {
        let leaving = (self.connections.len() + 1).saturating_sub(self.limit);
        self.connections.drain(..leaving);
        self.connections.push(Connection { accepted_at: Instant::now(), future: Box::pin(visit) });
    }

    /// The system holds no more than are here. One place is kept free from now on, so that the
    /// next can be accepted before the oldest leaves. Whether one is free already.
    fn reduce_limit(&mut self) -> bool {
        let Some(oldest) = self.connections.first() else { return false };
        let leaves = oldest.accepted_at + GRACE_PERIOD <= Instant::now();
        self.limit = (self.connections.len() - 1).max(1);
        self.connections.drain(..usize::from(leaves));
        leaves
    }

    /// Serves all of them until one is done.
    async fn serve_until_one_closes(&mut self) {
        poll_fn(|cx| {
            let before = self.connections.len();
            self.connections.retain_mut(|visitor| visitor.future.as_mut().poll(cx).is_pending());
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
