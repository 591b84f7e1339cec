//! An edit of a key: what is requested, what differs from the present values, and the outcome.

use super::{
    AccountKey, Cents, FieldChange, GuardrailRef, KeyInfo, KeyPatch, Label, Reported,
    ResetInterval, StoredKey, UserError, ValidationError, Workspace, format_usd,
};

/// A key as the account has it before an edit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EditableKey {
    /// The key.
    pub account_key: AccountKey,
    /// The guardrail that it is assigned to; read only where an edit may change it.
    pub guardrail: Option<GuardrailRef>,
    /// The workspaces whose names are known.
    pub workspaces: Vec<Workspace>,
}

impl EditableKey {
    /// Returns the name of the key's workspace; its UUID where the name is not known.
    pub fn workspace_name(&self) -> &str {
        let Some(id) = self.account_key.workspace_id.as_deref() else { return "default" };
        let known = self.workspaces.iter().find(|workspace| workspace.id.eq_ignore_ascii_case(id));
        known.map_or(id, Workspace::short_name)
    }
}

/// The values that a key is to have. What is `Keep` or `None` is not edited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyEdit {
    /// The label here; of a key that is not stored here, the name at OpenRouter.
    pub label: Option<Label>,
    /// Whether the name at OpenRouter becomes the label.
    pub rename_remote: bool,
    /// The limit.
    pub limit: FieldChange<Cents>,
    /// The reset interval.
    pub limit_reset: FieldChange<ResetInterval>,
    /// Whether spending through the owner's provider keys counts against the limit.
    pub include_byok_in_limit: Option<bool>,
    /// The workspace.
    pub workspace: Option<Workspace>,
    /// The guardrail.
    pub guardrail: FieldChange<GuardrailRef>,
}

/// A field that an edit changes, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// OpenRouter's name of the field.
    pub field: &'static str,
    /// The name on screens.
    pub title: &'static str,
    /// The present value.
    pub from: String,
    /// The new value.
    pub to: String,
    /// What the new value does at once, such as blocking the key.
    pub consequence: Option<String>,
}

impl std::fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} → {}", self.title, self.from, self.to)?;
        self.consequence.iter().try_for_each(|consequence| write!(f, "; {consequence}"))
    }
}

/// A change of the guardrail of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardrailChange {
    /// The guardrail when the edit was made.
    pub from: Option<GuardrailRef>,
    /// The guardrail that it is to have.
    pub to: Option<GuardrailRef>,
}

/// A change to one key.
#[derive(Clone, Debug)]
pub struct KeyUpdate {
    /// The key, stored here or only in the account.
    pub key: StoredKey,
    /// The key as fetched from OpenRouter, and the change to make there.
    pub account_patch: Option<(AccountKey, KeyPatch)>,
    /// The change of its guardrail.
    pub guardrail: Option<GuardrailChange>,
    /// The new label.
    pub new_label: Option<Label>,
}

impl KeyUpdate {
    /// Returns the change that sets limit and reset to what they were before this one, for the key as
    /// it is now; `None` if they were not changed, or if the values before cannot be sent.
    pub fn restore_limit(&self, current: &AccountKey) -> Option<Self> {
        let (before, patch) = self.account_patch.as_ref()?;
        if patch.limit == FieldChange::Keep && patch.limit_reset == FieldChange::Keep {
            return None;
        }
        let limit = match before.info.limit.to_known().ok()? {
            Some(dollars) => FieldChange::Set(dollars.try_into().ok()?),
            None => FieldChange::Clear,
        };
        let limit_reset = FieldChange::from_option(before.info.limit_reset.to_known().ok()?);
        let patch = KeyPatch { limit, limit_reset, ..KeyPatch::default() };
        Some(Self {
            key: self.key.clone(),
            account_patch: Some((current.clone(), patch)),
            guardrail: None,
            new_label: None,
        })
    }

    /// Returns the limit that this change sets: `no limit`, `$5.00`, `$5.00 weekly`.
    pub fn describe_limit(&self) -> String {
        let Some((before, patch)) = &self.account_patch else { return String::new() };
        let limit = match patch.limit {
            FieldChange::Keep => before.info.limit.describe("no limit", format_usd),
            FieldChange::Clear => "no limit".into(),
            FieldChange::Set(limit) => format_usd(limit.to_dollars()),
        };
        let reset = patch.limit_reset.apply_to(before.info.limit_reset.value());
        reset.map_or_else(|| limit.clone(), |reset| format!("{limit} {}", reset.as_str()))
    }
}

/// The outcome of a key update.
#[derive(Clone, Debug)]
pub enum KeyUpdateOutcome {
    /// The key was updated.
    Updated {
        /// The key at OpenRouter, if it was changed there.
        account_key: Option<AccountKey>,
        /// The key under its current label, if it is stored.
        stored_key: Option<StoredKey>,
        /// A problem that did not prevent the update.
        warning: Option<UserError>,
    },
    /// The key was changed at OpenRouter since it was fetched; nothing was sent.
    Conflict {
        /// The key as it is now.
        current: AccountKey,
        /// Its guardrail as it is now, where that was to be changed.
        guardrail: Option<GuardrailRef>,
        /// The OpenRouter names of the changed fields.
        changed_fields: Vec<&'static str>,
    },
    /// The key was not updated.
    Failed(UserError),
}

impl KeyEdit {
    /// Returns the change and its description; the change of a key at OpenRouter needs `current`.
    pub fn to_update(
        &self,
        key: &StoredKey,
        current: Option<&EditableKey>,
    ) -> Result<(KeyUpdate, Vec<FieldDifference>), ValidationError> {
        let mut differences = Vec::new();
        let new_label = self.label.as_ref().filter(|label| **label != key.label);
        if let Some(label) = new_label {
            differences.push(FieldDifference {
                field: "name",
                title: "name",
                from: key.label.to_string(),
                to: label.to_string(),
                consequence: None,
            });
        }
        let (mut account_patch, mut guardrail) = (None, None);
        if let Some(current) = current {
            let mut patch = self.to_patch(key, current, &mut differences)?;
            if !key.is_stored() {
                patch.name = patch.name.or_else(|| new_label.cloned());
            }
            if !patch.is_empty() {
                account_patch = Some((current.account_key.clone(), patch));
            }
            guardrail = self.to_guardrail_change(current, &mut differences);
        }
        let new_label = new_label.cloned().filter(|_| key.is_stored());
        Ok((KeyUpdate { key: key.clone(), account_patch, guardrail, new_label }, differences))
    }

    fn to_patch(
        &self,
        key: &StoredKey,
        current: &EditableKey,
        differences: &mut Vec<FieldDifference>,
    ) -> Result<KeyPatch, ValidationError> {
        let info = &current.account_key.info;
        let mut patch = KeyPatch::default();
        let mut differs = |field, title, from: &str, to: &str| {
            let differs = from != to;
            if differs {
                let (from, to) = (from.to_owned(), to.to_owned());
                differences.push(FieldDifference { field, title, from, to, consequence: None });
            }
            differs
        };
        let name = current.account_key.display_name();
        if self.rename_remote && differs("name", "name at OpenRouter", &name, key.label.as_str()) {
            patch.name = Some(key.label.clone());
        }
        let old = info.limit.describe("none", format_usd);
        let new = match self.limit {
            FieldChange::Keep => old.clone(),
            FieldChange::Clear => "none".into(),
            FieldChange::Set(limit) => format_usd(limit.to_dollars()),
        };
        if differs("limit", "limit", &old, &new) {
            patch.limit = self.limit;
        }
        let has_limit = match self.limit {
            FieldChange::Keep => !info.limit.is_none(),
            FieldChange::Clear => false,
            FieldChange::Set(_) => true,
        };
        let reset = match self.limit_reset {
            FieldChange::Set(_) if !has_limit => {
                return Err(ValidationError(
                    "a reset needs a limit: set a limit, or the reset to never".into(),
                ));
            }
            // Without a limit nothing resets.
            FieldChange::Keep if matches!(patch.limit, FieldChange::Clear) => FieldChange::Clear,
            reset => reset,
        };
        let describe = |reset: &Reported<ResetInterval>| {
            reset.describe("never", |reset| reset.as_str().to_owned())
        };
        let old = describe(&info.limit_reset);
        let new = match reset {
            FieldChange::Keep => old.clone(),
            FieldChange::Clear => "never".into(),
            FieldChange::Set(reset) => reset.as_str().into(),
        };
        if differs("limit_reset", "reset", &old, &new) {
            patch.limit_reset = reset;
        }
        let old = info.include_byok_in_limit.unwrap_or(false);
        let new = self.include_byok_in_limit.unwrap_or(old);
        let describe = |counts| if counts { "count" } else { "do not count" };
        if differs("include_byok_in_limit", "own providers", describe(old), describe(new)) {
            patch.include_byok_in_limit = Some(new);
        }
        if let Some(workspace) = &self.workspace
            && current
                .account_key
                .workspace_id
                .as_ref()
                .is_none_or(|id| !id.eq_ignore_ascii_case(&workspace.id))
        {
            differs("workspace_id", "workspace", current.workspace_name(), workspace.short_name());
            patch.workspace_id = Some(workspace.id.clone());
        }
        let changed = differences.iter_mut().rfind(|difference| {
            matches!(difference.field, "limit" | "limit_reset" | "include_byok_in_limit")
        });
        if let Some(changed) = changed {
            changed.consequence = describe_block(info, &patch);
        }
        Ok(patch)
    }

    fn to_guardrail_change(
        &self,
        current: &EditableKey,
        differences: &mut Vec<FieldDifference>,
    ) -> Option<GuardrailChange> {
        let to = match &self.guardrail {
            FieldChange::Keep => return None,
            FieldChange::Clear => None,
            FieldChange::Set(guardrail) => Some(guardrail.clone()),
        };
        let from = current.guardrail.clone();
        if from.as_ref().map(|old| &old.id) == to.as_ref().map(|new| &new.id) {
            return None;
        }
        let name = |it: &Option<GuardrailRef>| {
            it.as_ref().map_or_else(|| "none".to_owned(), |guardrail| guardrail.name.clone())
        };
        differences.push(FieldDifference {
            field: "guardrail",
            title: "guardrail",
            from: name(&from),
            to: name(&to),
            consequence: None,
        });
        Some(GuardrailChange { from, to })
    }
}

/// Returns a warning if `patch` blocks the key at once, because the limit is spent already.
fn describe_block(info: &KeyInfo, patch: &KeyPatch) -> Option<String> {
    let limit = match patch.limit {
        FieldChange::Keep => info.limit.value()?,
        FieldChange::Clear => return None,
        FieldChange::Set(limit) => limit.to_dollars(),
    };
    let reset = match patch.limit_reset {
        FieldChange::Keep => info.limit_reset.value(),
        FieldChange::Clear => None,
        FieldChange::Set(reset) => Some(reset),
    };
    let counts_byok = patch.include_byok_in_limit.or(info.include_byok_in_limit) == Some(true);
    let (usage, byok) = match reset {
        Some(ResetInterval::Daily) => (info.usage_daily, info.byok_usage_daily),
        Some(ResetInterval::Weekly) => (info.usage_weekly, info.byok_usage_weekly),
        Some(ResetInterval::Monthly) => (info.usage_monthly, info.byok_usage_monthly),
        None => (info.usage, info.byok_usage),
    };
    let spent = usage? + byok.filter(|_| counts_byok).unwrap_or(0.0);
    (spent >= limit).then(|| format!("{} is spent, so the key is blocked", format_usd(spent)))
}

#[cfg(test)]
mod tests;
