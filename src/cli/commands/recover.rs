//! `keywright recover`: what a program that died left behind is finished, and the rest listed.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::rotate::key_lost_error;
use crate::cli::json::to_iso8601;
use crate::cli::output::{print, print_status, print_warning, usage_error};
use crate::cli::run_async;
use crate::cli::sign_in::{retry_store_interactively, run_with_prompts};
use crate::domain::{ErrorKind, ProvisioningOutcome, UnresolvedAttempt, UserError, sanitize};
use crate::services::keys::{self, Error, RecoveryReport};
use crate::services::provision::{self, ServiceContext};

/// Arguments of `recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Strike this attempt off the list, by its label or its id: you have looked
    #[arg(long, value_name = "LABEL")]
    dismiss: Option<String>,
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl RecoverArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let mut left =
            finish_interrupted(services, keys::recover_and_reconcile(services, Timestamp::now()))?;
        if let Some(name) = &self.dismiss {
            let struck = find_unresolved(&left.unresolved, name)?;
            provision::dismiss_attempt(services, &struck.id)?;
            left.unresolved.retain(|(one, _)| *one != struck);
            left.dismissed.push(struck);
        }
        left.errors.iter().for_each(print_warning);
        for (label, server, store) in &left.attempts_elsewhere {
            print_status(&format!(
                "an attempt at '{label}' waits elsewhere: keywright recover --server {server} --store {store}"
            ));
        }
        if self.json {
            print(&format!("{:#}\n", recovery_to_json(&left)))?;
        } else {
            print(&format_recovery(&left))?;
        }
        ensure_resolved(&left)
    }
}

/// Waits for what came of the leftovers, and keeps keys that were received just now.
pub(in crate::cli) fn finish_interrupted(
    services: &ServiceContext,
    work: impl Future<Output = Result<RecoveryReport, Error>>,
) -> Result<RecoveryReport, UserError> {
    let mut left = run_async(work)?.map_err(|error| error.to_user_error())?;
    for outcome in std::mem::take(&mut left.not_stored) {
        let kept = run_async(async {
            let ((), mut controls) = run_with_prompts(async |_, _| ()).await;
            retry_store_interactively(outcome, &mut controls, services).await
        })?;
        match kept {
            ProvisioningOutcome::Stored { stored_key: held, .. } => left.stored.push(held),
            ProvisioningOutcome::NotStored { entry: held, error: trouble, .. } => {
                left.lost_key_errors.push(key_lost_error(&held, trouble))
            }
            ProvisioningOutcome::Failed(trouble) => left.lost_key_errors.push(trouble),
        }
    }
    Ok(left)
}

fn find_unresolved(
    unresolved: &[(UnresolvedAttempt, String)],
    name: &str,
) -> Result<UnresolvedAttempt, UserError> {
    let named: Vec<_> = unresolved
        .iter()
        .map(|(one, _)| one)
        .filter(|one| one.id == name || one.label.as_str() == name)
        .collect();
    match named[..] {
        [one] => Ok(one.clone()),
        [] => Err(UserError::new(
            ErrorKind::NotFound,
            format!("no unresolved attempt is called '{}'", sanitize(name, 100)),
            "nothing was struck off; keywright recover lists them",
        )),
        _ => Err(usage_error(
            format!("{} unresolved attempts are called '{}'", named.len(), sanitize(name, 100)),
            "nothing was struck off; name one by its id, as keywright recover lists it",
        )),
    }
}

fn format_recovery(left: &RecoveryReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for held in &left.stored {
        let _ = writeln!(text, "stored           {}  {}", held.label, held.masked);
    }
    for handed in &left.rotated {
        let _ = writeln!(text, "rotated          {}  {}", handed.new.label, handed.new.masked);
    }
    for one in &left.dismissed {
        let _ = writeln!(text, "struck off       {}  {}", one.label, format_time(one.started_at));
    }
    for (one, advice) in &left.unresolved {
        let _ = writeln!(
            text,
            "possibly issued  {}  {}  {}  {}\n  {advice}",
            one.label,
            format_time(one.started_at),
            one.server,
            one.id
        );
    }
    if text.is_empty() {
        text.push_str("every attempt ended cleanly\n");
    }
    text
}

fn recovery_to_json(left: &RecoveryReport) -> Value {
    let unresolved = left.unresolved.iter().map(|(one, advice)| {
        json!({
            "id": one.id,
            "label": one.label,
            "server": one.server,
            "at": format_time(one.started_at),
            "advice": advice,
        })
    });
    json!({
        "unresolved": unresolved.collect::<Vec<_>>(),
        "stored": left.stored.iter().map(|held| &held.label).collect::<Vec<_>>(),
        "rotated": left.rotated.iter().map(|handed| &handed.new.label).collect::<Vec<_>>(),
        "dismissed": left.dismissed.iter().map(|one| &one.label).collect::<Vec<_>>(),
    })
}

fn ensure_resolved(left: &RecoveryReport) -> Result<(), UserError> {
    if let Some(lost) = left.lost_key_errors.first() {
        return Err(lost.clone());
    }
    let message = match left.unresolved.len() {
        0 => return Ok(()),
        1 => "one attempt may have issued a key that nobody holds".into(),
        many => format!("{many} attempts may have issued keys that nobody holds"),
    };
    let advice = "nobody can spend with a key that nobody received; what to do stands with each";
    Err(UserError::new(ErrorKind::Unresolved, message, advice))
}

fn format_time(at: Timestamp) -> String {
    to_iso8601(Some(at)).unwrap_or_default()
}
