//! The list of keys: which are listed, which is selected, what is shown of it. Must not know: where
//! keys lie.

mod account;
mod usage;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::message::Ticket;
use super::new_key_screen::{REVEAL_DURATION, is_reveal_active};
use super::sort_filter::{SortOrder, sort_and_filter};
use super::text_field::TextField;
use crate::domain::{
    ApiKey, CheckResult, KeyState, Label, StoredKey, UnresolvedAttempt, UsageSample, UserError,
    seconds_until_relative_time_changes,
};
pub use account::KeyScope;

/// Rows of the screen that are not rows of the list: header, column titles, rules, notice, footer.
const RESERVED_ROWS: u16 = 6;

/// Columns from which the details stand beside the list.
pub const SIDE_DETAILS_MIN_COLUMNS: u16 = 140;

/// The screen's row of the first key, without the line of warnings.
const FIRST_KEY_ROW: u16 = 3;

/// What is known of the list.
#[derive(Clone, Debug)]
pub enum KeyList {
    /// Being read.
    Loading,
    /// Those held here in the order in which they were cut, then the account's others.
    Loaded(Vec<StoredKey>),
    /// It could not be read.
    Failed(UserError),
}

/// A key shown in clear for a moment.
#[derive(Clone, Debug)]
pub struct RevealedKey {
    /// Whose it is.
    pub label: Label,
    /// The key.
    pub key: ApiKey,
    /// Until then.
    pub revealed_until: Timestamp,
}

/// The state of the list.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The keys.
    pub keys: KeyList,
    /// Those that are listed, in their order: places in `keys`.
    pub rows: Vec<usize>,
    /// Which of them are listed at all.
    pub scope: KeyScope,
    /// Hashes of held keys that the account no longer knows.
    pub revoked_hashes: HashSet<String>,
    /// The account's list that is waited for.
    pub account_keys_ticket: Option<Ticket>,
    /// What they are ordered by.
    pub sort_order: SortOrder,
    /// Whether that order is turned round.
    pub is_reversed: bool,
    /// What their labels must match.
    pub filter: TextField,
    /// Whether it is being typed.
    pub is_filtering: bool,
    /// The listed row of the selected key.
    pub selected_row: usize,
    /// The hashes of the keys that the next action is for; none: the selected one.
    pub marked_hashes: HashSet<String>,
    /// Whether everything known of the selected key is shown.
    pub are_details_shown: bool,
    /// The key that is shown in clear.
    pub revealed_key: Option<RevealedKey>,
    /// What may have been issued and was not received.
    pub unresolved_attempts: Vec<UnresolvedAttempt>,
    /// The list that is waited for.
    pub load_ticket: Option<Ticket>,
    /// The key that is waited for.
    pub secret_ticket: Option<Ticket>,
    /// Keys that want something done, the most urgent first: places in `keys`.
    pub attention_list: Vec<(usize, KeyState)>,
    /// What some keys had spent, by hash: of the selected one, and of those that are to retire.
    pub usage_history: HashMap<String, Vec<UsageSample>>,
    /// The past that is waited for.
    pub usage_history_ticket: Option<Ticket>,
    is_usage_history_stale: bool,
    /// Hashes of replaced keys whose deletion was begun.
    pub revoking_hashes: HashSet<String>,
    /// How many of the keys are held here.
    stored_count: usize,
    /// Places of the keys in the order of their hashes.
    hash_index: Vec<usize>,
}

impl Dashboard {
    /// Nothing known yet.
    pub(super) fn new() -> Self {
        Self {
            keys: KeyList::Loading,
            rows: Vec::new(),
            scope: KeyScope::default(),
            revoked_hashes: HashSet::new(),
            account_keys_ticket: None,
            stored_count: 0,
            revoking_hashes: HashSet::new(),
            usage_history: HashMap::new(),
            usage_history_ticket: None,
            is_usage_history_stale: false,
            sort_order: SortOrder::default(),
            is_reversed: false,
            filter: TextField::default(),
            is_filtering: false,
            selected_row: 0,
            marked_hashes: HashSet::new(),
            are_details_shown: false,
            revealed_key: None,
            unresolved_attempts: Vec::new(),
            load_ticket: None,
            secret_ticket: None,
            attention_list: Vec::new(),
            hash_index: Vec::new(),
        }
    }

    /// The keys held here, as far as they are known.
    pub fn stored_keys(&self) -> &[StoredKey] {
        &self.all_keys()[..self.stored_count]
    }

    /// Those, then the account's others.
    pub fn all_keys(&self) -> &[StoredKey] {
        match &self.keys {
            KeyList::Loaded(keys) => keys,
            KeyList::Loading | KeyList::Failed(_) => &[],
        }
    }

    /// The selected key.
    pub fn selected_key(&self) -> Option<&StoredKey> {
        self.all_keys().get(*self.rows.get(self.selected_row)?)
    }

    /// The keys that an action is for: those that are marked, else the selected one.
    pub fn target_keys(&self) -> Vec<&StoredKey> {
        if self.marked_hashes.is_empty() {
            return self.selected_key().into_iter().collect();
        }
        self.all_keys().iter().filter(|held| self.marked_hashes.contains(&held.hash)).collect()
    }

    /// The key with that hash.
    pub fn find_key(&self, hash: &str) -> Option<&StoredKey> {
        self.all_keys().get(self.index_of_hash(hash)?)
    }

    /// Where the key with that hash is among all.
    fn index_of_hash(&self, hash: &str) -> Option<usize> {
        let keys = self.all_keys();
        let order = |place: &usize| keys.get(*place).map_or("", |held| &held.hash).cmp(hash);
        self.hash_index.binary_search_by(order).ok().map(|at| self.hash_index[at])
    }

    /// Marks the selected key, or takes its mark, and goes on to the next.
    pub fn toggle_mark(&mut self) {
        let Some(hash) = self.selected_key().map(|held| held.hash.clone()) else { return };
        if !self.marked_hashes.remove(&hash) {
            self.marked_hashes.insert(hash);
        }
        self.move_selection(1);
    }

    /// Takes in a list that was read; the selection stays on its key.
    pub fn set_keys(&mut self, keys: Result<Vec<StoredKey>, UserError>, now: Timestamp) {
        let selected = self.selected_key().map(|held| held.hash.clone());
        let others = self.all_keys()[self.stored_count..].to_vec();
        self.stored_count = 0;
        self.keys = match keys {
            Ok(mut keys) => {
                self.stored_count = keys.len();
                if !others.is_empty() {
                    let held: HashSet<_> = keys.iter().map(|held| held.hash.clone()).collect();
                    keys.extend(others.into_iter().filter(|other| !held.contains(&other.hash)));
                }
                KeyList::Loaded(keys)
            }
            Err(trouble) => KeyList::Failed(trouble),
        };
        self.reindex_keys(selected, now);
    }

    /// Adds a key that was just stored, and selects it.
    pub fn upsert_key(&mut self, new: StoredKey, now: Timestamp) {
        let hash = new.hash.clone();
        if let KeyList::Loaded(keys) = &mut self.keys {
            let place = keys[..self.stored_count].iter().position(|held| held.label == new.label);
            if let Some(place) = place {
                keys[place] = new;
            } else {
                // It may have been listed as the account's.
                keys.retain(|row| row.is_stored() || row.hash != new.hash);
                keys.insert(self.stored_count, new);
                self.stored_count += 1;
            }
        }
        self.reindex_keys(Some(hash), now);
    }

    /// Takes out a key that was forgotten.
    pub fn remove_key(&mut self, label: &Label, now: Timestamp) {
        let selected = self.selected_key().map(|held| held.hash.clone());
        if let KeyList::Loaded(keys) = &mut self.keys {
            let before = keys.len();
            keys.retain(|held| !held.is_stored() || held.label != *label);
            self.stored_count -= before - keys.len();
        }
        self.reindex_keys(selected, now);
    }

    /// Takes in what a key said about itself; no row moves.
    pub fn record_check(&mut self, hash: &str, read: &CheckResult, at: Timestamp) {
        let place = self.index_of_hash(hash);
        if let (KeyList::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place].record_check(read, at);
        }
    }

    /// Orders the list by something else.
    pub fn set_sort_order(&mut self, sort: SortOrder, now: Timestamp) {
        self.is_reversed = self.sort_order == sort && !self.is_reversed;
        self.sort_order = sort;
        self.update_rows(now);
    }

    /// Lists and orders the keys anew; the selection stays on its key.
    pub fn update_rows(&mut self, now: Timestamp) {
        self.rebuild_rows(self.rows.get(self.selected_row).copied(), now);
    }

    /// Other keys are there than before, or in other places.
    fn reindex_keys(&mut self, hash: Option<String>, now: Timestamp) {
        let keys = self.all_keys();
        let mut by_hash: Vec<usize> = (0..keys.len()).collect();
        by_hash.sort_unstable_by(|a, b| keys[*a].hash.cmp(&keys[*b].hash));
        self.hash_index = by_hash;
        let marked = std::mem::take(&mut self.marked_hashes);
        self.marked_hashes =
            marked.into_iter().filter(|hash| self.index_of_hash(hash).is_some()).collect();
        self.rebuild_rows(hash.and_then(|hash| self.index_of_hash(&hash)), now);
        self.update_attention_list(now);
    }

    /// Lists them anew, the selection on the key at that place.
    fn rebuild_rows(&mut self, place: Option<usize>, now: Timestamp) {
        let shown = |held: &StoredKey| match self.scope {
            KeyScope::Stored => held.is_stored(),
            KeyScope::All => true,
            KeyScope::NotStored => !held.is_stored(),
            KeyScope::Revoked => self.revoked_hashes.contains(&held.hash),
        };
        self.rows = sort_and_filter(
            self.all_keys(),
            self.sort_order,
            self.is_reversed,
            self.filter.text(),
            shown,
            now,
        );
        let row = place.and_then(|place| self.rows.iter().position(|row| *row == place));
        self.select_row(row.unwrap_or(self.selected_row));
    }

    /// Moves the selection by rows.
    pub fn move_selection(&mut self, by: isize) {
        self.select_row(self.selected_row.saturating_add_signed(by));
    }

    /// Selects the row, or the last one.
    pub fn select_row(&mut self, row: usize) {
        let row = row.min(self.rows.len().saturating_sub(1));
        if row != self.selected_row {
            self.hide_revealed_key();
        }
        self.selected_row = row;
    }

    /// Keys on one page of a terminal with that many rows. The list moves by whole pages: a step
    /// within one repaints two rows.
    pub fn page_size(&self, terminal_rows: u16) -> usize {
        // The line of warnings has its place even when there are none: rows keep theirs.
        usize::from(terminal_rows.saturating_sub(RESERVED_ROWS + 1).max(1))
    }

    /// The listed row at that row of the screen.
    pub fn row_at(&self, screen_row: u16, terminal_rows: u16) -> Option<usize> {
        let page = self.page_size(terminal_rows);
        let below = usize::from(screen_row.checked_sub(FIRST_KEY_ROW + 1)?);
        let row = self.selected_row / page * page + below;
        (below < page && row < self.rows.len()).then_some(row)
    }

    /// Looks anew for the keys that want something done.
    pub fn update_attention_list(&mut self, now: Timestamp) {
        let states = self.stored_keys().iter().map(|held| held.state(now)).enumerate();
        let mut keys: Vec<_> = states.filter(|(_, state)| state.needs_attention()).collect();
        keys.sort_by_key(|(_, state)| state.urgency_rank());
        self.attention_list = keys;
    }

    /// Shows a key for a moment, among its details: the list has no room for it.
    pub fn reveal_key(&mut self, label: Label, key: ApiKey, now: Timestamp) {
        self.are_details_shown = true;
        self.revealed_key = now.checked_add(REVEAL_DURATION).ok().map(|until| RevealedKey {
            label,
            key,
            revealed_until: until,
        });
    }

    /// Hides what is shown, and wants nothing more of the vault.
    pub fn hide_revealed_key(&mut self) {
        self.revealed_key = None;
        self.secret_ticket = None;
    }

    /// Hides what was shown for long enough.
    pub fn hide_when_expired(&mut self, now: Timestamp) {
        self.revealed_key =
            self.revealed_key.take().filter(|shown| is_reveal_active(shown.revealed_until, now));
    }

    /// Seconds until something that is listed on this page changes of itself.
    pub fn seconds_until_change(&self, now: Timestamp, terminal_rows: u16) -> Option<i64> {
        if self.revealed_key.is_some() {
            return Some(1);
        }
        self.visible_keys(terminal_rows)
            .flat_map(|(_, held)| {
                let reset = held.reset().and_then(|reset| reset.next_after(now));
                [held.expires_at(), reset]
            })
            .flatten()
            .map(|at| seconds_until_relative_time_changes(now, at))
            .min()
    }

    /// The page with the selected key: listed rows and their keys.
    pub fn visible_keys(&self, terminal_rows: u16) -> impl Iterator<Item = (usize, &StoredKey)> {
        let page = self.page_size(terminal_rows);
        let first = self.selected_row / page * page;
        let keys = self.all_keys();
        let rows = self.rows.iter().enumerate().skip(first).take(page);
        rows.filter_map(|(row, place)| Some((row, keys.get(*place)?)))
    }
}
