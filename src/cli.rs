//! The command line: arguments, commands, output and exit codes.

#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments of arguments are help texts"
)]

mod color;
mod command_line;
mod commands;
mod dashboard_profiles;
mod env_mapping;
mod exit_code;
mod global_args;
mod interactive_batch;
mod json;
mod losses;
mod other_account;
mod other_profiles;
mod output;
mod passphrase;
mod prompts;
mod repeated_options;
mod runtime;
mod shared_keys;
mod shared_store;
mod sign_in;
mod signals;
mod table;
mod unstored_keys;

use clap::{Args, Parser, Subcommand};

use crate::domain::UserError;
use crate::services::config::{Config, DashboardNames, Field};
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;
pub use commands::list::refresh_all_keys;
use commands::{
    account, apply, completions, config, copy, disable, doctor, edit, env, get, guardrail, helper,
    import, list, man, management, new, panic, profile, recover, rename, rm, rollback, rotate, run,
    show, status, store, trash, usage, watch,
};
pub use dashboard_profiles::DashboardProfiles;
pub use exit_code::exit_code;
pub use global_args::{GlobalArgs, LoadedSettings, RunningSandbox};
pub use json::is_json_requested;
pub use output::{print, print_error_json, report_error, set_quiet, stdout_error};
pub use prompts::disable_prompts;
pub use repeated_options::set_repeated_options;
use runtime::run_async;
use shared_keys::{read_shared_keys, report_waits, write_shared_records};
pub use signals::survive_file_size_limit;

const AFTER_HELP: &str = "\
Without a command the dashboard opens. To try it without an account:

  keywright --sandbox

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such label, 4 keychain locked or missing,
5 refused or cancelled, 6 server not reached or no consent in time, 7 a key may have been created
and was not received.
The full manual: keywright man | man -l -";

/// Creates, stores and monitors OpenRouter API keys.
#[derive(Parser, Debug)]
#[command(name = "keywright", version, about, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// The command; without one the dashboard opens.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the dashboard.
    #[command(flatten)]
    pub dashboard: DashboardArgs,
    /// Options that every command accepts.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options of the dashboard.
#[derive(Args, Debug)]
pub struct DashboardArgs {
    /// How often the dashboard refreshes the keys, in minutes; 0 turns automatic refresh off [default: 5]
    #[arg(long = "every", env = "KEYWRIGHT_EVERY", value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(0..=1_440))]
    pub refresh_minutes: Option<u32>,
    /// How many keys the sandbox starts with [default: 4]
    #[arg(long = "keys", value_name = "N", requires = "sandbox")]
    pub sandbox_key_count: Option<usize>,
}

/// A command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a key: sign in and store it in the keychain
    New(new::NewArgs),
    /// Create the keys that a plan lists and that do not exist yet
    Apply(apply::ApplyArgs),
    /// List the stored keys
    List(list::ListArgs),
    /// Show a key's requested and granted limits, usage and expiry
    Show(show::ShowArgs),
    /// Print the state of all keys without the network, for a prompt or a status bar
    Status(status::StatusArgs),
    /// Show what was spent, by day, model or key
    #[command(long_about = usage::LONG_ABOUT)]
    Usage(usage::UsageArgs),
    /// Show the credits of the account, for how long they last, its keys and its workspaces
    Account(account::AccountArgs),
    /// Report keys that reach a limit, expire soon or are not used
    #[command(long_about = watch::LONG_ABOUT)]
    Watch(watch::WatchArgs),
    /// Print a key and nothing else
    Get(get::GetArgs),
    /// Run a program with keys in its environment
    #[command(long_about = run::LONG_ABOUT)]
    Run(run::RunArgs),
    /// Print shell commands that set environment variables to keys
    #[command(long_about = env::LONG_ABOUT)]
    Env(env::EnvArgs),
    /// Copy a key to the clipboard for 45 seconds
    Copy(copy::CopyArgs),
    /// Read an existing key from standard input, check it and store it
    Import(import::ImportArgs),
    /// Change a key's limit, reset, workspace or guardrail at OpenRouter; needs a management key
    Edit(edit::EditArgs),
    /// Rename a key
    Rename(rename::RenameArgs),
    /// Replace a key with a new one that has the same policy and label
    Rotate(rotate::RotateArgs),
    /// Make an earlier version of a shared key current again
    #[command(long_about = rollback::LONG_ABOUT)]
    Rollback(rollback::RollbackArgs),
    /// Disable keys at OpenRouter
    Disable(disable::SetDisabledArgs),
    /// Enable keys again
    Enable(disable::SetDisabledArgs),
    /// Remove keys from this machine or the shared store, and with --revoke delete them at OpenRouter too
    Rm(rm::RmArgs),
    /// List removed keys and restore them, for 7 days after their removal
    #[command(subcommand)]
    Trash(trash::TrashCommand),
    /// Respond to a leak: disable, replace and store the new key
    Panic(panic::PanicArgs),
    /// List and show the account's guardrails, which restrict the keys under them
    #[command(subcommand)]
    Guardrail(guardrail::GuardrailCommand),
    /// Check the setup and find keys in plaintext
    Doctor(doctor::DoctorArgs),
    /// Manage the management key, which disables, edits and deletes keys
    #[command(subcommand)]
    Management(management::ManagementCommand),
    /// List and choose profiles: an account or a server with keys of its own
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Show the settings that apply, and the configuration file
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print configuration that makes a tool read its key from Keywright
    Helper(helper::HelperArgs),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Print the manual page; read it with: keywright man | man -l -
    Man,
    /// Print completion candidates, for the completion scripts
    #[command(hide = true)]
    Complete(completions::CompleteArgs),
    /// Finish or list interrupted attempts
    Recover(recover::RecoverArgs),
    /// Move keys between stores, or change the passphrase of the file store
    #[command(subcommand)]
    #[command(alias = "vault")]
    Store(store::StoreCommand),
    /// Hold the clipboard in the background, for `copy`
    #[command(hide = true)]
    HoldClipboard(copy::HoldClipboardArgs),
    /// Serve the imitation of OpenRouter on loopback until interrupted
    Sandbox(SandboxArgs),
}

/// Arguments of `sandbox`.
#[derive(Args, Debug)]
pub struct SandboxArgs {
    /// The port [default: any free port]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// How many keys the account starts with
    #[arg(long = "keys", value_name = "N", default_value_t = 4)]
    pub key_count: usize,
}

impl Cli {
    /// Reads the configuration file and returns the settings of the profile to use.
    pub fn load_settings(&self, names: &DashboardNames) -> Result<LoadedSettings, UserError> {
        let mut loaded = self.global.load_settings(names)?;
        if let Some(minutes) = self.dashboard.refresh_minutes {
            let origin = self.global.origin("refresh_minutes");
            loaded.settings.set(Field::RefreshMinutes, minutes.to_string(), origin);
        }
        Ok(loaded)
    }
}

/// Runs a command, except those of [`run_without_config`] and `sandbox`, which `main` runs.
pub fn run(command: &Command, config: &Config, services: &ServiceContext) -> Result<(), UserError> {
    report_waits();
    // `doctor` looks at the directory itself.
    let is_reading = !command.changes_keys() && !matches!(command, Command::Doctor(_));
    let view = if is_reading { shared_inventory::read_only_view(services) } else { None };
    let services = view.as_ref().unwrap_or(services);
    let read = if command.lists_keys() { read_shared_keys(services) } else { Ok(()) };
    if command.changes_keys() {
        // An outdated inventory must not decide what is changed.
        read.clone()?;
    }
    if read.is_err()
        && matches!(command, Command::List(_))
        && services.list_keys().is_ok_and(|keys| keys.is_empty())
    {
        // An empty list would look as if there were no keys.
        return read;
    }
    let result = run_command(command, config, services);
    services.skipped_rows.take_errors().iter().for_each(output::print_warning);
    if !command.changes_keys() {
        // If the store could not be read, the keys of the last reading are shown, and the error
        // ends the command.
        return result.and(read);
    }
    let written = write_shared_records(services);
    if let (Err(_), Err(error)) = (&result, &written) {
        output::print_warning(error);
    }
    result.and(written)
}

fn run_command(
    command: &Command,
    config: &Config,
    services: &ServiceContext,
) -> Result<(), UserError> {
    match command {
        Command::New(args) => args.run(services),
        Command::Apply(args) => args.run(services),
        Command::List(args) => args.run(services),
        Command::Show(args) => args.run(services),
        Command::Status(args) => args.run(services),
        Command::Usage(args) => args.run(services),
        Command::Account(args) => args.run(services),
        Command::Watch(args) => args.run(services),
        Command::Get(args) => args.run(services),
        Command::Run(args) => args.run(services),
        Command::Env(args) => args.run(services),
        Command::Helper(args) => args.run(config, services),
        Command::Complete(args) => args.run(services),
        Command::Copy(args) => args.run(services),
        Command::Import(args) => args.run(services),
        Command::Edit(args) => args.run(services),
        Command::Guardrail(args) => args.run(services),
        Command::Rename(args) => args.run(services),
        Command::Rotate(args) => args.run(services),
        Command::Rollback(args) => args.run(services),
        Command::Disable(args) => args.run(services, true),
        Command::Enable(args) => args.run(services, false),
        Command::Rm(args) => args.run(services),
        Command::Trash(args) => args.run(services),
        Command::Panic(args) => args.run(services),
        Command::Doctor(args) => args.run(services),
        Command::Management(args) => args.run(services),
        Command::Recover(args) => args.run(services),
        Command::Store(args) => args.run(config, services),
        Command::Completions(_)
        | Command::Config(_)
        | Command::Profile(_)
        | Command::Man
        | Command::HoldClipboard(_)
        | Command::Sandbox(_) => Ok(()),
    }
}

/// Runs a command that needs no configuration; `None` for every other command.
pub fn run_without_config(command: &Command) -> Option<Result<(), UserError>> {
    match command {
        Command::Completions(args) => Some(args.run()),
        Command::Man => Some(man::print_manual()),
        Command::HoldClipboard(args) => Some(args.run()),
        _ => None,
    }
}

/// Runs a command about the configuration, which works also where the profile cannot be used; `None`
/// for every other command.
pub fn run_with_settings(
    command: &Command,
    options: &GlobalArgs,
    loaded: &LoadedSettings,
    names: &DashboardNames,
) -> Option<Result<(), UserError>> {
    match command {
        Command::Config(args) => Some(args.run(options, loaded, names)),
        Command::Profile(args) => Some(args.run(options, loaded)),
        _ => None,
    }
}

impl Command {
    /// Returns whether the command prints results and errors as JSON.
    pub const fn is_json(&self) -> bool {
        match self {
            Self::New(args) => args.json,
            Self::Apply(args) => args.json,
            Self::Rotate(args) => args.json,
            Self::Rollback(args) => args.json,
            Self::Panic(args) => args.json,
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Status(args) => args.json,
            Self::Usage(args) => args.json,
            Self::Account(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Recover(args) => args.json,
            Self::Config(args) => args.is_json(),
            Self::Profile(args) => args.is_json(),
            Self::Edit(args) => args.json,
            Self::Guardrail(args) => args.is_json(),
            Self::Trash(args) => args.is_json(),
            // `watch --json` prints one object per line, which an error document would not be.
            _ => false,
        }
    }
}
