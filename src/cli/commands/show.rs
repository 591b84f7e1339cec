//! `keywright show LABEL`: all that is known of one key.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;

use super::list::{format_policy, format_state};
use crate::cli::json;
use crate::cli::output::{find_key, print};
use crate::domain::{
    Cents, ResetInterval, StoredKey, UserError, format_relative_time, format_timestamp, sanitize,
};
use crate::services::provision::ServiceContext;

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The key's label
    label: String,
    /// As one JSON document
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl ShowArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let held = find_key(services, &self.label)?;
        let now = Timestamp::now();
        if self.json {
            return print(&format!("{:#}\n", json::key_to_json(&held, now)));
        }
        print(&format_details(&held, now))
    }
}

fn format_details(held: &StoredKey, now: Timestamp) -> String {
    let usd = |amount: Option<f64>| amount.map_or("unknown".into(), |usd| format!("${usd:.2}"));
    let when = |at: Option<Timestamp>, never: &str| {
        at.map_or(never.into(), |at| {
            format!("{}, {}", format_timestamp(at), format_relative_time(now, at))
        })
    };
    let reading = held.info.clone().unwrap_or_default();
    let asked = &held.requested;
    let mut text = format!("{}  {}\n", held.label, held.masked);
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("state", &format_state(held, now));
    row("limit", &format_policy(held.limit(), held.reset().map(ResetInterval::as_str)));
    row(
        "asked",
        &format!(
            "{}, expires {}",
            format_policy(
                asked.limit.map(Cents::to_dollars),
                asked.limit_reset.map(ResetInterval::as_str)
            ),
            when(asked.expires_at, "never")
        ),
    );
    row(
        "granted",
        &held.granted.as_ref().map_or("unknown".into(), |granted| {
            let reset = granted.limit_reset.as_deref().map(|word| sanitize(word, 20));
            format!(
                "{}, expires {}",
                format_policy(granted.limit, reset.as_deref()),
                when(granted.expires_at, "never")
            )
        }),
    );
    row(
        "remaining",
        &match held.limit() {
            None => "no limit".into(),
            Some(_) => usd(held.remaining(now)),
        },
    );
    row("spent", &format!("{} ever, {} today", usd(reading.usage), usd(reading.usage_daily)));
    row("next reset", &when(held.reset().and_then(|reset| reset.next_after(now)), "never"));
    row("expires", &when(held.expires_at(), "never"));
    row("checked", &when(held.checked_at, "never"));
    row("stored", &format!("{}, cut {}", held.store, format_timestamp(held.created_at)));
    row("server", &held.server);
    row("hash", &held.hash);
    row("page", &held.page_url());
    if !held.differing_fields().is_empty() {
        row("not as asked:", &held.differing_fields().join(", "));
    }
    if let Some(retiring) = &held.retirement {
        row("replaced", &when(Some(retiring.replaced_at), ""));
    }
    text
}
