//! What a person wants done to keys that exist: thought over, and begun.

use super::sign_in;
use crate::domain::{ErrorKind, Label, StoredKey, UserError};
use crate::tui::state::{
    Ask, Deliberation, Effect, Errand, Form, Intent, Model, Question, Scope, Screen,
};

/// What a person wants done to the keys that were chosen.
pub(super) fn wanted(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Rotate => think_over(model, Deliberation::Rotate),
        Intent::Panic => think_over(model, Deliberation::Panic),
        Intent::Remove => remove(model),
        Intent::Change => {
            let Some(hash) = model.dashboard.current().map(|held| held.hash.clone()) else {
                return Vec::new();
            };
            let ticket = model.ticket();
            model.looking = Some(ticket);
            vec![Effect::Look { ticket, hash }]
        }
        Intent::Switch => switch(model),
        Intent::Import => {
            model.dashboard.hide();
            model.screen = Screen::Form(Form::import(model.dashboard.held()));
            Vec::new()
        }
        Intent::Plan => {
            model.dashboard.hide();
            model.screen = Screen::Plan(Box::default());
            Vec::new()
        }
        Intent::NextScope => {
            if model.dashboard.scope == Scope::Here {
                let ticket = model.ticket();
                model.dashboard.reading = Some(ticket);
                model.notice = Some(Ok("reading the account's list".into()));
                return vec![Effect::ReadAccount(ticket)];
            }
            show_scope(model, model.dashboard.scope.next());
            Vec::new()
        }
        _ => Vec::new(),
    }
}

pub(super) fn show_scope(model: &mut Model, scope: Scope) {
    model.dashboard.show_scope(scope, model.now);
    let (count, words) = (model.dashboard.rows.len(), scope.as_str());
    let keys = if count == 1 { "key" } else { "keys" };
    model.notice = Some(Ok(format!("{count} {keys}: {words}; a lists others")));
}

/// The keys that were chosen and are held; those that are not take more than is here.
fn chosen_here(model: &mut Model) -> Vec<StoredKey> {
    let here = model.dashboard.chosen().into_iter().filter(|held| held.is_stored());
    let keys: Vec<StoredKey> = here.cloned().collect();
    if keys.is_empty() && !model.dashboard.rows.is_empty() {
        not_here(model);
    }
    keys
}

pub(super) fn not_here(model: &mut Model) {
    model.notice = Some(Err(UserError::new(
        ErrorKind::NotFound,
        "this key is not held here",
        "its text was shown once, when it was cut; d, e and x act at OpenRouter",
    )));
}

fn think_over(model: &mut Model, what: Deliberation) -> Vec<Effect> {
    let mut keys = chosen_here(model);
    if what == Deliberation::Rotate && keys.len() > 1 {
        model.notice = Some(Err(UserError::new(
            ErrorKind::InvalidInput,
            "keys are rotated one at a time",
            "esc takes the marks away",
        )));
        keys.clear();
    }
    if !keys.is_empty() {
        model.dashboard.hide();
        model.screen = Screen::Ask(Box::new(Ask::new(what, keys)));
    }
    Vec::new()
}

fn remove(model: &mut Model) -> Vec<Effect> {
    let chosen = model.dashboard.chosen();
    let labels: Vec<Label> =
        chosen.iter().filter(|held| held.is_stored()).map(|held| held.label.clone()).collect();
    if !labels.is_empty() {
        model.question = Some(Question::Remove(labels));
    } else if !chosen.is_empty() {
        return revoke(model);
    }
    Vec::new()
}

/// Thinks over their deletion at the server.
pub(super) fn revoke(model: &mut Model) -> Vec<Effect> {
    let keys: Vec<StoredKey> = model.dashboard.chosen().into_iter().cloned().collect();
    if !keys.is_empty() {
        model.screen = Screen::Ask(Box::new(Ask::new(Deliberation::Revoke, keys)));
    }
    Vec::new()
}

/// On again at once; off, several keys after a question. The same key takes it back.
fn switch(model: &mut Model) -> Vec<Effect> {
    let chosen: Vec<StoredKey> = model.dashboard.chosen().into_iter().cloned().collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    let off = chosen.iter().any(|held| held.disabled != Some(true));
    let keys: Vec<StoredKey> =
        chosen.into_iter().filter(|held| (held.disabled == Some(true)) != off).collect();
    if off && keys.len() > 1 {
        model.question =
            Some(Question::Disable(keys.iter().map(|held| held.label.clone()).collect()));
        return Vec::new();
    }
    model.dashboard.marked.clear();
    let word = if off { "disabling" } else { "enabling" };
    model.notice = Some(Ok(format!("{word} '{}' at OpenRouter", keys[0].label)));
    vec![Effect::Switch { keys, disabled: off }]
}

/// Yes: these off.
pub(super) fn disable(model: &mut Model, labels: &[Label]) -> Vec<Effect> {
    let chosen = model.dashboard.chosen().into_iter();
    let keys = chosen.filter(|held| labels.contains(&held.label)).cloned().collect();
    model.dashboard.marked.clear();
    vec![Effect::Switch { keys, disabled: true }]
}

/// What a person wants of what is thought over.
pub(super) fn asked(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let Screen::Ask(ask) = &mut model.screen else { return Vec::new() };
    match intent {
        Intent::Back | Intent::No => model.screen = Screen::Dashboard,
        Intent::NextChoice => ask.choose(1),
        Intent::PreviousChoice => ask.choose(-1),
        Intent::Mark => ask.delete = !ask.delete,
        Intent::Type(c) => ask.typed.insert(c),
        Intent::Paste(text) => ask.typed.paste(&text),
        Intent::Edit(request) => ask.typed.edit(request),
        Intent::Yes | Intent::Enter if ask.is_confirmed() => {
            let Ask { what, keys, .. } = &**ask;
            let (what, keys, terms) = (*what, keys.clone(), ask.terms());
            model.dashboard.marked.clear();
            return match what {
                Deliberation::Panic => sign_in::begin(model, Errand::Panic(keys)),
                Deliberation::Rotate => match keys.into_iter().next() {
                    Some(held) => sign_in::begin(model, Errand::Rotate { held, terms }),
                    None => Vec::new(),
                },
                Deliberation::Revoke => {
                    model.screen = Screen::Dashboard;
                    model.notice = Some(Ok("deleting at OpenRouter".into()));
                    vec![Effect::Revoke(keys)]
                }
            };
        }
        _ => {}
    }
    Vec::new()
}
