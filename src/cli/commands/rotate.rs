//! `keywright rotate`: replaces a key with a new one that has the same policy and label.

use std::io::{self, IsTerminal};

use clap::Args;
use jiff::Timestamp;

use crate::cli::json;
use crate::cli::losses::{confirm_losses, print_expected_losses, print_losses};
use crate::cli::other_profiles::{CopyEffect, print_other_profiles};
use crate::cli::output::{
    confirm, find_key, print_result, print_status, print_warning, usage_error,
};
use crate::cli::run_async;
use crate::cli::shared_store::check_may_write;
use crate::cli::sign_in::{SignInArgs, run_with_prompts};
use crate::cli::unstored_keys::{finish_interrupted, label_not_moved_error, store_replacement};
use crate::domain::{
    ErrorKind, Expiry, FieldChange, RetirePolicy, Rotated, RotationOutcome, StoredKey, UserError,
    format_command, format_date, format_relative_time,
};
use crate::services::keys::{self, management_key};
use crate::services::provision::{self, ServiceContext};

/// What to do once the label can be moved.
const AGAIN: &str = "rotate again, which creates no second key";

/// Arguments of `rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The key's label
    label: String,
    /// How long the old key must be unused before it may be deleted: 30m, 1h, 2d
    #[arg(long = "quiet-for", value_name = "TIME", default_value = "1h", value_parser = parse_seconds)]
    unused_for: u64,
    /// Delete the old key at OpenRouter after that time, without asking again
    #[arg(long)]
    delete_old: bool,
    /// When the new key expires: 30d, 12h, 6w, 3mo, 1y, 2027-12-31, 2027-12-31T23:59:59Z or never [default: like the old key; a date stays the same]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Do not ask for confirmation, also where the new key will lack something that the old one has
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl RotateArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let expiry = self.parse_expiry()?;
        let stored_key = find_key(services, &self.label)?;
        check_may_write(services, [stored_key.label.as_str()])?;
        services.unlock()?;
        let management = run_async(management_key::load_management_key(services))??;
        let print_rotated = |rotated: &Rotated, warning| {
            // With a management key an unknown part means that a request failed.
            let unread = rotated.unread_error().filter(|_| management.is_some());
            self.print_rotated(rotated, unread, warning, services)
        };
        let other_account = &self.sign_in.other_account;
        let unconfirmed = keys::find_unconfirmed_replacement(services, &stored_key)?;
        if let Some(new) = unconfirmed {
            let rotated = other_account.confirm_account(services, &new, !self.yes);
            let rotated = rotated.map_err(|error| label_not_moved_error(&new, error, AGAIN))?;
            return print_rotated(&rotated, None);
        }
        // An interrupted rotation is finished first, so that no second key is created for it.
        let report = finish_interrupted(services, keys::recover_interrupted(services))?;
        let rotated = report.rotated.iter().find(|rotated| rotated.new.label == stored_key.label);
        // What the new key lacks is reported as the error of this command.
        let own_errors = rotated.map(|own| [own.weaker_error(), own.unread_error()]);
        let is_own =
            |error: &&UserError| own_errors.iter().flatten().flatten().any(|own| own == *error);
        let errors = report.errors.iter().filter(|error| !is_own(error));
        report.lost_key_errors.iter().chain(errors).for_each(print_warning);
        if let Some(rotated) = rotated {
            return print_rotated(rotated, None);
        }
        let losses =
            run_async(keys::preview_replacement(services, &stored_key, management.as_ref()))?;
        let copy = [(stored_key.label.as_str(), &*stored_key.hash)];
        print_other_profiles(services, copy, CopyEffect::Replaced);
        // Without a management key some losses are always unknown, and a script is not stopped by
        // that. With a management key an unknown loss means that a request failed.
        let is_unread = !losses.is_empty() && (management.is_some() || io::stdin().is_terminal());
        let is_weaker = print_expected_losses([(&stored_key.label, losses)]);
        if (is_weaker || is_unread) && !self.yes {
            confirm_losses(&stored_key.label)?;
        }
        if self.delete_old && !self.yes {
            confirm(&format!(
                "Delete the current key of '{}' ({}) at OpenRouter once it has been unused for long enough?",
                stored_key.label, stored_key.masked
            ))?;
        }
        if self.expires.is_none() {
            print_near_end(&stored_key);
        }
        let auth_method = self.sign_in.choose_auth_method(services, management.clone())?;
        let retire_policy =
            RetirePolicy { unused_for: self.unused_for, revoke_when_unused: self.delete_old };
        let opens_manually = auth_method.opens_manually();
        let rotation = run_async(async {
            let (rotation, mut controls) =
                run_with_prompts(opens_manually, async |controls, report| {
                    keys::rotate_key(
                        services,
                        &stored_key,
                        &expiry,
                        auth_method,
                        retire_policy,
                        controls,
                        report,
                    )
                    .await
                })
                .await;
            store_replacement(rotation, &mut controls, services).await
        })?;
        match rotation {
            RotationOutcome::Completed { rotated, warning } => print_rotated(&rotated, warning),
            RotationOutcome::LabelNotMoved { new, error } => {
                if !new.is_of_unconfirmed_account() {
                    return Err(label_not_moved_error(&new, error, AGAIN));
                }
                match other_account.confirm_account(services, &new, !self.yes) {
                    Ok(rotated) => print_rotated(&rotated, None),
                    Err(error) => Err(label_not_moved_error(&new, error, AGAIN)),
                }
            }
            RotationOutcome::NotStored { error, .. } => Err(provision::key_lost_error(error)),
            RotationOutcome::Failed(error) => Err(error),
        }
    }

    /// Returns the end of the new key.
    fn parse_expiry(&self) -> Result<FieldChange<Expiry>, UserError> {
        let Some(text) = &self.expires else { return Ok(FieldChange::Keep) };
        let expiry = Expiry::parse(text, Timestamp::now());
        expiry.map(FieldChange::from_option).map_err(|problem| {
            usage_error(format!("--expires: {problem}"), "see keywright rotate --help")
                .with_meaning("nothing was sent")
        })
    }

    /// Prints the result. A new key that lacks something is an error, and so is a warning, unless it is only
    /// that the policy could not be checked.
    fn print_rotated(
        &self,
        rotated: &Rotated,
        unread: Option<UserError>,
        warning: Option<UserError>,
        services: &ServiceContext,
    ) -> Result<(), UserError> {
        let Rotated { new, old, not_carried } = rotated;
        if self.json {
            let mut key = json::rotated_to_json(rotated, Timestamp::now());
            json::PendingNames::load(services).add_to(&mut key);
            print_result(&format!("{key:#}\n"))?;
        } else {
            let old = old
                .as_ref()
                .map_or(String::new(), |old| format!("; the old key is kept as '{}'", old.label));
            print_result(&format!("{} is a new key, {}{old}\n", new.label, new.masked))?;
        }
        if unread.is_none() {
            let unknown: Vec<_> =
                not_carried.iter().filter(|loss| !loss.is_lost()).cloned().collect();
            let heading = format!("could not be compared for the new key of '{}'", new.label);
            print_losses(&heading, &unknown);
        }
        match UserError::join([rotated.weaker_error(), unread, warning]) {
            Some(warning) if warning.kind == ErrorKind::Unreachable => {
                print_warning(&warning);
                Ok(())
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Says that the new key ends soon, since the end of the old one is a date.
fn print_near_end(key: &StoredKey) {
    let now = Timestamp::now();
    let end = key.expires_at().value().filter(|end| *end > now);
    if let (Some(end), true) = (end, key.needs_new_expiry(now)) {
        print_status(&format!(
            "The new key ends when the old one does: {}, {}. For another expiry: {}",
            format_date(end),
            format_relative_time(now, end),
            format_command(&["rotate", "--expires", "30d"], &[key.label.as_str()])
        ));
    }
}

/// Parses a duration such as `90s`, `30m`, `1h` or `2d`.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let invalid = || String::from("give a number and s, m, h or d, such as 30m or 1h");
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(invalid()),
    };
    let count: u64 = count.parse().map_err(|_| invalid())?;
    count.checked_mul(unit).filter(|total| *total <= 365 * 86_400).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), (" 2d ", 172_800)] {
            assert_eq!(parse_seconds(text), Ok(expected));
        }
        for text in ["", "h", "1", "1 h", "-1h", "1w", "99999999999999999999h", "400d", "1é"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }
}
