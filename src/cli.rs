//! The command line: arguments, commands, output and exit codes.

#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments of arguments are help texts"
)]

mod color;
mod command_line;
mod commands;
mod env_mapping;
mod exit_code;
mod interactive_batch;
mod json;
mod losses;
mod other_account;
mod output;
mod passphrase;
mod prompts;
mod repeated_options;
mod runtime;
mod sign_in;
mod signals;
mod table;
mod unstored_keys;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;

use crate::api::openrouter::Attribution;
use crate::domain::{StoreKind, UserError};
use crate::services::config::{self, Config};
use crate::services::provision::ServiceContext;
use color::is_color_enabled;
pub use commands::list::refresh_all_keys;
use commands::{
    apply, completions, copy, disable, doctor, env, get, helper, import, list, man, management,
    new, panic, recover, rename, rm, rotate, run, show, status, store, watch,
};
pub use exit_code::exit_code;
pub use json::is_json_requested;
use output::usage_error;
pub use output::{print, print_error_json, report_error, set_quiet, stdout_error};
pub use repeated_options::set_repeated_options;
use runtime::run_async;
pub use signals::disable_prompt_signals;

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
    /// How often the dashboard refreshes the keys, in minutes; 0 turns automatic refresh off
    #[arg(long = "every", env = "KEYWRIGHT_EVERY", value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1_440))]
    pub refresh_minutes: u32,
    /// How many keys the sandbox starts with [default: 4]
    #[arg(long = "keys", value_name = "N", requires = "sandbox")]
    pub sandbox_key_count: Option<usize>,
    /// Options that every command accepts.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options that every command accepts.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Use a built-in imitation of OpenRouter; keys live in memory, nothing leaves the machine
    #[arg(long, global = true, env = "KEYWRIGHT_SANDBOX", value_parser = FalseyValueParser::new())]
    pub sandbox: bool,
    /// The server's address: https, or http for loopback addresses only [default: https://openrouter.ai]
    #[arg(long, global = true, env = "KEYWRIGHT_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Where keys are stored: os (the keychain), file (encrypted with a passphrase) or memory [default: os; memory with --sandbox]
    #[arg(long, global = true, env = "KEYWRIGHT_STORE", value_name = "STORE", value_parser = parse_store_kind)]
    pub store: Option<StoreKind>,
    /// Whether `--store` is among the arguments; the variable only sets the default
    #[arg(skip)]
    pub is_store_fixed: bool,
    /// The options of the command line that say where keys are; commands in advice repeat them
    #[arg(skip)]
    pub repeated_options: Vec<(String, Option<String>)>,
    /// Read the passphrase of the file store from this file descriptor [default: the file in KEYWRIGHT_PASSPHRASE_FILE, else a prompt]
    #[arg(long, global = true, env = "KEYWRIGHT_PASSPHRASE_FD", value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// Directory of the inventory and of the file store [default: the platform's data directory]
    #[arg(long, global = true, env = "KEYWRIGHT_DATA_DIR", value_name = "DIR", value_parser = PathBufValueParser::new().try_map(config::expand_home))]
    pub data_dir: Option<PathBuf>,
    /// Timeout of one request
    #[arg(long, global = true, env = "KEYWRIGHT_TIMEOUT", value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Maximum retries for idempotent requests
    #[arg(long, global = true, env = "KEYWRIGHT_RETRIES", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub retries: u32,
    /// Port of the sign-in callback, for ssh -L [default: any free port]
    #[arg(
        long,
        global = true,
        env = "KEYWRIGHT_CALLBACK_PORT",
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub callback_port: u16,
    /// The app's URL, sent as HTTP-Referer
    #[arg(long, global = true, env = "KEYWRIGHT_APP_URL", value_name = "URL", default_value = env!("CARGO_PKG_REPOSITORY"), hide_default_value = true, value_parser = config::parse_header_value)]
    pub app_url: String,
    /// The app's name, sent as X-OpenRouter-Title
    #[arg(long, global = true, env = "KEYWRIGHT_APP_TITLE", value_name = "TITLE", default_value = "Keywright", hide_default_value = true, value_parser = config::parse_header_value)]
    pub app_title: String,
    /// The app's categories, sent as X-OpenRouter-Categories
    #[arg(long, global = true, env = "KEYWRIGHT_APP_CATEGORIES", value_name = "LIST", default_value = "cli-agent", hide_default_value = true, value_parser = config::parse_header_value)]
    pub app_categories: String,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: clap::ColorChoice,
    /// Suppress progress and status messages
    #[arg(long, short, global = true, env = "KEYWRIGHT_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
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
    /// Rename a key
    Rename(rename::RenameArgs),
    /// Replace a key with a new one that has the same policy and label
    Rotate(rotate::RotateArgs),
    /// Disable keys at OpenRouter
    Disable(disable::SetDisabledArgs),
    /// Enable keys again
    Enable(disable::SetDisabledArgs),
    /// Remove keys from this machine, and with --revoke delete them at OpenRouter too
    Rm(rm::RmArgs),
    /// Respond to a leak: disable, replace and store the new key
    Panic(panic::PanicArgs),
    /// Check the setup and find keys in plaintext
    Doctor(doctor::DoctorArgs),
    /// Manage the management key, which disables, edits and deletes keys
    #[command(subcommand)]
    Management(management::ManagementCommand),
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
    /// Returns the interval of automatic refresh; `None` where it is off.
    pub fn refresh_interval(&self) -> Option<SignedDuration> {
        (self.refresh_minutes > 0)
            .then(|| SignedDuration::from_mins(i64::from(self.refresh_minutes)))
    }
}

impl GlobalArgs {
    /// Whether the dashboard uses colours.
    pub fn use_color(&self) -> bool {
        is_color_enabled(self.color, |name| std::env::var_os(name))
    }

    /// Returns the configuration; `sandbox_server` is the address of a running sandbox.
    pub fn to_config(&self, sandbox_server: Option<&str>) -> Result<Config, UserError> {
        let server = match (sandbox_server, &self.server) {
            (Some(server), _) => server.to_owned(),
            // Checked here and not by clap, whose error would repeat a password in the URL.
            (None, Some(server)) => config::parse_server(server).map_err(|problem| {
                usage_error(
                    format!("--server: {problem}"),
                    "give an https URL such as https://openrouter.ai, or http for a loopback address",
                )
                .with_meaning("nothing was sent")
            })?,
            (None, None) => config::DEFAULT_SERVER.to_owned(),
        };
        let store = match sandbox_server {
            Some(_) => StoreKind::Memory,
            None => StoreKind::Keychain,
        };
        Ok(Config {
            server,
            sandbox: sandbox_server.is_some(),
            // The sandbox accepts only its own management key.
            management_key: if sandbox_server.is_some() {
                None
            } else {
                config::read_management_key_env()?
            },
            store_kind: self.store.clone().unwrap_or(store),
            is_store_fixed: self.is_store_fixed,
            passphrase_prompt: passphrase::create_passphrase_fn(self.passphrase_fd)?,
            data_dir: self.data_dir.clone(),
            request_timeout: Duration::from_secs(self.timeout),
            max_retries: self.retries,
            callback_port: self.callback_port,
            attribution: Attribution {
                url: self.app_url.clone(),
                title: self.app_title.clone(),
                categories: self.app_categories.clone(),
            },
        })
    }
}

fn parse_store_kind(word: &str) -> Result<StoreKind, String> {
    word.parse().map_err(|error: crate::domain::ParseStoreKindError| error.to_string())
}

/// Runs a command, except those of [`run_without_config`] and `sandbox`, which `main` runs.
pub fn run(command: &Command, config: &Config, services: &ServiceContext) -> Result<(), UserError> {
    match command {
        Command::New(args) => args.run(services),
        Command::Apply(args) => args.run(services),
        Command::List(args) => args.run(services),
        Command::Show(args) => args.run(services),
        Command::Status(args) => args.run(services),
        Command::Watch(args) => args.run(services),
        Command::Get(args) => args.run(services),
        Command::Run(args) => args.run(services),
        Command::Env(args) => args.run(services),
        Command::Helper(args) => args.run(config, services),
        Command::Complete(args) => args.run(services),
        Command::Copy(args) => args.run(services),
        Command::Import(args) => args.run(services),
        Command::Rename(args) => args.run(services),
        Command::Rotate(args) => args.run(services),
        Command::Disable(args) => args.run(services, true),
        Command::Enable(args) => args.run(services, false),
        Command::Rm(args) => args.run(services),
        Command::Panic(args) => args.run(services),
        Command::Doctor(args) => args.run(services),
        Command::Management(args) => args.run(services),
        Command::Recover(args) => args.run(services),
        Command::Store(args) => args.run(config, services),
        Command::Completions(_)
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

impl Command {
    /// Whether the command prints results and errors as JSON.
    pub const fn is_json(&self) -> bool {
        match self {
            Self::New(args) => args.json,
            Self::Apply(args) => args.json,
            Self::Rotate(args) => args.json,
            Self::Panic(args) => args.json,
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Status(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Recover(args) => args.json,
            Self::Get(_)
            | Self::Run(_)
            // A document for an error would not be an object on one line.
            | Self::Watch(_)
            | Self::Env(_)
            | Self::Helper(_)
            | Self::Completions(_)
            | Self::Man
            | Self::Complete(_)
            | Self::Copy(_)
            | Self::Import(_)
            | Self::Rename(_)
            | Self::Disable(_)
            | Self::Enable(_)
            | Self::Rm(_)
            | Self::Management(_)
            | Self::Store(_)
            | Self::HoldClipboard(_)
            | Self::Sandbox(_) => false,
        }
    }
}
