//! `keywright rm`: removes keys from this machine, and with `--revoke` also deletes them at
//! OpenRouter.

use clap::Args;

use crate::cli::output::{confirm, find_keys, print};
use crate::cli::run_async;
use crate::domain::{StoredKey, UserError};
use crate::services::keys::{self, RevokeOutcome, management_key};
use crate::services::provision::ServiceContext;

/// Arguments of `rm`.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// The keys' labels
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// Delete the keys at OpenRouter too; needs a management key
    #[arg(long)]
    revoke: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

impl RmArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        for key in find_keys(services, &self.labels)? {
            if self.revoke {
                self.revoke_key(services, &key)?;
            } else {
                self.remove_key(services, &key)?;
            }
        }
        Ok(())
    }

    fn remove_key(&self, services: &ServiceContext, key: &StoredKey) -> Result<(), UserError> {
        if !self.yes {
            confirm(&format!(
                "Remove '{}' ({}) from this machine? The key stays valid at OpenRouter.",
                key.label, key.masked
            ))?;
        }
        keys::remove_key(services, &key.label)?;
        print(&format!(
            "removed {}; it stays valid at OpenRouter until you delete it at {}\n",
            key.label,
            key.page_url()
        ))
    }

    fn revoke_key(&self, services: &ServiceContext, key: &StoredKey) -> Result<(), UserError> {
        // Checked before the prompt, so that nobody confirms what cannot be done.
        let management =
            run_async(management_key::require_management_key(services, &key.page_url()))?
                .map_err(|error| error.to_user_error())?;
        if !self.yes {
            confirm(&format!(
                "Delete the key '{}' ({}) at OpenRouter permanently, and remove it here? Programs that use it stop working.",
                key.label, key.masked
            ))?;
        }
        let outcome = run_async(keys::revoke_and_remove(services, &management, key))?
            .map_err(|error| error.to_user_error())?;
        print(&match outcome {
            RevokeOutcome::Revoked => {
                format!("deleted {} at OpenRouter and removed it here\n", key.label)
            }
            RevokeOutcome::AlreadyRevoked => format!(
                "{} no longer exists in the management key's account; removed it here\n",
                key.label
            ),
        })
    }
}
