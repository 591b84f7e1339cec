//! `journal.json`: the pending attempts to create a key. Each step is on disk before the next one
//! begins, so that no issued key is lost. It contains no secrets: verifier and code are in the
//! secret store under the attempt's id.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{
    Label, ManagementKey, PendingReplacement, RequestedPolicy, StoreKind, StoredKey,
    UnresolvedAttempt, deserialize_sanitized,
};
use crate::storage::json_store::{Error, LockGuard, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "journal.json";

/// The last completed step of an attempt. A key may exist from `RequestSent` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStage {
    /// Secret store and data directory are checked; the verifier is in the secret store.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl Attempt {
    /// Returns whether the attempt ended without a known result that can still be found out: no
    /// response of the server is stored, and no key at the server has the name of the attempt.
    const fn is_final(&self) -> bool {
        matches!(self.stage, AttemptStage::Unresolved)
            && !self.has_saved_response
            && self.management_key.is_none()
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

    /// Records that the request is sent for the `send_count`th time.
    pub fn mark_sent(&mut self, send_count: u32, management_key: Option<String>) {
        self.stage = AttemptStage::RequestSent;
        self.send_count = send_count;
        self.management_key = management_key;
    }

    fn name_suffix(&self) -> String {
        format!("[kw:{}]", self.id)
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
    fn from(Attempt { id, label, server, started_at, .. }: Attempt) -> Self {
        Self { id, label, server, started_at }
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

/// An attempt locked by this process: no other process can recover it while this value exists.
#[derive(Debug)]
pub struct AttemptGuard {
    location: StoreLocation,
    attempt: Attempt,
    is_announced: bool,
    _lock: LockGuard,
}

impl AttemptGuard {
    /// Records new attempts in one transaction and locks them.
    pub fn begin_all(location: &StoreLocation, attempts: Vec<Attempt>) -> Result<Vec<Self>, Error> {
        let guards: Vec<Self> = attempts
            .into_iter()
            .map(|attempt| Self::lock(location, attempt))
            .collect::<Result<_, _>>()?;
        location.update(FILE_NAME, |journal: &mut Journal| {
            journal.attempts.extend(guards.iter().map(|guard| guard.attempt.clone()));
        })?;
        Ok(guards)
    }

    fn lock(location: &StoreLocation, attempt: Attempt) -> Result<Self, Error> {
        let lock = location.try_lock(&lock_file_name(&attempt.id))?;
        Ok(Self { location: location.clone(), attempt, is_announced: false, _lock: lock })
    }

    /// Returns the attempt as last written.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Updates the attempt; the change is on disk when this returns.
    pub fn update(&mut self, change: impl FnOnce(&mut Attempt)) -> Result<(), Error> {
        self.update_and_announce(change, None)
    }

    /// Updates the attempt, and records in the same transaction that the request of `next` is being
    /// sent. The caller sends it soon afterwards. A transaction for each would take twice as long.
    pub fn update_and_announce(
        &mut self,
        change: impl FnOnce(&mut Attempt),
        next: Option<(&mut Self, &ManagementKey)>,
    ) -> Result<(), Error> {
        let mut changed = self.attempt.clone();
        change(&mut changed);
        let announced = next.map(|(guard, management)| {
            let mut attempt = guard.attempt.clone();
            attempt.mark_sent(1, Some(management.fingerprint()));
            (guard, attempt)
        });
        if announced.is_none() && changed == self.attempt {
            return Ok(());
        }
        self.location.update(FILE_NAME, |journal: &mut Journal| {
            journal.put_attempt(&changed);
            if let Some((_, attempt)) = &announced {
                journal.put_attempt(attempt);
            }
        })?;
        self.attempt = changed;
        if let Some((guard, attempt)) = announced {
            guard.attempt = attempt;
            guard.is_announced = true;
        }
        Ok(())
    }

    /// Returns whether the journal records the request as sent although it is only sent now, and
    /// clears that mark.
    pub fn take_announcement(&mut self) -> bool {
        std::mem::take(&mut self.is_announced)
    }

    /// Removes the attempt, which has ended with a known result.
    pub fn complete(self) -> Result<(), Error> {
        Self::complete_all(vec![self])
    }

    /// Removes several attempts of one location in one transaction; see [`Self::complete`].
    pub fn complete_all(guards: Vec<Self>) -> Result<(), Error> {
        let Some(location) = guards.first().map(|guard| guard.location.clone()) else {
            return Ok(());
        };
        let is_completed =
            |attempt: &Attempt| guards.iter().any(|guard| guard.attempt.id == attempt.id);
        location.update(FILE_NAME, |journal: &mut Journal| {
            journal.attempts.retain(|a| !is_completed(a));
        })
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
        let here = attempt.server == server
            && (attempt.stage == AttemptStage::Unresolved || attempt.is_in_one_of(stores));
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

/// Locks the attempts at `server` whose process has ended; skips those of a running process, and the
/// unresolved ones about which nothing more can be found out.
pub fn lock_interrupted_attempts(
    location: &StoreLocation,
    server: &str,
    stores: &[StoreKind],
) -> Result<Vec<AttemptGuard>, Error> {
    let attempts = list_all_attempts(location)?;
    let mut guards = Vec::new();
    for attempt in attempts {
        // Without access to another store its attempts cannot be recovered.
        if attempt.server != server || !attempt.is_in_one_of(stores) || attempt.is_final() {
            continue;
        }
        match location.try_lock(&lock_file_name(&attempt.id)) {
            Ok(lock) => {
                // Its own process may have completed it before this one got the lock.
                let now = list_all_attempts(location)?;
                if let Some(attempt) = now.into_iter().find(|other| other.id == attempt.id) {
                    let location = location.clone();
                    let is_announced = false;
                    guards.push(AttemptGuard { location, attempt, is_announced, _lock: lock });
                }
            }
            Err(Error::LockHeld(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(guards)
}

/// Removes all attempts that received the key with `hash`, which is stored now.
pub fn remove_attempts_for_key(location: &StoreLocation, hash: &str) -> Result<(), Error> {
    location.update(FILE_NAME, |journal: &mut Journal| {
        journal
            .attempts
            .retain(|attempt| attempt.received_key.as_ref().is_none_or(|key| key.hash != hash));
    })
}

/// Removes an attempt by its id.
pub fn dismiss_attempt(location: &StoreLocation, id: &str) -> Result<(), Error> {
    location.update(FILE_NAME, |journal: &mut Journal| journal.attempts.retain(|a| a.id != id))
}

fn lock_file_name(id: &str) -> String {
    format!("attempt-{id}.lock")
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
