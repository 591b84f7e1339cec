//! `keywright rm LABEL`: forgets a key on this machine. The key itself stays valid.

use clap::Args;

use super::{confirm, find, print};
use crate::key::Trouble;
use crate::provision::{self, Services};

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
        provision::forget(services, &held.label)?;
        print(&format!(
            "forgot {}; it stays valid at OpenRouter until you delete it at {}\n",
            held.label,
            held.page()
        ))
    }
}
