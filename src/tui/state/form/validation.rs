//! Validates the fields of the form and describes their values.

use jiff::Timestamp;

use super::{FieldHint, Form, FormField, FormKind, Picker};
use crate::domain::{
    ApiKey, Cents, Expiry, KeyInputError, Label, ResetInterval, ValidationError, format_usd,
};

/// Returns what the choice means, or why the choices cannot be listed.
fn describe_choice(picker: &Picker, what: &str) -> String {
    match (&picker.error, picker.chosen()) {
        (Some(error), _) => format!("the {what} cannot be listed: {}", error.message),
        (None, Some(chosen)) => chosen.description.clone(),
        (None, None) => String::new(),
    }
}

impl Form {
    /// Returns the line below a field: what its value means, or why it is not valid.
    pub fn field_hint(&self, field: FormField, now: Timestamp) -> FieldHint {
        match self.validate_field(field, now) {
            Ok(description) => FieldHint::Description(description),
            Err(_)
                if field == FormField::Label
                    && !self.visited[0]
                    && self.label.text().is_empty() =>
            {
                FieldHint::Description(
                    "the tool that will use the key, such as laptop or ci".into(),
                )
            }
            Err(_) if field == FormField::Label && self.label.text().trim().is_empty() => {
                FieldHint::Error("enter a label, such as laptop or ci".into())
            }
            Err(_) if field == FormField::ApiKey && !self.visited[field as usize] => {
                FieldHint::Description(
                    "paste the key: it is checked, stored and never shown here".into(),
                )
            }
            Err(ValidationError(message)) => FieldHint::Error(message),
        }
    }

    /// Returns the label of the edited key.
    fn current_label(&self) -> Option<&Label> {
        match &self.kind {
            FormKind::Edit { key, .. } => Some(&key.label),
            FormKind::New | FormKind::Import => None,
        }
    }

    /// Parses the label. An existing key may keep a label that earlier versions accepted.
    pub(super) fn parse_label(&self) -> Result<Label, ValidationError> {
        let text = self.label.text();
        match self.current_label().filter(|label| label.as_str() == text) {
            Some(label) => Ok(label.clone()),
            None => text.parse(),
        }
    }

    pub(super) fn validate_field(
        &self,
        field: FormField,
        now: Timestamp,
    ) -> Result<String, ValidationError> {
        match field {
            FormField::Label => {
                let label = self.parse_label()?;
                let current_label = self.current_label().map(Label::as_str);
                if Some(label.as_str()) != current_label
                    && self
                        .used_labels
                        .iter()
                        .any(|used| Some(used.as_str()) != current_label && label.is_same(used))
                {
                    return Err(ValidationError(format!(
                        "a key labelled {label} is already stored"
                    )));
                }
                Ok(match &self.kind {
                    FormKind::Edit { account_key: Some(_), .. } => {
                        "the name here and at OpenRouter"
                    }
                    FormKind::Edit { account_key: None, .. } => {
                        "the name here; limit, workspace and guardrail need a management key"
                    }
                    FormKind::New | FormKind::Import => {
                        "use one key per tool to see what each tool spends"
                    }
                }
                .into())
            }
            FormField::Limit => {
                Ok(match (Cents::parse_limit(self.limit.text())?, self.limit_reset) {
                    (None, _) => "no limit: the key can spend all credits of the account".into(),
                    (Some(limit), None) => {
                        format!("the key can spend {} in total", format_usd(limit.to_dollars()))
                    }
                    (Some(limit), Some(reset)) => {
                        let window = match reset {
                            ResetInterval::Daily => "day",
                            ResetInterval::Weekly => "week",
                            ResetInterval::Monthly => "month",
                        };
                        format!("the key can spend {} a {window}", format_usd(limit.to_dollars()))
                    }
                })
            }
            FormField::Reset => match self.limit_reset {
                None => Ok("the limit never resets".into()),
                Some(_) if matches!(Cents::parse_limit(self.limit.text()), Ok(None)) => Err(
                    ValidationError("a reset needs a limit to reset: set a limit, or never".into()),
                ),
                Some(reset) => Ok(reset.description().into()),
            },
            FormField::Expiry => Ok(Expiry::parse(self.expiry.text(), now)?.map_or_else(
                || "the key works until it is revoked".into(),
                |at| at.description(now),
            )),
            FormField::Workspace => Ok(describe_choice(&self.workspace, "workspaces")),
            FormField::Guardrail => Ok(describe_choice(&self.guardrail, "guardrails")),
            FormField::Byok => Ok(if self.include_byok_in_limit {
                "spending at your own providers counts against the limit".into()
            } else {
                "spending at your own providers does not count".into()
            }),
            FormField::ApiKey => match ApiKey::parse_input(self.api_key.text()) {
                Ok(key) => {
                    Ok(match self.other_profiles.get(&key.hash()).and_then(|all| all.first()) {
                        Some(copy) => {
                            format!("{copy}: disabling or deleting it at OpenRouter ends both")
                        }
                        None => "the key is checked at OpenRouter before it is stored".into(),
                    })
                }
                Err(KeyInputError::Empty) => Err(ValidationError("paste the key".into())),
                Err(error) => Err(ValidationError(error.to_string())),
            },
        }
    }
}
