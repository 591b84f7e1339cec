//! `keywright guardrail`: lists and shows the account's guardrails. They are created on OpenRouter's page.

use std::fmt::Write;

use clap::Subcommand;
use serde_json::{Value, json};
use url::Url;

use super::list::format_policy;
use crate::cli::output::{print, print_json, print_status, print_warning};
use crate::cli::run_async;
use crate::cli::table::{Column, format_table, terminal_width};
use crate::domain::{Guardrail, Reported, ServerValue, UserError, Workspace, sort_by};
use crate::platform::browser::{BrowserAvailability, detect_availability};
use crate::services::keys::{self, Error, find_by_name, management_key};
use crate::services::provision::ServiceContext;

/// A subcommand of `guardrail`.
#[derive(Subcommand, Debug)]
pub enum GuardrailCommand {
    /// List the account's guardrails and the keys under each
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the rules of a guardrail and the keys under it
    Show {
        /// The guardrail's name or id
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Open the page where guardrails are created and changed
    Open,
}

/// The guardrails of the account, and what is known about them.
struct Guardrails {
    all: Vec<Guardrail>,
    workspaces: Vec<Workspace>,
    /// The keys under a guardrail, with its id: labels, or hashes of keys that are not stored here.
    /// `None` if the management key may not read them.
    assigned: Option<Vec<(String, String)>>,
}

impl GuardrailCommand {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        match self {
            Self::List { json } => {
                let guardrails = load_guardrails(services)?;
                if *json {
                    let rows = guardrails.all.iter().map(|guardrail| guardrails.to_json(guardrail));
                    return print_json(&rows.collect::<Vec<_>>());
                }
                if guardrails.all.is_empty() {
                    print_status(
                        "the account has no guardrails; create one: keywright guardrail open",
                    );
                    return Ok(());
                }
                print(&guardrails.format_list())
            }
            Self::Show { name, json } => {
                let guardrails = load_guardrails(services)?;
                let found = find_by_name(name, &guardrails.all)?;
                if *json {
                    return print_json(&guardrails.to_json(found));
                }
                print(&guardrails.format_details(found))
            }
            Self::Open => open_page(services),
        }
    }

    /// Returns whether it prints JSON.
    pub(in crate::cli) const fn is_json(&self) -> bool {
        matches!(self, Self::List { json: true } | Self::Show { json: true, .. })
    }
}

/// Prints the address of the page, and opens it where there is a browser.
fn open_page(services: &ServiceContext) -> Result<(), UserError> {
    let page = keys::guardrails_page_url(services);
    print(&format!("{page}\n"))?;
    if let (BrowserAvailability::Available, Ok(url)) = (detect_availability(), Url::parse(&page))
        && let Err(error) = (services.open_browser)(&url)
    {
        print_status(&format!("no browser could be started ({error}): open the address yourself"));
    }
    Ok(())
}

fn load_guardrails(services: &ServiceContext) -> Result<Guardrails, UserError> {
    let loaded = run_async(async {
        let page = keys::guardrails_page_url(services);
        let management = management_key::require_management_key(services, &page).await?;
        let all = keys::list_guardrails(services, &management).await?;
        // The server may refuse each of these requests alone.
        let workspaces = keys::list_workspaces(services, &management).await.unwrap_or_default();
        let assigned = match keys::list_assigned_guardrails(services, &management).await {
            Ok(assigned) => Some(assigned),
            Err(error) => {
                let error = error.to_user_error();
                print_warning(&error.prefixed("the keys under each guardrail are not known"));
                None
            }
        };
        Ok::<_, Error>((all, workspaces, assigned))
    })?;
    let (all, workspaces, assigned) = loaded?;
    let stored = services.list_keys()?;
    let label = |hash: String| {
        let key = stored.iter().find(|key| key.hash == hash);
        key.map_or(hash, |key| key.label.to_string())
    };
    let assigned = assigned.map(|assigned| {
        let mut keys: Vec<_> =
            assigned.into_iter().map(|(hash, guardrail)| (guardrail.id, label(hash))).collect();
        sort_by(&mut keys, Ord::cmp);
        keys
    });
    Ok(Guardrails { all, workspaces, assigned })
}

impl Guardrails {
    fn keys_under(&self, guardrail: &Guardrail) -> Option<Vec<&str>> {
        let assigned = self.assigned.as_ref()?;
        let of_this = assigned.iter().filter(|(id, _)| *id == guardrail.id);
        Some(of_this.map(|(_, key)| key.as_str()).collect())
    }

    fn workspace_name<'a>(&'a self, guardrail: &'a Guardrail) -> &'a str {
        let id = guardrail.workspace_id.as_deref().unwrap_or("–");
        let found = self.workspaces.iter().find(|workspace| workspace.id == id);
        found.map_or(id, Workspace::short_name)
    }

    fn format_list(&self) -> String {
        let columns = [
            Column("NAME", 0),
            Column("LIMIT", 0),
            Column("KEYS", 1),
            Column("WORKSPACE", 2),
            Column("ID", 3),
        ];
        let rows: Vec<Vec<String>> = self
            .all
            .iter()
            .map(|guardrail| {
                let keys = self.keys_under(guardrail);
                vec![
                    guardrail.name.clone(),
                    format_limit(guardrail),
                    keys.map_or("unknown".into(), |keys| keys.len().to_string()),
                    self.workspace_name(guardrail).to_owned(),
                    guardrail.id.clone(),
                ]
            })
            .collect();
        format_table(&columns, &rows, terminal_width())
    }

    fn format_details(&self, guardrail: &Guardrail) -> String {
        let mut text = format!("{}\n", guardrail.name);
        let mut row = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<17} {value}");
        };
        let list = |texts: Option<&Vec<String>>, empty: &str| match texts {
            Some(texts) if !texts.is_empty() => texts.join(", "),
            _ => empty.to_owned(),
        };
        let flag = |flag: Option<bool>, yes: &str, no: &str| match flag {
            Some(true) => yes.to_owned(),
            Some(false) => no.to_owned(),
            None => "unknown".to_owned(),
        };
        row("limit", &format!("{} for each key", format_limit(guardrail)));
        row("own providers", &flag(guardrail.include_byok_in_budgets, "count", "do not count"));
        row("no data kept", &flag(guardrail.enforce_zdr, "enforced", "not enforced"));
        row("models", &list(guardrail.allowed_models.as_ref(), "all"));
        row("except models", &list(guardrail.ignored_models.as_ref(), "none"));
        row("providers", &list(guardrail.allowed_providers.as_ref(), "all"));
        row("except providers", &list(guardrail.ignored_providers.as_ref(), "none"));
        row("regions", &list(guardrail.allowed_data_regions.as_ref(), "all"));
        row("workspace", self.workspace_name(guardrail));
        let keys = self.keys_under(guardrail);
        row(
            "keys",
            &keys.map_or("unknown".into(), |keys| match keys[..] {
                [] => "none".into(),
                _ => keys.join(", "),
            }),
        );
        row("id", &guardrail.id);
        text
    }

    /// Returns the JSON with OpenRouter's names; `keys` are labels, or hashes of keys that are not
    /// stored here.
    fn to_json(&self, guardrail: &Guardrail) -> Value {
        json!({
            "id": guardrail.id,
            "name": guardrail.name,
            "limit_usd": reported_to_json(&guardrail.limit_usd),
            "reset_interval": reported_to_json(&guardrail.reset_interval),
            "include_byok_in_budgets": guardrail.include_byok_in_budgets,
            "enforce_zdr": guardrail.enforce_zdr,
            "allowed_models": guardrail.allowed_models,
            "ignored_models": guardrail.ignored_models,
            "allowed_providers": guardrail.allowed_providers,
            "ignored_providers": guardrail.ignored_providers,
            "allowed_data_regions": guardrail.allowed_data_regions,
            "workspace_id": guardrail.workspace_id,
            "keys": self.keys_under(guardrail),
        })
    }
}

fn format_limit(guardrail: &Guardrail) -> String {
    format_policy(&guardrail.limit_usd, &guardrail.reset_interval)
}

/// Returns the JSON of a reported field. A value that this version does not understand is passed on
/// as the server wrote it.
fn reported_to_json<T: ServerValue>(value: &Reported<T>) -> Value {
    match value {
        Reported::Value(value) => value.to_json(),
        Reported::Other(text) => text.as_str().into(),
        Reported::None | Reported::Missing => Value::Null,
    }
}
