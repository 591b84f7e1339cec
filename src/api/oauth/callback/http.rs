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

use super::response::Page;
use super::validation::{Desk, News};

/// The answer that `desk` gives to `head`, and its news for the caller.
pub(super) fn answer(head: &[u8], desk: &Desk) -> (Vec<u8>, Option<News>) {
    let news = Cell::new(None);
    let answer = converse(head, |request| {
        let (page, fresh) = desk.decide(request);
        news.set(fresh);
        page
    });
    (answer.unwrap_or_else(refusal), news.into_inner())
}

/// An answer without a readable question. hyper writes this one too, as if a plain one had been
/// asked, so that no answer goes out without the headers of [`Page::response`].
pub(super) fn refusal(status: StatusCode) -> Vec<u8> {
    converse(b"GET / HTTP/1.1\r\n\r\n", |_| Page::Refusal(status)).unwrap_or_default()
}

/// Has hyper read `head` and write the page. `Err` is the status for a head that is not HTTP.
fn converse(
    head: &[u8],
    decide: impl Fn(&Request<Incoming>) -> Page,
) -> Result<Vec<u8>, StatusCode> {
    let service = service_fn(|request| {
        let page = decide(&request);
        async move { Ok::<_, Infallible>(page.response()) }
    });
    let conversation = http1::Builder::new()
        .keep_alive(false)
        // The end of `head` is not a client that has left.
        .half_close(true)
        .serve_connection(Paper { head, answer: Vec::new() }, service)
        .without_shutdown();
    // Memory is always ready, so there is nothing to wait for.
    match pin!(conversation).poll(&mut Context::from_waker(Waker::noop())) {
        // Blank lines alone are no question, and hyper has no answer to them.
        Poll::Ready(Ok(parts)) if !parts.io.answer.is_empty() => Ok(parts.io.answer),
        // Too many fields; too many bytes never come here.
        Poll::Ready(Err(error)) if error.is_parse_too_large() => {
            Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        }
        Poll::Ready(_) | Poll::Pending => Err(StatusCode::BAD_REQUEST),
    }
}

/// What hyper takes for a socket.
struct Paper<'a> {
    head: &'a [u8],
    answer: Vec<u8>,
}

impl Read for Paper<'_> {
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

impl Write for Paper<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
