//! What stands below a field: what it means, or what is wrong with it.

use jiff::Timestamp;

use super::{FieldHint, Form, FormField, FormKind};
use crate::domain::{Cents, Expiry, KeyRequest, Label, ResetInterval, ValidationError};

impl Form {
    /// What stands below a field.
    pub fn field_hint(&self, part: FormField, now: Timestamp) -> FieldHint {
        match self.validate_field(part, now) {
            Ok(meaning) => FieldHint::Description(meaning),
            Err(_)
                if part == FormField::Label && !self.visited[0] && self.label.text().is_empty() =>
            {
                FieldHint::Description(
                    "the tool that will use the key, such as laptop or ci".into(),
                )
            }
            Err(_) if part == FormField::ApiKey && !self.visited[part as usize] => {
                FieldHint::Description(
                    "paste it: it is checked, stored, and never shown here".into(),
                )
            }
            Err(ValidationError(words)) => FieldHint::Error(words),
        }
    }

    pub(super) fn validate_field(
        &self,
        part: FormField,
        now: Timestamp,
    ) -> Result<String, ValidationError> {
        match part {
            FormField::Label => {
                let label: Label = self.label.text().parse()?;
                let own = match &self.kind {
                    FormKind::Edit { key: held, .. } => Some(held.label.as_str()),
                    FormKind::New | FormKind::Import => None,
                };
                if Some(label.as_str()) != own
                    && self.used_labels.iter().any(|taken| taken == label.as_str())
                {
                    return Err(ValidationError(format!("a key labelled {label} is already held")));
                }
                Ok(match &self.kind {
                    FormKind::Edit { account_key: Some(_), .. } => {
                        "its name here and at OpenRouter"
                    }
                    FormKind::Edit { account_key: None, .. } => {
                        "its name here; the rest takes a management key: keywright management set"
                    }
                    FormKind::New | FormKind::Import => {
                        "one key for each tool: its spending is then its own"
                    }
                }
                .into())
            }
            FormField::Limit => {
                Ok(match (Cents::parse_limit(self.limit.text())?, self.limit_reset) {
                    (None, _) => "no limit: the key can spend all the credit of the account".into(),
                    (Some(limit), None) => format!("the key can spend ${limit}, once"),
                    (Some(limit), Some(reset)) => {
                        let window = match reset {
                            ResetInterval::Daily => "day",
                            ResetInterval::Weekly => "week",
                            ResetInterval::Monthly => "month",
                        };
                        format!("the key can spend ${limit} a {window}")
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
            FormField::Workspace => match self.workspace_id.text().trim() {
                "" => Ok("the account's default workspace; another one by its UUID".into()),
                id => KeyRequest::validate_workspace_id(id).map(|()| "that workspace".into()),
            },
            FormField::Byok => Ok(if self.include_byok_in_limit {
                "what you spend at your own providers counts against the limit".into()
            } else {
                "what you spend at your own providers is not counted".into()
            }),
            FormField::ApiKey => match self.api_key.text().trim() {
                "" => Err(ValidationError("paste the key".into())),
                _ => Ok("it is checked at the server before it is stored".into()),
            },
        }
    }
}
