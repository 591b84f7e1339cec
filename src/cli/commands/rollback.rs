//! `keywright rollback`: makes an earlier version of a shared key current again.

use clap::Args;
use jiff::Timestamp;

use crate::cli::json::key_to_json;
use crate::cli::output::{confirm, find_key, print_result};
use crate::cli::run_async;
use crate::cli::shared_store::check_may_write;
use crate::domain::{Rotated, UserError};
use crate::services::keys;
use crate::services::provision::ServiceContext;

pub(in crate::cli) const LONG_ABOUT: &str = "\
Make an earlier version of a key in a shared store (--store bao) current again, as a new version. \
OpenRouter is asked first: a key that was deleted, disabled or has expired is not brought back. The key \
that was current stays valid at OpenRouter: it is kept as LABEL (old) and retires, as after \
`keywright rotate`.

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
        let Rotated { new, old, .. } = &run_async(keys::rollback_key(services, &key, self.to))??;
        if self.json {
            let mut json = key_to_json(new, Timestamp::now());
            json["old"] = old.as_ref().map(|old| key_to_json(old, Timestamp::now())).into();
            return print_result(&format!("{json:#}\n"));
        }
        let version = new.shared.as_ref().map_or(0, |record| record.version);
        let replaced = match old {
            Some(old) => format!(
                "the replaced key {} is kept as '{}' and stays valid; when nothing uses it any more: {}",
                old.masked,
                old.label,
                old.label.command("rm --revoke")
            ),
            None => format!(
                "the replaced key {} stays valid and its text was deleted from the store; delete it at {}",
                key.masked,
                key.page_url()
            ),
        };
        print_result(&format!(
            "{} is {} again, as version {version}\n{replaced}\n",
            new.label, new.masked
        ))
    }
}
