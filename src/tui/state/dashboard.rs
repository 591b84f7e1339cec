//! State of the key table: its keys, rows, selection and details.

mod account;
mod attention;
mod selection;
mod usage;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

use super::columns::MAX_LABEL_WIDTH;
use super::new_key_screen::{REVEAL_DURATION, is_reveal_active};
use super::sort_filter::{SortOrder, filter_keys, sort_keys};
use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{
    AccountNames, ApiKey, CheckResult, KeySpending, Label, ProfileCopies, StoredKey,
    UnresolvedAttempt, UsageSample, UserError, seconds_until_relative_time_changes, sort_by,
    sort_by_key,
};
pub use account::KeyScope;
pub use attention::Attention;

/// The keys, or why there are none.
#[derive(Clone, Debug, Default)]
pub enum KeyList {
    /// The inventory is being loaded.
    #[default]
    Loading,
    /// The stored keys by creation time, then the other keys of the account.
    Loaded(Vec<StoredKey>),
    /// The inventory could not be loaded.
    Failed(UserError),
}

/// A key that is shown in plaintext for a limited time.
#[derive(Clone, Debug)]
pub struct RevealedKey {
    /// The hash of the key; labels are not unique in an account.
    pub hash: String,
    /// The secret.
    pub key: ApiKey,
    /// When the key is hidden again.
    pub revealed_until: Timestamp,
}

/// State of the key table.
#[derive(Clone, Debug, Default)]
pub struct Dashboard {
    /// The keys.
    pub keys: KeyList,
    /// Indexes in `keys` of all keys, in order.
    sorted: Vec<usize>,
    /// Indexes in `keys` of the listed keys, in order.
    pub rows: Vec<usize>,
    /// The scope of the table.
    pub scope: KeyScope,
    /// Hashes of stored keys that the account no longer has.
    pub revoked_hashes: HashSet<String>,
    /// The other profile in which a key of the account is stored, by hash.
    pub other_profiles: ProfileCopies,
    /// The names of workspaces and guardrails, as the account was last listed.
    pub names: AccountNames,
    /// The ticket of the account keys being loaded.
    pub account_keys_ticket: Option<Ticket>,
    /// The sort order.
    pub sort_order: SortOrder,
    /// Whether the sort order is reversed.
    pub is_reversed: bool,
    /// The filter for the labels.
    pub filter: TextField,
    /// Whether the filter has the cursor.
    pub is_filtering: bool,
    /// The index in `rows` of the selected key.
    pub selected_row: usize,
    /// Hashes of the keys marked for the next action; if empty, it applies to the selected key.
    pub marked_hashes: HashSet<String>,
    /// The index in `rows` of the first row on screen.
    pub first_row: usize,
    /// The width of the longest label in `rows`, at most `MAX_LABEL_WIDTH`.
    pub longest_label: u16,
    /// Whether the stored keys are in more than one store.
    pub has_several_stores: bool,
    /// Whether the user has pressed a key.
    pub has_acted: bool,
    /// Whether the pane shows the selected key, where the terminal has room for it.
    pub is_pane_open: bool,
    /// Whether the details of the selected key fill the screen.
    pub are_details_shown: bool,
    /// The last clicked row, and when.
    last_click: Option<(usize, Timestamp)>,
    /// The number of lines by which the details are scrolled.
    pub details_scroll: u16,
    /// The revealed key.
    pub revealed_key: Option<RevealedKey>,
    /// Hashes of the keys of another account for which the dialog was shown.
    pub shown_account_dialogs: HashSet<String>,
    /// Attempts that may have created a key that was not received.
    pub unresolved_attempts: Vec<UnresolvedAttempt>,
    /// The ticket of the inventory being loaded.
    pub load_ticket: Option<Ticket>,
    /// The ticket of the secret being read.
    pub secret_ticket: Option<Ticket>,
    /// Indexes in `keys` of the keys that need attention, most urgent first, and why.
    pub attention_list: Vec<(usize, Attention)>,
    /// Indexes in `keys` of the stored keys that may belong to another account.
    pub unconfirmed_keys: Vec<usize>,
    /// Indexes in `keys` of the stored keys that were replaced.
    pub replaced_keys: Vec<usize>,
    /// What the limits of the stored keys allow in this month, in USD.
    pub monthly_limits: Option<f64>,
    /// Usage samples of the selected key and of replaced keys, by hash.
    pub usage_history: HashMap<String, Vec<UsageSample>>,
    /// The ticket of the usage history being loaded.
    pub usage_history_ticket: Option<Ticket>,
    is_usage_history_stale: bool,
    /// What the keys spent by day and by model, by hash.
    pub spending: HashMap<String, KeySpending>,
    /// Hashes of replaced keys that are being revoked.
    pub revoking_hashes: HashSet<String>,
    /// How many of the keys are stored here.
    stored_count: usize,
    /// Indexes in `keys`, sorted by hash.
    hash_index: Vec<usize>,
}

impl Dashboard {
    /// Returns the table before the inventory is loaded.
    pub(super) fn new() -> Self {
        Self { is_pane_open: true, ..Self::default() }
    }

    /// Returns the stored keys.
    pub fn stored_keys(&self) -> &[StoredKey] {
        &self.all_keys()[..self.stored_count]
    }

    /// Returns the stored keys, then the other keys of the account.
    pub fn all_keys(&self) -> &[StoredKey] {
        match &self.keys {
            KeyList::Loaded(keys) => keys,
            KeyList::Loading | KeyList::Failed(_) => &[],
        }
    }

    /// Returns the selected key.
    pub fn selected_key(&self) -> Option<&StoredKey> {
        self.all_keys().get(*self.rows.get(self.selected_row)?)
    }

    /// Returns the keys that an action applies to: the marked keys, or else the selected one.
    pub fn target_keys(&self) -> Vec<&StoredKey> {
        if self.marked_hashes.is_empty() {
            return self.selected_key().into_iter().collect();
        }
        let keys = self.all_keys();
        // In the order of the rows; marked keys that the filter hides come last.
        let mut position = vec![usize::MAX; keys.len()];
        for (row, index) in self.rows.iter().enumerate() {
            position[*index] = row;
        }
        let is_marked = |index: &usize| self.marked_hashes.contains(&keys[*index].hash);
        let mut marked: Vec<usize> = (0..keys.len()).filter(is_marked).collect();
        sort_by_key(&mut marked, |index| position[*index]);
        marked.into_iter().map(|index| &keys[index]).collect()
    }

    /// Returns the key with that hash.
    pub fn find_key(&self, hash: &str) -> Option<&StoredKey> {
        self.all_keys().get(self.index_of_hash(hash)?)
    }

    /// Returns the index of the key with that hash.
    fn index_of_hash(&self, hash: &str) -> Option<usize> {
        let keys = self.all_keys();
        let order = |index: &usize| keys.get(*index).map_or("", |key| &key.hash).cmp(hash);
        self.hash_index.binary_search_by(order).ok().map(|at| self.hash_index[at])
    }

    /// Marks or unmarks the selected key and selects the next one.
    pub fn toggle_mark(&mut self) {
        let Some(hash) = self.selected_key().map(|key| key.hash.clone()) else { return };
        if !self.marked_hashes.remove(&hash) {
            self.marked_hashes.insert(hash);
        }
        self.move_selection(1);
    }

    /// Replaces the stored keys; the selected key stays selected.
    pub fn set_keys(&mut self, keys: Result<Vec<StoredKey>, UserError>, now: Timestamp) {
        let selected = self.selected_key().map(|key| key.hash.clone());
        let others = self.all_keys()[self.stored_count..].to_vec();
        self.stored_count = 0;
        self.keys = match keys {
            Ok(mut keys) => {
                for key in &mut keys {
                    self.keep_last_use(key);
                }
                self.stored_count = keys.len();
                if !others.is_empty() {
                    let stored_hashes: HashSet<_> =
                        keys.iter().map(|key| key.hash.clone()).collect();
                    keys.extend(
                        others.into_iter().filter(|other| !stored_hashes.contains(&other.hash)),
                    );
                }
                KeyList::Loaded(keys)
            }
            Err(error) => KeyList::Failed(error),
        };
        self.reindex_keys(selected, now);
    }

    /// Adds or replaces a stored key and selects it.
    pub fn upsert_key(&mut self, mut new_key: StoredKey, now: Timestamp) {
        self.keep_last_use(&mut new_key);
        let hash = new_key.hash.clone();
        if let KeyList::Loaded(keys) = &mut self.keys {
            let index = keys[..self.stored_count].iter().position(|key| key.label == new_key.label);
            if let Some(index) = index {
                keys[index] = new_key;
            } else {
                // The key may be listed as a key of the account only.
                keys.retain(|row| row.is_stored() || row.hash != new_key.hash);
                keys.insert(self.stored_count, new_key);
                self.stored_count += 1;
            }
        }
        self.reindex_keys(Some(hash), now);
    }

    /// Removes a stored key.
    pub fn remove_key(&mut self, label: &Label, now: Timestamp) {
        let selected = self.selected_key().map(|key| key.hash.clone());
        if let KeyList::Loaded(keys) = &mut self.keys {
            let before = keys.len();
            keys.retain(|key| !key.is_stored() || key.label != *label);
            self.stored_count -= before - keys.len();
        }
        self.reindex_keys(selected, now);
    }

    /// Records the result of a check; the rows keep their order.
    pub fn record_check(&mut self, hash: &str, result: &CheckResult, at: Timestamp) {
        let index = self.index_of_hash(hash);
        if let (KeyList::Loaded(keys), Some(index)) = (&mut self.keys, index) {
            keys[index].record_check(result, at);
        }
    }

    /// Sets the sort order, or reverses it if it is already set.
    pub fn set_sort_order(&mut self, sort_order: SortOrder, now: Timestamp) {
        self.is_reversed = self.sort_order == sort_order && !self.is_reversed;
        self.sort_order = sort_order;
        self.update_rows(now);
    }

    /// Sorts and filters the keys again; the selected key stays selected.
    fn update_rows(&mut self, now: Timestamp) {
        self.rebuild_rows(self.rows.get(self.selected_row).copied(), now);
    }

    /// Filters the sorted keys again; the selected key stays selected.
    pub fn filter_rows(&mut self, now: Timestamp) {
        self.filter_and_select(self.rows.get(self.selected_row).copied(), now);
    }

    /// Sorts the keys and lists those that need attention again, after figures or the time changed.
    pub fn update_order(&mut self, now: Timestamp) {
        self.update_rows(now);
        self.update_summary(now);
    }

    /// Rebuilds the hash index and the rows after keys were added, removed or moved.
    fn reindex_keys(&mut self, hash: Option<String>, now: Timestamp) {
        let keys = self.all_keys();
        let mut by_hash: Vec<usize> = (0..keys.len()).collect();
        sort_by(&mut by_hash, |a, b| keys[*a].hash.cmp(&keys[*b].hash));
        self.hash_index = by_hash;
        let marked = std::mem::take(&mut self.marked_hashes);
        self.marked_hashes =
            marked.into_iter().filter(|hash| self.index_of_hash(hash).is_some()).collect();
        self.rebuild_rows(hash.and_then(|hash| self.index_of_hash(&hash)), now);
        self.update_summary(now);
    }

    /// Rebuilds the rows and selects the key at `index`.
    fn rebuild_rows(&mut self, index: Option<usize>, now: Timestamp) {
        self.sorted = sort_keys(self.all_keys(), self.sort_order, self.is_reversed, now);
        self.filter_and_select(index, now);
    }

    /// Filters the sorted keys and selects the key at `index`.
    fn filter_and_select(&mut self, index: Option<usize>, now: Timestamp) {
        let is_shown = |key: &StoredKey| match self.scope {
            KeyScope::Stored => key.is_stored(),
            KeyScope::All => true,
            KeyScope::NotStored => !key.is_stored(),
            KeyScope::Revoked => self.revoked_hashes.contains(&key.hash),
        };
        let filter = self.filter.text();
        self.rows = filter_keys(self.all_keys(), &self.sorted, filter, is_shown, now);
        let stored_keys = self.stored_keys();
        self.has_several_stores =
            stored_keys.windows(2).any(|pair| pair[0].location != pair[1].location);
        let keys = self.all_keys();
        let widths = self.rows.iter().map(|row| keys[*row].label.as_str().width());
        let longest = widths.max().and_then(|width| u16::try_from(width).ok());
        self.longest_label = longest.unwrap_or(MAX_LABEL_WIDTH).min(MAX_LABEL_WIDTH);
        let row = index.and_then(|index| self.rows.iter().position(|row| *row == index));
        self.select_row(row.unwrap_or(self.selected_row));
        // The selected row may now show another key.
        let selected = self.selected_key().map(|key| &key.hash);
        if self.revealed_key.as_ref().is_some_and(|revealed| Some(&revealed.hash) != selected) {
            self.hide_revealed_key();
        }
    }

    /// Returns the stored keys at these indexes of `keys`.
    pub fn stored_keys_at<'a>(
        &'a self,
        indexes: &'a [usize],
    ) -> impl Iterator<Item = (usize, &'a StoredKey)> {
        let keys = self.stored_keys();
        indexes.iter().filter_map(|index| Some((*index, keys.get(*index)?)))
    }

    /// Reveals a key among its details for `REVEAL_DURATION`.
    pub fn reveal_key(&mut self, hash: String, key: ApiKey, now: Timestamp) {
        self.revealed_key = now
            .checked_add(REVEAL_DURATION)
            .ok()
            .map(|revealed_until| RevealedKey { hash, key, revealed_until });
    }

    /// Hides the revealed key and ignores a secret that is still being read.
    pub fn hide_revealed_key(&mut self) {
        self.revealed_key = None;
        self.secret_ticket = None;
    }

    /// Hides the revealed key when its time is over.
    pub fn hide_when_expired(&mut self, now: Timestamp) {
        self.revealed_key = self
            .revealed_key
            .take()
            .filter(|is_shown| is_reveal_active(is_shown.revealed_until, now));
    }

    /// Returns the seconds until a time shown among `page_size` rows changes.
    pub fn seconds_until_change(&self, now: Timestamp, page_size: usize) -> Option<i64> {
        if self.revealed_key.is_some() {
            return Some(1);
        }
        self.visible_keys(page_size)
            .flat_map(|(_, key)| [key.expires_at().value(), key.next_reset(now)])
            .flatten()
            .map(|at| seconds_until_relative_time_changes(now, at))
            .min()
    }
}
