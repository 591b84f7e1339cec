//! `keywright run`: runs a program with keys in its environment.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use clap::{Args, ValueHint};
use secrecy::ExposeSecret;

use super::get::load_secret;
use crate::cli::env_mapping::{
    DEFAULT_VARIABLE, EnvMapping, parse_mappings, split_items, validate_variable_name,
};
use crate::cli::output::{has_stored_key, print_status, usage_error};
use crate::domain::{ErrorKind, StoreKind, UserError, io_error_text};
use crate::platform::child_process::remove_secret_variables;
use crate::services::provision::ServiceContext;

pub(in crate::cli) const LONG_ABOUT: &str = "\
Run a program with the key in its environment only: not in its arguments, not in a file, not in \
this shell. On Unix the program replaces Keywright's process: signals, exit code and job control \
work as without Keywright.

The program does not receive OPENROUTER_MANAGEMENT_KEY, BAO_TOKEN, VAULT_TOKEN, BAO_SECRET_ID, \
VAULT_SECRET_ID or a variable whose name starts with KEYWRIGHT_PASSPHRASE, unless --keep-env is given or a key is put into it.

A single label may contain , and = as they are; in a list write \\, for a comma and \\\\ for a \
backslash. Put a label that starts with - after --, or write it as ENV=LABEL.

Exit codes of Keywright itself: 126 the program cannot be executed, 127 the program was not found.";

/// Arguments of `run`.
#[derive(Args, Debug)]
#[command(override_usage = "keywright run [OPTIONS] <LABEL[,ENV=LABEL…]> -- <COMMAND>...")]
pub struct RunArgs {
    /// The key's label; add further keys as ,ENV=LABEL
    #[arg(value_name = "LABEL[,ENV=LABEL…]")]
    labels: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
    /// The variable for the label without a variable
    #[arg(long, value_name = "NAME", default_value = DEFAULT_VARIABLE)]
    env: String,
    /// Keep other secrets in the program's environment: OPENROUTER_MANAGEMENT_KEY, BAO_TOKEN,
    /// VAULT_TOKEN and KEYWRIGHT_PASSPHRASE*
    #[arg(long)]
    keep_env: bool,
    /// Print which variables are set, and which are replaced
    #[arg(short, long)]
    verbose: bool,
}

impl RunArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        // Where a `--` comes before the label, a second one comes before the program.
        let has_second_dashes = self.command.first().is_some_and(|first| first == "--");
        let Some((program, arguments)) =
            self.command[usize::from(has_second_dashes)..].split_first()
        else {
            return Err(usage_error(
                "no program given",
                "give it after the label: keywright run LABEL -- COMMAND",
            ));
        };
        validate_variable_name(&self.env)?;
        let is_stored = |label: &str| has_stored_key(services, label);
        let items = split_items(&self.labels, is_stored);
        let mappings = parse_mappings(items.iter().map(String::as_str), &self.env, is_stored)?;
        #[cfg(windows)]
        let program = &find_windows_program(program);
        let mut command = Command::new(program);
        command.args(arguments);
        if !self.keep_env {
            remove_secret_variables(&mut command);
        }
        for EnvMapping { variable, label } in &mappings {
            let key = load_secret(services, label)?;
            #[expect(clippy::disallowed_methods, reason = "passes the key to the program")]
            command.env(variable, key.expose_secret());
            if self.verbose {
                let replaced = match std::env::var_os(variable) {
                    Some(_) => ", replacing its previous value",
                    None => "",
                };
                print_status(&format!("{variable} is set to the key '{label}'{replaced}"));
            }
        }
        let run = match services.secret_store.kind() {
            // The memory store and the sandbox's server live only as long as this process.
            StoreKind::Memory => spawn_and_wait,
            _ => exec_command,
        };
        run(&mut command).map_err(|error| {
            let (kind, reason) = if error.kind() == io::ErrorKind::NotFound {
                (ErrorKind::CommandNotFound, "program not found".into())
            } else {
                (ErrorKind::CommandNotExecutable, io_error_text(&error))
            };
            UserError::new(
                kind,
                format!("'{}' cannot be run: {reason}", program.display()),
                "give a program on PATH or its full path",
            )
            .with_meaning("the key was not exposed")
        })
    }
}

/// Returns the path of the program that a name without a directory and an extension stands for, or what
/// was given.
#[cfg(windows)]
fn find_windows_program(program: &OsString) -> OsString {
    let path = std::path::Path::new(program);
    let is_name = path.components().count() == 1 && path.extension().is_none();
    let found = is_name.then(|| crate::platform::child_process::find_on_path(program)).flatten();
    found.map_or_else(|| program.clone(), Into::into)
}

/// Replaces this process with the program. Returns only on failure.
#[cfg(unix)]
fn exec_command(command: &mut Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    // `exec` of the standard library resets SIGPIPE and keeps the signal mask.
    Err(command.exec())
}

#[cfg(not(unix))]
fn exec_command(command: &mut Command) -> io::Result<()> {
    spawn_and_wait(command)
}

/// Runs the program to its end and exits with its exit code.
fn spawn_and_wait(command: &mut Command) -> io::Result<()> {
    // The console sends ctrl-c to the program as well, which decides whether it ends.
    #[cfg(windows)]
    crate::cli::signals::add_signal_handler(|| true);
    let status = command.status()?;
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    std::process::exit(status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(1))
}
