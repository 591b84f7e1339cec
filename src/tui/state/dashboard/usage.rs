//! What is known of the past: as much as is shown or waited for. Must not know: where it is kept.

use jiff::Timestamp;

use super::{Dashboard, SIDE_DETAILS_MIN_COLUMNS};
use crate::domain::{RetirementStatus, StoredKey, UsageSample, retirement_status};

impl Dashboard {
    /// What a key had spent, as far as that was looked up.
    pub fn usage_samples(&self, held: &StoredKey) -> &[UsageSample] {
        self.usage_history.get(&held.hash).map_or(&[], Vec::as_slice)
    }

    /// Whether a replaced key is still used.
    pub fn retirement_status(&self, held: &StoredKey, now: Timestamp) -> RetirementStatus {
        let seen: Vec<_> =
            self.usage_samples(held).iter().map(|sample| (sample.at, sample.usage)).collect();
        retirement_status(held, &seen, now)
    }

    /// Hashes of keys whose past is wanted and was not looked up: the selected key's where its
    /// details are seen, and those of keys that were replaced.
    pub(in crate::tui) fn missing_usage_history(&self, columns: u16) -> Vec<String> {
        let seen = self.are_details_shown || columns >= SIDE_DETAILS_MIN_COLUMNS;
        let current = self.selected_key().filter(|_| seen);
        let retiring = self.stored_keys().iter().filter(|held| held.retirement.is_some());
        let mut hashes: Vec<_> = retiring.chain(current).map(|held| &held.hash).collect();
        hashes.dedup();
        if !self.is_usage_history_stale
            && hashes.iter().all(|hash| self.usage_history.contains_key(*hash))
        {
            return Vec::new();
        }
        hashes.into_iter().cloned().collect()
    }

    /// Takes in what was looked up.
    pub(in crate::tui) fn set_usage_history(
        &mut self,
        past: Vec<(String, Vec<UsageSample>)>,
        now: Timestamp,
    ) {
        self.usage_history_ticket = None;
        self.is_usage_history_stale = false;
        self.usage_history = past.into_iter().collect();
        self.update_attention_list(now);
    }

    /// What was looked up is not all any more; it is shown until the rest was.
    pub(in crate::tui) const fn mark_usage_history_stale(&mut self) {
        self.is_usage_history_stale = true;
    }
}
