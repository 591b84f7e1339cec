//! The versions of a shared key, with time and writer, and the return to an earlier one.

use jiff::Timestamp;

use super::{Error, SharedStore, is_readable, read_key, to_api_key};
use crate::api::openrouter;
use crate::domain::{
    ErrorKind, KeyInfo, Reported, StoredKey, UserError, format_command, join_pairs, sanitize,
    set_identity, set_writer,
};
use crate::platform::blocking_call;
use crate::platform::environment::user_at_host;
use crate::services::provision::{
    ServiceContext, described_version, retry_request, with_version, write_fields,
};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::secret_store::bao;

/// Whether a version can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// It is the key that `get` returns.
    Current,
    /// It was replaced, and can be read.
    Available,
    /// It was deleted, and the engine can restore it.
    Deleted,
    /// It is gone for ever.
    Destroyed,
}

impl VersionState {
    /// Returns the name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Available => "available",
            Self::Deleted => "deleted",
            Self::Destroyed => "destroyed",
        }
    }
}

/// One version of a shared key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    /// Its number, from 1.
    pub number: u64,
    /// When it was written, by the clock of the engine.
    pub written_at: Option<Timestamp>,
    /// Whether it can be read.
    pub state: VersionState,
    /// Who wrote it, as `USER@HOST`, if Keywright did.
    pub written_by: Option<String>,
}

/// Returns the versions of a key that the engine still has, the newest first. Blocks.
pub fn list_versions(
    services: &ServiceContext,
    key: &StoredKey,
) -> Result<Vec<KeyVersion>, UserError> {
    let shared = find_store(services, key)?;
    let metadata = shared
        .store
        .read_metadata(&shared.path(key.label.as_str()))
        .map_err(|error| error.to_user_error())?;
    let now = Timestamp::now();
    let writer = |number: u64| metadata.custom_metadata.get(&format!("writer_{number}"));
    let versions = metadata.versions.iter().rev().map(|(number, version)| KeyVersion {
        number: *number,
        written_at: version.created_time,
        state: if version.destroyed {
            VersionState::Destroyed
        } else if version.deletion_time.is_some_and(|at| at <= now) {
            VersionState::Deleted
        } else if *number == metadata.current_version {
            VersionState::Current
        } else {
            VersionState::Available
        },
        written_by: writer(*number).map(|who| sanitize(who, 100)),
    });
    Ok(versions.collect())
}

/// Makes the secret of an earlier version current again, as a new version, and returns the key. A secret
/// that OpenRouter does not accept is not brought back.
pub async fn rollback(
    services: &ServiceContext,
    key: &StoredKey,
    number: u64,
) -> Result<StoredKey, UserError> {
    let shared = find_store(services, key)?;
    let path = shared.path(key.label.as_str());
    let read = {
        let (store, path) = (shared.store.clone(), path.clone());
        move || {
            let metadata = store.read_metadata(&path)?;
            Ok((metadata, store.read_version(&path, number)))
        }
    };
    let (metadata, secret) = run_blocking(read).await?;
    if !metadata.versions.contains_key(&number) {
        return Err(no_version_error(key, number));
    }
    if number == metadata.current_version && is_readable(&metadata) {
        let message = format!("version {number} of '{}' is the current one", key.label);
        return Err(UserError::new(ErrorKind::InvalidInput, message, show_history_advice(key))
            .with_meaning("nothing was changed"));
    }
    let secret = secret.map_err(|error| error.to_user_error())?;
    let old_key = to_api_key(&secret);
    let info = check_key(services, key, number, &old_key).await?;
    let label = key.label.clone();
    let services = services.clone();
    let write = move || {
        let current = metadata.current_version;
        let version = match shared.store.write(&path, &secret, Some(current)) {
            Err(secret_store::Error::Bao(bao::Error::Conflict { .. })) => {
                return Ok(Err(changed_error(&label)));
            }
            result => result?,
        };
        let mut fields = join_pairs(metadata.custom_metadata.clone());
        let described = described_version(&fields);
        set_identity(&mut fields, &old_key);
        if let Some(info) = info {
            let at = Timestamp::now();
            let mut described = StoredKey::new(
                label.clone(),
                &old_key,
                services.server.clone(),
                shared.services.secret_store.kind(),
                at,
            );
            described.requested = info.to_requested_policy();
            described.granted = Some(info.to_granted_policy());
            described.user_id = info.creator_user_id;
            for (name, value) in described.to_shared_fields() {
                fields.entry(name).or_insert(value);
            }
        }
        if described.is_some() {
            set_writer(&mut fields, version, &user_at_host(), false);
        }
        fields.remove("retiring");
        let fields = with_version(fields, version);
        write_fields(&shared.store, &path, &metadata, &fields)?;
        // The key has its label back.
        let hash = old_key.hash();
        for copy in shared.keys().unwrap_or_default() {
            if copy.hash == hash && copy.label != label {
                shared.store.delete(&shared.path(copy.label.as_str()))?;
                let _ = inventory::remove_key(
                    &services.location,
                    &services.server,
                    copy.label.as_str(),
                );
            }
        }
        let read = read_key(&services, label.as_str())
            .and_then(|()| {
                let found =
                    inventory::find_key(&services.location, &services.server, label.as_str());
                found.map_err(Error::from)
            })
            .map_err(|error| error.to_user_error());
        Ok(read.map(|key| (key, label)))
    };
    let (stored, label) = run_blocking(write).await??;
    stored.ok_or_else(|| changed_error(&label))
}

/// Checks that OpenRouter accepts the key. `None` is a valid key whose account has no credit.
async fn check_key(
    services: &ServiceContext,
    key: &StoredKey,
    number: u64,
    old_key: &crate::domain::ApiKey,
) -> Result<Option<KeyInfo>, UserError> {
    let refuse = |kind, reason: &str, advice: String| {
        let message = format!("version {number} of '{}' is not brought back: {reason}", key.label);
        Err(UserError::new(kind, message, advice)
            .with_meaning("nothing was changed; the current version stays"))
    };
    let other = || format!("choose another version: {}", show_history_advice(key));
    let unchecked = || "try again when OpenRouter can be reached: keywright doctor".to_owned();
    let client = match services.build_client() {
        Ok(client) => client,
        Err(error) => return refuse(error.kind(), &error.to_string(), unchecked()),
    };
    match retry_request(services, async || client.get_current_key(old_key).await).await {
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

fn find_store(services: &ServiceContext, key: &StoredKey) -> Result<SharedStore, UserError> {
    let found = SharedStore::find(services);
    let is_shared = |shared: &SharedStore| key.is_in_store(&shared.services.secret_store.kind());
    found.filter(is_shared).ok_or_else(|| {
        let message = format!(
            "'{}' is in the {} store, which keeps no versions",
            key.label,
            key.location.store_name()
        );
        let advice = format!(
            "move it to a shared store: {}",
            format_command(&["store", "move", "--to", "bao"], &[key.label.as_str()])
        );
        UserError::new(ErrorKind::InvalidInput, message, advice).with_meaning("nothing was changed")
    })
}

fn no_version_error(key: &StoredKey, number: u64) -> UserError {
    let message = format!("'{}' has no version {number}", key.label);
    UserError::new(ErrorKind::NotFound, message, show_history_advice(key))
        .with_meaning("nothing was changed")
}

fn changed_error(label: &crate::domain::Label) -> UserError {
    let message = format!("someone else changed '{label}' in the meantime");
    let advice = format!(
        "look at it and try again: {}",
        format_command(&["show", "--history"], &[label.as_str()])
    );
    UserError::new(ErrorKind::Failed, message, advice).with_meaning("nothing was changed")
}

fn show_history_advice(key: &StoredKey) -> String {
    format_command(&["show", "--history"], &[key.label.as_str()])
}

async fn run_blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, secret_store::Error> + Send + 'static,
) -> Result<T, UserError> {
    let result = blocking_call::run_blocking(call).await;
    result.unwrap_or(Err(secret_store::Error::TimedOut)).map_err(|error| error.to_user_error())
}
