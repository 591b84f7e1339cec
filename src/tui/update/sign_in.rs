//! What a person wants while a journey is under way.

use super::form;
use crate::domain::AuthCode;
use crate::tui::state::{
    BackgroundRun, Effect, Intent, Model, Operation, Screen, SignInScreen, TextField, Ticket,
};

/// Sets out.
pub(super) fn start_operation(model: &mut Model, errand: Operation) -> Vec<Effect> {
    let ticket = model.open_request();
    model.quit_requested = false;
    let effect = errand.to_effect(ticket);
    model.screen = Screen::SignIn(Box::new(SignInScreen::new(errand, ticket, model.now)));
    vec![effect]
}

/// To where the errand came from.
fn leave_screen(model: &mut Model) {
    if let Screen::SignIn(login) = &model.screen {
        model.screen = match &login.operation {
            Operation::CreateKey { form, .. } => Screen::Form(form.clone()),
            Operation::RotateKey { .. } | Operation::RespondToLeak(_) | Operation::ApplyPlan(_) => {
                Screen::Dashboard
            }
        };
    }
}

/// The person leaves a journey, which then ends by itself.
pub(super) fn move_to_background(model: &mut Model) -> Vec<Effect> {
    let Screen::SignIn(login) = &model.screen else { return Vec::new() };
    let ticket = login.ticket;
    if let Some(label) = login.operation.label().cloned() {
        model.background_runs.push(BackgroundRun { ticket, label });
    }
    leave_screen(model);
    vec![Effect::CancelRun(ticket)]
}

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::SignIn(login) = &mut model.screen else { return Vec::new() };
    let address = login.sign_in_url.as_ref().map(|address| address.url.clone());
    let ticket = login.ticket;
    if login.error.is_some() {
        match intent {
            Intent::Back => leave_screen(model),
            Intent::Retry => {
                let errand = login.operation.clone();
                leave_screen(model);
                // A form may be wrong by now: an expiry that has passed.
                if let Operation::CreateKey { .. } = errand {
                    return form::submit_form(model);
                }
                return start_operation(model, errand);
            }
            _ => {}
        }
        return Vec::new();
    }
    match intent {
        Intent::Back if login.is_qr_code_shown => login.is_qr_code_shown = false,
        Intent::Back if login.code_field.is_some() => login.code_field = None,
        // What is done stays done: the queue ends, and its end is shown.
        Intent::Back if login.plan().is_some() && !login.is_stopping() => {
            if let Operation::ApplyPlan(plan) = &mut login.operation {
                plan.is_stopping = true;
            }
            login.notice = Some("stopping: a key that is on its way comes to its end".into());
            return vec![Effect::CancelRun(ticket)];
        }
        Intent::SkipItem if login.plan().is_some() => return vec![Effect::SkipItem(ticket)],
        Intent::Retry if login.plan().is_some() => return vec![Effect::RetryItem(ticket)],
        // A page without a callback that was refused tells nobody: the key is skipped.
        Intent::Deny if model.is_sandbox && login.needs_code() && login.plan().is_some() => {
            return vec![Effect::SkipItem(ticket)];
        }
        // Without a callback a page that was refused tells nobody.
        Intent::Back | Intent::Deny
            if matches!(intent, Intent::Back) || model.is_sandbox && login.needs_code() =>
        {
            return move_to_background(model);
        }
        _ if !login.is_awaiting_consent() => {}
        Intent::Copy => return address.map(Effect::CopyUrl).into_iter().collect(),
        Intent::OpenBrowser => return address.map(Effect::OpenUrl).into_iter().collect(),
        Intent::ToggleQrCode => {
            login.is_qr_code_shown = address.is_some() && !login.is_qr_code_shown
        }
        Intent::ToggleCodeField => {
            login.is_qr_code_shown = false;
            login.code_field = match login.code_field.take() {
                Some(_) => None,
                None => Some(TextField::default()),
            };
        }
        Intent::Approve | Intent::Deny if model.is_sandbox => {
            let approve = matches!(intent, Intent::Approve);
            return address
                .map(|address| Effect::DecideConsent { ticket, consent_url: address, approve })
                .into_iter()
                .collect();
        }
        Intent::TypeChar(c) => {
            if let Some(field) = &mut login.code_field {
                field.insert(c);
                login.code_error = None;
            }
        }
        Intent::EditText(request) => {
            if let Some(field) = &mut login.code_field {
                field.edit(request);
            }
        }
        Intent::Paste(text) => {
            login.is_qr_code_shown = false;
            login.code_field.get_or_insert_default().paste(text.trim());
            login.code_error = None;
        }
        Intent::Enter => {
            let Some(field) = &login.code_field else { return Vec::new() };
            match AuthCode::parse(field.text()) {
                Ok(code) => {
                    login.code_field = None;
                    return vec![Effect::SubmitCode(ticket, code)];
                }
                Err(problem) => login.code_error = Some(problem),
            }
        }
        _ => {}
    }
    Vec::new()
}

/// The sandbox's page answered.
pub(super) fn handle_consent_decision(
    model: &mut Model,
    ticket: Ticket,
    result: Result<Option<AuthCode>, String>,
) -> Vec<Effect> {
    let Screen::SignIn(login) = &mut model.screen else { return Vec::new() };
    if login.ticket != ticket || !login.is_awaiting_consent() {
        return Vec::new();
    }
    match result {
        Ok(Some(code)) => {
            login.code_field = None;
            vec![Effect::SubmitCode(ticket, code)]
        }
        Ok(None) => Vec::new(),
        Err(words) => {
            login.notice = Some(words);
            Vec::new()
        }
    }
}
