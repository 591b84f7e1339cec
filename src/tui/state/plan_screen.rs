//! A plan on screen: where it lies, what would become of each of its keys, and what became of it.
//! Must not know: files, or how a key is cut.

use super::message::Ticket;
use super::text_field::TextField;
use crate::domain::{KeyRequest, Label, StoredKey, UserError};

/// What becomes, or became, of one key of a plan.
#[derive(Clone, Debug)]
pub enum PlanStatus {
    /// It is missing: to be cut.
    ToCreate,
    /// It was cut and is stored; its masked form.
    Created(String),
    /// It is held as planned.
    Unchanged,
    /// It is held otherwise, in words; it stays as it is.
    Differs(String),
    /// It was not cut, or may not be.
    Failed(UserError),
}

/// One key of a plan.
#[derive(Clone, Debug)]
pub struct PlannedKey {
    /// What the plan asks for.
    pub request: KeyRequest,
    /// What comes of it.
    pub status: PlanStatus,
}

/// A plan that was read and compared with what is held.
#[derive(Clone, Debug)]
pub struct PlanComparison {
    /// Its keys, in its order.
    pub keys: Vec<PlannedKey>,
    /// The road on which those that are missing are cut, in words.
    pub auth_description: String,
}

/// The state of the plan's screen.
#[derive(Clone, Debug)]
pub struct PlanScreen {
    /// Where it lies.
    pub path_field: TextField,
    /// The reading that is waited for.
    pub load_ticket: Option<Ticket>,
    /// Why it cannot be applied, a line each.
    pub problems: Vec<String>,
    /// What it holds, once it was read.
    pub comparison: Option<PlanComparison>,
    /// Whose turn it is, while it is applied: a place among its keys.
    pub current_index: Option<usize>,
    /// Whether no further key is wanted.
    pub is_stopping: bool,
    /// Whether it was applied, to its end or not.
    pub is_finished: bool,
    /// The first line that is shown.
    pub first_line: usize,
}

impl Default for PlanScreen {
    /// Nothing read yet.
    fn default() -> Self {
        Self {
            path_field: TextField::prefilled("keys.toml"),
            load_ticket: None,
            problems: Vec::new(),
            comparison: None,
            current_index: None,
            is_stopping: false,
            is_finished: false,
            first_line: 0,
        }
    }
}

impl PlanScreen {
    /// Its keys, as far as they are known.
    pub fn planned_keys(&self) -> &[PlannedKey] {
        self.comparison.as_ref().map_or(&[], |compared| &compared.keys)
    }

    /// What is missing.
    pub fn missing_requests(&self) -> Vec<KeyRequest> {
        let missing =
            self.planned_keys().iter().filter(|key| matches!(key.status, PlanStatus::ToCreate));
        missing.map(|key| key.request.clone()).collect()
    }

    /// The key whose turn it is; before the first turn the first that is missing.
    pub fn current_label(&self) -> Option<&Label> {
        let first = || {
            self.planned_keys().iter().position(|key| matches!(key.status, PlanStatus::ToCreate))
        };
        let key = self.planned_keys().get(self.current_index.or_else(first)?)?;
        Some(&key.request.label)
    }

    /// How many were cut, of how many that were or are missing.
    pub fn creation_counts(&self) -> (usize, usize) {
        let cut = self
            .planned_keys()
            .iter()
            .filter(|key| matches!(key.status, PlanStatus::Created(_)))
            .count();
        let open = |fate: &PlanStatus| matches!(fate, PlanStatus::ToCreate | PlanStatus::Failed(_));
        (cut, cut + self.planned_keys().iter().filter(|key| open(&key.status)).count())
    }

    /// That key's turn begins.
    pub fn start_item(&mut self, label: &Label) {
        self.current_index = self.planned_keys().iter().position(|key| key.request.label == *label);
    }

    /// That key's turn is over.
    pub fn finish_item(&mut self, label: &Label, result: &Result<StoredKey, UserError>) {
        let Some(compared) = &mut self.comparison else { return };
        let planned = compared.keys.iter_mut().find(|key| key.request.label == *label);
        if let Some(planned) = planned {
            planned.status = match result {
                Ok(held) => PlanStatus::Created(held.masked.clone()),
                Err(trouble) => PlanStatus::Failed(trouble.clone()),
            };
        }
    }
}
