//! Turns a submitted form into a request or a change.

use jiff::Timestamp;

use super::{Form, FormKind};
use crate::domain::{
    AccountKey, ApiKey, Cents, Expiry, FieldChange, KeyPatch, KeyRequest, Label, Reported,
    ResetInterval, StoredKey, format_usd,
};
use crate::tui::state::key_update::KeyUpdate;

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
        self.visited = [true; 7];
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
        match &self.kind {
            FormKind::New => Some(Submission::CreateKey(KeyRequest {
                label,
                limit: Cents::parse_limit(self.limit.text()).ok()?,
                limit_reset: self.limit_reset,
                expiry: Expiry::parse(self.expiry.text(), now).ok()?,
                workspace_id: Some(self.workspace_id.text().trim())
                    .filter(|id| self.can_choose_workspace && !id.is_empty())
                    .map(str::to_owned),
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

    /// Returns the change and its description, one line per value.
    fn build_update(
        &self,
        key: &StoredKey,
        account_key: Option<&AccountKey>,
        label: Label,
    ) -> Option<(KeyUpdate, Vec<String>)> {
        let (mut patch, mut diff) = (KeyPatch::default(), Vec::new());
        let mut differs = |name: &str, old: &str, new: &str| {
            let differs = old != new;
            if differs {
                diff.push(format!("{name}: {old} → {new}"));
            }
            differs
        };
        let renamed = differs("name", key.label.as_str(), label.as_str());
        if let Some(account_key) = account_key {
            let info = &account_key.info;
            let limit = Cents::parse_limit(self.limit.text()).ok()?;
            let old = info.limit.describe("none", format_usd);
            let new = limit.map_or("none".to_owned(), |limit| format!("${limit}"));
            if differs("limit", &old, &new) {
                patch.limit = FieldChange::from_option(limit);
            }
            let text = |reset: &Reported<ResetInterval>| {
                reset.describe("never", |reset| reset.as_str().to_owned())
            };
            // The form shows no choice for an interval that is not known, so only another choice counts.
            if info.limit_reset.value() != self.limit_reset
                && differs("reset", &text(&info.limit_reset), &text(&self.limit_reset.into()))
            {
                patch.limit_reset = FieldChange::from_option(self.limit_reset);
            }
            let old = info.include_byok_in_limit.unwrap_or(false);
            let text = |counts| if counts { "count" } else { "do not count" };
            if differs("own providers", text(old), text(self.include_byok_in_limit)) {
                patch.include_byok_in_limit = Some(self.include_byok_in_limit);
            }
            if renamed && !key.is_stored() {
                patch.name = Some(label.clone());
            }
        }
        let account_patch = account_key
            .cloned()
            .filter(|_| !patch.is_empty())
            .map(|account_key| (account_key, patch));
        let label = Some(label).filter(|_| renamed && key.is_stored());
        Some((KeyUpdate { key: key.clone(), account_patch, new_label: label }, diff))
    }
}
