//! `keywright rename OLD NEW`: another label; at the server too where a management key is known.

use std::io::{self, IsTerminal};

use clap::Args;

use crate::cli::output::{confirm, find_key, print, print_warning, usage_error};
use crate::cli::run_async;
use crate::domain::{Label, UserError};
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;

/// Arguments of `rename`.
#[derive(Args, Debug)]
pub struct RenameArgs {
    /// The key's label
    old: String,
    /// Its new label: 1 to 100 characters, unique here
    new: String,
}

impl RenameArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let held = find_key(services, &self.old)?;
        let new: Label = self
            .new
            .parse()
            .map_err(|problem| usage_error(format!("NEW: {problem}"), "nothing was changed"))?;
        let management = run_async(management_key::load_management_key(services))?
            .map_err(|error| error.to_user_error())?;
        let mut there = management.map(|(key, _)| key);
        // Where nobody can be asked, the names go together.
        if there.is_some() && io::stdin().is_terminal() {
            there = there.filter(|_| confirm("Rename it at OpenRouter too?").is_ok());
        }
        let renamed = run_async(keys::rename_key(services, &held, &new, there.as_ref()))?
            .map_err(|error| error.to_user_error())?;
        let too =
            if there.is_some() && renamed.warning.is_none() { ", at OpenRouter too" } else { "" };
        if let Some(note) = &renamed.warning {
            print_warning(note);
        }
        print(&format!("{} is {} now{too}\n", held.label, renamed.stored_key.label))
    }
}
