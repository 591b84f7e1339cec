//! What a person wants, screen by screen. An intent that means nothing on a screen does nothing.

use super::depart;
use crate::app::message::{Effect, Intent};
use crate::app::{Field, Form, Login, Model, Question, Screen, Unfinished};
use crate::key::{AuthCode, HeldKey};

/// What a person wants, wherever they are.
pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if let Some(question) = model.question.take() {
        return answered(model, question, &intent);
    }
    match intent {
        Intent::Quit | Intent::Interrupt => return quit(model),
        Intent::Suspend => {
            model.dashboard.hide();
            return vec![Effect::Suspend];
        }
        Intent::ToggleHelp => {
            model.help = !model.help;
            return Vec::new();
        }
        Intent::Back if model.help => {
            model.help = false;
            return Vec::new();
        }
        // What lies under the help is not touched.
        _ if model.help => return Vec::new(),
        _ => {}
    }
    match &mut model.screen {
        Screen::Dashboard => on_dashboard(model, intent),
        Screen::Form(_) => on_form(model, intent),
        Screen::Login(_) => on_login(model, intent),
        Screen::Reveal(_) => on_reveal(model, intent),
    }
}

fn on_dashboard(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let page = model.dashboard.page(model.size.1).cast_signed();
    let label = model.dashboard.current().map(|held| held.label.clone());
    match intent {
        // While the filter is typed, letters are its own; what moves the selection still does.
        Intent::Type(c) if model.dashboard.filtering => {
            model.dashboard.filter.insert(c);
            model.dashboard.arrange(model.now);
        }
        Intent::Paste(text) if model.dashboard.filtering => {
            model.dashboard.filter.paste(&text);
            model.dashboard.arrange(model.now);
        }
        Intent::Edit(request) if model.dashboard.filtering => {
            model.dashboard.filter.edit(request);
            model.dashboard.arrange(model.now);
        }
        Intent::Enter => model.dashboard.filtering = false,
        Intent::Filter => model.dashboard.filtering = true,
        Intent::Sort => {
            let sort = model.dashboard.sort.next();
            model.dashboard.sort_by(sort, model.now);
            model.notice = Some(Ok(format!("sorted by {}", sort.as_str())));
        }
        Intent::Reverse => model.dashboard.sort_by(model.dashboard.sort, model.now),
        Intent::Mark => model.dashboard.mark(),
        Intent::Click(screen_row) => {
            if let Some(row) = model.dashboard.row_at(screen_row, model.size.1) {
                model.dashboard.to(row);
            }
        }
        Intent::Move(by) => model.dashboard.go(by),
        Intent::MovePage(by) => model.dashboard.go(by.saturating_mul(page)),
        Intent::ToTop => model.dashboard.to(0),
        Intent::ToBottom => model.dashboard.to(usize::MAX),
        Intent::ToggleDetails => {
            model.dashboard.hide();
            model.dashboard.details = label.is_some() && !model.dashboard.details;
        }
        // One step at a time: what lies on top goes first.
        Intent::Back if model.dashboard.details => {
            model.dashboard.details = false;
            model.dashboard.hide();
        }
        Intent::Back if model.dashboard.filtering || !model.dashboard.filter.text().is_empty() => {
            model.dashboard.filtering = false;
            model.dashboard.filter = Field::default();
            model.dashboard.arrange(model.now);
        }
        Intent::Back if !model.dashboard.marked.is_empty() => model.dashboard.marked.clear(),
        Intent::Back => {
            if let Some(round) = &model.refresh.round {
                return vec![Effect::StopRefresh(round.ticket)];
            }
        }
        Intent::New => {
            model.dashboard.hide();
            model.screen = Screen::Form(Form::new(model.dashboard.held()));
        }
        Intent::Reload => {
            model.refresh.asked = true;
            return super::start(model);
        }
        Intent::Copy => return label.map(Effect::CopyHeld).into_iter().collect(),
        Intent::ToggleReveal => {
            if model.dashboard.shown.take().is_none()
                && let Some(label) = label
            {
                let ticket = model.ticket();
                model.dashboard.awaited = Some(ticket);
                return vec![Effect::Fetch(ticket, label)];
            }
        }
        Intent::OpenPage => {
            let address = model.dashboard.current().map(HeldKey::page);
            return address.map(Effect::Open).into_iter().collect();
        }
        Intent::Remove => {
            let labels: Vec<_> =
                model.dashboard.chosen().into_iter().map(|held| held.label.clone()).collect();
            model.question = (!labels.is_empty()).then_some(Question::Remove(labels));
        }
        Intent::Spend if model.sandbox => {
            let Some(held) = model.dashboard.current() else { return Vec::new() };
            // A fifth of its limit, so that a few presses show every state.
            let usd = held.limit().map_or(1.0, |limit| limit / 5.0);
            return vec![Effect::Spend { hash: held.hash.clone(), usd }];
        }
        Intent::SkipDay if model.sandbox => return vec![Effect::SkipDay],
        Intent::Dismiss if !model.dashboard.unresolved.is_empty() => {
            model.question = Some(Question::Dismiss);
        }
        _ => {}
    }
    Vec::new()
}

fn on_form(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::NextField => {
            form.go(1);
        }
        Intent::PreviousField => {
            form.go(-1);
        }
        Intent::NextChoice => form.choose(1),
        Intent::PreviousChoice => form.choose(-1),
        Intent::Type(c) => form.insert(c),
        Intent::Edit(request) => form.edit(request),
        Intent::Paste(text) => form.paste(&text),
        Intent::Enter if form.go(1) => {}
        Intent::Enter | Intent::Submit => return submit(model),
        _ => {}
    }
    Vec::new()
}

fn submit(model: &mut Model) -> Vec<Effect> {
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    let Some(request) = form.submit(model.now) else { return Vec::new() };
    let form = form.clone();
    let ticket = model.ticket();
    model.leaving = false;
    model.screen = Screen::Login(Box::new(Login::new(form, request.clone(), ticket, model.now)));
    vec![Effect::Provision { ticket, request }]
}

fn on_login(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Login(login) = &mut model.screen else { return Vec::new() };
    let address = login.address.as_ref().map(|address| address.url.clone());
    let ticket = login.ticket;
    if login.trouble.is_some() {
        match intent {
            Intent::Back => model.screen = Screen::Form(login.form.clone()),
            Intent::Retry => {
                model.screen = Screen::Form(login.form.clone());
                return submit(model);
            }
            _ => {}
        }
        return Vec::new();
    }
    match intent {
        Intent::Back if login.qr => login.qr = false,
        Intent::Back if login.code.is_some() => login.code = None,
        // Without a callback a page that was refused tells nobody.
        Intent::Back | Intent::Refuse
            if matches!(intent, Intent::Back) || model.sandbox && login.pastes() =>
        {
            let label = login.request.label.clone();
            model.screen = Screen::Form(login.form.clone());
            model.unfinished.push(Unfinished { ticket, label });
            return vec![Effect::Cancel(ticket)];
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

fn on_reveal(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let now = model.now;
    let Screen::Reveal(reveal) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::ToggleReveal => reveal.toggle(now),
        Intent::Copy => return vec![Effect::CopyKey(reveal.key.clone())],
        Intent::OpenPage => return vec![Effect::Open(reveal.held.page())],
        Intent::Retry if !reveal.stored && !reveal.storing => {
            reveal.storing = true;
            let (held, key) = (reveal.held.clone(), reveal.key.clone());
            return vec![Effect::StoreAgain { ticket: model.ticket(), held, key }];
        }
        Intent::Back | Intent::New if !reveal.stored => {
            model.question = Some(Question::DropUnstored);
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::New => model.screen = Screen::Form(Form::new(model.dashboard.held())),
        _ => {}
    }
    Vec::new()
}

fn answered(model: &mut Model, question: Question, answer: &Intent) -> Vec<Effect> {
    let yes = match answer {
        Intent::Yes => true,
        Intent::No | Intent::Back => return Vec::new(),
        // Leaving is no answer; only to the question whether to leave it is one.
        Intent::Interrupt if question == Question::QuitUnstored => true,
        Intent::Interrupt => return quit(model),
        _ => false,
    };
    if !yes {
        // Anything else leaves the question where it is.
        model.question = Some(question);
        return Vec::new();
    }
    match question {
        Question::QuitUnstored => {
            model.screen = Screen::Dashboard;
            return quit(model);
        }
        Question::DropUnstored => model.screen = Screen::Dashboard,
        Question::Dismiss => {
            if !model.dashboard.unresolved.is_empty() {
                let attempt = model.dashboard.unresolved.remove(0);
                return vec![Effect::Dismiss(attempt.id)];
            }
        }
        Question::Remove(labels) => {
            model.dashboard.marked.clear();
            return vec![Effect::Remove(labels)];
        }
    }
    Vec::new()
}

/// Leaves, unless a key would be lost: one that is on screen alone is asked about, and one that
/// may be on its way is waited for.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Screen::Login(login) = &model.screen
        && login.trouble.is_none()
    {
        let (ticket, label) = (login.ticket, login.request.label.clone());
        model.screen = Screen::Form(login.form.clone());
        model.unfinished.push(Unfinished { ticket, label });
        effects.push(Effect::Cancel(ticket));
    }
    let unstored = matches!(&model.screen, Screen::Reveal(reveal) if !reveal.stored);
    if !unstored && let Some(reveal) = model.rescued.pop() {
        model.screen = Screen::Reveal(Box::new(reveal));
    }
    if matches!(&model.screen, Screen::Reveal(reveal) if !reveal.stored) {
        model.question = Some(Question::QuitUnstored);
        return effects;
    }
    model.leaving = true;
    effects.extend(depart(model));
    effects
}
