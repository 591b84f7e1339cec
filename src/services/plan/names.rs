//! The workspaces and guardrails that a plan names, which the account's lists explain.

use std::collections::{HashMap, HashSet};

use crate::domain::{GuardrailRef, KeyRequest, UserError};
use crate::services::diagnostic::{Diagnostic, Position};
use crate::services::keys::{Error, NameResolver, SurroundingsError};
use crate::services::provision::ServiceContext;

/// A parsed plan. Its names are found by [`resolve_names`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The keys, without the workspaces and guardrails that have to be found by name.
    pub requests: Vec<KeyRequest>,
    /// The names.
    pub names: Vec<PlanName>,
}

/// A name in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanName {
    /// The index of the key.
    pub key: usize,
    /// What is named.
    pub field: NameField,
    /// The name, or the id of a guardrail.
    pub name: String,
    /// Where it is in the file.
    pub position: Position,
}

/// What a plan may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameField {
    /// A workspace.
    Workspace,
    /// A guardrail.
    Guardrail,
}

/// Why the names of a plan could not be found.
#[derive(Debug)]
pub enum NamesError {
    /// Names that the account does not have.
    Invalid(Vec<Diagnostic>),
    /// The account's lists could not be read.
    Unavailable(UserError),
}

/// A workspace or a guardrail that was found.
enum Found {
    Workspace(String),
    Guardrail(GuardrailRef),
}

/// Returns the keys of a plan with the workspaces and guardrails that it names. Sends nothing for a plan
/// without names.
pub async fn resolve_names(
    plan: Plan,
    services: &ServiceContext,
) -> Result<Vec<KeyRequest>, NamesError> {
    let Plan { mut requests, names } = plan;
    if names.is_empty() {
        return Ok(requests);
    }
    let unavailable = |error: Error| NamesError::Unavailable(error.to_user_error());
    let resolver = NameResolver::load(services).await.map_err(unavailable)?;
    let (mut found, mut wrong, mut diagnostics) = (HashMap::new(), HashSet::new(), Vec::new());
    for PlanName { key, field, name, position } in names {
        let id = (field, name);
        if !found.contains_key(&id) && !wrong.contains(&id) {
            let result = match field {
                NameField::Workspace => resolver.find_workspace(&id.1).await.map(Found::Workspace),
                NameField::Guardrail => resolver.find_guardrail(&id.1).await.map(Found::Guardrail),
            };
            match result {
                Ok(one) => {
                    found.insert(id.clone(), one);
                }
                Err(Error::Surroundings(error @ SurroundingsError::NoManagementKey { .. })) => {
                    return Err(unavailable(error.into()));
                }
                Err(Error::Surroundings(error)) => {
                    let UserError { message, advice, .. } = error.to_user_error();
                    let message = format!("{message} ({advice})");
                    diagnostics.push(Diagnostic { position, message });
                    wrong.insert(id.clone());
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
        match (found.get(&id), requests.get_mut(key)) {
            (Some(Found::Workspace(id)), Some(request)) => request.workspace_id = Some(id.clone()),
            (Some(Found::Guardrail(guardrail)), Some(request)) => {
                request.guardrail = Some(guardrail.clone());
            }
            (None, _) | (_, None) => {}
        }
    }
    if diagnostics.is_empty() { Ok(requests) } else { Err(NamesError::Invalid(diagnostics)) }
}
