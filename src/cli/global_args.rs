//! Options that every command accepts, and the settings that follow from them, from the environment
//! and from the configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PathBufValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use jiff::Timestamp;

use super::color::is_color_enabled;
use super::output::{print_status, usage_error};
use super::passphrase;
use crate::api::openrouter::Attribution;
use crate::domain::{ProfileName, StoreKind, UserError, sanitize};
use crate::services::config::{self, Config, ConfigFile, DashboardNames, Field, Origin, Settings};
use crate::services::diagnostic::format_suggestion;
use crate::storage::json_store::StoreLocation;

/// Options that every command accepts.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Use a built-in imitation of OpenRouter; keys live in memory, nothing leaves the machine
    #[arg(long, global = true, env = "KEYWRIGHT_SANDBOX", value_parser = FalseyValueParser::new())]
    pub sandbox: bool,
    /// The profile: an account or a server with keys of its own [default: the one of `profile use`, else default]
    #[arg(long, global = true, env = "KEYWRIGHT_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// The configuration file [default: config.toml in the platform's configuration directory]
    #[arg(long, global = true, env = "KEYWRIGHT_CONFIG", value_name = "FILE", value_parser = PathBufValueParser::new().try_map(config::expand_home))]
    pub config: Option<PathBuf>,
    /// The server's address: https, or http for loopback addresses only [default: the profile's, else https://openrouter.ai]
    #[arg(long, global = true, env = "KEYWRIGHT_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Where keys are stored: os (the keychain), file (encrypted with a passphrase), memory, bao (OpenBao or HashiCorp Vault, shared by a team) or exec:PROGRAM (a credential helper) [default: the profile's, else os; memory with --sandbox]
    #[arg(long, global = true, env = "KEYWRIGHT_STORE", value_name = "STORE", value_parser = parse_store_kind)]
    pub store: Option<StoreKind>,
    /// Where the values of options come from, by the name of the option
    #[arg(skip)]
    origins: BTreeMap<String, Origin>,
    /// The options of the command line that say where keys are; commands in advice repeat them
    #[arg(skip)]
    pub repeated_options: Vec<(String, Option<String>)>,
    /// Read the passphrase of the file store from this file descriptor [default: the file in KEYWRIGHT_PASSPHRASE_FILE, else a prompt]
    #[arg(long, global = true, env = "KEYWRIGHT_PASSPHRASE_FD", value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// Directory of the inventory and of the file store; another profile than default has profiles/NAME in it [default: the profile's, else the platform's data directory]
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

/// What commands say about the sandbox of this process.
#[derive(Clone, Debug)]
pub struct RunningSandbox {
    /// Its address.
    pub server: String,
    /// The number of keys that it starts with.
    pub key_count: usize,
}

/// The configuration file and the settings of the profile to use.
#[derive(Clone, Debug)]
pub struct LoadedSettings {
    /// The sandbox of this process, if there is one.
    pub sandbox: Option<RunningSandbox>,
    /// The path of the file; `None` where there is no home directory.
    pub path: Option<PathBuf>,
    /// The content of the file.
    pub file: ConfigFile,
    /// The profile to use.
    pub profile: ProfileName,
    /// Where the choice of the profile comes from.
    pub profile_origin: Origin,
    /// The settings of the profile.
    pub settings: Settings,
}

impl GlobalArgs {
    /// Records where the values of the options come from.
    pub(super) fn record_origins(&mut self, command: &clap::Command, matches: &ArgMatches) {
        for arg in command.get_arguments() {
            let origin = match matches.value_source(arg.get_id().as_str()) {
                Some(ValueSource::CommandLine) => Origin::CommandLine,
                Some(ValueSource::EnvVariable) => {
                    let variable = arg.get_env().unwrap_or_default();
                    Origin::Environment(variable.to_string_lossy().into_owned())
                }
                _ => continue,
            };
            self.origins.insert(arg.get_id().to_string(), origin);
        }
    }

    /// Returns where the value of an option comes from.
    pub(super) fn origin(&self, option: &str) -> Origin {
        self.origins.get(option).cloned().unwrap_or(Origin::BuiltIn)
    }

    /// Returns whether the dashboard uses colours.
    pub fn use_color(&self) -> bool {
        is_color_enabled(self.color, |name| std::env::var_os(name))
    }

    /// Returns the directory of the default profile.
    pub(super) fn base_data_dir(&self) -> Result<PathBuf, UserError> {
        self.data_dir.clone().map_or_else(config::default_data_dir, Ok)
    }

    /// Reads the configuration file and returns the settings of the profile to use.
    pub(super) fn load_settings(
        &self,
        names: &DashboardNames,
    ) -> Result<LoadedSettings, UserError> {
        let path = self.config.clone().or_else(config::default_path);
        let file = path.as_ref().map_or_else(ConfigFile::default, |path| {
            ConfigFile::read(path, self.config.is_some(), names, Timestamp::now())
        });
        let (profile, profile_origin) = self.choose_profile()?;
        let settings = self.build_settings(&file, &profile);
        Ok(LoadedSettings { sandbox: None, path, file, profile, profile_origin, settings })
    }

    /// Returns the settings of a profile from the options, the environment and the file.
    fn build_settings(&self, file: &ConfigFile, profile: &ProfileName) -> Settings {
        let mut settings = Settings::from_file(file, profile);
        if self.sandbox {
            // The sandbox has its own server and keeps its keys in memory.
            settings.clear(&Field::OF_PROFILE);
        }
        if let Some(server) = &self.server {
            settings.set(Field::Server, server, self.origin("server"));
        }
        if let Some(store) = &self.store {
            settings.set(Field::Store, store.as_str(), self.origin("store"));
        }
        if let Some(dir) = &self.data_dir {
            settings.set(Field::DataDir, dir.to_string_lossy(), self.origin("data_dir"));
        }
        settings
    }

    /// Returns the profile of the option, else the one in use. The sandbox has no keys on disk, so it
    /// needs the option.
    fn choose_profile(&self) -> Result<(ProfileName, Origin), UserError> {
        if let Some(name) = &self.profile {
            let profile = name.parse().map_err(|problem| {
                usage_error(
                    format!("--profile: {problem}"),
                    "leave the option out to use the profile in use; the names are in config.toml",
                )
                .with_meaning("nothing was done")
            })?;
            return Ok((profile, self.origin("profile")));
        }
        let dir = self.base_data_dir().ok().filter(|_| !self.sandbox);
        let in_use = match dir {
            Some(dir) => config::read_profile_in_use(&StoreLocation::Directory(dir))?,
            None => None,
        };
        Ok(in_use.map_or_else(
            || (ProfileName::default(), Origin::BuiltIn),
            |profile| (profile, Origin::ProfileUse),
        ))
    }

    /// Returns the configuration; `sandbox_server` is the address of a running sandbox.
    pub fn to_config(
        &self,
        loaded: LoadedSettings,
        sandbox_server: Option<&str>,
    ) -> Result<Config, UserError> {
        if sandbox_server.is_none() || self.profile.is_some() {
            loaded.check_profile()?;
        }
        let other_profiles = match sandbox_server {
            Some(_) => Vec::new(),
            None => self.list_other_profiles(&loaded),
        };
        let LoadedSettings { profile, profile_origin, settings, .. } = loaded;
        let server = match (sandbox_server, settings.get(Field::Server)) {
            (Some(server), _) => server.to_owned(),
            // Checked here and not by clap, whose error would repeat a password in the URL.
            (None, Some(server)) => config::parse_server(&server.text).map_err(|problem| {
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
        let from_file = |field| {
            let value = settings.get(field)?;
            matches!(value.origin, Origin::File(_)).then(|| value.text.clone())
        };
        let profile_data_dir =
            from_file(Field::DataDir).and_then(|dir| config::expand_home(PathBuf::from(dir)).ok());
        Ok(Config {
            server,
            profile,
            other_profiles,
            profile_origin,
            config_path: self.config.clone(),
            sandbox: sandbox_server.is_some(),
            // The sandbox accepts only its own management key.
            management_key: if sandbox_server.is_some() {
                None
            } else {
                config::read_management_key_env()?
            },
            store_kind: settings
                .get(Field::Store)
                .and_then(|store| store.text.parse().ok())
                .unwrap_or(store),
            is_store_fixed: self.origin("store") == Origin::CommandLine,
            passphrase_prompt: passphrase::create_passphrase_fn(self.passphrase_fd)?,
            data_dir: self.data_dir.clone(),
            profile_data_dir,
            request_timeout: Duration::from_secs(self.timeout),
            max_retries: self.retries,
            callback_port: self.callback_port,
            attribution: Attribution {
                url: self.app_url.clone(),
                title: self.app_title.clone(),
                categories: self.app_categories.clone(),
            },
            settings,
        })
    }
}

impl GlobalArgs {
    /// Returns the profiles other than the one to use, each with its data directory.
    fn list_other_profiles(&self, loaded: &LoadedSettings) -> Vec<(ProfileName, PathBuf)> {
        let others = loaded.profile_names().into_iter().filter(|name| *name != loaded.profile);
        let dir_of = |name: &ProfileName| {
            let table = loaded.file.profiles.get(name);
            let own = table.and_then(|table| table.settings.get(&Field::DataDir));
            match own.filter(|_| self.data_dir.is_none()) {
                Some(dir) => config::expand_home(PathBuf::from(&dir.text)).ok(),
                None => Some(config::profile_dir(self.base_data_dir().ok()?, name)),
            }
        };
        others
            .filter_map(|name| Some((dir_of(&name)?, name)))
            .map(|(dir, name)| (name, dir))
            .collect()
    }
}

/// How many errors of the configuration file a command prints.
const MAX_ERRORS: usize = 5;

impl LoadedSettings {
    /// Returns the same file with the settings of another profile.
    pub(super) fn for_profile(&self, options: &GlobalArgs, profile: &ProfileName) -> Self {
        let settings = options.build_settings(&self.file, profile);
        Self { profile: profile.clone(), settings, ..self.clone() }
    }

    /// Returns the path of the file for a message.
    pub(super) fn shown_path(&self) -> String {
        self.path.as_ref().map_or_else(|| "config.toml".into(), |path| path.display().to_string())
    }

    /// Prints the errors of the file. The valid fields apply all the same.
    pub fn print_errors(&self) {
        let errors = &self.file.errors;
        for error in errors.iter().take(MAX_ERRORS) {
            print_status(&format!("{}: {error}", self.shown_path()));
        }
        if let Some(more) = errors.len().checked_sub(MAX_ERRORS).filter(|more| *more > 0) {
            print_status(&format!("and {more} more errors: keywright config show"));
        }
        if !errors.is_empty() {
            print_status("the built-in values are used instead");
        }
    }

    /// Checks that the profile exists and that it is certain where its keys are.
    pub(super) fn check_profile(&self) -> Result<(), UserError> {
        let Self { file, profile, .. } = self;
        let unusable = |reason: &str| {
            usage_error(
                format!("the profile '{profile}' cannot be used: {}: {reason}", self.shown_path()),
                "correct the file; what is wrong: keywright config show",
            )
            .with_meaning(
                "nothing was done, because the profile decides which server and keys are used",
            )
        };
        match file.profiles.get(profile) {
            Some(table) => table.error.as_deref().map_or(Ok(()), |error| Err(unusable(error))),
            None if profile.is_default() => Ok(()),
            None => Err(match &file.unreadable {
                Some(reason) => unusable(reason),
                None => self.unknown_profile_error(profile.as_str()),
            }),
        }
    }

    /// Returns the error for a profile that the file does not have, with a similar name.
    pub(super) fn unknown_profile_error(&self, name: &str) -> UserError {
        let names = self.profile_names();
        let names: Vec<&str> = names.iter().map(ProfileName::as_str).collect();
        let path = self.shown_path();
        let create = format!("to create it, add a line [profiles.{name}] to {path}");
        let advice = match self.profile_origin {
            Origin::ProfileUse => {
                format!("use another one: keywright profile use default; {create}")
            }
            _ => format!("the profiles are {}; {create}", names.join(", ")),
        };
        usage_error(
            format!(
                "there is no profile '{}'{}",
                sanitize(name, 40),
                format_suggestion(name, &names)
            ),
            &advice,
        )
        .with_meaning("nothing was done")
    }

    /// Returns the names of all profiles, `default` among them.
    pub(super) fn profile_names(&self) -> Vec<ProfileName> {
        let mut names: Vec<_> = self.file.profiles.keys().cloned().collect();
        if !self.file.profiles.contains_key(&ProfileName::default()) {
            names.insert(0, ProfileName::default());
        }
        names
    }
}

fn parse_store_kind(word: &str) -> Result<StoreKind, String> {
    word.parse().map_err(|error: crate::domain::ParseStoreKindError| error.to_string())
}
