//! What is spent: by day, by model and by key, from the activity of the account or from the samples
//! taken on this machine.

mod account;
mod activity;

pub use account::{AccountSummary, SummaryScope, count_by_state, fetch_summary};
use activity::ActivityRun;

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use tokio::sync::watch;

use crate::api::openrouter::ManagementClient;
use crate::domain::{
    AccountKey, DailySpending, KeySpending, ManagementKey, ModelUse, StoredKey, UserError,
    sum_by_model, utc_date,
};
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;
use crate::storage::json_store::Error;
use crate::storage::{activity_cache, usage_history};

/// The days that the activity of the account covers, the present one included.
pub const ACTIVITY_DAYS: i64 = 30;

/// Returns the id of the whole account in the cache of one management key.
fn account_id(management: &ManagementKey) -> String {
    format!("account {}", management.fingerprint())
}

/// Returns the first of `count` days that end with `today`.
fn first_day(today: Date, count: i64) -> Date {
    today.saturating_sub((count - 1).days())
}

/// Returns what is known on this machine about the spending of the keys in thirty days, by hash.
/// Blocks.
///
/// # Errors
/// Returns an error if the samples cannot be read.
pub fn read_spending(
    services: &ServiceContext,
    now: Timestamp,
) -> Result<HashMap<String, KeySpending>, Error> {
    let today = utc_date(now);
    let from = first_day(today, ACTIVITY_DAYS);
    let mut spending: HashMap<String, KeySpending> = HashMap::new();
    for (hash, activity) in
        activity_cache::read_activity(&services.location, &services.server, None)
    {
        let uses = activity.uses.iter().filter(|model_use| (from..today).contains(&model_use.date));
        let models = sum_by_model(uses);
        spending.insert(hash, KeySpending { days: activity::to_days(&activity, from), models });
    }
    let yesterday = today.saturating_sub(1.day());
    let is_final = activity::last_final_day(now) >= yesterday;
    for (hash, samples) in usage_history::read_samples(&services.location)? {
        let days = DailySpending::from_samples(&samples, from, now);
        let known = &mut spending.entry(hash).or_default().days;
        known.fill_from(&days);
        // The server may still add to the activity of a day that is not final.
        if let Some(usd) = days.get(yesterday).filter(|_| !is_final) {
            known.set(yesterday, usd);
        }
    }
    Ok(spending)
}

/// Where the figures of a [`UsageReport`] are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageSource {
    /// The activity of the account.
    Activity,
    /// The samples taken on this machine.
    Samples,
}

/// What was spent with one key, or in the whole account.
#[derive(Clone, Debug)]
pub struct KeyUsage {
    /// The label; `None` for the whole account.
    pub label: Option<String>,
    /// The hash; `None` for the whole account.
    pub hash: Option<String>,
    /// The key, masked; `None` for the whole account.
    pub masked: Option<String>,
    /// The day on which the key was created, where that is known.
    pub created: Option<Date>,
    /// The days that are known.
    pub days: DailySpending,
    /// By day and model, by date. The present day is not among them.
    pub uses: Vec<ModelUse>,
}

/// What was spent in a period.
#[derive(Clone, Debug)]
pub struct UsageReport {
    /// The first day.
    pub from: Date,
    /// The present day of the server, which is not over.
    pub today: Date,
    /// Where the figures are from.
    pub source: UsageSource,
    /// The keys.
    pub keys: Vec<KeyUsage>,
    /// The keys whose activity could not be read: label, hash and reason. They are not among `keys`.
    pub unread: Vec<(String, String, UserError)>,
    /// The number of rows of the activity that could not be read.
    pub unreadable_rows: usize,
    /// What is missing, and why.
    pub notes: Vec<UserError>,
}

/// What to report.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The keys; every key if empty.
    pub keys: Vec<StoredKey>,
    /// The number of days, the present one included.
    pub days: i64,
    /// Whether each key is needed, rather than the whole account.
    pub by_key: bool,
}

/// Reports what was spent: from the activity of the account, or without the right to read it from the
/// samples taken here. `on_progress` takes the number of keys that were read, and of all.
///
/// # Errors
/// Returns an error if nothing can be reported: the server cannot be reached, `cancel` became true, or
/// the files cannot be read.
pub async fn report_usage(
    services: &ServiceContext,
    query: &UsageQuery,
    now: Timestamp,
    on_progress: &(dyn Fn(usize, usize) + Sync),
    cancel: watch::Receiver<bool>,
) -> Result<UsageReport, UserError> {
    let (management, note) = match management_key::load_management_key(services).await {
        Ok(Some(management)) => (Some(management), None),
        Ok(None) => (None, None),
        Err(error) => (None, Some(error.to_user_error())),
    };
    let mut notes: Vec<UserError> = note.into_iter().collect();
    if let Some(management) = management {
        let run = ActivityRun::new(services, &management)?;
        if let Some(mut report) = run.report(query, on_progress, cancel, &mut notes).await? {
            report.notes.splice(0..0, notes);
            return Ok(report);
        }
    }
    report_samples(services, query, now, notes).map_err(UserError::from)
}

fn report_samples(
    services: &ServiceContext,
    query: &UsageQuery,
    now: Timestamp,
    notes: Vec<UserError>,
) -> Result<UsageReport, Error> {
    let today = utc_date(now);
    let from = first_day(today, query.days);
    let stored_keys =
        if query.keys.is_empty() { services.list_keys()? } else { query.keys.clone() };
    let mut samples = usage_history::read_samples(&services.location)?;
    let keys = stored_keys.into_iter().map(|key| KeyUsage {
        days: DailySpending::from_samples(
            &samples.remove(&key.hash).unwrap_or_default(),
            from,
            now,
        ),
        label: Some(key.label.to_string()),
        masked: Some(key.masked.clone()),
        created: Some(utc_date(key.created_at)),
        hash: Some(key.hash.clone()),
        uses: Vec::new(),
    });
    let keys = keys.collect();
    Ok(UsageReport {
        from,
        today,
        source: UsageSource::Samples,
        keys,
        unread: Vec::new(),
        unreadable_rows: 0,
        notes,
    })
}

/// Returns what is missing if rows of the activity could not be read.
fn unreadable_note(rows: usize) -> Option<UserError> {
    let noun = if rows == 1 { "row" } else { "rows" };
    let message = format!("{rows} {noun} of the activity could not be read");
    let advice =
        "run the command again later; if that does not help, a newer Keywright may read them";
    let error = UserError::failed(message, advice);
    (rows > 0).then(|| error.with_meaning("more was spent than the figures say"))
}

/// The keys of the account, and the server's day.
struct ListedKeys {
    keys: Option<Vec<AccountKey>>,
    /// Whether these are all keys of the account.
    is_complete: bool,
    today: Date,
}

/// Lists the keys of the account; a refusal becomes a note.
async fn list_keys(
    services: &ServiceContext,
    client: &ManagementClient,
    notes: &mut Vec<UserError>,
) -> Result<ListedKeys, UserError> {
    let mut is_complete = false;
    let keys = match keys::list_keys_with(services, client).await {
        Ok(list) => {
            is_complete = list.unlisted_workspaces.is_none() && list.skipped_rows == 0;
            if let Some(error) = list.unlisted_workspaces {
                notes.push(UserError::failed(
                    format!("the workspaces could not be listed: {error}"),
                    "only the keys of the default workspace are included",
                ));
            }
            Some(list.keys)
        }
        Err(error) if error.is_answered() => {
            let error =
                error.to_user_error().prefixed("the keys of the account could not be listed");
            notes.push(error.with_meaning("today's spending is not known"));
            None
        }
        Err(error) => return Err(error.to_user_error().with_meaning("nothing was changed")),
    };
    Ok(ListedKeys { keys, is_complete, today: utc_date(client.server_time()) })
}
