//! The management key: from the environment, else from its own entry in the store of this
//! machine.

use super::{Error, to_api_key, to_secret_string};
use crate::api::openrouter;
use crate::domain::{ApiKey, ErrorKind, ManagementKey, UserError};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::{self, EntryId};
use secrecy::ExposeSecret;

/// The reason why nothing can be read or changed at the account.
pub(super) const NO_MANAGEMENT_KEY: &str = "needs a management key: keywright management set";

/// The management key, or why there is none.
pub(super) type AccountAccess = Result<ManagementKey, String>;

/// Returns the management key in use.
pub(super) async fn load_access(services: &ServiceContext) -> AccountAccess {
    match load_management_key(services).await {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(NO_MANAGEMENT_KEY.into()),
        Err(error) => Err(format!("the management key cannot be read: {error}")),
    }
}

/// Returns the management key in use: that of the context, else the stored one.
pub async fn load_management_key(
    services: &ServiceContext,
) -> Result<Option<ManagementKey>, Error> {
    if let Some(key) = &services.management_key {
        return Ok(Some(key.clone()));
    }
    let entry_id = management_entry_id(services);
    match services
        .local()
        .call_secret_store(move |store, timeout| store.get(&entry_id, timeout))
        .await
    {
        #[expect(clippy::disallowed_methods, reason = "the secret store returns plain secrets")]
        Ok(secret) => Ok(Some(ManagementKey::from(secret.expose_secret().to_owned()))),
        Err(secret_store::Error::NoEntry) => Ok(None),
        // A machine whose keys are in a shared store may have no store of its own.
        Err(error) if !services.secret_store.kind().is_local() && error.is_absence() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the management key, or an error that names `page`, where the account's owner can make
/// the change.
pub async fn require_management_key(
    services: &ServiceContext,
    page: &str,
) -> Result<ManagementKey, Error> {
    match load_management_key(services).await? {
        Some(key) => Ok(key),
        None => Err(Error::NoManagementKey { page_url: page.into() }),
    }
}

/// Stores a management key after the server has confirmed that it is one.
pub async fn store_management_key(
    services: &ServiceContext,
    key: &ManagementKey,
) -> Result<(), Error> {
    let client = services.build_client().map_err(Error::CheckFailed)?;
    let api_key: ApiKey = to_api_key(&to_secret_string(key));
    match client.get_current_key(&api_key).await {
        Ok(info) if info.is_management_key => {}
        Ok(_) => return Err(Error::NotManagementKey),
        Err(openrouter::Error::Rejected { status: 401, .. }) => return Err(Error::KeyRejected),
        Err(error) => return Err(Error::CheckFailed(error)),
    }
    let (entry_id, secret) = (management_entry_id(services), to_secret_string(key));
    let stored = services
        .local()
        .call_secret_store(move |store, timeout| store.set(&entry_id, &secret, timeout))
        .await;
    stored.map_err(|error| match services.local_store {
        // Another store for all keys, as the error of a keychain advises, is not what is needed.
        Some(_) => Error::Refused(no_local_store_error(&error)),
        None => error.into(),
    })
}

/// Returns the error for a management key that this machine has no store for, while keys are in another.
fn no_local_store_error(error: &secret_store::Error) -> UserError {
    UserError::new(
        ErrorKind::SecretStore,
        format!("this machine has no store for the management key: {error}"),
        "start a keychain, or set KEYWRIGHT_PASSPHRASE_FILE to a file with a passphrase: \
         then an encrypted file holds it",
    )
    .with_meaning("the management key was not stored")
}

/// Returns what a management key may read, each with the server's reason if it refuses that.
/// Nothing is changed. A request without a response counts as refused.
pub async fn probe_rights(
    services: &ServiceContext,
    key: &ManagementKey,
) -> Vec<(&'static str, Option<String>)> {
    let Ok(client) = services.build_management_client(key).map(|client| client.once()) else {
        return Vec::new();
    };
    let (keys, credits, workspaces, guardrails, activity) = tokio::join!(
        client.list_keys(None, 0),
        client.get_credits(),
        client.list_workspaces(0),
        client.list_guardrails(None, 0),
        client.list_activity(None),
    );
    vec![
        ("list, edit, disable and delete keys", keys.err().map(|error| error.to_string())),
        ("read the credits", credits.err().map(|error| error.to_string())),
        ("read the activity of each model", activity.err().map(|error| error.to_string())),
        ("choose a workspace", workspaces.err().map(|error| error.to_string())),
        ("assign a guardrail", guardrails.err().map(|error| error.to_string())),
    ]
}

/// Removes the stored management key and returns whether there was one. It stays valid at OpenRouter.
pub async fn remove_management_key(services: &ServiceContext) -> Result<bool, Error> {
    let entry_id = management_entry_id(services);
    match services
        .local()
        .call_secret_store(move |store, timeout| store.delete(&entry_id, timeout))
        .await
    {
        Ok(()) => Ok(true),
        Err(secret_store::Error::NoEntry) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn management_entry_id(services: &ServiceContext) -> EntryId {
    management_entry_id_for(&services.keychain_service, &services.server)
}

/// Returns the entry of the management key, in a service of its own so that it is not taken for an API
/// key.
pub(super) fn management_entry_id_for(service: &str, server: &str) -> EntryId {
    // In the service without `http`, earlier versions stored keys for https too, which must not be
    // sent in plaintext.
    let scheme = if server.starts_with("http://") { " http" } else { "" };
    EntryId { service: format!("{service}{scheme} management"), account: "management".into() }
}
