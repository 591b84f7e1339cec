//! A plan on screen: where it lies, what would become of each of its keys, and what became of it.
//! Must not know: files, or how a key is cut.

use super::field::Field;
use super::message::Ticket;
use crate::domain::{KeyRequest, Label, StoredKey, UserError};

/// What becomes, or became, of one key of a plan.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is missing: to be cut.
    Create,
    /// It was cut and is stored; its masked form.
    Created(String),
    /// It is held as planned.
    Same,
    /// It is held otherwise, in words; it stays as it is.
    Differs(String),
    /// It was not cut, or may not be.
    Failed(UserError),
}

/// One key of a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What the plan asks for.
    pub request: KeyRequest,
    /// What comes of it.
    pub fate: Fate,
}

/// A plan that was read and compared with what is held.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Its keys, in its order.
    pub keys: Vec<Planned>,
    /// The road on which those that are missing are cut, in words.
    pub road: String,
}

/// The state of the plan's screen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it lies.
    pub path: Field,
    /// The reading that is waited for.
    pub reading: Option<Ticket>,
    /// Why it cannot be applied, a line each.
    pub problems: Vec<String>,
    /// What it holds, once it was read.
    pub compared: Option<Compared>,
    /// Whose turn it is, while it is applied: a place among its keys.
    pub at: Option<usize>,
    /// Whether no further key is wanted.
    pub stopping: bool,
    /// Whether it was applied, to its end or not.
    pub over: bool,
    /// The first line that is shown.
    pub first: usize,
}

impl Default for Plan {
    /// Nothing read yet.
    fn default() -> Self {
        Self {
            path: Field::prefilled("keys.toml"),
            reading: None,
            problems: Vec::new(),
            compared: None,
            at: None,
            stopping: false,
            over: false,
            first: 0,
        }
    }
}

impl Plan {
    /// Its keys, as far as they are known.
    pub fn keys(&self) -> &[Planned] {
        self.compared.as_ref().map_or(&[], |compared| &compared.keys)
    }

    /// What is missing.
    pub fn missing(&self) -> Vec<KeyRequest> {
        let missing = self.keys().iter().filter(|key| matches!(key.fate, Fate::Create));
        missing.map(|key| key.request.clone()).collect()
    }

    /// The key whose turn it is; before the first turn the first that is missing.
    pub fn current(&self) -> Option<&Label> {
        let first = || self.keys().iter().position(|key| matches!(key.fate, Fate::Create));
        let key = self.keys().get(self.at.or_else(first)?)?;
        Some(&key.request.label)
    }

    /// How many were cut, of how many that were or are missing.
    pub fn done(&self) -> (usize, usize) {
        let cut = self.keys().iter().filter(|key| matches!(key.fate, Fate::Created(_))).count();
        let open = |fate: &Fate| matches!(fate, Fate::Create | Fate::Failed(_));
        (cut, cut + self.keys().iter().filter(|key| open(&key.fate)).count())
    }

    /// That key's turn begins.
    pub fn turn(&mut self, label: &Label) {
        self.at = self.keys().iter().position(|key| key.request.label == *label);
    }

    /// That key's turn is over.
    pub fn end(&mut self, label: &Label, result: &Result<StoredKey, UserError>) {
        let Some(compared) = &mut self.compared else { return };
        let planned = compared.keys.iter_mut().find(|key| key.request.label == *label);
        if let Some(planned) = planned {
            planned.fate = match result {
                Ok(held) => Fate::Created(held.masked.clone()),
                Err(trouble) => Fate::Failed(trouble.clone()),
            };
        }
    }
}
