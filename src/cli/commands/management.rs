//! `keywright management set|show|forget`: the key that disables, edits and deletes keys.

use clap::Subcommand;
use secrecy::ExposeSecret;

use crate::cli::output::{print, say};
use crate::cli::{prompts, wait_for};
use crate::domain::{ErrorKind, ManagementKey, UserError};
use crate::services::keys::management::{self, Source};
use crate::services::provision::Services;

/// What to do with it.
#[derive(Subcommand, Debug)]
pub enum Management {
    /// Check a management key, and store it: from standard input or a masked prompt
    Set,
    /// Which one is used, masked, and where it comes from
    Show,
    /// Remove the stored one; it stays valid at OpenRouter
    Forget,
}

impl Management {
    pub(in crate::cli) fn run(&self, services: &Services) -> Result<(), UserError> {
        match self {
            Self::Set => set(services),
            Self::Show => show(services),
            Self::Forget => forget(services),
        }
    }
}

fn set(services: &Services) -> Result<(), UserError> {
    let secret = prompts::secret("management key: ")?;
    #[expect(clippy::disallowed_methods, reason = "door: management set")]
    let key = ManagementKey::from(secret.expose_secret().to_owned());
    wait_for(management::set(services, &key))?.map_err(|error| error.trouble())?;
    if services.management.is_some() {
        say("the one in the environment is still used before the stored one");
    }
    print(&format!(
        "management key {} stored in {}, read back\n",
        key.masked(),
        services.vault.display_name()
    ))
}

fn show(services: &Services) -> Result<(), UserError> {
    let known = wait_for(management::read(services))?.map_err(|error| error.trouble())?;
    let Some((key, source)) = known else {
        return Err(UserError::new(
            ErrorKind::NotFound,
            "no management key is known",
            "keywright management set stores one; without one, keys are managed on OpenRouter's pages",
        ));
    };
    let place = match source {
        Source::Environment => "the environment".into(),
        Source::Vault => services.vault.display_name(),
    };
    print(&format!("{}  from {place}\n", key.masked()))
}

fn forget(services: &Services) -> Result<(), UserError> {
    let was_there = wait_for(management::forget(services))?.map_err(|error| error.trouble())?;
    if services.management.is_some() {
        say("the one in the environment is used all the same");
    }
    print(if was_there {
        "forgot the management key; it stays valid at OpenRouter until you delete it there\n"
    } else {
        "no management key was stored\n"
    })
}
