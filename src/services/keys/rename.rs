//! Another label for a key: the vault's entry and the inventory together. The new entry is there
//! before the old one goes, so an interruption leaves two and never none.

use super::{Error, delete_secret, missing_error, retry_request, secret_for, store_secret};
use crate::domain::{KeyPatch, Label, ManagementKey, StoredKey, UserError};
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;

/// A key under its new label.
#[derive(Clone, Debug)]
pub struct RenamedKey {
    /// The key.
    pub stored_key: StoredKey,
    /// What did not keep it from being renamed: an old entry that could not be removed, or a name
    /// at the server that stayed.
    pub warning: Option<UserError>,
}

/// Renames a held key; with a management key its name at the server too.
pub async fn rename_key(
    services: &ServiceContext,
    old: &StoredKey,
    new: &Label,
    management: Option<&ManagementKey>,
) -> Result<RenamedKey, Error> {
    let held = inventory::list_keys(&services.location, &services.server)?;
    if !held.iter().any(|held| held.hash == old.hash && held.label == old.label) {
        return Err(Error::NotInInventory(old.label.clone()));
    }
    if held.iter().any(|held| held.label == *new) {
        return Err(Error::LabelTaken(new.clone()));
    }
    let Some(key) = secret_for(services, &old.label).await? else {
        return Err(missing_error(services, &old.label));
    };
    if key.hash() != old.hash {
        return Err(Error::SecretMismatch(old.label.clone()));
    }
    // Nobody else may take the label between this look and our writing.
    let turn = provision::lock_storing(services).await;
    let mine = match secret_for(services, new).await? {
        // A try before this one was interrupted.
        Some(there) if there.hash() == old.hash => true,
        Some(_) => return Err(Error::LabelInSecretStore(new.clone())),
        None => false,
    };
    store_secret(services, new, &key).await?;
    let renamed = update_inventory_label(services, old, new);
    let held = match renamed {
        Ok(held) => held,
        Err(error) => {
            // The old state, as far as the vault lets go of what was just put there.
            if !mine && let Err(error) = delete_secret(services, new).await {
                tracing::warn!(%error, "a second entry of a key stays behind");
            }
            return Err(error);
        }
    };
    drop(turn);
    let mut note = delete_secret(services, &old.label).await.err().map(|error| {
        let trouble = error.to_user_error();
        UserError::new(
            trouble.kind,
            format!("the old entry '{}' was not removed: {}", old.label, trouble.message),
            format!("the key is under '{new}', and once more there; {}", trouble.advice),
        )
    });
    if let Some(management) = management {
        let unnamed = rename_at_server(services, management, &held).await.err().map(|error| {
            let trouble = error.to_user_error();
            UserError::new(
                trouble.kind,
                format!("the name at the server stayed: {}", trouble.message),
                format!("here the key is '{new}'; change it at {}", held.page_url()),
            )
        });
        note = note.or(unnamed);
    }
    Ok(RenamedKey { stored_key: held, warning: note })
}

fn update_inventory_label(
    services: &ServiceContext,
    old: &StoredKey,
    new: &Label,
) -> Result<StoredKey, Error> {
    inventory::update_keys(&services.location, |keys| {
        let ours = |held: &StoredKey| held.server == services.server;
        if keys.iter().any(|held| ours(held) && held.label == *new) {
            return Err(Error::LabelTaken(new.clone()));
        }
        let same = |held: &&mut StoredKey| ours(held) && held.hash == old.hash;
        let row =
            keys.iter_mut().find(same).ok_or_else(|| Error::NotInInventory(old.label.clone()))?;
        row.label = new.clone();
        Ok(row.clone())
    })?
}

async fn rename_at_server(
    services: &ServiceContext,
    management: &ManagementKey,
    held: &StoredKey,
) -> Result<(), Error> {
    let failed = |error| Error::from_management_request(error, &held.page_url());
    let client = services.build_client().map_err(failed)?;
    let patch = KeyPatch { name: Some(held.label.clone()), ..KeyPatch::default() };
    let patched =
        retry_request(services, async || client.update_key(management, &held.hash, &patch).await);
    let now = patched.await.map_err(failed)?;
    match patch.unapplied_fields(&now) {
        names if names.is_empty() => Ok(()),
        names => Err(Error::UpdateNotApplied { fields: names, page_url: held.page_url() }),
    }
}
