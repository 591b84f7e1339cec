//! `keywright disable` and `keywright enable`: disables and enables keys at OpenRouter.

use clap::Args;

use crate::cli::output::{find_keys, print, print_warning};
use crate::cli::run_async;
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
        for key in find_keys(services, &self.labels)? {
            let updated = run_async(async {
                let management =
                    management_key::require_management_key(services, &key.page_url()).await?;
                keys::set_disabled(services, &management, &key, disabled).await
            })?
            .map_err(|error| error.to_user_error())?;
            print(&format!("{} is {state}\n", key.label))?;
            if let Some(warning) = updated.warning {
                print_warning(&warning);
            }
        }
        Ok(())
    }
}
