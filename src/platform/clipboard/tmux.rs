//! Copies to tmux buffers. The key is passed to `tmux` on standard input only.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::platform::child_process::remove_secret_variables;

use super::{Digest, compute_digest};

/// Loads the secret into a new buffer and, with `-w` (tmux 3.2), into the clipboard of the outer
/// terminal.
pub(super) fn load_buffer(secret: &str) -> bool {
    run_tmux(&["load-buffer", "-w", "-"], Some(secret)).is_some()
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
