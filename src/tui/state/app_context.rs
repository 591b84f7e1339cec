//! What the state starts with.

use jiff::SignedDuration;

#[cfg(doc)]
use super::Model;
use super::{AlternateStore, KeyOverrides, ProfileChoice, SharedStoreState, SortOrder};
use crate::domain::{KeyDefaults, ProfileName, ThemeChoice};

/// The environment that a [`Model`] starts with.
#[derive(Clone, Debug, Default)]
pub struct AppContext {
    /// The URL of the server.
    pub server: String,
    /// Whether the server is the sandbox.
    pub is_sandbox: bool,
    /// The name of the secret store.
    pub store_name: String,
    /// The shared store, whose token is not known yet.
    pub shared_store: SharedStoreState,
    /// Another store that could store a key.
    pub alternate_store: Option<AlternateStore>,
    /// The keychain service name of this server's keys.
    pub keychain_service: String,
    /// The interval between two refresh rounds; `None` disables automatic refreshes.
    pub refresh_interval: Option<SignedDuration>,
    /// The keys of the configuration.
    pub key_overrides: KeyOverrides,
    /// The order of the keys at the start.
    pub sort_order: SortOrder,
    /// The errors of the configuration file.
    pub config_errors: Vec<String>,
    /// The policy that new keys start from.
    pub key_defaults: KeyDefaults,
    /// The profile whose keys are shown.
    pub profile: ProfileName,
    /// The profiles to switch between; that of `profile` among them.
    pub profiles: Vec<ProfileChoice>,
    /// Whether the user has to agree before the environment's management key is used.
    pub asks_about_environment_key: bool,
    /// The theme that was chosen.
    pub theme_choice: ThemeChoice,
    /// The background of the terminal, as far as it is known at the start.
    pub background: Background,
    /// Whether colours may be used.
    pub uses_color: bool,
    /// Whether the terminal has only the 16 colours of its palette.
    pub has_few_colors: bool,
}

/// The background of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// Dark, or not known.
    #[default]
    Dark,
    /// Light.
    Light,
}
