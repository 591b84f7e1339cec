//! `keywright trash`: lists removed keys, restores one, and deletes all.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::json::{key_to_json, to_iso8601};
use crate::cli::output::{confirm, print, print_json, print_result, print_stored_key, usage_error};
use crate::cli::table::{Column, format_table, terminal_width};
use crate::domain::{
    ErrorKind, Label, TRASH_DAYS, TrashedKey, UserError, format_date, format_relative_time,
    sanitize,
};
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// A subcommand of `trash`.
#[derive(Subcommand, Debug)]
pub enum TrashCommand {
    /// List the keys that were removed in the last 7 days
    List(ListArgs),
    /// Store a removed key again
    Restore(RestoreArgs),
    /// Delete all removed keys from this machine at once
    Empty(EmptyArgs),
}

/// Arguments of `trash list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `trash restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The label of the removed key; of several the last removed
    #[arg(value_name = "LABEL")]
    removed: String,
    /// A new label for it
    #[arg(long = "as", value_name = "NEW")]
    new_label: Option<String>,
}

/// Arguments of `trash empty`.
#[derive(Args, Debug)]
pub struct EmptyArgs {
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

impl TrashCommand {
    pub(in crate::cli) const fn is_json(&self) -> bool {
        matches!(self, Self::List(ListArgs { json: true }))
    }

    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let restorable = || {
            keys::list_restorable_keys(services, Timestamp::now())
                .map_err(|error| error.to_user_error())
        };
        let trash = match self {
            Self::List(_) | Self::Restore(_) => restorable()?,
            // This includes keys that are too old to be restored and are not deleted yet.
            Self::Empty(_) => {
                keys::read_shared_trash(services).map_err(|error| error.to_user_error())?;
                inventory::list_trash(&services.location, &services.server)
                    .map_err(|error| error.to_user_error())?
            }
        };
        match self {
            Self::List(ListArgs { json: true }) => print_json(&trash_to_json(&trash)),
            Self::List(_) if trash.is_empty() => print("the trash is empty\n"),
            Self::List(_) => print(&format_trash(&trash, Timestamp::now())),
            Self::Restore(args) => restore_key(services, &trash, args),
            Self::Empty(EmptyArgs { yes }) => empty_trash(services, &trash, *yes),
        }
    }
}

fn trash_to_json(trash: &[TrashedKey]) -> serde_json::Value {
    let keys = trash.iter().map(|trashed| {
        let mut key = key_to_json(&trashed.key, Timestamp::now());
        key["removed_by"] = json!(trashed.removed_by());
        key["removed_at"] = json!(to_iso8601(Some(trashed.removed_at)));
        key["deleted_at"] = json!(to_iso8601(Some(trashed.deleted_at())));
        key
    });
    json!({ "trash": keys.collect::<Vec<_>>() })
}

fn format_trash(trash: &[TrashedKey], now: Timestamp) -> String {
    let columns =
        [Column("LABEL", 0), Column("KEY", 2), Column("REMOVED", 1), Column("RESTORABLE UNTIL", 0)];
    let rows = trash.iter().map(|trashed| {
        vec![
            trashed.key.label.to_string(),
            trashed.key.masked.clone(),
            format!(
                "{}{}",
                format_relative_time(now, trashed.removed_at),
                trashed.removed_by().map_or(String::new(), |who| format!(" by {who}"))
            ),
            format_date(trashed.deleted_at()),
        ]
    });
    format_table(&columns, &rows.collect::<Vec<_>>(), terminal_width())
}

fn restore_key(
    services: &ServiceContext,
    trash: &[TrashedKey],
    args: &RestoreArgs,
) -> Result<(), UserError> {
    let Some(trashed) = trash.iter().find(|trashed| trashed.key.label.is_same(&args.removed))
    else {
        return Err(UserError::new(
            ErrorKind::NotFound,
            format!("no removed key has the label '{}'", sanitize(&args.removed, 100)),
            "see what can be restored: keywright trash list",
        )
        .with_meaning(format!("a removed key can be restored for {TRASH_DAYS} days")));
    };
    let label: Label = match &args.new_label {
        Some(new_label) => new_label
            .parse()
            .map_err(|problem| usage_error(format!("--as: {problem}"), "choose another label"))
            .map_err(|error| error.with_meaning("nothing was changed"))?,
        None => trashed.key.label.clone(),
    };
    let restored =
        keys::restore_key(services, trashed, &label).map_err(|error| error.to_user_error())?;
    print_stored_key(&restored, &services.for_key(&restored))
}

fn empty_trash(
    services: &ServiceContext,
    trash: &[TrashedKey],
    is_confirmed: bool,
) -> Result<(), UserError> {
    if !is_confirmed && !trash.is_empty() {
        let labels: Vec<String> =
            trash.iter().map(|trashed| format!("'{}'", trashed.key.label)).collect();
        confirm(&format!(
            "Delete {} from this machine for good? The text of a key cannot be fetched again.",
            labels.join(", ")
        ))?;
    }
    // Called for an empty list too: an interruption may have left entries that the list does not
    // name.
    let deleted = keys::empty_trash(services).map_err(|error| error.to_user_error())?;
    if deleted.is_empty() {
        return print("the trash is empty\n");
    }
    let lines = deleted.iter().map(|trashed| {
        format!(
            "deleted {}; it stays valid at OpenRouter until you delete it at {}\n",
            trashed.key.label,
            trashed.key.page_url()
        )
    });
    print_result(&lines.collect::<Vec<_>>().concat())
}
