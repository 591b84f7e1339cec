//! One connection from its first byte to its close: one head in, one answer out.
//! Owns: sizes and deadlines. Must not know: which request counts.
//!
//! hyper is not given the socket. It answers an oversized or broken head without our headers and a
//! late one not at all; so the head is read here, within its budget, and handed to it whole.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http;
use super::validation::CallbackValidator;

/// The longest head, request line and blank line included.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// How long a head may take, all of it: a byte now and then buys no more.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a client may take to accept an answer that fits any socket's buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of what a client still sends is thrown away before the close, and for how long.
const MAX_DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves one connection.
pub(super) async fn serve_connection(mut socket: TcpStream, desk: Arc<CallbackValidator>) {
    let (answer, news) = match timeout(HEAD_TIMEOUT, read_head(&socket)).await {
        Ok(Ok(head)) => http::respond_to_head(&head, &desk),
        Ok(Err(HeadError::Disconnected)) => return,
        Ok(Err(HeadError::Malformed)) => (http::error_response(StatusCode::BAD_REQUEST), None),
        Ok(Err(HeadError::TooLong)) => {
            (http::error_response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), None)
        }
        Err(_) => (http::error_response(StatusCode::REQUEST_TIMEOUT), None),
    };
    let written = timeout(WRITE_TIMEOUT, write_all(&socket, &answer)).await;
    // Only now: whoever hears the news may close the port, and the page should be out by then.
    drop(news);
    if matches!(written, Ok(Ok(()))) {
        let _ = timeout(DRAIN_TIMEOUT, drain_and_close(&mut socket)).await;
    }
}

enum HeadError {
    /// The client left without a word, or the connection broke.
    Disconnected,
    /// It will never be a head.
    Malformed,
    /// It is longer than [`HEAD`].
    TooLong,
}

/// Everything up to and including the blank line.
async fn read_head(socket: &TcpStream) -> Result<Vec<u8>, HeadError> {
    let mut head = vec![0; MAX_HEAD_BYTES];
    let mut filled = 0;
    loop {
        match read(socket, &mut head[filled..]).await {
            Err(_) => return Err(HeadError::Disconnected),
            Ok(0) if filled == 0 => return Err(HeadError::Disconnected),
            Ok(0) => return Err(HeadError::Malformed),
            Ok(count) => {
                // Three bytes back: the blank line may lie across two reads.
                let from = filled.saturating_sub(3);
                filled += count;
                if let Some(end) = find_head_end(&head[from..filled]) {
                    head.truncate(from + end);
                    return Ok(head);
                }
                // A TLS greeting, say: hearing that at once, a browser falls back to http.
                if !(head[0].is_ascii_alphabetic() || matches!(head[0], b'\r' | b'\n')) {
                    return Err(HeadError::Malformed);
                }
                if filled == MAX_HEAD_BYTES {
                    return Err(HeadError::TooLong);
                }
            }
        }
    }
}

/// Where the blank line ends. A lone LF ends a line for hyper as well (RFC 9112 §2.2), and where
/// the two disagreed hyper would find its head incomplete and refuse it.
pub(super) fn find_head_end(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find_map(|at| match bytes[at..] {
        [b'\n', b'\n', ..] => Some(at + 2),
        [b'\n', b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

async fn read(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        socket.readable().await?;
        match socket.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

async fn write_all(socket: &TcpStream, mut answer: &[u8]) -> io::Result<()> {
    while !answer.is_empty() {
        socket.writable().await?;
        match socket.try_write(answer) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => answer = &answer[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Closes our half, then reads what the client still sends until it closes too: a socket closed on
/// unread bytes is reset, and a reset can overtake the answer (RFC 9112 §9.6).
async fn drain_and_close(socket: &mut TcpStream) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await?;
    let mut scrap = vec![0; 16 * 1024];
    let mut left = MAX_DRAIN_BYTES;
    while left > 0 {
        match read(socket, &mut scrap).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_blank_line_and_no_sooner() {
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\n\r\nbody"), Some(18));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\n\nbody"), Some(16));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\n\r\nbody"), Some(17));
        assert_eq!(find_head_end(b"\r\nGET / HTTP/1.1\r\n"), None);
    }
}
