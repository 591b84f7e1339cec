//! `keywright rm LABEL`: forgets a key on this machine. The key itself stays valid.

use clap::Args;

use super::{confirm, document_trouble, find, print};
use crate::config::vault_trouble;
use crate::inventory;
use crate::key::Trouble;
use crate::provision::Services;
use crate::vault;

/// Arguments of `rm`.
#[derive(Args, Debug)]
pub struct Rm {
    /// The key's label
    label: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Rm {
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        let held = find(services, &self.label)?;
        if !self.yes {
            confirm(&format!(
                "Forget '{}' ({}) on this machine? The key itself stays valid at OpenRouter.",
                held.label, held.masked
            ))?;
        }
        match services.vault.delete(&services.slot(&self.label), services.patience) {
            Ok(()) | Err(vault::Error::NoEntry) => {}
            Err(error) => return Err(vault_trouble(&error)),
        }
        inventory::remove(&services.place, &services.server, &self.label)
            .map_err(document_trouble)?;
        print(&format!(
            "forgot {}; it stays valid at OpenRouter until you delete it at {}/keys/{}\n",
            held.label, held.server, held.hash
        ))
    }
}
