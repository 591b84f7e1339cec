//! What a form comes to when it is submitted. Must not know: how it is done.

use jiff::Timestamp;

use super::{Form, Purpose};
use crate::domain::{
    AccountKey, ApiKey, Cents, Expiry, FieldChange, KeyPatch, KeyRequest, Label, ResetInterval,
    StoredKey,
};
use crate::tui::state::Changes;

/// What a form comes to.
pub(in crate::tui) enum Submitted {
    /// Cut this key.
    Cut(KeyRequest),
    /// Make this change.
    Change(Box<Changes>),
    /// Nothing is to be changed.
    Nothing,
    /// Take over this key.
    Import(Label, ApiKey),
}

impl Form {
    /// What the form comes to, or the cursor on the first field that is wrong. A change is shown
    /// before it is made: the first time it comes to nothing yet.
    pub(in crate::tui) fn submit(&mut self, now: Timestamp) -> Option<Submitted> {
        self.seen = [true; 7];
        self.trouble = None;
        if let Some(part) =
            self.parts().iter().copied().find(|part| self.verdict(*part, now).is_err())
        {
            if part != self.focus {
                self.arrive(part);
            }
            return None;
        }
        let label: Label = self.label.text().parse().ok()?;
        match &self.purpose {
            Purpose::New => Some(Submitted::Cut(KeyRequest {
                label,
                limit: Cents::parse_limit(self.limit.text()).ok()?,
                limit_reset: self.reset,
                expiry: Expiry::parse(self.expires.text(), now).ok()?,
                workspace_id: Some(self.workspace.text().trim())
                    .filter(|id| self.workspaces && !id.is_empty())
                    .map(str::to_owned),
            })),
            Purpose::Import => {
                let key = ApiKey::from(self.key.text().trim().to_owned());
                Some(Submitted::Import(label, key))
            }
            Purpose::Change { held, seen } => {
                let (changes, diff) = self.changes(held, seen.as_deref(), label)?;
                if diff.is_empty() {
                    return Some(Submitted::Nothing);
                }
                if self.diff == diff {
                    return Some(Submitted::Change(Box::new(changes)));
                }
                self.diff = diff;
                None
            }
        }
    }

    /// What is to be changed, and in words.
    fn changes(
        &self,
        held: &StoredKey,
        seen: Option<&AccountKey>,
        label: Label,
    ) -> Option<(Changes, Vec<String>)> {
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
            if differs("reset", word(old), word(self.reset)) {
                patch.limit_reset = FieldChange::from_option(self.reset);
            }
            let old = reading.include_byok_in_limit.unwrap_or(false);
            let word = |counts| if counts { "count" } else { "do not count" };
            if differs("own providers", word(old), word(self.byok)) {
                patch.include_byok_in_limit = Some(self.byok);
            }
            if renamed && !held.is_stored() {
                patch.name = Some(label.clone());
            }
        }
        let there = seen.cloned().filter(|_| !patch.is_empty()).map(|seen| (seen, patch));
        let label = Some(label).filter(|_| renamed && held.is_stored());
        Some((Changes { held: held.clone(), there, label }, diff))
    }
}
