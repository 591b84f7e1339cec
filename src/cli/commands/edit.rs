//! `keywright edit`: changes a key at OpenRouter.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::output::{
    confirm, eprintln, find_key, print_json, print_result, print_status, usage_error,
};
use crate::cli::shared_store::check_may_write;
use crate::cli::{json, run_async};
use crate::domain::{
    Cents, FieldChange, FieldDifference, KeyEdit, KeyUpdateOutcome, ManagementKey, ResetInterval,
    StoredKey, UserError, ValidationError, Workspace,
};
use crate::services::keys::{self, find_by_name, management_key};
use crate::services::provision::ServiceContext;

/// Arguments of `edit`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("changes").required(true).multiple(true)))]
pub struct EditArgs {
    /// The key's label
    label: String,
    /// The credit limit in USD, or none, which also ends the reset
    #[arg(long, value_name = "USD", allow_hyphen_values = true, group = "changes")]
    limit: Option<String>,
    /// When the limit resets: daily, weekly, monthly or never; always at 00:00 UTC
    #[arg(long, value_name = "INTERVAL", group = "changes")]
    reset: Option<String>,
    /// Make the key's name at OpenRouter its label
    #[arg(long, group = "changes")]
    rename_remote: bool,
    /// Move the key to this workspace: its slug, name or UUID
    #[arg(long, value_name = "WORKSPACE", group = "changes")]
    workspace: Option<String>,
    /// Count spending through your own provider keys against the limit
    #[arg(long, group = "changes", conflicts_with = "no_include_byok")]
    include_byok: bool,
    /// Do not count spending through your own provider keys
    #[arg(long, group = "changes")]
    no_include_byok: bool,
    /// Put the key under this guardrail, by name or id, or under none
    #[arg(long, value_name = "NAME", group = "changes")]
    guardrail: Option<String>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl EditArgs {
    pub(in crate::cli) fn run(&self, services: &ServiceContext) -> Result<(), UserError> {
        let key = find_key(services, &self.label)?;
        check_may_write(services, [key.label.as_str()])?;
        let mut edit = self.parse_edit()?;
        // The secret store must prompt before the confirmation is asked for.
        let management =
            run_async(management_key::require_management_key(services, &key.page_url()))??;
        let current = run_async(async {
            if let Some(text) = &self.guardrail {
                edit.guardrail = keys::parse_guardrail(services, &management, text).await?;
            }
            let edits_guardrail = self.guardrail.is_some();
            keys::fetch_editable_key(services, &management, &key.hash, edits_guardrail).await
        })??;
        if let Some(text) = &self.workspace {
            edit.workspace = Some(if current.workspaces.is_empty() {
                // This request fails with the reason why they could not be listed.
                find_workspace(services, &management, text)?
            } else {
                let found = find_by_name(text, &current.workspaces);
                found?.clone()
            });
        }
        let (update, differences) =
            edit.to_update(&key, Some(&current)).map_err(|problem| invalid_edit_error(&problem))?;
        // A guardrail that is still to be assigned is withdrawn, although the account has no other one.
        let withdrawn = key.requested.guardrail.as_ref().filter(|_| {
            key.awaits_guardrail()
                && matches!(edit.guardrail, FieldChange::Clear)
                && current.guardrail.is_none()
        });
        let withdraw = || -> Result<(), UserError> {
            let Some(guardrail) = withdrawn else { return Ok(()) };
            keys::record_guardrail(services, &key.hash, None)?;
            let (name, label) = (&guardrail.name, &key.label);
            print_status(&format!("the guardrail '{name}' is not requested for {label} any more"));
            Ok(())
        };
        if differences.is_empty() {
            withdraw()?;
            return match withdrawn {
                Some(_) if self.json => {
                    self.print_done(&find_key(services, &self.label)?, &differences)
                }
                Some(_) => Ok(()),
                None => self.print_done(&key, &differences),
            };
        }
        if !self.yes {
            eprintln(&format!("{}  {}", key.label, key.masked));
            for difference in &differences {
                eprintln(&format!("  {difference}"));
            }
            confirm("Change the key at OpenRouter?")?;
        }
        match run_async(keys::apply_key_update(services, update))? {
            KeyUpdateOutcome::Updated { stored_key, warning, .. } => {
                withdraw()?;
                self.print_done(stored_key.as_ref().unwrap_or(&key), &differences)?;
                warning.map_or(Ok(()), Err)
            }
            KeyUpdateOutcome::Conflict { changed_fields, .. } => Err(UserError::failed(
                format!(
                    "the key was changed at OpenRouter in the meantime: {}",
                    changed_fields.join(", ")
                ),
                format!("look at it: {}, then edit it again", key.label.command("show")),
            )
            .with_meaning("nothing was sent")),
            KeyUpdateOutcome::Failed(error) => Err(error),
        }
    }

    fn parse_edit(&self) -> Result<KeyEdit, UserError> {
        fn parse<T>(
            option: &str,
            text: Option<&String>,
            parse: impl Fn(&str) -> Result<Option<T>, ValidationError>,
        ) -> Result<FieldChange<T>, UserError> {
            let Some(text) = text else { return Ok(FieldChange::Keep) };
            let parsed = parse(text);
            parsed.map(FieldChange::from_option).map_err(|ValidationError(problem)| {
                invalid_edit_error(&ValidationError(format!("{option}: {problem}")))
            })
        }
        Ok(KeyEdit {
            limit: parse("--limit", self.limit.as_ref(), Cents::parse_limit)?,
            limit_reset: parse("--reset", self.reset.as_ref(), ResetInterval::parse)?,
            rename_remote: self.rename_remote,
            include_byok_in_limit: (self.include_byok || self.no_include_byok)
                .then_some(self.include_byok),
            ..KeyEdit::default()
        })
    }

    fn print_done(
        &self,
        key: &StoredKey,
        differences: &[FieldDifference],
    ) -> Result<(), UserError> {
        if self.json {
            let mut document = json::key_to_json(key, Timestamp::now());
            document["changes"] = differences
                .iter()
                .map(|change| json!({"field": change.field, "from": change.from, "to": change.to}))
                .collect();
            return print_json(&document);
        }
        if differences.is_empty() {
            return print_result(&format!("{} already has these values\n", key.label));
        }
        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        print_result(&format!("{}: changed {}\n", key.label, lines.join(", ")))
    }
}

fn invalid_edit_error(problem: &ValidationError) -> UserError {
    usage_error(problem, "see keywright edit --help").with_meaning("nothing was sent")
}

fn find_workspace(
    services: &ServiceContext,
    management: &ManagementKey,
    text: &str,
) -> Result<Workspace, UserError> {
    run_async(keys::find_workspace(services, management, text))?.map_err(UserError::from)
}
