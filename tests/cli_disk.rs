//! Full disks, unusable files, and empty or invalid variables.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/home.rs"]
mod home;

use std::fs::{self, File};
use std::process::Command;

use home::{Home, run};
use keywright::sandbox::{Options, Sandbox};

/// A home directory whose commands use the memory store.
struct DiskHome(Home);

impl DiskHome {
    fn new() -> Self {
        Self(Home::new())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(arguments);
        command.env("KEYWRIGHT_STORE", "memory");
        command
    }

    /// A command that creates keys at `sandbox` without a browser.
    fn command_at(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command
            .env("KEYWRIGHT_SERVER", sandbox.url())
            .env("OPENROUTER_MANAGEMENT_KEY", sandbox.management_key());
        command
    }
}

fn sandbox() -> Sandbox {
    Sandbox::start(&Options { port: 0, key_count: 0 }).unwrap()
}

#[cfg(target_os = "linux")]
fn run_on_full_device(command: &mut Command) -> (i32, String) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (code, _, err) = run(command.stdout(full));
    (code, err)
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_said_on_standard_error() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    let (code, err) = run_on_full_device(&mut home.command_at(&sandbox, &["new", "work"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no space left on device"), "{err}");
    assert!(err.contains("work") && err.contains("stored in") && err.contains("verified"), "{err}");
    let (code, err) = run_on_full_device(&mut home.command_at(&sandbox, &["new", "b", "--json"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("the key 'b' is created and stored"), "{err}");
    let disable = &["disable", "work", "b"];
    let (code, err) = run_on_full_device(&mut home.command_at(&sandbox, disable));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("work is disabled") && err.contains("b is disabled"), "{err}");
    let (code, err) =
        run_on_full_device(&mut home.command_at(&sandbox, &["rm", "work", "b", "--yes"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("removed b"), "{err}");
    let (code, out, err) = run(&mut home.command_at(&sandbox, &["list", "--json"]));
    assert_eq!((code, out.trim()), (0, "[]"), "{err}");
    for arguments in
        [&["--version"][..], &["--help"], &["man"], &["list"], &["completions", "bash"]]
    {
        let (code, err) = run_on_full_device(&mut home.command(arguments));
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("standard output cannot be written"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_key_that_is_not_in_the_inventory_is_a_failure_after_its_result() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    fs::create_dir_all(home.0.data().join("inventory.json.new")).unwrap();
    let (code, out, err) = run(&mut home.command_at(&sandbox, &["new", "work"]));
    assert_eq!(code, 1, "{err}");
    assert!(out.starts_with("work  sk-or-"), "{out}");
    assert!(err.contains("the key is stored, but the inventory could not be written"), "{err}");
    assert!(err.contains("keywright recover"), "{err}");
}

#[test]
fn a_change_that_is_not_recorded_is_a_failure_after_its_result() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    assert_eq!(run(&mut home.command_at(&sandbox, &["new", "work"])).0, 0);
    fs::create_dir(home.0.data().join("inventory.json.new")).unwrap();
    let (code, out, err) = run(&mut home.command_at(&sandbox, &["disable", "work"]));
    assert_eq!(code, 1, "{err}");
    assert!(out.starts_with("work is disabled"), "{out}");
    assert!(err.contains("'work' is disabled at OpenRouter"), "{err}");
}

/// The signal of `ulimit -f` would end the program, and a key that was just created would be lost.
#[test]
fn a_file_past_the_size_limit_is_an_error_and_does_not_end_the_program() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    let program = home.command_at(&sandbox, &["new", "work"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""]).arg(program.get_program());
    shell.args(program.get_args());
    home.0.set_environment(&mut shell);
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let (code, _, err) = run(&mut shell);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("file too large") && err.contains("ulimit -f"), "{err}");
}

#[test]
fn an_empty_inventory_or_journal_is_damaged_and_not_overwritten() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    fs::create_dir(home.0.data()).unwrap();
    for (name, commands) in [
        ("inventory.json", [&["list"][..], &["new", "x"], &["list", "--json"]]),
        ("journal.json", [&["recover"][..], &["new", "x"], &["doctor"]]),
    ] {
        let path = home.0.data().join(name);
        File::create(&path).unwrap();
        for arguments in commands {
            let (code, out, err) = run(&mut home.command_at(&sandbox, arguments));
            assert_ne!(code, 0, "{arguments:?}: {out}{err}");
            assert!(format!("{out}{err}").contains("is damaged: it is empty"), "{out}{err}");
            assert_eq!(fs::metadata(&path).unwrap().len(), 0, "{arguments:?}");
        }
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let home = DiskHome::new();
    let mut command = home.command(&["list"]);
    for name in [
        "SERVER",
        "PASSPHRASE_FD",
        "PASSPHRASE_FILE",
        "TIMEOUT",
        "RETRIES",
        "CALLBACK_PORT",
        "APP_URL",
        "APP_TITLE",
        "APP_CATEGORIES",
        "QUIET",
        "SANDBOX",
        "EVERY",
        "LOG",
        "STORE",
        "CONFIG",
        "PROFILE",
    ] {
        command.env(format!("KEYWRIGHT_{name}"), "");
    }
    let (code, _, err) = run(&mut command);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = run(home.command(&["list"]).env("KEYWRIGHT_DATA_DIR", ""));
    assert_eq!(code, 0, "{err}");
    // An empty value on the command line is an error as before.
    assert_eq!(run(&mut home.command(&["list", "--server="])).0, 2);
}

#[test]
fn a_tilde_that_no_shell_has_replaced_is_the_home_directory() {
    let (home, sandbox) = (DiskHome::new(), sandbox());
    let mut command = home.command_at(&sandbox, &["new", "work"]);
    let (code, _, err) = run(command.env("KEYWRIGHT_DATA_DIR", "~/here"));
    assert_eq!(code, 0, "{err}");
    assert!(home.0.path().join("here/inventory.json").exists());
    assert!(!home.0.path().join("~").exists());
    let (code, _, err) = run(home.command(&["list"]).env("KEYWRIGHT_DATA_DIR", "~nobody/here"));
    assert_eq!(code, 2, "{err}");
}

#[test]
fn something_else_than_a_data_directory_is_named_and_stays() {
    let home = DiskHome::new();
    let (code, _, err) = run(home.command(&["list"]).env("KEYWRIGHT_DATA_DIR", "/dev/null"));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("/dev/null is not a directory"), "{err}");
    assert!(!err.contains("mv "), "{err}");
}

#[test]
fn a_plan_must_be_a_regular_file() {
    let home = DiskHome::new();
    let pipe = home.0.path().join("plan.toml");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let (code, _, err) = run(&mut home.command(&["apply", "plan.toml", "--dry-run"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("plan.toml cannot be read: not a regular file"), "{err}");
    let (code, _, err) = run(&mut home.command(&["apply", "missing.toml"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("missing.toml cannot be read: no such file or directory"), "{err}");
}

#[test]
fn a_variable_that_is_not_text_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let home = DiskHome::new();
    let broken = std::ffi::OsStr::from_bytes(b"\xff");
    for name in ["KEYWRIGHT_SERVER", "KEYWRIGHT_TIMEOUT", "OPENROUTER_MANAGEMENT_KEY"] {
        let (code, _, err) = run(home.command(&["list"]).env(name, broken));
        assert!(code == 2 && err.contains(name), "{name}: {err}");
    }
    // A path need not be text.
    let (code, _, err) = run(home.command(&["list"]).env("KEYWRIGHT_DATA_DIR", broken));
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_relative_home_directory_is_none() {
    let home = DiskHome::new();
    let mut command = home.command(&["list"]);
    command.env_remove("KEYWRIGHT_DATA_DIR").env("KEYWRIGHT_STORE", "file");
    let (code, _, err) = run(command.env("HOME", "here"));
    assert!(code == 1 && err.contains("set HOME to an absolute path"), "{err}");
}
