//! What the person sits at: the system, the terminal, the browser, the clipboard, proxies.
//! Must not know: keys.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};

use url::Url;

use super::HealthCheck;
use crate::domain::sanitize;
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::clipboard::{self, CopyDestination};
use crate::platform::environment::{self, MIN_TERMINAL_SIZE};
use crate::services::provision::ServiceContext;

pub(super) fn check_versions(_: &ServiceContext) -> HealthCheck {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(env::consts::OS.into(), |name| sanitize(name.trim_matches('"'), 60));
    let version = env!("CARGO_PKG_VERSION");
    HealthCheck::ok("versions", format!("keywright {version}, {name}, {}", env::consts::ARCH))
}

pub(super) fn check_terminal(_: &ServiceContext) -> HealthCheck {
    let name = "terminal";
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if !io::stdout().is_terminal() && !io::stderr().is_terminal() {
        return HealthCheck::ok(
            name,
            "none here: nothing can be asked, and the dashboard cannot open",
        );
    }
    let term = set("TERM").map_or("unknown".into(), |term| sanitize(&term, 40));
    let (columns, rows) = crossterm::terminal::size().unwrap_or_default();
    let colours = match set("COLORTERM").as_deref() {
        _ if set("NO_COLOR").is_some() => "no colours (NO_COLOR)",
        Some("truecolor" | "24bit") => "all colours",
        _ if term.contains("256") => "256 colours",
        _ => "16 colours",
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
    let folded = locale.to_ascii_lowercase();
    let unicode = cfg!(windows) || folded.contains("utf-8") || folded.contains("utf8");
    let within = if environment::is_in_tmux() { ", in tmux" } else { "" };
    let message = format!("{term}, {columns} x {rows}, {colours}{within}");
    if term == "dumb" || term == "unknown" {
        HealthCheck::warn(
            name,
            message,
            "set TERM to what the terminal is, or use the commands alone",
        )
    } else if columns < MIN_TERMINAL_SIZE.0 || rows < MIN_TERMINAL_SIZE.1 {
        let advice = format!(
            "the dashboard needs {} x {}: make the window larger",
            MIN_TERMINAL_SIZE.0, MIN_TERMINAL_SIZE.1
        );
        HealthCheck::warn(name, message, advice)
    } else if !unicode {
        let locale = sanitize(if locale.is_empty() { "none" } else { &locale }, 40);
        let advice = "set LANG to a UTF-8 locale such as C.UTF-8, or lines and the QR code break";
        HealthCheck::warn(name, format!("{message}, locale {locale}"), advice)
    } else {
        HealthCheck::ok(name, format!("{message}, Unicode"))
    }
}

pub(super) fn check_browser(_: &ServiceContext) -> HealthCheck {
    let name = "browser";
    match (browser::detect_availability(), browser::find_preferred_program()) {
        (BrowserAvailability::Unavailable(why), _) => HealthCheck::ok(
            name,
            format!("none is opened ({why}): the address is shown, and the code can be pasted"),
        ),
        (BrowserAvailability::Available, Ok(Some(program))) => {
            HealthCheck::ok(name, format!("{} is opened", sanitize(&program, 60)))
        }
        (BrowserAvailability::Available, Ok(None)) => {
            HealthCheck::ok(name, "the system's own is opened")
        }
        (BrowserAvailability::Available, Err(error)) => {
            HealthCheck::warn(name, sanitize(&error.to_string(), 200), error.advice())
        }
    }
}

pub(super) fn check_clipboard(_: &ServiceContext) -> HealthCheck {
    let name = "clipboard";
    let unseen = "the terminal gives no answer: try keywright copy once, and paste";
    match clipboard::detect_destination() {
        Ok(CopyDestination::Clipboard { clear_after: clears_in }) => HealthCheck::ok(
            name,
            format!("reached; a key is cleared after {} s", clears_in.as_secs()),
        ),
        Ok(CopyDestination::Terminal) => {
            let message = "a key is sent to the terminal (OSC 52)";
            if io::stdout().is_terminal() || io::stderr().is_terminal() {
                HealthCheck::new(name, super::HealthStatus::Ok, message, unseen)
            } else {
                HealthCheck::warn(
                    name,
                    "neither a display nor a terminal to copy to",
                    "use keywright get",
                )
            }
        }
        Ok(CopyDestination::Tmux) => HealthCheck::new(
            name,
            super::HealthStatus::Ok,
            "a key goes into a buffer of tmux, and to the terminal around it (OSC 52)",
            unseen,
        ),
        Err(error) => HealthCheck::warn(name, error.to_string(), error.advice()),
    }
}

pub(super) fn check_proxy(services: &ServiceContext) -> HealthCheck {
    let name = "proxy";
    if services.server.starts_with("http://") {
        return HealthCheck::ok(name, "none is used for a server on this machine");
    }
    let (mut read, mut broken) = (Vec::new(), Vec::new());
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { continue };
        match value.to_str().and_then(strip_credentials) {
            Some(address) => read.push(format!("{variable}={address}")),
            None => broken.push(variable),
        }
    }
    let except = ["NO_PROXY", "no_proxy"].into_iter().find(|name| env::var_os(name).is_some());
    let except = except.map_or(String::new(), |name| format!(", but for what {name} says"));
    if !broken.is_empty() {
        let message = format!("{} cannot be read as an address", broken.join(" and "));
        HealthCheck::warn(name, message, "write it as http://HOST:PORT, or unset it")
    } else if read.is_empty() {
        HealthCheck::ok(name, "none is set")
    } else {
        HealthCheck::ok(name, format!("requests go through {}{except}", read.join(", ")))
    }
}

/// Scheme, host and port alone: user name and password are nobody's to read here.
fn strip_credentials(value: &str) -> Option<String> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&whole).ok()?;
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    Some(sanitize(&format!("{}://{}{port}", url.scheme(), url.host_str()?), 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_without_its_password() {
        for (value, shown) in [
            ("http://me:secret@proxy.example:3128/", Some("http://proxy.example:3128")),
            ("me:secret@proxy.example:3128", Some("http://proxy.example:3128")),
            ("socks5://secret@[::1]:1080", Some("socks5://[::1]:1080")),
            ("proxy", Some("http://proxy")),
            ("://secret", None),
            ("http://a b:secret@", None),
        ] {
            assert_eq!(strip_credentials(value).as_deref(), shown, "{value}");
        }
    }
}
