//! `keywright rm LABEL…`: forgets keys on this machine; with `--revoke` the keys themselves die.

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
    /// Delete the keys at OpenRouter too; this takes a management key
    #[arg(long)]
    revoke: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl RmArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        for held in find_keys(services, &self.labels)? {
            if self.revoke {
                self.revoke_key(services, &held)?;
            } else {
                self.remove_key(services, &held)?;
            }
        }
        Ok(())
    }

    fn remove_key(&self, services: &ServiceContext, held: &StoredKey) -> Result<(), UserError> {
        if !self.yes {
            confirm(&format!(
                "Forget '{}' ({}) on this machine? The key itself stays valid at OpenRouter.",
                held.label, held.masked
            ))?;
        }
        keys::remove_key(services, &held.label)?;
        print(&format!(
            "forgot {}; it stays valid at OpenRouter until you delete it at {}\n",
            held.label,
            held.page_url()
        ))
    }

    fn revoke_key(&self, services: &ServiceContext, held: &StoredKey) -> Result<(), UserError> {
        // Known before it is asked for: a yes that cannot be followed is worth nothing.
        let management =
            run_async(management_key::require_management_key(services, &held.page_url()))?
                .map_err(|error| error.to_user_error())?;
        if !self.yes {
            confirm(&format!(
                "Delete the key '{}' ({}) at OpenRouter for good, and forget it here? Whatever uses it stops working.",
                held.label, held.masked
            ))?;
        }
        let deleted = run_async(keys::revoke_and_remove(services, &management, held))?
            .map_err(|error| error.to_user_error())?;
        print(&match deleted {
            RevokeOutcome::Revoked => {
                format!("deleted {} at OpenRouter, and forgot it here\n", held.label)
            }
            RevokeOutcome::AlreadyRevoked => format!(
                "the management key's account has no key {} any more; forgot it here\n",
                held.label
            ),
        })
    }
}
