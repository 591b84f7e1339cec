//! Confirms the account of a key, and gives the key the label for which it was created.

use super::{Error, move_label, rename_key};
use crate::domain::{OtherAccount, Rotated, StoredKey};
use crate::services::provision::ServiceContext;

/// Records that the account of `key` is the user's. Then the key gets its label: that of the key
/// which it replaces, or the planned one if that is still free.
pub async fn confirm_account(services: &ServiceContext, key: &StoredKey) -> Result<Rotated, Error> {
    let mut intended_label = None;
    let confirm = |key: &mut StoredKey| {
        let other = key.other_account.take().unwrap_or_default();
        intended_label = other.intended_label;
        key.other_account = Some(OtherAccount { confirmed: true, intended_label: None });
    };
    let confirmed = services
        .update_key(&key.hash, confirm)?
        .ok_or_else(|| Error::NotInInventory(key.label.clone()))?;
    match intended_label {
        Some(label) => {
            let renamed = rename_key(services, &confirmed, &label, None).await?;
            Ok(Rotated { new: renamed.stored_key, old: None, not_carried: Vec::new() })
        }
        None => move_label(services, &confirmed).await,
    }
}

/// Returns the key of an unconfirmed account that was created to replace `key`.
pub fn find_unconfirmed_replacement(
    services: &ServiceContext,
    key: &StoredKey,
) -> Result<Option<StoredKey>, Error> {
    let replaces_key = |new: &StoredKey| {
        new.is_of_unconfirmed_account()
            && new.replaces.as_ref().is_some_and(|replaces| replaces.hash == key.hash)
    };
    Ok(services.filter_keys(replaces_key)?.pop())
}
