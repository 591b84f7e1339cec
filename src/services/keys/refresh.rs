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
        let (sender, mut receiver) = unbounded_channel::<(Label, oneshot::Sender<_>)>();
        tokio::task::spawn_blocking(move || {
            while let Some((label, response)) = receiver.blocking_recv() {
                // Whoever has stopped waiting needs no answer.
                let _ = response.send(load_key(&services, &label));
            }
        });
        Self(sender)
    }

    async fn load(&self, label: &Label) -> Result<ApiKey, Error> {
        let (response, receiver) = oneshot::channel();
        // Where the thread is gone, nobody answers.
        let _ = self.0.send((label.clone(), response));
        receiver.await.unwrap_or(Err(Error::SecretStore(secret_store::Error::TimedOut)))
    }
}

/// Asks one key about itself, once. An error is one of the vault, or a server that nobody needs to
/// ask further: it cannot be reached, or asks for patience.
async fn check_key(
    services: &ServiceContext,
    key_loader: &KeyLoader,
    client: &Client,
    hash: &str,
    label: &Label,
) -> Result<CheckResult, (UserError, Option<Duration>)> {
    let key = match key_loader.load(label).await {
        Ok(key) if key.hash() == hash => key,
        // One entry that is wrong says nothing about the others.
        Ok(_) => {
            let message = Error::SecretMismatch(label.clone()).to_string();
            return Ok(CheckResult::Failed(message));
        }
        Err(error @ (Error::MissingSecret { .. } | Error::InOtherStore(_))) => {
            return Ok(CheckResult::Failed(error.to_string()));
        }
        Err(error) => return Err((error.to_user_error(), None)),
    };
    let response = client.get_current_key(&key).await;
    if let Ok(KeyInfo { masked: Some(masked), .. }) = &response
        && *masked != key.masked()
        && has_other_key_with_mask(services, masked.clone()).await
    {
        let message =
            "the server answered about another key: its figures are not taken for this one";
        return Ok(CheckResult::Failed(message.into()));
    }
    match &response {
        Err(error @ openrouter::Error::RateLimited { retry_after, .. }) => {
            Err((not_refreshed_error(error), *retry_after))
        }
        Err(
            error @ (openrouter::Error::NotSent { .. }
            | openrouter::Error::InvalidCertificate { .. }),
        ) => Err((not_refreshed_error(error), None)),
        _ => Ok(CheckResult::from(response)),
    }
}

/// Whether another held key is masked so. A mask that nobody here has proves nothing: how a server
/// masks is its own business.
async fn has_other_key_with_mask(services: &ServiceContext, masked: String) -> bool {
    let services = services.clone();
    let found = tokio::task::spawn_blocking(move || {
        inventory::filter_keys(&services.location, &services.server, |stored_key| {
            stored_key.masked == masked
        })
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
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    on_result: impl Fn(&str, &CheckResult, Timestamp) + Send + Sync + 'static,
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
    let run = Arc::new(RefreshRun {
        services: services.clone(),
        key_loader: KeyLoader::new(services.clone()),
        client,
        on_result,
        clock,
        queue: Mutex::new(keys.into()),
        results: Mutex::default(),
        stop_reason: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..MAX_CONCURRENT_CHECKS {
        let run = Arc::clone(&run);
        tasks.spawn(async move { run.check_until_stopped().await });
    }
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = provision::wait_for_cancel(&mut stop) => tasks.shutdown().await,
    }
    let recorded = Arc::clone(&run);
    let write_result = tokio::task::spawn_blocking(move || {
        let (location, server) = (&recorded.services.location, &recorded.services.server);
        let results = lock_mutex(&recorded.results);
        let samples: Vec<_> =
            results.iter().filter_map(|(hash, result)| to_usage_sample(hash, result)).collect();
        inventory::record_checks(location, server, &results)?;
        // The past is worth less than the present: a round without it is still a round.
        if let Err(error) = usage_history::record_usage(location, &samples) {
            tracing::warn!(%error, "what was spent is not remembered");
        }
        Ok::<(), crate::storage::json_store::Error>(())
    })
    .await;
    // After what they said of themselves: this is the last word.
    let rejected = run.fetch_rejected_keys().await;
    let (mut error, retry_after) = lock_mutex(&run.stop_reason)
        .take()
        .map_or((None, None), |(error, retry_after)| (Some(error), retry_after));
    if let (Ok(Err(cause)), None) = (&write_result, &error) {
        error = Some(cause.to_user_error());
    }
    let unchecked = lock_mutex(&run.queue).drain(..).collect();
    RefreshReport { error, retry_after, unchecked, rejected_keys: rejected }
}

/// A sample out of an answer.
fn to_usage_sample<'a>(
    hash: &'a str,
    (checked_at, result): &(Timestamp, CheckResult),
) -> Option<(&'a str, Timestamp, f64)> {
    match result {
        CheckResult::Valid(info) => Some((hash, *checked_at, info.usage?)),
        CheckResult::Rejected | CheckResult::InsufficientCredits | CheckResult::Failed(_) => None,
    }
}

impl<F: Fn(&str, &CheckResult, Timestamp), N: Fn() -> Timestamp> RefreshRun<F, N> {
    async fn check_until_stopped(&self) {
        while lock_mutex(&self.stop_reason).is_none() {
            let Some((hash, label)) = lock_mutex(&self.queue).pop_front() else { return };
            match check_key(&self.services, &self.key_loader, &self.client, &hash, &label).await {
                Ok(result) => {
                    let checked_at = (self.clock)();
                    (self.on_result)(&hash, &result, checked_at);
                    lock_mutex(&self.results).insert(hash, (checked_at, result));
                }
                Err(reason) => {
                    lock_mutex(&self.queue).push_front((hash, label));
                    lock_mutex(&self.stop_reason).get_or_insert(reason);
                }
            }
        }
    }

    /// Asks the account about the keys that were refused. Whatever goes wrong says nothing of them.
    async fn fetch_rejected_keys(&self) -> Vec<AccountKey> {
        let rejected = |(_, result): &(Timestamp, CheckResult)| *result == CheckResult::Rejected;
        let hashes: Vec<String> = {
            let results = lock_mutex(&self.results);
            let rejected = results.iter().filter(|(_, result)| rejected(result));
            rejected.map(|(hash, _)| hash.clone()).take(MAX_REJECTED_LOOKUPS).collect()
        };
        if hashes.is_empty() || lock_mutex(&self.stop_reason).is_some() {
            return Vec::new();
        }
        let Ok(Some((management, _))) = management_key::load_management_key(&self.services).await
        else {
            return Vec::new();
        };
        let mut rejected_keys = Vec::new();
        for hash in hashes {
            let Ok(account_key) = self.client.get_key(&management, &hash).await else { continue };
            let (location, server, checked_at) =
                (&self.services.location, &self.services.server, (self.clock)());
            let warning = |stored_key: &mut StoredKey| {
                stored_key.record_account_key(&account_key, checked_at)
            };
            if let Err(error) = inventory::update_key(location, server, &hash, warning) {
                tracing::warn!(%error, "what the account says of a refused key is not noted");
            }
            rejected_keys.push(account_key);
        }
        rejected_keys
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
