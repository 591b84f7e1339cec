//! The form that creates, edits or imports a key: its fields, their hints and their validation.

mod editing;
mod picker;
mod submit;
mod validation;

use super::text_field::TextField;
use super::ticket::Ticket;
use crate::domain::{
    AccountKey, ConfiguredName, ErrorKind, GuardrailRef, KeyDefaults, KeyUpdate, Label,
    ProfileCopies, ResetInterval, StoredKey, UserError, sanitize,
};
pub use picker::{FormChoices, Picker, PickerOption};
pub(in crate::tui) use submit::Submission;

/// The expiries to choose from; any other can be typed.
pub const EXPIRY_PRESETS: [&str; 5] = ["7d", "30d", "90d", "1y", "never"];

/// The number of different fields.
const FIELD_COUNT: usize = 8;

/// The purpose of a form.
#[derive(Clone, Debug, Default)]
pub enum FormKind {
    /// Creates a key.
    #[default]
    New,
    /// Edits a key.
    Edit {
        /// The key, stored here or only in the account.
        key: StoredKey,
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
    /// By a code that the consent page shows and the user pastes.
    PasteCode,
    /// With an existing key, where the account allows it.
    ExistingKey(Label),
}

/// The fields of the form, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormField {
    /// The label of the key.
    #[default]
    Label,
    /// The credit limit in USD, or `none`.
    Limit,
    /// The reset interval of the limit.
    Reset,
    /// The expiry of the key.
    Expiry,
    /// The workspace.
    Workspace,
    /// The guardrail.
    Guardrail,
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
            Self::Guardrail => "Guardrail",
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

/// What is known about the workspaces and guardrails of the account.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FormChoicesState {
    /// They were not read yet.
    #[default]
    Unknown,
    /// They cannot be read, because there is no management key.
    NoManagementKey,
    /// They were read.
    Known(Box<FormChoices>),
}

/// State of the form.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// The purpose of the form.
    pub kind: FormKind,
    /// How the new key is authorised.
    pub auth_choice: AuthChoice,
    /// The stored key that could authorise the new one.
    pub existing_key: Option<Label>,
    /// What the account has to choose from.
    pub choices: FormChoicesState,
    /// The ticket of the request for it.
    pub choices_ticket: Option<Ticket>,
    /// The label of the key.
    pub label: TextField,
    /// The credit limit, as typed.
    pub limit: TextField,
    /// The reset interval.
    pub limit_reset: Option<ResetInterval>,
    /// The expiry, as typed or chosen.
    pub expiry: TextField,
    /// The workspace.
    pub workspace: Picker,
    /// The guardrail.
    pub guardrail: Picker,
    /// Whether BYOK spending counts against the limit.
    pub include_byok_in_limit: bool,
    /// The secret of the imported key, never shown.
    pub api_key: TextField,
    /// The field that has the cursor.
    pub focused_field: FormField,
    /// Fields that were left or submitted; before that, an empty label is not an error.
    visited: [bool; FIELD_COUNT],
    /// Why the last submission failed.
    pub error: Option<UserError>,
    /// The changes to be sent, one per line. They are shown at the first submission and sent at the
    /// second.
    pub diff: Vec<String>,
    /// The ticket of the submission under way.
    pub submit_ticket: Option<Ticket>,
    /// The change that was submitted last.
    pub submitted_update: Option<Box<KeyUpdate>>,
    used_labels: Vec<String>,
    /// The configured workspace and guardrail of a new key, until the account's list explains them.
    default_workspace: Option<ConfiguredName>,
    default_guardrail: Option<ConfiguredName>,
    /// The keys of other profiles, one of which may be imported.
    other_profiles: ProfileCopies,
}

impl Form {
    /// Returns the form of a new key: an empty label and the default policy.
    pub fn new(stored_keys: &[StoredKey], defaults: &KeyDefaults) -> Self {
        let mut workspace = Picker::default_workspace();
        if let Some(id) = &defaults.workspace_id {
            workspace.select_id(Some(id), id);
        }
        Self {
            default_workspace: defaults.workspace_name.clone(),
            default_guardrail: defaults.guardrail.clone(),
            limit: TextField::prefilled(&defaults.limit_text()),
            limit_reset: defaults.limit_reset.filter(|_| defaults.limit.is_some()),
            expiry: TextField::prefilled(&defaults.expires),
            workspace,
            ..Self::empty(FormKind::New, stored_keys)
        }
    }

    /// Returns a form without values.
    fn empty(kind: FormKind, stored_keys: &[StoredKey]) -> Self {
        Self {
            kind,
            workspace: Picker::default_workspace(),
            guardrail: Picker::no_guardrail(),
            used_labels: stored_keys.iter().map(|key| key.label.as_str().to_owned()).collect(),
            ..Self::default()
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
    pub fn for_import(stored_keys: &[StoredKey], other_profiles: ProfileCopies) -> Self {
        Self { other_profiles, ..Self::empty(FormKind::Import, stored_keys) }
    }

    /// Returns the form that edits `key`, filled in with its current values.
    pub fn for_edit(
        key: StoredKey,
        account_key: Option<AccountKey>,
        stored_keys: &[StoredKey],
    ) -> Self {
        let kind = FormKind::Edit { key: key.clone(), account_key: None };
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
        self.workspace = Picker::of_key(account_key.workspace_id.as_deref());
        *current = Some(Box::new(account_key));
        self.diff.clear();
        self.offer_choices();
    }

    /// Offers what the account has; `None` without a management key.
    pub(in crate::tui) fn set_choices(&mut self, choices: Option<FormChoices>) {
        self.choices_ticket = None;
        let Some(choices) = choices else {
            self.choices = FormChoicesState::NoManagementKey;
            return;
        };
        if let Some(assigned) = &choices.assigned_guardrail {
            self.guardrail.select_id(Some(&assigned.id), &assigned.name);
        }
        self.choices = FormChoicesState::Known(Box::new(choices));
        self.offer_choices();
    }

    /// Sets the guardrail that the edited key has at OpenRouter.
    pub(in crate::tui) fn set_assigned_guardrail(&mut self, guardrail: Option<GuardrailRef>) {
        let (id, name) = guardrail.as_ref().map_or((None, ""), |new| (Some(&*new.id), &*new.name));
        self.guardrail.select_id(id, name);
        if let FormChoicesState::Known(choices) = &mut self.choices {
            choices.assigned_guardrail = guardrail;
        }
    }

    fn offer_choices(&mut self) {
        if let FormChoicesState::Known(choices) = &self.choices {
            self.workspace.set_workspaces(&choices.workspaces);
            let workspaces = choices.workspaces.as_deref().unwrap_or_default();
            self.guardrail.set_guardrails(&choices.guardrails, workspaces);
            let lists = (choices.workspaces.is_ok(), choices.guardrails.is_ok());
            self.select_defaults(lists);
        }
    }

    /// Chooses the configured workspace and guardrail in the lists that the account has.
    fn select_defaults(&mut self, (has_workspaces, has_guardrails): (bool, bool)) {
        for (noun, is_listed, default, picker) in [
            ("workspace", has_workspaces, &mut self.default_workspace, &mut self.workspace),
            ("guardrail", has_guardrails, &mut self.default_guardrail, &mut self.guardrail),
        ] {
            let Some(default) = default.take_if(|_| is_listed) else { continue };
            if !picker.select_by_name(&default.name) {
                let name = sanitize(&default.name, 100);
                let error = UserError::new(
                    ErrorKind::InvalidInput,
                    format!("the account has no {noun} '{name}'"),
                    format!("choose the {noun} here, and correct the configuration file"),
                );
                self.error = Some(default.add_place(error));
            }
        }
    }

    /// Returns an error, once, if the configured workspace or guardrail is not known without the account's
    /// list. Submitted again, the key is created without it.
    pub(super) fn take_unknown_default(&mut self) -> Option<UserError> {
        let (workspace, guardrail) = (self.default_workspace.take(), self.default_guardrail.take());
        let (noun, default, without) = match (workspace, guardrail) {
            (Some(workspace), None) => {
                ("workspace", workspace, "in the account's default workspace")
            }
            (None, Some(guardrail)) => ("guardrail", guardrail, "under no guardrail"),
            (Some(workspace), Some(_)) => {
                ("workspace", workspace, "in the account's default workspace, under no guardrail")
            }
            (None, None) => return None,
        };
        let name = sanitize(&default.name, 100);
        let error = UserError::new(
            ErrorKind::InvalidInput,
            format!("the {noun} '{name}' is not known without the account's list"),
            "store a management key first, or submit again to create the key like this",
        )
        .with_meaning(format!("nothing was sent; the key would be {without}"));
        Some(default.add_place(error))
    }

    /// Returns the fields of the form, in their order.
    pub const fn fields(&self) -> &'static [FormField] {
        const NEW_KEY_FIELDS: &[FormField] = &[
            FormField::Label,
            FormField::Limit,
            FormField::Reset,
            FormField::Expiry,
            FormField::Workspace,
            FormField::Guardrail,
        ];
        const EDIT_FIELDS: &[FormField] = &[
            FormField::Label,
            FormField::Limit,
            FormField::Reset,
            FormField::Byok,
            FormField::Workspace,
            FormField::Guardrail,
        ];
        let has_choices = matches!(self.choices, FormChoicesState::Known(_));
        match &self.kind {
            FormKind::New if has_choices => NEW_KEY_FIELDS,
            FormKind::New => NEW_KEY_FIELDS.split_at(4).0,
            FormKind::Edit { account_key: Some(_), .. } if has_choices => EDIT_FIELDS,
            FormKind::Edit { account_key: Some(_), .. } => EDIT_FIELDS.split_at(4).0,
            FormKind::Edit { account_key: None, .. } => &[FormField::Label],
            FormKind::Import => &[FormField::Label, FormField::ApiKey],
        }
    }

    /// Sets the labels that are already used.
    pub fn set_used_labels(&mut self, stored_keys: &[StoredKey]) {
        self.used_labels = stored_keys.iter().map(|key| key.label.as_str().to_owned()).collect();
    }
}
