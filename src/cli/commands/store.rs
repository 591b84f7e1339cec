//! `keywright vault move|passphrase`: from one store to the other, and the file's passphrase.

use std::ffi::OsString;

use clap::{Subcommand, ValueEnum};

use crate::cli::output::{print, print_warning, usage_error};
use crate::cli::passphrase::{prompt_new_passphrase, read_passphrase_file};
use crate::domain::{ErrorKind, UserError};
use crate::services::config::{self, Config};
use crate::services::keys::{self, MigratedEntry};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::StoreKind;

/// What to do with the stores.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Move every key of every server, and the management keys, to the other store
    Move {
        /// Where they go
        #[arg(long, value_name = "STORE")]
        to: Destination,
    },
    /// Give the file store another passphrase
    Passphrase {
        /// Read the new one from the first line of this file [default: it is asked for, twice]
        #[arg(long, value_name = "FILE")]
        new_file: Option<OsString>,
    },
}

/// The stores that keep what they hold.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Destination {
    /// The operating system's keychain
    Os,
    /// The file under a passphrase
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
        config.build_secret_store(StoreKind::Keychain)?,
        config.build_secret_store(StoreKind::File)?,
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
        config::keychain_service,
    )
    .map_err(|error| error.to_user_error())?;
    let mut failed = 0;
    for MigratedEntry { description: what, result } in &moved {
        match result {
            Ok(()) => print(&format!("{what}  in {}, read back\n", to.display_name()))?,
            Err(trouble) => {
                failed += 1;
                print_warning(&UserError {
                    message: format!("{what}: {}", trouble.message),
                    ..trouble.clone()
                });
            }
        }
    }
    if failed > 0 {
        return Err(UserError::new(
            ErrorKind::Failed,
            format!("{failed} of {} were not moved", moved.len()),
            "they are where they were; once that is mended, the same command goes on",
        ));
    }
    let (count, kind) = (moved.len(), to.kind());
    print(&format!("{count} moved; from now on: --store {kind}, or KEYWRIGHT_STORE={kind}\n"))
}

fn change_passphrase(new_file: Option<&OsString>, config: &Config) -> Result<(), UserError> {
    let vault = config.build_secret_store(StoreKind::File)?;
    if !vault.exists() {
        return Err(usage_error(
            format!("there is no vault at {}", vault.display_name()),
            "nothing was changed; the first key that is stored with --store file makes one",
        ));
    }
    let changed = vault.unlock().and_then(|()| {
        let new = match new_file {
            Some(file) => read_passphrase_file(file)?,
            None => {
                prompt_new_passphrase("new passphrase (without it nobody opens the vault again): ")?
            }
        };
        vault.change_passphrase(&new)
    });
    changed.map_err(|error| error.to_user_error())?;
    print(&format!("{} has another passphrase now, opened with it once\n", vault.display_name()))
}
