//! Turns a submitted form into a request or a change.

use jiff::Timestamp;

use super::{Form, FormChoicesState, FormKind};
use crate::domain::{
    AccountKey, ApiKey, Cents, EditableKey, Expiry, FieldChange, GuardrailRef, KeyEdit, KeyRequest,
    KeyUpdate, Label, StoredKey,
};

/// The result of submitting a form.
pub(in crate::tui) enum Submission {
    /// Create a key.
    CreateKey(KeyRequest),
    /// Change a key.
    UpdateKey(Box<KeyUpdate>),
    /// Nothing was changed.
    NoChange,
    /// Import a key.
    ImportKey(Label, ApiKey),
}

impl Form {
    /// Returns what to submit. Returns `None` and focuses the first invalid field if there is one,
    /// and `None` at the first submission of a change, which only shows the change.
    pub(in crate::tui) fn submit(&mut self, now: Timestamp) -> Option<Submission> {
        self.visited = [true; super::FIELD_COUNT];
        self.error = None;
        if let Some(field) =
            self.fields().iter().copied().find(|field| self.validate_field(*field, now).is_err())
        {
            if field != self.focused_field {
                self.focus_field(field);
            }
            return None;
        }
        let label = self.parse_label().ok()?;
        if let Some(error) = self.take_unknown_default() {
            self.error = Some(error);
            return None;
        }
        match &self.kind {
            FormKind::New => Some(Submission::CreateKey(KeyRequest {
                label,
                limit: Cents::parse_limit(self.limit.text()).ok()?,
                limit_reset: self.limit_reset,
                expiry: Expiry::parse(self.expiry.text(), now).ok()?,
                workspace_id: self.workspace.chosen().and_then(|workspace| workspace.id.clone()),
                guardrail: self.chosen_guardrail(),
                ..KeyRequest::default()
            })),
            FormKind::Import => {
                let key = ApiKey::parse_input(self.api_key.text()).ok()?;
                Some(Submission::ImportKey(label, key))
            }
            FormKind::Edit { key, account_key } => {
                let (update, diff) = self.build_update(key, account_key.as_deref(), label)?;
                if diff.is_empty() {
                    return Some(Submission::NoChange);
                }
                if self.diff == diff {
                    return Some(Submission::UpdateKey(Box::new(update)));
                }
                self.diff = diff;
                None
            }
        }
    }

    fn chosen_guardrail(&self) -> Option<GuardrailRef> {
        let chosen = self.guardrail.chosen()?;
        Some(GuardrailRef { id: chosen.id.clone()?, name: chosen.name.clone() })
    }

    /// Returns the change and its description, one line per value.
    fn build_update(
        &self,
        key: &StoredKey,
        account_key: Option<&AccountKey>,
        label: Label,
    ) -> Option<(KeyUpdate, Vec<String>)> {
        let mut edit = KeyEdit { label: Some(label), ..KeyEdit::default() };
        let (mut guardrail, mut workspaces) = (None, Vec::new());
        if let FormChoicesState::Known(choices) = &self.choices {
            guardrail.clone_from(&choices.assigned_guardrail);
            workspaces = choices.workspaces.clone().unwrap_or_default();
            if choices.guardrails.is_ok() {
                edit.guardrail = FieldChange::from_option(self.chosen_guardrail());
            }
            let chosen = self.workspace.chosen().and_then(|chosen| chosen.id.as_deref());
            edit.workspace = workspaces.iter().find(|option| Some(&*option.id) == chosen).cloned();
        }
        let current = account_key.map(|account_key| EditableKey {
            account_key: account_key.clone(),
            guardrail,
            workspaces,
        });
        if let Some(account_key) = account_key {
            edit.limit = FieldChange::from_option(Cents::parse_limit(self.limit.text()).ok()?);
            // The form shows no choice for an interval that is not known, so only another choice counts.
            if account_key.info.limit_reset.value() != self.limit_reset {
                edit.limit_reset = FieldChange::from_option(self.limit_reset);
            }
            edit.include_byok_in_limit = Some(self.include_byok_in_limit);
        }
        let (update, differences) = edit.to_update(key, current.as_ref()).ok()?;
        Some((update, differences.iter().map(ToString::to_string).collect()))
    }
}
