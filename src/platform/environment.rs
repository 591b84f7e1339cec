//! Where Keywright runs, as the environment tells it.
//! Owns: the names of the variables. Must not know: what follows from them.

use std::env;
use std::net::IpAddr;

/// Whether windows can be shown: on Linux a display server is named, elsewhere always.
pub(crate) fn has_display() -> bool {
    cfg!(any(target_os = "macos", windows)) || has_any_set(&["DISPLAY", "WAYLAND_DISPLAY"])
}

/// Whether the person sits at another machine.
pub(crate) fn is_ssh_session() -> bool {
    has_any_set(&["SSH_CONNECTION", "SSH_TTY"])
}

/// Whether the terminal is a pane of tmux.
pub(crate) fn is_in_tmux() -> bool {
    has_any_set(&["TMUX"])
}

/// Whether the terminal says that its background is light (`COLORFGBG`, as rxvt and Konsole set it).
pub(crate) fn has_light_background() -> bool {
    env::var("COLORFGBG")
        .is_ok_and(|colours| matches!(colours.rsplit(';').next(), Some("7" | "15")))
}

/// What to type on the person's own machine so that its `port` is this machine's: `None` where
/// nobody came over SSH, or the port is not fixed.
pub(crate) fn ssh_tunnel_command(port: u16) -> Option<String> {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    format_tunnel_command(&env::var("SSH_CONNECTION").ok()?, user.as_deref(), port)
}

/// `SSH_CONNECTION` is the client's address and port, then the server's (ssh(1)).
fn format_tunnel_command(connection: &str, user: Option<&str>, port: u16) -> Option<String> {
    let mut words = connection.split_whitespace().skip(2);
    // A zone (`fe80::1%eth0`) is this machine's own name for the way.
    let address: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
    let at = words.next()?.parse().ok().filter(|at: &u16| *at != 22);
    let at = at.map_or(String::new(), |at| format!("-p {at} "));
    let plain = |user: &&str| {
        !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let user = user.filter(plain).map_or(String::new(), |user| format!("{user}@"));
    (port != 0).then(|| format!("ssh {at}-L {port}:127.0.0.1:{port} {user}{address}"))
}

/// An empty variable counts as none.
fn has_any_set(names: &[&str]) -> bool {
    names.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_the_line_to_type_and_nothing_else_gets_into_it() {
        let from = "192.0.2.1 50000 192.0.2.2 22";
        for (connection, user, port, expected) in [
            (from, Some("me"), 4711, Some("ssh -L 4711:127.0.0.1:4711 me@192.0.2.2")),
            ("::1 1 2001:db8::2 2222", None, 1, Some("ssh -p 2222 -L 1:127.0.0.1:1 2001:db8::2")),
            ("a 1 fe80::1%eth0 22", Some("me; rm"), 1, Some("ssh -L 1:127.0.0.1:1 fe80::1")),
            (from, Some("me"), 0, None),
            ("192.0.2.1 50000 host 22", Some("me"), 1, None),
            ("192.0.2.1 50000", Some("me"), 1, None),
            ("", None, 1, None),
        ] {
            assert_eq!(format_tunnel_command(connection, user, port).as_deref(), expected);
        }
    }
}
