//! The credits of the account, its pace, its keys by state and its workspaces.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ActivityRun, activity, first_day, list_keys, unreadable_note};
use crate::domain::{
    AccountKey, Credits, DailySpending, ModelSpending, StoredKey, UserError, Workspace,
    WorkspaceBudget, sum_by_model, sum_usd,
};
use crate::services::keys::{self, Error, management_key};
use crate::services::provision::ServiceContext;

/// The summary of an account. A part that the server refused is missing, with the reason among
/// `notes`.
#[derive(Clone, Debug, Default)]
pub struct AccountSummary {
    /// The credits.
    pub credits: Option<Credits>,
    /// The completed days of the whole account; those without activity are zero.
    pub days: Option<DailySpending>,
    /// Spent today by all keys of the account, in USD; only with [`SummaryScope::Figures`].
    pub spent_today: Option<f64>,
    /// The keys of the account; only with [`SummaryScope::Figures`].
    pub account_keys: Vec<AccountKey>,
    /// By model in the completed days, highest first.
    pub models: Vec<ModelSpending>,
    /// For how many days the credits last at the pace of the last week.
    pub days_left: Option<f64>,
    /// How many keys are in each state.
    pub keys: BTreeMap<&'static str, usize>,
    /// Whether `keys` has only those stored here, since the account's could not be listed.
    pub has_only_stored_keys: bool,
    /// The workspaces.
    pub workspaces: Option<Vec<Workspace>>,
    /// The budgets of each workspace by its UUID, where they could be read.
    pub budgets: HashMap<String, Vec<WorkspaceBudget>>,
    /// What is missing, and why.
    pub notes: Vec<UserError>,
}

/// How many workspaces' budgets are read at once.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// For how many keys the dashboard reads the activity, one request each.
const MAX_CHARTED_KEYS: usize = 50;

/// Which parts of the account to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryScope {
    /// Everything.
    Whole,
    /// The figures of the dashboard, without the keys by state and the workspaces; the activity of
    /// the keys goes to the cache.
    Figures,
}

/// Returns the summary of the account; without a management key only the stored keys by state.
///
/// # Errors
/// Returns an error if the secret store or the inventory cannot be read, or the server not be reached.
pub async fn fetch_summary(
    services: &ServiceContext,
    scope: SummaryScope,
    now: Timestamp,
) -> Result<Option<AccountSummary>, UserError> {
    let Some(management) = management_key::load_management_key(services).await? else {
        return Ok(None);
    };
    let run = ActivityRun::new(services, &management)?;
    let mut summary = AccountSummary::default();
    let credits = run.client().get_credits().await;
    summary.credits = match credits.map_err(Error::from_read_request) {
        // Not every management key may read them, so nothing is said.
        Err(error) if error.is_unavailable() => None,
        credits => take_part("credits", credits, &mut summary.notes)?,
    };
    let today = crate::domain::utc_date(run.client().server_time());
    match run.fetch_account(today).await {
        Ok((account, unreadable_rows)) => {
            let first = first_day(today, super::ACTIVITY_DAYS);
            let days = activity::to_days(&account, first);
            // Older days may be cached.
            let recent = account.uses.iter().filter(|model_use| model_use.date >= first);
            summary.models = sum_by_model(recent);
            summary.notes.extend(unreadable_note(unreadable_rows));
            // There is no pace for incomplete figures.
            summary.days = (unreadable_rows == 0).then_some(days);
            let pace = summary.days.as_ref().and_then(|days| days.pace(today));
            summary.days_left = summary.credits.zip(pace).and_then(|(credits, pace)| {
                crate::domain::AccountFigures::days_left(credits.remaining(), pace)
            });
        }
        Err(error) => summary.notes.push(error.prefixed("the activity could not be read")),
    }
    if scope == SummaryScope::Figures {
        let listed = keys::list_keys_with(services, run.client()).await;
        let is_listed = listed.is_ok();
        if let Ok(list) = listed {
            // Without all workspaces the sum would not be that of the account.
            summary.spent_today = sum_usd(list.keys.iter().map(|key| key.info.usage_daily))
                .filter(|_| list.unlisted_workspaces.is_none() && list.skipped_rows == 0);
            summary.account_keys = list.keys;
        }
        let known: HashSet<&str> =
            summary.account_keys.iter().map(|key| key.hash.as_str()).collect();
        // The account has no activity of a key that it does not list, but that of a disabled one.
        let stored = services.filter_keys(|key| {
            !key.is_of_unconfirmed_account()
                && if is_listed {
                    known.contains(key.hash.as_str())
                } else {
                    key.rejected_at.is_none()
                }
        });
        let mut hashes: Vec<String> =
            stored.unwrap_or_default().into_iter().map(|key| key.hash.clone()).collect();
        let stored: HashSet<String> = hashes.iter().cloned().collect();
        let others = summary.account_keys.iter().map(|key| &key.hash);
        hashes.extend(others.filter(|hash| !stored.contains(*hash)).cloned());
        hashes.truncate(MAX_CHARTED_KEYS);
        run.fill_cache(hashes, today).await;
        return Ok(Some(summary));
    }
    let listed = list_keys(services, run.client(), &mut summary.notes).await?;
    if listed.keys.is_none()
        && let Some(note) = summary.notes.last_mut()
    {
        note.meaning = "the keys are counted from those stored here".into();
        summary.has_only_stored_keys = true;
    }
    let stored_keys = services.list_keys()?;
    let known: HashSet<&str> = listed.keys.iter().flatten().map(|key| key.hash.as_str()).collect();
    let only_stored: Vec<StoredKey> =
        stored_keys.iter().filter(|key| !known.contains(key.hash.as_str())).cloned().collect();
    let mut keys: Vec<StoredKey> = Vec::new();
    for key in listed.keys.iter().flatten() {
        let stored = stored_keys.iter().find(|stored| stored.hash == key.hash);
        let mut row =
            stored.cloned().unwrap_or_else(|| key.to_inventory_row(&services.server, now));
        row.record_account_key(key, now);
        keys.push(row);
    }
    keys.extend(only_stored);
    summary.keys = count_by_state(&keys, now);
    let workspaces = keys::list_workspaces(services, run.client().management_key()).await;
    summary.workspaces = take_part("workspaces", workspaces, &mut summary.notes)?;
    let workspaces = summary.workspaces.as_deref().unwrap_or_default();
    summary.budgets = fetch_budgets(workspaces, &run, &mut summary.notes).await;
    Ok(Some(summary))
}

/// Returns the budgets of the workspaces, each read in a request of its own; what could not be read
/// becomes one note.
async fn fetch_budgets(
    workspaces: &[Workspace],
    run: &ActivityRun,
    notes: &mut Vec<UserError>,
) -> HashMap<String, Vec<WorkspaceBudget>> {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_REQUESTS));
    let mut tasks = JoinSet::new();
    for workspace in workspaces {
        let client = run.client().clone();
        let id = workspace.id.clone();
        let permits = permits.clone();
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            let listed = client.list_workspace_budgets(&id).await;
            (id, listed.map_err(Error::from_read_request))
        });
    }
    let mut budgets = HashMap::new();
    let (mut unread, mut reason) = (0, None);
    while let Some(finished) = tasks.join_next().await {
        match finished {
            Ok((id, Ok(page))) if page.unreadable_count() == 0 => {
                budgets.insert(id, page.items);
            }
            Ok((_, listed)) => {
                unread += 1;
                reason = reason.or_else(|| listed.err().map(|error| error.to_user_error()));
            }
            Err(_) => unread += 1,
        }
    }
    if unread > 0 {
        let message = match unread {
            1 => "the budgets of a workspace could not be read".to_owned(),
            _ => format!("the budgets of {unread} workspaces could not be read"),
        };
        notes.push(match reason {
            Some(error) => error.prefixed(message).with_meaning(""),
            None => UserError::failed(message, "update Keywright"),
        });
    }
    budgets
}

/// Returns how many keys are in each state.
pub fn count_by_state(keys: &[StoredKey], now: Timestamp) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key.state(now).as_str()).or_default() += 1;
    }
    counts
}

/// Returns a part of the account; a refusal becomes a note.
fn take_part<T>(
    name: &str,
    result: Result<T, Error>,
    notes: &mut Vec<UserError>,
) -> Result<Option<T>, UserError> {
    match result {
        Ok(part) => Ok(Some(part)),
        Err(error) if error.is_answered() => {
            let message = format!("the {name} could not be read");
            notes.push(error.to_user_error().prefixed(message).with_meaning(""));
            Ok(None)
        }
        Err(error) => Err(error.to_user_error()),
    }
}
