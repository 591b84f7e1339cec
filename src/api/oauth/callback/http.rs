//! hyper between two pieces of memory: a complete head in, a complete answer out.
//! Owns: what is HTTP. Must not know: sockets, clocks, which request counts.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};

use super::response::CallbackPage;
use super::validation::{CallbackValidator, DeliverOnDrop};

/// The answer that `desk` gives to `head`, and its news for the caller.
pub(super) fn respond_to_head(
    head: &[u8],
    desk: &CallbackValidator,
) -> (Vec<u8>, Option<DeliverOnDrop>) {
    let news = Cell::new(None);
    let answer = run_http1(head, |request| {
        let (page, fresh) = desk.handle_request(request);
        news.set(fresh);
        page
    });
    (answer.unwrap_or_else(error_response), news.into_inner())
}

/// An answer without a readable question. hyper writes this one too, as if a plain one had been
/// asked, so that no answer goes out without the headers of [`Page::response`].
pub(super) fn error_response(status: StatusCode) -> Vec<u8> {
    run_http1(b"GET / HTTP/1.1\r\n\r\n", |_| CallbackPage::Rejected(status)).unwrap_or_default()
}

/// Has hyper read `head` and write the page. `Err` is the status for a head that is not HTTP.
fn run_http1(
    head: &[u8],
    decide: impl Fn(&Request<Incoming>) -> CallbackPage,
) -> Result<Vec<u8>, StatusCode> {
    let service = service_fn(|request| {
        let page = decide(&request);
        async move { Ok::<_, Infallible>(page.to_response()) }
    });
    let conversation = http1::Builder::new()
        .keep_alive(false)
        // The end of `head` is not a client that has left.
        .half_close(true)
        .serve_connection(InMemoryIo { head, response: Vec::new() }, service)
        .without_shutdown();
    // Memory is always ready, so there is nothing to wait for.
    match pin!(conversation).poll(&mut Context::from_waker(Waker::noop())) {
        // Blank lines alone are no question, and hyper has no answer to them.
        Poll::Ready(Ok(parts)) if !parts.io.response.is_empty() => Ok(parts.io.response),
        // Too many fields; too many bytes never come here.
        Poll::Ready(Err(error)) if error.is_parse_too_large() => {
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        Poll::Ready(_) | Poll::Pending => Err(StatusCode::BAD_REQUEST),
    }
}

/// What hyper takes for a socket.
struct InMemoryIo<'a> {
    head: &'a [u8],
    response: Vec<u8>,
}

impl Read for InMemoryIo<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.head.split_at(self.head.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.head = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for InMemoryIo<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.response.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
