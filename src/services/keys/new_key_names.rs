//! The workspace and the guardrail of a new key: found by name before it is created, and assigned
//! afterwards.

use super::Error;
use super::account_resources::{find_guardrail, find_workspace};
use super::edit::apply_guardrail;
use super::management_key::load_management_key;
use super::resource_error::ResourceError;
use crate::domain::{
    GuardrailRef, KeyRequest, Label, ManagementKey, ProvisioningEvent, ProvisioningOutcome,
    StoredKey, UserError, format_command,
};
use crate::services::provision::{self, AuthMethod, ProvisioningControls, ServiceContext};
use crate::services::shared_inventory;

/// A management key that is read when a name needs the account's lists.
pub struct NameResolver<'a> {
    services: &'a ServiceContext,
    management: Option<ManagementKey>,
}

impl<'a> NameResolver<'a> {
    /// Reads the management key, if there is one.
    pub async fn load(services: &'a ServiceContext) -> Result<Self, Error> {
        let management = load_management_key(services).await?;
        Ok(Self { services, management })
    }

    /// Returns the UUID of the workspace with this slug or name.
    pub async fn find_workspace(&self, text: &str) -> Result<String, Error> {
        let management = self.management.as_ref().ok_or_else(missing_workspace_list_error)?;
        Ok(find_workspace(self.services, management, text).await?.id)
    }

    /// Returns the guardrail with this name or id.
    pub async fn find_guardrail(&self, text: &str) -> Result<GuardrailRef, Error> {
        let management = self.management.as_ref().ok_or(ResourceError::NoManagementKey {
            option: "a guardrail",
            alternative: ", or leave it out: --guardrail none",
        })?;
        let found = find_guardrail(self.services, management, text).await?;
        Ok(GuardrailRef { id: found.id, name: found.name })
    }
}

/// Returns the error of a workspace that is written as a name, without a management key.
pub const fn missing_workspace_list_error() -> ResourceError {
    ResourceError::NoManagementKey {
        option: "a workspace by its name",
        alternative: ", give its UUID, or take the account's default workspace: --workspace default",
    }
}

/// Returns how a workspace was written.
pub fn parse_workspace(text: &str) -> WorkspaceText<'_> {
    match text.trim() {
        "" | "default" => WorkspaceText::Default,
        id if KeyRequest::validate_workspace_id(id).is_ok() => WorkspaceText::Id(id),
        name => WorkspaceText::Name(name),
    }
}

/// How the user wrote a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkspaceText<'a> {
    /// The account's default workspace.
    Default,
    /// A UUID, which is sent as it is.
    Id(&'a str),
    /// A slug or a name, which the account's list explains.
    Name(&'a str),
}

/// Puts a new key under the guardrail that was requested for it, and records that. Returns the
/// warning if that fails: the key exists.
pub async fn assign_requested_guardrail(
    services: &ServiceContext,
    guardrail: Option<&GuardrailRef>,
    stored_key: &mut StoredKey,
) -> Option<UserError> {
    let guardrail = guardrail?;
    let assigned = async {
        let page = super::guardrails_page_url(services);
        let management = super::management_key::require_management_key(services, &page).await?;
        apply_guardrail(services, &management, &stored_key.hash, Some(guardrail.clone())).await
    };
    match assigned.await {
        Ok(()) => {
            stored_key.guardrail = Some(guardrail.clone());
            None
        }
        Err(error) => {
            let label = &stored_key.label;
            let state = match &error {
                Error::Resource(ResourceError::GuardrailNotReadBack { .. }) => "may not be",
                _ => "is not",
            };
            Some(
                UserError::failed(error.to_string(),
                    match &error {
                        // `edit` needs a management key as well.
                        Error::NoManagementKey { .. } => {
                            "store the management key: keywright management set; then run: keywright recover".into()
                        }
                        _ => format!(
                            "try again: {}, or leave it without: {}",
                            format_command(
                                &["edit", "--guardrail", &guardrail.name],
                                &[label.as_str()]
                            ),
                            label.command("edit --guardrail none")
                        ),
                    },
                )
                .with_meaning(format!(
                    "the key '{label}' exists and works, and {state} under the guardrail '{}'",
                    guardrail.name
                )),
            )
        }
    }
}

/// Checks like [`provision::check_label`] that no key has the label, in a shared store as it is now.
/// Blocks.
pub fn check_label(services: &ServiceContext, label: &Label) -> Result<(), provision::Error> {
    let find =
        |keys: &[StoredKey]| keys.iter().any(|key| key.label.is_same(label.as_str())).then_some(());
    shared_inventory::find_conflict(services, find)?;
    provision::check_label(services, label)
}

/// Creates a key like [`provision::run`] and puts it under the requested guardrail.
pub async fn create_key(
    request: &KeyRequest,
    auth_method: AuthMethod,
    services: &ServiceContext,
    controls: &mut ProvisioningControls,
    report: &(dyn Fn(ProvisioningEvent) + Sync),
) -> ProvisioningOutcome {
    // Someone else may have freed a label of a shared store; whatever has it is found by the preflight.
    let label = request.label.clone();
    let find = move |keys: &[StoredKey]| {
        keys.iter().any(|key| key.label.is_same(label.as_str())).then_some(())
    };
    let _ = shared_inventory::find_conflict_async(services, find).await;
    let mut outcome = provision::run(request, auth_method, services, controls, report).await;
    let guardrail = request.guardrail.as_ref();
    match &mut outcome {
        ProvisioningOutcome::Stored { stored_key, warning, .. } => {
            let unassigned = assign_requested_guardrail(services, guardrail, stored_key).await;
            *warning = UserError::join([unassigned, warning.take()]);
        }
        // The user may still store the key, and it can spend already.
        ProvisioningOutcome::NotStored { entry, .. } => {
            if let Some(error) = assign_requested_guardrail(services, guardrail, entry).await {
                report(ProvisioningEvent::Notice(error.one_line()));
            }
        }
        ProvisioningOutcome::Failed(_) => {}
    }
    outcome
}
