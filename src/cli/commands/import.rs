//! `keywright import`: stores a key that was created elsewhere.

use clap::Args;
use secrecy::ExposeSecret;

use crate::cli::other_account::OtherAccountArgs;
use crate::cli::other_profiles::{CopyEffect, print_other_profiles};
use crate::cli::output::{print_confirmed_key, print_next_command, print_stored_key, usage_error};
use crate::cli::shared_store::check_may_write;
use crate::cli::{prompts, run_async};
use crate::domain::{ApiKey, KeyInputError, Label, UserError};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// Arguments of `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The key's label: 1 to 100 characters, unique
    label: String,
    #[command(flatten)]
    other_account: OtherAccountArgs,
}

impl ImportArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let label: Label = self
            .label
            .parse()
            .map_err(|problem| usage_error(format!("LABEL: {problem}"), "choose another label"))
            .map_err(|error| error.with_meaning("nothing was stored"))?;
        check_may_write(services, [label.as_str()])?;
        if let Some(stored_key) = self.other_account.confirm_stored(services, label.as_str())? {
            return print_confirmed_key(&stored_key);
        }
        let secret = prompts::read_key_input("key: ")?;
        #[expect(clippy::disallowed_methods, reason = "checks the format of the key")]
        let key =
            ApiKey::parse_input(secret.expose_secret()).map_err(KeyInputError::to_user_error)?;
        print_other_profiles(services, [(label.as_str(), &*key.hash())], CopyEffect::Stored);
        let stored_key = run_async(keys::import_key(services, &label, &key))??;
        print_stored_key(&stored_key, services)?;
        if stored_key.is_of_unconfirmed_account() {
            self.other_account.confirm_account(services, &stored_key, true)?;
        }
        print_next_command(&stored_key);
        Ok(())
    }
}
