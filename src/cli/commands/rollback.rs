//! `keywright rollback`: makes an earlier version of a shared key current again.

use clap::Args;
use jiff::Timestamp;

use crate::cli::json::key_to_json;
use crate::cli::output::{confirm, find_key, print_result};
use crate::cli::run_async;
use crate::cli::shared_store::check_may_write;
use crate::domain::UserError;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;

pub(in crate::cli) const LONG_ABOUT: &str = "\
Make an earlier version of a key in a shared store (--store bao) current again, as a new version. \
OpenRouter is asked first: a key that was deleted, disabled or has expired is not brought back. The key \
that was current stays valid at OpenRouter and stays in the history.

The versions: keywright show LABEL --history";

/// Arguments of `rollback`.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// The key's label
    label: String,
    /// The version to return to
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl RollbackArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let key = find_key(services, &self.label)?;
        check_may_write(services, [key.label.as_str()])?;
        if !self.yes {
            confirm(&format!(
                "Make version {} of '{}' current again, for everybody who uses it?",
                self.to, key.label
            ))?;
        }
        let stored = run_async(shared_inventory::rollback(services, &key, self.to))??;
        if self.json {
            let json = key_to_json(&stored, Timestamp::now());
            return print_result(&format!("{json:#}\n"));
        }
        let version = stored.shared.as_ref().map_or(0, |record| record.version);
        print_result(&format!(
            "{} is {} again, as version {version}; {} stays valid at OpenRouter: {}\n",
            stored.label,
            stored.masked,
            key.masked,
            key.page_url()
        ))
    }
}
