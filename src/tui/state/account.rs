//! The figures of the account: what is spent today and this month, and how long the credits last.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};

use super::Dashboard;
use super::ticket::Ticket;
use crate::domain::{
    AccountFigures, AccountKey, Credits, DailySpending, KeySpending, ModelSpending, StoredKey,
    sum_usd, utc_date,
};

/// The summary of the account. A part that the server refused is missing.
#[derive(Clone, Debug, Default)]
pub struct AccountReport {
    /// The credits.
    pub credits: Option<Credits>,
    /// The completed days of the whole account.
    pub days: Option<DailySpending>,
    /// Spent today by all keys of the account, in USD.
    pub spent_today: Option<f64>,
    /// Spending by model in the completed days, highest first.
    pub models: Vec<ModelSpending>,
    /// The keys of the account, stored here or not.
    pub keys: Vec<AccountKey>,
}

/// What is known about the account.
#[derive(Clone, Debug, Default)]
pub struct AccountState {
    /// The figures of the header.
    pub figures: AccountFigures,
    /// What all stored keys spent by day. A key whose spending is not known is left out.
    pub days: DailySpending,
    /// The last summary; `None` without a management key.
    pub report: Option<AccountReport>,
    /// Whether the last report was missing because no management key is stored.
    pub lacks_management_key: bool,
    /// The ticket of the report being loaded.
    pub report_ticket: Option<Ticket>,
    /// The ticket of the spending being loaded.
    pub spending_ticket: Option<Ticket>,
    /// Whether the report is to be loaded.
    pub(in crate::tui) is_report_stale: bool,
    /// Whether the spending of the keys is to be loaded.
    pub(in crate::tui) is_spending_stale: bool,
}

impl AccountReport {
    /// Returns what all keys spent today in USD, for sums with other days: [`Self::spent_today`] is the sum of
    /// a column of cents.
    pub fn spent_today_exactly(&self) -> f64 {
        self.keys.iter().filter_map(|key| key.info.usage_daily).sum()
    }
}

impl AccountState {
    /// Calculates the figures from the keys and from the summary of the account.
    pub(in crate::tui) fn update_figures(&mut self, dashboard: &Dashboard, now: Timestamp) {
        let today = utc_date(now);
        let first_of_month = today.first_of_month();
        let days = self.report.as_ref().and_then(|report| report.days.as_ref());
        let sum_of_keys;
        let days = if let Some(days) = days {
            days
        } else {
            let spending =
                dashboard.stored_keys().iter().map(|key| &dashboard.key_spending(key).days);
            sum_of_keys = DailySpending::sum(spending);
            &sum_of_keys
        };
        // Both figures have the same scope: that of the account only if both are known of it.
        let account_today =
            self.report.as_ref().and_then(|report| report.days.as_ref().and(report.spent_today));
        let (spent_today, month) = if let Some(spent) = account_today {
            let yesterday = today.saturating_sub(1.day());
            let exact = self.report.as_ref().map_or(0.0, AccountReport::spent_today_exactly);
            (Some(spent), Some(days.total(first_of_month, yesterday) + exact))
        } else {
            let keys = dashboard.stored_keys();
            (
                sum(keys, |key| spent_since(key, now, |info| info.usage_daily, today)),
                sum(keys, |key| spent_since(key, now, |info| info.usage_monthly, first_of_month)),
            )
        };
        let credits_left =
            self.report.as_ref().and_then(|report| Some(report.credits?.remaining()));
        let days_left = credits_left
            .zip(days.pace(today))
            .and_then(|(left, pace)| AccountFigures::days_left(left, pace));
        self.days = DailySpending::default();
        for key in dashboard.stored_keys() {
            for (date, usd) in dashboard.key_spending(key).days.iter() {
                self.days.add(date, usd);
            }
        }
        self.figures = AccountFigures {
            is_whole_account: account_today.is_some(),
            today: spent_today,
            month,
            credits_left,
            days_left,
        };
    }
}

impl Dashboard {
    /// Replaces what is known about the spending of the keys.
    pub(in crate::tui) fn set_spending(&mut self, spending: HashMap<String, KeySpending>) {
        self.spending = spending;
    }
}

/// Returns the sum over the keys; `None` without keys, or if one is not known.
fn sum(keys: &[StoredKey], amount: impl Fn(&StoredKey) -> Option<f64>) -> Option<f64> {
    (!keys.is_empty()).then_some(())?;
    sum_usd(keys.iter().map(amount))
}

/// Returns a figure of a key that counts from `first` on, if it was read since then. A key that the
/// server rejects spends nothing.
fn spent_since(
    key: &StoredKey,
    now: Timestamp,
    figure: impl Fn(&crate::domain::KeyInfo) -> Option<f64>,
    first: jiff::civil::Date,
) -> Option<f64> {
    let info = key.info.as_ref();
    match (info.zip(key.checked_at), key.rejected_at.is_some()) {
        (Some((info, at)), _) if utc_date(at) >= first && at <= now => figure(info),
        (_, true) => Some(0.0),
        (_, false) => None,
    }
}
