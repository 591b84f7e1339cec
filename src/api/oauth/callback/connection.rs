//! One connection: reads one request head, writes one response and closes.
//!
//! hyper does not get the socket, because it answers an oversized or malformed head without our
//! headers and a late one not at all. The head is read here, within its limits, and passed to hyper
//! complete.

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

/// The maximum size of a request head, including the request line and the blank line.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The time limit for the complete head; single bytes do not extend it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// The time limit for writing a response, which fits into any socket buffer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bytes are read and discarded before the connection is closed, and for how long.
const MAX_DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves one connection.
pub(super) async fn serve_connection(mut socket: TcpStream, validator: Arc<CallbackValidator>) {
    let (response, delivery) = match timeout(HEAD_TIMEOUT, read_head(&socket)).await {
        Ok(Ok(head)) => http::respond_to_head(&head, &validator),
        Ok(Err(HeadError::Disconnected)) => return,
        Ok(Err(HeadError::Malformed)) => (http::error_response(StatusCode::BAD_REQUEST), None),
        Ok(Err(HeadError::TooLong)) => {
            (http::error_response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), None)
        }
        Err(_) => (http::error_response(StatusCode::REQUEST_TIMEOUT), None),
    };
    let written = timeout(WRITE_TIMEOUT, write_all(&socket, &response)).await;
    // The receiver may close the port, so the page is written before the response is delivered.
    drop(delivery);
    if matches!(written, Ok(Ok(()))) {
        let _ = timeout(DRAIN_TIMEOUT, drain_and_close(&mut socket)).await;
    }
}

enum HeadError {
    /// The client disconnected before it sent anything, or the connection failed.
    Disconnected,
    /// The bytes are not a request head.
    Malformed,
    /// The head is longer than [`MAX_HEAD_BYTES`].
    TooLong,
}

/// Reads everything up to and including the blank line.
async fn read_head(socket: &TcpStream) -> Result<Vec<u8>, HeadError> {
    let mut head = vec![0; MAX_HEAD_BYTES];
    let mut filled = 0;
    loop {
        match read(socket, &mut head[filled..]).await {
            Err(_) => return Err(HeadError::Disconnected),
            Ok(0) if filled == 0 => return Err(HeadError::Disconnected),
            Ok(0) => return Err(HeadError::Malformed),
            Ok(count) => {
                // Starts three bytes earlier because the blank line may span two reads.
                let from = filled.saturating_sub(3);
                filled += count;
                if let Some(end) = find_head_end(&head[from..filled]) {
                    head.truncate(from + end);
                    return Ok(head);
                }
                // For example a TLS handshake: a browser that fails at once falls back to http.
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

/// Returns the offset after the blank line. hyper also accepts a lone LF as a line ending
/// (RFC 9112 §2.2); if the two disagreed, hyper would reject the head as incomplete.
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

async fn write_all(socket: &TcpStream, mut response: &[u8]) -> io::Result<()> {
    while !response.is_empty() {
        socket.writable().await?;
        match socket.try_write(response) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => response = &response[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Closes our half of the connection and discards what the client still sends. A socket closed
/// with unread bytes is reset, and the reset can overtake the response (RFC 9112 §9.6).
async fn drain_and_close(socket: &mut TcpStream) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await?;
    let mut buffer = vec![0; 16 * 1024];
    let mut remaining = MAX_DRAIN_BYTES;
    while remaining > 0 {
        match read(socket, &mut buffer).await? {
            0 => break,
            count => remaining = remaining.saturating_sub(count),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_ends_at_the_blank_line() {
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\n\r\nbody"), Some(18));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\n\nbody"), Some(16));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\n\r\nbody"), Some(17));
        assert_eq!(find_head_end(b"\r\nGET / HTTP/1.1\r\n"), None);
    }
}
