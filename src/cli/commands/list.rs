//! `keywright list`: lists the inventory; `--refresh` checks each key at OpenRouter first.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::api::openrouter::MAX_RETRY_AFTER;
use crate::cli::other_account::warn_about_other_accounts;
use crate::cli::output::{eprint, is_quiet, print, print_error, print_json, print_status};
use crate::cli::repeated_options::complete_commands;
use crate::cli::shared_store::{
    print_unfinished_keys, print_waiting_keys, warn_about_exposed_keys,
};
use crate::cli::table::{self, Column};
use crate::cli::{json, run_async};
use crate::domain::{
    CheckResult, EXPOSED, ErrorKind, Reported, ResetInterval, StoredKey, UserError, format_date,
    format_relative_time, format_usd, sort_by_key,
};
use crate::services::keys::{self, RefreshReport};
use crate::services::provision::ServiceContext;

/// Arguments of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Check each key at OpenRouter first; fails only if none could be checked
    #[arg(long)]
    refresh: bool,
}

impl ListArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let list_keys = || services.list_keys().map_err(UserError::from);
        let mut keys = list_keys()?;
        let mut refreshed = Ok(());
        if self.refresh && !keys.is_empty() {
            let results;
            (results, refreshed) = run_async(refresh_keys(services, &keys))?;
            if results.is_empty() {
                return refreshed;
            }
            keys = list_keys()?;
            // The results are shown even where the inventory could not be written.
            for key in &mut keys {
                match results.get(&key.hash) {
                    Some((at, result)) if key.checked_at < Some(*at) => {
                        key.record_check(result, *at);
                    }
                    _ => {}
                }
            }
        }
        let now = Timestamp::now();
        sort_by_key(&mut keys, |key| !key.is_exposed(now));
        warn_about_exposed_keys(&keys, now);
        warn_about_other_accounts(&keys);
        print_waiting_keys(&keys);
        print_unfinished_keys(&keys);
        if self.json {
            let keys: Vec<_> = keys.iter().map(|key| json::key_to_json(key, now)).collect();
            print_json(&keys)?;
        } else if keys.is_empty() {
            let text = "no keys are stored yet; create one: keywright new LABEL\n";
            print(&complete_commands(text))?;
        } else {
            let rows: Vec<_> = keys.iter().map(|key| format_row(key, now)).collect();
            print(&table::format_table(&COLUMNS, &rows, table::terminal_width()))?;
        }
        refreshed
    }
}

/// Checks every key at OpenRouter and records the results in the inventory.
pub fn refresh_all_keys(services: &ServiceContext) -> Result<(), UserError> {
    let keys = services.list_keys()?;
    run_async(refresh_keys(services, &keys))?.1
}

/// Checks every key as [`refresh_all_keys`] does, and fails if one of them could not be checked.
pub(super) fn refresh_all_keys_or_fail(services: &ServiceContext) -> Result<(), UserError> {
    let keys = services.list_keys()?;
    let (results, result) = run_async(refresh_keys(services, &keys))?;
    result?;
    match keys.iter().filter(|key| !results.contains_key(&key.hash)).count() {
        0 => Ok(()),
        unchecked => Err(UserError::new(
            ErrorKind::Unreachable,
            format!("{unchecked} of {} keys could not be checked", keys.len()),
            "the reasons are above; try again later, or run: keywright doctor",
        )),
    }
}

/// The results of a refresh by the hash of the key.
type CheckResults = HashMap<String, (Timestamp, CheckResult)>;

/// Checks the keys and prints those that fail. Returns the results, and an error if the refresh ended
/// early, if no key could be checked, or if the inventory could not be written.
async fn refresh_keys(
    services: &ServiceContext,
    keys: &[StoredKey],
) -> (CheckResults, Result<(), UserError>) {
    let total = keys.len();
    let mut unchecked = keys.to_vec();
    let label = |hash: &str| {
        keys.iter().find(|key| key.hash == hash).map_or(String::new(), |key| key.label.to_string())
    };
    let done = Arc::new(AtomicUsize::new(0));
    let (sender, mut received) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show_progress(total, Arc::clone(&done)));
    let (mut waits, mut unreadable) = (0, None);
    let error = loop {
        let (sender, done) = (sender.clone(), Arc::clone(&done));
        let report = move |hash: &str, result: &CheckResult, at: Timestamp| {
            done.fetch_add(1, Ordering::Relaxed);
            // The receiver lives until all keys are checked.
            let _ = sender.send((hash.to_owned(), at, result.clone()));
        };
        let (_never_cancelled, stop) = watch::channel(false);
        let RefreshReport { error, unreadable: first, retry_after, unchecked: remaining, .. } =
            keys::refresh_keys(services, unchecked, Timestamp::now, report, stop).await;
        unreadable = unreadable.or(first);
        unchecked = remaining;
        match retry_after.filter(|wait| *wait <= MAX_RETRY_AFTER && waits < services.max_retries) {
            Some(wait) if !unchecked.is_empty() => {
                waits += 1;
                tokio::time::sleep(wait).await;
            }
            _ => break error,
        }
    };
    progress.abort();
    // The progress line is cleared once the task has ended.
    let _ = progress.await;
    drop(sender);
    let (mut results, mut failed) = (CheckResults::new(), None);
    while let Some((hash, at, result)) = received.recv().await {
        if let CheckResult::Failed(reason) = result {
            print_error(&format!("'{}' could not be checked: {reason}", label(&hash)));
            failed = Some(reason);
        } else {
            results.insert(hash, (at, result));
        }
    }
    if !results.is_empty()
        && let Err(error) = keys::refresh_guardrails(services).await
    {
        tracing::warn!(%error, "the guardrails of the keys could not be read");
        // An older server has none.
        if error.is_answered() && keys.iter().any(|key| key.guardrail.is_some()) {
            print_status(&format!(
                "the guardrails are the last known ones, since they could not be read: {error}"
            ));
        }
    }
    if results.values().any(|(_, result)| *result == CheckResult::InsufficientCredits) {
        print_status("the account has no credit (402): its keys work again once credit is added");
    }
    let result = match (error, failed) {
        (Some(error), _) => {
            if !results.is_empty() && !unchecked.is_empty() {
                print_error(&format!("{} of {total} keys were not checked", unchecked.len()));
            }
            Err(error)
        }
        // Nothing was sent for keys that cannot be read here.
        (None, Some(reason)) if results.is_empty() => Err(unreadable.unwrap_or_else(|| {
            UserError::new(
                ErrorKind::Unreachable,
                format!("no key could be checked: {reason}"),
                "show the results of the last check: keywright list",
            )
        })),
        _ => Ok(()),
    };
    (results, result)
}

/// Shows progress on standard error after one second, where standard error is a terminal.
async fn show_progress(total: usize, done: Arc<AtomicUsize>) {
    /// Clears the progress line when dropped.
    struct ProgressLine;
    impl Drop for ProgressLine {
        fn drop(&mut self) {
            eprint("\r\u{1b}[K");
        }
    }
    if is_quiet() || !io::stderr().is_terminal() {
        return;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _line = ProgressLine;
    loop {
        eprint(&format!("\rchecked {} of {total} keys", done.load(Ordering::Relaxed)));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

const COLUMNS: [Column; 7] = [
    Column("LABEL", 0),
    Column("STATE", 0),
    Column("SPENT", 1),
    Column("LIMIT", 2),
    Column("EXPIRES", 3),
    Column("KEY", 4),
    Column("STORE", 5),
];

fn format_row(key: &StoredKey, now: Timestamp) -> Vec<String> {
    vec![
        key.label.to_string(),
        format_state(key, now),
        key.spent(now).map_or("-".into(), format_usd),
        format_policy(&key.limit(), &key.reset()),
        key.expires_at().describe("never", |at| {
            format!("{} ({})", format_date(at), format_relative_time(now, at))
        }),
        key.masked.clone(),
        key.location.clone().into(),
    ]
}

/// Formats the state, such as `limit reached`, `active, retiring` for a key that was replaced,
/// `active, text deleted` for one that the shared store cannot return, or [`EXPOSED`].
pub(in crate::cli) fn format_state(key: &StoredKey, now: Timestamp) -> String {
    let state = if key.is_exposed(now) {
        EXPOSED.into()
    } else {
        key.state(now).as_str().replace('_', " ")
    };
    let retiring = if key.retirement.is_some() { ", retiring" } else { "" };
    // The key itself is still valid.
    let lost = key.secret_loss().map_or(String::new(), |loss| format!(", text {}", loss.as_str()));
    format!("{state}{retiring}{lost}")
}

/// Formats a limit as `$12.50 weekly`, `$5.00` or `none`.
pub(in crate::cli) fn format_policy(
    limit: &Reported<f64>,
    reset: &Reported<ResetInterval>,
) -> String {
    let amount = limit.describe("none", format_usd);
    match reset {
        _ if limit.value().is_none() => amount,
        Reported::None => amount,
        Reported::Missing => format!("{amount}, reset unknown"),
        reset => format!("{amount} {}", reset.describe("", |reset| reset.as_str().to_owned())),
    }
}
