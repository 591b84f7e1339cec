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

use super::connection::visit;
use super::validation::Desk;

/// The most connections at a time.
const MOST: usize = 32;

/// What each connection has for itself before it makes room for another, and the pause after the
/// system has refused a socket. A browser sends its head within a millisecond of connecting, and
/// a complete head is answered in the turn that reads it: a crowd, however fast it grows, cannot
/// push the real visitor out. 300 sockets that say nothing are through in a second.
const GRACE: Duration = Duration::from_millis(100);

/// Serves whoever connects, for as long as it is polled.
pub(super) async fn receive(listener: TcpListener, desk: Arc<Desk>) {
    let mut crowd = Crowd::new();
    let mut pause = None;
    loop {
        let not_before = crowd.full_until().max(pause);
        tokio::select! {
            // Those inside first: who is answered is not in the way of the next.
            biased;
            () = crowd.one_leaves() => {}
            accepted = accept(&listener, not_before) => match accepted {
                Ok(socket) => crowd.admit(visit(socket, Arc::clone(&desk))),
                Err(error) if is_of_one_visitor(&error) => {}
                // No descriptors or no memory. The listener stays readable: without room made,
                // trying again at once would spin.
                Err(_) => pause = (!crowd.shrinks()).then(|| Instant::now() + GRACE),
            }
        }
    }
}

async fn accept(listener: &TcpListener, not_before: Option<Instant>) -> io::Result<TcpStream> {
    if let Some(at) = not_before
        && at > Instant::now()
    {
        sleep_until(at).await;
    }
    listener.accept().await.map(|(socket, _)| socket)
}

/// Whether accepting failed because of that one connection, which is gone.
fn is_of_one_visitor(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

struct Crowd {
    /// Oldest first.
    visitors: Vec<Visitor>,
    /// How many there may be: [`MOST`], fewer while the system gives no more sockets than that.
    most: usize,
}

struct Visitor {
    since: Instant,
    visit: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Crowd {
    const fn new() -> Self {
        Self { visitors: Vec::new(), most: MOST }
    }

    /// Until when nobody can be admitted: when it is full, the oldest one's grace.
    fn full_until(&self) -> Option<Instant> {
        let oldest = self.visitors.first()?;
        (self.visitors.len() >= self.most).then(|| oldest.since + GRACE)
    }

    fn admit(&mut self, visit: impl Future<Output = ()> + Send + 'static) {
        let leaving = (self.visitors.len() + 1).saturating_sub(self.most);
        self.visitors.drain(..leaving);
        self.visitors.push(Visitor { since: Instant::now(), visit: Box::pin(visit) });
    }

    /// The system holds no more than are here. One place is kept free from now on, so that the
    /// next can be accepted before the oldest leaves. Whether one is free already.
    fn shrinks(&mut self) -> bool {
        let Some(oldest) = self.visitors.first() else { return false };
        let leaves = oldest.since + GRACE <= Instant::now();
        self.most = (self.visitors.len() - 1).max(1);
        self.visitors.drain(..usize::from(leaves));
        leaves
    }

    /// Serves all of them until one is done.
    async fn one_leaves(&mut self) {
        poll_fn(|cx| {
            let before = self.visitors.len();
            self.visitors.retain_mut(|visitor| visitor.visit.as_mut().poll(cx).is_pending());
            if self.visitors.len() == before {
                return Poll::Pending;
            }
            if self.visitors.is_empty() {
                self.most = MOST;
            }
            Poll::Ready(())
        })
        .await;
    }
}
