//! `keywright usage`: what was spent, by day, model or key.

mod groups;
mod text;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tokio::sync::watch;

use crate::cli::output::{
    eprint, find_keys, has_stored_key, is_quiet, print, print_json, print_status, print_warning,
};
use crate::cli::run_async;
use crate::cli::signals::add_signal_handler;
use crate::domain::{ErrorKind, StoredKey, UserError};
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;
use crate::services::usage::{UsageQuery, UsageReport, UsageSource, report_usage};
use groups::{UsageRow, group_rows};

pub(in crate::cli) const LONG_ABOUT: &str = "\
Show what was spent, by day, model or key

With a management key the figures come from the activity of the account: completed UTC days, which
are requested once and then kept in the data directory, and today's spending of each key. Without
one they come from the checks that Keywright made itself: a day that these do not cover exactly
is not known, which is not the same as zero.

Without LABEL: the whole account, or all stored keys without a management key. JSON and CSV have one
row for each day, key and model, unless --by is given; days that are not known have no row. The usage
of a key is null, and empty in CSV, where a day of it is not known; JSON has the rest as at_least.";

/// Arguments of `usage`.
#[derive(Args, Debug)]
pub struct UsageArgs {
    /// The labels of the keys [default: all]
    #[arg(value_name = "LABEL")]
    labels: Vec<String>,
    /// The number of days, today included
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// What each row stands for [default: day]
    #[arg(long, value_name = "WHAT")]
    by: Option<Grouping>,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
    /// Print comma-separated values with a heading
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// What each row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Grouping {
    /// One UTC day
    Day,
    /// One model
    Model,
    /// One key
    Key,
}

impl UsageArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let is_document = self.json || self.csv;
        let grouping = self.by.or((!is_document).then_some(Grouping::Day));
        let query = UsageQuery {
            keys: self.find_keys(services)?,
            days: i64::from(self.days),
            by_key: matches!(grouping, None | Some(Grouping::Key)),
        };
        let report = run_async(fetch_report(services, &query))??;
        for note in &report.notes {
            print_warning(note);
        }
        if report.source == UsageSource::Samples {
            print_status(if report.notes.is_empty() {
                "these figures are from the checks that Keywright made itself; the activity of the account needs a management key: keywright management set"
            } else {
                "these figures are from the checks that Keywright made itself, and may be incomplete"
            });
        }
        let rows = group_rows(&report, grouping);
        if self.json {
            print_json(&to_document(&report, &rows))?;
        } else if self.csv {
            print(&format_csv(&rows))?;
        } else {
            print(&text::format_report(&report, &rows, grouping.unwrap_or(Grouping::Day)))?;
        }
        check_unread(&report)
    }

    /// Returns the keys with the labels; with a management key also those that are not stored here.
    fn find_keys(&self, services: &ServiceContext) -> Result<Vec<StoredKey>, UserError> {
        match find_keys(services, &self.labels) {
            Err(error) if error.kind == ErrorKind::NotFound => {
                run_async(find_in_account(services, &self.labels))??.ok_or(error)
            }
            found => found,
        }
    }
}

/// Returns for each label the stored key, else the keys of the account with this name; `None` without a
/// management key or where a label is unknown to the account too.
async fn find_in_account(
    services: &ServiceContext,
    labels: &[String],
) -> Result<Option<Vec<StoredKey>>, UserError> {
    let failed = |error: keys::Error| error.to_user_error();
    let Some(management) = management_key::load_management_key(services).await.map_err(failed)?
    else {
        return Ok(None);
    };
    let listed = keys::list_account_keys(services, &management).await.map_err(failed)?;
    let now = Timestamp::now();
    let mut found = Vec::new();
    for label in labels {
        if has_stored_key(services, label) {
            found.extend(find_keys(services, std::slice::from_ref(label))?);
            continue;
        }
        let named = listed.iter().filter(|key| key.display_name() == *label);
        let before = found.len();
        found.extend(named.map(|key| key.to_inventory_row(&services.server, now)));
        if found.len() == before {
            return Ok(None);
        }
    }
    let mut hashes = HashSet::new();
    found.retain(|key| hashes.insert(key.hash.clone()));
    Ok(Some(found))
}

/// Returns an error if the activity of some keys could not be read.
fn check_unread(report: &UsageReport) -> Result<(), UserError> {
    let Some((label, _, error)) = report.unread.first() else { return Ok(()) };
    let (count, all) = (report.unread.len(), report.unread.len() + report.keys.len());
    let unread = match count {
        1 => format!("the activity of '{label}' could not be read"),
        _ => format!("the activity of {count} of {all} keys could not be read; '{label}'"),
    };
    Err(error.clone().prefixed(unread).with_meaning("the figures above are without these keys"))
}

async fn fetch_report(
    services: &ServiceContext,
    query: &UsageQuery,
) -> Result<UsageReport, UserError> {
    /// Clears the progress line when dropped.
    struct ProgressLine<'a>(&'a AtomicUsize);
    impl Drop for ProgressLine<'_> {
        fn drop(&mut self) {
            if self.0.load(Ordering::Relaxed) > 0 {
                eprint("\r\u{1b}[K");
            }
        }
    }
    let (cancel, cancelled) = watch::channel(false);
    add_signal_handler(move || cancel.send(true).is_ok());
    let shows_progress = !is_quiet() && io::stderr().is_terminal();
    let started = std::time::Instant::now();
    let last_shown = AtomicUsize::new(0);
    let _line = ProgressLine(&last_shown);
    let on_progress = |done: usize, all: usize| {
        // Printed at most ten times a second, and not in the first second.
        let tenths = usize::try_from(started.elapsed().as_millis() / 100).unwrap_or(usize::MAX);
        if shows_progress
            && started.elapsed() > Duration::from_secs(1)
            && last_shown.swap(tenths, Ordering::Relaxed) != tenths
        {
            eprint(&format!("\rread the activity of {done} of {all} keys"));
        }
    };
    report_usage(services, query, Timestamp::now(), &on_progress, cancelled).await
}

/// The JSON document. It is written without a tree of values in between, which would take ten times the
/// memory.
#[derive(Serialize)]
struct UsageDocument<'a> {
    from: Date,
    to: Date,
    source: &'static str,
    rows: Vec<&'a UsageRow<'a>>,
    /// Rows of the activity that could not be read.
    #[serde(skip_serializing_if = "is_zero")]
    unreadable_rows: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<UnreadKey<'a>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A key whose activity could not be read.
#[derive(Serialize)]
struct UnreadKey<'a> {
    label: &'a str,
    hash: &'a str,
    error: &'a str,
}

fn to_document<'a>(report: &'a UsageReport, rows: &'a [UsageRow<'a>]) -> UsageDocument<'a> {
    let unread = report.unread.iter();
    UsageDocument {
        from: report.from,
        to: report.today,
        source: match report.source {
            UsageSource::Activity => "activity",
            UsageSource::Samples => "samples",
        },
        rows: rows.iter().filter(|row| row.is_in_document()).collect(),
        unreadable_rows: report.unreadable_rows,
        unread: unread
            .map(|(label, hash, error)| UnreadKey { label, hash, error: &error.message })
            .collect(),
    }
}

/// Formats rows as RFC 4180 describes, with line feeds. What is not known is empty.
fn format_csv(rows: &[UsageRow<'_>]) -> String {
    let mut text = String::from("date,label,hash,model,requests,usage\n");
    for row in rows.iter().filter(|row| row.is_in_document()) {
        let date = row.date.map(|date| date.to_string()).unwrap_or_default();
        text.push_str(&date);
        for field in [row.label, row.hash, row.model.as_deref()] {
            text.push(',');
            text.push_str(&quote_csv(field.unwrap_or_default()));
        }
        let requests = row.requests.map(|requests| requests.to_string()).unwrap_or_default();
        let usage = row.usage.map(|usage| usage.to_string()).unwrap_or_default();
        text.extend([",", &requests, ",", &usage, "\n"]);
    }
    text
}

fn quote_csv(field: &str) -> Cow<'_, str> {
    // A spreadsheet would calculate it.
    let text = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if text { format!("'{field}").into() } else { Cow::Borrowed(field) };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\"")).into()
    } else {
        field
    }
}

/// Returns the error of a command that needs the management key.
pub(super) fn no_management_key_error(what: &str) -> UserError {
    UserError::failed(
        format!("{what} needs a management key"),
        "store one: keywright management set",
    )
}

#[cfg(test)]
mod tests;
