//! Reads the resources of an account besides its keys: workspaces, guardrails, provider keys,
//! credits and activity. Each list covers every workspace, or only the default one if the server
//! does not list workspaces.

use std::collections::{HashMap, HashSet};

use super::Error;
use super::name_lookup::find_by_name;
use super::paging::{List, ListBudget, fetch_all_pages, fetch_complete_list};
use super::resource_error::ResourceError;
use crate::api::openrouter::{self, ManagementClient, Page};
use crate::domain::{
    AccountNames, Guardrail, GuardrailAssignment, GuardrailRef, ManagementKey, Workspace,
    collect_ordered, sanitize,
};
use crate::services::provision::ServiceContext;
use crate::storage::account_names;

/// The maximum length of a name that is kept, in characters.
const MAX_NAME: usize = 100;

/// Returns the account's workspaces.
pub async fn list_workspaces(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<Workspace>, Error> {
    let client = build_client(services, management)?;
    let mut budget = ListBudget::new();
    let workspaces = fetch_workspaces(services, &mut budget, &client).await;
    let workspaces = workspaces.map_err(Error::from_read_request)?;
    remember_workspaces(services, &workspaces);
    Ok(workspaces)
}

/// Fetches the workspaces as part of a larger list.
pub(super) async fn fetch_workspaces(
    services: &ServiceContext,
    budget: &mut ListBudget,
    client: &ManagementClient,
) -> Result<Vec<Workspace>, openrouter::Error> {
    let id = |workspace: &Workspace| workspace.id.clone();
    let fetch = async |offset| client.list_workspaces(offset).await;
    fetch_all_pages(services, budget, List::of_account("workspaces"), id, fetch).await
}

/// Returns the guardrails of all workspaces.
pub async fn list_guardrails(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<Guardrail>, Error> {
    let client = build_client(services, management)?;
    let guardrails = list_of_all_workspaces(
        services,
        &client,
        "guardrails",
        |guardrail: &Guardrail| guardrail.id.clone(),
        async |workspace, offset| client.list_guardrails(workspace, offset).await,
    )
    .await?;
    remember_guardrails(services, &guardrails);
    Ok(guardrails)
}

/// Returns the guardrail of each key that has one, by the key's hash. A guardrail whose name is not
/// known is named by its id.
pub async fn list_assigned_guardrails(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<HashMap<String, GuardrailRef>, Error> {
    let client = build_client(services, management)?;
    let assignments =
        list_guardrail_assignments(services, &client).await.map_err(Error::from_read_request)?;
    if assignments.is_empty() {
        return Ok(HashMap::new());
    }
    let names: HashMap<String, String> = match list_guardrails(services, management).await {
        Ok(guardrails) => {
            guardrails.into_iter().map(|guardrail| (guardrail.id, guardrail.name)).collect()
        }
        Err(error) => {
            tracing::warn!(%error, "the names of guardrails could not be read");
            HashMap::new()
        }
    };
    Ok(assignments
        .into_iter()
        .map(|assignment| {
            let name =
                names.get(&assignment.guardrail_id).unwrap_or(&assignment.guardrail_id).clone();
            (assignment.key_hash, GuardrailRef { id: assignment.guardrail_id, name })
        })
        .collect())
}

/// Returns the URL of the page where guardrails are created and changed.
pub fn guardrails_page_url(services: &ServiceContext) -> String {
    format!("{}/settings/privacy", services.server)
}

/// Returns the workspace with this UUID, slug or name.
pub async fn find_workspace(
    services: &ServiceContext,
    management: &ManagementKey,
    text: &str,
) -> Result<Workspace, Error> {
    Ok(find_by_name(text, &list_workspaces(services, management).await?).cloned()?)
}

/// Returns the guardrail with this UUID or name.
pub async fn find_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    text: &str,
) -> Result<Guardrail, Error> {
    Ok(find_by_name(text, &list_guardrails(services, management).await?).cloned()?)
}

/// Returns the guardrail that a key is assigned to. If its name cannot be read, it is the id.
pub async fn get_assigned_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    key_hash: &str,
) -> Result<Option<GuardrailRef>, Error> {
    let client = build_client(services, management)?;
    let id = fetch_assigned_id(services, &client, key_hash).await;
    let Some(id) = id.map_err(Error::from_read_request)? else { return Ok(None) };
    Ok(Some(name_guardrail(&client, id).await))
}

/// Returns the guardrail with its name, or with its id as the name if the name cannot be read.
pub(super) async fn name_guardrail(client: &ManagementClient, id: String) -> GuardrailRef {
    let found = client.get_guardrail(&id).await;
    let name = found.map_or_else(|_| id.clone(), |guardrail| guardrail.name);
    GuardrailRef { id, name }
}

/// Returns which keys have a guardrail. Fails if one of the rows cannot be read.
pub(super) async fn list_guardrail_assignments(
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<Vec<GuardrailAssignment>, openrouter::Error> {
    let id = |assignment: &GuardrailAssignment| assignment.key_hash.clone();
    let list = List::of_account("guardrail assignments");
    fetch_complete_list(services, list, id, async |offset| {
        client.list_guardrail_assignments(None, offset).await
    })
    .await
}

/// Assigns a key to a guardrail in place of the one it had, or to none, and reads the result back. If
/// `from` is given, only the assignment to it is removed.
pub async fn assign_guardrail(
    services: &ServiceContext,
    management: &ManagementKey,
    key_hash: &str,
    from: Option<&GuardrailRef>,
    guardrail: Option<&GuardrailRef>,
) -> Result<(), Error> {
    let client = build_client(services, management)?;
    let hashes = [key_hash.to_owned()];
    let sent = match guardrail {
        Some(new) => client.assign_guardrail(&new.id, &hashes).await,
        None => match fetch_assigned_id(services, &client, key_hash)
            .await
            .map_err(Error::from_read_request)?
        {
            Some(now) => {
                let old = from.map_or(now, |from| from.id.clone());
                client.unassign_guardrail(&old, &hashes).await
            }
            None => return Ok(()),
        },
    };
    let assigned = fetch_assigned_id(services, &client, key_hash).await;
    // A lost response does not matter if the key has the guardrail.
    if matches!(&assigned, Ok(now) if now.as_ref() == guardrail.map(|new| &new.id)) {
        return Ok(());
    }
    if let (Ok(_), Err(error)) = (&sent, assigned) {
        let (error, page_url) = (Box::new(error), guardrails_page_url(services));
        return Err(ResourceError::GuardrailNotReadBack { error, page_url }.into());
    }
    Err(ResourceError::GuardrailNotApplied {
        guardrail: guardrail.map(|new| new.name.clone()),
        error: sent.err().map(Box::new),
        page_url: guardrails_page_url(services),
    }
    .into())
}

async fn fetch_assigned_id(
    services: &ServiceContext,
    client: &ManagementClient,
    key_hash: &str,
) -> Result<Option<String>, openrouter::Error> {
    let assignments = list_guardrail_assignments(services, client).await?;
    let found = assignments.into_iter().find(|assignment| assignment.key_hash == key_hash);
    Ok(found.map(|assignment| assignment.guardrail_id))
}

async fn list_of_all_workspaces<T>(
    services: &ServiceContext,
    client: &ManagementClient,
    noun: &'static str,
    id: impl Fn(&T) -> String + Copy,
    fetch: impl AsyncFn(Option<&str>, usize) -> Result<Page<T>, openrouter::Error>,
) -> Result<Vec<T>, Error> {
    let mut budget = ListBudget::new();
    let workspaces = match fetch_workspaces(services, &mut budget, client).await {
        // Without the right to list workspaces, the default one is still read.
        Err(openrouter::Error::Rejected { status: 403..=405, .. }) => Vec::new(),
        listed => listed.map_err(Error::from_read_request)?,
    };
    let workspaces: Vec<Option<String>> = if workspaces.is_empty() {
        vec![None]
    } else {
        workspaces.into_iter().map(|workspace| Some(workspace.id)).collect()
    };
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for workspace in workspaces {
        let list = List { noun, workspace: workspace.as_deref() };
        let found = fetch_all_pages(services, &mut budget, list, id, async |offset| {
            fetch(workspace.as_deref(), offset).await
        })
        .await
        .map_err(Error::from_read_request)?;
        all.extend(found.into_iter().filter(|row| seen.insert(id(row))));
    }
    Ok(all)
}

/// Caches the names of the workspaces for screens that send no request. A failure is not shown.
pub(super) fn remember_workspaces(services: &ServiceContext, workspaces: &[Workspace]) {
    let names = workspaces
        .iter()
        .map(|found| (found.id.to_lowercase(), sanitize(found.short_name(), MAX_NAME)));
    remember(services, |all| all.workspaces = collect_ordered(names));
}

fn remember_guardrails(services: &ServiceContext, guardrails: &[Guardrail]) {
    let names =
        guardrails.iter().map(|found| (found.id.to_lowercase(), sanitize(&found.name, MAX_NAME)));
    remember(services, |all| all.guardrails = collect_ordered(names));
}

fn remember(services: &ServiceContext, change: impl FnOnce(&mut AccountNames)) {
    if let Err(error) = account_names::update_names(&services.location, &services.server, change) {
        tracing::warn!(%error, "the names of workspaces and guardrails could not be written");
    }
}

fn build_client(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<ManagementClient, Error> {
    services.build_management_client(management).map_err(Error::from_read_request)
}
