//! `keywright disable` and `keywright enable`: disables and enables keys at OpenRouter.

use clap::Args;

use crate::cli::other_profiles::{CopyEffect, print_other_profiles};
use crate::cli::output::{add_done_keys, find_keys, print_result, set_last_error};
use crate::cli::run_async;
use crate::cli::shared_store::check_may_write;
use crate::domain::UserError;
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;

/// Arguments of `disable` and `enable`.
#[derive(Args, Debug)]
pub struct SetDisabledArgs {
    /// The keys' labels
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
}

impl SetDisabledArgs {
    pub(in crate::cli) fn run(
        &self,
        services: &ServiceContext,
        disabled: bool,
    ) -> Result<(), UserError> {
        let state =
            if disabled { "disabled and cannot be used until it is enabled" } else { "enabled" };
        let verb = if disabled { "disabled" } else { "enabled" };
        let (mut done, mut result) = (Vec::new(), Ok(()));
        let keys = find_keys(services, &self.labels)?;
        check_may_write(services, keys.iter().map(|key| key.label.as_str()))?;
        let effect = if disabled { CopyEffect::Disabled } else { CopyEffect::Enabled };
        let hashes = keys.iter().map(|key| (key.label.as_str(), &*key.hash));
        print_other_profiles(services, hashes, effect);
        for key in keys {
            let updated = run_async(async {
                let management =
                    management_key::require_management_key(services, &key.page_url()).await?;
                keys::set_disabled(services, &management, &key, disabled).await
            })?
            .map_err(|error| add_done_keys(error.to_user_error(), &key.label, verb, &done))?;
            let printed = print_result(&format!("{} is {state}\n", key.label));
            // The remaining keys are still changed; the last error ends the command.
            for error in [printed.err(), updated.warning].into_iter().flatten() {
                set_last_error(&mut result, error);
            }
            done.push(key.label.clone());
        }
        result
    }
}
