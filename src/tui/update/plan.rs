//! Handles intents on the plan screen and the results of applying a plan.

use super::form::update_used_labels;
use super::{bulk, operation, quit_when_idle};
use crate::domain::{Label, StoredKey, UserError};
use crate::tui::state::{
    Effect, Intent, Model, Operation, PlanComparison, PlanScreen, Request, ResultsScreen, Screen,
    TextField, Ticket,
};

pub(super) fn handle_intent(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    let last_line = plan.planned_keys().len().max(plan.problems.len()).saturating_sub(1);
    match intent {
        Intent::Back if plan.comparison.is_some() => {
            plan.comparison = None;
            plan.first_line = 0;
        }
        Intent::Back => model.screen = Screen::Dashboard,
        Intent::Yes if plan.comparison.is_some() => return apply_plan(model),
        Intent::Enter if plan.comparison.is_none() => return load_plan(model),
        Intent::Move(by) => {
            plan.first_line = plan.first_line.saturating_add_signed(by).min(last_line);
        }
        Intent::MovePage(by) => {
            plan.first_line =
                plan.first_line.saturating_add_signed(by.saturating_mul(10)).min(last_line);
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
    vec![Effect::Request(ticket, Request::LoadPlan(path))]
}

/// Handles a loaded plan.
pub(super) fn finish_plan_load(
    model: &mut Model,
    ticket: Ticket,
    plan: Result<PlanComparison, Vec<String>>,
) {
    let Screen::Plan(screen) = &mut model.screen else { return };
    if screen.load_ticket != Some(ticket) {
        return;
    }
    screen.load_ticket = None;
    screen.first_line = 0;
    match plan {
        Ok(comparison) => screen.comparison = Some(comparison),
        Err(problems) => screen.problems = problems,
    }
}

/// Starts creating the missing keys, if there are any.
fn apply_plan(model: &mut Model) -> Vec<Effect> {
    let Screen::Plan(plan) = &mut model.screen else { return Vec::new() };
    if plan.missing_requests().is_empty() {
        model.screen = Screen::Dashboard;
        model.notify(Ok("all keys of the plan exist; nothing was changed".into()));
        return Vec::new();
    }
    plan.first_line = 0;
    let plan = (**plan).clone();
    operation::start_operation(model, Operation::ApplyPlan(plan))
}

/// Returns the plan being applied under `ticket`, if it is on screen.
fn applying_plan_mut(model: &mut Model, ticket: Ticket) -> Option<&mut PlanScreen> {
    match &mut model.screen {
        Screen::SignIn(sign_in) if sign_in.ticket == ticket => match &mut sign_in.operation {
            Operation::ApplyPlan(plan) => Some(plan),
            _ => None,
        },
        _ => None,
    }
}

/// Handles the start of the next key: resets the screen and the label of a background run.
pub(super) fn start_item(model: &mut Model, ticket: Ticket, label: &Label) {
    if let Some(plan) = applying_plan_mut(model, ticket) {
        plan.start_item(label);
    }
    let now = model.now;
    if let Screen::SignIn(sign_in) = &mut model.screen
        && sign_in.ticket == ticket
    {
        sign_in.start_item(label, now);
    }
    let background_run = model.background_runs.iter_mut().find(|run| run.ticket == ticket);
    if let Some(run) = background_run {
        run.label = label.clone();
    }
}

/// Handles the result of a key of the plan.
pub(super) fn finish_item(
    model: &mut Model,
    ticket: Ticket,
    label: &Label,
    result: Result<StoredKey, UserError>,
    warning: Option<UserError>,
) {
    if let Some(plan) = applying_plan_mut(model, ticket) {
        plan.finish_item(label, &result);
    }
    if let (Ok(key), true) = (result, model.open_requests.contains(&ticket)) {
        model.dashboard.upsert_key(key, model.now);
        update_used_labels(model);
    }
    if let Some(warning) = warning {
        model.notify(Err(warning));
    }
}

/// Handles the end of applying a plan.
pub(super) fn finish_plan(
    model: &mut Model,
    ticket: Ticket,
    error: Option<UserError>,
) -> Vec<Effect> {
    if !model.close_request(ticket) {
        return Vec::new();
    }
    model.background_runs.retain(|run| run.ticket != ticket);
    let results = applying_plan_mut(model, ticket).map(|plan| plan.results());
    if let Some(results) = results {
        bulk::show_results(model, ResultsScreen::new(results, false), true);
    }
    if let Some(error) = error {
        model.notify(Err(error));
    }
    let effects = quit_when_idle(model);
    // A key of another account is stored under another label than the planned one.
    if effects.is_empty() { super::load_keys(model) } else { effects }
}
