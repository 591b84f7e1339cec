//! What a person wants of a plan, and what comes of applying it.

use super::{depart, refresh_taken, sign_in};
use crate::domain::{Label, StoredKey, UserError};
use crate::tui::state::Compared;
use crate::tui::state::{Effect, Errand, Field, Intent, Model, Plan, Screen, Ticket};

pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    let last = plan.keys().len().max(plan.problems.len()).saturating_sub(1);
    match intent {
        Intent::Back if plan.compared.is_some() && !plan.over => {
            plan.compared = None;
            plan.first = 0;
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::Enter if plan.over => model.screen = Screen::Dashboard,
        Intent::Enter if plan.compared.is_some() => return apply(model),
        Intent::Enter => return read(model),
        Intent::Move(by) => plan.first = plan.first.saturating_add_signed(by).min(last),
        Intent::MovePage(by) => {
            plan.first = plan.first.saturating_add_signed(by.saturating_mul(10)).min(last);
        }
        Intent::Type(c) => plan.path.insert(c),
        Intent::Edit(request) => plan.path.edit(request),
        Intent::Paste(text) if plan.compared.is_none() => plan.path.paste(&text),
        _ => {}
    }
    Vec::new()
}

fn read(model: &mut Model) -> Vec<Effect> {
    let ticket = model.ticket();
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    let path = plan.path.text().trim().to_owned();
    if path.is_empty() {
        plan.path = Field::prefilled("keys.toml");
        return Vec::new();
    }
    plan.reading = Some(ticket);
    plan.problems.clear();
    vec![Effect::ReadPlan { ticket, path }]
}

/// The plan was read, or not.
pub(super) fn was_read(model: &mut Model, ticket: Ticket, plan: Result<Compared, Vec<String>>) {
    let Screen::Plan(shown) = &mut model.screen else { return };
    if shown.reading != Some(ticket) {
        return;
    }
    shown.reading = None;
    shown.first = 0;
    match plan {
        Ok(compared) => shown.compared = Some(compared),
        Err(problems) => shown.problems = problems,
    }
}

/// What is missing is cut; where nothing is, there is nothing to do.
fn apply(model: &mut Model) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    if plan.missing().is_empty() {
        model.screen = Screen::Dashboard;
        model.notice = Some(Ok("nothing is missing, nothing was done".into()));
        return Vec::new();
    }
    plan.first = 0;
    let plan = (**plan).clone();
    sign_in::begin(model, Errand::Apply(plan))
}

/// The plan that is being applied under that ticket, if it is on screen.
fn applied_here(model: &mut Model, ticket: Ticket) -> Option<&mut Plan> {
    match &mut model.screen {
        Screen::Login(login) if login.ticket == ticket => match &mut login.errand {
            Errand::Apply(plan) => Some(plan),
            Errand::Cut { .. } | Errand::Rotate { .. } | Errand::Panic(_) => None,
        },
        _ => None,
    }
}

/// A key's turn begins: what is known of the one before is not of this one.
pub(super) fn turned(model: &mut Model, ticket: Ticket, label: &Label) {
    if let Some(plan) = applied_here(model, ticket) {
        plan.turn(label);
    }
    let now = model.now;
    if let Screen::Login(login) = &mut model.screen
        && login.ticket == ticket
    {
        login.next_turn(now);
    }
    let left = model.unfinished.iter_mut().find(|unfinished| unfinished.ticket == ticket);
    if let Some(unfinished) = left {
        unfinished.label = label.clone();
    }
}

/// A key's turn is over; it is held, or said not to be.
pub(super) fn ended(
    model: &mut Model,
    ticket: Ticket,
    label: &Label,
    result: Result<StoredKey, UserError>,
    note: Option<UserError>,
) {
    if let Some(plan) = applied_here(model, ticket) {
        plan.end(label, &result);
    }
    if let (Ok(held), true) = (result, model.open.contains(&ticket)) {
        model.dashboard.add(held, model.now);
        refresh_taken(model);
    }
    if let Some(note) = note {
        model.notice = Some(Err(note));
    }
}

/// Applying is over.
pub(super) fn applied(
    model: &mut Model,
    ticket: Ticket,
    trouble: Option<UserError>,
) -> Vec<Effect> {
    if !model.close(ticket) {
        return Vec::new();
    }
    model.unfinished.retain(|unfinished| unfinished.ticket != ticket);
    let here = applied_here(model, ticket).cloned();
    if let Some(mut plan) = here {
        (plan.over, plan.at) = (true, None);
        model.screen = Screen::Plan(Box::new(plan));
    }
    if let Some(trouble) = trouble {
        model.notice = Some(Err(trouble));
    }
    depart(model)
}
