//! `journal.json`: the pending attempts to create a key. Each step is on disk before the next one
//! begins, so that no issued key is lost. It contains no secrets: verifier and code are in the
//! secret store under the attempt's id.

mod attempt_guard;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{
    Label, PendingReplacement, RequestedPolicy, StoreKind, StoredKey, UnresolvedAttempt,
    deserialize_sanitized,
};
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};
pub use attempt_guard::{AttemptGuard, lock_interrupted_attempts};

const FILE_NAME: &str = "journal.json";

/// The last completed step of an attempt. A key may exist from `RequestSent` on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStage {
    /// Secret store and data directory are checked; the verifier is in the secret store.
    #[default]
    Prepared,
    /// The code is in the secret store.
    CodeReceived,
    /// The code is being sent to the server, or was.
    #[serde(rename = "sent")]
    RequestSent,
    /// The server returned a key, which is not yet in the secret store. `received_key` has its
    /// hash.
    #[serde(rename = "received")]
    KeyReceived,
    /// The key is in the secret store and was read back.
    Stored,
    /// It ended and a key may have been created. The attempt stays until it is dismissed.
    Unresolved,
}

/// One attempt to create a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 32 hexadecimal digits, also the account of its secrets in the secret store.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub id: String,
    /// When the attempt began.
    #[serde(rename = "at")]
    pub started_at: Timestamp,
    /// The requested label.
    pub label: Label,
    /// The server of the request.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub server: String,
    /// The last completed step.
    pub stage: AttemptStage,
    /// The secret store for the key; `None` in an entry of an early version.
    #[serde(default, deserialize_with = "deserialize_store")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreKind>,
    /// The store of the attempt's own secrets, where it is not the one for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_store: Option<StoreKind>,
    /// How often the code or the request for a key was sent, counted before each request.
    #[serde(default)]
    #[serde(rename = "sends")]
    pub send_count: u32,
    /// Whether the secret store has an unreadable response of the server under the attempt's id.
    #[serde(default)]
    #[serde(rename = "kept")]
    pub has_saved_response: bool,
    /// When the code was received.
    #[serde(default)]
    #[serde(rename = "code_at")]
    pub code_received_at: Option<Timestamp>,
    /// The requested policy.
    #[serde(default)]
    #[serde(alias = "asked")]
    pub requested: RequestedPolicy,
    /// The key that the new key will replace.
    #[serde(default)]
    pub replaces: Option<PendingReplacement>,
    /// The received key without its secret.
    #[serde(default)]
    #[serde(rename = "held")]
    pub received_key: Option<StoredKey>,
    /// The fingerprint of the management key that creates the key; `None` if a code is exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_key: Option<String>,
    /// Whether the attempt has an entry of its own in the secret store; `None` in an entry of an earlier
    /// version.
    #[serde(default, rename = "entry", skip_serializing_if = "Option::is_none")]
    pub has_entry: Option<bool>,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

/// Precedes the id of the attempt in the name of a key that the management key creates.
const NAME_MARK: &str = "[kw:";

/// Returns whether a key with this name was created by an attempt, which may be that of another machine.
pub fn is_attempt_name(name: &str) -> bool {
    let id = name.rsplit_once(NAME_MARK).and_then(|(_, id)| id.strip_suffix(']'));
    id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Attempt {
    /// Returns whether the attempt ended without a known result that can still be found out: no
    /// response of the server is stored, no key was received, and none at the server has the name of the attempt.
    const fn is_final(&self) -> bool {
        matches!(self.stage, AttemptStage::Unresolved)
            && !self.has_saved_response
            && self.received_key.is_none()
            && self.management_key.is_none()
    }

    /// Returns whether it may have an entry of its own in the secret store. In earlier versions only a code
    /// had one.
    pub fn may_have_entry(&self) -> bool {
        self.has_entry.unwrap_or(self.management_key.is_none())
    }

    /// Returns the name under which the management key creates the key of this attempt.
    pub fn key_name(&self) -> Label {
        self.label.with_suffix(&self.name_suffix())
    }

    /// Returns whether a key with this name was created by this attempt. Someone may have changed the
    /// label before the suffix.
    pub fn is_key_name(&self, name: &str) -> bool {
        self.management_key.is_some() && name.ends_with(&self.name_suffix())
    }

    /// Returns whether its key is stored, and may still have the name of the attempt at the server.
    pub fn awaits_rename(&self) -> bool {
        self.stage == AttemptStage::Stored && self.management_key.is_some()
    }

    /// Records that the request is sent for the `send_count`th time.
    pub fn mark_sent(&mut self, send_count: u32, management_key: Option<String>) {
        self.stage = AttemptStage::RequestSent;
        self.send_count = send_count;
        self.management_key = management_key;
    }

    fn name_suffix(&self) -> String {
        format!("{NAME_MARK}{}]", self.id)
    }

    /// Returns whether its secrets are in `store`, as they may be if the store is not recorded.
    pub fn is_in_store(&self, store: &StoreKind) -> bool {
        self.secrets_store().is_none_or(|kind| kind == store)
    }

    /// Returns the store of its own secrets.
    pub fn secrets_store(&self) -> Option<&StoreKind> {
        self.local_store.as_ref().or(self.store.as_ref())
    }

    fn is_in_one_of(&self, stores: &[StoreKind]) -> bool {
        stores.iter().any(|store| self.is_in_store(store))
    }
}

/// Deserializes the name of a store, which is empty in entries of an early version.
fn deserialize_store<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<StoreKind>, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok((!name.is_empty()).then(|| name.into()))
}

impl From<Attempt> for UnresolvedAttempt {
    fn from(Attempt { id, label, server, started_at, stage, .. }: Attempt) -> Self {
        let waits_for_store = matches!(stage, AttemptStage::KeyReceived | AttemptStage::Stored);
        Self { id, label, server, started_at, waits_for_store }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Journal {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    attempts: Vec<Attempt>,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

impl Journal {
    fn put_attempt(&mut self, attempt: &Attempt) {
        match self.attempts.iter_mut().find(|row| row.id == attempt.id) {
            Some(row) => *row = attempt.clone(),
            None => self.attempts.push(attempt.clone()),
        }
    }
}

/// Returns all attempts at `server`, running or not.
pub fn list_attempts(location: &StoreLocation, server: &str) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_all_attempts(location)?;
    attempts.retain(|attempt| attempt.server == server);
    Ok(attempts)
}

/// Returns the unresolved attempts at `server`.
pub fn list_unresolved_attempts(
    location: &StoreLocation,
    server: &str,
) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_attempts(location, server)?;
    attempts.retain(|attempt| attempt.stage == AttemptStage::Unresolved);
    Ok(attempts)
}

/// Returns all attempts at all servers.
pub fn list_all_attempts(location: &StoreLocation) -> Result<Vec<Attempt>, Error> {
    Ok(location.read::<Journal>(FILE_NAME)?.attempts)
}

/// Returns the attempts that may have issued a key and belong to another server than `server` or
/// to another secret store than `stores`.
pub fn list_attempts_outside(
    location: &StoreLocation,
    server: &str,
    stores: &[StoreKind],
) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_all_attempts(location)?;
    attempts.retain(|attempt| {
        let needs_no_store = attempt.stage == AttemptStage::Unresolved || attempt.awaits_rename();
        let here = attempt.server == server && (needs_no_store || attempt.is_in_one_of(stores));
        !here && attempt.stage >= AttemptStage::CodeReceived
    });
    Ok(attempts)
}

/// Records that the secrets of the unresolved attempts for which `is_moved` returns `true` are now
/// in `store`.
pub fn set_store_of_unresolved(
    location: &StoreLocation,
    store: &StoreKind,
    is_moved: impl Fn(&Attempt) -> bool,
) -> Result<(), Error> {
    if list_all_attempts(location)?.iter().all(|attempt| attempt.is_in_store(store)) {
        return Ok(());
    }
    location.update(FILE_NAME, |journal: &mut Journal| {
        for attempt in &mut journal.attempts {
            if attempt.stage == AttemptStage::Unresolved && is_moved(attempt) {
                match &mut attempt.local_store {
                    Some(local) => *local = store.clone(),
                    None => attempt.store = Some(store.clone()),
                }
            }
        }
    })
}

/// Removes all attempts that received the key with `hash`, of which nothing is left to do.
pub fn remove_attempts_for_key(location: &StoreLocation, hash: &str) -> Result<(), Error> {
    let is_of_other =
        |attempt: &Attempt| attempt.received_key.as_ref().is_none_or(|key| key.hash != hash);
    if list_all_attempts(location)?.iter().all(is_of_other) {
        return Ok(());
    }
    location.update(FILE_NAME, |journal: &mut Journal| journal.attempts.retain(is_of_other))
}

/// Removes the attempts of a key that was removed from this machine and still exists at the server. One
/// whose name the key may have there stays, so that the key gets its label.
pub fn release_key(location: &StoreLocation, hash: &str) -> Result<(), Error> {
    let is_of_key =
        |attempt: &Attempt| attempt.received_key.as_ref().is_some_and(|key| key.hash == hash);
    if !list_all_attempts(location)?.iter().any(is_of_key) {
        return Ok(());
    }
    location.update(FILE_NAME, |journal: &mut Journal| {
        journal.attempts.retain(|attempt| !is_of_key(attempt) || attempt.management_key.is_some());
        for attempt in journal.attempts.iter_mut().filter(|attempt| is_of_key(attempt)) {
            attempt.stage = AttemptStage::Stored;
        }
    })
}

/// Removes an attempt by its id.
pub fn dismiss_attempt(location: &StoreLocation, id: &str) -> Result<(), Error> {
    location.update(FILE_NAME, |journal: &mut Journal| journal.attempts.retain(|a| a.id != id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_of_any_version_are_read_and_written_back_the_same() {
        let entry =
            r#"{"id":"0","at":"2026-11-01T10:00:00Z","label":"ci","server":"s","stage":"sent""#;
        for (field, store) in [
            (r#","store":"os""#, Some(StoreKind::Keychain)),
            (r#","store":"bao""#, Some(StoreKind::Bao)),
            // Written by early versions.
            (r#","store":"""#, None),
            ("", None),
        ] {
            let attempt: Attempt = serde_json::from_str(&format!("{entry}{field}}}")).unwrap();
            assert_eq!(attempt.store, store);
            let is_in_file_store = store.is_none();
            assert_eq!(attempt.is_in_store(&StoreKind::File), is_in_file_store);
            let written = serde_json::to_value(&attempt).unwrap();
            let name = written.get("store").and_then(|name| name.as_str());
            assert_eq!(name, store.as_ref().map(StoreKind::as_str));
        }
    }
}
