//! The form that creates, edits or imports a key: its fields, their hints and their validation.

mod submit;
mod validation;

use tui_input::InputRequest;

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{AccountKey, KeyDefaults, Label, ResetInterval, StoredKey, UserError};
pub(in crate::tui) use submit::Submission;

/// The expiries to choose from; any other can be typed.
pub const EXPIRY_PRESETS: [&str; 5] = ["7d", "30d", "90d", "1y", "never"];

/// The purpose of a form.
#[derive(Clone, Debug)]
pub enum FormKind {
    /// Creates a key.
    New,
    /// Edits a key.
    Edit {
        /// The key, stored here or only in the account.
        key: Box<StoredKey>,
        /// The key at OpenRouter; `None` without a management key, and then only the label can be
        /// changed.
        account_key: Option<Box<AccountKey>>,
    },
    /// Imports an existing key.
    Import,
}

/// How the creation of a key is authorised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthChoice {
    /// By a browser callback, or by a pasted code where there is no browser.
    #[default]
    Automatic,
    /// By a code that the consent page shows and the person pastes.
    PasteCode,
    /// With an existing key, where the account allows it.
    ExistingKey(Label),
}

/// The fields of the form, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormField {
    /// The label of the key.
    Label,
    /// The credit limit in USD, or `none`.
    Limit,
    /// The reset interval of the limit.
    Reset,
    /// The expiry of the key.
    Expiry,
    /// The UUID of the workspace.
    Workspace,
    /// Whether BYOK spending counts against the limit.
    Byok,
    /// The secret of an imported key.
    ApiKey,
}

impl FormField {
    /// Returns the title of the field.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Label => "Label",
            Self::Limit => "Credit limit",
            Self::Reset => "Reset",
            Self::Expiry => "Expires",
            Self::Workspace => "Workspace",
            Self::Byok => "Own providers",
            Self::ApiKey => "Key",
        }
    }
}

/// Returns the amount without `.00`, as people type it.
fn trim_zero_cents(limit: &str) -> &str {
    limit.strip_suffix(".00").unwrap_or(limit)
}

/// The line below a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldHint {
    /// What the value means.
    Description(String),
    /// Why the value is not valid.
    Error(String),
}

/// State of the form.
#[derive(Clone, Debug)]
pub struct Form {
    /// The purpose of the form.
    pub kind: FormKind,
    /// How the new key is authorised.
    pub auth_choice: AuthChoice,
    /// The stored key that could authorise the new one.
    pub existing_key: Option<Label>,
    /// Whether a workspace can be chosen, which needs a management key.
    pub can_choose_workspace: bool,
    /// The label of the key.
    pub label: TextField,
    /// The credit limit, as typed.
    pub limit: TextField,
    /// The reset interval.
    pub limit_reset: Option<ResetInterval>,
    /// The expiry, as typed or chosen.
    pub expiry: TextField,
    /// The UUID of the workspace; empty for the default workspace.
    pub workspace_id: TextField,
    /// Whether BYOK spending counts against the limit.
    pub include_byok_in_limit: bool,
    /// The secret of the imported key, never shown.
    pub api_key: TextField,
    /// The field that has the cursor.
    pub focused_field: FormField,
    /// Fields that were left or submitted; before that, an empty label is not an error.
    visited: [bool; 7],
    /// Why the last submission failed.
    pub error: Option<UserError>,
    /// The changes to be sent, one per line. They are shown at the first submission and sent at the
    /// second.
    pub diff: Vec<String>,
    /// The ticket of the submission under way.
    pub submit_ticket: Option<Ticket>,
    used_labels: Vec<String>,
}

impl Form {
    /// Returns the form of a new key: an empty label and the default policy.
    pub fn new(stored_keys: &[StoredKey], defaults: &KeyDefaults) -> Self {
        Self {
            limit: TextField::prefilled(&defaults.limit_text()),
            limit_reset: defaults.limit_reset.filter(|_| defaults.limit.is_some()),
            expiry: TextField::prefilled(&defaults.expires),
            workspace_id: TextField::prefilled(
                defaults.workspace_id.as_deref().unwrap_or_default(),
            ),
            ..Self::empty(FormKind::New, stored_keys)
        }
    }

    /// Returns a form without values.
    fn empty(kind: FormKind, stored_keys: &[StoredKey]) -> Self {
        Self {
            kind,
            auth_choice: AuthChoice::default(),
            existing_key: None,
            can_choose_workspace: false,
            label: TextField::default(),
            limit: TextField::default(),
            limit_reset: None,
            expiry: TextField::default(),
            workspace_id: TextField::default(),
            include_byok_in_limit: false,
            api_key: TextField::default(),
            focused_field: FormField::Label,
            visited: [false; 7],
            error: None,
            diff: Vec::new(),
            submit_ticket: None,
            used_labels: stored_keys.iter().map(|key| key.label.as_str().to_owned()).collect(),
        }
    }

    /// Selects the next method of authorising a new key.
    pub fn select_next_auth_choice(&mut self) {
        if !matches!(self.kind, FormKind::New) {
            return;
        }
        self.auth_choice = match (&self.auth_choice, &self.existing_key) {
            (AuthChoice::Automatic, _) => AuthChoice::PasteCode,
            (AuthChoice::PasteCode, Some(label)) => AuthChoice::ExistingKey(label.clone()),
            (AuthChoice::PasteCode, None) | (AuthChoice::ExistingKey(_), _) => {
                AuthChoice::Automatic
            }
        };
    }

    /// Returns the form that imports a key.
    pub fn for_import(stored_keys: &[StoredKey]) -> Self {
        Self::empty(FormKind::Import, stored_keys)
    }

    /// Returns the form that edits `key`, filled in with its current values.
    pub fn for_edit(
        key: StoredKey,
        account_key: Option<AccountKey>,
        stored_keys: &[StoredKey],
    ) -> Self {
        let kind = FormKind::Edit { key: Box::new(key.clone()), account_key: None };
        let mut form = Self {
            label: TextField::prefilled(key.label.as_str()),
            ..Self::empty(kind, stored_keys)
        };
        if let Some(account_key) = account_key {
            form.set_account_key(account_key);
            form.focus_field(FormField::Limit);
        }
        form
    }

    /// Fills in the values that the key has at OpenRouter; changes are computed against them.
    pub(in crate::tui) fn set_account_key(&mut self, account_key: AccountKey) {
        let FormKind::Edit { account_key: current, .. } = &mut self.kind else { return };
        let info = &account_key.info;
        let limit = info.limit.describe("none", |limit| format!("{limit:.2}"));
        self.limit = TextField::prefilled(trim_zero_cents(&limit));
        self.limit_reset = info.limit_reset.value();
        self.include_byok_in_limit = info.include_byok_in_limit.unwrap_or(false);
        *current = Some(Box::new(account_key));
        self.diff.clear();
    }

    /// Returns the fields of the form, in their order.
    pub const fn fields(&self) -> &'static [FormField] {
        const NEW_KEY_FIELDS: &[FormField] = &[
            FormField::Label,
            FormField::Limit,
            FormField::Reset,
            FormField::Expiry,
            FormField::Workspace,
        ];
        match &self.kind {
            FormKind::New if self.can_choose_workspace => NEW_KEY_FIELDS,
            FormKind::New => NEW_KEY_FIELDS.split_at(4).0,
            FormKind::Edit { account_key: Some(_), .. } => {
                &[FormField::Label, FormField::Limit, FormField::Reset, FormField::Byok]
            }
            FormKind::Edit { account_key: None, .. } => &[FormField::Label],
            FormKind::Import => &[FormField::Label, FormField::ApiKey],
        }
    }

    /// Sets the labels that are already used.
    pub fn set_used_labels(&mut self, stored_keys: &[StoredKey]) {
        self.used_labels = stored_keys.iter().map(|key| key.label.as_str().to_owned()).collect();
    }

    fn focused_text_field_mut(&mut self) -> Option<&mut TextField> {
        match self.focused_field {
            FormField::Label => Some(&mut self.label),
            FormField::Limit => Some(&mut self.limit),
            FormField::Reset | FormField::Byok => None,
            FormField::Expiry => Some(&mut self.expiry),
            FormField::Workspace => Some(&mut self.workspace_id),
            FormField::ApiKey => Some(&mut self.api_key),
        }
    }

    /// Inserts a typed character, or changes a choice by its letter.
    pub fn insert(&mut self, c: char) {
        self.diff.clear();
        match (self.focused_field, c) {
            (FormField::Reset | FormField::Byok, ' ') => self.step_choice(1),
            // An accidental space does not replace a typed expiry.
            (FormField::Expiry, ' ') => {
                if self.expiry.is_selected() || EXPIRY_PRESETS.contains(&self.expiry.text().trim())
                {
                    self.step_choice(1);
                }
            }
            (FormField::Reset, c) => {
                self.limit_reset = match c.to_ascii_lowercase() {
                    'n' => None,
                    'd' => Some(ResetInterval::Daily),
                    'w' => Some(ResetInterval::Weekly),
                    'm' => Some(ResetInterval::Monthly),
                    _ => self.limit_reset,
                }
            }
            (FormField::Byok, 'y' | 'Y') => self.include_byok_in_limit = true,
            (FormField::Byok, 'n' | 'N') => self.include_byok_in_limit = false,
            (FormField::Byok, _) => {}
            (
                FormField::Label
                | FormField::Limit
                | FormField::Expiry
                | FormField::Workspace
                | FormField::ApiKey,
                c,
            ) => {
                if let Some(field) = self.focused_text_field_mut() {
                    field.insert(c);
                }
            }
        }
    }

    /// Pastes text into the focused field.
    pub fn paste(&mut self, text: &str) {
        self.diff.clear();
        match self.focused_text_field_mut() {
            Some(field) => field.paste(text),
            None => {
                if let (FormField::Reset, Ok(reset)) =
                    (self.focused_field, ResetInterval::parse(text))
                {
                    self.limit_reset = reset;
                }
            }
        }
    }

    /// Edits the focused field; `←` and `→` change a choice that was not edited yet.
    pub fn edit(&mut self, request: InputRequest) {
        let choice = matches!(self.focused_field, FormField::Reset | FormField::Byok)
            || self.focused_field == FormField::Expiry && self.expiry.is_selected();
        self.diff.clear();
        match request {
            InputRequest::GoToPrevChar if choice => self.step_choice(-1),
            InputRequest::GoToNextChar if choice => self.step_choice(1),
            request => {
                if let Some(field) = self.focused_text_field_mut() {
                    field.edit(request);
                }
            }
        }
    }

    /// Moves the choice of the focused field by `by` steps.
    pub fn step_choice(&mut self, by: isize) {
        fn step(at: Option<usize>, by: isize, len: usize) -> usize {
            at.map_or(0, |at| at.wrapping_add_signed(by).wrapping_add(len) % len)
        }
        match self.focused_field {
            FormField::Reset => {
                let all = [
                    None,
                    Some(ResetInterval::Daily),
                    Some(ResetInterval::Weekly),
                    Some(ResetInterval::Monthly),
                ];
                let at = all.iter().position(|reset| *reset == self.limit_reset);
                self.limit_reset = all[step(at, by, all.len())];
            }
            FormField::Expiry => {
                let at =
                    EXPIRY_PRESETS.iter().position(|preset| *preset == self.expiry.text().trim());
                self.expiry =
                    TextField::prefilled(EXPIRY_PRESETS[step(at, by, EXPIRY_PRESETS.len())]);
            }
            FormField::Byok => self.include_byok_in_limit = !self.include_byok_in_limit,
            FormField::Label | FormField::Limit | FormField::Workspace | FormField::ApiKey => {}
        }
        self.diff.clear();
    }

    /// Moves the focus by `by` fields. Returns whether there was such a field.
    pub fn move_focus(&mut self, by: isize) -> bool {
        self.visited[self.focused_field as usize] = true;
        let at = self.fields().iter().position(|field| *field == self.focused_field).unwrap_or(0);
        let next = at.checked_add_signed(by).and_then(|at| self.fields().get(at).copied());
        match next {
            Some(field) => self.focus_field(field),
            None => return false,
        }
        true
    }

    fn focus_field(&mut self, field: FormField) {
        self.focused_field = field;
        if let Some(field) = self.focused_text_field_mut() {
            field.select_all();
        }
    }
}
