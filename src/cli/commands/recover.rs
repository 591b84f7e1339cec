//! `keywright recover`: finishes interrupted attempts and lists the unresolved ones.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::json::{error_to_json, to_iso8601};
use crate::cli::output::{
    confirm, print_json, print_result, print_status, print_warning, stored_meaning, usage_error,
};
use crate::cli::repeated_options::complete_commands;
use crate::cli::run_async;
use crate::cli::unstored_keys::{finish_interrupted, print_settled, report_lost_keys};
use crate::domain::{
    ErrorKind, Rotated, StoredKey, UnresolvedAttempt, UserError, format_command, sanitize,
};
use crate::services::keys::{self, AttemptKey, RecoveryReport, management_key};
use crate::services::provision::{self, ServiceContext};

/// Arguments of `recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Dismiss this attempt (label or id)
    #[arg(long, value_name = "LABEL|ID")]
    dismiss: Option<String>,
    /// Delete the key of this attempt (label or id) at OpenRouter with the management key, if its hash is known
    #[arg(long, value_name = "LABEL|ID", conflicts_with = "dismiss")]
    revoke: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "revoke")]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl RecoverArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let mut report =
            finish_interrupted(services, keys::recover_and_reconcile(services, Timestamp::now()))?;
        if let Some(name) = &self.dismiss {
            let dismissed = find_unresolved(&report.unresolved, name)?;
            provision::dismiss_attempt(services, &dismissed.id)?;
            report.unresolved.retain(|(attempt, _)| *attempt != dismissed);
            report.dismissed.push(dismissed);
        }
        if let Some(name) = &self.revoke {
            let revoked = find_unresolved(&report.unresolved, name)?;
            if revoked.waits_for_store {
                return Err(keys::pending_error(&revoked));
            }
            self.revoke_key(services, &revoked)?;
            report.unresolved.retain(|(attempt, _)| *attempt != revoked);
            report.deleted.push(revoked.label);
        }
        let is_exposed = |key: &StoredKey| key.is_exposed(Timestamp::now());
        let exposed = services.filter_keys(is_exposed)?;
        for key in &exposed {
            print_warning(&key.exposed_error());
        }
        print_settled(&[], &report.foreign, services);
        let uncompared = report.rotated.iter().filter_map(Rotated::unread_error);
        uncompared
            .filter(|error| !report.errors.contains(error))
            .for_each(|error| print_warning(&error));
        report.errors.iter().for_each(print_warning);
        for (label, server, store) in &report.attempts_elsewhere {
            print_status(&format!(
                "the attempt for '{label}' belongs to another server or store: {}",
                format_command(
                    &["recover", "--server", server, "--store", &store.to_string()],
                    &[]
                )
            ));
        }
        let ended = ensure_ended(&report, &exposed, services);
        let mut text = format_recovery(&report);
        if text.is_empty() && ended.is_ok() {
            text.push_str("every attempt ended cleanly\n");
        }
        if self.json {
            print_json(&recovery_to_json(&report))
                .map_err(|error| error.with_meaning(text.trim_end()))?;
        } else {
            print_result(&text)?;
        }
        ended
    }
}

impl RecoverArgs {
    /// Deletes the key of an attempt at the server, after asking, and dismisses the attempt.
    fn revoke_key(
        &self,
        services: &ServiceContext,
        attempt: &UnresolvedAttempt,
    ) -> Result<(), UserError> {
        let id = &attempt.id;
        let key = run_async(keys::find_attempt_key(services, id))??;
        let hash = match key {
            AttemptKey::Known(hash) => hash,
            AttemptKey::Possible(hashes) => return Err(unknown_hash_error(attempt, &hashes)),
        };
        if let Some(key) = services.find_hash(&hash)? {
            return Err(stored_key_error(&key));
        }
        let page = format!("{}/keys/{hash}", services.server);
        let management = run_async(management_key::require_management_key(services, &page))??;
        match run_async(keys::fetch_account_key(services, &management, &hash))? {
            Ok(key) => {
                let spent = key.info.usage.map_or("unknown".into(), crate::domain::format_usd);
                if !self.yes {
                    confirm(&format!(
                        "Delete the key '{}' ({hash:.12}…, spent {spent}) at OpenRouter permanently?",
                        key.display_name()
                    ))?;
                }
                run_async(keys::revoke_key(services, &management, &hash))??;
            }
            Err(error) if error.is_not_found() => {
                print_status("the account has no such key any more");
            }
            Err(error) => return Err(error.to_user_error()),
        }
        provision::dismiss_attempt(services, id)
    }
}

/// Returns the error about an attempt whose key is stored.
fn stored_key_error(key: &StoredKey) -> UserError {
    let revoke = key.label.command("rm --revoke");
    UserError::failed(
        format!("the key of this attempt is stored as '{}'", key.label),
        format!("to delete it: {revoke}"),
    )
    .with_meaning("nothing was deleted")
}

/// Returns the error about an attempt whose key may be one of those with the hashes, or none.
fn unknown_hash_error(attempt: &UnresolvedAttempt, hashes: &[String]) -> UserError {
    let UnresolvedAttempt { id, label, server, .. } = attempt;
    let dismiss = format_command(&["recover", "--dismiss", id], &[]);
    let pages: Vec<String> = hashes.iter().map(|hash| format!("{server}/keys/{hash}")).collect();
    let (reason, advice) = if pages.is_empty() {
        (
            String::new(),
            format!(
                "look at {} for a key with this label and creation time, delete it there, then run: {dismiss}",
                attempt.keys_page_url()
            ),
        )
    } else {
        (
            "; a key with this label and time exists, and someone else may have created it".into(),
            format!("if nothing uses it, delete it at {}, then run: {dismiss}", pages.join(" or ")),
        )
    };
    let message = format!(
        "the response to the attempt for '{label}' was lost, so its key is not known by hash{reason}"
    );
    UserError::new(ErrorKind::Unresolved, message, advice).with_meaning("nothing was deleted")
}

fn find_unresolved(
    unresolved: &[(UnresolvedAttempt, String)],
    name: &str,
) -> Result<UnresolvedAttempt, UserError> {
    let matching: Vec<_> = unresolved
        .iter()
        .map(|(attempt, _)| attempt)
        .filter(|attempt| attempt.id == name || attempt.label.is_same(name))
        .collect();
    match matching[..] {
        [one] => Ok(one.clone()),
        [] => Err(UserError::new(
            ErrorKind::NotFound,
            format!("no unresolved attempt has the label or id '{}'", sanitize(name, 100)),
            "list the attempts: keywright recover",
        )
        .with_meaning("nothing was dismissed")),
        _ => Err(usage_error(
            format!(
                "{} unresolved attempts have the label '{}'",
                matching.len(),
                sanitize(name, 100)
            ),
            "pass the id of one attempt, listed by: keywright recover",
        )
        .with_meaning("nothing was dismissed")),
    }
}

/// Fails if something is still to do, or could not be done.
fn ensure_ended(
    report: &RecoveryReport,
    exposed: &[StoredKey],
    services: &ServiceContext,
) -> Result<(), UserError> {
    ensure_resolved(report)?;
    if !exposed.is_empty() {
        let message = "not every leaked key is disabled";
        return Err(UserError::failed(message, "follow the advice given above"));
    }
    let waits = |key: &StoredKey| key.move_to.is_some();
    let waiting = services.filter_keys(waits)?;
    ensure_moved(&waiting)?;
    let first = report.errors.first();
    ensure_finished(services).map_err(|error| match first {
        Some(first) => UserError { kind: first.kind, ..error }.with_meaning(stored_meaning(first)),
        None => UserError {
            advice: "another process is at work on it; look again: keywright recover".into(),
            ..error
        },
    })?;
    let Some(error) = first else { return Ok(()) };
    let message = "not everything could be finished";
    Err(UserError::new(error.kind, message, "follow the advice given above")
        .with_meaning(stored_meaning(error)))
}

/// Fails if a shared store still could not take keys that wait on this machine.
fn ensure_moved(waiting: &[StoredKey]) -> Result<(), UserError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let labels: Vec<_> = waiting.iter().map(|key| format!("'{}'", key.label)).collect();
    let message = format!("the shared store still cannot take {}", labels.join(", "));
    Err(UserError::new(
        ErrorKind::SecretStore,
        message,
        "run keywright recover again when the store is back and the token may write",
    )
    .with_meaning("the keys work and are on this machine only"))
}

/// Fails if something is still to do for stored keys; the errors say why.
fn ensure_finished(services: &ServiceContext) -> Result<(), UserError> {
    let to_user_error = |error: crate::storage::json_store::Error| error.to_user_error();
    let unnamed = keys::list_pending_names(services).map_err(to_user_error)?.len();
    let unguarded = services.filter_keys(StoredKey::awaits_guardrail).map_err(to_user_error)?.len();
    let replacing =
        services.filter_keys(|key| key.replaces.is_some()).map_err(to_user_error)?.len();
    let left = [
        (unnamed, "renamed at the server"),
        (unguarded, "put under its guardrail"),
        (replacing, "given the label of the key that it replaces"),
    ];
    let left: Vec<_> = left.iter().filter(|(count, _)| *count > 0).map(|(_, done)| *done).collect();
    if left.is_empty() {
        return Ok(());
    }
    let message = format!("not every key could be {}", left.join(" and "));
    Err(UserError::failed(message, "follow the advice given above for each key")
        .with_meaning("the keys are stored and work"))
}

fn format_recovery(report: &RecoveryReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for key in &report.stored {
        let _ = writeln!(text, "stored           {}  {}", key.label, key.masked);
    }
    for rotated in &report.rotated {
        let _ = writeln!(text, "rotated          {}  {}", rotated.new.label, rotated.new.masked);
    }
    for step in &report.finished {
        let _ = writeln!(text, "finished         {}  {step}", step.label());
    }
    for label in &report.deleted {
        let _ = writeln!(text, "deleted          {label}  created and not received");
    }
    for attempt in &report.dismissed {
        let _ = writeln!(
            text,
            "dismissed        {}  {}",
            attempt.label,
            format_time(attempt.started_at)
        );
    }
    for (attempt, advice) in &report.unresolved {
        let state = if attempt.waits_for_store { "not checked    " } else { "possibly issued" };
        let _ = writeln!(
            text,
            "{state}  {}  {}  {}  {}\n  {}",
            attempt.label,
            format_time(attempt.started_at),
            attempt.server,
            attempt.id,
            complete_commands(advice)
        );
    }
    text
}

fn recovery_to_json(report: &RecoveryReport) -> Value {
    let unresolved = report.unresolved.iter().map(|(attempt, advice)| {
        json!({
            "id": attempt.id,
            "label": attempt.label,
            "server": attempt.server,
            "at": format_time(attempt.started_at),
            "advice": complete_commands(advice),
            "waits_for_store": attempt.waits_for_store,
        })
    });
    let elsewhere = report
        .attempts_elsewhere
        .iter()
        .map(|(label, server, store)| json!({"label": label, "server": server, "store": store}));
    json!({
        "unresolved": unresolved.collect::<Vec<_>>(),
        "stored": report.stored.iter().map(|key| &key.label).collect::<Vec<_>>(),
        "rotated": report.rotated.iter().map(|rotated| &rotated.new.label).collect::<Vec<_>>(),
        "not_carried": report.rotated.iter().flat_map(|rotated| {
            rotated.not_carried.iter().map(|part| {
                let mut part = json!(part);
                part["label"] = json!(rotated.new.label);
                part
            })
        }).collect::<Vec<_>>(),
        "dismissed": report.dismissed.iter().map(|attempt| &attempt.label).collect::<Vec<_>>(),
        "deleted": report.deleted,
        "finished": report.finished.iter().map(|step| json!({
            "label": step.label(), "step": step.as_str(),
        })).collect::<Vec<_>>(),
        "lost": errors_to_json(&report.lost_key_errors),
        "errors": errors_to_json(&report.errors),
        "elsewhere": elsewhere.collect::<Vec<_>>(),
    })
}

fn errors_to_json(errors: &[UserError]) -> Value {
    errors.iter().map(|error| error_to_json(error)["error"].take()).collect()
}

fn ensure_resolved(report: &RecoveryReport) -> Result<(), UserError> {
    report_lost_keys(&report.lost_key_errors)?;
    if let Some(key) = report.stored.iter().find(|key| key.is_of_unconfirmed_account()) {
        return Err(key.other_account_error());
    }
    if !report.unresolved.is_empty()
        && report.unresolved.iter().all(|(attempt, _)| attempt.waits_for_store)
    {
        return Err(UserError::new(
            ErrorKind::SecretStore,
            "keys of interrupted runs were received, and the secret store cannot be read",
            "unlock the secret store, then run: keywright recover",
        )
        .with_meaning("the keys may be stored and in use: do not delete them"));
    }
    let message = match report.unresolved.len() {
        0 => return Ok(()),
        1 => "one attempt may have issued a key that was not received".into(),
        count => format!("{count} attempts may have issued keys that were not received"),
    };
    Err(UserError::new(ErrorKind::Unresolved, message, "follow the advice given for each attempt")
        .with_meaning("nobody can spend with a key that nobody received"))
}

fn format_time(at: Timestamp) -> String {
    to_iso8601(Some(at)).unwrap_or_default()
}
