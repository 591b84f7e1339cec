//! The list of keys: which are listed, which is selected, what is shown of it. Must not know: where
//! keys lie.

mod account;
mod usage;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::field::Field;
use super::message::Ticket;
use super::new_key_screen::{MOMENT, goes_on};
use super::sort_filter::{Sort, order};
use crate::domain::{
    ApiKey, CheckResult, KeyState, Label, StoredKey, UnresolvedAttempt, UsageSample, UserError,
    seconds_until_relative_time_changes,
};
pub use account::Scope;

/// Rows of the screen that are not rows of the list: header, column titles, rules, notice, footer.
const CHROME: u16 = 6;

/// Columns from which the details stand beside the list.
pub const WIDE: u16 = 140;

/// The screen's row of the first key, without the line of warnings.
const FIRST_ROW: u16 = 3;

/// What is known of the list.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Being read.
    Loading,
    /// Those held here in the order in which they were cut, then the account's others.
    Loaded(Vec<StoredKey>),
    /// It could not be read.
    Failed(UserError),
}

/// A key shown in clear for a moment.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whose it is.
    pub label: Label,
    /// The key.
    pub key: ApiKey,
    /// Until then.
    pub until: Timestamp,
}

/// The state of the list.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The keys.
    pub keys: Keys,
    /// Those that are listed, in their order: places in `keys`.
    pub rows: Vec<usize>,
    /// Which of them are listed at all.
    pub scope: Scope,
    /// Hashes of held keys that the account no longer knows.
    pub gone: HashSet<String>,
    /// The account's list that is waited for.
    pub reading: Option<Ticket>,
    /// What they are ordered by.
    pub sort: Sort,
    /// Whether that order is turned round.
    pub reversed: bool,
    /// What their labels must match.
    pub filter: Field,
    /// Whether it is being typed.
    pub filtering: bool,
    /// The listed row of the selected key.
    pub selected: usize,
    /// The hashes of the keys that the next action is for; none: the selected one.
    pub marked: HashSet<String>,
    /// Whether everything known of the selected key is shown.
    pub details: bool,
    /// The key that is shown in clear.
    pub shown: Option<Shown>,
    /// What may have been issued and was not received.
    pub unresolved: Vec<UnresolvedAttempt>,
    /// The list that is waited for.
    pub loading: Option<Ticket>,
    /// The key that is waited for.
    pub awaited: Option<Ticket>,
    /// Keys that want something done, the most urgent first: places in `keys`.
    pub wanting: Vec<(usize, KeyState)>,
    /// What some keys had spent, by hash: of the selected one, and of those that are to retire.
    pub past: HashMap<String, Vec<UsageSample>>,
    /// The past that is waited for.
    pub recalling: Option<Ticket>,
    past_grew: bool,
    /// Hashes of replaced keys whose deletion was begun.
    pub let_go: HashSet<String>,
    /// How many of the keys are held here.
    here: usize,
    /// Places of the keys in the order of their hashes.
    by_hash: Vec<usize>,
}

impl Dashboard {
    /// Nothing known yet.
    pub(super) fn new() -> Self {
        Self {
            keys: Keys::Loading,
            rows: Vec::new(),
            scope: Scope::default(),
            gone: HashSet::new(),
            reading: None,
            here: 0,
            let_go: HashSet::new(),
            past: HashMap::new(),
            recalling: None,
            past_grew: false,
            sort: Sort::default(),
            reversed: false,
            filter: Field::default(),
            filtering: false,
            selected: 0,
            marked: HashSet::new(),
            details: false,
            shown: None,
            unresolved: Vec::new(),
            loading: None,
            awaited: None,
            wanting: Vec::new(),
            by_hash: Vec::new(),
        }
    }

    /// The keys held here, as far as they are known.
    pub fn held(&self) -> &[StoredKey] {
        &self.all()[..self.here]
    }

    /// Those, then the account's others.
    pub fn all(&self) -> &[StoredKey] {
        match &self.keys {
            Keys::Loaded(keys) => keys,
            Keys::Loading | Keys::Failed(_) => &[],
        }
    }

    /// The selected key.
    pub fn current(&self) -> Option<&StoredKey> {
        self.all().get(*self.rows.get(self.selected)?)
    }

    /// The keys that an action is for: those that are marked, else the selected one.
    pub fn chosen(&self) -> Vec<&StoredKey> {
        if self.marked.is_empty() {
            return self.current().into_iter().collect();
        }
        self.all().iter().filter(|held| self.marked.contains(&held.hash)).collect()
    }

    /// The key with that hash.
    pub fn find(&self, hash: &str) -> Option<&StoredKey> {
        self.all().get(self.place(hash)?)
    }

    /// Where the key with that hash is among all.
    fn place(&self, hash: &str) -> Option<usize> {
        let keys = self.all();
        let order = |place: &usize| keys.get(*place).map_or("", |held| &held.hash).cmp(hash);
        self.by_hash.binary_search_by(order).ok().map(|at| self.by_hash[at])
    }

    /// Marks the selected key, or takes its mark, and goes on to the next.
    pub fn mark(&mut self) {
        let Some(hash) = self.current().map(|held| held.hash.clone()) else { return };
        if !self.marked.remove(&hash) {
            self.marked.insert(hash);
        }
        self.go(1);
    }

    /// Takes in a list that was read; the selection stays on its key.
    pub fn load(&mut self, keys: Result<Vec<StoredKey>, UserError>, now: Timestamp) {
        let selected = self.current().map(|held| held.hash.clone());
        let others = self.all()[self.here..].to_vec();
        self.here = 0;
        self.keys = match keys {
            Ok(mut keys) => {
                self.here = keys.len();
                if !others.is_empty() {
                    let held: HashSet<_> = keys.iter().map(|held| held.hash.clone()).collect();
                    keys.extend(others.into_iter().filter(|other| !held.contains(&other.hash)));
                }
                Keys::Loaded(keys)
            }
            Err(trouble) => Keys::Failed(trouble),
        };
        self.arrange_around(selected, now);
    }

    /// Adds a key that was just stored, and selects it.
    pub fn add(&mut self, new: StoredKey, now: Timestamp) {
        let hash = new.hash.clone();
        if let Keys::Loaded(keys) = &mut self.keys {
            let place = keys[..self.here].iter().position(|held| held.label == new.label);
            if let Some(place) = place {
                keys[place] = new;
            } else {
                // It may have been listed as the account's.
                keys.retain(|row| row.is_stored() || row.hash != new.hash);
                keys.insert(self.here, new);
                self.here += 1;
            }
        }
        self.arrange_around(Some(hash), now);
    }

    /// Takes out a key that was forgotten.
    pub fn remove(&mut self, label: &Label, now: Timestamp) {
        let selected = self.current().map(|held| held.hash.clone());
        if let Keys::Loaded(keys) = &mut self.keys {
            let before = keys.len();
            keys.retain(|held| !held.is_stored() || held.label != *label);
            self.here -= before - keys.len();
        }
        self.arrange_around(selected, now);
    }

    /// Takes in what a key said about itself; no row moves.
    pub fn note(&mut self, hash: &str, read: &CheckResult, at: Timestamp) {
        let place = self.place(hash);
        if let (Keys::Loaded(keys), Some(place)) = (&mut self.keys, place) {
            keys[place].record_check(read, at);
        }
    }

    /// Orders the list by something else.
    pub fn sort_by(&mut self, sort: Sort, now: Timestamp) {
        self.reversed = self.sort == sort && !self.reversed;
        self.sort = sort;
        self.arrange(now);
    }

    /// Lists and orders the keys anew; the selection stays on its key.
    pub fn arrange(&mut self, now: Timestamp) {
        self.order(self.rows.get(self.selected).copied(), now);
    }

    /// Other keys are there than before, or in other places.
    fn arrange_around(&mut self, hash: Option<String>, now: Timestamp) {
        let keys = self.all();
        let mut by_hash: Vec<usize> = (0..keys.len()).collect();
        by_hash.sort_unstable_by(|a, b| keys[*a].hash.cmp(&keys[*b].hash));
        self.by_hash = by_hash;
        let marked = std::mem::take(&mut self.marked);
        self.marked = marked.into_iter().filter(|hash| self.place(hash).is_some()).collect();
        self.order(hash.and_then(|hash| self.place(&hash)), now);
        self.look(now);
    }

    /// Lists them anew, the selection on the key at that place.
    fn order(&mut self, place: Option<usize>, now: Timestamp) {
        let shown = |held: &StoredKey| match self.scope {
            Scope::Here => held.is_stored(),
            Scope::All => true,
            Scope::Elsewhere => !held.is_stored(),
            Scope::Gone => self.gone.contains(&held.hash),
        };
        self.rows = order(self.all(), self.sort, self.reversed, self.filter.text(), shown, now);
        let row = place.and_then(|place| self.rows.iter().position(|row| *row == place));
        self.to(row.unwrap_or(self.selected));
    }

    /// Moves the selection by rows.
    pub fn go(&mut self, by: isize) {
        self.to(self.selected.saturating_add_signed(by));
    }

    /// Selects the row, or the last one.
    pub fn to(&mut self, row: usize) {
        let row = row.min(self.rows.len().saturating_sub(1));
        if row != self.selected {
            self.hide();
        }
        self.selected = row;
    }

    /// Keys on one page of a terminal with that many rows. The list moves by whole pages: a step
    /// within one repaints two rows.
    pub fn page(&self, terminal_rows: u16) -> usize {
        // The line of warnings has its place even when there are none: rows keep theirs.
        usize::from(terminal_rows.saturating_sub(CHROME + 1).max(1))
    }

    /// The listed row at that row of the screen.
    pub fn row_at(&self, screen_row: u16, terminal_rows: u16) -> Option<usize> {
        let page = self.page(terminal_rows);
        let below = usize::from(screen_row.checked_sub(FIRST_ROW + 1)?);
        let row = self.selected / page * page + below;
        (below < page && row < self.rows.len()).then_some(row)
    }

    /// Looks anew for the keys that want something done.
    pub fn look(&mut self, now: Timestamp) {
        const URGENT: [KeyState; 5] = [
            KeyState::LimitReached,
            KeyState::Rejected,
            KeyState::Low,
            KeyState::Expired,
            KeyState::Expiring,
        ];
        let states = self.held().iter().map(|held| held.state(now)).enumerate();
        let mut wanting: Vec<_> = states.filter(|(_, state)| URGENT.contains(state)).collect();
        wanting.sort_by_key(|(_, state)| URGENT.iter().position(|word| word == state));
        self.wanting = wanting;
    }

    /// Shows a key for a moment, among its details: the list has no room for it.
    pub fn show(&mut self, label: Label, key: ApiKey, now: Timestamp) {
        self.details = true;
        self.shown = now.checked_add(MOMENT).ok().map(|until| Shown { label, key, until });
    }

    /// Hides what is shown, and wants nothing more of the vault.
    pub fn hide(&mut self) {
        self.shown = None;
        self.awaited = None;
    }

    /// Hides what was shown for long enough.
    pub fn tick(&mut self, now: Timestamp) {
        self.shown = self.shown.take().filter(|shown| goes_on(shown.until, now));
    }

    /// Seconds until something that is listed on this page changes of itself.
    pub fn changes_in(&self, now: Timestamp, terminal_rows: u16) -> Option<i64> {
        if self.shown.is_some() {
            return Some(1);
        }
        self.visible(terminal_rows)
            .flat_map(|(_, held)| {
                let reset = held.reset().and_then(|reset| reset.next_after(now));
                [held.expires_at(), reset]
            })
            .flatten()
            .map(|at| seconds_until_relative_time_changes(now, at))
            .min()
    }

    /// The page with the selected key: listed rows and their keys.
    pub fn visible(&self, terminal_rows: u16) -> impl Iterator<Item = (usize, &StoredKey)> {
        let page = self.page(terminal_rows);
        let first = self.selected / page * page;
        let keys = self.all();
        let rows = self.rows.iter().enumerate().skip(first).take(page);
        rows.filter_map(|(row, place)| Some((row, keys.get(*place)?)))
    }
}
