//! The questions that `keywright new` asks where no label is given.

use std::io::{self, IsTerminal};

use jiff::Timestamp;

use crate::cli::output::{eprintln, has_stored_key, usage_error};
use crate::cli::prompts::prompt_line;
use crate::cli::run_async;
use crate::domain::{
    Cents, Expiry, KeyRequest, Label, ManagementKey, ResetInterval, UserError, sanitize,
};
use crate::services::keys::{self, WorkspaceText, management_key};
use crate::services::provision::ServiceContext;

/// The values for empty answers.
pub(super) struct Defaults {
    pub limit: String,
    pub reset: String,
    pub expires: String,
    pub workspace: Option<String>,
}

/// Asks for the label and the policy of a key. Without a terminal that is a usage error.
pub(super) fn ask_for_request(
    defaults: &Defaults,
    services: &ServiceContext,
) -> Result<KeyRequest, UserError> {
    if !io::stdin().is_terminal() {
        return Err(usage_error(
            "no label was given, and there is no terminal to ask for one",
            "give a label: keywright new LABEL",
        )
        .with_meaning("nothing was sent"));
    }
    eprintln(&format!(
        "A new key at {}. Press enter for the value in brackets, ctrl-c to cancel.",
        services.server
    ));
    let label = ask("Label, such as the tool that will use it", "", |text| {
        let label: Label = text.parse().map_err(|problem| format!("{problem}"))?;
        if has_stored_key(services, label.as_str()) {
            return Err(format!("a key with the label {label} is already stored"));
        }
        Ok(label)
    })?;
    let limit = ask("Credit limit in USD, or none", &defaults.limit, |text| {
        Cents::parse_limit(text).map_err(|problem| problem.to_string())
    })?;
    // A reset needs a limit.
    let limit_reset = if limit.is_some() {
        let question = "Reset of the limit: daily, weekly, monthly or never";
        ask(question, &defaults.reset, |text| {
            ResetInterval::parse(text).map_err(|problem| problem.to_string())
        })?
    } else {
        None
    };
    let question = "Expires: 12h, 30d, 6w, 3mo, 1y, a date such as 2027-12-31, or never";
    let expiry = ask(question, &defaults.expires, |text| {
        Expiry::parse(text, Timestamp::now()).map_err(|problem| problem.to_string())
    })?;
    // A prompt of the secret store must not come between a question and its answer.
    services.unlock()?;
    let management = run_async(management_key::load_management_key(services))?;
    let workspace_id = match management {
        Ok(Some(management)) => {
            ask_for_workspace(defaults.workspace.as_deref(), services, &management)?
        }
        // An error matters only if the management key is needed.
        Ok(None) | Err(_) => match defaults.workspace.as_deref().map(keys::parse_workspace) {
            Some(WorkspaceText::Id(id)) => Some(id.to_owned()),
            Some(WorkspaceText::Default) | None => None,
            Some(WorkspaceText::Name(_)) => {
                return Err(no_workspace_error(services));
            }
        },
    };
    Ok(KeyRequest { label, limit, limit_reset, expiry, workspace_id, ..KeyRequest::default() })
}

/// Returns the error of a default workspace that is a name, without a management key.
fn no_workspace_error(services: &ServiceContext) -> UserError {
    let error = keys::missing_workspace_list_error().to_user_error();
    match &services.key_defaults.workspace_name {
        Some(name) => name.add_place(error),
        None => error,
    }
}

fn ask_for_workspace(
    default: Option<&str>,
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Option<String>, UserError> {
    const DEFAULT_WORKSPACE: &str = "default";
    ask("Workspace: its name, slug or UUID", default.unwrap_or(DEFAULT_WORKSPACE), |text| {
        if text == DEFAULT_WORKSPACE {
            return Ok(None);
        }
        if KeyRequest::validate_workspace_id(text).is_ok() {
            return Ok(Some(text.to_owned()));
        }
        let found = run_async(keys::find_workspace(services, management, text));
        let workspace = found.map_err(|error| error.message)?;
        workspace.map(|workspace| Some(workspace.id)).map_err(|error| error.to_user_error().message)
    })
}

/// Asks until the answer is valid; an empty one stands for `default`.
fn ask<T>(
    question: &str,
    default: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, UserError> {
    let prompt = match default {
        "" => format!("{question}: "),
        default => format!("{question} [{default}]: "),
    };
    loop {
        let line = prompt_line(&prompt)?;
        let answer = if line.trim().is_empty() { default } else { line.trim() };
        match parse(answer) {
            Ok(value) => return Ok(value),
            Err(problem) => eprintln(&format!("  {}", sanitize(&problem, 300))),
        }
    }
}
