//! `keywright trash`: lists removed keys, restores one, and deletes those that the user removed.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::json::{key_to_json, to_iso8601};
use crate::cli::output::{
    confirm, print, print_json, print_result, print_stored_key, print_warning, usage_error,
};
use crate::cli::table::{Column, format_table, terminal_width};
use crate::domain::{
    ErrorKind, Label, TRASH_DAYS, TrashedKey, UserError, format_command, format_date,
    format_relative_time, sanitize,
};
use crate::services::keys;
use crate::services::provision::ServiceContext;

/// A subcommand of `trash`.
#[derive(Subcommand, Debug)]
pub enum TrashCommand {
    /// List the keys that were removed in the last 7 days
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Store a removed key again
    Restore {
        /// The label of the removed key; of several the last removed
        #[arg(value_name = "LABEL")]
        removed: String,
        /// A new label for it
        #[arg(long = "as", value_name = "NEW")]
        new_label: Option<String>,
    },
    /// Delete the keys that you removed for good at once, in a shared store for everybody
    Empty {
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },
}

impl TrashCommand {
    pub(in crate::cli) const fn is_json(&self) -> bool {
        matches!(self, Self::List { json: true })
    }

    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        // What others removed and restored is in the shared store.
        let read = keys::read_shared_trash(services).map_err(UserError::from);
        let trash = match self {
            Self::List { .. } | Self::Restore { .. } => {
                keys::list_restorable_keys(services, Timestamp::now())
            }
            Self::Empty { .. } => keys::list_own_removed_keys(services),
        };
        let trash = trash?;
        match (self, read) {
            (Self::Empty { .. }, read) => read?,
            (Self::List { .. } | Self::Restore { .. }, Err(error)) => print_warning(
                &error.with_meaning("what others removed or restored since is not shown"),
            ),
            (Self::List { .. } | Self::Restore { .. }, Ok(())) => {}
        }
        match self {
            Self::List { json: true } => print_json(&trash_to_json(&trash)),
            Self::List { .. } if trash.is_empty() => print("the trash is empty\n"),
            Self::List { .. } => print(&format_trash(&trash, Timestamp::now())),
            Self::Restore { removed, new_label } => {
                restore_key(services, &trash, removed, new_label.as_deref())
            }
            Self::Empty { yes } => empty_trash(services, &trash, *yes),
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
    removed: &str,
    new_label: Option<&str>,
) -> Result<(), UserError> {
    let Some(trashed) = trash.iter().find(|trashed| trashed.key.label.is_same(removed)) else {
        return Err(UserError::new(
            ErrorKind::NotFound,
            format!("no removed key has the label '{}'", sanitize(removed, 100)),
            "see what can be restored: keywright trash list",
        )
        .with_meaning(format!("a removed key can be restored for {TRASH_DAYS} days")));
    };
    let label: Label = match new_label {
        Some(new_label) => new_label
            .parse()
            .map_err(|problem| usage_error(format!("--as: {problem}"), "choose another label"))
            .map_err(|error| error.with_meaning("nothing was changed"))?,
        None => trashed.key.label.clone(),
    };
    let restored = keys::restore_key(services, trashed, &label)
        .map_err(|error| restore_error(&error, &trashed.key.label))?;
    print_stored_key(&restored, &services.for_key(&restored))
}

/// Returns the error of a removed key that is not restored; a taken label leaves the choice of another.
fn restore_error(error: &keys::Error, removed: &Label) -> UserError {
    let user_error = error.to_user_error();
    match error {
        keys::Error::LabelTaken(_) | keys::Error::LabelInSecretStore(_) => {
            let restore = format_command(&["trash", "restore", "--as", "NEW"], &[removed.as_str()]);
            UserError { advice: format!("restore it with another label: {restore}"), ..user_error }
        }
        _ => user_error,
    }
}

fn empty_trash(
    services: &ServiceContext,
    trash: &[TrashedKey],
    is_confirmed: bool,
) -> Result<(), UserError> {
    let is_shared =
        |trashed: &TrashedKey| services.for_key(&trashed.key).secret_store.kind().is_shared();
    if !is_confirmed && !trash.is_empty() {
        let quote = |trashed: &TrashedKey| {
            let reach = if is_shared(trashed) { " for everybody" } else { "" };
            format!("'{}'{reach}", trashed.key.label)
        };
        let labels: Vec<String> = trash.iter().map(quote).collect();
        confirm(&format!(
            "Delete {} for good? The text of a key cannot be fetched again.",
            labels.join(", ")
        ))?;
    }
    // Called for an empty list too: an interruption may have left entries that the list does not
    // name.
    let deleted = keys::empty_trash(services)?;
    if deleted.is_empty() {
        let others = services.list_trash();
        return match others?.len() {
            0 => print("the trash is empty\n"),
            _ => print("nothing to delete: what is in the trash was removed by others\n"),
        };
    }
    let lines = deleted.iter().map(|trashed| {
        format!(
            "deleted {}{}; it stays valid at OpenRouter until you delete it at {}\n",
            trashed.key.label,
            if is_shared(trashed) { " for everybody" } else { "" },
            trashed.key.page_url()
        )
    });
    print_result(&lines.collect::<Vec<_>>().concat())
}
