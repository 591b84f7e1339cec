//! `keywright rename OLD NEW`: another label; at the server too where a management key is known.

use clap::Args;

use super::wait_for;
use super::words::{find, print, usage, warn};
use crate::account::{self, management};
use crate::key::{Label, Trouble};
use crate::provision::Services;

/// Arguments of `rename`.
#[derive(Args, Debug)]
pub struct Rename {
    /// The key's label
    old: String,
    /// Its new label: 1 to 100 characters, unique here
    new: String,
}

impl Rename {
    pub(super) fn run(&self, services: &Services) -> Result<(), Trouble> {
        let held = find(services, &self.old)?;
        let new: Label = self
            .new
            .parse()
            .map_err(|problem| usage(format!("NEW: {problem}"), "nothing was changed"))?;
        let renamed = wait_for(async {
            let management = management::read(services).await?.map(|(key, _)| key);
            account::rename(services, &held, &new, management.as_ref()).await
        })?
        .map_err(|error| error.trouble())?;
        if let Some(note) = &renamed.note {
            warn(note);
        }
        print(&format!("{} is {} now\n", held.label, renamed.held.label))
    }
}
