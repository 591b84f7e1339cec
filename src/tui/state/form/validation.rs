//! What stands below a field: what it means, or what is wrong with it.

use jiff::Timestamp;

use super::{Form, Part, Purpose, Remark};
use crate::domain::{Cents, Expiry, KeyRequest, Label, ResetInterval, ValidationError};

impl Form {
    /// What stands below a field.
    pub fn remark(&self, part: Part, now: Timestamp) -> Remark {
        match self.verdict(part, now) {
            Ok(meaning) => Remark::Meaning(meaning),
            Err(_) if part == Part::Label && !self.seen[0] && self.label.text().is_empty() => {
                Remark::Meaning("the tool that will use the key, such as laptop or ci".into())
            }
            Err(_) if part == Part::Key && !self.seen[part as usize] => {
                Remark::Meaning("paste it: it is checked, stored, and never shown here".into())
            }
            Err(ValidationError(words)) => Remark::Problem(words),
        }
    }

    pub(super) fn verdict(&self, part: Part, now: Timestamp) -> Result<String, ValidationError> {
        match part {
            Part::Label => {
                let label: Label = self.label.text().parse()?;
                let own = match &self.purpose {
                    Purpose::Change { held, .. } => Some(held.label.as_str()),
                    Purpose::New | Purpose::Import => None,
                };
                if Some(label.as_str()) != own
                    && self.taken.iter().any(|taken| taken == label.as_str())
                {
                    return Err(ValidationError(format!("a key labelled {label} is already held")));
                }
                Ok(match &self.purpose {
                    Purpose::Change { seen: Some(_), .. } => "its name here and at OpenRouter",
                    Purpose::Change { seen: None, .. } => {
                        "its name here; the rest takes a management key: keywright management set"
                    }
                    Purpose::New | Purpose::Import => {
                        "one key for each tool: its spending is then its own"
                    }
                }
                .into())
            }
            Part::Limit => Ok(match (Cents::parse_limit(self.limit.text())?, self.reset) {
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
            }),
            Part::Reset => match self.reset {
                None => Ok("the limit never resets".into()),
                Some(_) if matches!(Cents::parse_limit(self.limit.text()), Ok(None)) => Err(
                    ValidationError("a reset needs a limit to reset: set a limit, or never".into()),
                ),
                Some(reset) => Ok(reset.description().into()),
            },
            Part::Expires => Ok(Expiry::parse(self.expires.text(), now)?.map_or_else(
                || "the key works until it is revoked".into(),
                |at| at.description(now),
            )),
            Part::Workspace => match self.workspace.text().trim() {
                "" => Ok("the account's default workspace; another one by its UUID".into()),
                id => KeyRequest::validate_workspace_id(id).map(|()| "that workspace".into()),
            },
            Part::Byok => Ok(if self.byok {
                "what you spend at your own providers counts against the limit".into()
            } else {
                "what you spend at your own providers is not counted".into()
            }),
            Part::Key => match self.key.text().trim() {
                "" => Err(ValidationError("paste the key".into())),
                _ => Ok("it is checked at the server before it is stored".into()),
            },
        }
    }
}
