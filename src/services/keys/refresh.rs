//! Asking keys about themselves (`GET /key`): one, or many at a time. Must not know: who wants to
//! know, or how often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::{Error, management_key, missing_error, to_api_key};
use crate::api::openrouter::{self, Client};
use crate::domain::{
    AccountKey, ApiKey, CheckResult, ErrorKind, KeyInfo, Label, StoredKey, UserError,
};
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// How many are asked at a time.
const MAX_CONCURRENT_CHECKS: usize = 8;

/// Of how many refused keys the account is asked, in one round.
const MAX_REJECTED_LOOKUPS: usize = 32;

/// The key under a label that is on the list. Blocks, and can wait for a person.
pub fn load_key(services: &ServiceContext, label: &Label) -> Result<ApiKey, Error> {
    match services
        .secret_store
        .get(&services.entry_id(label.as_str()), services.secret_store_timeout)
    {
        Ok(secret) => Ok(to_api_key(&secret)),
        Err(secret_store::Error::NoEntry) => Err(missing_error(services, label)),
        Err(error) => Err(error.into()),
    }
}

/// Takes keys one after the other, on a thread of its own: a vault serves one at a time anyway.
struct KeyLoader(UnboundedSender<(Label, oneshot::Sender<Result<ApiKey, Error>>)>);

impl KeyLoader {
    fn new(services: ServiceContext) -> Self {
        let (wishes, mut wished) = unbounded_channel::<(Label, oneshot::Sender<_>)>();
        tokio::task::spawn_blocking(move || {
            while let Some((label, answer)) = wished.blocking_recv() {
                // Whoever has stopped waiting needs no answer.
                let _ = answer.send(load_key(&services, &label));
            }
        });
        Self(wishes)
    }

    async fn load(&self, label: &Label) -> Result<ApiKey, Error> {
        let (answer, answered) = oneshot::channel();
        // Where the thread is gone, nobody answers.
        let _ = self.0.send((label.clone(), answer));
        answered.await.unwrap_or(Err(Error::SecretStore(secret_store::Error::TimedOut)))
    }
}

/// Asks one key about itself, once. An error is one of the vault, or a server that nobody needs to
/// ask further: it cannot be reached, or asks for patience.
async fn check_key(
    services: &ServiceContext,
    taker: &KeyLoader,
    client: &Client,
    hash: &str,
    label: &Label,
) -> Result<CheckResult, (UserError, Option<Duration>)> {
    let key = match taker.load(label).await {
        Ok(key) if key.hash() == hash => key,
        // One entry that is wrong says nothing about the others.
        Ok(_) => {
            let words = Error::SecretMismatch(label.clone()).to_string();
            return Ok(CheckResult::Failed(words));
        }
        Err(error @ (Error::MissingSecret { .. } | Error::InOtherStore(_))) => {
            return Ok(CheckResult::Failed(error.to_string()));
        }
        Err(error) => return Err((error.to_user_error(), None)),
    };
    let answer = client.get_current_key(&key).await;
    if let Ok(KeyInfo { masked: Some(masked), .. }) = &answer
        && *masked != key.masked()
        && has_other_key_with_mask(services, masked.clone()).await
    {
        let words = "the server answered about another key: its figures are not taken for this one";
        return Ok(CheckResult::Failed(words.into()));
    }
    match &answer {
        Err(error @ openrouter::Error::RateLimited { retry_after, .. }) => {
            Err((not_refreshed_error(error), *retry_after))
        }
        Err(
            error @ (openrouter::Error::NotSent { .. }
            | openrouter::Error::InvalidCertificate { .. }),
        ) => Err((not_refreshed_error(error), None)),
        _ => Ok(CheckResult::from(answer)),
    }
}

/// Whether another held key is masked so. A mask that nobody here has proves nothing: how a server
/// masks is its own business.
async fn has_other_key_with_mask(services: &ServiceContext, masked: String) -> bool {
    let services = services.clone();
    let found = tokio::task::spawn_blocking(move || {
        inventory::filter_keys(&services.location, &services.server, |held| held.masked == masked)
    });
    matches!(found.await, Ok(Ok(found)) if !found.is_empty())
}

/// How a round of asking ended.
#[derive(Debug, Default)]
pub struct RefreshReport {
    /// Why it ended early.
    pub error: Option<UserError>,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Those that were not asked: hashes and labels.
    pub unchecked: Vec<(String, Label)>,
    /// What the account says of those that were refused, where a management key is known: a key
    /// that is switched off is refused like one that was deleted.
    pub rejected_keys: Vec<AccountKey>,
}

struct RefreshRun<F, N> {
    services: ServiceContext,
    key_loader: KeyLoader,
    client: Client,
    on_result: F,
    clock: N,
    queue: Mutex<VecDeque<(String, Label)>>,
    results: Mutex<HashMap<String, (Timestamp, CheckResult)>>,
    stop_reason: Mutex<Option<(UserError, Option<Duration>)>>,
}

/// Asks keys (hash and label), eight at a time and in this order, until all have answered, the
/// server asks for patience or cannot be reached, the vault fails, or `stop` turns true. Each
/// answer is `told` at once, with the time of `now`; all are noted at the end, in the inventory and
/// among the samples, each in one transaction.
pub async fn refresh_keys(
    services: &ServiceContext,
    keys: Vec<(String, Label)>,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
    told: impl Fn(&str, &CheckResult, Timestamp) + Send + Sync + 'static,
    mut stop: watch::Receiver<bool>,
) -> RefreshReport {
    let client = match services.build_client() {
        Ok(client) => client,
        Err(error) => {
            return RefreshReport {
                error: Some(not_refreshed_error(&error)),
                unchecked: keys,
                ..RefreshReport::default()
            };
        }
    };
    let asking = Arc::new(RefreshRun {
        services: services.clone(),
        key_loader: KeyLoader::new(services.clone()),
        client,
        on_result: told,
        clock: now,
        queue: Mutex::new(keys.into()),
        results: Mutex::default(),
        stop_reason: Mutex::default(),
    });
    let mut askers = JoinSet::new();
    for _ in 0..MAX_CONCURRENT_CHECKS {
        let asking = Arc::clone(&asking);
        askers.spawn(async move { asking.check_until_stopped().await });
    }
    tokio::select! {
        () = async { while askers.join_next().await.is_some() {} } => {}
        () = provision::wait_for_cancel(&mut stop) => askers.shutdown().await,
    }
    let noting = Arc::clone(&asking);
    let noted = tokio::task::spawn_blocking(move || {
        let (place, server) = (&noting.services.location, &noting.services.server);
        let reads = lock_mutex(&noting.results);
        let spent: Vec<_> =
            reads.iter().filter_map(|(hash, read)| to_usage_sample(hash, read)).collect();
        inventory::record_checks(place, server, &reads)?;
        // The past is worth less than the present: a round without it is still a round.
        if let Err(error) = usage_history::record_usage(place, &spent) {
            tracing::warn!(%error, "what was spent is not remembered");
        }
        Ok::<(), crate::storage::json_store::Error>(())
    })
    .await;
    // After what they said of themselves: this is the last word.
    let refused = asking.fetch_rejected_keys().await;
    let (mut trouble, wait) = lock_mutex(&asking.stop_reason)
        .take()
        .map_or((None, None), |(trouble, wait)| (Some(trouble), wait));
    if let (Ok(Err(error)), None) = (&noted, &trouble) {
        trouble = Some(error.to_user_error());
    }
    let rest = lock_mutex(&asking.queue).drain(..).collect();
    RefreshReport { error: trouble, retry_after: wait, unchecked: rest, rejected_keys: refused }
}

/// A sample out of an answer.
fn to_usage_sample<'a>(
    hash: &'a str,
    (at, read): &(Timestamp, CheckResult),
) -> Option<(&'a str, Timestamp, f64)> {
    match read {
        CheckResult::Valid(reading) => Some((hash, *at, reading.usage?)),
        CheckResult::Rejected | CheckResult::InsufficientCredits | CheckResult::Failed(_) => None,
    }
}

impl<F: Fn(&str, &CheckResult, Timestamp), N: Fn() -> Timestamp> RefreshRun<F, N> {
    async fn check_until_stopped(&self) {
        while lock_mutex(&self.stop_reason).is_none() {
            let Some((hash, label)) = lock_mutex(&self.queue).pop_front() else { return };
            match check_key(&self.services, &self.key_loader, &self.client, &hash, &label).await {
                Ok(read) => {
                    let at = (self.clock)();
                    (self.on_result)(&hash, &read, at);
                    lock_mutex(&self.results).insert(hash, (at, read));
                }
                Err(end) => {
                    lock_mutex(&self.queue).push_front((hash, label));
                    lock_mutex(&self.stop_reason).get_or_insert(end);
                }
            }
        }
    }

    /// Asks the account about the keys that were refused. Whatever goes wrong says nothing of them.
    async fn fetch_rejected_keys(&self) -> Vec<AccountKey> {
        let refused = |(_, read): &(Timestamp, CheckResult)| *read == CheckResult::Rejected;
        let hashes: Vec<String> = {
            let reads = lock_mutex(&self.results);
            let refused = reads.iter().filter(|(_, read)| refused(read));
            refused.map(|(hash, _)| hash.clone()).take(MAX_REJECTED_LOOKUPS).collect()
        };
        if hashes.is_empty() || lock_mutex(&self.stop_reason).is_some() {
            return Vec::new();
        }
        let Ok(Some((management, _))) = management_key::load_management_key(&self.services).await
        else {
            return Vec::new();
        };
        let mut known = Vec::new();
        for hash in hashes {
            let Ok(remote) = self.client.get_key(&management, &hash).await else { continue };
            let (place, server, at) =
                (&self.services.location, &self.services.server, (self.clock)());
            let note = |held: &mut StoredKey| held.record_account_key(&remote, at);
            if let Err(error) = inventory::update_key(place, server, &hash, note) {
                tracing::warn!(%error, "what the account says of a refused key is not noted");
            }
            known.push(remote);
        }
        known
    }
}

fn not_refreshed_error(error: &openrouter::Error) -> UserError {
    UserError::new(
        ErrorKind::Unreachable,
        error.to_string(),
        "the figures are those of the last time; try again later",
    )
}

fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
