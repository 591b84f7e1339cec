//! Another label for a key: the vault's entry and the inventory together. The new entry is there
//! before the old one goes, so an interruption leaves two and never none.

use super::{Error, absent, drop_entry, held_under, patiently, put};
use crate::domain::{KeyPatch, Label, ManagementKey, StoredKey, UserError};
use crate::services::provision::{self, Services};
use crate::storage::inventory;

/// A key under its new label.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// The key.
    pub held: StoredKey,
    /// What did not keep it from being renamed: an old entry that could not be removed, or a name
    /// at the server that stayed.
    pub note: Option<UserError>,
}

/// Renames a held key; with a management key its name at the server too.
pub async fn rename(
    services: &Services,
    old: &StoredKey,
    new: &Label,
    management: Option<&ManagementKey>,
) -> Result<Renamed, Error> {
    let held = inventory::list_keys(&services.place, &services.server)?;
    if !held.iter().any(|held| held.hash == old.hash && held.label == old.label) {
        return Err(Error::NotHeld(old.label.clone()));
    }
    if held.iter().any(|held| held.label == *new) {
        return Err(Error::LabelHeld(new.clone()));
    }
    let Some(key) = held_under(services, &old.label).await? else {
        return Err(absent(services, &old.label));
    };
    if key.hash() != old.hash {
        return Err(Error::AnotherKey(old.label.clone()));
    }
    // Nobody else may take the label between this look and our writing.
    let turn = provision::turn(services).await;
    let mine = match held_under(services, new).await? {
        // A try before this one was interrupted.
        Some(there) if there.hash() == old.hash => true,
        Some(_) => return Err(Error::LabelInVault(new.clone())),
        None => false,
    };
    put(services, new, &key).await?;
    let renamed = relabel(services, old, new);
    let held = match renamed {
        Ok(held) => held,
        Err(error) => {
            // The old state, as far as the vault lets go of what was just put there.
            if !mine && let Err(error) = drop_entry(services, new).await {
                tracing::warn!(%error, "a second entry of a key stays behind");
            }
            return Err(error);
        }
    };
    drop(turn);
    let mut note = drop_entry(services, &old.label).await.err().map(|error| {
        let trouble = error.trouble();
        UserError::new(
            trouble.kind,
            format!("the old entry '{}' was not removed: {}", old.label, trouble.message),
            format!("the key is under '{new}', and once more there; {}", trouble.advice),
        )
    });
    if let Some(management) = management {
        let unnamed = name_there(services, management, &held).await.err().map(|error| {
            let trouble = error.trouble();
            UserError::new(
                trouble.kind,
                format!("the name at the server stayed: {}", trouble.message),
                format!("here the key is '{new}'; change it at {}", held.page_url()),
            )
        });
        note = note.or(unnamed);
    }
    Ok(Renamed { held, note })
}

fn relabel(services: &Services, old: &StoredKey, new: &Label) -> Result<StoredKey, Error> {
    inventory::update_keys(&services.place, |keys| {
        let ours = |held: &StoredKey| held.server == services.server;
        if keys.iter().any(|held| ours(held) && held.label == *new) {
            return Err(Error::LabelHeld(new.clone()));
        }
        let same = |held: &&mut StoredKey| ours(held) && held.hash == old.hash;
        let row = keys.iter_mut().find(same).ok_or_else(|| Error::NotHeld(old.label.clone()))?;
        row.label = new.clone();
        Ok(row.clone())
    })?
}

async fn name_there(
    services: &Services,
    management: &ManagementKey,
    held: &StoredKey,
) -> Result<(), Error> {
    let failed = |error| Error::managed(error, &held.page_url());
    let client = services.client().map_err(failed)?;
    let patch = KeyPatch { name: Some(held.label.clone()), ..KeyPatch::default() };
    let patched =
        patiently(services, async || client.update_key(management, &held.hash, &patch).await);
    let now = patched.await.map_err(failed)?;
    match patch.unapplied_fields(&now) {
        names if names.is_empty() => Ok(()),
        names => Err(Error::NotTaken { names, page: held.page_url() }),
    }
}
