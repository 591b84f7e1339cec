//! `journal.json`: attempts at cutting a key, each step on disk before the next begins, so that
//! a key that was issued is never forgotten. No secret lies here: verifier and code lie in the
//! vault under the attempt's id. Must not know: how a step is done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Label, PendingReplacement, RequestedPolicy, StoredKey, UnresolvedAttempt, deserialize_sanitized,
};
use crate::storage::json_store::{Error, LockGuard, SchemaVersion, StoreLocation};

const FILE_NAME: &str = "journal.json";

/// How far an attempt has come. A key can exist from `Sent` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStage {
    /// The vault and the data directory work; the verifier is in the vault.
    Prepared,
    /// The code came and is in the vault.
    CodeReceived,
    /// The code is on its way to the server, or was.
    #[serde(rename = "sent")]
    RequestSent,
    /// The server's answer held a key (its hash stands in `held`), not yet in the vault.
    #[serde(rename = "received")]
    KeyReceived,
    /// The key is in the vault, read back.
    Stored,
    /// Ended without our knowing whether a key was issued; stays until dismissed.
    Unresolved,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// 32 hexadecimal digits; the account of its secrets in the vault.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub id: String,
    /// When it began.
    #[serde(rename = "at")]
    pub started_at: Timestamp,
    /// The label asked for.
    pub label: Label,
    /// The server asked.
    #[serde(deserialize_with = "deserialize_sanitized")]
    pub server: String,
    /// How far it has come.
    pub stage: AttemptStage,
    /// The store it is cut for: `os`, `file` or `memory`.
    #[serde(default)]
    pub store: String,
    /// How often the code, or the request for a key, was sent; counted before each sending.
    #[serde(default)]
    #[serde(rename = "sends")]
    pub send_count: u32,
    /// Whether the vault keeps the server's odd answer under the attempt's id.
    #[serde(default)]
    #[serde(rename = "kept")]
    pub has_saved_response: bool,
    /// When the code was received.
    #[serde(default)]
    #[serde(rename = "code_at")]
    pub code_received_at: Option<Timestamp>,
    /// What was asked for.
    #[serde(default)]
    #[serde(alias = "asked")]
    pub requested: RequestedPolicy,
    /// The key that the new one is to replace.
    #[serde(default)]
    pub replaces: Option<PendingReplacement>,
    /// The key that came, without the key.
    #[serde(default)]
    #[serde(rename = "held")]
    pub received_key: Option<StoredKey>,
    /// Fields of a newer version, kept as they are.
    #[serde(flatten)]
    pub unknown: serde_json::Map<String, serde_json::Value>,
}

impl Attempt {
    /// Whether its secrets lie in that store; an early Keywright did not say which.
    pub fn is_in_store(&self, store: &str) -> bool {
        self.store.is_empty() || self.store == store
    }
}

impl From<Attempt> for UnresolvedAttempt {
    fn from(Attempt { id, label, server, started_at: at, .. }: Attempt) -> Self {
        Self { id, label, server, started_at: at }
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

/// An attempt of this process: no other process adopts it while this lives.
#[derive(Debug)]
pub struct AttemptGuard {
    location: StoreLocation,
    attempt: Attempt,
    _lock: LockGuard,
}

impl AttemptGuard {
    /// Writes a new attempt down.
    pub fn begin(place: &StoreLocation, attempt: Attempt) -> Result<Self, Error> {
        let claim = place.try_lock(&lock_file_name(&attempt.id))?;
        place.update(FILE_NAME, |journal: &mut Journal| journal.attempts.push(attempt.clone()))?;
        Ok(Self { location: place.clone(), attempt, _lock: claim })
    }

    /// The attempt as last written.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Writes down a change; on disk when this returns.
    pub fn update(&mut self, change: impl FnOnce(&mut Attempt)) -> Result<(), Error> {
        let mut next = self.attempt.clone();
        change(&mut next);
        self.location.update(FILE_NAME, |journal: &mut Journal| {
            match journal.attempts.iter_mut().find(|attempt| attempt.id == next.id) {
                Some(row) => *row = next.clone(),
                None => journal.attempts.push(next.clone()),
            }
        })?;
        self.attempt = next;
        Ok(())
    }

    /// The attempt has ended and nothing of it is owed.
    pub fn complete(self) -> Result<(), Error> {
        Self::complete_all(vec![self])
    }

    /// [`Self::close`] for many of one place, in one transaction.
    pub fn complete_all(ended: Vec<Self>) -> Result<(), Error> {
        let Some(place) = ended.first().map(|open| open.location.clone()) else { return Ok(()) };
        let ours = |attempt: &Attempt| ended.iter().any(|open| open.attempt.id == attempt.id);
        place.update(FILE_NAME, |journal: &mut Journal| journal.attempts.retain(|a| !ours(a)))
    }
}

/// Every attempt at `server` that is written down, under way or not. Reads one file, changes nothing.
pub fn list_attempts(place: &StoreLocation, server: &str) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_all_attempts(place)?;
    attempts.retain(|attempt| attempt.server == server);
    Ok(attempts)
}

/// Those that ended unresolved.
pub fn list_unresolved_attempts(
    place: &StoreLocation,
    server: &str,
) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_attempts(place, server)?;
    attempts.retain(|attempt| attempt.stage == AttemptStage::Unresolved);
    Ok(attempts)
}

/// Every attempt at every server.
pub fn list_all_attempts(place: &StoreLocation) -> Result<Vec<Attempt>, Error> {
    Ok(place.read::<Journal>(FILE_NAME)?.attempts)
}

/// The attempts that may have brought a key, of another server than `server` or waiting in another
/// store than `store`.
pub fn list_attempts_outside(
    place: &StoreLocation,
    server: &str,
    store: &str,
) -> Result<Vec<Attempt>, Error> {
    let mut attempts = list_all_attempts(place)?;
    attempts.retain(|attempt| {
        let here = attempt.server == server
            && (attempt.stage == AttemptStage::Unresolved || attempt.is_in_store(store));
        !here && attempt.stage >= AttemptStage::CodeReceived
    });
    Ok(attempts)
}

/// Notes that what is kept of every attempt lies in that store now.
pub fn set_store_of_unresolved(place: &StoreLocation, store: &str) -> Result<(), Error> {
    if list_all_attempts(place)?.iter().all(|attempt| attempt.is_in_store(store)) {
        return Ok(());
    }
    place.update(FILE_NAME, |journal: &mut Journal| {
        for attempt in journal.attempts.iter_mut().filter(|a| a.stage == AttemptStage::Unresolved) {
            store.clone_into(&mut attempt.store);
        }
    })
}

/// Takes over the attempts at `server` whose program is gone; those of a living one are left.
pub fn lock_interrupted_attempts(
    place: &StoreLocation,
    server: &str,
    store: &str,
) -> Result<Vec<AttemptGuard>, Error> {
    let attempts = list_all_attempts(place)?;
    let mut adopted = Vec::new();
    for attempt in attempts {
        // What lies in another store can be told by nobody who cannot look there.
        if attempt.server != server
            || !attempt.is_in_store(store)
            || attempt.stage == AttemptStage::Unresolved
        {
            continue;
        }
        match place.try_lock(&lock_file_name(&attempt.id)) {
            Ok(claim) => {
                // Between the reading and the claim its own program may have ended it.
                let now = list_all_attempts(place)?;
                if let Some(attempt) = now.into_iter().find(|other| other.id == attempt.id) {
                    adopted.push(AttemptGuard { location: place.clone(), attempt, _lock: claim });
                }
            }
            Err(Error::LockHeld(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(adopted)
}

/// Strikes off every attempt, however it ended, that brought the key with that hash: it is safe now.
pub fn remove_attempts_for_key(place: &StoreLocation, hash: &str) -> Result<(), Error> {
    place.update(FILE_NAME, |journal: &mut Journal| {
        journal
            .attempts
            .retain(|attempt| attempt.received_key.as_ref().is_none_or(|held| held.hash != hash));
    })
}

/// Strikes an attempt off.
pub fn dismiss_attempt(place: &StoreLocation, id: &str) -> Result<(), Error> {
    place.update(FILE_NAME, |journal: &mut Journal| journal.attempts.retain(|a| a.id != id))
}

fn lock_file_name(id: &str) -> String {
    format!("attempt-{id}.lock")
}
