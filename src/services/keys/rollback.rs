//! Makes an earlier version of a shared key current again. The key that it replaces is kept as a
//! rotation keeps it: it is stored as `LABEL (old)` before the label moves, and listed as retiring.

use jiff::Timestamp;

use super::rotate::read_shared_keys;
use super::rotation_labels::find_free_label;
use super::{Error, delete_secret, store_secret, to_api_key, to_secret_string};
use crate::api::openrouter;
use crate::domain::{
    ApiKey, ErrorKind, KeyInfo, KnownAccounts, Reported, Retirement, Rotated, SharedRecord,
    StoredKey, UserError, format_command, join_pairs, set_writer,
};
use crate::platform::blocking_call::run_blocking;
use crate::platform::environment::user_at_host;
use crate::services::provision::{self, ServiceContext, with_version, write_fields};
use crate::storage::inventory;
use crate::storage::secret_store::bao::{self, BaoStore, EntryMetadata};
use crate::storage::secret_store::{self};

/// What is known before a version is brought back.
struct Versions {
    metadata: EntryMetadata,
    /// The key of the wanted version.
    wanted: ApiKey,
    /// The key of the current version; `None` where that was deleted.
    current: Option<ApiKey>,
}

/// Makes the key of version `number` current again, as a new version. The replaced key becomes a
/// retiring key of the label; it is `None` where its version was deleted before. A key that OpenRouter
/// does not accept is not brought back.
pub async fn rollback_key(
    services: &ServiceContext,
    key: &StoredKey,
    number: u64,
) -> Result<Rotated, Error> {
    let services = &services.for_key(key);
    let Some(store) = services.secret_store.as_bao().cloned() else {
        return Err(no_versions_error(key));
    };
    let path = store.entry_path(&services.entry_id(key.label.as_str()));
    let Versions { metadata, wanted, current } = read_versions(&store, &path, key, number).await?;
    let info = check_key(services, key, number, &wanted).await?;
    // The key may have an entry of its own that this machine does not know yet.
    read_shared_keys(services).await?;
    let reserve = services.location.reserve_space()?;
    let _storing_lock = provision::lock_storing(services).await?;
    let stored_keys = services.list_keys()?;
    if let Some(new) = stored_keys
        .iter()
        .find(|new| new.replaces.as_ref().is_some_and(|replaces| replaces.hash == key.hash))
    {
        return Err(rotation_error(key, new));
    }
    let copy = stored_keys.iter().find(|stored_key| stored_key.hash == wanted.hash()).cloned();
    let old_label = match &current {
        Some(current) if current.hash() != key.hash => return Err(changed_error(key)),
        Some(current) => {
            let hash = Some(current.hash());
            let label =
                find_free_label(services, &stored_keys, &key.label, "old", hash.as_deref()).await?;
            store_secret(services, &label, current).await?;
            Some(label)
        }
        None => None,
    };
    let version = write_version(&store, &path, &wanted, metadata.current_version)
        .await?
        .ok_or_else(|| changed_error(key))?;
    let mut described = match copy.clone() {
        Some(copy) => copy.with(|row| {
            row.label = key.label.clone();
            row.location = key.location.clone();
            row.retirement = None;
        }),
        None => describe_key(services, key, &wanted, info, &stored_keys),
    };
    let fields = described.shared_fields_over(&join_pairs(metadata.custom_metadata.clone()));
    let mut fields = with_version(fields, version);
    set_writer(&mut fields, version, &user_at_host(), false);
    let record = SharedRecord::new(key.label.clone(), version, fields);
    described.shared = Some(Box::new(record.clone()));
    let write = move || write_fields(&store, &path, &metadata, &record.fields);
    if let Some(Err(error)) = run_blocking(write).await {
        // The key works; the next reading describes it by its secret.
        tracing::warn!(%error, "the record of a version that was brought back is written later");
    }
    if let Some(copy) = copy.filter(|copy| copy.label != key.label) {
        // The key has its label back.
        delete_secret(&services.for_key(&copy), &copy.label).await?;
    }
    drop(reserve);
    Ok(inventory::update_keys(&services.location, |keys| {
        let is_of_server = |stored_key: &StoredKey| stored_key.server == services.server;
        keys.retain(|stored_key| !is_of_server(stored_key) || stored_key.hash != described.hash);
        let mut old = None;
        let at = keys
            .iter()
            .position(|stored_key| is_of_server(stored_key) && stored_key.hash == key.hash);
        match (at, old_label) {
            (Some(at), Some(label)) => {
                keys[at].label = label;
                keys[at].retirement = Some(Retirement::new(Timestamp::now()));
                old = Some(keys[at].clone());
            }
            (Some(at), None) => drop(keys.remove(at)),
            (None, _) => {}
        }
        let after = keys.iter().position(|stored_key| stored_key.created_at > described.created_at);
        keys.insert(after.unwrap_or(keys.len()), described.clone());
        Rotated { new: described, old, not_carried: Vec::new() }
    })?)
}

async fn read_versions(
    store: &BaoStore,
    path: &str,
    key: &StoredKey,
    number: u64,
) -> Result<Versions, Error> {
    let (store, path) = (store.clone(), path.to_owned());
    let read = move || {
        let metadata = store.read_metadata(&path)?;
        let wanted = store.read_version(&path, number);
        let current = match store.read_version(&path, metadata.current_version) {
            Ok(secret) => Some(to_api_key(&secret)),
            Err(error) if error.is_about_entry() => None,
            Err(error) => return Err(error),
        };
        Ok((metadata, wanted, current))
    };
    let read = run_blocking(read).await.unwrap_or(Err(secret_store::Error::TimedOut));
    let (metadata, wanted, current) = read?;
    if !metadata.versions.contains_key(&number) {
        let message = format!("'{}' has no version {number}", key.label);
        return Err(refused(ErrorKind::NotFound, message, show_history(key)));
    }
    let wanted = match wanted {
        Ok(secret) => to_api_key(&secret),
        Err(secret_store::Error::Bao(error @ bao::Error::VersionDeleted { .. })) => {
            let undelete = error.undelete_command().unwrap_or_default();
            let again =
                format_command(&["rollback", "--to", &number.to_string()], &[key.label.as_str()]);
            let advice = format!("restore it first: {undelete}; then run: {again}");
            return Err(refused(ErrorKind::SecretStore, error.to_string(), advice));
        }
        Err(secret_store::Error::Bao(error @ bao::Error::VersionDestroyed { .. })) => {
            let advice = format!("choose another version: {}", show_history(key));
            return Err(refused(ErrorKind::SecretStore, error.to_string(), advice));
        }
        Err(error) => return Err(error.into()),
    };
    if current.as_ref().is_some_and(|current| current.hash() == wanted.hash()) {
        let message = if number == metadata.current_version {
            format!("version {number} of '{}' is the current one", key.label)
        } else {
            format!("version {number} of '{}' has the same key as the current one", key.label)
        };
        return Err(refused(ErrorKind::InvalidInput, message, show_history(key)));
    }
    Ok(Versions { metadata, wanted, current })
}

/// Writes the key as the version after `current`; `None` if someone else has written one since.
async fn write_version(
    store: &BaoStore,
    path: &str,
    key: &ApiKey,
    current: u64,
) -> Result<Option<u64>, Error> {
    let (store, path, secret) = (store.clone(), path.to_owned(), to_secret_string(key));
    let written = run_blocking(move || store.write(&path, &secret, Some(current))).await;
    match written.unwrap_or(Err(secret_store::Error::TimedOut)) {
        Ok(version) => Ok(Some(version)),
        Err(secret_store::Error::Bao(bao::Error::Conflict { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns what is known about a key that the inventory does not have.
fn describe_key(
    services: &ServiceContext,
    key: &StoredKey,
    wanted: &ApiKey,
    info: Option<KeyInfo>,
    stored_keys: &[StoredKey],
) -> StoredKey {
    let mut described = services.new_stored_key(key.label.clone(), wanted);
    if let Some(info) = info {
        described.take_policy_of(info);
        KnownAccounts::of_keys(stored_keys.iter()).mark(&mut described);
    }
    described
}

/// Checks that OpenRouter accepts the key. `None` is a valid key whose account has no credit.
async fn check_key(
    services: &ServiceContext,
    key: &StoredKey,
    number: u64,
    wanted: &ApiKey,
) -> Result<Option<KeyInfo>, Error> {
    let refuse = |kind, reason: &str, advice: String| {
        let message = format!("version {number} of '{}' is not brought back: {reason}", key.label);
        Err(refused(kind, message, advice))
    };
    let other = || format!("choose another version: {}", show_history(key));
    let unchecked = || "try again when OpenRouter can be reached: keywright doctor".to_owned();
    let client = match services.build_client() {
        Ok(client) => client,
        Err(error) => return refuse(error.kind(), &error.to_string(), unchecked()),
    };
    match client.get_current_key(wanted).await {
        Ok(info) => match info.expires_at {
            Reported::Value(at) if at <= Timestamp::now() => {
                refuse(ErrorKind::Failed, "its key has expired", other())
            }
            _ => Ok(Some(info)),
        },
        Err(openrouter::Error::Rejected { status: 402, .. }) => Ok(None),
        Err(openrouter::Error::Rejected { status: 401 | 403, .. }) => {
            refuse(ErrorKind::Failed, "its key was deleted or disabled at OpenRouter", other())
        }
        Err(error) => {
            refuse(error.kind(), &format!("its key could not be checked: {error}"), unchecked())
        }
    }
}

fn no_versions_error(key: &StoredKey) -> Error {
    let store = key.location.store_name();
    let message = format!("'{}' is in the {store} store, which keeps no versions", key.label);
    let to_bao = key.label.command("store move --to bao");
    refused(ErrorKind::InvalidInput, message, format!("move it to a shared store: {to_bao}"))
}

fn rotation_error(key: &StoredKey, new: &StoredKey) -> Error {
    let message = format!("'{}' is being replaced by '{}'", key.label, new.label);
    let rotate = key.label.command("rotate");
    refused(ErrorKind::Failed, message, format!("finish that rotation first: {rotate}"))
}

fn changed_error(key: &StoredKey) -> Error {
    let message = format!("someone else changed '{}' in the meantime", key.label);
    refused(ErrorKind::Failed, message, format!("look at it and try again: {}", show_history(key)))
}

fn refused(kind: ErrorKind, message: String, advice: String) -> Error {
    let error = UserError::new(kind, message, advice);
    Error::Refused(error.with_meaning("nothing was changed; the current version stays"))
}

fn show_history(key: &StoredKey) -> String {
    key.label.command("show --history")
}
