//! Operations on existing keys, the management key, and the creation of many keys in a batch.

mod account_keys;
mod account_resources;
mod apply;
mod carry_over;
mod confirm_account;
mod current_key;
mod earlier_versions;
mod edit;
mod error;
mod import;
mod leak_response;
mod management_error;
pub mod management_key;
mod migrate;
mod missing;
mod moving_label;
mod name_lookup;
mod new_key_names;
mod paging;
mod recovery;
mod refresh;
mod remote_update;
mod rename;
mod resource_error;
mod revoke;
mod rollback;
mod rotate;
mod rotation_labels;
mod same_policy;
mod shared_trash;
mod stray_entries;
mod trash;

pub use account_keys::{
    AccountKeyList, JoinedKey, find_in_other_profiles, join_account_keys, join_by_hash,
    list_account_keys, list_keys_with, refresh_guardrails,
};
pub use account_resources::{
    assign_guardrail, find_guardrail, find_workspace, get_assigned_guardrail, guardrails_page_url,
    list_assigned_guardrails, list_guardrails, list_workspaces,
};
pub use apply::{
    ApplyLock, BatchCommand, BatchControls, ItemResult, Progress, choose_batch_auth_method,
    create_keys, is_interrupted, list_pending_attempts, list_unfinished_attempts, lock_apply,
    not_started_error, pending_error,
};
pub use carry_over::{preview_replacement, preview_without_management_key};
pub use confirm_account::{confirm_account, find_unconfirmed_replacement};
pub use current_key::{find_change_by_others, load_listed_key};
pub use earlier_versions::{EarlierVersions, keep_earlier_keys};
pub use edit::{
    apply_guardrail, apply_key_update, fetch_editable_key, parse_guardrail, record_guardrail,
};
pub use error::Error;
pub use import::{import_key, may_be_key, restore_inventory_entry};
pub use leak_response::respond_to_leak;
pub use migrate::{MigratedEntry, Migration, migrate_entries};
pub use missing::{find_missing_secrets, missing_error};
pub use moving_label::add_moved_keys;
pub use name_lookup::{Named, find_by_name};
pub use new_key_names::{
    NameResolver, WorkspaceText, assign_requested_guardrail, check_label, create_key,
    missing_workspace_list_error, parse_workspace,
};
pub use recovery::{
    AttemptKey, RecoveryReport, find_attempt_key, list_pending_names, recover_and_reconcile,
    recover_attempts, recover_interrupted,
};
pub use refresh::{RefreshReport, load_authorizing_key, load_key, refresh_keys};
pub use remote_update::{UpdateOutcome, UpdatedKey, fetch_account_key, set_disabled, update_key};
pub use rename::{RenamedKey, rename_key};
pub use resource_error::ResourceError;
pub use revoke::{RevokeOutcome, find_recent_use, revoke_and_remove, revoke_key};
pub use rollback::rollback_key;
pub use rotate::{
    finish_rotation, finish_rotations, move_label, replace_key, resume_rotations, rotate_key,
};
pub use shared_trash::read_shared_trash;
pub use stray_entries::{StrayEntry, find_stray_entries, mend_stray_entries, unlisted_label};
pub use trash::{
    empty_trash, list_own_removed_keys, list_restorable_keys, remove_key, restore_key,
};

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::domain::{ApiKey, Label};
use crate::services::provision::ServiceContext;
use crate::storage::secret_store::{self, EntryId, SecretStore};

/// Returns the key stored under `label`, or `None` if there is none.
async fn secret_for(services: &ServiceContext, label: &Label) -> Result<Option<ApiKey>, Error> {
    let entry_id = services.entry_id(label.as_str());
    match services.call_secret_store(move |store, timeout| store.get(&entry_id, timeout)).await {
        Ok(secret) => Ok(Some(to_api_key(&secret))),
        Err(secret_store::Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Stores a key under `label`.
async fn store_secret(services: &ServiceContext, label: &Label, key: &ApiKey) -> Result<(), Error> {
    let (entry_id, secret) = (services.entry_id(label.as_str()), to_secret_string(key));
    Ok(services
        .call_secret_store(move |store, timeout| store.set(&entry_id, &secret, timeout))
        .await?)
}

/// Stores a key under `label`, which has none. In a shared store someone else may have taken the label
/// since that was checked.
async fn create_secret(
    services: &ServiceContext,
    label: &Label,
    key: &ApiKey,
) -> Result<(), Error> {
    let (entry_id, secret) = (services.entry_id(label.as_str()), to_secret_string(key));
    let create = move |store: &SecretStore, timeout| store.create(&entry_id, &secret, timeout);
    match services.call_secret_store(create).await {
        Err(secret_store::Error::EntryExists) => Err(Error::LabelInSecretStore(label.clone())),
        result => Ok(result?),
    }
}

/// Deletes the key stored under `label`, if there is one.
async fn delete_secret(services: &ServiceContext, label: &Label) -> Result<(), Error> {
    let entry_id = services.entry_id(label.as_str());
    match services.call_secret_store(move |store, timeout| store.delete(&entry_id, timeout)).await {
        Ok(()) | Err(secret_store::Error::NoEntry) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the secret of the entry, or `None` if there is no such entry.
fn find_secret(
    store: &SecretStore,
    entry_id: &EntryId,
    timeout: Duration,
) -> Result<Option<SecretString>, Error> {
    match store.get(entry_id, timeout) {
        Ok(secret) => Ok(Some(secret)),
        Err(secret_store::Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether two secrets are equal.
#[expect(clippy::disallowed_methods, reason = "two copies of a secret are compared")]
fn secrets_equal(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[expect(clippy::disallowed_methods, reason = "the secret store uses plain secrets")]
fn to_api_key(secret: &SecretString) -> ApiKey {
    ApiKey::from(secret.expose_secret().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the secret store uses plain secrets")]
fn to_secret_string(key: &impl ExposeSecret<str>) -> SecretString {
    SecretString::from(key.expose_secret())
}
