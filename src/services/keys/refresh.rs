//! Refreshes the information about stored keys (`GET /key`).

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
    AccountKey, ApiKey, CheckResult, KeyInfo, Label, StoreKind, StoredKey, UsageSample, UserError,
    utc_date,
};
use crate::platform::blocking_call::{run_blocking, spawn_blocking};
use crate::services::provision::{self, ServiceContext};
use crate::storage::inventory;
use crate::storage::secret_store;
use crate::storage::usage_history;

/// The maximum number of concurrent requests.
const MAX_CONCURRENT_CHECKS: usize = 8;

/// The maximum number of rejected keys that are looked up at the account in one refresh.
const MAX_REJECTED_LOOKUPS: usize = 32;

/// Returns the key stored under `label`. Blocks, and can wait for the user.
pub fn load_key(services: &ServiceContext, label: &Label) -> Result<ApiKey, Error> {
    load_key_here(&services.for_label(label.as_str()), label)
}

/// Returns the key stored under `label` in the store of this context.
fn load_key_here(services: &ServiceContext, label: &Label) -> Result<ApiKey, Error> {
    let timeout = services.secret_store_timeout;
    let mut entry_id = services.entry_id(label.as_str());
    let mut found = services.secret_store.get(&entry_id, timeout);
    // Until 0.1.0 the entries of https on a loopback address had the name of those of http.
    if matches!(found, Err(secret_store::Error::NoEntry))
        && let Some(host) = entry_id.service.strip_prefix("keywright/https://")
    {
        entry_id.service = format!("keywright/{host}");
        found = services.secret_store.get(&entry_id, timeout);
    }
    match found {
        Ok(secret) => Ok(to_api_key(&secret)),
        Err(secret_store::Error::NoEntry) => Err(missing_error(services, label)),
        Err(error) => Err(error.into()),
    }
}

/// Returns the key stored under `label`, to authorise the creation of another one. Blocks. A key of
/// an unconfirmed account authorises none: the new one would belong to that account.
pub fn load_authorizing_key(services: &ServiceContext, label: &Label) -> Result<ApiKey, Error> {
    match services.find_key(label.as_str())? {
        Some(key) if key.is_of_unconfirmed_account() => {
            Err(Error::Refused(key.other_account_error()))
        }
        _ => load_key(services, label),
    }
}

/// Loads keys one after the other on its own thread, since a secret store serves one call at a time.
struct KeyLoader(UnboundedSender<(Label, oneshot::Sender<Result<ApiKey, Error>>)>);

impl KeyLoader {
    fn new(services: ServiceContext) -> Self {
        let (sender, mut receiver) = unbounded_channel::<(Label, oneshot::Sender<_>)>();
        spawn_blocking(move || {
            let mut stores = StoresByLabel::new(&services);
            while let Some((label, response)) = receiver.blocking_recv() {
                // The receiver may have stopped waiting.
                let _ = response.send(stores.load(&label));
            }
        });
        Self(sender)
    }

    async fn load(&self, label: &Label) -> Result<ApiKey, Error> {
        let (response, receiver) = oneshot::channel();
        // If the thread has ended, the receiver returns an error.
        let _ = self.0.send((label.clone(), response));
        receiver.await.unwrap_or(Err(Error::SecretStore(secret_store::Error::TimedOut)))
    }
}

/// Reads each key from the store that the inventory records. The inventory is read once.
struct StoresByLabel {
    /// The store of new keys, and those of other keys by label.
    default: ServiceContext,
    others: HashMap<Label, ServiceContext>,
    /// Errors of other stores, which are not tried again: each would ask for its passphrase.
    failed: Vec<(StoreKind, UserError)>,
}

impl StoresByLabel {
    fn new(services: &ServiceContext) -> Self {
        let stored_keys =
            services.filter_keys(|key| !key.is_in_store(&services.secret_store.kind()));
        let others = stored_keys.unwrap_or_default().into_iter();
        let others = others.map(|key| (key.label.clone(), services.for_key(&key))).collect();
        Self { default: services.clone(), others, failed: Vec::new() }
    }

    fn load(&mut self, label: &Label) -> Result<ApiKey, Error> {
        let Some(services) = self.others.get(label) else {
            return load_key_here(&self.default, label);
        };
        let kind = services.secret_store.kind();
        if let Some((_, error)) = self.failed.iter().find(|(failed, _)| *failed == kind) {
            return Err(Error::InOtherStore(error.clone()));
        }
        match load_key_here(services, label) {
            Err(Error::SecretStore(error))
                if !error.is_about_entry() && kind != self.default.secret_store.kind() =>
            {
                // The keys of the other stores are still checked.
                let error = error.to_user_error();
                self.failed.push((kind, error.clone()));
                Err(Error::InOtherStore(error))
            }
            result => result,
        }
    }
}

/// Fetches the information about one key, once. An error ends the whole refresh: the secret store
/// failed, or the server cannot be reached or limits the rate.
async fn check_key(
    services: &ServiceContext,
    key_loader: &KeyLoader,
    client: &Client,
    stored_key: &StoredKey,
    on_unreadable: impl FnOnce(UserError),
) -> Result<CheckResult, (UserError, Option<Duration>)> {
    let label = &stored_key.label;
    let key = match key_loader.load(label).await {
        Ok(key) if key.hash() == stored_key.hash => key,
        // One wrong entry does not affect the other keys.
        Ok(_) => {
            let error = Error::SecretMismatch(label.clone());
            on_unreadable(error.to_user_error());
            return Ok(CheckResult::Failed(error.to_string()));
        }
        // Another keychain answers, so the other keys are missing too.
        Err(Error::OtherKeychain(error)) => return Err((error, None)),
        Err(error) if error.is_about_one_key() => {
            on_unreadable(error.to_user_error());
            return Ok(CheckResult::Failed(error.to_string()));
        }
        Err(error) => return Err((error.to_user_error(), None)),
    };
    let response = client.get_current_key(&key).await;
    if let Ok(KeyInfo { masked: Some(masked), .. }) = &response
        && *masked != key.masked()
        && has_other_key_with_mask(services, masked.clone()).await
    {
        let message = "the server answered about another key; the response was ignored";
        return Ok(CheckResult::Failed(message.into()));
    }
    match &response {
        Err(error @ openrouter::Error::RateLimited { retry_after, .. }) => {
            Err((not_refreshed_error(error), *retry_after))
        }
        Err(
            error @ (openrouter::Error::NotSent { .. }
            | openrouter::Error::InvalidCertificate { .. }
            | openrouter::Error::InvalidSetting { .. }
            | openrouter::Error::ProxyFailed { .. }),
        ) => Err((not_refreshed_error(error), None)),
        _ => Ok(CheckResult::from(response)),
    }
}

/// Returns whether another stored key has this mask. An unknown mask proves nothing, since servers may
/// mask keys differently.
async fn has_other_key_with_mask(services: &ServiceContext, masked: String) -> bool {
    let services = services.clone();
    let found =
        run_blocking(move || services.filter_keys(|stored_key| stored_key.masked == masked));
    matches!(found.await, Some(Ok(found)) if !found.is_empty())
}

/// The result of a refresh.
#[derive(Debug, Default)]
pub struct RefreshReport {
    /// Why the refresh ended early.
    pub error: Option<UserError>,
    /// Why the first key that could not be read here was not checked; no request was sent for it.
    pub unreadable: Option<UserError>,
    /// The delay that the server requests.
    pub retry_after: Option<Duration>,
    /// The keys that were not checked.
    pub unchecked: Vec<StoredKey>,
    /// The account's data of rejected keys, if a management key is known: a disabled key is rejected
    /// like a deleted one.
    pub rejected_keys: Vec<AccountKey>,
}

struct RefreshRun<F, N> {
    services: ServiceContext,
    key_loader: KeyLoader,
    client: Client,
    on_result: F,
    clock: N,
    queue: Mutex<VecDeque<StoredKey>>,
    results: Mutex<HashMap<String, (Timestamp, CheckResult)>>,
    samples: Mutex<Vec<(String, UsageSample)>>,
    stop_reason: Mutex<Option<(UserError, Option<Duration>)>>,
    unreadable: Mutex<Option<UserError>>,
}

/// Checks keys in this order, eight at a time, until all are checked, the server
/// limits the rate or cannot be reached, the secret store fails, or `stop` becomes true. Calls
/// `on_result` for each result; writes all to the inventory and the usage history at the end.
pub async fn refresh_keys(
    services: &ServiceContext,
    keys: Vec<StoredKey>,
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    on_result: impl Fn(&str, &CheckResult, Timestamp) + Send + Sync + 'static,
    mut stop: watch::Receiver<bool>,
) -> RefreshReport {
    let client = match services.build_client() {
        // Another round checks the keys that could not be checked.
        Ok(client) => client.once(),
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
        samples: Mutex::default(),
        stop_reason: Mutex::default(),
        unreadable: Mutex::default(),
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
    let write_result = run_blocking(move || {
        let (location, server) = (&recorded.services.location, &recorded.services.server);
        let results = lock_mutex(&recorded.results);
        let samples = lock_mutex(&recorded.samples);
        let samples: Vec<_> = samples.iter().map(|(hash, one)| (hash.as_str(), *one)).collect();
        inventory::record_checks(location, server, &results)?;
        // The refresh is useful even without the usage history.
        if let Err(error) = usage_history::record_usage(location, &samples) {
            tracing::warn!(%error, "the usage history could not be written");
        }
        // The store is open now.
        super::trash::delete_expired_keys(&recorded.services, (recorded.clock)());
        Ok::<(), crate::storage::json_store::Error>(())
    })
    .await;
    // After the checks were written, since the account's data is more precise.
    let rejected = run.fetch_rejected_keys().await;
    let (mut error, retry_after) = lock_mutex(&run.stop_reason)
        .take()
        .map_or((None, None), |(error, retry_after)| (Some(error), retry_after));
    if let (Some(Err(cause)), None) = (&write_result, &error) {
        error = Some(
            cause
                .to_user_error()
                .with_meaning("the keys were checked, and the results are not recorded"),
        );
    }
    let unchecked = lock_mutex(&run.queue).drain(..).collect();
    let unreadable = lock_mutex(&run.unreadable).take();
    RefreshReport { error, unreadable, retry_after, unchecked, rejected_keys: rejected }
}

/// Returns the usage sample of a result. `server_time` is the server's time at the check.
fn to_usage_sample(
    result: &CheckResult,
    checked_at: Timestamp,
    server_time: Timestamp,
) -> Option<UsageSample> {
    let CheckResult::Valid(info) = result else { return None };
    // Around midnight, or where a clock is wrong, the usage of the day is that of another one.
    let is_same_day = utc_date(server_time) == utc_date(checked_at);
    let usage_daily = info.usage_daily.filter(|_| is_same_day);
    Some(UsageSample { usage_daily, ..UsageSample::new(checked_at, info.usage?) })
}

impl<F: Fn(&str, &CheckResult, Timestamp), N: Fn() -> Timestamp> RefreshRun<F, N> {
    async fn check_until_stopped(&self) {
        while lock_mutex(&self.stop_reason).is_none() {
            let Some(stored_key) = lock_mutex(&self.queue).pop_front() else { return };
            let on_unreadable = |error| {
                lock_mutex(&self.unreadable).get_or_insert(error);
            };
            let (services, loader) = (&self.services, &self.key_loader);
            match check_key(services, loader, &self.client, &stored_key, on_unreadable).await {
                Ok(result) => {
                    let checked_at = (self.clock)();
                    let hash = &stored_key.hash;
                    (self.on_result)(hash, &result, checked_at);
                    let server_time = self.client.server_time();
                    if let Some(sample) = to_usage_sample(&result, checked_at, server_time) {
                        lock_mutex(&self.samples).push((hash.clone(), sample));
                    }
                    lock_mutex(&self.results).insert(hash.clone(), (checked_at, result));
                }
                Err(reason) => {
                    lock_mutex(&self.queue).push_front(stored_key);
                    lock_mutex(&self.stop_reason).get_or_insert(reason);
                }
            }
        }
    }

    /// Fetches the account's data of the rejected keys. Errors are ignored.
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
        let Ok(Some(management)) = management_key::load_management_key(&self.services).await else {
            return Vec::new();
        };
        let client = self.client.with_management_key(&management);
        let mut rejected_keys = Vec::new();
        for hash in hashes {
            let Ok(account_key) = client.get_key(&hash).await else { continue };
            let (location, server, checked_at) =
                (&self.services.location, &self.services.server, (self.clock)());
            let warning = |stored_key: &mut StoredKey| {
                stored_key.record_account_key(&account_key, checked_at);
            };
            if let Err(error) = inventory::update_key(location, server, &hash, warning) {
                tracing::warn!(%error, "the account's data of a rejected key could not be recorded");
            }
            rejected_keys.push(account_key);
        }
        rejected_keys
    }
}

fn not_refreshed_error(error: &openrouter::Error) -> UserError {
    let advice = error.settings_advice().unwrap_or("try again later");
    UserError::new(error.kind(), error.to_string(), advice)
        .with_meaning("the previous values are shown")
}

fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_an_hour_off_gives_no_day_the_usage_of_another_one() {
        let info = KeyInfo { usage: Some(9.0), usage_daily: Some(2.0), ..KeyInfo::default() };
        let result = CheckResult::Valid(Arc::new(info));
        for (server, ahead, expected) in [
            ("2026-11-27T12:00:00Z", 1, Some(2.0)),
            ("2026-11-27T12:00:00Z", -1, Some(2.0)),
            ("2026-11-27T23:30:00Z", 1, None),
            ("2026-11-27T23:30:00Z", -1, Some(2.0)),
            ("2026-11-27T00:30:00Z", -1, None),
        ] {
            let server: Timestamp = server.parse().unwrap();
            let here = server + jiff::SignedDuration::from_hours(ahead);
            let sample = to_usage_sample(&result, here, server).unwrap();
            assert_eq!(sample.usage_daily, expected, "{server} {ahead}");
        }
    }
}
