//! What is known of the past: as much as is shown or waited for. Must not know: where it is kept.

use jiff::Timestamp;

use super::{Dashboard, WIDE};
use crate::domain::{RetirementStatus, StoredKey, UsageSample, retirement_status};

impl Dashboard {
    /// What a key had spent, as far as that was looked up.
    pub fn samples(&self, held: &StoredKey) -> &[UsageSample] {
        self.past.get(&held.hash).map_or(&[], Vec::as_slice)
    }

    /// Whether a replaced key is still used.
    pub fn retire(&self, held: &StoredKey, now: Timestamp) -> RetirementStatus {
        let seen: Vec<_> =
            self.samples(held).iter().map(|sample| (sample.at, sample.usage)).collect();
        retirement_status(held, &seen, now)
    }

    /// Hashes of keys whose past is wanted and was not looked up: the selected key's where its
    /// details are seen, and those of keys that were replaced.
    pub(in crate::tui) fn unknown_past(&self, columns: u16) -> Vec<String> {
        let seen = self.details || columns >= WIDE;
        let current = self.current().filter(|_| seen);
        let retiring = self.held().iter().filter(|held| held.retirement.is_some());
        let mut hashes: Vec<_> = retiring.chain(current).map(|held| &held.hash).collect();
        hashes.dedup();
        if !self.past_grew && hashes.iter().all(|hash| self.past.contains_key(*hash)) {
            return Vec::new();
        }
        hashes.into_iter().cloned().collect()
    }

    /// Takes in what was looked up.
    pub(in crate::tui) fn recall(&mut self, past: Vec<(String, Vec<UsageSample>)>, now: Timestamp) {
        self.recalling = None;
        self.past_grew = false;
        self.past = past.into_iter().collect();
        self.look(now);
    }

    /// What was looked up is not all any more; it is shown until the rest was.
    pub(in crate::tui) const fn past_grew(&mut self) {
        self.past_grew = true;
    }
}
