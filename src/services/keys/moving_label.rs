//! Rotations that were interrupted while their label moved. The entry of the label has the text of the new
//! key by then, perhaps the only one, and the inventory still names the old key there.

use secrecy::SecretString;

use super::{Error, find_secret, to_api_key};
use crate::domain::{Label, StoredKey, UserError, format_command};
use crate::services::provision::ServiceContext;

/// Fails if `stored_key` is the old or the new key of a rotation whose label has moved in the secret store
/// and not yet in the inventory. Blocks.
pub(super) fn check_label_not_moving(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<(), Error> {
    let keys = services.list_keys()?;
    for (old, new) in list_rotations(&keys) {
        if ![&old.hash, &new.hash].contains(&&stored_key.hash) {
            continue;
        }
        let services = services.for_key(new);
        let entry_id = services.entry_id(old.label.as_str());
        let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
        check_rotation(old, new, find_secret(store, &entry_id, timeout))?;
    }
    Ok(())
}

/// Returns the old and the new key of each rotation that has not ended.
pub(super) fn list_rotations(keys: &[StoredKey]) -> impl Iterator<Item = (&StoredKey, &StoredKey)> {
    keys.iter().filter_map(|new| {
        let replaces = new.replaces.as_ref()?;
        let is_old = |key: &&StoredKey| key.server == new.server && key.hash == replaces.hash;
        Some((keys.iter().find(is_old)?, new))
    })
}

/// Returns the leaked keys and, for each whose label has moved to a new key in the secret store only, the new
/// key: programs have read it under that label. Where the store has no such entry or cannot be read, the label may
/// have moved. Blocks.
pub fn add_moved_keys(services: &ServiceContext, mut leaked: Vec<StoredKey>) -> Vec<StoredKey> {
    let keys = services.list_keys().unwrap_or_default();
    for (old, new) in list_rotations(&keys) {
        let is_leaked = |key: &StoredKey| leaked.iter().any(|other| other.hash == key.hash);
        let services = services.for_key(new);
        let entry_id = services.entry_id(old.label.as_str());
        let (store, timeout) = (&services.secret_store, services.secret_store_timeout);
        // Another keychain may answer that has no such entry.
        let has_other_text = || {
            let text = find_secret(store, &entry_id, timeout);
            matches!(text, Ok(Some(text)) if to_api_key(&text).hash() != new.hash)
        };
        if is_leaked(old) && !is_leaked(new) && !has_other_text() {
            leaked.push(new.clone());
        }
    }
    leaked
}

/// Fails if `text`, which is stored under the label of the old key in the store of the new one, is that of
/// the new key.
pub(super) fn check_rotation(
    old: &StoredKey,
    new: &StoredKey,
    text: Result<Option<SecretString>, Error>,
) -> Result<(), Error> {
    match text {
        Ok(Some(text)) if old.label != new.label && to_api_key(&text).hash() == new.hash => {
            Err(Error::Refused(moving_error(&old.label)))
        }
        Err(error) if !error.is_about_one_key() => Err(error),
        _ => Ok(()),
    }
}

fn moving_error(label: &Label) -> UserError {
    let message = format!("the rotation of '{label}' was interrupted while its label moved");
    let recover = format_command(&["recover"], &[]);
    UserError::failed(
        message,
        format!(
            "finish the rotation: {recover}; then look at the keys: {}",
            format_command(&["list"], &[])
        ),
    )
    .with_meaning(format!("nothing was changed; the entry of '{label}' has the new key already"))
}
