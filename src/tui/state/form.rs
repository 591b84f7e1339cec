//! A form: its fields, what they mean, and why they are not accepted. Three are made of it: a new
//! key, a change to one, a key from elsewhere. Must not know: what becomes of what is submitted.

mod submit;
mod validation;

use tui_input::InputRequest;

use super::message::Ticket;
use super::text_field::TextField;
use crate::domain::{AccountKey, Label, ResetInterval, StoredKey, UserError};
pub(in crate::tui) use submit::Submission;

/// The expiries offered; anything else can be typed.
pub const EXPIRY_PRESETS: [&str; 5] = ["7d", "30d", "90d", "1y", "never"];

/// What a first key is offered: enough to work with, little to lose.
const DEFAULT_LIMIT: &str = "10";
const DEFAULT_RESET: Option<ResetInterval> = Some(ResetInterval::Monthly);
const DEFAULT_EXPIRY: &str = "90d";

/// What a form is for.
#[derive(Clone, Debug)]
pub enum FormKind {
    /// A new key.
    New,
    /// A change to this one.
    Edit {
        /// The key, held or only listed.
        key: Box<StoredKey>,
        /// As it is at the server; `None` where no management key is known, and only the label here
        /// can be changed.
        account_key: Option<Box<AccountKey>>,
    },
    /// A key from elsewhere.
    Import,
}

/// By which road a new key is consented to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthChoice {
    /// By the browser, or where none is here by a code.
    #[default]
    Automatic,
    /// By a code that the page shows, wherever it is opened.
    PasteCode,
    /// A held key vouches, where the account allows it.
    ExistingKey(Label),
}

/// The fields in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FormField {
    /// The person's name for the key.
    Label,
    /// USD or none.
    Limit,
    /// The window of the limit.
    Reset,
    /// From when the key no longer works.
    Expiry,
    /// The workspace's UUID.
    Workspace,
    /// Whether spending at the owner's own providers counts against the limit.
    Byok,
    /// The key itself.
    ApiKey,
}

impl FormField {
    /// Its name on screen.
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

/// An amount as a person types it.
fn trim_zero_cents(limit: &str) -> &str {
    limit.strip_suffix(".00").unwrap_or(limit)
}

/// What a field has to say below itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldHint {
    /// What it means.
    Description(String),
    /// What is wrong with it.
    Error(String),
}

/// The state of the form.
#[derive(Clone, Debug)]
pub struct Form {
    /// What it is for.
    pub kind: FormKind,
    /// By which road the new key comes.
    pub auth_choice: AuthChoice,
    /// The held key that could vouch for it.
    pub existing_key: Option<Label>,
    /// Whether a workspace can be chosen: a management key is known.
    pub can_choose_workspace: bool,
    /// The person's name for the key.
    pub label: TextField,
    /// USD or none, as typed.
    pub limit: TextField,
    /// The window.
    pub limit_reset: Option<ResetInterval>,
    /// As typed or chosen.
    pub expiry: TextField,
    /// UUID; empty for the default one.
    pub workspace_id: TextField,
    /// Whether spending at the owner's own providers counts.
    pub include_byok_in_limit: bool,
    /// The key from elsewhere, never shown.
    pub api_key: TextField,
    /// The field with the cursor.
    pub focused_field: FormField,
    /// Fields that were left or submitted: an empty label is no problem before.
    visited: [bool; 7],
    /// Why the last try came to nothing.
    pub error: Option<UserError>,
    /// What will be sent, a line each, once it was asked to be sent: asked again, it is.
    pub diff: Vec<String>,
    /// What was submitted and has not ended.
    pub submit_ticket: Option<Ticket>,
    used_labels: Vec<String>,
}

impl Form {
    /// An empty label, and the policy of the key that was cut last.
    pub fn new(held: &[StoredKey]) -> Self {
        let (limit, reset, expires) = match held.iter().max_by_key(|held| held.created_at) {
            Some(StoredKey { requested: asked, .. }) => (
                asked.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
                asked.limit_reset,
                match (&asked.expires_input, asked.expires_at) {
                    // A fixed date that was typed is the last key's own; the next one is not due then.
                    (Some(typed), _) if !typed.contains('-') => typed.clone(),
                    (None, None) => "never".to_owned(),
                    _ => DEFAULT_EXPIRY.to_owned(),
                },
            ),
            None => (DEFAULT_LIMIT.to_owned(), DEFAULT_RESET, DEFAULT_EXPIRY.to_owned()),
        };
        Self {
            limit: TextField::prefilled(trim_zero_cents(&limit)),
            limit_reset: reset,
            expiry: TextField::prefilled(&expires),
            ..Self::empty(FormKind::New, held)
        }
    }

    /// Nothing filled in.
    fn empty(purpose: FormKind, held: &[StoredKey]) -> Self {
        Self {
            kind: purpose,
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
            used_labels: held.iter().map(|held| held.label.as_str().to_owned()).collect(),
        }
    }

    /// The next road to a new key.
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

    /// For a key from elsewhere.
    pub fn for_import(held: &[StoredKey]) -> Self {
        Self::empty(FormKind::Import, held)
    }

    /// For a change to this key, as it is.
    pub fn for_edit(of: StoredKey, seen: Option<AccountKey>, held: &[StoredKey]) -> Self {
        let purpose = FormKind::Edit { key: Box::new(of.clone()), account_key: None };
        let mut form =
            Self { label: TextField::prefilled(of.label.as_str()), ..Self::empty(purpose, held) };
        if let Some(seen) = seen {
            form.set_account_key(seen);
            form.focus_field(FormField::Limit);
        }
        form
    }

    /// The key is like this at the server: what is changed is changed from that.
    pub(in crate::tui) fn set_account_key(&mut self, now: AccountKey) {
        let FormKind::Edit { account_key: seen, .. } = &mut self.kind else { return };
        let reading = &now.info;
        let limit = reading.limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:.2}"));
        self.limit = TextField::prefilled(trim_zero_cents(&limit));
        self.limit_reset =
            reading.limit_reset.as_deref().and_then(|word| ResetInterval::parse(word).ok()?);
        self.include_byok_in_limit = reading.include_byok_in_limit.unwrap_or(false);
        *seen = Some(Box::new(now));
        self.diff.clear();
    }

    /// Its fields, in their order.
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

    /// Labels that may not be used again.
    pub fn set_used_labels(&mut self, held: &[StoredKey]) {
        self.used_labels = held.iter().map(|held| held.label.as_str().to_owned()).collect();
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

    /// One character typed.
    pub fn insert(&mut self, c: char) {
        self.diff.clear();
        match (self.focused_field, c) {
            (FormField::Reset | FormField::Byok, ' ') => self.step_choice(1),
            // What was typed is not taken away by a slip of the thumb.
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

    /// Text pasted into the field with the cursor.
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

    /// An edit; `←` and `→` change a choice that was not edited yet.
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

    /// The choice `by` steps on.
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

    /// The next field, or the one before; whether there was one.
    pub fn move_focus(&mut self, by: isize) -> bool {
        self.visited[self.focused_field as usize] = true;
        let at = self.fields().iter().position(|part| *part == self.focused_field).unwrap_or(0);
        let next = at.checked_add_signed(by).and_then(|at| self.fields().get(at).copied());
        match next {
            Some(part) => self.focus_field(part),
            None => return false,
        }
        true
    }

    fn focus_field(&mut self, part: FormField) {
        self.focused_field = part;
        if let Some(field) = self.focused_text_field_mut() {
            field.select_all();
        }
    }
}
