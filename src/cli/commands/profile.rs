//! `keywright profile`: lists, shows and chooses profiles.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::output::{print, print_json, print_result, print_status};
use crate::cli::table::{Column, format_table, terminal_width};
use crate::cli::{GlobalArgs, LoadedSettings};
use crate::domain::{ProfileName, StoreKind, UserError};
use crate::services::config::{self, Config, Origin};
use crate::storage::inventory;
use crate::storage::json_store::StoreLocation;

/// A subcommand of `profile`.
#[derive(Subcommand, Debug)]
pub enum ProfileCommand {
    /// List the profiles; the one in use is marked
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a profile's server, store, data directory and number of keys
    Show {
        /// The profile [default: the one in use]
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Use a profile in all commands without --profile
    Use {
        /// The profile
        name: String,
    },
}

/// The facts about a profile.
struct ProfileFacts {
    name: ProfileName,
    is_in_use: bool,
    /// The configuration, or why the profile cannot be used.
    config: Result<Config, UserError>,
    /// The number of keys of the sandbox, if there is one.
    sandbox_keys: Option<usize>,
}

impl ProfileCommand {
    pub(in crate::cli) const fn is_json(&self) -> bool {
        matches!(self, Self::List { json: true } | Self::Show { json: true, .. })
    }

    pub(in crate::cli) fn run(
        &self,
        options: &GlobalArgs,
        loaded: &LoadedSettings,
    ) -> Result<(), UserError> {
        match self {
            Self::List { json } => list_profiles(options, loaded, *json),
            Self::Show { name, json } => {
                let name = match name {
                    Some(name) => find_profile(loaded, name)?,
                    None => loaded.profile.clone(),
                };
                show_profile(&ProfileFacts::new(options, loaded, name), *json)
            }
            Self::Use { name } => use_profile(options, loaded, name),
        }
    }
}

impl ProfileFacts {
    fn new(options: &GlobalArgs, loaded: &LoadedSettings, name: ProfileName) -> Self {
        let is_in_use = name == loaded.profile;
        let sandbox = loaded.sandbox.as_ref();
        let server = sandbox.map(|sandbox| sandbox.server.as_str());
        let config = options.to_config(loaded.for_profile(options, &name), server);
        Self { name, is_in_use, config, sandbox_keys: sandbox.map(|sandbox| sandbox.key_count) }
    }

    /// Returns whether the profile's keys are those of a sandbox, which are only in memory.
    fn is_in_memory(&self) -> bool {
        let config = self.config.as_ref().ok();
        config.is_some_and(|config| config.sandbox && config.store_kind == StoreKind::Memory)
    }

    /// Returns the data directory; `None` for a sandbox in memory or if it cannot be found.
    fn data_dir(&self) -> Option<PathBuf> {
        self.config.as_ref().ok().filter(|_| !self.is_in_memory())?.resolve_data_dir().ok()
    }

    /// Returns the number of keys in the profile's inventory; `None` if it cannot be read.
    fn count_keys(&self) -> Option<usize> {
        if self.is_in_memory() {
            return self.sandbox_keys;
        }
        let config = self.config.as_ref().ok()?;
        let location = StoreLocation::Directory(config.resolve_data_dir().ok()?);
        inventory::list_keys(&location, &config.server).ok().map(|keys| keys.len())
    }

    fn to_json(&self) -> Value {
        let config = self.config.as_ref().ok();
        json!({
            "name": self.name.as_str(),
            "in_use": self.is_in_use,
            "server": config.map(|config| &config.server),
            "store": config.map(|config| config.store_kind.as_str()),
            "data_dir": self.data_dir(),
            "keychain_service": config.map(|config| config.keychain_service(&config.server)),
            "keys": self.count_keys(),
            "error": self.config.as_ref().err().map(|error| &error.message),
        })
    }
}

fn list_profiles(
    options: &GlobalArgs,
    loaded: &LoadedSettings,
    json: bool,
) -> Result<(), UserError> {
    let profiles: Vec<ProfileFacts> = loaded
        .profile_names()
        .into_iter()
        .map(|name| ProfileFacts::new(options, loaded, name))
        .collect();
    if json {
        let document: Vec<Value> = profiles.iter().map(ProfileFacts::to_json).collect();
        return print_json(&document);
    }
    let rows: Vec<Vec<String>> = profiles
        .iter()
        .map(|facts| {
            let (server, store) = match &facts.config {
                Ok(config) => (config.server.clone(), config.store_kind.to_string()),
                Err(_) => ("cannot be used".into(), "–".into()),
            };
            let keys = facts.count_keys().map_or_else(|| "–".into(), |count| count.to_string());
            let mark = if facts.is_in_use { "*" } else { "" };
            vec![facts.name.to_string(), mark.into(), server, store, keys]
        })
        .collect();
    let columns = [
        Column("PROFILE", 0),
        Column("USED", 0),
        Column("SERVER", 0),
        Column("STORE", 1),
        Column("KEYS", 0),
    ];
    print(&format_table(&columns, &rows, terminal_width()))
}

fn show_profile(facts: &ProfileFacts, json: bool) -> Result<(), UserError> {
    let config = facts.config.as_ref().map_err(Clone::clone)?;
    if json {
        return print_json(&facts.to_json());
    }
    let dir = if facts.is_in_memory() {
        "none: the sandbox keeps everything in memory".into()
    } else {
        config.resolve_data_dir()?.display().to_string()
    };
    let keys = facts.count_keys().map_or_else(|| "unknown".into(), |count| count.to_string());
    let used = if facts.is_in_use { "yes" } else { "no" };
    print(&format!(
        "profile           {}\nin use            {used}\nserver            {}\nstore             {}\nkeychain service  {}\ndata directory    {dir}\nkeys              {keys}\n",
        facts.name,
        config.server,
        config.store_kind,
        config.keychain_service(&config.server),
    ))
}

fn use_profile(options: &GlobalArgs, loaded: &LoadedSettings, name: &str) -> Result<(), UserError> {
    let profile = find_profile(loaded, name)?;
    loaded.for_profile(options, &profile).check_profile()?;
    let base = StoreLocation::Directory(options.base_data_dir()?);
    config::use_profile(&base, &profile)?;
    if let Origin::Environment(variable) = options.origin("profile") {
        print_status(&format!("{variable} is set and takes precedence: unset {variable}"));
    }
    print_result(&format!("profile {profile} is used in all commands without --profile\n"))
}

fn find_profile(loaded: &LoadedSettings, name: &str) -> Result<ProfileName, UserError> {
    let known = loaded.profile_names().into_iter().find(|known| known.as_str() == name);
    known.ok_or_else(|| loaded.unknown_profile_error(name))
}
