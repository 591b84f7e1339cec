//! The usage history of the keys whose history is shown or needed.

use jiff::Timestamp;
use jiff::civil::Date;

use super::Dashboard;
use crate::domain::{
    DailySpending, KeySpending, RetirementStatus, StoredKey, UsageSample, retirement_status,
    utc_date,
};

/// The spending of a key of which nothing is known.
static UNKNOWN_SPENDING: KeySpending =
    KeySpending { days: DailySpending::new(), models: Vec::new() };

impl Dashboard {
    /// Returns what is known about the spending of a key by day and by model.
    pub fn key_spending(&self, key: &StoredKey) -> &KeySpending {
        self.spending.get(&key.hash).unwrap_or(&UNKNOWN_SPENDING)
    }

    /// Returns what a key spent on each of the last days, oldest first; `None` is an unknown day.
    /// If nothing is known about a key, the last check still gives the present day. The days before its creation are unknown.
    pub fn recent_days(&self, key: &StoredKey, last: Date, count: u16) -> Vec<Option<f64>> {
        let spending = &self.key_spending(key).days;
        // Zero of a day before the key existed is no figure. An imported key may be older than its entry.
        let created = utc_date(key.created_at);
        let days = spending.last_days(last, count);
        let mut days: Vec<_> =
            days.map(|(date, spent)| spent.filter(|usd| date >= created || *usd > 0.0)).collect();
        let checked_today = key.checked_at.is_some_and(|at| utc_date(at) == last);
        if let (Some(today @ None), Some(info), true) = (days.last_mut(), &key.info, checked_today)
        {
            *today = info.usage_daily;
        }
        days
    }

    /// Returns the loaded usage samples of a key.
    pub fn usage_samples(&self, key: &StoredKey) -> &[UsageSample] {
        self.usage_history.get(&key.hash).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a replaced key is still used.
    pub fn retirement_status(&self, key: &StoredKey, now: Timestamp) -> RetirementStatus {
        let samples: Vec<_> =
            self.usage_samples(key).iter().map(|sample| (sample.at, sample.usage)).collect();
        retirement_status(key, &samples, now)
    }

    /// Returns the hashes of keys whose history is to be loaded, because that of the selected key while
    /// its details are shown, or of a replaced key, is missing. With the selected key come those in the
    /// rows around it: one read of the file is enough for the next steps.
    pub(in crate::tui) fn missing_usage_history(
        &self,
        has_pane: bool,
        page_size: usize,
    ) -> Vec<String> {
        let is_shown = self.are_details_shown || has_pane;
        let current = self.selected_key().filter(|_| is_shown);
        let replaced = || self.stored_keys_at(&self.replaced_keys).map(|(_, key)| key);
        let is_loaded = |key: &StoredKey| self.usage_history.contains_key(&key.hash);
        if !self.is_usage_history_stale && replaced().chain(current).all(is_loaded) {
            return Vec::new();
        }
        let page = if is_shown { page_size } else { 0 };
        let page = self.visible_keys(page).map(|(_, key)| key);
        let mut hashes: Vec<_> =
            replaced().chain(current).chain(page).map(|key| key.hash.clone()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// Adds loaded history. What was loaded before stays until it is stale, so that a step back to a
    /// key reads no file.
    pub(in crate::tui) fn add_usage_history(&mut self, history: Vec<(String, Vec<UsageSample>)>) {
        self.usage_history_ticket = None;
        if std::mem::take(&mut self.is_usage_history_stale) {
            self.usage_history.clear();
        }
        self.usage_history.extend(history);
    }

    /// Marks the history as stale; it stays visible until it is loaded again.
    pub(in crate::tui) const fn mark_usage_history_stale(&mut self) {
        self.is_usage_history_stale = true;
    }
}
