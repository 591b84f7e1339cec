//! The credits of the account, its pace, its keys by state and its workspaces.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::{ActivityRun, activity, first_day, list_keys};
use crate::domain::{
    Credits, DailySpending, ModelSpending, StoredKey, UserError, Workspace, sum_by_model,
};
use crate::services::keys::{self, Error, management_key};
use crate::services::provision::ServiceContext;
use crate::storage::inventory;

/// What the account says about itself. A part that it refused is missing, with the reason among
/// `notes`.
#[derive(Clone, Debug, Default)]
pub struct AccountSummary {
    /// The credits.
    pub credits: Option<Credits>,
    /// The completed days of the whole account; those without activity are zero.
    pub days: Option<DailySpending>,
    /// By model in the completed days, highest first.
    pub models: Vec<ModelSpending>,
    /// For how many days the credits last at the pace of the last week.
    pub days_left: Option<f64>,
    /// How many keys are in each state.
    pub keys: BTreeMap<&'static str, usize>,
    /// The workspaces.
    pub workspaces: Option<Vec<Workspace>>,
    /// What is missing, and why.
    pub notes: Vec<UserError>,
}

/// For how many keys the dashboard reads the activity, one request each.
const MAX_CHARTED_KEYS: usize = 50;

/// Which parts of the account to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryScope {
    /// Everything.
    Whole,
    /// The figures of the dashboard, without the keys and the workspaces; the activity of the stored
    /// keys goes to the cache.
    Figures,
}

/// Returns what the account says about itself; without a management key only the stored keys by state.
///
/// # Errors
/// Returns an error if the secret store or the inventory cannot be read, or the server not be reached.
pub async fn fetch_summary(
    services: &ServiceContext,
    scope: SummaryScope,
    now: Timestamp,
) -> Result<Option<AccountSummary>, UserError> {
    let Some((management, _)) = management_key::load_management_key(services)
        .await
        .map_err(|error| error.to_user_error())?
    else {
        return Ok(None);
    };
    let run = ActivityRun::new(services, management)?;
    let mut summary = AccountSummary::default();
    let credits = keys::get_credits_with(services, run.client(), run.management()).await;
    summary.credits = take_part("credits", credits, &mut summary.notes)?;
    let today = crate::domain::utc_date(run.client().server_time());
    match run.fetch_account(today).await {
        Ok(account) => {
            let days = activity::to_days(&account, first_day(today, super::ACTIVITY_DAYS));
            summary.days_left =
                summary.credits.zip(days.pace(today)).and_then(|(credits, pace)| {
                    crate::domain::AccountFigures::days_left(credits.remaining(), pace)
                });
            summary.models = sum_by_model(&account.uses);
            summary.days = Some(days);
        }
        Err(error) => summary.notes.push(UserError {
            message: format!("the activity could not be read: {}", error.message),
            ..error
        }),
    }
    if scope == SummaryScope::Figures {
        let keys = inventory::filter_keys(&services.location, &services.server, |key| {
            key.rejected_at.is_none() && !key.is_of_unconfirmed_account()
        });
        let keys = keys.unwrap_or_default().into_iter().take(MAX_CHARTED_KEYS);
        run.fill_cache(keys.map(|key| key.hash).collect(), today).await;
        return Ok(Some(summary));
    }
    let listed = list_keys(services, run.client(), run.management(), &mut summary.notes).await?;
    let stored_keys = inventory::list_keys(&services.location, &services.server)
        .map_err(|error| error.to_user_error())?;
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
    let workspaces = keys::list_workspaces(services, run.management()).await;
    summary.workspaces = take_part("workspaces", workspaces, &mut summary.notes)?;
    Ok(Some(summary))
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
        Err(error) if error.is_of_one_request() => {
            let error = error.to_user_error();
            notes.push(UserError {
                message: format!("the {name} could not be read: {}", error.message),
                meaning: String::new(),
                ..error
            });
            Ok(None)
        }
        Err(error) => Err(error.to_user_error()),
    }
}
