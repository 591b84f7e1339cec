//! `keywright watch`: reports each key that reaches a limit, expires soon or is not used, once.

use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::list::refresh_all_keys_or_fail;
use crate::cli::json::to_iso8601;
use crate::cli::output::{print, print_error, print_warning};
use crate::domain::{LowThreshold, UserError, WatchThresholds, io_error_text};
use crate::platform::child_process::remove_secret_variables;
use crate::services::config::parse_duration;
use crate::services::provision::ServiceContext;
use crate::services::watch::{self, Change};

pub(in crate::cli) const LONG_ABOUT: &str = "\
Report keys that reach a limit, expire soon or are not used

Checks all keys at OpenRouter and prints a line for each key that needs attention, once, and
another when it no longer does. What was reported is remembered, so that a timer repeats nothing.

A report whose --exec command failed is repeated at the next check.

With --once the exit code is 0 when all keys were checked and none needs attention.";

/// Arguments of `watch`.
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// Report a key when less than this remains: a share such as 20%, or an amount in USD [default: the configuration's, else 20%, or a day's spending]
    #[arg(long, value_name = "SHARE")]
    below: Option<LowThreshold>,
    /// Report a key that expires within this time, such as 12h, 7d or 2w [default: the configuration's, else the last quarter of its lifetime, at most 7d]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expiring: Option<SignedDuration>,
    /// Report a key that was not used for this many days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    idle_days: Option<u32>,
    /// Check once and exit
    #[arg(long)]
    once: bool,
    /// Minutes between checks
    #[arg(long, value_name = "MINUTES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_440), conflicts_with = "once")]
    interval: u32,
    /// Run this shell command for each report, with KEYWRIGHT_LABEL, _EVENT, _STATE, _DETAIL and _AT in its environment
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// Leave the management key and the passphrase variables in the environment of the command
    #[arg(long, requires = "exec")]
    keep_env: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl WatchArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        // The secret store must prompt now, while the user is present.
        services.unlock()?;
        let days = |count: u32| SignedDuration::from_hours(24 * i64::from(count));
        let thresholds = WatchThresholds {
            below: self.below,
            expiring: self.expiring,
            idle: self.idle_days.map(days),
        };
        loop {
            let refreshed = refresh_all_keys_or_fail(services);
            let needing_attention = self.report_changes(services, &thresholds)?;
            if self.once {
                refreshed?;
                return match needing_attention.as_slice() {
                    [] => Ok(()),
                    [label] => Err(attention_error(&format!("1 key needs attention: {label}"))),
                    labels => Err(attention_error(&format!(
                        "{} keys need attention: {}",
                        labels.len(),
                        labels.join(", ")
                    ))),
                };
            }
            if let Err(error) = refreshed {
                print_warning(&error);
            }
            thread::sleep(Duration::from_secs(60 * u64::from(self.interval)));
        }
    }

    /// Prints what changed. Returns the labels of all keys that need attention.
    fn report_changes(
        &self,
        services: &ServiceContext,
        thresholds: &WatchThresholds,
    ) -> Result<Vec<String>, UserError> {
        let now = Timestamp::now();
        let report = watch::find_changes(services, thresholds, now)?;
        let mut undelivered = 0;
        for change in &report.changes {
            let key_report = KeyReport::new(change, now);
            print(&if self.json { key_report.to_json() } else { key_report.to_text() })?;
            if let Some(command) = &self.exec
                && !self.run_command(command, &key_report)
            {
                // The next check runs the command again.
                watch::mark_unreported(services, change)?;
                undelivered += 1;
            }
        }
        if self.once && undelivered > 0 {
            return Err(UserError::failed(
                format!(
                    "the command of --exec failed for {undelivered} of {} reports",
                    report.changes.len()
                ),
                "correct the command, then run this again: these reports are repeated",
            ));
        }
        Ok(report.needing_attention)
    }

    /// Runs the command of `--exec`. Returns whether it succeeded.
    fn run_command(&self, command: &str, report: &KeyReport) -> bool {
        let (shell, option) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
        let mut child = Command::new(shell);
        child
            .args([option, command])
            .envs(report.variables())
            .stdin(Stdio::null())
            // Standard output contains only the reports.
            .stdout(io::stderr());
        if !self.keep_env {
            remove_secret_variables(&mut child);
        }
        match child.status() {
            Ok(status) if status.success() => return true,
            Ok(status) => print_error(&format!("the command of --exec failed: {status}")),
            Err(error) => {
                print_error(&format!(
                    "the command of --exec cannot be run: {}",
                    io_error_text(&error)
                ));
            }
        }
        false
    }
}

fn attention_error(message: &str) -> UserError {
    UserError::failed(message, "show them: keywright status")
}

/// What is reported about one key.
struct KeyReport {
    at: String,
    label: String,
    event: &'static str,
    state: &'static str,
    detail: String,
}

impl KeyReport {
    fn new(Change { key, attention, .. }: &Change, now: Timestamp) -> Self {
        let (event, detail) = match attention {
            Some(attention) => (attention.condition.as_str(), attention.detail.clone()),
            None => ("ok", "needs no attention any more".into()),
        };
        Self {
            at: to_iso8601(Some(now)).unwrap_or_default(),
            label: key.label.to_string(),
            event,
            state: key.state(now).as_str(),
            detail,
        }
    }

    fn to_text(&self) -> String {
        let Self { at, label, event, detail, .. } = self;
        format!("{at}  {label}  {}  {detail}\n", event.replace('_', " "))
    }

    fn to_json(&self) -> String {
        let Self { at, label, event, state, detail } = self;
        let line = json!({
            "at": at, "label": label, "event": event, "state": state, "detail": detail,
        });
        format!("{line}\n")
    }

    fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("KEYWRIGHT_AT", &self.at),
            ("KEYWRIGHT_LABEL", &self.label),
            ("KEYWRIGHT_EVENT", self.event),
            ("KEYWRIGHT_STATE", self.state),
            ("KEYWRIGHT_DETAIL", &self.detail),
        ]
    }
}
