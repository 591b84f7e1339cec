//! `keywright rotate LABEL`: a new key under the same policy gets the label; the old one is kept
//! until nobody uses it.

use clap::Args;

use super::recover::finish_interrupted;
use crate::cli::output::{confirm, find_key, print, print_warning};
use crate::cli::run_async;
use crate::cli::sign_in::{SignInArgs, retry_store_interactively, run_with_prompts};
use crate::domain::{
    ProvisioningOutcome, RetirePolicy, Rotated, RotationOutcome, StoredKey, UserError,
};
use crate::services::keys::{self, management_key};
use crate::services::provision::{ProvisioningControls, ServiceContext};

/// Arguments of `rotate`.
#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The key's label
    label: String,
    /// How long the old key must be unused before it may go: 30m, 1h, 2d
    #[arg(long = "quiet-for", value_name = "TIME", default_value = "1h", value_parser = parse_seconds)]
    unused_for: u64,
    /// Delete the old key at OpenRouter then, without a question
    #[arg(long)]
    delete_old: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    sign_in: SignInArgs,
}

impl RotateArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let held = find_key(services, &self.label)?;
        services.secret_store.unlock().map_err(|error| error.to_user_error())?;
        // What an earlier run left comes first: a key that was cut for this is not cut again.
        let left = finish_interrupted(services, keys::recover_interrupted(services))?;
        left.lost_key_errors.iter().chain(&left.errors).for_each(print_warning);
        if let Some(handed) = left.rotated.iter().find(|handed| handed.new.label == held.label) {
            return print_rotated(handed);
        }
        if self.delete_old && !self.yes {
            confirm(&format!(
                "Delete the key that '{}' is now ({}) at OpenRouter once it was unused for long enough?",
                held.label, held.masked
            ))?;
        }
        let known = run_async(management_key::load_management_key(services))?
            .map_err(|error| error.to_user_error())?;
        let way = self.sign_in.choose_auth_method(services, known.map(|(key, _)| key))?;
        let terms =
            RetirePolicy { unused_for: self.unused_for, revoke_when_unused: self.delete_old };
        let rotation = run_async(async {
            let (rotation, mut controls) = run_with_prompts(async |controls, report| {
                keys::rotate_key(services, &held, way, terms, controls, report).await
            })
            .await;
            store_replacement(rotation, &mut controls, services).await
        })?;
        match rotation {
            RotationOutcome::Completed { rotated: handed, warning: note } => {
                if let Some(note) = &note {
                    print_warning(note);
                }
                print_rotated(&handed)
            }
            RotationOutcome::LabelNotMoved { new, error: trouble } => {
                Err(not_renamed_error(&new, trouble))
            }
            RotationOutcome::NotStored { entry: held, error: trouble, .. } => {
                Err(key_lost_error(&held, trouble))
            }
            RotationOutcome::Failed(trouble) => Err(trouble),
        }
    }
}

fn print_rotated(handed: &Rotated) -> Result<(), UserError> {
    let old = handed
        .old
        .as_ref()
        .map_or(String::new(), |old| format!("; the old key is kept as '{}'", old.label));
    print(&format!("{} is a new key, {}{old}\n", handed.new.label, handed.new.masked))
}

/// A new key that could not be stored is not left as long as someone is there.
pub(in crate::cli) async fn store_replacement(
    rotation: RotationOutcome,
    controls: &mut ProvisioningControls,
    services: &ServiceContext,
) -> RotationOutcome {
    match rotation {
        RotationOutcome::NotStored { entry: held, key, error: trouble } => {
            let outcome = ProvisioningOutcome::NotStored { entry: held, key, error: trouble };
            let outcome = retry_store_interactively(outcome, controls, services).await;
            keys::finish_rotation(services, outcome).await
        }
        other => other,
    }
}

fn not_renamed_error(new: &StoredKey, trouble: UserError) -> UserError {
    UserError::new(
        trouble.kind,
        format!("the new key has not got the label yet: {}", trouble.message),
        format!(
            "it is held as '{}', and both keys work; {}; then rotate again: no second key is cut",
            new.label, trouble.advice
        ),
    )
}

/// What is said of a key that nobody stored.
pub(in crate::cli) fn key_lost_error(held: &StoredKey, trouble: UserError) -> UserError {
    UserError {
        advice: format!(
            "{}; the key is lost with this program: revoke it at {}",
            trouble.advice,
            held.page_url()
        ),
        ..trouble
    }
}

/// `90s`, `30m`, `1h`, `2d`.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let wrong = || String::from("a time is a number and s, m, h or d, such as 30m or 1h");
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).filter(|total| *total <= 365 * 86_400).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), (" 2d ", 172_800)] {
            assert_eq!(parse_seconds(text), Ok(expected));
        }
        for text in ["", "h", "1", "1 h", "-1h", "1w", "99999999999999999999h", "400d", "1é"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_error_of_a_rotation_says_that_no_second_key_will_be_cut() {
        let error = keys::Error::NotInInventory("x".parse().unwrap()).to_user_error();
        let key = crate::domain::ApiKey::from(String::from("k"));
        let new = StoredKey::new(
            "x (new)".parse().unwrap(),
            &key,
            "s".into(),
            "os".into(),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let said = not_renamed_error(&new, error).advice;
        assert!(said.contains("'x (new)'") && said.contains("no second key"), "{said}");
    }
}
