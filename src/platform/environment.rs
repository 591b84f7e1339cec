//! Facts about the terminal and the session, read from environment variables.

use std::env;
use std::net::IpAddr;

/// The smallest terminal (columns, rows) in which the dashboard is drawn.
pub const MIN_TERMINAL_SIZE: (u16, u16) = (60, 16);

/// Returns whether windows can be shown. On Linux this needs `DISPLAY` or `WAYLAND_DISPLAY`; on
/// macOS and Windows it is always true.
pub(crate) fn has_display() -> bool {
    cfg!(any(target_os = "macos", windows)) || has_any_set(&["DISPLAY", "WAYLAND_DISPLAY"])
}

/// Returns whether this is an SSH session.
pub(crate) fn is_ssh_session() -> bool {
    has_any_set(&["SSH_CONNECTION", "SSH_TTY"])
}

/// Returns `USER@HOST` of this session, for a shared record of who did what.
pub(crate) fn user_at_host() -> String {
    let set = |names: &[&str]| {
        let values = names.iter().filter_map(|name| env::var(name).ok());
        values.map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
    };
    let user = set(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "unknown".into());
    #[cfg(unix)]
    let host = Some(rustix::system::uname().nodename().to_string_lossy().into_owned());
    #[cfg(not(unix))]
    let host = set(&["COMPUTERNAME"]);
    match host.filter(|host| !host.is_empty()) {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}

/// Returns whether the terminal is a tmux pane.
pub(crate) fn is_in_tmux() -> bool {
    has_any_set(&["TMUX"])
}

/// Returns the value of `TERM` if it names a terminal without a clipboard: `dumb` prints escape sequences
/// and the console of Linux ignores them.
pub(crate) fn terminal_without_clipboard() -> Option<String> {
    env::var("TERM").ok().filter(|term| term == "dumb" || term == "linux")
}

/// Returns whether the terminal reports a light background in `COLORFGBG`, as rxvt and Konsole do.
pub(crate) fn has_light_background() -> bool {
    env::var("COLORFGBG").is_ok_and(|colors| matches!(colors.rsplit(';').next(), Some("7" | "15")))
}

/// Returns whether the terminal has no more than the 16 colours of its palette, as far as its name
/// tells.
pub(crate) fn has_few_colors() -> bool {
    let value = |name| env::var(name).unwrap_or_default();
    is_few_colors(&value("TERM"), &value("COLORTERM"))
}

/// Returns whether a terminal has few colours. Only old terminals do, and these are recognised by
/// name; the names of newer ones do not mention colours.
fn is_few_colors(term: &str, color_term: &str) -> bool {
    let is_old = matches!(
        term,
        "xterm" | "screen" | "tmux" | "rxvt" | "linux" | "cygwin" | "ansi" | "vt100" | "vt220"
    );
    color_term.is_empty() && (is_old || term.ends_with("-16color") || term.ends_with("-color"))
}

/// Returns the `ssh -L` command that forwards `port` from the user's machine to this one. `None`
/// outside an SSH session, or when `port` is 0 (an ephemeral port).
pub(crate) fn ssh_tunnel_command(port: u16) -> Option<String> {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    format_tunnel_command(&env::var("SSH_CONNECTION").ok()?, user.as_deref(), port)
}

/// Formats the command from `SSH_CONNECTION`: client address and port, then server address and
/// port (ssh(1)).
fn format_tunnel_command(connection: &str, user: Option<&str>, port: u16) -> Option<String> {
    let mut fields = connection.split_whitespace().skip(2);
    // The zone of `fe80::1%eth0` is valid on this machine only.
    let address: IpAddr = fields.next()?.split('%').next()?.parse().ok()?;
    let ssh_port = fields.next()?.parse().ok().filter(|ssh_port: &u16| *ssh_port != 22);
    let port_option = ssh_port.map_or(String::new(), |ssh_port| format!("-p {ssh_port} "));
    let needs_no_quotes = |user: &&str| {
        !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let user = user.filter(needs_no_quotes).map_or(String::new(), |user| format!("{user}@"));
    (port != 0).then(|| format!("ssh {port_option}-L {port}:127.0.0.1:{port} {user}{address}"))
}

/// Returns whether any of these variables is set and not empty.
fn has_any_set(names: &[&str]) -> bool {
    names.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_terminals_have_few_colors() {
        for (term, color_term, expected) in [
            ("xterm", "", true),
            ("xterm", "truecolor", false),
            ("xterm-256color", "", false),
            ("xterm-16color", "", true),
            ("xterm-kitty", "", false),
            ("linux", "", true),
        ] {
            assert_eq!(is_few_colors(term, color_term), expected, "{term} {color_term}");
        }
    }

    #[test]
    fn the_tunnel_command_contains_only_checked_values() {
        let connection_22 = "192.0.2.1 50000 192.0.2.2 22";
        for (connection, user, port, expected) in [
            (connection_22, Some("me"), 4711, Some("ssh -L 4711:127.0.0.1:4711 me@192.0.2.2")),
            ("::1 1 2001:db8::2 2222", None, 1, Some("ssh -p 2222 -L 1:127.0.0.1:1 2001:db8::2")),
            ("a 1 fe80::1%eth0 22", Some("me; rm"), 1, Some("ssh -L 1:127.0.0.1:1 fe80::1")),
            (connection_22, Some("me"), 0, None),
            ("192.0.2.1 50000 host 22", Some("me"), 1, None),
            ("192.0.2.1 50000", Some("me"), 1, None),
            ("", None, 1, None),
        ] {
            assert_eq!(format_tunnel_command(connection, user, port).as_deref(), expected);
        }
    }
}
