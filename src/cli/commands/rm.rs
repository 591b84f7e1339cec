//! `keywright rm`: removes keys from this machine or the shared store, where they can be restored for a
//! week, and with `--revoke` also deletes them at OpenRouter.

use clap::Args;

use crate::cli::other_profiles::{CopyEffect, print_other_profiles};
use crate::cli::output::{
    add_done_keys, confirm, find_keys, print_result, print_warning, set_last_error,
};
use crate::cli::repeated_options::complete_commands;
use crate::cli::run_async;
use crate::cli::shared_store::{check_may_write, describe_history_loss};
use crate::domain::{ManagementKey, StoredKey, TRASH_DAYS, UserError, format_date};
use crate::services::keys::{self, RevokeOutcome, management_key};
use crate::services::provision::ServiceContext;

/// Arguments of `rm`.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// The keys' labels
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// Delete the keys at OpenRouter too; needs a management key
    #[arg(long)]
    revoke: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

impl RmArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let keys = find_keys(services, &self.labels)?;
        check_may_write(services, keys.iter().map(|key| key.label.as_str()))?;
        // Checked before the prompt, so that nobody confirms what cannot be done.
        let management = match keys.first().filter(|_| self.revoke) {
            Some(key) => {
                Some(run_async(management_key::require_management_key(services, &key.page_url()))??)
            }
            None => None,
        };
        let effect = if self.revoke { CopyEffect::Revoked } else { CopyEffect::Removed };
        let hashes = keys.iter().map(|key| (key.label.as_str(), &*key.hash));
        print_other_profiles(services, hashes, effect);
        // All questions come first, so that a refusal changes nothing.
        if !self.yes {
            keys.iter().try_for_each(|key| confirm(&self.question(key)))?;
        }
        let (mut removed, mut result) = (Vec::with_capacity(keys.len()), Ok(()));
        for key in &keys {
            let earlier = run_async(keys::keep_earlier_keys(services, key, &key.label))?;
            let text = earlier
                .map_err(UserError::from)
                .inspect(|earlier| earlier.notice(&key.label).iter().for_each(print_warning))
                .and_then(|_| match &management {
                    Some(management) => revoke_key(services, management, key),
                    None => remove_key(services, key),
                })
                .map_err(|error| add_done_keys(error, &key.label, "removed", &removed))?;
            if let Err(error) = print_result(&text) {
                set_last_error(&mut result, error);
            }
            removed.push(key.label.clone());
        }
        result
    }

    fn question(&self, key: &StoredKey) -> String {
        let (label, masked) = (&key.label, &key.masked);
        let history_loss = describe_history_loss(key, label);
        if self.revoke {
            let place = key.removal_place();
            format!(
                "Delete the key '{label}' ({masked}) at OpenRouter permanently, and remove it {place}? Programs that use it stop working.{history_loss}"
            )
        } else {
            let place = if key.is_shared() {
                "the shared store, for everyone who uses it"
            } else {
                "this machine"
            };
            let validity = key.validity_when_removed();
            format!(
                "Remove '{label}' ({masked}) from {place}? The key {validity}. It can be restored for {TRASH_DAYS} days; after that its text cannot be fetched again.{history_loss}"
            )
        }
    }
}

/// Removes a key from this machine, and returns what was done.
fn remove_key(services: &ServiceContext, key: &StoredKey) -> Result<String, UserError> {
    let trashed = keys::remove_key(services, key)?;
    let end = match (key.rejected_at, key.disabled) {
        (Some(_), None | Some(false)) => String::new(),
        _ => format!(" until you delete it at {}", key.page_url()),
    };
    let removed = format!("removed {}; it {}{end}\n", key.label, key.validity_when_removed());
    Ok(match trashed {
        Some(trashed) => format!(
            "{removed}until {} it can be restored{}: {}\n",
            format_date(trashed.deleted_at()),
            if key.is_shared() { " by everyone who uses the store" } else { "" },
            complete_commands(&key.label.command("trash restore"))
        ),
        None => removed,
    })
}

/// Deletes a key at OpenRouter and removes it from this machine, and returns what was done.
fn revoke_key(
    services: &ServiceContext,
    management: &ManagementKey,
    key: &StoredKey,
) -> Result<String, UserError> {
    let outcome = run_async(keys::revoke_and_remove(services, management, key))??;
    let place = key.removal_place();
    Ok(match outcome {
        RevokeOutcome::Revoked => {
            format!("deleted {} at OpenRouter and removed it {place}\n", key.label)
        }
        RevokeOutcome::AlreadyRevoked => {
            let trash = services.list_trash().unwrap_or_default();
            let is_restorable = trash.iter().any(|trashed| trashed.is_key(&key.server, &key.hash));
            // A key without a text can be neither asked about nor restored.
            let (rejected, restore) = if is_restorable {
                let command = complete_commands(&key.label.command("trash restore"));
                let restore = format!(
                    "if it belongs to another account, restore it within {TRASH_DAYS} days: {command}\n"
                );
                (", and OpenRouter rejects it", restore)
            } else {
                ("", String::new())
            };
            format!(
                "the account of the management key has no key {}{rejected}; removed it {place}\n{restore}",
                key.label
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_what_the_key_is_at_openrouter_after_its_removal() {
        let mut key = StoredKey::sample("ci", jiff::Timestamp::UNIX_EPOCH);
        let args = |revoke| RmArgs { labels: Vec::new(), revoke, yes: false };
        let end = "It can be restored for 7 days; after that its text cannot be fetched again.";
        let question = |key: &StoredKey, validity: &str| {
            let masked = &key.masked;
            let asked = args(false).question(key);
            let expected =
                format!("Remove 'ci' ({masked}) from this machine? The key {validity}. {end}");
            assert_eq!(asked, expected);
        };
        question(&key, "stays valid at OpenRouter");
        key.rejected_at = Some(jiff::Timestamp::UNIX_EPOCH);
        question(&key, "is not accepted by OpenRouter any more");
        // The server rejects a disabled key too, and it can be enabled again.
        key.disabled = Some(true);
        question(&key, "stays disabled at OpenRouter");
        let expected = format!(
            "Delete the key 'ci' ({}) at OpenRouter permanently, and remove it here? Programs that use it stop working.",
            key.masked
        );
        assert_eq!(args(true).question(&key), expected);
    }
}
