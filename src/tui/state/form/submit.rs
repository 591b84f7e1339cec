//! What a form comes to when it is submitted. Must not know: how it is done.

use jiff::Timestamp;

use super::{Form, FormKind};
use crate::domain::{
    AccountKey, ApiKey, Cents, Expiry, FieldChange, KeyPatch, KeyRequest, Label, ResetInterval,
    StoredKey,
};
use crate::tui::state::KeyUpdate;

/// What a form comes to.
pub(in crate::tui) enum Submission {
    /// Cut this key.
    CreateKey(KeyRequest),
    /// Make this change.
    UpdateKey(Box<KeyUpdate>),
    /// Nothing is to be changed.
    NoChange,
    /// Take over this key.
    ImportKey(Label, ApiKey),
}

impl Form {
    /// What the form comes to, or the cursor on the first field that is wrong. A change is shown
    /// before it is made: the first time it comes to nothing yet.
    pub(in crate::tui) fn submit(&mut self, now: Timestamp) -> Option<Submission> {
        self.visited = [true; 7];
        self.error = None;
        if let Some(part) =
            self.fields().iter().copied().find(|part| self.validate_field(*part, now).is_err())
        {
            if part != self.focused_field {
                self.focus_field(part);
            }
            return None;
        }
        let label: Label = self.label.text().parse().ok()?;
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
                let key = ApiKey::from(self.api_key.text().trim().to_owned());
                Some(Submission::ImportKey(label, key))
            }
            FormKind::Edit { key: held, account_key: seen } => {
                let (changes, diff) = self.build_update(held, seen.as_deref(), label)?;
                if diff.is_empty() {
                    return Some(Submission::NoChange);
                }
                if self.diff == diff {
                    return Some(Submission::UpdateKey(Box::new(changes)));
                }
                self.diff = diff;
                None
            }
        }
    }

    /// What is to be changed, and in words.
    fn build_update(
        &self,
        held: &StoredKey,
        seen: Option<&AccountKey>,
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
        let renamed = differs("name", held.label.as_str(), label.as_str());
        if let Some(seen) = seen {
            let reading = &seen.info;
            let limit = Cents::parse_limit(self.limit.text()).ok()?;
            let old = reading.limit.map_or("none".to_owned(), |limit| format!("${limit:.2}"));
            let new = limit.map_or("none".to_owned(), |limit| format!("${limit}"));
            if differs("limit", &old, &new) {
                patch.limit = FieldChange::from_option(limit);
            }
            let old = reading.limit_reset.as_deref();
            let old = old.and_then(|word| ResetInterval::parse(word).ok()?);
            let word = |reset: Option<ResetInterval>| reset.map_or("never", ResetInterval::as_str);
            if differs("reset", word(old), word(self.limit_reset)) {
                patch.limit_reset = FieldChange::from_option(self.limit_reset);
            }
            let old = reading.include_byok_in_limit.unwrap_or(false);
            let word = |counts| if counts { "count" } else { "do not count" };
            if differs("own providers", word(old), word(self.include_byok_in_limit)) {
                patch.include_byok_in_limit = Some(self.include_byok_in_limit);
            }
            if renamed && !held.is_stored() {
                patch.name = Some(label.clone());
            }
        }
        let there = seen.cloned().filter(|_| !patch.is_empty()).map(|seen| (seen, patch));
        let label = Some(label).filter(|_| renamed && held.is_stored());
        Some((KeyUpdate { key: held.clone(), account_patch: there, new_label: label }, diff))
    }
}
