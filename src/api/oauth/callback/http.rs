//! Runs hyper in memory: from a complete request head to a complete response.

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

/// Returns the response to `head`, and the delivery if the request is the first valid one.
pub(super) fn respond_to_head(
    head: &[u8],
    validator: &CallbackValidator,
) -> (Vec<u8>, Option<DeliverOnDrop>) {
    let delivery = Cell::new(None);
    let response = run_http1(head, |request| {
        let (page, accepted) = validator.handle_request(request);
        delivery.set(accepted);
        page
    });
    (response.unwrap_or_else(error_response), delivery.into_inner())
}

/// Returns the response to a request that cannot be parsed. hyper writes it as the response to a
/// minimal request, so that every response has the headers of [`CallbackPage::to_response`].
pub(super) fn error_response(status: StatusCode) -> Vec<u8> {
    run_http1(b"GET / HTTP/1.1\r\n\r\n", |_| CallbackPage::Rejected(status)).unwrap_or_default()
}

/// Lets hyper parse `head` and write the page. Returns the error status if `head` is not HTTP.
fn run_http1(
    head: &[u8],
    decide: impl Fn(&Request<Incoming>) -> CallbackPage,
) -> Result<Vec<u8>, StatusCode> {
    let service = service_fn(|request| {
        let page = decide(&request);
        async move { Ok::<_, Infallible>(page.to_response()) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        // The end of `head` does not mean that the client has disconnected.
        .half_close(true)
        .serve_connection(InMemoryIo { head, response: Vec::new() }, service)
        .without_shutdown();
    // In-memory I/O is always ready, so one poll is enough.
    match pin!(connection).poll(&mut Context::from_waker(Waker::noop())) {
        // hyper writes no response to blank lines alone.
        Poll::Ready(Ok(parts)) if !parts.io.response.is_empty() => Ok(parts.io.response),
        // Too many header fields; the size was checked before.
        Poll::Ready(Err(error)) if error.is_parse_too_large() => {
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        Poll::Ready(_) | Poll::Pending => Err(StatusCode::BAD_REQUEST),
    }
}

/// An in-memory replacement for a socket.
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
        let (chunk, rest) = self.head.split_at(self.head.len().min(buffer.remaining()));
        buffer.put_slice(chunk);
        self.head = rest;
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
