//! What a person wants done to keys that exist: thought over, and begun.

use super::sign_in;
use crate::domain::{ErrorKind, Label, StoredKey, UserError};
use crate::tui::state::{
    ConfirmDialog, ConfirmKind, Effect, Form, Intent, KeyScope, Model, Operation, Question, Screen,
};

/// What a person wants done to the keys that were chosen.
pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Rotate => open_confirm_dialog(model, ConfirmKind::Rotate),
        Intent::RespondToLeak => open_confirm_dialog(model, ConfirmKind::RespondToLeak),
        Intent::Remove => confirm_remove(model),
        Intent::EditKey => {
            let Some(hash) = model.dashboard.selected_key().map(|held| held.hash.clone()) else {
                return Vec::new();
            };
            let ticket = model.next_ticket();
            model.edit_ticket = Some(ticket);
            vec![Effect::FetchAccountKey { ticket, hash }]
        }
        Intent::ToggleDisabled => toggle_disabled(model),
        Intent::ImportKey => {
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Form(Form::for_import(model.dashboard.stored_keys()));
            Vec::new()
        }
        Intent::OpenPlan => {
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Plan(Box::default());
            Vec::new()
        }
        Intent::NextScope => {
            if model.dashboard.scope == KeyScope::Stored {
                let ticket = model.next_ticket();
                model.dashboard.account_keys_ticket = Some(ticket);
                model.notice = Some(Ok("reading the account's list".into()));
                return vec![Effect::LoadAccountKeys(ticket)];
            }
            show_scope(model, model.dashboard.scope.next());
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn show_scope(model: &mut Model, scope: KeyScope) {
    model.dashboard.set_scope(scope, model.now);
    let (count, words) = (model.dashboard.rows.len(), scope.description());
    let keys = if count == 1 { "key" } else { "keys" };
    model.notice = Some(Ok(format!("{count} {keys}: {words}; a lists others")));
}

/// The keys that were chosen and are held; those that are not take more than is here.
fn target_stored_keys(model: &mut Model) -> Vec<StoredKey> {
    let here = model.dashboard.target_keys().into_iter().filter(|held| held.is_stored());
    let keys: Vec<StoredKey> = here.cloned().collect();
    if keys.is_empty() && !model.dashboard.rows.is_empty() {
        show_not_stored_error(model);
    }
    keys
}

pub(super) fn show_not_stored_error(model: &mut Model) {
    model.notice = Some(Err(UserError::new(
        ErrorKind::NotFound,
        "this key is not held here",
        "its text was shown once, when it was cut; d, e and x act at OpenRouter",
    )));
}

fn open_confirm_dialog(model: &mut Model, what: ConfirmKind) -> Vec<Effect> {
    let mut keys = target_stored_keys(model);
    if what == ConfirmKind::Rotate && keys.len() > 1 {
        model.notice = Some(Err(UserError::new(
            ErrorKind::InvalidInput,
            "keys are rotated one at a time",
            "esc takes the marks away",
        )));
        keys.clear();
    }
    if !keys.is_empty() {
        model.dashboard.hide_revealed_key();
        model.screen = Screen::Confirm(Box::new(ConfirmDialog::new(what, keys)));
    }
    Vec::new()
}

fn confirm_remove(model: &mut Model) -> Vec<Effect> {
    let chosen = model.dashboard.target_keys();
    let labels: Vec<Label> =
        chosen.iter().filter(|held| held.is_stored()).map(|held| held.label.clone()).collect();
    if !labels.is_empty() {
        model.question = Some(Question::RemoveKeys(labels));
    } else if !chosen.is_empty() {
        return confirm_revoke(model);
    }
    Vec::new()
}

/// Thinks over their deletion at the server.
pub(super) fn confirm_revoke(model: &mut Model) -> Vec<Effect> {
    let keys: Vec<StoredKey> = model.dashboard.target_keys().into_iter().cloned().collect();
    if !keys.is_empty() {
        model.screen = Screen::Confirm(Box::new(ConfirmDialog::new(ConfirmKind::Revoke, keys)));
    }
    Vec::new()
}

/// On again at once; off, several keys after a question. The same key takes it back.
fn toggle_disabled(model: &mut Model) -> Vec<Effect> {
    let chosen: Vec<StoredKey> = model.dashboard.target_keys().into_iter().cloned().collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    let off = chosen.iter().any(|held| held.disabled != Some(true));
    let keys: Vec<StoredKey> =
        chosen.into_iter().filter(|held| (held.disabled == Some(true)) != off).collect();
    if off && keys.len() > 1 {
        model.question =
            Some(Question::DisableKeys(keys.iter().map(|held| held.label.clone()).collect()));
        return Vec::new();
    }
    model.dashboard.marked_hashes.clear();
    let word = if off { "disabling" } else { "enabling" };
    model.notice = Some(Ok(format!("{word} '{}' at OpenRouter", keys[0].label)));
    vec![Effect::SetKeysDisabled { keys, disabled: off }]
}

/// Yes: these off.
pub(super) fn disable_keys(model: &mut Model, labels: &[Label]) -> Vec<Effect> {
    let chosen = model.dashboard.target_keys().into_iter();
    let keys = chosen.filter(|held| labels.contains(&held.label)).cloned().collect();
    model.dashboard.marked_hashes.clear();
    vec![Effect::SetKeysDisabled { keys, disabled: true }]
}

/// What a person wants of what is thought over.
pub(super) fn handle_confirm_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Confirm(ask) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back | Intent::No => model.screen = Screen::Dashboard,
        Intent::NextChoice => ask.step_unused_for(1),
        Intent::PreviousChoice => ask.step_unused_for(-1),
        Intent::ToggleMark => ask.revoke_when_unused = !ask.revoke_when_unused,
        Intent::TypeChar(c) => ask.confirmation.insert(c),
        Intent::Paste(text) => ask.confirmation.paste(&text),
        Intent::EditText(request) => ask.confirmation.edit(request),
        Intent::Yes | Intent::Enter if ask.is_confirmed() => {
            let ConfirmDialog { kind: what, keys, .. } = &**ask;
            let (what, keys, terms) = (*what, keys.clone(), ask.retire_policy());
            model.dashboard.marked_hashes.clear();
            return match what {
                ConfirmKind::RespondToLeak => {
                    sign_in::start_operation(model, Operation::RespondToLeak(keys))
                }
                ConfirmKind::Rotate => match keys.into_iter().next() {
                    Some(held) => sign_in::start_operation(
                        model,
                        Operation::RotateKey { stored_key: held, retire_policy: terms },
                    ),
                    None => Vec::new(),
                },
                ConfirmKind::Revoke => {
                    model.screen = Screen::Dashboard;
                    model.notice = Some(Ok("deleting at OpenRouter".into()));
                    vec![Effect::RevokeKeys(keys)]
                }
            };
        }
        _ => {}
    }
    Vec::new()
}
