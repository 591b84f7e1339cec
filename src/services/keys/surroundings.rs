//! Reads what surrounds the keys of an account: workspaces, guardrails and provider keys. Each list
//! covers every workspace, or only the default one if the server does not list workspaces.

use std::collections::{HashMap, HashSet};

use super::paging::{ListBudget, fetch_all_pages, keys_page_url};
use super::{Error, retry_request};
use crate::api::openrouter::{self, Client, Page};
use crate::domain::{
    ActivityRow, ByokCredential, Credits, Guardrail, GuardrailAssignment, GuardrailRef,
    ManagementKey, Workspace,
};
use crate::services::provision::ServiceContext;

/// Returns the account's workspaces.
pub async fn list_workspaces(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<Workspace>, Error> {
    let client = build_client(services)?;
    let mut budget = ListBudget::new();
    fetch_all_pages(
        services,
        &mut budget,
        |one: &Workspace| one.id.clone(),
        async |offset| client.list_workspaces(management, offset).await,
    )
    .await
    .map_err(|error| failed(services, error))
}

/// Returns the guardrails of all workspaces.
pub async fn list_guardrails(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<Guardrail>, Error> {
    let client = build_client(services)?;
    list_of_all_workspaces(
        services,
        &client,
        management,
        |one: &Guardrail| one.id.clone(),
        async |workspace, offset| client.list_guardrails(management, workspace, offset).await,
    )
    .await
}

/// Returns the provider keys of all workspaces.
pub async fn list_byok_credentials(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Vec<ByokCredential>, Error> {
    let client = build_client(services)?;
    list_of_all_workspaces(
        services,
        &client,
        management,
        |one: &ByokCredential| one.id.clone(),
        async |workspace, offset| client.list_byok_credentials(management, workspace, offset).await,
    )
    .await
}

/// Returns the guardrail of each key that has one, by the key's hash. A guardrail whose name is not
/// known is named by its id.
pub async fn list_assigned_guardrails(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<HashMap<String, GuardrailRef>, Error> {
    let client = build_client(services)?;
    let mut budget = ListBudget::new();
    let key = |one: &GuardrailAssignment| one.key_hash.clone();
    let assignments = fetch_all_pages(services, &mut budget, key, async |offset| {
        client.list_guardrail_assignments(management, None, offset).await
    })
    .await
    .map_err(|error| failed(services, error))?;
    if assignments.is_empty() {
        return Ok(HashMap::new());
    }
    let names: HashMap<String, String> = match list_guardrails(services, management).await {
        Ok(guardrails) => guardrails.into_iter().map(|one| (one.id, one.name)).collect(),
        Err(error) => {
            tracing::warn!(%error, "the names of guardrails could not be read");
            HashMap::new()
        }
    };
    Ok(assignments
        .into_iter()
        .map(|one| {
            let name = names.get(&one.guardrail_id).unwrap_or(&one.guardrail_id).clone();
            (one.key_hash, GuardrailRef { id: one.guardrail_id, name })
        })
        .collect())
}

/// Returns the account's credits.
pub async fn get_credits(
    services: &ServiceContext,
    management: &ManagementKey,
) -> Result<Credits, Error> {
    let client = build_client(services)?;
    retry_request(services, async || client.get_credits(management).await)
        .await
        .map_err(|error| failed(services, error))
}

/// Returns the activity of the last thirty completed UTC days, of one key or of the account.
pub async fn list_activity(
    services: &ServiceContext,
    management: &ManagementKey,
    key_hash: Option<&str>,
) -> Result<Vec<ActivityRow>, Error> {
    let client = build_client(services)?;
    retry_request(services, async || client.list_activity(management, key_hash).await)
        .await
        .map_err(|error| failed(services, error))
}

async fn list_of_all_workspaces<T>(
    services: &ServiceContext,
    client: &Client,
    management: &ManagementKey,
    id: impl Fn(&T) -> String + Copy,
    fetch: impl AsyncFn(Option<&str>, usize) -> Result<Page<T>, openrouter::Error>,
) -> Result<Vec<T>, Error> {
    let mut budget = ListBudget::new();
    let workspaces = fetch_all_pages(
        services,
        &mut budget,
        |one: &Workspace| one.id.clone(),
        async |offset| client.list_workspaces(management, offset).await,
    )
    .await
    // A missing right to list workspaces does not hide what the default one has.
    .unwrap_or_default();
    let workspaces: Vec<Option<String>> = if workspaces.is_empty() {
        vec![None]
    } else {
        workspaces.into_iter().map(|workspace| Some(workspace.id)).collect()
    };
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for workspace in workspaces {
        let found = fetch_all_pages(services, &mut budget, id, async |offset| {
            fetch(workspace.as_deref(), offset).await
        })
        .await
        .map_err(|error| failed(services, error))?;
        all.extend(found.into_iter().filter(|one| seen.insert(id(one))));
    }
    Ok(all)
}

fn build_client(services: &ServiceContext) -> Result<Client, Error> {
    services.build_client().map_err(|error| failed(services, error))
}

fn failed(services: &ServiceContext, error: openrouter::Error) -> Error {
    Error::from_management_request(error, &keys_page_url(services))
}
