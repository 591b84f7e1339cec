//! `keywright management`: stores, shows and removes the management key.

use clap::Subcommand;
use secrecy::ExposeSecret;

use crate::cli::output::{print, print_result, print_status};
use crate::cli::{prompts, run_async};
use crate::domain::{ErrorKind, KeyInputError, ManagementKey, UserError};
use crate::services::keys::management_key;
use crate::services::provision::ServiceContext;

/// A subcommand of `management`.
#[derive(Subcommand, Debug)]
pub enum ManagementCommand {
    /// Check and store a management key, read from standard input or a masked prompt
    Set,
    /// Print the management key in use, masked, and its source
    Show,
    /// Remove the stored management key; it stays valid at OpenRouter
    Forget,
}

impl ManagementCommand {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        match self {
            Self::Set => set_management_key(services),
            Self::Show => print_management_key(services),
            Self::Forget => remove_management_key(services),
        }
    }
}

fn set_management_key(services: &ServiceContext) -> Result<(), UserError> {
    let secret = prompts::read_key_input("management key: ")?;
    #[expect(clippy::disallowed_methods, reason = "checks the format of the key")]
    let key = ManagementKey::parse_input(secret.expose_secret())
        .map_err(KeyInputError::to_management_key_error)?;
    run_async(management_key::store_management_key(services, &key))??;
    if services.management_key.is_some() {
        print_status("OPENROUTER_MANAGEMENT_KEY is set and is used instead of the stored key");
    }
    print_result(&format!(
        "management key {} stored in {} and verified\n",
        key.masked(),
        services.local_store().display_name()
    ))
}

fn print_management_key(services: &ServiceContext) -> Result<(), UserError> {
    let known = run_async(management_key::load_management_key(services))??;
    let Some(key) = known else {
        return Err(UserError::new(
            ErrorKind::NotFound,
            "no management key is stored",
            "store one: keywright management set",
        ));
    };
    let source = match &services.management_key {
        Some(_) => "the environment".into(),
        None => services.local_store().display_name(),
    };
    print(&format!("{}  from {source}\n", key.masked()))
}

fn remove_management_key(services: &ServiceContext) -> Result<(), UserError> {
    let was_stored = run_async(management_key::remove_management_key(services))??;
    if services.management_key.is_some() {
        print_status("OPENROUTER_MANAGEMENT_KEY is set and is still used");
    }
    print_result(if was_stored {
        "removed the management key; it stays valid at OpenRouter until you delete it there\n"
    } else {
        "no management key was stored\n"
    })
}
