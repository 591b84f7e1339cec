//! What a person wants, screen by screen. An intent that means nothing on a screen does nothing.

use secrecy::SecretString;

use super::{actions, depart, form, plan, sign_in};
use crate::domain::StoredKey;
use crate::tui::state::{Effect, Field, Intent, Model, Passphrase, Question, Scope, Screen};

/// What a person wants, wherever they are.
pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if let Some(question) = model.question.take() {
        return answered(model, question, &intent);
    }
    match intent {
        Intent::Quit | Intent::Interrupt => return quit(model),
        Intent::Suspend => {
            model.dashboard.hide();
            if let Screen::Reveal(reveal) = &mut model.screen {
                reveal.shown_until = None;
            }
            return vec![Effect::Suspend];
        }
        Intent::ToggleHelp => {
            model.help = if model.help.is_some() { None } else { Some(0) };
            return Vec::new();
        }
        _ => {}
    }
    if let Some(page) = model.help {
        // What lies under the help is not touched.
        match intent {
            Intent::Back => model.help = None,
            Intent::Move(by) => model.help = Some(page.saturating_add_signed(by)),
            _ => {}
        }
        return Vec::new();
    }
    match &mut model.screen {
        Screen::Dashboard => on_dashboard(model, intent),
        Screen::Form(_) => form::wanted(model, intent),
        Screen::Login(_) => sign_in::wanted(model, intent),
        Screen::Reveal(_) => on_reveal(model, intent),
        Screen::Ask(_) => actions::asked(model, intent),
        Screen::Plan(_) => plan::wanted(model, intent),
        Screen::Deeds(_) => {
            if matches!(intent, Intent::Back | Intent::Enter) {
                model.screen = Screen::Dashboard;
            }
            Vec::new()
        }
    }
}

fn on_dashboard(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let page = model.dashboard.page(model.size.1).cast_signed();
    let label = model.dashboard.current().map(|held| held.label.clone());
    let here = model.dashboard.current().is_some_and(StoredKey::is_stored);
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
            return form::new(model);
        }
        Intent::Reload => {
            model.refresh.asked = true;
            let mut effects = super::start(model);
            if model.dashboard.scope != Scope::Here {
                let ticket = model.ticket();
                model.dashboard.reading = Some(ticket);
                effects.push(Effect::ReadAccount(ticket));
            }
            return effects;
        }
        Intent::Copy | Intent::ToggleReveal if !here && label.is_some() => actions::not_here(model),
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
            let address = model.dashboard.current().map(StoredKey::page_url);
            return address.map(Effect::Open).into_iter().collect();
        }
        Intent::Spend if model.sandbox => {
            let Some(held) = model.dashboard.current() else { return Vec::new() };
            // A fifth of its limit, so that a few presses show every state.
            let usd = held.limit().map_or(1.0, |limit| limit / 5.0);
            return vec![Effect::Spend { hash: held.hash.clone(), usd }];
        }
        Intent::SkipDay if model.sandbox => return vec![Effect::SkipDay],
        Intent::Dismiss => {
            model.question = model.dashboard.unresolved.first().cloned().map(Question::Dismiss);
        }
        other => return actions::wanted(model, other),
    }
    Vec::new()
}

fn on_reveal(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let now = model.now;
    let needs = model.elsewhere.as_ref().map(|elsewhere| elsewhere.passphrase);
    let Screen::Reveal(reveal) = &mut model.screen else { return Vec::new() };
    if reveal.passphrase.is_some() {
        return on_passphrase(model, intent);
    }
    match intent {
        Intent::ToggleReveal => reveal.toggle(now),
        Intent::Copy => return vec![Effect::CopyKey(reveal.key.clone())],
        Intent::OpenPage => return vec![Effect::Open(reveal.held.page_url())],
        Intent::Retry if !reveal.stored && reveal.storing.is_none() => {
            let (held, key) = (reveal.held.clone(), reveal.key.clone());
            let ticket = model.open_ticket();
            if let Screen::Reveal(reveal) = &mut model.screen {
                reveal.storing = Some(ticket);
            }
            return vec![Effect::StoreAgain { ticket, held, key }];
        }
        Intent::StoreElsewhere if !reveal.stored && reveal.storing.is_none() => match needs {
            Some(true) => {
                reveal.shown_until = None;
                reveal.passphrase = Some(Passphrase::default());
            }
            Some(false) => return store_elsewhere(model, None),
            None => {}
        },
        Intent::Back | Intent::New if !reveal.stored => {
            model.question = Some(Question::DropUnstored);
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::New => return form::new(model),
        _ => {}
    }
    Vec::new()
}

/// The passphrase of the other store is typed.
fn on_passphrase(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Reveal(reveal) = &mut model.screen else { return Vec::new() };
    let Some(typed) = &mut reveal.passphrase else { return Vec::new() };
    match intent {
        Intent::Back => reveal.passphrase = None,
        Intent::Type(c) => typed.field().insert(c),
        Intent::Edit(request) => typed.field().edit(request),
        Intent::Paste(text) => typed.field().paste(&text),
        Intent::NextField => typed.focus = 1 - typed.focus,
        Intent::Enter if typed.fields[0].text().is_empty() => {
            (typed.focus, typed.problem) = (0, Some("a passphrase is needed"));
        }
        Intent::Enter if typed.focus == 0 => typed.focus = 1,
        Intent::Enter if typed.fields[0].text() != typed.fields[1].text() => {
            typed.fields[1] = Field::default();
            typed.problem = Some("the two are not the same");
        }
        Intent::Enter => {
            let passphrase = SecretString::from(typed.fields[0].text());
            return store_elsewhere(model, Some(passphrase));
        }
        _ => {}
    }
    Vec::new()
}

fn store_elsewhere(model: &mut Model, passphrase: Option<SecretString>) -> Vec<Effect> {
    let ticket = model.open_ticket();
    let Screen::Reveal(reveal) = &mut model.screen else { return Vec::new() };
    reveal.storing = Some(ticket);
    reveal.passphrase = None;
    let (held, key) = (reveal.held.clone(), reveal.key.clone());
    vec![Effect::StoreElsewhere { ticket, held, key, passphrase }]
}

fn answered(model: &mut Model, question: Question, answer: &Intent) -> Vec<Effect> {
    let yes = match answer {
        Intent::Yes => true,
        Intent::No | Intent::Back => return Vec::new(),
        // Leaving is no answer; only to the question whether to leave it is one.
        Intent::Interrupt if question == Question::QuitUnstored => true,
        Intent::Interrupt => return quit(model),
        Intent::Revoke if matches!(question, Question::Remove(_)) => return actions::revoke(model),
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
        Question::Dismiss(attempt) => {
            model.dashboard.unresolved.retain(|other| other.id != attempt.id);
            return vec![Effect::Dismiss(attempt.id)];
        }
        Question::Remove(labels) => {
            model.dashboard.marked.clear();
            return vec![Effect::Remove(labels)];
        }
        Question::Disable(labels) => return actions::disable(model, &labels),
    }
    Vec::new()
}

/// Leaves, unless a key would be lost: one that is on screen alone is asked about, and one that
/// may be on its way is waited for.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if matches!(&model.screen, Screen::Login(login) if login.trouble.is_none()) {
        effects.extend(sign_in::turn_away(model));
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
