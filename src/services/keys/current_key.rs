//! Whether the label of a key still names it. Others who use a shared store may have replaced, renamed or
//! removed the key since it was listed.

use super::moving_label::check_label_not_moving;
use super::{Error, load_key, read_shared_trash};
use crate::domain::{ApiKey, ErrorKind, StoredKey, TrashedKey, UserError, format_command};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::ServiceContext;
use crate::services::shared_inventory;
use crate::storage::json_store;
use crate::storage::secret_store;

/// Checks that the label of a key still names this key. Fails with [`Error::Refused`] if a rotation was
/// interrupted while it moved the label, and with [`Error::ReplacedByOther`] if others changed it in a shared
/// store, whose present keys are read into the inventory. A shared store that cannot be read now does not
/// stop the action.
pub(super) async fn check_current(
    services: &ServiceContext,
    stored_key: &StoredKey,
) -> Result<(), Error> {
    let (services, key) = (services.clone(), stored_key.clone());
    if !stored_key.is_shared() {
        let checked = run_blocking(move || check_label_not_moving(&services, &key)).await;
        return checked.unwrap_or(Ok(()));
    }
    run_blocking(move || match shared_inventory::read_key(&services, key.label.as_str()) {
        Ok(()) => {
            find_change(&services, &key)?.map_or(Ok(()), |error| Err(Error::ReplacedByOther(error)))
        }
        Err(shared_inventory::Error::Inventory(error)) => Err(error.into()),
        Err(shared_inventory::Error::Store(error)) => {
            tracing::warn!(%error, "it could not be checked whether others changed a key");
            Ok(())
        }
    })
    .await
    .unwrap_or(Ok(()))
}

/// Returns the text of a listed key. Fails with [`Error::ReplacedByOther`] if its label names another key
/// or none by now. Blocks, and can wait for the user.
pub fn load_listed_key(services: &ServiceContext, stored_key: &StoredKey) -> Result<ApiKey, Error> {
    let loaded = load_key(services, &stored_key.label);
    let is_gone = matches!(
        loaded,
        Err(Error::MissingSecret { .. } | Error::SecretStore(secret_store::Error::NoEntry))
    );
    let is_other = loaded.as_ref().is_ok_and(|key| key.hash() != stored_key.hash);
    if !is_gone && !is_other {
        return loaded;
    }
    if stored_key.is_shared()
        && let Err(error) = shared_inventory::read_key(services, stored_key.label.as_str())
    {
        tracing::warn!(%error, "the present keys of the shared store could not be read");
    }
    match find_change(services, stored_key)? {
        Some(error) => Err(Error::ReplacedByOther(error)),
        None if is_other => Err(Error::SecretMismatch(stored_key.label.clone())),
        None => loaded,
    }
}

/// Returns what others did with a key of a shared store whose label names another key or none by now;
/// `None` for a key of another store, or if the store cannot be read. Blocks.
pub fn find_change_by_others(services: &ServiceContext, key: &StoredKey) -> Option<UserError> {
    if !key.is_shared() || shared_inventory::read_key(services, key.label.as_str()).is_err() {
        return None;
    }
    find_change(services, key).ok().flatten()
}

/// Returns the error for a key whose label names another key or none in the inventory. A shared store is
/// read first, so that the error can say where the key is now.
fn find_change(
    services: &ServiceContext,
    key: &StoredKey,
) -> Result<Option<UserError>, json_store::Error> {
    let find = |label: &str| services.find_key(label);
    let label = key.label.as_str();
    if find(label)?.is_some_and(|listed| listed.hash == key.hash) {
        return Ok(None);
    }
    if key.is_shared()
        && let Err(error) = read_shared_trash(services)
    {
        tracing::warn!(%error, "the present keys of the shared store could not be read");
    }
    let now = services.find_hash(&key.hash)?;
    let trash = services.list_trash()?;
    let removed = trash.iter().find(|removed| removed.is_key(&key.server, &key.hash));
    let who = if key.is_shared() { "someone else" } else { "another program" };
    let show = |label: &str| format!("look at it: {}", format_command(&["show"], &[label]));
    let nothing = "nothing was done";
    let listed = find(label)?;
    let kind = if listed.is_some() { ErrorKind::Failed } else { ErrorKind::NotFound };
    let (message, meaning, advice) = match (listed, now) {
        (Some(_), now) => (
            format!("{who} replaced the key of '{label}' in the meantime"),
            now.map_or(nothing.into(), |now| {
                format!("{nothing}; the earlier key is '{}' now", now.label)
            }),
            show(label),
        ),
        (None, Some(now)) => (
            format!("{who} renamed '{label}' to '{}' in the meantime", now.label),
            nothing.into(),
            show(now.label.as_str()),
        ),
        (None, None) => (
            format!(
                "{} removed '{label}' in the meantime",
                removed.and_then(TrashedKey::removed_by).unwrap_or_else(|| who.into())
            ),
            match removed {
                Some(_) => format!("{nothing}; the key {} stays valid at OpenRouter", key.masked),
                None => nothing.into(),
            },
            match removed {
                Some(removed) => {
                    format!("restore it: {}", removed.key.label.command("trash restore"))
                }
                None => format!("create a new key: {}", format_command(&["new"], &[label])),
            },
        ),
    };
    Ok(Some(UserError::new(kind, message, advice).with_meaning(meaning)))
}
