//! Handles intents that act on existing keys, and their confirmation.

use super::{bulk, limits, management, operation, profiles, trash};
use crate::domain::{ErrorKind, Label, StoredKey, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    ConfirmDialog, ConfirmKind, EditRequest, Effect, ExpectedLosses, Form, Intent, KeyList,
    KeyScope, Model, Operation, Question, Request, Screen, UndoableChange,
};

/// Handles an intent that acts on the target keys.
pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Rotate => open_confirm_dialog(model, ConfirmKind::Rotate),
        Intent::RespondToLeak => open_confirm_dialog(model, ConfirmKind::RespondToLeak),
        Intent::Remove => confirm_remove(model),
        Intent::EditKey if model.dashboard.marked_hashes.len() > 1 => limits::open(model),
        Intent::Undo => undo(model),
        Intent::OpenTrash => trash::open(model),
        Intent::EditKey => {
            let Some(hash) = model.dashboard.selected_key().map(|key| key.hash.clone()) else {
                return Vec::new();
            };
            let ticket = model.next_ticket();
            model.edit_request = Some(EditRequest { ticket, hash: hash.clone() });
            vec![Effect::Request(ticket, Request::FetchAccountKey(hash))]
        }
        Intent::ToggleDisabled => {
            confirm_toggle_disabled(model);
            Vec::new()
        }
        Intent::ImportKey => {
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Form(Form::for_import(
                model.dashboard.stored_keys(),
                model.dashboard.other_profiles.clone(),
            ));
            Vec::new()
        }
        Intent::OpenPlan => {
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Plan(Box::default());
            Vec::new()
        }
        Intent::OpenProfiles => {
            profiles::open(model);
            Vec::new()
        }
        Intent::SwitchProfile(index) => profiles::switch(model, index),
        Intent::OpenManagement => {
            management::open(model);
            Vec::new()
        }
        Intent::NextScope => {
            if model.dashboard.scope == KeyScope::Stored {
                if let Some(error) = management::missing_key_error(model, "to list other keys") {
                    model.notify(Err(error));
                    return Vec::new();
                }
                let ticket = model.next_ticket();
                model.dashboard.account_keys_ticket = Some(ticket);
                model.notify(Ok("loading the keys of the account".into()));
                return vec![Effect::Request(ticket, Request::LoadAccountKeys)];
            }
            // A view without keys is passed over.
            let mut scope = model.dashboard.scope.next();
            model.dashboard.set_scope(scope, model.now);
            while scope != KeyScope::Stored && model.dashboard.rows.is_empty() {
                scope = scope.next();
                model.dashboard.set_scope(scope, model.now);
            }
            show_scope(model, scope);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Switches the scope and says what the table lists.
pub(super) fn show_scope(model: &mut Model, scope: KeyScope) {
    model.dashboard.set_scope(scope, model.now);
    let (count, description) = (model.dashboard.rows.len(), scope.description());
    let keys = if count == 1 { "key" } else { "keys" };
    let (next, spending) =
        (key_text(model, &Intent::NextScope), key_text(model, &Intent::ToggleAccount));
    model.notify(Ok(format!(
        "{count} {keys}: {description}; {next}: next view ({}), {spending}: credits",
        scope.next().description()
    )));
}

/// Returns the target keys that are stored here, and shows an error if none is.
fn target_stored_keys(model: &mut Model) -> Vec<StoredKey> {
    let stored = model.dashboard.target_keys().into_iter().filter(|key| key.is_stored());
    let keys: Vec<StoredKey> = stored.cloned().collect();
    if keys.is_empty() && !model.dashboard.rows.is_empty() {
        show_not_stored_error(model);
    }
    keys
}

pub(super) fn show_not_stored_error(model: &mut Model) {
    let [disable, edit, remove] = [Intent::ToggleDisabled, Intent::EditKey, Intent::Remove]
        .map(|intent| key_text(model, &intent));
    model.notify(Err(UserError::new(
        ErrorKind::NotFound,
        "this key is not stored here",
        format!(
            "OpenRouter shows a key only at its creation; {disable}, {edit} and {remove} still work"
        ),
    )));
}

/// Returns why no key is selected.
pub(super) fn no_selection_reason(model: &Model) -> String {
    let key = |intent| key_text(model, &intent);
    match &model.dashboard.keys {
        KeyList::Loading => "the keys are still being read".to_owned(),
        KeyList::Failed(_) => {
            format!("the keys could not be read; {} tries again", key(Intent::Reload))
        }
        KeyList::Loaded(keys) if keys.is_empty() => {
            format!("no key is stored yet; {} creates one", key(Intent::NewKey))
        }
        KeyList::Loaded(_) if !model.dashboard.filter.text().is_empty() => {
            "no key matches the filter; esc clears it".to_owned()
        }
        KeyList::Loaded(_) => {
            format!("this view has no key; {} shows the next view", key(Intent::NextScope))
        }
    }
}

/// Copies the selected key, or the marked ones as environment variables.
pub(super) fn copy_keys(model: &mut Model) -> Vec<Effect> {
    let targets = model.dashboard.target_keys();
    let stored = targets.iter().filter(|key| key.is_stored());
    let keys: Vec<StoredKey> = stored.copied().cloned().collect();
    let is_bulk = targets.len() > 1;
    match &keys[..] {
        [] => {
            if !targets.is_empty() {
                show_not_stored_error(model);
            }
            Vec::new()
        }
        [key] if !is_bulk => vec![Effect::CopyStoredKey(key.clone())],
        _ => {
            model.dashboard.marked_hashes.clear();
            vec![Effect::CopyAsVariables(keys)]
        }
    }
}

fn open_confirm_dialog(model: &mut Model, kind: ConfirmKind) -> Vec<Effect> {
    let keys = target_stored_keys(model);
    if keys.is_empty() {
        return Vec::new();
    }
    model.dashboard.hide_revealed_key();
    let ticket = model.next_ticket();
    let mut dialog = ConfirmDialog::new(kind, keys.clone());
    dialog.losses = ExpectedLosses::Pending(ticket);
    model.screen = Screen::Confirm(Box::new(dialog));
    vec![Effect::Request(ticket, Request::PreviewReplacements(keys))]
}

fn confirm_remove(model: &mut Model) -> Vec<Effect> {
    let targets = model.dashboard.target_keys();
    let labels: Vec<Label> =
        targets.iter().filter(|key| key.is_stored()).map(|key| key.label.clone()).collect();
    if !labels.is_empty() {
        model.question = Some(Question::RemoveKeys(labels));
    } else if !targets.is_empty() {
        let keys = targets.into_iter().cloned().collect();
        return confirm_revoke(model, keys);
    }
    Vec::new()
}

/// Opens the dialog that confirms a revocation.
pub(super) fn confirm_revoke(model: &mut Model, keys: Vec<StoredKey>) -> Vec<Effect> {
    if !keys.is_empty() {
        model.screen = Screen::Confirm(Box::new(ConfirmDialog::new(ConfirmKind::Revoke, keys)));
    }
    Vec::new()
}

/// Opens the dialog about a key of another account, once for each key.
pub(super) fn confirm_account(model: &mut Model) {
    let dashboard = &model.dashboard;
    let is_new = |(_, key): &(usize, &StoredKey)| {
        key.is_of_unconfirmed_account() && !dashboard.shown_account_dialogs.contains(&key.hash)
    };
    let new = dashboard
        .stored_keys_at(&dashboard.unconfirmed_keys)
        .find(is_new)
        .map(|(_, key)| key.clone());
    if let Some(key) = new {
        model.dashboard.shown_account_dialogs.insert(key.hash.clone());
        let dialog = ConfirmDialog::new(ConfirmKind::ConfirmAccount, vec![key]);
        model.screen = Screen::Confirm(Box::new(dialog));
    }
}

/// Asks whether to disable or enable the target keys.
fn confirm_toggle_disabled(model: &mut Model) {
    let targets = model.dashboard.target_keys();
    let disabled = targets.iter().any(|key| key.disabled != Some(true));
    let keys: Vec<_> = targets
        .into_iter()
        .filter(|key| (key.disabled == Some(true)) != disabled)
        .map(|key| (key.hash.clone(), key.label.clone()))
        .collect();
    if keys.is_empty() {
        return;
    }
    let verb = if disabled { "disable" } else { "enable" };
    match management::missing_key_error(model, &format!("to {verb} a key")) {
        Some(error) => model.notify(Err(error)),
        None => model.question = Some(Question::SetKeysDisabled { keys, disabled }),
    }
}

/// Disables or enables the keys that the answered question named.
pub(super) fn set_keys_disabled(
    model: &mut Model,
    keys: &[(String, Label)],
    disabled: bool,
) -> Vec<Effect> {
    let hashes = keys.iter().map(|(hash, _)| hash);
    let keys: Vec<StoredKey> =
        hashes.filter_map(|hash| model.dashboard.find_key(hash)).cloned().collect();
    let Some(first) = keys.first() else { return Vec::new() };
    let verb = if disabled { "disabling" } else { "enabling" };
    let what = match keys.len() {
        1 => format!("'{}'", first.label),
        count => format!("{count} keys"),
    };
    model.notice = Some(Ok(format!("{verb} {what} at OpenRouter")));
    // This becomes the change that undo reverts, unless it is itself an undo.
    let is_undo = match &model.undoable {
        Some(UndoableChange::DisabledSet { keys: changed, disabled: was_disabled }) => {
            let is_changed = |key: &StoredKey| changed.iter().any(|(hash, _)| *hash == key.hash);
            *was_disabled != disabled && keys.iter().all(is_changed)
        }
        _ => false,
    };
    if !is_undo {
        model.undoable = None;
    }
    bulk::begin_action(model, keys.iter().map(|key| key.label.clone()));
    model.dashboard.marked_hashes.clear();
    vec![Effect::SetKeysDisabled { keys, disabled }]
}

/// Reverts the last change. Only the values of limits are shown first.
fn undo(model: &mut Model) -> Vec<Effect> {
    match model.undoable.clone() {
        Some(UndoableChange::DisabledSet { keys, disabled }) => {
            return set_keys_disabled(model, &keys, !disabled);
        }
        Some(UndoableChange::Removed(keys)) => return trash::undo_removal(model, keys),
        Some(UndoableChange::LimitsEdited(updates)) => limits::confirm_restore(model, &updates),
        Some(UndoableChange::Final(reason)) => model.notify(Ok(reason)),
        None => model.notify(Ok("there is nothing to undo".into())),
    }
    Vec::new()
}

/// Handles an intent in the confirm dialog.
pub(super) fn handle_confirm_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let now = model.now;
    let Screen::Confirm(dialog) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back | Intent::No => {
            let changes_keys = dialog.kind != ConfirmKind::ConfirmAccount;
            model.screen = Screen::Dashboard;
            if changes_keys {
                model.notify(Ok("nothing was changed".into()));
            }
        }
        Intent::NextChoice => dialog.step_unused_for(1),
        Intent::PreviousChoice => dialog.step_unused_for(-1),
        Intent::EditKey if dialog.offers_new_expiry(now) => dialog.step_new_expiry(),
        Intent::ToggleMark => dialog.revoke_when_unused = !dialog.revoke_when_unused,
        Intent::TypeChar(c) => dialog.confirmation.insert(c),
        Intent::Paste(text) => dialog.confirmation.paste(&text),
        Intent::EditText(request) => dialog.confirmation.edit(request),
        Intent::Yes | Intent::Enter if dialog.is_confirmed(now) => {
            let ConfirmDialog { kind, keys, .. } = &**dialog;
            let (kind, keys, retire_policy) = (*kind, keys.clone(), dialog.retire_policy());
            let expiry = dialog.new_expiry(now);
            model.dashboard.marked_hashes.clear();
            return match kind {
                ConfirmKind::RespondToLeak => {
                    operation::start_operation(model, Operation::RespondToLeak(keys))
                }
                ConfirmKind::Rotate => {
                    let operation = match <[StoredKey; 1]>::try_from(keys) {
                        Ok([stored_key]) => {
                            Operation::RotateKey { stored_key, expiry, retire_policy }
                        }
                        Err(keys) => {
                            Operation::RotateKeys { keys, expiry, retire_policy, current: 0 }
                        }
                    };
                    operation::start_operation(model, operation)
                }
                ConfirmKind::ConfirmAccount => {
                    model.screen = Screen::Dashboard;
                    keys.into_iter().map(Effect::ConfirmAccount).collect()
                }
                ConfirmKind::Revoke => {
                    model.screen = Screen::Dashboard;
                    model.notice = Some(Ok("revoking at OpenRouter".into()));
                    bulk::begin_action(model, keys.iter().map(|key| key.label.clone()));
                    vec![Effect::RevokeKeys(keys)]
                }
            };
        }
        _ => {}
    }
    Vec::new()
}
