//! A home directory in which the real binary runs, for the tests of commands.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use keywright::domain::{ApiKey, StoreKind, StoredKey};
use keywright::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

/// An environment with an empty home directory, no desktop and no keychain.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn set_environment(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path())
            .env("KEYWRIGHT_DATA_DIR", self.data())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("XDG_RUNTIME_DIR", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if cfg!(any(target_os = "macos", windows)) {
            // A text browser counts as none; elsewhere there is none without a display.
            command.env("BROWSER", "lynx");
        }
        #[cfg(windows)]
        self.set_windows_environment(command);
    }

    /// Sets the directories of the user, and what every program needs to start.
    #[cfg(windows)]
    fn set_windows_environment(&self, command: &mut Command) {
        command
            .env("USERPROFILE", self.path())
            .env("APPDATA", self.path().join(".config"))
            .env("LOCALAPPDATA", self.path().join(".local"))
            .envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        command.args(arguments);
        self.set_environment(&mut command);
        command
    }

    /// Runs a command.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command; returns its exit code, standard output and standard error.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&mut self.command(arguments))
    }

    /// Runs a command with `--sandbox`.
    pub fn run_in_sandbox(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["--sandbox"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Runs a command with a line on standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails early may have closed its input.
        let _ = writeln!(child.stdin.take().unwrap(), "{input}");
        decode_output(&child.wait_with_output().unwrap())
    }

    /// Runs a command that must fail with `code`, and returns its standard error.
    pub fn run_failing(&self, code: i32, arguments: &[&str]) -> String {
        let (actual, _, err) = self.run(arguments);
        assert_eq!(actual, code, "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?} printed nothing");
        err
    }

    /// Adds a store of the kind `file`, which is quick to open. Returns the file with its passphrase.
    #[cfg(unix)]
    pub fn add_file_store(&self) -> PathBuf {
        fs::create_dir_all(self.data()).unwrap();
        let file = self.data().join("vault.age");
        fs::copy("tests/e2e/cheap-vault.age", &file).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let passphrase = self.path().join("passphrase");
        fs::write(&passphrase, "correct horse\n").unwrap();
        passphrase
    }

    /// Adds keys to the inventory, as earlier runs would.
    pub fn add_to_inventory(&self, keys: &[StoredKey]) {
        fs::create_dir_all(self.data()).unwrap();
        let inventory = json!({"version": 1, "keys": keys}).to_string();
        fs::write(self.data().join("inventory.json"), inventory).unwrap();
    }
}

/// A home directory whose commands use a sandbox server of their own and the memory store.
pub struct SandboxHome {
    pub home: Home,
    pub sandbox: Sandbox,
}

impl SandboxHome {
    pub fn new() -> Self {
        let sandbox = Sandbox::start(&Options { port: 0, key_count: 1 }).unwrap();
        Self { home: Home::new(), sandbox }
    }

    pub fn data(&self) -> PathBuf {
        self.home.data()
    }

    /// Writes a plan, and returns its path.
    pub fn write_plan(&self, text: impl AsRef<[u8]>) -> String {
        let path = self.home.path().join("plan.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        command.env("KEYWRIGHT_SERVER", self.sandbox.url()).env("KEYWRIGHT_STORE", "memory");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(&mut self.command(arguments))
    }

    /// Runs a command with the account's management key.
    pub fn run_with_management_key(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command(arguments);
        run(command.env("OPENROUTER_MANAGEMENT_KEY", self.sandbox.management_key()))
    }
}

/// Returns an entry of the inventory.
pub fn stored_key(server: &str, label: &str, secret: &str, store: StoreKind) -> StoredKey {
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let key = ApiKey::from(secret.to_owned());
    StoredKey::new(label.parse().unwrap(), &key, server.into(), store, at)
}

/// Runs a command; returns its exit code, standard output and standard error.
pub fn run(command: &mut Command) -> (i32, String, String) {
    decode_output(&command.output().unwrap())
}

/// Returns the exit code (-1 after a signal), standard output and standard error.
pub fn decode_output(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Returns the labels in a list of a document.
pub fn labels(document: &Value, name: &str) -> Vec<String> {
    let keys = document[name].as_array().unwrap().iter();
    keys.map(|key| key["label"].as_str().unwrap().to_owned()).collect()
}
