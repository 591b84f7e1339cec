//! The lock under which one machine at a time applies a plan to a shared store: an entry that is
//! written by check-and-set. The holder renews it. A lock that is no longer renewed is taken over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Error, SharedStore};
use crate::api::oauth;
use crate::domain::sanitize;
use crate::platform::blocking_call::run_blocking;
use crate::platform::environment::user_at_host;
use crate::services::provision::ServiceContext;
use crate::storage::json_store::SchemaVersion;
use crate::storage::secret_store;
use crate::storage::secret_store::bao::{self, BaoStore};

/// How long a lock is valid after it was last renewed.
const LOCK_LIFETIME: Duration = Duration::from_secs(30);

/// How much older than its lifetime a lock must be to be taken over at once. The clocks of two
/// machines may differ.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// The document of a data directory with the last lock taken from there.
const LAST_LOCK_FILE: &str = "plan-lock.json";

/// The pause between two attempts to take the lock.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// The content of the lock's entry.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct LockRecord {
    /// Who has it, as `USER@HOST`; empty where nobody has it.
    holder: String,
    /// A random text of this lock.
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

/// The locks that processes of a data directory last tried to take. A process that has the lock of
/// the directory knows that these processes have ended.
#[derive(Clone, Serialize, Deserialize, Default)]
#[serde(default)]
struct LastLock {
    version: SchemaVersion,
    ids: Vec<String>,
}

/// How many ids are kept. The process of each may have written the id and been killed before it
/// took the lock.
const MAX_IDS: usize = 16;

/// The lock of a plan. Dropping it releases it.
pub struct PlanLock {
    entry: Arc<LockEntry>,
    renewal: tokio::task::JoinHandle<()>,
}

struct LockEntry {
    store: BaoStore,
    path: String,
    id: String,
    since: Timestamp,
    /// The version that this holder wrote; `None` once someone else has written another.
    version: Mutex<Option<u64>>,
}

/// Waits for the lock; the caller has that of the data directory. Calls `on_wait` once, with the
/// name of the holder, if someone else has it. Returns `None` without a shared store.
pub async fn lock_plan(
    services: &ServiceContext,
    on_wait: impl Fn(&str),
) -> Result<Option<PlanLock>, Error> {
    let Some(shared) = SharedStore::find(services) else { return Ok(None) };
    let mut entry_id = shared.services.entry_id("apply");
    entry_id.service.push_str(" lock");
    let path = shared.store.entry_path(&entry_id);
    let location = &services.location;
    // If the directory cannot be written, the next run only waits longer for a lock that was left
    // behind.
    let ended = location.read::<LastLock>(LAST_LOCK_FILE).unwrap_or_default().ids;
    let id = oauth::generate_nonce();
    let ids = [&id].into_iter().chain(&ended).take(MAX_IDS).cloned().collect();
    let _ = location.replace(LAST_LOCK_FILE, LastLock { ids, ..LastLock::default() });
    let mut last_seen: Option<(u64, Instant)> = None;
    let mut is_waiting = false;
    loop {
        let (store, path) = (shared.store.clone(), path.clone());
        let (seen, id, ended) = (last_seen, id.clone(), ended.clone());
        let tried = run_blocking(move || try_lock(store, path, id, &ended, seen)).await;
        match tried.unwrap_or(Err(secret_store::Error::TimedOut))? {
            Tried::Locked(entry) => return Ok(Some(PlanLock::start_renewal(entry))),
            Tried::HeldBy { holder, version } => {
                if last_seen.is_none_or(|(last, _)| last != version) {
                    last_seen = Some((version, Instant::now()));
                }
                if !std::mem::replace(&mut is_waiting, true) {
                    on_wait(&holder);
                }
            }
            Tried::Lost => {}
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

enum Tried {
    Locked(LockEntry),
    HeldBy {
        holder: String,
        version: u64,
    },
    /// Another process took the lock first.
    Lost,
}

/// Takes the lock if it is free, if its id is among `ended`, or if it has not been renewed for
/// its lifetime since `last_seen`.
fn try_lock(
    store: BaoStore,
    path: String,
    id: String,
    ended: &[String],
    last_seen: Option<(u64, Instant)>,
) -> Result<Tried, secret_store::Error> {
    let version = match store.read(&path) {
        Ok(entry) => {
            let record = parse_record(&entry.secret);
            let is_stale = last_seen.is_some_and(|(version, since)| {
                version == entry.version && since.elapsed() > LOCK_LIFETIME
            }) || entry
                .created_time
                .is_some_and(|written| Timestamp::now().duration_since(written) > CLOCK_TOLERANCE);
            let has_ended = ended.contains(&record.id);
            if !record.holder.is_empty() && !is_stale && !has_ended {
                return Ok(Tried::HeldBy { holder: record.holder, version: entry.version });
            }
            entry.version
        }
        Err(secret_store::Error::NoEntry) => 0,
        Err(error) => return Err(error),
    };
    let since = Timestamp::now();
    match store.write(&path, &format_record(&id, since), Some(version)) {
        Ok(version) => {
            let version = Mutex::new(Some(version));
            Ok(Tried::Locked(LockEntry { store, path, id, since, version }))
        }
        Err(secret_store::Error::Bao(bao::Error::Conflict { .. })) => Ok(Tried::Lost),
        Err(error) => Err(error),
    }
}

impl std::fmt::Debug for PlanLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlanLock({})", self.entry.path)
    }
}

impl PlanLock {
    fn start_renewal(entry: LockEntry) -> Self {
        let entry = Arc::new(entry);
        let renewed = Arc::clone(&entry);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOCK_LIFETIME / 3).await;
                let entry = Arc::clone(&renewed);
                let renew = move || entry.write(&format_record(&entry.id, entry.since));
                // A lock that was taken over is not renewed. Each key is still created only once.
                run_blocking(renew).await;
            }
        });
        Self { entry, renewal }
    }
}

impl Drop for PlanLock {
    fn drop(&mut self) {
        self.renewal.abort();
        self.entry.write(&serialize(&LockRecord::default()));
    }
}

impl LockEntry {
    /// Writes the entry, unless someone else has written it since.
    fn write(&self, text: &SecretString) {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = *version else { return };
        match self.store.write(&self.path, text, Some(last)) {
            Ok(written) => *version = Some(written),
            Err(error) => {
                tracing::warn!(%error, "the lock of the plan could not be written");
                if error.is_about_entry() {
                    *version = None;
                }
            }
        }
    }
}

fn format_record(id: &str, since: Timestamp) -> SecretString {
    let lifetime = SignedDuration::try_from(LOCK_LIFETIME).unwrap_or_default();
    serialize(&LockRecord {
        holder: user_at_host(),
        id: id.into(),
        since: Some(since),
        expires: Timestamp::now().checked_add(lifetime).ok(),
    })
}

fn serialize(record: &LockRecord) -> SecretString {
    SecretString::from(serde_json::to_string(record).unwrap_or_default())
}

/// Parses the entry. An entry that cannot be parsed counts as held by an unknown holder until it is
/// stale.
#[expect(clippy::disallowed_methods, reason = "the lock is no secret")]
fn parse_record(text: &SecretString) -> LockRecord {
    let unknown = || LockRecord { holder: "another program".into(), ..LockRecord::default() };
    let record: LockRecord =
        serde_json::from_str(text.expose_secret()).unwrap_or_else(|_| unknown());
    LockRecord { holder: sanitize(&record.holder, 100), ..record }
}
