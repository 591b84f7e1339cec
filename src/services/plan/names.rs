//! The workspaces and guardrails that a plan names, which the account's lists explain.

use std::collections::{HashMap, HashSet};

use crate::domain::{
    ConfiguredName, DefaultedFields, GuardrailRef, KeyDefaults, KeyRequest, UserError,
};
use crate::services::diagnostic::{Diagnostic, Position};
use crate::services::keys::{Error, NameResolver, ResourceError};
use crate::services::provision::ServiceContext;

/// Fields of a key. All but the label can have defaults.
pub(super) const KEY_FIELDS: [&str; 7] =
    ["label", "limit", "reset", "expires", "workspace", "guardrail", "store"];
/// OpenRouter's names for these fields, and other likely names.
pub(super) const FIELD_ALIASES: [(&str, &str); 8] = [
    ("name", "label"),
    ("key_label", "label"),
    ("limit_reset", "reset"),
    ("usage_limit_type", "reset"),
    ("interval", "reset"),
    ("expires_at", "expires"),
    ("expiry", "expires"),
    ("workspace_id", "workspace"),
];

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
    /// Where it is written.
    pub place: NamePlace,
}

/// Where a name is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePlace {
    /// In the plan.
    Plan(Position),
    /// In the configuration, whose policy a key without any field has.
    Configuration(ConfiguredName),
}

/// Returns the configured names for a key of a plan that takes the configuration's policy.
pub(super) fn of_defaults(
    key: usize,
    request: &KeyRequest,
    defaults: &KeyDefaults,
) -> impl Iterator<Item = PlanName> {
    let name = |field, is_defaulted: bool, name: &Option<ConfiguredName>| {
        let name = name.clone().filter(|_| is_defaulted)?;
        let place = NamePlace::Configuration(name.clone());
        Some(PlanName { key, field, name: name.name, place })
    };
    let DefaultedFields { workspace_id, guardrail, .. } = request.defaulted;
    let workspace = name(NameField::Workspace, workspace_id, &defaults.workspace_name);
    let guardrail = name(NameField::Guardrail, guardrail, &defaults.guardrail);
    workspace.into_iter().chain(guardrail)
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
    for PlanName { key, field, name, place } in names {
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
                Err(error) if let NamePlace::Configuration(name) = &place => {
                    return Err(NamesError::Unavailable(name.add_place(error.to_user_error())));
                }
                Err(Error::Resource(error @ ResourceError::NoManagementKey { .. })) => {
                    return Err(unavailable(error.into()));
                }
                Err(Error::Resource(error)) => {
                    let UserError { message, advice, .. } = error.to_user_error();
                    let message = format!("{message} ({advice})");
                    if let NamePlace::Plan(position) = place {
                        diagnostics.push(Diagnostic { position, message });
                    }
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
