//! What a person wants while a journey is under way.

use super::form;
use crate::domain::AuthCode;
use crate::tui::state::{Effect, Errand, Field, Intent, Login, Model, Screen, Ticket, Unfinished};

/// Sets out.
pub(super) fn begin(model: &mut Model, errand: Errand) -> Vec<Effect> {
    let ticket = model.open_ticket();
    model.leaving = false;
    let effect = errand.effect(ticket);
    model.screen = Screen::Login(Box::new(Login::new(errand, ticket, model.now)));
    vec![effect]
}

/// To where the errand came from.
fn step_back(model: &mut Model) {
    if let Screen::Login(login) = &model.screen {
        model.screen = match &login.errand {
            Errand::Cut { form, .. } => Screen::Form(form.clone()),
            Errand::Rotate { .. } | Errand::Panic(_) | Errand::Apply(_) => Screen::Dashboard,
        };
    }
}

/// The person leaves a journey, which then ends by itself.
pub(super) fn turn_away(model: &mut Model) -> Vec<Effect> {
    let Screen::Login(login) = &model.screen else { return Vec::new() };
    let ticket = login.ticket;
    if let Some(label) = login.errand.label().cloned() {
        model.unfinished.push(Unfinished { ticket, label });
    }
    step_back(model);
    vec![Effect::Cancel(ticket)]
}

pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Login(login) = &mut model.screen else { return Vec::new() };
    let address = login.address.as_ref().map(|address| address.url.clone());
    let ticket = login.ticket;
    if login.trouble.is_some() {
        match intent {
            Intent::Back => step_back(model),
            Intent::Retry => {
                let errand = login.errand.clone();
                step_back(model);
                // A form may be wrong by now: an expiry that has passed.
                if let Errand::Cut { .. } = errand {
                    return form::submit(model);
                }
                return begin(model, errand);
            }
            _ => {}
        }
        return Vec::new();
    }
    match intent {
        Intent::Back if login.qr => login.qr = false,
        Intent::Back if login.code.is_some() => login.code = None,
        // What is done stays done: the queue ends, and its end is shown.
        Intent::Back if login.plan().is_some() && !login.stops() => {
            if let Errand::Apply(plan) = &mut login.errand {
                plan.stopping = true;
            }
            login.notice = Some("stopping: a key that is on its way comes to its end".into());
            return vec![Effect::Cancel(ticket)];
        }
        Intent::Skip if login.plan().is_some() => return vec![Effect::Skip(ticket)],
        Intent::Retry if login.plan().is_some() => return vec![Effect::Anew(ticket)],
        // A page without a callback that was refused tells nobody: the key is skipped.
        Intent::Refuse if model.sandbox && login.pastes() && login.plan().is_some() => {
            return vec![Effect::Skip(ticket)];
        }
        // Without a callback a page that was refused tells nobody.
        Intent::Back | Intent::Refuse
            if matches!(intent, Intent::Back) || model.sandbox && login.pastes() =>
        {
            return turn_away(model);
        }
        _ if !login.awaits_consent() => {}
        Intent::Copy => return address.map(Effect::CopyAddress).into_iter().collect(),
        Intent::OpenBrowser => return address.map(Effect::Open).into_iter().collect(),
        Intent::ToggleQr => login.qr = address.is_some() && !login.qr,
        Intent::ToggleCode => {
            login.qr = false;
            login.code = match login.code.take() {
                Some(_) => None,
                None => Some(Field::default()),
            };
        }
        Intent::Approve | Intent::Refuse if model.sandbox => {
            let approve = matches!(intent, Intent::Approve);
            return address
                .map(|address| Effect::Decide { ticket, address, approve })
                .into_iter()
                .collect();
        }
        Intent::Type(c) => {
            if let Some(field) = &mut login.code {
                field.insert(c);
                login.code_problem = None;
            }
        }
        Intent::Edit(request) => {
            if let Some(field) = &mut login.code {
                field.edit(request);
            }
        }
        Intent::Paste(text) => {
            login.qr = false;
            login.code.get_or_insert_default().paste(text.trim());
            login.code_problem = None;
        }
        Intent::Enter => {
            let Some(field) = &login.code else { return Vec::new() };
            match AuthCode::parse(field.text()) {
                Ok(code) => {
                    login.code = None;
                    return vec![Effect::GiveCode(ticket, code)];
                }
                Err(problem) => login.code_problem = Some(problem),
            }
        }
        _ => {}
    }
    Vec::new()
}

/// The sandbox's page answered.
pub(super) fn decided(
    model: &mut Model,
    ticket: Ticket,
    result: Result<Option<AuthCode>, String>,
) -> Vec<Effect> {
    let Screen::Login(login) = &mut model.screen else { return Vec::new() };
    if login.ticket != ticket || !login.awaits_consent() {
        return Vec::new();
    }
    match result {
        Ok(Some(code)) => {
            login.code = None;
            vec![Effect::GiveCode(ticket, code)]
        }
        Ok(None) => Vec::new(),
        Err(words) => {
            login.notice = Some(words);
            Vec::new()
        }
    }
}
