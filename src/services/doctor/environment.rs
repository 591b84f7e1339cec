//! Checks of the environment: system, terminal, browser, clipboard.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};

use super::HealthCheck;
use crate::domain::sanitize;
use crate::platform::browser::{self, BrowserAvailability};
use crate::platform::clipboard::{self, CopyDestination, TmuxForwarding};
use crate::platform::environment::{self, MIN_TERMINAL_SIZE};
use crate::services::provision::ServiceContext;

pub(super) fn check_versions(_: &ServiceContext) -> HealthCheck {
    let system = system_name();
    let version = env!("CARGO_PKG_VERSION");
    HealthCheck::ok("versions", format!("keywright {version}, {system}, {}", env::consts::ARCH))
}

/// Returns the name of the system that the program was built for: under Wine that is Windows.
fn system_name() -> String {
    if cfg!(windows) {
        return "Windows".into();
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or(env::consts::OS.into(), |name| sanitize(name.trim_matches('"'), 60))
}

pub(super) fn check_terminal(_: &ServiceContext) -> HealthCheck {
    let name = "terminal";
    let read_var = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if !io::stdout().is_terminal() && !io::stderr().is_terminal() {
        return HealthCheck::ok(name, "none: prompts and the dashboard are not available");
    }
    let term = read_var("TERM").map_or("unknown".into(), |term| sanitize(&term, 40));
    let (columns, rows) = crossterm::terminal::size().unwrap_or_default();
    let colours = match read_var("COLORTERM").as_deref() {
        _ if read_var("NO_COLOR").is_some() => "no colours (NO_COLOR)",
        Some("truecolor" | "24bit") => "24-bit colours",
        _ if term.contains("256") => "256 colours",
        _ => "16 colours",
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(read_var).unwrap_or_default();
    let lowercase = locale.to_ascii_lowercase();
    let unicode = cfg!(windows) || lowercase.contains("utf-8") || lowercase.contains("utf8");
    let tmux = if environment::is_in_tmux() { ", in tmux" } else { "" };
    let message = format!("{term}, {columns} x {rows}, {colours}{tmux}");
    if term == "dumb" || term == "unknown" {
        HealthCheck::warn(
            name,
            message,
            "set TERM to the type of your terminal; the commands work without it, the dashboard does not",
        )
    } else if columns < MIN_TERMINAL_SIZE.0 || rows < MIN_TERMINAL_SIZE.1 {
        let advice = format!(
            "make the window larger: the dashboard needs {} x {}",
            MIN_TERMINAL_SIZE.0, MIN_TERMINAL_SIZE.1
        );
        HealthCheck::warn(name, message, advice)
    } else if !unicode {
        let locale = sanitize(if locale.is_empty() { "none" } else { &locale }, 40);
        let advice =
            "set LANG to a UTF-8 locale such as C.UTF-8, so that lines and the QR code are drawn";
        HealthCheck::warn(name, format!("{message}, locale {locale}"), advice)
    } else {
        HealthCheck::ok(name, format!("{message}, Unicode"))
    }
}

pub(super) fn check_browser(_: &ServiceContext) -> HealthCheck {
    let name = "browser";
    match (browser::detect_availability(), browser::find_preferred_program()) {
        (_, Err(error @ browser::Error::TextBrowser(_))) => {
            HealthCheck::warn(name, sanitize(&error.to_string(), 200), error.advice())
        }
        (BrowserAvailability::Unavailable(reason), _) => HealthCheck::ok(
            name,
            format!(
                "no browser can be opened ({reason}): the address is shown instead, and you paste the code"
            ),
        ),
        (BrowserAvailability::Available, Ok(Some(program))) => HealthCheck::ok(
            name,
            format!("the address opens with {}; not tried", sanitize(&program, 60)),
        ),
        (BrowserAvailability::Available, Ok(None)) => {
            HealthCheck::ok(name, "the address opens with the system default; not tried")
        }
        (BrowserAvailability::Available, Err(error)) => {
            HealthCheck::warn(name, sanitize(&error.to_string(), 200), error.advice())
        }
    }
}

pub(super) fn check_clipboard(_: &ServiceContext) -> HealthCheck {
    let name = "clipboard";
    let mut skipped = Vec::new();
    let result = clipboard::try_destination(&mut |error| skipped.push(error));
    let has_terminal = io::stdout().is_terminal() || io::stderr().is_terminal();
    let message = match result {
        Ok(CopyDestination::Clipboard { clear_after }) => format!(
            "connected; copying was not tried, because it would replace what is on it; a copied key is cleared after {} s",
            clear_after.as_secs()
        ),
        Ok(CopyDestination::Terminal) if has_terminal => {
            "keys are sent through the terminal (OSC 52); not tried, because terminals do not confirm it: test it with keywright copy LABEL".into()
        }
        Ok(CopyDestination::Terminal) => {
            return HealthCheck::warn(
                name,
                "no display and no terminal to copy to",
                "use keywright get LABEL",
            );
        }
        Ok(CopyDestination::Tmux(TmuxForwarding::Sent)) => {
            "wrote, read back and deleted a tmux buffer; tmux also sends a key to the terminal's clipboard, which was not tried".into()
        }
        Ok(CopyDestination::Tmux(TmuxForwarding::SentToMultiplexer)) => {
            "wrote, read back and deleted a tmux buffer; tmux also sends a key to the outer tmux or screen, which may drop it".into()
        }
        Ok(CopyDestination::Tmux(TmuxForwarding::NotSent(reason))) => {
            return HealthCheck::warn(
                name,
                format!("keys are copied to a tmux buffer only: {reason}"),
                "paste the key from tmux's buffer with prefix ], or print it with keywright get LABEL",
            );
        }
        Err(error) => return HealthCheck::warn(name, error.to_string(), error.advice()),
    };
    match skipped.first() {
        None => HealthCheck::ok(name, message),
        Some(error) => {
            let advice = match error {
                clipboard::Error::TmuxUnreachable => error.advice(),
                _ => {
                    "start the display that DISPLAY or WAYLAND_DISPLAY names, or unset the variable"
                }
            };
            HealthCheck::warn(name, format!("{error}; {message}"), advice)
        }
    }
}
