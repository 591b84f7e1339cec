//! The revocation of keys: what a deletion at OpenRouter changes, and replaced keys that are deleted without
//! a question once they are unused.

use super::bulk;
use crate::domain::{AccountKey, Label, RetirementStatus, StoredKey, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{Effect, Intent, Model, UndoableChange};

/// Handles the result of a revocation.
pub(super) fn finish_revoke(
    model: &mut Model,
    hash: &str,
    label: &Label,
    result: Result<(), UserError>,
) {
    let message = result.map(|()| {
        model.dashboard.remove_by_hash(hash, model.now);
        let reason = format!("'{label}' was deleted at OpenRouter, which cannot be undone");
        let create = key_text(model, &Intent::NewKey);
        model.undoable =
            Some(UndoableChange::Final(format!("{reason}; {create} creates another key")));
        format!("'{label}' is revoked at OpenRouter and no longer works")
    });
    bulk::record_result(model, label, message);
}

/// Keeps a replaced key that is still used.
pub(super) fn keep_used_key(
    model: &mut Model,
    label: &Label,
    account_key: AccountKey,
    reason: &str,
) {
    // With a known time it is tried again after the time without use; otherwise once is enough.
    if account_key.last_used_at.is_some() {
        model.dashboard.revoking_hashes.remove(&account_key.hash);
    }
    model.dashboard.record_last_uses(&[account_key]);
    model.notify(Ok(format!("'{label}' is not revoked, because it is still in use: {reason}")));
}

/// Revokes replaced keys that are unused and were marked for automatic revocation.
pub(super) fn revoke_unused_keys(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let unused: Vec<StoredKey> = model
        .dashboard
        .stored_keys()
        .iter()
        .filter(|key| key.retirement.as_ref().is_some_and(|retiring| retiring.revoke_when_unused))
        .filter(|key| !model.dashboard.revoking_hashes.contains(&key.hash))
        .filter(|key| {
            matches!(model.dashboard.retirement_status(key, now), RetirementStatus::Unused(_))
        })
        .cloned()
        .collect();
    if unused.is_empty() {
        return Vec::new();
    }
    model.dashboard.revoking_hashes.extend(unused.iter().map(|key| key.hash.clone()));
    vec![Effect::RevokeUnusedKeys(unused)]
}
