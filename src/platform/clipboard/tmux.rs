//! Copies to tmux buffers. The key is passed to `tmux` on standard input only.
//!
//! With `-w` (tmux 3.2) `load-buffer` also sets the clipboard of the client's terminal. tmux says nothing
//! when that terminal has no clipboard, so [`query_forwarding`] asks before a copy.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::platform::child_process::remove_secret_variables;

use super::{Digest, compute_digest};

/// Whether tmux sends a copied key on to the terminal's clipboard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TmuxForwarding {
    /// It sends the key to the terminal, which does not confirm it.
    Sent,
    /// It sends the key to an outer tmux or screen, which may drop it.
    SentToMultiplexer,
    /// It does not, with the reason.
    NotSent(&'static str),
}

/// Returns whether tmux forwards a copy, or `None` if no tmux server answers.
pub(super) fn query_forwarding() -> Option<TmuxForwarding> {
    let format = "#{set-clipboard}|#{client_tty}|#{client_termname}";
    let facts = run_tmux(&["display-message", "-p", format], None)?;
    let facts = String::from_utf8_lossy(&facts);
    let terminals = run_tmux(&["show-messages", "-T"], None).unwrap_or_default();
    Some(decide_forwarding(facts.trim_end(), &String::from_utf8_lossy(&terminals)))
}

/// Decides it from the option and the client's terminal, and from the capabilities of all terminals
/// (`show-messages -T`).
fn decide_forwarding(facts: &str, terminals: &str) -> TmuxForwarding {
    let mut facts = facts.split('|');
    let mut next_fact = || facts.next().unwrap_or_default();
    let (set_clipboard, tty, term) = (next_fact(), next_fact(), next_fact());
    let end_of_title = format!(" for {tty},");
    let mut lines = terminals.lines().skip_while(|line| !line.contains(&end_of_title)).skip(1);
    let has_clipboard = lines
        .by_ref()
        .take_while(|line| !line.starts_with("Terminal "))
        .any(|line| line.contains(" Ms: ") && !line.contains("[missing]"));
    match () {
        () if set_clipboard == "off" => TmuxForwarding::NotSent("its option set-clipboard is off"),
        () if tty.is_empty() => TmuxForwarding::NotSent("no terminal is attached to it"),
        () if !has_clipboard => {
            TmuxForwarding::NotSent("its terminal has no clipboard (no Ms capability)")
        }
        () if term.starts_with("tmux") || term.starts_with("screen") => {
            TmuxForwarding::SentToMultiplexer
        }
        () => TmuxForwarding::Sent,
    }
}

/// Loads the secret into a new buffer, and also into the terminal's clipboard where tmux forwards it.
pub(super) fn load_buffer(secret: &str, forwarding: TmuxForwarding) -> bool {
    let arguments: &[&str] = match forwarding {
        TmuxForwarding::NotSent(_) => &["load-buffer", "-"],
        TmuxForwarding::Sent | TmuxForwarding::SentToMultiplexer => &["load-buffer", "-w", "-"],
    };
    run_tmux(arguments, Some(secret)).is_some()
}

/// Checks that buffers work: writes, reads back and deletes one. It has a name, so that pasting
/// still takes the user's last buffer.
pub(super) fn check_buffers() -> bool {
    let name = format!("keywright-probe-{}", std::process::id());
    let is_written = run_tmux(&["load-buffer", "-b", &name, "-"], Some("probe")).is_some()
        && is_matching_buffer(&name, &compute_digest(b"probe"));
    run_tmux(&["delete-buffer", "-b", &name], None).is_some() && is_written
}

/// Deletes every buffer whose content has this digest.
pub(super) fn delete_matching_buffers(expected: &Digest) {
    for name in list_buffers() {
        if is_matching_buffer(&name, expected) {
            run_tmux(&["delete-buffer", "-b", &name], None);
        }
    }
}

fn list_buffers() -> Vec<String> {
    run_tmux(&["list-buffers", "-F", "#{buffer_name}"], None)
        .map(|output| String::from_utf8_lossy(&output).lines().map(str::to_owned).collect())
        .unwrap_or_default()
}

fn is_matching_buffer(name: &str, expected: &Digest) -> bool {
    run_tmux(&["show-buffer", "-b", name], None)
        .is_some_and(|content| compute_digest(&content) == *expected)
}

/// Runs tmux and returns its output, or `None` if it failed.
fn run_tmux(arguments: &[&str], input: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    let mut child = remove_secret_variables(&mut Command::new("tmux"))
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let outcome = write_and_read(&mut child, input);
    if outcome.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

fn write_and_read(child: &mut Child, input: Option<&str>) -> Option<Zeroizing<Vec<u8>>> {
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).ok()?;
    }
    let mut output = Zeroizing::new(Vec::new());
    child.stdout.take()?.read_to_end(&mut output).ok()?;
    // The output is closed, so the process exits soon.
    for _ in 0..100 {
        if let Some(status) = child.try_wait().ok()? {
            return status.success().then_some(output);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_forwarded_only_to_a_terminal_with_a_clipboard() {
        let terminals = "Terminal 0: xterm for /dev/pts/1, flags=0x31:\n 192: Ms: (string) \\033]52;%p1%s\n\
            Terminal 1: vt100 for /dev/pts/2, flags=0x1:\n 192: Ms: [missing]\n\
            Terminal 2: tmux-256color for /dev/pts/3, flags=0x31:\n 192: Ms: (string) \\033]52\n";
        let is_sent = |facts: &str| match decide_forwarding(facts, terminals) {
            TmuxForwarding::NotSent(_) => "no",
            TmuxForwarding::SentToMultiplexer => "outer",
            TmuxForwarding::Sent => "yes",
        };
        for (facts, expected) in [
            ("external|/dev/pts/1|xterm", "yes"),
            ("on|/dev/pts/1|xterm", "yes"),
            ("off|/dev/pts/1|xterm", "no"),
            ("external|/dev/pts/2|vt100", "no"),
            ("external|/dev/pts/3|tmux-256color", "outer"),
            ("external|/dev/pts/9|xterm", "no"),
            ("external||", "no"),
            ("", "no"),
        ] {
            assert_eq!(is_sent(facts), expected, "{facts}");
        }
    }
}
