//! `keywright show`: prints the details of one key.

use std::fmt::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::list::{format_policy, format_state};
use crate::cli::json::key_to_json;
use crate::cli::other_account::warn_about_other_accounts;
use crate::cli::output::{find_key, print, print_json, print_warning};
use crate::cli::shared_store::warn_about_exposed_keys;
use crate::cli::table::{self, Column};
use crate::domain::{
    AccountNames, Cents, KeyLocation, Reported, StoreKind, StoredKey, UserError,
    format_relative_time, format_timestamp, format_usd, sanitize,
};
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory::{self, KeyVersion};
use crate::storage::account_names;

/// Arguments of `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The key's label
    label: String,
    /// Print the versions of a key in a shared store: when and by whom each was written
    #[arg(long)]
    history: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl ShowArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let key = find_key(services, &self.label)?;
        let now = Timestamp::now();
        if self.history {
            let versions = shared_inventory::list_versions(services, &key)?;
            if self.json {
                return print_json(&history_to_json(&key, &versions));
            }
            return print(&format_history(&versions, now));
        }
        warn_about_exposed_keys(std::slice::from_ref(&key), now);
        warn_about_other_accounts([&key]);
        let problems = shared_inventory::find_problems(services, std::slice::from_ref(&key));
        problems.iter().for_each(print_warning);
        if self.json {
            return print_json(&key_to_json(&key, now));
        }
        let names = account_names::read_names(&services.location, &key.server);
        print(&format_details(&key, &names, now))
    }
}

fn history_to_json(key: &StoredKey, versions: &[KeyVersion]) -> serde_json::Value {
    let versions = versions.iter().map(|version| {
        json!({
            "version": version.number,
            "created_at": version.written_at,
            "state": version.state.as_str(),
            "created_by": version.written_by,
        })
    });
    json!({ "label": key.label, "versions": versions.collect::<Vec<_>>() })
}

fn format_history(versions: &[KeyVersion], now: Timestamp) -> String {
    let columns = [Column("VERSION", 0), Column("WRITTEN", 0), Column("STATE", 0), Column("BY", 0)];
    let written = |at| format!("{}, {}", format_timestamp(at), format_relative_time(now, at));
    let rows: Vec<_> = versions
        .iter()
        .map(|version| {
            vec![
                version.number.to_string(),
                version.written_at.map_or("unknown".into(), written),
                version.state.as_str().to_owned(),
                version.written_by.clone().unwrap_or_else(|| "unknown".into()),
            ]
        })
        .collect();
    table::format_table(&columns, &rows, table::terminal_width())
}

/// Describes where the secret is stored.
fn describe_location(key: &StoredKey) -> String {
    let KeyLocation::Stored(kind) = &key.location else { return "only at OpenRouter".into() };
    match kind {
        StoreKind::Keychain => "in the keychain".into(),
        StoreKind::File => "in the encrypted file".into(),
        StoreKind::Memory => "in memory".into(),
        StoreKind::Bao => "in the shared store".into(),
        StoreKind::Exec(_) | StoreKind::Unknown(_) => format!("in the store {kind}"),
    }
}

fn format_details(key: &StoredKey, names: &AccountNames, now: Timestamp) -> String {
    let usd = |amount: Option<f64>| amount.map_or("unknown".into(), format_usd);
    let when = |at: &Reported<Timestamp>| {
        at.describe("never", |at| {
            format!("{}, {}", format_timestamp(at), format_relative_time(now, at))
        })
    };
    let info = key.info.clone().unwrap_or_default();
    let requested = &key.requested;
    let mut text = format!("{}  {}\n", key.label, key.masked);
    let mut row = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("state", &format_state(key, now));
    row("limit", &format_policy(&key.limit(), &key.reset()));
    row(
        "requested",
        &format!(
            "{}, expires {}",
            format_policy(
                &requested.limit.map(Cents::to_dollars).into(),
                &requested.limit_reset.into()
            ),
            when(&requested.expires_at.into())
        ),
    );
    row(
        "granted",
        &key.granted.as_ref().map_or("unknown".into(), |granted| {
            format!(
                "{}, expires {}",
                format_policy(&granted.limit, &granted.limit_reset),
                when(&granted.expires_at)
            )
        }),
    );
    if let Some(by) = key.describe_block(now, format_timestamp) {
        row("blocked", &by);
    }
    row(
        "remaining",
        &match (key.binding_layer(now).filter(|layer| !layer.is_key_limit), key.limit()) {
            (Some(layer), limit) => {
                let own = match limit {
                    Reported::None => "it has no limit of its own".into(),
                    _ => format!("{} of its own limit", usd(key.remaining(now))),
                };
                let usable = format_usd(layer.remaining.max(0.0));
                format!("{usable}, as a budget around the key allows no more; {own}")
            }
            (None, Reported::None) => "no limit".into(),
            (None, _) => usd(key.remaining(now)),
        },
    );
    row("spent", &format!("{} in total, {} today", usd(info.usage), usd(info.usage_daily)));
    row(
        "next reset",
        &match key.next_reset(now) {
            Some(at) => when(&Reported::Value(at)),
            None => key.reset().describe("never", |_| "unknown".into()),
        },
    );
    row("expires", &when(&key.expires_at()));
    for budget in info.budgets.iter().filter(|budget| !budget.is_key_limit()) {
        let left = usd(budget
            .remaining_usd
            .map(|usd| usd.max(0.0))
            .filter(|_| !key.has_rolled_over(budget, now)));
        row(
            "budget",
            &format!("{left} of {} left in {}", usd(budget.limit_usd), budget.layer_name()),
        );
    }
    if let Some(guardrail) = &key.guardrail {
        row("guardrail", &guardrail.name);
    }
    if let Some(id) = info.workspace_id.as_ref().or(requested.workspace_id.as_ref()) {
        row(
            "workspace",
            &match names.workspace_name(id) {
                name if name == id => id.clone(),
                name => format!("{name} ({id})"),
            },
        );
    }
    if !info.allowed_data_regions.iter().all(|region| region == "global") {
        row("regions", &info.allowed_data_regions.join(", "));
    }
    if let Some(requests) = &info.free_model_daily_requests
        && info.is_free_tier == Some(true)
    {
        let count =
            |number: Option<f64>| number.map_or("unknown".into(), |number| format!("{number}"));
        row(
            "free tier",
            &format!(
                "{} of {} requests to free models left today",
                count(requests.remaining),
                count(requests.limit)
            ),
        );
    }
    if let Some(at) = key.last_used_at() {
        let dormant = if key.is_dormant(now) == Some(true) { " (dormant)" } else { "" };
        row("last used", &format!("{}{dormant}", when(&Reported::Value(at))));
    }
    row("checked", &when(&key.checked_at.into()));
    row(
        "stored",
        &format!(
            "{}{}, created {}{}",
            describe_location(key),
            key.secret_loss().map_or(String::new(), |loss| format!(" ({} there)", loss.as_str())),
            format_timestamp(key.created_at),
            key.shared
                .as_ref()
                .and_then(|record| record.created_by())
                .map_or(String::new(), |creator| format!(" by {creator}"))
        ),
    );
    row("server", &key.server);
    if let Some(id) = key.account_id() {
        let other = match &key.other_account {
            Some(other) if other.confirmed => ", not that of most stored keys, confirmed as yours",
            Some(_) => ", not that of the other stored keys",
            None => "",
        };
        row("account", &format!("{}{other}", sanitize(id, 100)));
    }
    row("hash", &key.hash);
    row("page", &key.page_url());
    if !key.differing_fields().is_empty() {
        row("differs", &format!("{} not granted as requested", key.differing_fields().join(", ")));
    }
    if let Some(retirement) = &key.retirement {
        row("replaced", &when(&Reported::Value(retirement.replaced_at)));
    }
    text
}
