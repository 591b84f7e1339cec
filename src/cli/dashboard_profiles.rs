//! The profiles that the dashboard can switch between.

use std::sync::Arc;

use super::global_args::{GlobalArgs, LoadedSettings};
use super::passphrase::can_read_passphrase;
use crate::domain::{ProfileName, UserError};
use crate::services::config::{Config, PassphrasePrompt};
use crate::storage::secret_store;

/// The profiles of the configuration file, with the options of this run.
#[derive(Clone, Debug)]
pub struct DashboardProfiles {
    options: GlobalArgs,
    loaded: LoadedSettings,
}

impl DashboardProfiles {
    /// Keeps the options and the file for a later switch.
    pub fn new(options: &GlobalArgs, loaded: &LoadedSettings) -> Self {
        Self { options: options.clone(), loaded: loaded.clone() }
    }

    /// Returns each profile with its server, or why it cannot be used.
    pub fn list(&self) -> Vec<(ProfileName, Result<String, String>)> {
        let names = self.loaded.profile_names().into_iter();
        names
            .map(|name| {
                let config = self.to_config(&name);
                (name, config.map(|config| config.server).map_err(|error| error.message))
            })
            .collect()
    }

    /// Returns the configuration of a profile. Nobody can be asked for a passphrase while the dashboard
    /// has the terminal.
    pub fn to_config(&self, name: &ProfileName) -> Result<Config, UserError> {
        let loaded = self.loaded.for_profile(&self.options, name);
        let mut config = self.options.to_config(loaded, None)?;
        if !can_read_passphrase(self.options.passphrase_fd) {
            let reason = format!(
                "the passphrase of the profile '{name}' has to be typed: quit and run \
                 keywright --profile {name}"
            );
            let refuse = move |_| Err(secret_store::Error::NoPassphrase(reason.clone()));
            config.passphrase_prompt = PassphrasePrompt(Arc::new(refuse));
        }
        Ok(config)
    }
}
