//! Keys of another account: the option that accepts them, and the question about them.

use std::io::{self, IsTerminal};

use clap::Args;

use super::output::{confirm, find_stored_key, print_error, print_warning};
use super::run_async;
use crate::domain::{Rotated, StoredKey, UserError};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// The option that accepts keys of another account.
#[derive(Args, Debug)]
pub struct OtherAccountArgs {
    /// Accept a key of another account than that of the stored keys; also for one that is stored already
    #[arg(long)]
    other_account: bool,
}

impl OtherAccountArgs {
    /// Confirms the account of `key` with the option, or by a question on the terminal if it `may_ask`.
    /// Then the key gets the label for which it was created.
    pub(super) fn confirm_account(
        &self,
        services: &ServiceContext,
        key: &StoredKey,
        may_ask: bool,
    ) -> Result<Rotated, UserError> {
        if !self.other_account {
            let error = key.other_account_error();
            if !may_ask || !io::stdin().is_terminal() {
                return Err(error);
            }
            print_error(&format!("{}: {}", error.message, error.meaning));
            confirm("Is that account yours?").map_err(|_| error)?;
        }
        run_async(keys::confirm_account(services, key))?.map_err(UserError::from)
    }

    /// Confirms the account of the key that is already stored under `label`, if the option was
    /// given.
    pub(super) fn confirm_stored(
        &self,
        services: &ServiceContext,
        label: &str,
    ) -> Result<Option<StoredKey>, UserError> {
        if !self.other_account {
            return Ok(None);
        }
        match find_stored_key(services, label) {
            Some(key) if key.is_of_unconfirmed_account() => {
                Ok(Some(self.confirm_account(services, &key, false)?.new))
            }
            _ => Ok(None),
        }
    }
}

/// Prints a warning for each key of an unconfirmed account.
pub(super) fn warn_about_other_accounts<'a>(keys: impl IntoIterator<Item = &'a StoredKey>) {
    let unconfirmed = keys.into_iter().filter(|key| key.is_of_unconfirmed_account());
    unconfirmed.for_each(|key| print_warning(&key.other_account_error()));
}
