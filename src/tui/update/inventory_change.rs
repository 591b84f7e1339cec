//! Applies changes that another program made in the inventory, also while a question about a key is
//! open.

use crate::domain::{Label, StoredKey, UserError};
use crate::tui::state::{Effect, Model, Question, Screen, UndoableChange};

/// Returns the effects that look for changes before an action on keys.
pub(super) fn check_before_action(model: &Model) -> Vec<Effect> {
    let is_shown = matches!(model.screen, Screen::Dashboard) && model.question.is_none();
    if is_shown && !is_busy(model) { vec![Effect::CheckInventory] } else { Vec::new() }
}

/// Returns whether nothing is under way that changes the stored keys, and nothing covers them.
pub(super) fn is_idle(model: &Model) -> bool {
    matches!(model.screen, Screen::Dashboard) && model.question.is_none() && !is_busy(model)
}

fn is_busy(model: &Model) -> bool {
    model.dashboard.load_ticket.is_some()
        || model.refresh.current_round.is_some()
        || !model.open_requests.is_empty()
        || !model.background_runs.is_empty()
        || model.changes_under_way > 0
}

/// Shows the changed keys. The list may be older than an action under way, so in that case the
/// check is postponed. A question about a key that was removed, renamed or replaced is closed.
pub(super) fn apply(model: &mut Model, keys: Vec<StoredKey>) {
    if is_busy(model) || !matches!(model.screen, Screen::Dashboard | Screen::Confirm(_)) {
        model.is_inventory_check_due = true;
        return;
    }
    let asked = asked_keys(model);
    if let Some(UndoableChange::Removed(removed)) = &mut model.undoable {
        // Someone else may have restored them.
        removed.retain(|trashed| !keys.iter().any(|key| trashed.is_key(&key.server, &key.hash)));
        if removed.is_empty() {
            model.undoable = None;
        }
    }
    model.dashboard.set_keys(Ok(keys), model.now);
    model.dashboard.mark_usage_history_stale();
    model.account.is_spending_stale = true;
    let is_same = |(hash, label): &&(String, Label)| {
        model.dashboard.find_key(hash).is_some_and(|key| key.label == *label)
    };
    if let Some((_, label)) = asked.iter().find(|key| !is_same(key)) {
        let message = format!("another program changed '{label}' in the meantime");
        let advice = "nothing was done; look at the keys and try again";
        let error = UserError::failed(message, advice);
        model.question = None;
        model.screen = Screen::Dashboard;
        model.notify(Err(error));
    }
}

/// Returns the hashes and labels of the keys that the question or the dialog is about.
fn asked_keys(model: &Model) -> Vec<(String, Label)> {
    let identity = |key: &StoredKey| (key.hash.clone(), key.label.clone());
    match (&model.question, &model.screen) {
        (Some(Question::RemoveKeys(labels)), _) => {
            let stored_keys = model.dashboard.stored_keys().iter();
            stored_keys.filter(|key| labels.contains(&key.label)).map(identity).collect()
        }
        (Some(Question::SetKeysDisabled { keys, .. }), _) => keys.clone(),
        (None, Screen::Confirm(dialog)) => dialog.keys.iter().map(identity).collect(),
        _ => Vec::new(),
    }
}
