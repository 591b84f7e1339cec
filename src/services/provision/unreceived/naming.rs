//! The names at the server of keys that the management key created: that of the attempt until a key is stored,
//! then its label.

use super::super::ServiceContext;
use super::errors::not_named_error;
use super::{delete_keys_of_attempts, find_label, unexpected};
use crate::api::openrouter::{self, Client, ManagementClient};
use crate::domain::{KeyPatch, Label, ManagementKey, UserError};
use crate::storage::journal::{Attempt, AttemptGuard};

/// Gives the stored key of an attempt its label at the server. Returns the label; `None` if nothing
/// is left to do, because the key was deleted or someone gave it another name.
pub(super) async fn rename_stored_key(
    attempt: &Attempt,
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<Option<Label>, openrouter::Error> {
    let Some(received) = &attempt.received_key else { return Ok(None) };
    match client.get_key(&received.hash).await {
        Ok(key) if !attempt.is_key_name(key.name.as_deref().unwrap_or_default()) => {
            return Ok(None);
        }
        Err(error @ openrouter::Error::Rejected { status: 404, .. }) => {
            // Another account never had the key.
            let is_same_account =
                attempt.management_key == Some(client.management_key().fingerprint());
            return if is_same_account { Ok(None) } else { Err(error) };
        }
        // Without the right to read it the key may still be renamed.
        Ok(_) | Err(_) => {}
    }
    let label = find_label(received, services)?;
    finish_name(attempt, &received.hash, &label, services, client).await?;
    Ok(Some(label))
}

/// Renames the key of an attempt at the server. If the request to create it was repeated, the keys of
/// the earlier ones are deleted.
async fn finish_name(
    attempt: &Attempt,
    hash: &str,
    label: &Label,
    services: &ServiceContext,
    client: &ManagementClient,
) -> Result<(), openrouter::Error> {
    rename_key(services, client, hash, label).await?;
    if attempt.send_count > 1 {
        let found = delete_keys_of_attempts(&[attempt], services, client).await?;
        if let Some((_, _, error)) = found.not_deleted.into_iter().next() {
            return Err(error);
        }
    }
    Ok(())
}

/// Gives a key its label at the server.
async fn rename_key(
    services: &ServiceContext,
    client: &ManagementClient,
    hash: &str,
    label: &Label,
) -> Result<(), openrouter::Error> {
    let patch = KeyPatch { name: Some(label.clone()), ..KeyPatch::default() };
    let key = client.update_key(hash, &patch).await?;
    if patch.unapplied_fields(&key).is_empty() {
        return Ok(());
    }
    Err(unexpected(services, "the key with its new name"))
}

/// Gives a new key its label at the server, where it has the name of its attempt.
pub(in super::super) async fn name_key(
    guard: Option<&AttemptGuard>,
    naming: Option<(&ManagementKey, &Label)>,
    client: &Result<Client, openrouter::Error>,
    services: &ServiceContext,
) -> Option<UserError> {
    let ((management, label), attempt) = (naming?, guard?.attempt());
    let hash = &attempt.received_key.as_ref()?.hash;
    let named = async {
        let client = client.as_ref().map_err(Clone::clone)?.with_management_key(management);
        finish_name(attempt, hash, label, services, &client).await
    };
    Some(not_named_error(attempt, services, &named.await.err()?))
}
