//! `keywright store`: moves keys between stores and changes the passphrase of the file store.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueHint};

use crate::cli::output::{confirm, find_keys, print_result, print_warning, usage_error};
use crate::cli::passphrase::{prompt_new_passphrase, read_passphrase_file};
use crate::cli::prompts::has_terminal;
use crate::cli::run_async;
use crate::cli::shared_store::check_may_write;
use crate::domain::{KeyLocation, StoreKind, StoredKey, UserError, quote_shell_word};
use crate::services::config::Config;
use crate::services::keys::{self, MigratedEntry, Migration};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// A subcommand of `store`.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Move keys to another store: those with these labels, or the keys of all servers
    ///
    /// Each key is read back from the new store before its old copy is deleted. Interrupted, the same
    /// command continues. Without labels, removed keys move too; and between the keychain and the file
    /// also management keys, which are in no other store.
    Move(MoveArgs),
    /// Change the passphrase of the file store
    Passphrase {
        /// Read the new passphrase from the first line of this file [default: prompt twice]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        new_file: Option<OsString>,
    },
}

/// Arguments of `store move`.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// The keys to move [default: all]
    labels: Vec<String>,
    /// The new store: os, file, bao or exec:PROGRAM
    #[arg(long, value_name = "STORE", value_parser = parse_destination)]
    to: StoreKind,
    /// Do not ask whether keys may leave a store that other people use
    #[arg(long, short)]
    yes: bool,
}

fn parse_destination(name: &str) -> Result<StoreKind, String> {
    StoreKind::parse_lasting(name).map_err(|error| error.to_string())
}

impl StoreCommand {
    pub(in crate::cli) fn run(
        &self,
        config: &Config,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        match self {
            Self::Move(arguments) => arguments.run(config, services),
            Self::Passphrase { new_file } => change_passphrase(new_file.as_ref(), config),
        }
    }
}

impl MoveArgs {
    fn run(&self, config: &Config, services: &ServiceContext) -> Result<(), UserError> {
        let chosen = find_keys(services, &self.labels)?;
        let all;
        let moving = if chosen.is_empty() {
            all = services.list_keys()?;
            &all
        } else {
            &chosen
        };
        let leaving = moving.iter().filter(|key| !key.is_in_store(&self.to));
        check_may_write(services, leaving.map(|key| key.label.as_str()))?;
        self.confirm_unsharing(&chosen, services)?;
        for key in moving.iter().filter(|key| !key.is_in_store(&self.to)) {
            let earlier = run_async(keys::keep_earlier_keys(services, key, &key.label))?;
            let earlier = earlier?;
            earlier.notice(&key.label).iter().for_each(print_warning);
        }
        let labels: Vec<_> = chosen.iter().map(|key| key.label.clone()).collect();
        let to = config.build_secret_store(&self.to)?;
        let local_from = match self.to {
            StoreKind::Keychain => Some(config.build_secret_store(&StoreKind::File)?),
            StoreKind::File => Some(config.build_secret_store(&StoreKind::Keychain)?),
            _ => None,
        };
        let (mut moved, mut failed) = (0, 0);
        let mut written = Ok(());
        let mut print = |MigratedEntry { description, result }: &MigratedEntry| match result {
            Ok(()) => {
                moved += 1;
                let line = format!("{description}  stored in {} and verified\n", to.display_name());
                written = written.clone().and(print_result(&line));
            }
            Err(error) => {
                failed += 1;
                let message = format!("{description}: {}", error.message);
                print_warning(&UserError { message, ..error.clone() });
            }
        };
        let migration = Migration {
            location: &services.location,
            to: &to,
            local_from: local_from.as_ref().filter(|from| from.exists()),
            open_store: &|kind| config.build_secret_store(kind),
            timeout: services.secret_store_timeout,
            server: &services.server,
            service: &|server| config.keychain_service(server),
            labels: &labels,
        };
        keys::migrate_entries(&migration, &mut print).map_err(|error| {
            let error = error.to_user_error();
            match moved {
                0 => error,
                count => error.with_meaning(format!("{count} keys were moved before this error")),
            }
        })?;
        written?;
        if failed > 0 {
            return Err(UserError::failed(
                format!("{failed} of {} were not moved", moved + failed),
                "fix the errors above, then run the same command to continue",
            )
            .with_meaning("these keys are still in their old stores"));
        }
        self.print_summary(moved)
    }

    fn confirm_unsharing(
        &self,
        chosen: &[StoredKey],
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        let leaves = |key: &StoredKey| match &key.location {
            KeyLocation::Stored(kind) => kind.is_shared() && *kind != self.to,
            KeyLocation::AccountOnly => false,
        };
        let all;
        let moving = if self.labels.is_empty() {
            let keys = inventory::list_all_keys(&services.location);
            all = keys?;
            &all
        } else {
            chosen
        };
        let leaving: Vec<_> = moving.iter().filter(|key| leaves(key)).collect();
        if leaving.is_empty() || self.yes {
            return Ok(());
        }
        let (keys, them) = match leaving.len() {
            1 => ("1 key leaves".to_owned(), "it"),
            count => (format!("{count} keys leave"), "them"),
        };
        let history = if leaving.iter().any(|key| key.has_history()) {
            ", and the history of its versions there is deleted (keys of it that still work are kept)"
        } else {
            ""
        };
        confirm(&format!(
            "{keys} a shared store: other people can no longer read {them}{history}. Move {them}?"
        ))
    }

    fn print_summary(&self, moved: usize) -> Result<(), UserError> {
        let to = &self.to;
        if moved == 0 {
            return print_result(&format!("nothing to move: the keys are in the {to} store\n"));
        }
        let hint = if self.labels.is_empty() {
            format!(
                "; for new keys use --store {0} or KEYWRIGHT_STORE={0} from now on",
                quote_shell_word(to.as_str())
            )
        } else {
            String::new()
        };
        print_result(&format!("{moved} moved{hint}\n"))
    }
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
    file_store.unlock()?;
    if new_file.is_none() && !has_terminal() {
        return Err(usage_error(
            "there is no terminal to ask for the new passphrase",
            "write it to the first line of a file: keywright store passphrase --new-file FILE",
        )
        .with_meaning("nothing was changed"));
    }
    let new = match new_file {
        Some(file) => read_passphrase_file(file),
        None => prompt_new_passphrase("new passphrase (without it the keys are lost): "),
    };
    let changed = new.and_then(|new| file_store.change_passphrase(&new));
    changed?;
    print_result(&format!("changed and verified the passphrase of {}\n", file_store.display_name()))
}
