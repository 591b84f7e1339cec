//! What a person wants of a form.

use super::sign_in;
use crate::domain::{KeyState, StoredKey};
use crate::tui::state::Submitted;
use crate::tui::state::{Effect, Errand, Form, Intent, Model, Screen, Ticket};

pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back if !form.diff.is_empty() => form.diff.clear(),
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::NextField => {
            form.go(1);
        }
        Intent::PreviousField => {
            form.go(-1);
        }
        Intent::NextChoice => form.choose(1),
        Intent::PreviousChoice => form.choose(-1),
        Intent::NextRoad => form.next_road(),
        Intent::Type(c) => form.insert(c),
        Intent::Edit(request) => form.edit(request),
        Intent::Paste(text) => form.paste(&text),
        Intent::Enter if !form.diff.is_empty() => return submit(model),
        Intent::Enter if form.go(1) => {}
        Intent::Enter | Intent::Submit => return submit(model),
        _ => {}
    }
    Vec::new()
}

pub(super) fn submit(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let Screen::Form(form) = &mut model.screen else { return Vec::new() };
    // What was sent is not sent twice.
    if form.busy.is_some() {
        return Vec::new();
    }
    let Some(submitted) = form.submit(now) else { return Vec::new() };
    match submitted {
        Submitted::Cut(request) => {
            let errand = Errand::Cut { form: form.clone(), request };
            sign_in::begin(model, errand)
        }
        Submitted::Nothing => {
            model.screen = Screen::Dashboard;
            model.notice = Some(Ok("nothing was changed".into()));
            Vec::new()
        }
        Submitted::Change(change) => {
            let ticket = busy(model);
            vec![Effect::Change { ticket, change }]
        }
        Submitted::Import(label, key) => {
            let ticket = busy(model);
            vec![Effect::Import { ticket, label, key }]
        }
    }
}

fn busy(model: &mut Model) -> Ticket {
    let ticket = model.open_ticket();
    if let Screen::Form(form) = &mut model.screen {
        form.busy = Some(ticket);
    }
    ticket
}

/// The form of a new key; whether a workspace can be chosen is found out meanwhile.
pub(super) fn new(model: &mut Model) -> Vec<Effect> {
    let mut form = Form::new(model.dashboard.held());
    let works = |held: &&StoredKey| {
        let state = held.state(model.now);
        held.is_stored() && matches!(state, KeyState::Active | KeyState::Low | KeyState::Expiring)
    };
    form.voucher = model.dashboard.current().filter(works).map(|held| held.label.clone());
    model.screen = Screen::Form(form);
    // The sandbox has one workspace.
    if model.sandbox { Vec::new() } else { vec![Effect::LookForManagement] }
}
