//! What is spent: by day, by model and by key, from the activity of the account or from the samples
//! taken on this machine.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};

use crate::domain::{
    ActivityRow, Credits, DailySpending, KeySpending, ModelSpending, UserError, utc_date,
};
use crate::services::keys::{self, management_key};
use crate::services::provision::ServiceContext;
use crate::storage::json_store::Error;
use crate::storage::usage_history;

/// The days of the past that are read for charts, the present one included.
const CHART_DAYS: i64 = 30;

/// Returns what is known on this machine about the spending of the keys, by hash. Blocks.
///
/// # Errors
/// Returns an error if the samples cannot be read.
pub fn read_spending(
    services: &ServiceContext,
    now: Timestamp,
) -> Result<HashMap<String, KeySpending>, Error> {
    let from = utc_date(now).saturating_sub((CHART_DAYS - 1).days());
    let samples = usage_history::read_samples(&services.location)?;
    Ok(samples
        .into_iter()
        .map(|(hash, samples)| {
            let days = DailySpending::from_samples(&samples, from, now);
            (hash, KeySpending { days, models: Vec::new() })
        })
        .collect())
}

/// The credits and the activity of the account. A part that the account refused is missing.
#[derive(Clone, Debug, Default)]
pub struct AccountSummary {
    /// The credits.
    pub credits: Option<Credits>,
    /// The completed days that the server reports; those without activity are zero.
    pub days: Option<DailySpending>,
    /// By model, highest first.
    pub models: Vec<ModelSpending>,
    /// Why parts are missing.
    pub errors: Vec<UserError>,
}

/// Fetches the credits and the activity of the account. `None` without a management key.
pub async fn fetch_summary(services: &ServiceContext) -> Option<AccountSummary> {
    let (management, _) = management_key::load_management_key(services).await.ok()??;
    let mut summary = AccountSummary::default();
    match keys::get_credits(services, &management).await {
        Ok(credits) => summary.credits = Some(credits),
        Err(error) => summary.errors.push(error.to_user_error()),
    }
    match keys::list_activity(services, &management, None).await {
        Ok(rows) => {
            summary.models = sum_by_model(&rows);
            let mut days = DailySpending::new();
            for row in &rows {
                days.add(row.date, row.usage);
            }
            summary.days = Some(days);
        }
        Err(error) => summary.errors.push(error.to_user_error()),
    }
    Some(summary)
}

/// Returns what was spent with each model, highest first.
pub fn sum_by_model(rows: &[ActivityRow]) -> Vec<ModelSpending> {
    let mut models: HashMap<&str, (u64, i64)> = HashMap::new();
    for row in rows {
        let sum = models.entry(&row.model).or_default();
        sum.0 += row.requests;
        sum.1 = sum.1.saturating_add(crate::domain::to_nanodollars(row.usage).unwrap_or(0));
    }
    let mut models: Vec<ModelSpending> = models
        .into_iter()
        .map(|(model, (requests, usage))| ModelSpending {
            model: model.to_owned(),
            requests,
            usage: crate::domain::from_nanodollars(usage),
        })
        .collect();
    models.sort_by(|a, b| b.usage.total_cmp(&a.usage).then_with(|| a.model.cmp(&b.model)));
    models
}
