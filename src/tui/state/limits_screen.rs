//! State of the screen that edits the limits of several keys.

use tui_input::InputRequest;

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{
    AccountKey, Cents, EditableKey, FieldChange, KeyEdit, KeyUpdate, ResetInterval, StoredKey,
    UserError, ValidationError,
};

/// What would happen to one key.
#[derive(Clone, Debug)]
pub enum PlannedLimit {
    /// It is changed; the text describes how.
    Change(Box<KeyUpdate>, String),
    /// It has these values already.
    Unchanged,
    /// It cannot be changed, for this reason.
    Impossible(String),
}

/// State of the screen.
#[derive(Clone, Debug)]
pub struct LimitsScreen {
    /// The keys.
    pub keys: Vec<StoredKey>,
    /// The ticket of the account's keys being fetched.
    pub ticket: Ticket,
    /// The keys as the account has them, in the same order; `None` until they are fetched.
    pub current: Option<Vec<Result<AccountKey, UserError>>>,
    /// The limit as typed; empty keeps the limit of each key.
    pub limit: TextField,
    /// The chosen reset interval.
    pub limit_reset: FieldChange<ResetInterval>,
    /// Whether the reset has the focus, otherwise the limit.
    pub is_reset_focused: bool,
    /// Whether the changes are shown for the last time before they are sent.
    pub is_reviewed: bool,
    /// Why nothing was sent.
    pub error: Option<String>,
}

impl LimitsScreen {
    /// Returns the screen before anything is fetched.
    pub fn new(keys: Vec<StoredKey>, ticket: Ticket) -> Self {
        Self {
            keys,
            ticket,
            current: None,
            limit: TextField::default(),
            limit_reset: FieldChange::Keep,
            is_reset_focused: false,
            is_reviewed: false,
            error: None,
        }
    }

    /// Returns the typed limit.
    pub fn parse_limit(&self) -> Result<FieldChange<Cents>, ValidationError> {
        match self.limit.text().trim() {
            "" => Ok(FieldChange::Keep),
            text => Cents::parse_limit(text).map(FieldChange::from_option),
        }
    }

    /// Selects another reset interval.
    pub fn step_reset(&mut self, by: isize) {
        let choices: Vec<FieldChange<ResetInterval>> = [FieldChange::Keep, FieldChange::Clear]
            .into_iter()
            .chain(ResetInterval::ALL.into_iter().map(FieldChange::Set))
            .collect();
        let at = choices.iter().position(|choice| *choice == self.limit_reset).unwrap_or(0);
        let next = at.cast_signed().saturating_add(by).rem_euclid(choices.len().cast_signed());
        self.limit_reset = choices[next.cast_unsigned()];
    }

    /// Applies a request of a text field, or moves the choice.
    pub fn edit(&mut self, request: InputRequest) {
        match (self.is_reset_focused, request) {
            (true, InputRequest::GoToPrevChar) => self.step_reset(-1),
            (true, InputRequest::GoToNextChar) => self.step_reset(1),
            (true, _) => {}
            (false, request) => self.limit.edit(request),
        }
    }

    /// Returns what would happen to each key; `None` while the keys are fetched, or if the limit is not
    /// valid.
    pub fn plan(&self) -> Option<Vec<PlannedLimit>> {
        let edit = KeyEdit {
            limit: self.parse_limit().ok()?,
            limit_reset: self.limit_reset,
            ..KeyEdit::default()
        };
        let plan = |(key, current): (&StoredKey, &Result<AccountKey, UserError>)| match current {
            Ok(account_key) => plan_key(&edit, key, account_key),
            Err(error) => PlannedLimit::Impossible(error.message.clone()),
        };
        Some(self.keys.iter().zip(self.current.as_ref()?).map(plan).collect())
    }
}

fn plan_key(edit: &KeyEdit, key: &StoredKey, account_key: &AccountKey) -> PlannedLimit {
    let current = EditableKey { account_key: account_key.clone(), ..EditableKey::default() };
    match edit.to_update(key, Some(&current)) {
        Err(ValidationError(reason)) => PlannedLimit::Impossible(reason),
        Ok((_, differences)) if differences.is_empty() => PlannedLimit::Unchanged,
        Ok((update, differences)) => {
            let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
            PlannedLimit::Change(Box::new(update), differences.join(", "))
        }
    }
}
