//! Handles intents on the sign-in screen.

use super::{form, operation};
use crate::domain::{AuthCode, AuthorizationResponse};
use crate::tui::state::{Effect, Intent, Model, Operation, Request, Screen, TextField, Ticket};

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::SignIn(sign_in) = &mut model.screen else { return Vec::new() };
    let url = sign_in.sign_in_url.as_ref().map(|url| url.url.clone());
    let ticket = sign_in.ticket;
    if sign_in.error.is_some() {
        match intent {
            Intent::Back => operation::leave_screen(model),
            Intent::Retry => {
                let retried = sign_in.operation.clone();
                operation::leave_screen(model);
                // The form may be invalid by now, for example because its expiry has passed.
                if let Operation::CreateKey { .. } = retried {
                    return form::submit_form(model);
                }
                return operation::start_operation(model, retried);
            }
            _ => {}
        }
        return Vec::new();
    }
    match intent {
        Intent::Back if sign_in.is_qr_code_shown => sign_in.is_qr_code_shown = false,
        Intent::Back if sign_in.code_field.is_some() => sign_in.code_field = None,
        // The first `esc` stops after the current key, so that its result is still shown.
        Intent::Back if sign_in.plan().is_some() && !sign_in.is_stopping() => {
            if let Operation::ApplyPlan(plan) = &mut sign_in.operation {
                plan.is_stopping = true;
            }
            sign_in.notice = Some("stopping after the current key".into());
            return vec![Effect::CancelRun(ticket)];
        }
        Intent::SkipItem if sign_in.plan().is_some() => return vec![Effect::SkipItem(ticket)],
        Intent::Retry if sign_in.plan().is_some() => return vec![Effect::RetryItem(ticket)],
        // A page without a callback does not report a denial, so the key is skipped.
        Intent::Deny if model.is_sandbox && sign_in.needs_code() && sign_in.plan().is_some() => {
            return vec![Effect::SkipItem(ticket)];
        }
        // A page without a callback does not report a denial, so the run is cancelled.
        Intent::Back | Intent::Deny
            if matches!(intent, Intent::Back) || model.is_sandbox && sign_in.needs_code() =>
        {
            return operation::move_to_background(model);
        }
        _ if !sign_in.is_awaiting_consent() => {}
        Intent::Copy => return url.map(Effect::CopyUrl).into_iter().collect(),
        Intent::OpenBrowser => return url.map(Effect::OpenUrl).into_iter().collect(),
        Intent::ToggleQrCode => {
            sign_in.is_qr_code_shown = url.is_some() && !sign_in.is_qr_code_shown;
        }
        Intent::ToggleCodeField => {
            sign_in.is_qr_code_shown = false;
            sign_in.code_field = match sign_in.code_field.take() {
                Some(_) => None,
                None => Some(TextField::default()),
            };
        }
        Intent::Approve | Intent::Deny if model.is_sandbox => {
            let approve = matches!(intent, Intent::Approve);
            return url
                .map(|url| {
                    Effect::Request(ticket, Request::DecideConsent { consent_url: url, approve })
                })
                .into_iter()
                .collect();
        }
        Intent::TypeChar(c) => {
            if let Some(field) = &mut sign_in.code_field {
                field.insert(c);
                sign_in.code_error = None;
            }
        }
        Intent::EditText(request) => {
            if let Some(field) = &mut sign_in.code_field {
                field.edit(request);
            }
        }
        Intent::Paste(text) => {
            sign_in.is_qr_code_shown = false;
            sign_in.code_field.get_or_insert_default().paste(text.trim());
            sign_in.code_error = None;
        }
        Intent::Enter => {
            let Some(field) = &mut sign_in.code_field else { return Vec::new() };
            let url = url.unwrap_or_default();
            match AuthorizationResponse::parse_pasted(field.text(), &url) {
                Ok(response) => {
                    sign_in.code_field = None;
                    return vec![Effect::SubmitCode(ticket, response)];
                }
                Err(problem) => {
                    // The rejected text must not become part of the next paste.
                    *field = TextField::default();
                    sign_in.code_error = Some(problem);
                }
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Handles the answer of the sandbox's consent page.
pub(super) fn handle_consent_decision(
    model: &mut Model,
    ticket: Ticket,
    result: Result<Option<AuthCode>, String>,
) -> Vec<Effect> {
    let Screen::SignIn(sign_in) = &mut model.screen else { return Vec::new() };
    if sign_in.ticket != ticket || !sign_in.is_awaiting_consent() {
        return Vec::new();
    }
    match result {
        Ok(Some(code)) => {
            sign_in.code_field = None;
            vec![Effect::SubmitCode(ticket, AuthorizationResponse::Code(code))]
        }
        Ok(None) => Vec::new(),
        Err(notice) => {
            sign_in.notice = Some(notice);
            Vec::new()
        }
    }
}
