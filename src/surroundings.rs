//! Where Keywright runs, as the environment tells it.
//! Owns: the names of the variables. Must not know: what follows from them.

use std::env;

/// Whether windows can be shown: on Linux a display server is named, elsewhere always.
pub(crate) fn display() -> bool {
    cfg!(any(target_os = "macos", windows)) || any_set(&["DISPLAY", "WAYLAND_DISPLAY"])
}

/// Whether the person sits at another machine.
pub(crate) fn over_ssh() -> bool {
    any_set(&["SSH_CONNECTION", "SSH_TTY"])
}

/// Whether the terminal is a pane of tmux.
pub(crate) fn in_tmux() -> bool {
    any_set(&["TMUX"])
}

/// Whether the terminal says that its background is light (`COLORFGBG`, as rxvt and Konsole set it).
pub(crate) fn light_background() -> bool {
    env::var("COLORFGBG")
        .is_ok_and(|colours| matches!(colours.rsplit(';').next(), Some("7" | "15")))
}

/// An empty variable counts as none.
fn any_set(names: &[&str]) -> bool {
    names.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}
