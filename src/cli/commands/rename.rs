//! `keywright rename`: changes a key's label, also at OpenRouter where a management key is stored.

use std::io::{self, IsTerminal};

use clap::Args;

use crate::cli::output::{confirm, find_key, print_result, print_warning, usage_error};
use crate::cli::run_async;
use crate::cli::shared_store::{check_may_write, describe_history_loss};
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
        let key = find_key(services, &self.old)?;
        let new: Label = self
            .new
            .parse()
            .map_err(|problem| usage_error(format!("NEW: {problem}"), "choose another label"))
            .map_err(|error| error.with_meaning("nothing was changed"))?;
        check_may_write(services, [key.label.as_str()])?;
        let history_loss = describe_history_loss(&key, &new);
        if !history_loss.is_empty() && io::stdin().is_terminal() {
            confirm(&format!("Rename '{}' to '{new}'?{history_loss}", key.label))?;
        }
        let management = run_async(management_key::load_management_key(services))??;
        let mut management = management;
        // Without a terminal to ask on, both labels are changed.
        if management.is_some() && io::stdin().is_terminal() {
            management = management.filter(|_| confirm("Rename it at OpenRouter too?").is_ok());
        }
        let renamed = run_async(keys::rename_key(services, &key, &new, management.as_ref()))??;
        let remote = if management.is_some() && renamed.warning.is_none() {
            ", at OpenRouter too"
        } else {
            ""
        };
        renamed.warning.iter().chain(&renamed.notice).for_each(print_warning);
        print_result(&format!("{} renamed to {}{remote}\n", key.label, renamed.stored_key.label))
    }
}
