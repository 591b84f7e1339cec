//! Handles intents in a form.

use super::{actions, operation, provisioning};
use crate::domain::{AccountKey, Label, StoredKey, UserError};
use crate::tui::keymap::key_text;
use crate::tui::state::{
    Effect, Form, FormChoices, FormKind, Intent, Model, Operation, Request, Screen, Submission,
    Ticket,
};

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back if !form.diff.is_empty() => form.diff.clear(),
        Intent::Back => leave_form(model),
        Intent::NextField => {
            form.move_focus(1);
        }
        Intent::PreviousField => {
            form.move_focus(-1);
        }
        Intent::NextChoice => form.step_choice(1),
        Intent::PreviousChoice => form.step_choice(-1),
        Intent::NextAuthChoice => form.select_next_auth_choice(),
        Intent::TypeChar(c) => form.insert(c),
        Intent::EditText(request) => form.edit(request),
        Intent::Paste(text) => form.paste(&text),
        Intent::Enter if !form.diff.is_empty() => return submit_form(model),
        Intent::Enter if form.move_focus(1) => {}
        Intent::Enter | Intent::Submit => return submit_form(model),
        _ => {}
    }
    Vec::new()
}

/// Leaves the form. That of a new key is kept if it has a label.
fn leave_form(model: &mut Model) {
    let Screen::Form(form) = std::mem::take(&mut model.screen) else { return };
    // What is no label may be a pasted key, which must not stay in memory.
    if matches!(form.kind, FormKind::New)
        && form.submit_ticket.is_none()
        && let Ok(label) = form.label.text().parse::<Label>()
    {
        let open = key_text(model, &Intent::NewKey);
        let text = format!("no key was created; {open} opens the form for '{label}' again");
        model.notice = Some(Ok(text));
        model.unsent_form = Some(Box::new(form));
    }
}

pub(super) fn submit_form(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    // A submission under way is not sent again.
    if form.submit_ticket.is_some() {
        return Vec::new();
    }
    let Some(submission) = form.submit(now) else { return Vec::new() };
    match submission {
        Submission::CreateKey(request) => {
            let operation = Operation::CreateKey { form: form.clone(), request };
            operation::start_operation(model, operation)
        }
        Submission::NoChange => {
            model.screen = Screen::Dashboard;
            model.notify(Ok("nothing was changed".into()));
            Vec::new()
        }
        Submission::UpdateKey(update) => {
            form.submitted_update = Some(update.clone());
            let ticket = mark_submitting(model);
            vec![Effect::Request(ticket, Request::UpdateKey(update))]
        }
        Submission::ImportKey(label, key) => {
            let ticket = mark_submitting(model);
            vec![Effect::Request(ticket, Request::ImportKey { label, key })]
        }
    }
}

fn mark_submitting(model: &mut Model) -> Ticket {
    let ticket = model.open_request();
    if let Screen::Form(form) = &mut model.screen {
        form.submit_ticket = Some(ticket);
    }
    ticket
}

/// Opens the form of a new key.
pub(super) fn open_new_key_form(model: &mut Model) -> Vec<Effect> {
    let stored_keys = model.dashboard.stored_keys();
    let mut form = match model.unsent_form.take() {
        Some(mut form) => {
            form.set_used_labels(stored_keys);
            *form
        }
        None => Form::new(stored_keys, &model.key_defaults),
    };
    form.existing_key = model
        .dashboard
        .selected_key()
        .filter(|key| key.can_authorize(model.now))
        .map(|key| key.label.clone());
    model.screen = Screen::Form(form);
    load_choices(model, None)
}

/// Opens the edit form with the fetched key, if that key is still selected.
pub(super) fn open_edit_form(
    model: &mut Model,
    hash: &str,
    account_key: Result<Option<AccountKey>, UserError>,
) -> Vec<Effect> {
    if !matches!(model.screen, Screen::Dashboard) {
        return Vec::new();
    }
    // The selection may have moved since the key was requested.
    let selected = model.dashboard.selected_key().filter(|key| key.hash == hash);
    let Some(key) = selected.cloned() else { return Vec::new() };
    match account_key {
        Err(error) => model.notify(Err(error)),
        Ok(Some(account_key)) if account_key.hash != key.hash => {}
        Ok(None) if !key.is_stored() => actions::show_not_stored_error(model),
        Ok(account_key) => {
            if let Some(account_key) = &account_key {
                model.dashboard.record_account_key(account_key, model.now);
            }
            let has_management_key = account_key.is_some();
            let form = Form::for_edit(key, account_key, model.dashboard.stored_keys());
            model.dashboard.hide_revealed_key();
            model.screen = Screen::Form(form);
            if has_management_key {
                return load_choices(model, Some(hash.to_owned()));
            }
        }
    }
    Vec::new()
}

/// Reads in the background what the open form offers; `hash` is that of the edited key.
pub(super) fn load_choices(model: &mut Model, hash: Option<String>) -> Vec<Effect> {
    let ticket = model.next_ticket();
    if let Screen::Form(form) = &mut model.screen {
        form.choices_ticket = Some(ticket);
    }
    vec![Effect::Request(ticket, Request::LoadFormChoices(hash))]
}

/// Offers the choices in the form that requested them, also while its key is being created.
pub(super) fn set_choices(model: &mut Model, ticket: Ticket, choices: Option<FormChoices>) {
    let form = match &mut model.screen {
        Screen::Form(form) => Some(form),
        Screen::SignIn(sign_in) => match &mut sign_in.operation {
            Operation::CreateKey { form, .. } => Some(form),
            _ => None,
        },
        _ => None,
    };
    if let Some(form) = form.filter(|form| form.choices_ticket == Some(ticket)) {
        form.set_choices(choices);
    }
}

/// Updates the used labels of an open form after the stored keys changed.
pub(super) fn update_used_labels(model: &mut Model) {
    let stored_keys = model.dashboard.stored_keys();
    match &mut model.screen {
        Screen::Form(form) => form.set_used_labels(stored_keys),
        Screen::SignIn(sign_in) => {
            if let Operation::CreateKey { form, .. } = &mut sign_in.operation {
                form.set_used_labels(stored_keys);
            }
        }
        _ => {}
    }
}

/// Shows why a submission failed: in its form if that is shown, otherwise as a notice.
pub(super) fn show_submit_error(model: &mut Model, is_shown: bool, error: UserError) {
    match &mut model.screen {
        Screen::Form(form) if is_shown => {
            form.submit_ticket = None;
            form.diff.clear();
            form.error = Some(error);
        }
        _ => model.notify(Err(error)),
    }
}

/// Handles the result of an import.
pub(super) fn finish_import(
    model: &mut Model,
    ticket: Ticket,
    result: Result<StoredKey, UserError>,
) {
    let is_shown =
        matches!(&model.screen, Screen::Form(form) if form.submit_ticket == Some(ticket));
    match result {
        Ok(key) => {
            let label = key.label.clone();
            let copies = model.dashboard.describe_copies(&key);
            model.notify(Ok(format!("'{}' is stored in {}{copies}", key.label, model.store_name)));
            model.dashboard.upsert_key(key, model.now);
            if is_shown {
                model.screen = Screen::Dashboard;
            }
            provisioning::record_addition(model, "import", &label);
            update_used_labels(model);
        }
        Err(error) => show_submit_error(model, is_shown, error),
    }
}
