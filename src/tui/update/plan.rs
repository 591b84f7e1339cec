//! What a person wants of a plan, and what comes of applying it.

use super::{quit_when_idle, sign_in, update_used_labels};
use crate::domain::{Label, StoredKey, UserError};
use crate::tui::state::PlanComparison;
use crate::tui::state::{Effect, Intent, Model, Operation, PlanScreen, Screen, TextField, Ticket};

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    let last = plan.planned_keys().len().max(plan.problems.len()).saturating_sub(1);
    match intent {
        Intent::Back if plan.comparison.is_some() && !plan.is_finished => {
            plan.comparison = None;
            plan.first_line = 0;
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::Enter if plan.is_finished => model.screen = Screen::Dashboard,
        Intent::Enter if plan.comparison.is_some() => return apply_plan(model),
        Intent::Enter => return load_plan(model),
        Intent::Move(by) => plan.first_line = plan.first_line.saturating_add_signed(by).min(last),
        Intent::MovePage(by) => {
            plan.first_line =
                plan.first_line.saturating_add_signed(by.saturating_mul(10)).min(last);
        }
        Intent::TypeChar(c) => plan.path_field.insert(c),
        Intent::EditText(request) => plan.path_field.edit(request),
        Intent::Paste(text) if plan.comparison.is_none() => plan.path_field.paste(&text),
        _ => {}
    }
    Vec::new()
}

fn load_plan(model: &mut Model) -> Vec<Effect> {
    let ticket = model.next_ticket();
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    let path = plan.path_field.text().trim().to_owned();
    if path.is_empty() {
        plan.path_field = TextField::prefilled("keys.toml");
        return Vec::new();
    }
    plan.load_ticket = Some(ticket);
    plan.problems.clear();
    vec![Effect::LoadPlan { ticket, path }]
}

/// The plan was read, or not.
pub(super) fn finish_plan_load(
    model: &mut Model,
    ticket: Ticket,
    plan: Result<PlanComparison, Vec<String>>,
) {
    let Screen::Plan(shown) = &mut model.screen else { return };
    if shown.load_ticket != Some(ticket) {
        return;
    }
    shown.load_ticket = None;
    shown.first_line = 0;
    match plan {
        Ok(compared) => shown.comparison = Some(compared),
        Err(problems) => shown.problems = problems,
    }
}

/// What is missing is cut; where nothing is, there is nothing to do.
fn apply_plan(model: &mut Model) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    if plan.missing_requests().is_empty() {
        model.screen = Screen::Dashboard;
        model.notice = Some(Ok("nothing is missing, nothing was done".into()));
        return Vec::new();
    }
    plan.first_line = 0;
    let plan = (**plan).clone();
    sign_in::start_operation(model, Operation::ApplyPlan(plan))
}

/// The plan that is being applied under that ticket, if it is on screen.
fn applying_plan_mut(model: &mut Model, ticket: Ticket) -> Option<&mut PlanScreen> {
    match &mut model.screen {
        Screen::SignIn(login) if login.ticket == ticket => match &mut login.operation {
            Operation::ApplyPlan(plan) => Some(plan),
            Operation::CreateKey { .. }
            | Operation::RotateKey { .. }
            | Operation::RespondToLeak(_) => None,
        },
        _ => None,
    }
}

/// A key's turn begins: what is known of the one before is not of this one.
pub(super) fn start_item(model: &mut Model, ticket: Ticket, label: &Label) {
    if let Some(plan) = applying_plan_mut(model, ticket) {
        plan.start_item(label);
    }
    let now = model.now;
    if let Screen::SignIn(login) = &mut model.screen
        && login.ticket == ticket
    {
        login.start_next_item(now);
    }
    let left = model.background_runs.iter_mut().find(|unfinished| unfinished.ticket == ticket);
    if let Some(unfinished) = left {
        unfinished.label = label.clone();
    }
}

/// A key's turn is over; it is held, or said not to be.
pub(super) fn finish_item(
    model: &mut Model,
    ticket: Ticket,
    label: &Label,
    result: Result<StoredKey, UserError>,
    note: Option<UserError>,
) {
    if let Some(plan) = applying_plan_mut(model, ticket) {
        plan.finish_item(label, &result);
    }
    if let (Ok(held), true) = (result, model.open_requests.contains(&ticket)) {
        model.dashboard.upsert_key(held, model.now);
        update_used_labels(model);
    }
    if let Some(note) = note {
        model.notice = Some(Err(note));
    }
}

/// Applying is over.
pub(super) fn finish_plan(
    model: &mut Model,
    ticket: Ticket,
    trouble: Option<UserError>,
) -> Vec<Effect> {
    if !model.close_request(ticket) {
        return Vec::new();
    }
    model.background_runs.retain(|unfinished| unfinished.ticket != ticket);
    let here = applying_plan_mut(model, ticket).cloned();
    if let Some(mut plan) = here {
        (plan.is_finished, plan.current_index) = (true, None);
        model.screen = Screen::Plan(Box::new(plan));
    }
    if let Some(trouble) = trouble {
        model.notice = Some(Err(trouble));
    }
    quit_when_idle(model)
}
