//! `keywright get`: prints a key and a newline. Needs no runtime and no network.

use std::io::{self, IsTerminal};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::other_account::warn_about_other_accounts;
use crate::cli::output::{find_key, find_stored_key, print, usage_error};
use crate::domain::UserError;
use crate::services::keys::missing_error;
use crate::services::provision::ServiceContext;
use crate::storage::secret_store;

/// Arguments of `get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The key's label
    label: String,
    /// Refuse to print the key on a terminal
    #[arg(long)]
    no_tty: bool,
}

impl GetArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        if self.no_tty && io::stdout().is_terminal() {
            return Err(usage_error(
                "standard output is a terminal",
                "pipe it to a program, or leave --no-tty out",
            ));
        }
        let secret = load_secret(services, &self.label)?;
        #[expect(clippy::disallowed_methods, reason = "prints the key")]
        print(&format!("{}\n", secret.expose_secret()))
    }
}

/// Returns the key stored under `label`, from the store that the inventory records. A damaged inventory
/// does not prevent that. Warns about a key of another account.
pub(in crate::cli) fn load_secret(
    services: &ServiceContext,
    label: &str,
) -> Result<SecretString, UserError> {
    let services = &services.for_label(label);
    match services.secret_store.get(&services.entry_id(label), services.secret_store_timeout) {
        Ok(secret) => {
            warn_about_other_accounts(&find_stored_key(services, label));
            Ok(secret)
        }
        Err(secret_store::Error::NoEntry) => {
            let key = find_key(services, label)?;
            if key.label.as_str() != label {
                return load_secret(services, key.label.as_str());
            }
            Err(missing_error(services, &key.label).to_user_error())
        }
        Err(error) => Err(error.to_user_error()),
    }
}
