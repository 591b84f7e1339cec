//! `keywright store`: moves keys between stores and changes the passphrase of the file store.

use std::ffi::OsString;

use clap::{Subcommand, ValueEnum, ValueHint};

use crate::cli::output::{print_result, print_warning, usage_error};
use crate::cli::passphrase::{prompt_new_passphrase, read_passphrase_file};
use crate::domain::{ErrorKind, StoreKind, UserError};
use crate::services::config::Config;
use crate::services::keys::{self, MigratedEntry};
use crate::services::provision::ServiceContext;

/// A subcommand of `store`.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Move the keys of all servers, and the management keys, to another store
    Move {
        /// The destination
        #[arg(long, value_name = "STORE")]
        to: Destination,
    },
    /// Change the passphrase of the file store
    Passphrase {
        /// Read the new passphrase from the first line of this file [default: prompt twice]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        new_file: Option<OsString>,
    },
}

/// A store that keys can be moved to.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Destination {
    /// The operating system's keychain
    Os,
    /// A file encrypted with a passphrase
    File,
}

impl StoreCommand {
    pub(in crate::cli) fn run(
        &self,
        config: &Config,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        match self {
            Self::Move { to } => move_keys(*to, config, services),
            Self::Passphrase { new_file } => change_passphrase(new_file.as_ref(), config),
        }
    }
}

fn move_keys(to: Destination, config: &Config, services: &ServiceContext) -> Result<(), UserError> {
    let (os, file) = (
        config.build_secret_store(&StoreKind::Keychain)?,
        config.build_secret_store(&StoreKind::File)?,
    );
    let (from, to) = match to {
        Destination::Os => (file, os),
        Destination::File => (os, file),
    };
    let moved = keys::migrate_entries(
        &services.location,
        &from,
        &to,
        services.secret_store_timeout,
        &services.server,
        |server| config.keychain_service(server),
    )
    .map_err(|error| error.to_user_error())?;
    let mut failed = 0;
    for MigratedEntry { description, result } in &moved {
        match result {
            Ok(()) => {
                print_result(&format!(
                    "{description}  stored in {} and verified\n",
                    to.display_name()
                ))?;
            }
            Err(error) => {
                failed += 1;
                print_warning(&UserError {
                    message: format!("{description}: {}", error.message),
                    ..error.clone()
                });
            }
        }
    }
    if failed > 0 {
        return Err(UserError::new(
            ErrorKind::Failed,
            format!("{failed} of {} were not moved", moved.len()),
            "fix the errors above, then run the same command to continue",
        )
        .with_meaning("they are still in the store they were in"));
    }
    let (count, kind) = (moved.len(), to.kind());
    print_result(&format!(
        "{count} moved; use --store {kind} or KEYWRIGHT_STORE={kind} from now on\n"
    ))
}

fn change_passphrase(new_file: Option<&OsString>, config: &Config) -> Result<(), UserError> {
    let file_store = config.build_secret_store(&StoreKind::File)?;
    if !file_store.exists() {
        return Err(usage_error(
            format!("there is no file store at {}", file_store.display_name()),
            "store a first key in it: keywright new LABEL --store file",
        )
        .with_meaning("nothing was changed"));
    }
    let changed = file_store.unlock().and_then(|()| {
        let new = match new_file {
            Some(file) => read_passphrase_file(file)?,
            None => prompt_new_passphrase("new passphrase (without it the keys are lost): ")?,
        };
        file_store.change_passphrase(&new)
    });
    changed.map_err(|error| error.to_user_error())?;
    print_result(&format!("changed and verified the passphrase of {}\n", file_store.display_name()))
}
