//! The list of held keys: which is selected, what is shown of it. Must not know: where keys lie.

use jiff::Timestamp;

use super::message::Ticket;
use super::reveal::MOMENT;
use crate::key::{ApiKey, HeldKey, Label, Trouble, Unresolved, span_changes};

/// Rows of the screen that are not rows of the list: header, column titles, rules, footer.
const CHROME: usize = 6;

/// What is known of the list.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Being read.
    Loading,
    /// In the order in which they were cut.
    Loaded(Vec<HeldKey>),
    /// It could not be read.
    Failed(Trouble),
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
    /// The row of the selected key.
    pub selected: usize,
    /// Whether everything known of the selected key is shown.
    pub details: bool,
    /// The key that is shown in clear.
    pub shown: Option<Shown>,
    /// What may have been issued and was not received.
    pub unresolved: Vec<Unresolved>,
    /// The list that is waited for.
    pub loading: Option<Ticket>,
    /// The key that is waited for.
    pub awaited: Option<Ticket>,
}

impl Dashboard {
    /// Nothing known yet.
    pub(super) const fn new() -> Self {
        Self {
            keys: Keys::Loading,
            selected: 0,
            details: false,
            shown: None,
            unresolved: Vec::new(),
            loading: None,
            awaited: None,
        }
    }

    /// The keys, as far as they are known.
    pub fn held(&self) -> &[HeldKey] {
        match &self.keys {
            Keys::Loaded(keys) => keys,
            Keys::Loading | Keys::Failed(_) => &[],
        }
    }

    /// The selected key.
    pub fn current(&self) -> Option<&HeldKey> {
        self.held().get(self.selected)
    }

    /// Takes in a list that was read; the selection stays on its key.
    pub fn load(&mut self, keys: Result<Vec<HeldKey>, Trouble>) {
        let selected = self.current().map(|held| held.hash.clone());
        self.keys = match keys {
            Ok(keys) => Keys::Loaded(keys),
            Err(trouble) => Keys::Failed(trouble),
        };
        self.select(|held| Some(&held.hash) == selected.as_ref());
    }

    /// Adds a key that was just stored, and selects it.
    pub fn add(&mut self, new: HeldKey) {
        let hash = new.hash.clone();
        if let Keys::Loaded(keys) = &mut self.keys {
            match keys.iter_mut().find(|held| held.label == new.label) {
                Some(there) => *there = new,
                None => keys.push(new),
            }
        }
        self.select(|held| held.hash == hash);
    }

    /// Takes out a key that was forgotten.
    pub fn remove(&mut self, label: &Label) {
        if let Keys::Loaded(keys) = &mut self.keys {
            keys.retain(|held| held.label != *label);
        }
        self.to(self.selected);
    }

    fn select(&mut self, wanted: impl Fn(&HeldKey) -> bool) {
        let row = self.held().iter().position(wanted);
        self.to(row.unwrap_or(self.selected));
    }

    /// Moves the selection by rows.
    pub fn go(&mut self, by: isize) {
        self.to(self.selected.saturating_add_signed(by));
    }

    /// Selects the row, or the last one.
    pub fn to(&mut self, row: usize) {
        let row = row.min(self.held().len().saturating_sub(1));
        if row != self.selected {
            self.shown = None;
        }
        self.selected = row;
    }

    /// Keys on one page of a terminal with that many rows. The list moves by whole pages: a step
    /// within one repaints two rows.
    pub fn page(&self, terminal_rows: u16) -> usize {
        let chrome = CHROME + usize::from(!self.unresolved.is_empty());
        usize::from(terminal_rows).saturating_sub(chrome).max(1)
    }

    /// Shows a key for a moment, among its details: the list has no room for it.
    pub fn show(&mut self, label: Label, key: ApiKey, now: Timestamp) {
        self.details = true;
        self.shown = now.checked_add(MOMENT).ok().map(|until| Shown { label, key, until });
    }

    /// Hides what was shown for long enough.
    pub fn tick(&mut self, now: Timestamp) {
        self.shown = self.shown.take().filter(|shown| shown.until > now);
    }

    /// Seconds until something on the list changes of itself.
    pub fn changes_in(&self, now: Timestamp) -> Option<i64> {
        if self.shown.is_some() {
            return Some(1);
        }
        self.held()
            .iter()
            .flat_map(|held| {
                let reset = held.reset().and_then(|reset| reset.next(now));
                [held.expires_at(), reset]
            })
            .flatten()
            .map(|at| span_changes(now, at))
            .min()
    }
}
