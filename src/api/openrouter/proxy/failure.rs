//! Explains why a proxy did not connect to the server.

use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::super::Error;
use super::ProxyServer;
use crate::domain::{io_error_text, sanitize};

/// The longest time that [`ProxyServer::explain_refusal`] takes.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

impl ProxyServer {
    /// Returns the error for a connection that the proxy did not make to `host` and `port`, from the
    /// messages of the HTTP client, outermost first; `None` if the proxy is not the cause.
    pub(in crate::api::openrouter) async fn explain_failure(
        &self,
        messages: &[String],
        certificate_problem: Option<String>,
        timed_out: bool,
        host: &str,
        port: u16,
    ) -> Option<Error> {
        let innermost = messages.last().map(String::as_str).unwrap_or_default();
        let at = messages.iter().position(|text| {
            text.starts_with("tunnel error: ")
                || text == "error connecting to socks proxy"
                || text == "error resolving for socks proxy"
        });
        let failed = |reason: String, temporary: bool| self.failed(reason, None, temporary);
        let Some(at) = at else {
            return timed_out.then(|| failed("does not answer in time".into(), true));
        };
        let unreachable = |reason: &str| failed(format!("could not be reached ({reason})"), true);
        if let Some(problem) = certificate_problem {
            return Some(failed(format!("is not secure: {problem}"), false));
        }
        let (message, is_innermost) = (messages[at].as_str(), at + 1 == messages.len());
        Some(match message.trim_start_matches("tunnel error: ") {
            "failed to create underlying connection" if is_innermost => {
                unreachable("the connection failed")
            }
            "failed to create underlying connection" => {
                unreachable(&sanitize(&io_error_text(&innermost), 120))
            }
            "proxy authorization required" | "unsuccessful" => {
                let explained = self.explain_refusal(host, port);
                match tokio::time::timeout(EXPLAIN_TIMEOUT, explained).await {
                    Ok(Some(error)) => error,
                    _ if message.ends_with("required") => self.authorization_error(""),
                    _ => failed(format!("does not connect to {host}:{port}"), true),
                }
            }
            "error resolving for socks proxy" => failed(
                format!(
                    "needs the address of {host}, which this machine could not resolve; socks5h:// lets the proxy resolve it"
                ),
                false,
            ),
            "error connecting to socks proxy" => self.explain_socks(innermost, host, port),
            _ => failed("closed the connection".into(), true),
        })
    }

    /// Returns the error for the message of a failed SOCKS handshake.
    fn explain_socks(&self, message: &str, host: &str, port: u16) -> Error {
        let failed = |reason: String, temporary: bool| self.failed(reason, None, temporary);
        match message.trim_start_matches("SOCKS error: ") {
            "failed to create underlying connection" => failed("could not be reached".into(), true),
            "failed parsing server response" => {
                failed("does not answer as a SOCKS proxy".into(), false)
            }
            "io error during SOCKS handshake" => failed("closed the connection".into(), true),
            "server does not support user/pass authentication"
            | "server implements authentication incorrectly"
                if self.authorization.is_some() =>
            {
                failed("does not accept a user name and a password".into(), false)
            }
            "server does not support user/pass authentication"
            | "server implements authentication incorrectly"
            | "credentials not accepted" => self.authorization_error(""),
            "connection not allowed" => {
                failed(format!("does not allow connections to {host}:{port}"), false)
            }
            other => {
                failed(format!("does not connect to {host}:{port} ({})", sanitize(other, 80)), true)
            }
        }
    }

    /// Asks the proxy once more for a connection and describes its refusal: the HTTP client keeps
    /// neither the status nor the authentication method. Sends nothing to the server.
    #[expect(clippy::disallowed_methods, reason = "the proxy receives its own password")]
    async fn explain_refusal(&self, host: &str, port: u16) -> Option<Error> {
        if !self.address.starts_with("http://") {
            return None;
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.ok()?;
        let authorization = self.authorization.as_ref().map_or(String::new(), |value| {
            format!("Proxy-Authorization: {}\r\n", value.expose_secret())
        });
        let request =
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{authorization}\r\n");
        let mut rest = request.as_bytes();
        while !rest.is_empty() {
            stream.writable().await.ok()?;
            match stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 16 * 1024 {
            stream.readable().await.ok()?;
            match stream.try_read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => head.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
        let head = String::from_utf8_lossy(&head);
        let status: u16 = head.split_whitespace().nth(1)?.parse().ok()?;
        let challenges: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("proxy-authenticate"))
            .filter_map(|(_, value)| value.split_whitespace().next())
            .map(|scheme| sanitize(scheme.trim_end_matches(','), 20))
            .collect();
        let failed = |reason: String, temporary: bool| Some(self.failed(reason, None, temporary));
        match status {
            407 if challenges.is_empty()
                || challenges.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) =>
            {
                Some(self.authorization_error(" (407)"))
            }
            407 => Some(self.failed(
                format!("requires {} authentication (407), which Keywright does not support", challenges.join(" or ")),
                Some(format!(
                    "run a local proxy that signs in for you, such as cntlm or px, and set {} to its address",
                    self.variable
                )),
                false,
            )),
            403 => failed(format!("does not allow connections to {host}:{port} (403)"), false),
            502..=504 => failed(format!("could not reach {host}:{port} ({status})"), true),
            200 => None,
            400 | 404 | 405 | 501 => failed(format!("does not connect to https servers ({status})"), false),
            _ => failed(format!("does not connect to {host}:{port} ({status})"), status >= 500),
        }
    }

    fn authorization_error(&self, status: &str) -> Error {
        let advice = format!("set {}=http://NAME:PASSWORD@HOST:PORT", self.variable);
        let advice = match self.address.split_once("://") {
            Some((scheme, _)) => advice.replace("http", scheme),
            None => advice,
        };
        let reason = match self.authorization {
            Some(_) => format!("rejected the user name and password{status}"),
            None => format!("requires a user name and a password{status}"),
        };
        self.failed(reason, Some(advice), false)
    }

    fn failed(&self, reason: String, advice: Option<String>, temporary: bool) -> Error {
        Error::ProxyFailed {
            proxy: format!("{} ({})", self.address, self.variable),
            reason,
            advice: advice.unwrap_or_else(|| {
                format!(
                    "check {}, or unset it to connect without a proxy; keywright doctor shows what is used",
                    self.variable
                )
            }),
            temporary,
        }
    }
}
