//! `keywright rotate LABEL`: a new key under the same policy gets the label; the old one is kept
//! until nobody uses it.

use clap::Args;

use super::recover::finished;
use crate::cli::output::{confirm, find, print, warn};
use crate::cli::sign_in::{Login, converse, store_until_kept};
use crate::cli::wait_for;
use crate::domain::{
    ProvisioningOutcome, RetirePolicy, Rotated, RotationOutcome, StoredKey, UserError,
};
use crate::services::keys::{self, management};
use crate::services::provision::{Controls, Services};

/// Arguments of `rotate`.
#[derive(Args, Debug)]
pub struct Rotate {
    /// The key's label
    label: String,
    /// How long the old key must be unused before it may go: 30m, 1h, 2d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    quiet_for: u64,
    /// Delete the old key at OpenRouter then, without a question
    #[arg(long)]
    delete_old: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    login: Login,
}

impl Rotate {
    pub(in crate::cli) fn run(&self, services: &Services) -> Result<(), UserError> {
        let held = find(services, &self.label)?;
        services.vault.unlock().map_err(|error| error.to_user_error())?;
        // What an earlier run left comes first: a key that was cut for this is not cut again.
        let left = finished(services, keys::finish(services))?;
        left.lost.iter().chain(&left.troubles).for_each(warn);
        if let Some(handed) = left.handed.iter().find(|handed| handed.new.label == held.label) {
            return done(handed);
        }
        if self.delete_old && !self.yes {
            confirm(&format!(
                "Delete the key that '{}' is now ({}) at OpenRouter once it was unused for long enough?",
                held.label, held.masked
            ))?;
        }
        let known = wait_for(management::read(services))?.map_err(|error| error.trouble())?;
        let way = self.login.way(services, known.map(|(key, _)| key))?;
        let terms =
            RetirePolicy { unused_for: self.quiet_for, revoke_when_unused: self.delete_old };
        let rotation = wait_for(async {
            let (rotation, mut controls) = converse(async |controls, report| {
                keys::rotate(services, &held, way, terms, controls, report).await
            })
            .await;
            keep(rotation, &mut controls, services).await
        })?;
        match rotation {
            RotationOutcome::Completed { rotated: handed, warning: note } => {
                if let Some(note) = &note {
                    warn(note);
                }
                done(&handed)
            }
            RotationOutcome::LabelNotMoved { new, error: trouble } => Err(beside(&new, trouble)),
            RotationOutcome::NotStored { entry: held, error: trouble, .. } => {
                Err(lost(&held, trouble))
            }
            RotationOutcome::Failed(trouble) => Err(trouble),
        }
    }
}

fn done(handed: &Rotated) -> Result<(), UserError> {
    let old = handed
        .old
        .as_ref()
        .map_or(String::new(), |old| format!("; the old key is kept as '{}'", old.label));
    print(&format!("{} is a new key, {}{old}\n", handed.new.label, handed.new.masked))
}

/// A new key that could not be stored is not left as long as someone is there.
pub(in crate::cli) async fn keep(
    rotation: RotationOutcome,
    controls: &mut Controls,
    services: &Services,
) -> RotationOutcome {
    match rotation {
        RotationOutcome::NotStored { entry: held, key, error: trouble } => {
            let outcome = ProvisioningOutcome::NotStored { entry: held, key, error: trouble };
            let outcome = store_until_kept(outcome, controls, services).await;
            keys::rotated(services, outcome).await
        }
        other => other,
    }
}

fn beside(new: &StoredKey, trouble: UserError) -> UserError {
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
pub(in crate::cli) fn lost(held: &StoredKey, trouble: UserError) -> UserError {
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
fn seconds(text: &str) -> Result<u64, String> {
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
            assert_eq!(seconds(text), Ok(expected));
        }
        for text in ["", "h", "1", "1 h", "-1h", "1w", "99999999999999999999h", "400d", "1é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_error_of_a_rotation_says_that_no_second_key_will_be_cut() {
        let error = keys::Error::NotHeld("x".parse().unwrap()).trouble();
        let key = crate::domain::ApiKey::from(String::from("k"));
        let new = StoredKey::new(
            "x (new)".parse().unwrap(),
            &key,
            "s".into(),
            "os".into(),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let said = beside(&new, error).advice;
        assert!(said.contains("'x (new)'") && said.contains("no second key"), "{said}");
    }
}
