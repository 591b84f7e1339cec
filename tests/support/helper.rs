//! A credential helper: a script that keeps entries in a directory.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use keywright::domain::{ExecProgram, StoreKind};

/// Writes a helper into `dir` and returns the name of its store. `fault` is shell code that runs first;
/// in it `$dir` is the directory and `$1` what the helper is to do.
pub fn write_helper(dir: &Path, fault: &str) -> StoreKind {
    std::fs::create_dir_all(dir).unwrap();
    let path = dir.join("helper");
    let text = include_str!("credential_helper.sh")
        .replace("DIR", &dir.display().to_string())
        .replace("FAULT", fault);
    // Another process writes it: a file that another thread's child has inherited for writing cannot be
    // started.
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat >"$0" && chmod 755 "$0""#])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    StoreKind::Exec(ExecProgram::parse(&format!("exec:{}", path.display())).unwrap())
}
