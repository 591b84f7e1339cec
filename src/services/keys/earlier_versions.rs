//! The keys of earlier versions of a shared entry. They are deleted with the entry, so those that
//! still work are stored in entries of their own before that.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::current_key::check_current;
use super::rotate::read_shared_keys;
use super::rotation_labels::find_free_label;
use super::{Error, store_secret, to_api_key};
use crate::api::openrouter;
use crate::domain::{
    ApiKey, KeyInfo, Label, Reported, Retirement, StoredKey, UserError, match_key, sort_by_key,
};
use crate::platform::blocking_call::run_blocking;
use crate::services::provision::ServiceContext;
use crate::storage::inventory;
use crate::storage::secret_store;

/// The earlier versions of a shared key.
#[derive(Clone, Debug, Default)]
pub struct EarlierVersions {
    /// How many there are.
    pub count: usize,
    /// Their keys that still work and had no entry of their own: each is now a retiring key.
    pub kept: Vec<StoredKey>,
}

impl EarlierVersions {
    /// Returns what the user must know after the entry of `label` was deleted; `None` if it had no
    /// other version.
    pub fn notice(&self, label: &Label) -> Option<UserError> {
        if self.count == 0 {
            return None;
        }
        let versions = match self.count {
            1 => "1 earlier version".to_owned(),
            count => format!("{count} earlier versions"),
        };
        let message = format!("the history of '{label}' ({versions}) was deleted with its entry");
        let kept: Vec<_> = self.kept.iter().map(|key| format!("'{}'", key.label)).collect();
        let (meaning, advice) = match self.kept.first() {
            Some(key) => (
                format!("its keys that still work are kept as {}", kept.join(", ")),
                format!("when nothing uses it any more: {}", key.label.command("rm --revoke")),
            ),
            None => (
                "none of its keys that still work is lost".into(),
                "see what is stored: keywright list".into(),
            ),
        };
        Some(UserError::failed(message, advice).with_meaning(meaning))
    }
}

/// Stores those keys of earlier versions that OpenRouter may still accept and that are in no list, as
/// `LABEL (old)`. Does nothing for a key of another store. Fails if the label names another key by now.
pub async fn keep_earlier_keys(
    services: &ServiceContext,
    key: &StoredKey,
    label: &Label,
) -> Result<EarlierVersions, Error> {
    check_current(services, key).await?;
    let services = &services.for_key(key);
    let (count, keys) = read_earlier_keys(services, key).await?;
    let mut earlier = EarlierVersions { count, kept: Vec::new() };
    if !keys.is_empty() {
        // They may have entries of their own that this machine does not know yet.
        read_shared_keys(services).await?;
    }
    for earlier_key in keys {
        let stored_keys = services.list_keys()?;
        let trash = services.list_trash()?;
        let hash = earlier_key.hash();
        if stored_keys.iter().any(|key| key.hash == hash)
            || trash.iter().any(|trashed| trashed.key.hash == hash)
        {
            continue;
        }
        let Some(info) = check_key(services, &earlier_key).await else { continue };
        let own_label = find_free_label(services, &stored_keys, label, "old", Some(&hash)).await?;
        store_secret(services, &own_label, &earlier_key).await?;
        let mut kept = services.new_stored_key(own_label, &earlier_key);
        kept.retirement = Some(Retirement::new(kept.created_at));
        if let Some(info) = info {
            kept.take_policy_of(info);
        }
        inventory::upsert_keys(&services.location, vec![kept.clone()])?;
        earlier.kept.push(kept);
    }
    Ok(earlier)
}

/// Returns how many earlier versions there are, and the different keys of those that can be read.
async fn read_earlier_keys(
    services: &ServiceContext,
    key: &StoredKey,
) -> Result<(usize, Vec<ApiKey>), Error> {
    let Some(store) = services.secret_store.as_bao().cloned() else {
        return Ok((0, Vec::new()));
    };
    let path = store.entry_path(&services.entry_id(key.label.as_str()));
    let current_hash = key.hash.clone();
    let read = move || {
        let metadata = match store.read_metadata(&path) {
            Err(secret_store::Error::NoEntry) => return Ok((0, Vec::new())),
            metadata => metadata?,
        };
        let earlier =
            metadata.versions.keys().filter(|number| **number != metadata.current_version);
        let mut keys: Vec<ApiKey> = Vec::new();
        for number in earlier.clone() {
            match store.read_version(&path, *number) {
                Ok(secret) if is_openrouter_key(&secret) => keys.push(to_api_key(&secret)),
                Ok(_) => {}
                Err(error) if error.is_about_entry() => {}
                Err(error) => return Err(error),
            }
        }
        let count = earlier.count();
        keys.retain(|key| key.hash() != current_hash);
        sort_by_key(&mut keys, ApiKey::hash);
        keys.dedup_by_key(|key| key.hash());
        Ok((count, keys))
    };
    let read = run_blocking(read).await;
    Ok(read.unwrap_or(Err(secret_store::Error::TimedOut))?)
}

/// Returns whether the text is a key of OpenRouter. Any other text is not sent there.
#[expect(clippy::disallowed_methods, reason = "the form of a secret is checked")]
fn is_openrouter_key(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    match_key(text.as_bytes()) == Some(text)
}

/// Asks OpenRouter about a key. Returns `None` if the key certainly does not work any more, and
/// `Some(None)` if that is not known.
async fn check_key(services: &ServiceContext, key: &ApiKey) -> Option<Option<KeyInfo>> {
    let Ok(client) = services.build_client() else { return Some(None) };
    match client.get_current_key(key).await {
        Ok(info) => match info.expires_at {
            Reported::Value(at) if at <= Timestamp::now() => None,
            _ => Some(Some(info)),
        },
        Err(openrouter::Error::Rejected { status: 401, .. }) => None,
        Err(_) => Some(None),
    }
}
