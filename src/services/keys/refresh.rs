//! Asking keys about themselves (`GET /key`): one, or many at a time. Must not know: who wants to
//! know, or how often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::{Error, absent, management, opened};
use crate::api::openrouter::{self, Client};
use crate::domain::{
    AccountKey, ApiKey, CheckResult, ErrorKind, KeyInfo, Label, StoredKey, UserError,
};
use crate::services::provision::{self, Services};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// How many are asked at a time.
const AT_A_TIME: usize = 8;

/// Of how many refused keys the account is asked, in one round.
const MOST_REFUSED: usize = 32;

/// The key under a label that is on the list. Blocks, and can wait for a person.
pub fn take(services: &Services, label: &Label) -> Result<ApiKey, Error> {
    match services.vault.get(&services.slot(label.as_str()), services.patience) {
        Ok(secret) => Ok(opened(&secret)),
        Err(secret_store::Error::NoEntry) => Err(absent(services, label)),
        Err(error) => Err(error.into()),
    }
}

/// Takes keys one after the other, on a thread of its own: a vault serves one at a time anyway.
struct Taker(UnboundedSender<(Label, oneshot::Sender<Result<ApiKey, Error>>)>);

impl Taker {
    fn new(services: Services) -> Self {
        let (wishes, mut wished) = unbounded_channel::<(Label, oneshot::Sender<_>)>();
        tokio::task::spawn_blocking(move || {
            while let Some((label, answer)) = wished.blocking_recv() {
                // Whoever has stopped waiting needs no answer.
                let _ = answer.send(take(&services, &label));
            }
        });
        Self(wishes)
    }

    async fn take(&self, label: &Label) -> Result<ApiKey, Error> {
        let (answer, answered) = oneshot::channel();
        // Where the thread is gone, nobody answers.
        let _ = self.0.send((label.clone(), answer));
        answered.await.unwrap_or(Err(Error::Vault(secret_store::Error::TimedOut)))
    }
}

/// Asks one key about itself, once. An error is one of the vault, or a server that nobody needs to
/// ask further: it cannot be reached, or asks for patience.
async fn read(
    services: &Services,
    taker: &Taker,
    client: &Client,
    hash: &str,
    label: &Label,
) -> Result<CheckResult, (UserError, Option<Duration>)> {
    let key = match taker.take(label).await {
        Ok(key) if key.hash() == hash => key,
        // One entry that is wrong says nothing about the others.
        Ok(_) => {
            let words = Error::AnotherKey(label.clone()).to_string();
            return Ok(CheckResult::Failed(words));
        }
        Err(error @ (Error::Absent { .. } | Error::Elsewhere(_))) => {
            return Ok(CheckResult::Failed(error.to_string()));
        }
        Err(error) => return Err((error.trouble(), None)),
    };
    let answer = client.get_current_key(&key).await;
    if let Ok(KeyInfo { masked: Some(masked), .. }) = &answer
        && *masked != key.masked()
        && is_anothers(services, masked.clone()).await
    {
        let words = "the server answered about another key: its figures are not taken for this one";
        return Ok(CheckResult::Failed(words.into()));
    }
    match &answer {
        Err(error @ openrouter::Error::RateLimited { retry_after, .. }) => {
            Err((unasked(error), *retry_after))
        }
        Err(
            error @ (openrouter::Error::NotSent { .. }
            | openrouter::Error::InvalidCertificate { .. }),
        ) => Err((unasked(error), None)),
        _ => Ok(CheckResult::from(answer)),
    }
}

/// Whether another held key is masked so. A mask that nobody here has proves nothing: how a server
/// masks is its own business.
async fn is_anothers(services: &Services, masked: String) -> bool {
    let services = services.clone();
    let found = tokio::task::spawn_blocking(move || {
        inventory::filter_keys(&services.place, &services.server, |held| held.masked == masked)
    });
    matches!(found.await, Ok(Ok(found)) if !found.is_empty())
}

/// How a round of asking ended.
#[derive(Debug, Default)]
pub struct Round {
    /// Why it ended early.
    pub trouble: Option<UserError>,
    /// How long the server asks to be left alone.
    pub wait: Option<Duration>,
    /// Those that were not asked: hashes and labels.
    pub rest: Vec<(String, Label)>,
    /// What the account says of those that were refused, where a management key is known: a key
    /// that is switched off is refused like one that was deleted.
    pub refused: Vec<AccountKey>,
}

struct Asking<F, N> {
    services: Services,
    taker: Taker,
    client: Client,
    told: F,
    now: N,
    rest: Mutex<VecDeque<(String, Label)>>,
    reads: Mutex<HashMap<String, (Timestamp, CheckResult)>>,
    ended: Mutex<Option<(UserError, Option<Duration>)>>,
}

/// Asks keys (hash and label), eight at a time and in this order, until all have answered, the
/// server asks for patience or cannot be reached, the vault fails, or `stop` turns true. Each
/// answer is `told` at once, with the time of `now`; all are noted at the end, in the inventory and
/// among the samples, each in one transaction.
pub async fn refresh(
    services: &Services,
    keys: Vec<(String, Label)>,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
    told: impl Fn(&str, &CheckResult, Timestamp) + Send + Sync + 'static,
    mut stop: watch::Receiver<bool>,
) -> Round {
    let client = match services.client() {
        Ok(client) => client,
        Err(error) => {
            return Round { trouble: Some(unasked(&error)), rest: keys, ..Round::default() };
        }
    };
    let asking = Arc::new(Asking {
        services: services.clone(),
        taker: Taker::new(services.clone()),
        client,
        told,
        now,
        rest: Mutex::new(keys.into()),
        reads: Mutex::default(),
        ended: Mutex::default(),
    });
    let mut askers = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let asking = Arc::clone(&asking);
        askers.spawn(async move { asking.ask().await });
    }
    tokio::select! {
        () = async { while askers.join_next().await.is_some() {} } => {}
        () = provision::cancelled(&mut stop) => askers.shutdown().await,
    }
    let noting = Arc::clone(&asking);
    let noted = tokio::task::spawn_blocking(move || {
        let (place, server) = (&noting.services.place, &noting.services.server);
        let reads = lock(&noting.reads);
        let spent: Vec<_> = reads.iter().filter_map(|(hash, read)| spent(hash, read)).collect();
        inventory::record_checks(place, server, &reads)?;
        // The past is worth less than the present: a round without it is still a round.
        if let Err(error) = usage_history::record_usage(place, &spent) {
            tracing::warn!(%error, "what was spent is not remembered");
        }
        Ok::<(), crate::storage::json_store::Error>(())
    })
    .await;
    // After what they said of themselves: this is the last word.
    let refused = asking.explain().await;
    let (mut trouble, wait) =
        lock(&asking.ended).take().map_or((None, None), |(trouble, wait)| (Some(trouble), wait));
    if let (Ok(Err(error)), None) = (&noted, &trouble) {
        trouble = Some(error.to_user_error());
    }
    let rest = lock(&asking.rest).drain(..).collect();
    Round { trouble, wait, rest, refused }
}

/// A sample out of an answer.
fn spent<'a>(
    hash: &'a str,
    (at, read): &(Timestamp, CheckResult),
) -> Option<(&'a str, Timestamp, f64)> {
    match read {
        CheckResult::Valid(reading) => Some((hash, *at, reading.usage?)),
        CheckResult::Rejected | CheckResult::InsufficientCredits | CheckResult::Failed(_) => None,
    }
}

impl<F: Fn(&str, &CheckResult, Timestamp), N: Fn() -> Timestamp> Asking<F, N> {
    async fn ask(&self) {
        while lock(&self.ended).is_none() {
            let Some((hash, label)) = lock(&self.rest).pop_front() else { return };
            match read(&self.services, &self.taker, &self.client, &hash, &label).await {
                Ok(read) => {
                    let at = (self.now)();
                    (self.told)(&hash, &read, at);
                    lock(&self.reads).insert(hash, (at, read));
                }
                Err(end) => {
                    lock(&self.rest).push_front((hash, label));
                    lock(&self.ended).get_or_insert(end);
                }
            }
        }
    }

    /// Asks the account about the keys that were refused. Whatever goes wrong says nothing of them.
    async fn explain(&self) -> Vec<AccountKey> {
        let refused = |(_, read): &(Timestamp, CheckResult)| *read == CheckResult::Rejected;
        let hashes: Vec<String> = {
            let reads = lock(&self.reads);
            let refused = reads.iter().filter(|(_, read)| refused(read));
            refused.map(|(hash, _)| hash.clone()).take(MOST_REFUSED).collect()
        };
        if hashes.is_empty() || lock(&self.ended).is_some() {
            return Vec::new();
        }
        let Ok(Some((management, _))) = management::read(&self.services).await else {
            return Vec::new();
        };
        let mut known = Vec::new();
        for hash in hashes {
            let Ok(remote) = self.client.get_key(&management, &hash).await else { continue };
            let (place, server, at) = (&self.services.place, &self.services.server, (self.now)());
            let note = |held: &mut StoredKey| held.record_account_key(&remote, at);
            if let Err(error) = inventory::update_key(place, server, &hash, note) {
                tracing::warn!(%error, "what the account says of a refused key is not noted");
            }
            known.push(remote);
        }
        known
    }
}

fn unasked(error: &openrouter::Error) -> UserError {
    UserError::new(
        ErrorKind::Unreachable,
        error.to_string(),
        "the figures are those of the last time; try again later",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
