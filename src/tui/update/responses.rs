//! What came of what was done to keys that exist.

use super::actions;
use crate::domain::{
    AccountKey, AccountKeys, ErrorKind, Label, LeakResponse, ProvisioningOutcome, RetirementStatus,
    Rotated, RotationOutcome, StoredKey, UserError,
};
use crate::tui::state::{
    Effect, Form, KeyScope, KeyUpdateOutcome, Model, NewKeyScreen, Screen, Ticket,
};

/// Whether the journey with that ticket is the one on screen; it is ended either way. `None` where
/// nobody waits for it: it ended before.
fn finish_run(model: &mut Model, ticket: Ticket) -> Option<bool> {
    // A key that is stored at last and takes another's place has another message to come.
    let first =
        matches!(&model.screen, Screen::NewKey(reveal) if reveal.store_ticket == Some(ticket));
    if !first && !model.close_request(ticket) {
        return None;
    }
    model.background_runs.retain(|unfinished| first || unfinished.ticket != ticket);
    Some(matches!(&model.screen, Screen::SignIn(login) if login.ticket == ticket))
}

/// Of a journey that nobody waits for only this counts.
fn keep_unstored_key(model: &mut Model, rotation: RotationOutcome) {
    if let RotationOutcome::NotStored { .. } = rotation {
        // The notice about it is up already.
        let _ = apply_rotation_outcome(model, rotation);
    }
}

/// A rotation's end.
pub(super) fn finish_rotation(
    model: &mut Model,
    ticket: Ticket,
    rotation: RotationOutcome,
) -> Vec<Effect> {
    let Some(seen) = finish_run(model, ticket) else {
        keep_unstored_key(model, rotation);
        return Vec::new();
    };
    if let (RotationOutcome::Failed(trouble), true) = (&rotation, seen) {
        if let Screen::SignIn(login) = &mut model.screen {
            login.error = Some(trouble.clone());
        }
        return super::quit_when_idle(model);
    }
    if seen {
        model.screen = Screen::Dashboard;
    }
    model.notice = Some(apply_rotation_outcome(model, rotation));
    super::update_used_labels(model);
    super::quit_when_idle(model)
}

/// A rotation that an earlier run left went on.
pub(super) fn finish_resumed_rotation(
    model: &mut Model,
    label: &Label,
    result: Result<Rotated, UserError>,
) {
    model.notice = Some(match result {
        Ok(handed) => apply_rotation_outcome(
            model,
            RotationOutcome::Completed { rotated: handed, warning: None },
        ),
        Err(trouble) => Err(UserError {
            message: format!("the rotation to '{label}' waits: {}", trouble.message),
            ..trouble
        }),
    });
}

/// What a rotation changed here, and a sentence about it.
fn apply_rotation_outcome(
    model: &mut Model,
    rotation: RotationOutcome,
) -> Result<String, UserError> {
    let now = model.now;
    match rotation {
        RotationOutcome::Completed { rotated: handed, warning: note } => {
            let words = match &handed.old {
                Some(old) => format!(
                    "'{}' is a new key; the old one, '{}', is watched",
                    handed.new.label, old.label
                ),
                None => format!("'{}' is a new key", handed.new.label),
            };
            model.dashboard.apply_rotation(handed, now);
            note.map_or(Ok(words), Err)
        }
        RotationOutcome::LabelNotMoved { new, error: trouble } => {
            let label = new.label.clone();
            model.dashboard.upsert_key(new, now);
            Err(UserError {
                message: format!(
                    "the new key is held as '{label}': it has not got the label yet: {}",
                    trouble.message
                ),
                ..trouble
            })
        }
        RotationOutcome::NotStored { entry: held, key, error: trouble } => {
            let words = trouble.clone();
            if let Ok(reveal) = NewKeyScreen::from_outcome(ProvisioningOutcome::NotStored {
                entry: held,
                key,
                error: trouble,
            }) {
                super::queue_unstored(model, reveal);
            }
            Err(words)
        }
        // Cancelled, as was wanted.
        RotationOutcome::Failed(trouble) if trouble.kind == ErrorKind::Cancelled => {
            Ok("nothing was issued".into())
        }
        RotationOutcome::Failed(trouble) => Err(trouble),
    }
}

/// What was done about a leak. The new key goes to the clipboard: it is wanted now.
pub(super) fn finish_leak_response(
    model: &mut Model,
    ticket: Ticket,
    panicked: Vec<LeakResponse>,
) -> Vec<Effect> {
    let Some(seen) = finish_run(model, ticket) else {
        for one in panicked {
            keep_unstored_key(model, one.rotation);
        }
        return Vec::new();
    };
    let deeds: Vec<_> = panicked.iter().flat_map(LeakResponse::action_results).collect();
    let mut effects = Vec::new();
    if let [one] = &panicked[..]
        && let RotationOutcome::Completed { rotated: handed, .. } = &one.rotation
        && seen
    {
        effects.push(Effect::CopyStoredKey(handed.new.label.clone()));
    }
    for one in panicked {
        // Each is among the deeds.
        let _ = apply_rotation_outcome(model, one.rotation);
    }
    if seen {
        model.screen = Screen::ActionResults(deeds);
    } else if let Some(undone) = deeds.iter().find(|deed| !deed.succeeded) {
        model.notice =
            Some(Err(UserError::new(ErrorKind::Failed, undone.message.clone(), String::new())));
    }
    effects.extend(super::load_keys(model));
    effects.extend(super::quit_when_idle(model));
    effects
}

/// The key as the account has it: now its form is shown.
pub(super) fn open_edit_form(model: &mut Model, remote: Result<Option<AccountKey>, UserError>) {
    model.edit_ticket = None;
    if !matches!(model.screen, Screen::Dashboard) {
        return;
    }
    let Some(held) = model.dashboard.selected_key().cloned() else { return };
    match remote {
        Err(trouble) => model.notice = Some(Err(trouble)),
        Ok(Some(remote)) if remote.hash != held.hash => {}
        Ok(None) if !held.is_stored() => actions::show_not_stored_error(model),
        Ok(remote) => {
            if let Some(remote) = &remote {
                model.dashboard.record_account_key(remote, model.now);
            }
            let form = Form::for_edit(held, remote, model.dashboard.stored_keys());
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Form(form);
        }
    }
}

/// What came of a change.
pub(super) fn finish_key_update(model: &mut Model, ticket: Ticket, outcome: KeyUpdateOutcome) {
    let now = model.now;
    let shown = matches!(&model.screen, Screen::Form(form) if form.submit_ticket == Some(ticket));
    match outcome {
        KeyUpdateOutcome::Updated { account_key: there, stored_key: here, warning: note } => {
            let mut label = None;
            if let Some(remote) = there {
                model.dashboard.record_account_key(&remote, now);
                label = model.dashboard.find_key(&remote.hash).map(|held| held.label.clone());
            }
            if let Some(held) = here {
                label = Some(held.label.clone());
                model.dashboard.rename_key(held, now);
            }
            if shown {
                model.screen = Screen::Dashboard;
            }
            let label = label.map_or(String::new(), |label| format!("'{label}' "));
            model.notice = Some(note.map_or(Ok(format!("{label}is changed")), Err));
            super::update_used_labels(model);
        }
        KeyUpdateOutcome::Conflict { current: remote, changed_fields: differences } => {
            let words = UserError::new(
                ErrorKind::Failed,
                format!(
                    "somebody changed it meanwhile: {} is not as it was",
                    differences.join(", ")
                ),
                "nothing was sent; the form shows what is there now",
            );
            model.dashboard.record_account_key(&remote, now);
            match &mut model.screen {
                Screen::Form(form) if shown => {
                    form.set_account_key(remote);
                    form.submit_ticket = None;
                    form.error = Some(words);
                }
                _ => model.notice = Some(Err(words)),
            }
        }
        KeyUpdateOutcome::Failed(trouble) => show_submit_error(model, shown, trouble),
    }
}

fn show_submit_error(model: &mut Model, shown: bool, trouble: UserError) {
    match &mut model.screen {
        Screen::Form(form) if shown => {
            form.submit_ticket = None;
            form.diff.clear();
            form.error = Some(trouble);
        }
        _ => model.notice = Some(Err(trouble)),
    }
}

/// A key was taken over, or not.
pub(super) fn finish_import(
    model: &mut Model,
    ticket: Ticket,
    result: Result<StoredKey, UserError>,
) {
    let shown = matches!(&model.screen, Screen::Form(form) if form.submit_ticket == Some(ticket));
    match result {
        Ok(held) => {
            model.notice = Some(Ok(format!("'{}' is stored in {}", held.label, model.store_name)));
            model.dashboard.upsert_key(held, model.now);
            if shown {
                model.screen = Screen::Dashboard;
            }
            super::update_used_labels(model);
        }
        Err(trouble) => show_submit_error(model, shown, trouble),
    }
}

/// A switch was turned, or not.
pub(super) fn finish_set_disabled(
    model: &mut Model,
    label: &Label,
    result: Result<AccountKey, UserError>,
    warning: Option<UserError>,
) {
    let notice = result.map(|remote| {
        model.dashboard.record_account_key(&remote, model.now);
        if remote.disabled == Some(true) {
            format!("'{label}' is disabled: it buys nothing; d enables it again")
        } else {
            format!("'{label}' is enabled")
        }
    });
    model.notice = Some(warning.map_or(notice, Err));
    model.dashboard.update_attention_list(model.now);
}

/// A key is deleted at the server, or not.
pub(super) fn finish_revoke(
    model: &mut Model,
    hash: &str,
    label: &Label,
    result: Result<(), UserError>,
) {
    model.notice = Some(result.map(|()| {
        model.dashboard.remove_by_hash(hash, model.now);
        format!("'{label}' is deleted at OpenRouter: nobody can use it any more")
    }));
}

/// The account's list was read, or not.
pub(super) fn finish_account_load(model: &mut Model, account: Result<AccountKeys, UserError>) {
    model.dashboard.account_keys_ticket = None;
    match account {
        Ok(account) => {
            let server = model.server.clone();
            model.dashboard.merge_account_keys(account, &server, model.now);
            if model.dashboard.scope == KeyScope::Stored {
                actions::show_scope(model, KeyScope::All);
            }
        }
        Err(trouble) => model.notice = Some(Err(trouble)),
    }
}

/// The form may learn that a workspace can be chosen.
pub(super) fn set_management_key_known(model: &mut Model, known: bool) {
    if let Screen::Form(form) = &mut model.screen {
        form.can_choose_workspace = known;
    }
}

/// Replaced keys that nobody uses any more, of which it was said beforehand that they go.
pub(super) fn revoke_unused_keys(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let go: Vec<StoredKey> = model
        .dashboard
        .stored_keys()
        .iter()
        .filter(|held| held.retirement.as_ref().is_some_and(|retiring| retiring.revoke_when_unused))
        .filter(|held| !model.dashboard.revoking_hashes.contains(&held.hash))
        .filter(|held| {
            matches!(model.dashboard.retirement_status(held, now), RetirementStatus::Unused(_))
        })
        .cloned()
        .collect();
    if go.is_empty() {
        return Vec::new();
    }
    model.dashboard.revoking_hashes.extend(go.iter().map(|held| held.hash.clone()));
    vec![Effect::RevokeKeys(go)]
}
