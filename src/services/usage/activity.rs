//! Reads the activity of the keys of an account, a few at a time, and caches it.

mod completed_days;

use std::collections::{HashMap, VecDeque};

use jiff::ToSpan;
use jiff::civil::Date;
use tokio::sync::watch;
use tokio::task::JoinSet;

use completed_days::{SETTLING_TIME, merge};
pub use completed_days::{last_final_day, to_days};

use super::{
    KeyUsage, ListedKeys, UsageQuery, UsageReport, UsageSource, account_id, first_day, list_keys,
    unreadable_note,
};
use crate::api::openrouter::ManagementClient;
use crate::domain::{AccountKey, ErrorKind, ManagementKey, UserError, sanitize, utc_date};
use crate::platform::blocking_call::run_blocking;
use crate::services::keys;
use crate::services::provision::ServiceContext;
use crate::storage::activity_cache::{CachedActivity, read_activity, write_activity};

/// The maximum number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// The activity of one key: its label, its hash, and the id in the cache.
#[derive(Clone, Debug)]
struct Target {
    label: Option<String>,
    hash: Option<String>,
    masked: Option<String>,
    created: Option<Date>,
    id: String,
    /// Spent today, as the list of keys says.
    today: Option<f64>,
}

/// What was read, and what was not.
#[derive(Default)]
struct Fetched {
    activity: HashMap<String, CachedActivity>,
    /// The number of rows that could not be read.
    unreadable_rows: usize,
    /// The ids that failed, with the reason.
    failed: Vec<(String, UserError)>,
    /// The server does not let this management key read the activity.
    is_unavailable: bool,
}

/// Reads activity with one management key.
pub struct ActivityRun {
    services: ServiceContext,
    client: ManagementClient,
}

impl ActivityRun {
    /// Returns a run for the server of `services`.
    ///
    /// # Errors
    /// Returns an error if the environment makes a secure connection impossible.
    pub fn new(services: &ServiceContext, management: &ManagementKey) -> Result<Self, UserError> {
        let client = services.build_management_client(management).map_err(|error| {
            UserError::new(
                error.kind(),
                error.to_string(),
                error.settings_advice().unwrap_or("check the connection: keywright doctor"),
            )
        })?;
        Ok(Self { services: services.clone(), client })
    }

    /// Reports the activity; `None` if this management key may not read it, with the reason in `notes`.
    pub(super) async fn report(
        &self,
        query: &UsageQuery,
        on_progress: &(dyn Fn(usize, usize) + Sync),
        cancel: watch::Receiver<bool>,
        notes: &mut Vec<UserError>,
    ) -> Result<Option<UsageReport>, UserError> {
        let listed = list_keys(&self.services, &self.client, notes).await?;
        let targets = self.choose_targets(query, &listed)?;
        let ids: Vec<(String, Option<String>)> =
            targets.iter().map(|target| (target.id.clone(), target.hash.clone())).collect();
        let today = listed.today;
        let yesterday = today.saturating_sub(1.day());
        let is_known = |entry: &CachedActivity| entry.days_to(SETTLING_TIME) >= yesterday;
        let mut fetched = self.fetch(ids, today, &is_known, on_progress, cancel).await?;
        if fetched.is_unavailable {
            notes.extend(
                fetched
                    .failed
                    .pop()
                    .map(|(_, error)| error.prefixed("the activity cannot be read")),
            );
            return Ok(None);
        }
        let from = first_day(today, query.days);
        let (mut keys, mut unread) = (Vec::new(), Vec::new());
        for target in targets {
            if let Some(at) = fetched.failed.iter().position(|(id, _)| *id == target.id) {
                let (_, error) = fetched.failed.swap_remove(at);
                let label = target.label.unwrap_or_else(|| "the account".into());
                unread.push((label, target.hash.unwrap_or_default(), error));
                continue;
            }
            let Some(activity) = fetched.activity.remove(&target.id) else { continue };
            let mut days = to_days(&activity, from);
            if let Some(spent) = target.today {
                days.set(today, spent);
            }
            let uses =
                activity.uses.into_iter().filter(|model_use| model_use.date >= from).collect();
            let Target { label, hash, masked, created, .. } = target;
            keys.push(KeyUsage { label, hash, masked, created, days, uses });
        }
        let unreadable_rows = fetched.unreadable_rows;
        let notes = unreadable_note(unreadable_rows).into_iter().collect();
        let source = UsageSource::Activity;
        Ok(Some(UsageReport { from, today, source, keys, unread, unreadable_rows, notes }))
    }

    /// Reads the completed days of keys by their hashes into the cache, as far as they are missing
    /// there. A day is read again until it is final.
    pub(super) async fn fill_cache(&self, hashes: Vec<String>, today: Date) {
        let (_sender, cancel) = watch::channel(false);
        let ids = hashes.into_iter().map(|hash| (hash.clone(), Some(hash))).collect();
        let now = self.client.server_time();
        let is_known = |entry: &CachedActivity| entry.is_up_to_date(now);
        if let Err(error) = self.fetch(ids, today, &is_known, &|_, _| {}, cancel).await {
            tracing::warn!(error = error.message, "the activity of the keys could not be read");
        }
    }

    /// Returns the completed days of the whole account, and the number of rows that could not be read.
    pub(super) async fn fetch_account(
        &self,
        today: Date,
    ) -> Result<(CachedActivity, usize), UserError> {
        let (_sender, cancel) = watch::channel(false);
        let id = account_id(self.client.management_key());
        let yesterday = today.saturating_sub(1.day());
        let is_known = |entry: &CachedActivity| entry.days_to(SETTLING_TIME) >= yesterday;
        let mut fetched =
            self.fetch(vec![(id.clone(), None)], today, &is_known, &|_, _| {}, cancel).await?;
        match (fetched.activity.remove(&id), fetched.failed.pop()) {
            (Some(activity), _) => Ok((activity, fetched.unreadable_rows)),
            (None, Some((_, error))) => Err(error),
            (None, None) => Err(cancelled()),
        }
    }

    pub(super) fn client(&self) -> &ManagementClient {
        &self.client
    }

    fn choose_targets(
        &self,
        query: &UsageQuery,
        listed: &ListedKeys,
    ) -> Result<Vec<Target>, UserError> {
        let by_hash: HashMap<&str, &AccountKey> =
            listed.keys.iter().flatten().map(|key| (key.hash.as_str(), key)).collect();
        let target = |label: String, hash: String| {
            let listed = by_hash.get(hash.as_str());
            Target {
                label: Some(label),
                today: listed.and_then(|key| key.info.usage_daily),
                masked: listed
                    .and_then(|key| key.info.masked.as_deref())
                    .map(|text| sanitize(text, 24)),
                created: listed.and_then(|key| key.created_at).map(utc_date),
                id: hash.clone(),
                hash: Some(hash),
            }
        };
        if !query.keys.is_empty() {
            let keys = query.keys.iter();
            return Ok(keys.map(|key| target(key.label.to_string(), key.hash.clone())).collect());
        }
        if !query.by_key {
            // Without all keys the sum would not be that of the account.
            let keys = listed.keys.as_ref().filter(|_| listed.is_complete);
            return Ok(vec![Target {
                label: None,
                hash: None,
                masked: None,
                created: None,
                id: account_id(self.client.management_key()),
                today: keys.and_then(|keys| keys.iter().map(|key| key.info.usage_daily).sum()),
            }]);
        }
        let stored_keys = self.services.list_keys()?;
        let Some(account_keys) = &listed.keys else {
            let keys = stored_keys.into_iter();
            return Ok(keys.map(|key| target(key.label.to_string(), key.hash.clone())).collect());
        };
        let labels: HashMap<&str, String> =
            stored_keys.iter().map(|key| (key.hash.as_str(), key.label.to_string())).collect();
        let keys = account_keys.iter().map(|key| {
            let label = labels.get(key.hash.as_str()).cloned();
            target(label.unwrap_or_else(|| key.display_name()), key.hash.clone())
        });
        Ok(keys.collect())
    }

    /// Requests the activity of each id, which comes with the hash of its key, unless `is_known` returns
    /// `true` for its cached entry. What was read is cached even if the run is cancelled.
    async fn fetch(
        &self,
        ids: Vec<(String, Option<String>)>,
        today: Date,
        is_known: &(dyn Fn(&CachedActivity) -> bool + Sync),
        on_progress: &(dyn Fn(usize, usize) + Sync),
        mut cancel: watch::Receiver<bool>,
    ) -> Result<Fetched, UserError> {
        let count = ids.len();
        let names: Vec<String> = ids.iter().map(|(id, _)| id.clone()).collect();
        let (location, server) = (self.services.location.clone(), self.services.server.clone());
        let read = move || read_activity(&location, &server, Some(&names));
        let mut cached = run_blocking(read).await.unwrap_or_default();
        let mut fetched = Fetched::default();
        let mut queue: VecDeque<(String, Option<String>)> = VecDeque::new();
        for (id, hash) in ids {
            match cached.remove(&id) {
                // The server's clock may have been wrong when it was written.
                Some(entry) if is_known(&entry) && entry.to < today => {
                    fetched.activity.insert(id, entry);
                }
                Some(entry) => {
                    cached.insert(id.clone(), entry);
                    queue.push_back((id, hash));
                }
                None => queue.push_back((id, hash)),
            }
        }
        let mut complete: Vec<(String, CachedActivity)> = Vec::new();
        let mut tasks = JoinSet::new();
        let mut stop: Option<UserError> = None;
        let mut is_cancelled = false;
        loop {
            while stop.is_none() && tasks.len() < MAX_CONCURRENT_REQUESTS {
                let Some((id, hash)) = queue.pop_front() else { break };
                let client = self.client.clone();
                tasks.spawn(async move {
                    let rows = client.list_activity(hash.as_deref()).await;
                    (id, rows.map_err(keys::Error::from_read_request))
                });
            }
            let next = tokio::select! {
                next = tasks.join_next() => next,
                () = crate::services::provision::wait_for_cancel(&mut cancel) => {
                    is_cancelled = true;
                    break;
                }
            };
            let Some(finished) = next else { break };
            let Ok((id, rows)) = finished else { continue };
            match rows {
                Ok(rows) => {
                    let now = self.client.server_time();
                    let entry = merge(cached.remove(&id), &rows.items, today, now);
                    fetched.unreadable_rows += rows.unreadable_count();
                    // An incomplete response is requested again the next time.
                    if rows.unreadable_count() == 0 {
                        complete.push((id.clone(), entry.clone()));
                    }
                    fetched.activity.insert(id, entry);
                }
                Err(error) => {
                    let is_first_refusal = error.is_unavailable() && fetched.activity.is_empty();
                    if is_first_refusal && self.is_activity_unavailable(count).await {
                        fetched.is_unavailable = true;
                        fetched.failed.push((id, error.to_user_error()));
                        return Ok(fetched);
                    }
                    if !error.is_of_one_request() {
                        stop.get_or_insert_with(|| error.to_user_error());
                    }
                    fetched.failed.push((id, error.to_user_error()));
                }
            }
            on_progress(fetched.activity.len() + fetched.failed.len(), count);
        }
        let (location, server) = (self.services.location.clone(), self.services.server.clone());
        let write = move || write_activity(&location, &server, &complete);
        if let Some(Err(error)) = run_blocking(write).await {
            tracing::warn!(%error, "the activity could not be cached");
        }
        if is_cancelled {
            return Err(cancelled());
        }
        if let Some(error) = stop {
            if fetched.activity.is_empty() {
                return Err(error);
            }
            fetched.failed.extend(queue.into_iter().map(|(id, _)| (id, error.clone())));
        }
        Ok(fetched)
    }

    /// Returns whether the activity is refused for the whole account, after it was refused for a
    /// key.
    async fn is_activity_unavailable(&self, count: usize) -> bool {
        if count == 1 {
            return true;
        }
        let rows = self.client.list_activity(None).await;
        rows.is_err_and(|error| keys::Error::from_read_request(error).is_unavailable())
    }
}

fn cancelled() -> UserError {
    UserError::new(ErrorKind::Cancelled, "cancelled", "run the command again to continue")
        .with_meaning("the completed days that were read are kept")
}

#[cfg(test)]
mod tests;
