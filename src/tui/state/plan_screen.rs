//! State of the screen that loads, shows and applies a plan.

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{ActionResult, KeyRequest, Label, StoredKey, UserError};

/// The status of one key of a plan.
#[derive(Clone, Debug)]
pub enum PlanStatus {
    /// The key is missing and will be created.
    ToCreate,
    /// The key was created and stored; contains its masked form.
    Created(String),
    /// The key is stored as planned.
    Unchanged,
    /// The stored key differs from the plan and stays as it is; contains the differences.
    Differs(String),
    /// The key was not created.
    Failed(UserError),
}

/// One key of a plan.
#[derive(Clone, Debug)]
pub struct PlannedKey {
    /// The planned key.
    pub request: KeyRequest,
    /// Its status.
    pub status: PlanStatus,
}

/// A plan compared with the stored keys.
#[derive(Clone, Debug)]
pub struct PlanComparison {
    /// The keys in the order of the plan.
    pub keys: Vec<PlannedKey>,
    /// How the creation of the missing keys is authorised, as shown to people.
    pub auth_description: String,
}

/// State of the plan screen.
#[derive(Clone, Debug)]
pub struct PlanScreen {
    /// The path of the plan.
    pub path_field: TextField,
    /// The ticket of the plan being loaded.
    pub load_ticket: Option<Ticket>,
    /// Why the plan cannot be applied, one problem per line.
    pub problems: Vec<String>,
    /// The comparison, once the plan is loaded.
    pub comparison: Option<PlanComparison>,
    /// The index of the key being created, while the plan is applied.
    pub current_index: Option<usize>,
    /// Whether to stop after the current key.
    pub is_stopping: bool,
    /// The first visible line.
    pub first_line: usize,
}

impl Default for PlanScreen {
    /// Returns the screen before a plan is loaded.
    fn default() -> Self {
        Self {
            path_field: TextField::prefilled("keys.toml"),
            load_ticket: None,
            problems: Vec::new(),
            comparison: None,
            current_index: None,
            is_stopping: false,
            first_line: 0,
        }
    }
}

impl PlanScreen {
    /// Returns the keys of the plan; empty before it is loaded.
    pub fn planned_keys(&self) -> &[PlannedKey] {
        self.comparison.as_ref().map_or(&[], |comparison| &comparison.keys)
    }

    /// Returns the missing keys.
    pub fn missing_requests(&self) -> Vec<KeyRequest> {
        let missing =
            self.planned_keys().iter().filter(|key| matches!(key.status, PlanStatus::ToCreate));
        missing.map(|key| key.request.clone()).collect()
    }

    /// Returns what became of the keys that were to be created.
    pub fn results(&self) -> Vec<ActionResult> {
        let result = |PlannedKey { request: KeyRequest { label, .. }, status }: &PlannedKey| {
            let (succeeded, message) = match status {
                PlanStatus::Unchanged | PlanStatus::Differs(_) => return None,
                PlanStatus::Created(masked) => (true, format!("'{label}' is stored ({masked})")),
                PlanStatus::Failed(error) => {
                    (false, format!("'{label}' was not created: {}", error.one_line()))
                }
                PlanStatus::ToCreate => {
                    (false, format!("'{label}' was not started; apply the plan again"))
                }
            };
            Some(ActionResult { succeeded, message })
        };
        self.planned_keys().iter().filter_map(result).collect()
    }

    /// Returns the label of the current key, or of the first missing key before the first one starts.
    pub fn current_label(&self) -> Option<&Label> {
        let first = || {
            self.planned_keys().iter().position(|key| matches!(key.status, PlanStatus::ToCreate))
        };
        let key = self.planned_keys().get(self.current_index.or_else(first)?)?;
        Some(&key.request.label)
    }

    /// Returns how many keys were created, and how many were missing in total.
    pub fn creation_counts(&self) -> (usize, usize) {
        let created = self
            .planned_keys()
            .iter()
            .filter(|key| matches!(key.status, PlanStatus::Created(_)))
            .count();
        let open =
            |status: &PlanStatus| matches!(status, PlanStatus::ToCreate | PlanStatus::Failed(_));
        (created, created + self.planned_keys().iter().filter(|key| open(&key.status)).count())
    }

    /// Records that the creation of a key started.
    pub fn start_item(&mut self, label: &Label) {
        self.current_index = self.planned_keys().iter().position(|key| key.request.label == *label);
    }

    /// Records the result of a key.
    pub fn finish_item(&mut self, label: &Label, result: &Result<StoredKey, UserError>) {
        let Some(comparison) = &mut self.comparison else { return };
        let planned = comparison.keys.iter_mut().find(|key| key.request.label == *label);
        if let Some(planned) = planned {
            planned.status = match result {
                Ok(key) => PlanStatus::Created(key.masked.clone()),
                Err(error) => PlanStatus::Failed(error.clone()),
            };
        }
    }
}
