//! `keywright run LABEL -- COMMAND…`: a program that finds the key in its environment, as the
//! process that Keywright was. Must not know: shells.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use clap::Args;
use secrecy::ExposeSecret;

use super::get::load_secret;
use crate::cli::env_mapping::{
    DEFAULT_VARIABLE, parse_mappings, split_items, validate_variable_name,
};
use crate::cli::output::{has_stored_key, print_status, usage_error};
use crate::domain::{ErrorKind, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::StoreKind;

pub(in crate::cli) const LONG_ABOUT: &str = "\
Run a program with the key in its environment, and nowhere else: not in its arguments, not in a \
file, not in this shell. On Unix the program takes Keywright's place: signals, its exit code and \
job control are as without it.

  keywright run ci -- python agent.py
  keywright run ci --env ANTHROPIC_AUTH_TOKEN -- claude
  keywright run ci,JUDGE_KEY=judge -- ./evaluate

A label with , or = in it is named as it is; beside others its commas are written \\, and a \\ is \
written \\\\. One that begins with - stands after --, or is named as ENV=LABEL.

Exit codes of its own: 126 the program cannot be run, 127 there is no such program.";

/// Arguments of `run`.
#[derive(Args, Debug)]
#[command(override_usage = "keywright run [OPTIONS] <LABEL[,ENV=LABEL…]> -- <COMMAND>...")]
pub struct RunArgs {
    /// The key's label; others follow as ,ENV=LABEL
    #[arg(value_name = "LABEL[,ENV=LABEL…]")]
    labels: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
    /// The variable of the label that names none
    #[arg(long, value_name = "NAME", default_value = DEFAULT_VARIABLE)]
    env: String,
    /// Say which variables are set, and which are replaced
    #[arg(short, long)]
    verbose: bool,
}

impl RunArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        // After a label that stands behind a `--` of its own, the second one separates.
        let dashed = self.command.first().is_some_and(|first| first == "--");
        let Some((program, arguments)) = self.command[usize::from(dashed)..].split_first() else {
            return Err(usage_error(
                "no program is given",
                "it stands after the label: LABEL -- COMMAND",
            ));
        };
        validate_variable_name(&self.env)?;
        let held = |label: &str| has_stored_key(services, label);
        let items = split_items(&self.labels, held);
        let chosen = parse_mappings(items.iter().map(String::as_str), &self.env, held)?;
        let mut command = Command::new(program);
        command.args(arguments);
        for one in &chosen {
            let key = load_secret(services, &one.label)?;
            #[expect(clippy::disallowed_methods, reason = "door: run")]
            command.env(&one.variable, key.expose_secret());
            if self.verbose {
                let instead = match std::env::var_os(&one.variable) {
                    Some(_) => ", in place of the value it had",
                    None => "",
                };
                print_status(&format!("{} is the key '{}'{instead}", one.variable, one.label));
            }
        }
        let run = match services.secret_store.kind() {
            // What is in memory, the sandbox that knows such keys included, lives as long as this.
            StoreKind::Memory => spawn_and_wait,
            StoreKind::Keychain | StoreKind::File => exec_command,
        };
        run(&mut command).map_err(|error| {
            let none = error.kind() == io::ErrorKind::NotFound;
            let why = if none { "there is no such program".into() } else { error.kind().to_string() };
            UserError::new(if none { ErrorKind::CommandNotFound } else { ErrorKind::CommandNotExecutable }, format!("'{}' cannot be run: {why}", program.display()), "the key was handed to nobody; a program is found on PATH, or named with its directory")
        })
    }
}

/// Returns only where it failed.
#[cfg(unix)]
fn exec_command(command: &mut Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    // The standard library gives SIGPIPE back its default, and leaves the mask of signals alone.
    Err(command.exec())
}

/// There is no becoming another program here.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> io::Result<()> {
    spawn_and_wait(command)
}

/// Starts it, waits for it, and ends as it did.
fn spawn_and_wait(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    std::process::exit(status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(1))
}
