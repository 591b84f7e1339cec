//! What came of what was done to keys that exist.

use super::actions;
use crate::domain::{
    AccountKey, AccountKeys, ErrorKind, Label, LeakResponse, ProvisioningOutcome, RetirementStatus,
    Rotated, RotationOutcome, StoredKey, UserError,
};
use crate::tui::state::{Changed, Effect, Form, Model, Reveal, Scope, Screen, Ticket};

/// Whether the journey with that ticket is the one on screen; it is ended either way. `None` where
/// nobody waits for it: it ended before.
fn ended(model: &mut Model, ticket: Ticket) -> Option<bool> {
    // A key that is stored at last and takes another's place has another message to come.
    let first = matches!(&model.screen, Screen::Reveal(reveal) if reveal.storing == Some(ticket));
    if !first && !model.close(ticket) {
        return None;
    }
    model.unfinished.retain(|unfinished| first || unfinished.ticket != ticket);
    Some(matches!(&model.screen, Screen::Login(login) if login.ticket == ticket))
}

/// Of a journey that nobody waits for only this counts.
fn keep_unstored(model: &mut Model, rotation: RotationOutcome) {
    if let RotationOutcome::NotStored { .. } = rotation {
        // The notice about it is up already.
        let _ = take_in(model, rotation);
    }
}

/// A rotation's end.
pub(super) fn rotated(model: &mut Model, ticket: Ticket, rotation: RotationOutcome) -> Vec<Effect> {
    let Some(seen) = ended(model, ticket) else {
        keep_unstored(model, rotation);
        return Vec::new();
    };
    if let (RotationOutcome::Failed(trouble), true) = (&rotation, seen) {
        if let Screen::Login(login) = &mut model.screen {
            login.trouble = Some(trouble.clone());
        }
        return super::depart(model);
    }
    if seen {
        model.screen = Screen::Dashboard;
    }
    model.notice = Some(take_in(model, rotation));
    super::refresh_taken(model);
    super::depart(model)
}

/// A rotation that an earlier run left went on.
pub(super) fn resumed(model: &mut Model, label: &Label, result: Result<Rotated, UserError>) {
    model.notice = Some(match result {
        Ok(handed) => take_in(model, RotationOutcome::Completed { rotated: handed, warning: None }),
        Err(trouble) => Err(UserError {
            message: format!("the rotation to '{label}' waits: {}", trouble.message),
            ..trouble
        }),
    });
}

/// What a rotation changed here, and a sentence about it.
fn take_in(model: &mut Model, rotation: RotationOutcome) -> Result<String, UserError> {
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
            model.dashboard.hand_over(handed, now);
            note.map_or(Ok(words), Err)
        }
        RotationOutcome::LabelNotMoved { new, error: trouble } => {
            let label = new.label.clone();
            model.dashboard.add(new, now);
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
            if let Ok(reveal) =
                Reveal::of(ProvisioningOutcome::NotStored { entry: held, key, error: trouble })
            {
                super::rescue(model, reveal);
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
pub(super) fn panicked(
    model: &mut Model,
    ticket: Ticket,
    panicked: Vec<LeakResponse>,
) -> Vec<Effect> {
    let Some(seen) = ended(model, ticket) else {
        for one in panicked {
            keep_unstored(model, one.rotation);
        }
        return Vec::new();
    };
    let deeds: Vec<_> = panicked.iter().flat_map(LeakResponse::action_results).collect();
    let mut effects = Vec::new();
    if let [one] = &panicked[..]
        && let RotationOutcome::Completed { rotated: handed, .. } = &one.rotation
        && seen
    {
        effects.push(Effect::CopyHeld(handed.new.label.clone()));
    }
    for one in panicked {
        // Each is among the deeds.
        let _ = take_in(model, one.rotation);
    }
    if seen {
        model.screen = Screen::Deeds(deeds);
    } else if let Some(undone) = deeds.iter().find(|deed| !deed.succeeded) {
        model.notice =
            Some(Err(UserError::new(ErrorKind::Failed, undone.message.clone(), String::new())));
    }
    effects.extend(super::start(model));
    effects.extend(super::depart(model));
    effects
}

/// The key as the account has it: now its form is shown.
pub(super) fn looked(model: &mut Model, remote: Result<Option<AccountKey>, UserError>) {
    model.looking = None;
    if !matches!(model.screen, Screen::Dashboard) {
        return;
    }
    let Some(held) = model.dashboard.current().cloned() else { return };
    match remote {
        Err(trouble) => model.notice = Some(Err(trouble)),
        Ok(Some(remote)) if remote.hash != held.hash => {}
        Ok(None) if !held.is_stored() => actions::not_here(model),
        Ok(remote) => {
            if let Some(remote) = &remote {
                model.dashboard.note_remote(remote, model.now);
            }
            let form = Form::change(held, remote, model.dashboard.held());
            model.dashboard.hide();
            model.screen = Screen::Form(form);
        }
    }
}

/// What came of a change.
pub(super) fn changed(model: &mut Model, ticket: Ticket, outcome: Changed) {
    let now = model.now;
    let shown = matches!(&model.screen, Screen::Form(form) if form.busy == Some(ticket));
    match outcome {
        Changed::Done { there, here, note } => {
            let mut label = None;
            if let Some(remote) = there {
                model.dashboard.note_remote(&remote, now);
                label = model.dashboard.find(&remote.hash).map(|held| held.label.clone());
            }
            if let Some(held) = here {
                label = Some(held.label.clone());
                model.dashboard.relabel(held, now);
            }
            if shown {
                model.screen = Screen::Dashboard;
            }
            let label = label.map_or(String::new(), |label| format!("'{label}' "));
            model.notice = Some(note.map_or(Ok(format!("{label}is changed")), Err));
            super::refresh_taken(model);
        }
        Changed::Conflict { now: remote, differences } => {
            let words = UserError::new(
                ErrorKind::Failed,
                format!(
                    "somebody changed it meanwhile: {} is not as it was",
                    differences.join(", ")
                ),
                "nothing was sent; the form shows what is there now",
            );
            model.dashboard.note_remote(&remote, now);
            match &mut model.screen {
                Screen::Form(form) if shown => {
                    form.set_seen(remote);
                    form.busy = None;
                    form.trouble = Some(words);
                }
                _ => model.notice = Some(Err(words)),
            }
        }
        Changed::Failed(trouble) => fail(model, shown, trouble),
    }
}

fn fail(model: &mut Model, shown: bool, trouble: UserError) {
    match &mut model.screen {
        Screen::Form(form) if shown => {
            form.busy = None;
            form.diff.clear();
            form.trouble = Some(trouble);
        }
        _ => model.notice = Some(Err(trouble)),
    }
}

/// A key was taken over, or not.
pub(super) fn imported(model: &mut Model, ticket: Ticket, result: Result<StoredKey, UserError>) {
    let shown = matches!(&model.screen, Screen::Form(form) if form.busy == Some(ticket));
    match result {
        Ok(held) => {
            model.notice = Some(Ok(format!("'{}' is stored in {}", held.label, model.place)));
            model.dashboard.add(held, model.now);
            if shown {
                model.screen = Screen::Dashboard;
            }
            super::refresh_taken(model);
        }
        Err(trouble) => fail(model, shown, trouble),
    }
}

/// A switch was turned, or not.
pub(super) fn switched(model: &mut Model, label: &Label, result: Result<AccountKey, UserError>) {
    model.notice = Some(result.map(|remote| {
        model.dashboard.note_remote(&remote, model.now);
        if remote.disabled == Some(true) {
            format!("'{label}' is disabled: it buys nothing; d enables it again")
        } else {
            format!("'{label}' is enabled")
        }
    }));
    model.dashboard.look(model.now);
}

/// A key is deleted at the server, or not.
pub(super) fn revoked(model: &mut Model, hash: &str, label: &Label, result: Result<(), UserError>) {
    model.notice = Some(result.map(|()| {
        model.dashboard.drop_key(hash, model.now);
        format!("'{label}' is deleted at OpenRouter: nobody can use it any more")
    }));
}

/// The account's list was read, or not.
pub(super) fn account_read(model: &mut Model, account: Result<AccountKeys, UserError>) {
    model.dashboard.reading = None;
    match account {
        Ok(account) => {
            let server = model.server.clone();
            model.dashboard.join(account, &server, model.now);
            if model.dashboard.scope == Scope::Here {
                actions::show_scope(model, Scope::All);
            }
        }
        Err(trouble) => model.notice = Some(Err(trouble)),
    }
}

/// The form may learn that a workspace can be chosen.
pub(super) fn management_known(model: &mut Model, known: bool) {
    if let Screen::Form(form) = &mut model.screen {
        form.workspaces = known;
    }
}

/// Replaced keys that nobody uses any more, of which it was said beforehand that they go.
pub(super) fn let_go(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let go: Vec<StoredKey> = model
        .dashboard
        .held()
        .iter()
        .filter(|held| held.retirement.as_ref().is_some_and(|retiring| retiring.revoke_when_unused))
        .filter(|held| !model.dashboard.let_go.contains(&held.hash))
        .filter(|held| matches!(model.dashboard.retire(held, now), RetirementStatus::Unused(_)))
        .cloned()
        .collect();
    if go.is_empty() {
        return Vec::new();
    }
    model.dashboard.let_go.extend(go.iter().map(|held| held.hash.clone()));
    vec![Effect::Revoke(go)]
}
