//! `keywright get LABEL`: the key and a newline. No runtime, no network, no inventory on the way.

use std::io::{self, IsTerminal};

use clap::Args;
use secrecy::ExposeSecret;

use super::words::{no_such_label, print, usage};
use crate::account::Error;
use crate::inventory;
use crate::key::Trouble;
use crate::provision::Services;
use crate::vault;

/// Arguments of `get`.
#[derive(Args, Debug)]
pub struct Get {
    /// The key's label
    label: String,
    /// Refuse to print the key on a terminal
    #[arg(long)]
    no_tty: bool,
}

impl Get {
    #[expect(clippy::disallowed_methods, reason = "door: get")]
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        if self.no_tty && io::stdout().is_terminal() {
            return Err(usage(
                "standard output is a terminal",
                "send it to a program, or leave --no-tty out",
            ));
        }
        match services.vault.get(&services.slot(&self.label), services.patience) {
            Ok(secret) => print(&format!("{}\n", secret.expose_secret())),
            Err(vault::Error::NoEntry) => {
                let keys = inventory::read(&services.place, &services.server)
                    .map_err(|error| error.trouble())?;
                if let Some(held) = keys.iter().find(|held| held.label.as_str() == self.label) {
                    return Err(Error::not_there(held, &services.vault).trouble());
                }
                Err(no_such_label(&self.label, &keys))
            }
            Err(error) => Err(error.trouble()),
        }
    }
}
