//! Which key does what, screen by screen. The footer and the help screen are drawn from the same
//! tables. The only place that knows crossterm's keys.

mod tables;

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use crate::tui::state::{Deliberation, Intent, Model, Question, Screen};
use tables::{
    ANYWHERE, CODE, DASHBOARD, DECIDE, DEEDS, EDITING, ELSEWHERE, FAILED, FILTER, FORM, HELP,
    LOGIN, LOGIN_BY_CODE, PANIC, PASSPHRASE, PATH, PLAN, PLAN_OVER, PLAY, QUESTION, QUEUE, REMOVAL,
    REVEAL, REVOKE, ROTATE, UNDER_WAY, UNSTORED,
};

/// One thing that can be done, and the keys for it.
#[derive(Debug)]
pub struct Binding {
    keys: &'static [(KeyModifiers, KeyCode)],
    /// The keys in words.
    pub shown: &'static str,
    /// What they do. Empty: too plain to be said.
    pub does: &'static str,
    /// Whether the footer has room for it; the help screen has for all.
    pub footer: bool,
    intent: Intent,
}

impl Binding {
    /// Whether it shows and hides the details.
    pub fn is_details(&self) -> bool {
        self.intent == Intent::ToggleDetails
    }

    /// Whether it is a way out, or to the help: what the footer never leaves out.
    pub fn is_exit(&self) -> bool {
        matches!(self.intent, Intent::Back | Intent::Quit | Intent::ToggleHelp)
    }
}

/// The tables that hold now, the first match first.
pub fn bindings(model: &Model) -> Vec<&'static [Binding]> {
    match &model.question {
        Some(Question::Remove(_)) => return vec![ANYWHERE, REMOVAL],
        Some(_) => return vec![ANYWHERE, QUESTION],
        None => {}
    }
    if model.help.is_some() {
        return vec![ANYWHERE, HELP];
    }
    let mut tables = screen_bindings(model);
    tables.push(ANYWHERE);
    tables
}

/// The tables of the screen, whatever lies over it.
pub fn screen_bindings(model: &Model) -> Vec<&'static [Binding]> {
    match &model.screen {
        Screen::Dashboard if model.dashboard.filtering => vec![FILTER, EDITING],
        Screen::Dashboard if model.sandbox => vec![PLAY, DASHBOARD],
        Screen::Dashboard => vec![DASHBOARD],
        Screen::Form(_) => vec![FORM, EDITING],
        Screen::Login(login) if login.trouble.is_some() => vec![FAILED],
        Screen::Login(login) if !login.awaits_consent() && login.plan().is_none() => {
            vec![UNDER_WAY]
        }
        Screen::Login(login) if login.code.is_some() => vec![CODE, EDITING],
        Screen::Login(login) if login.plan().is_some() && model.sandbox => vec![DECIDE, QUEUE],
        Screen::Login(login) if login.plan().is_some() => vec![QUEUE],
        Screen::Login(login) if login.pastes() && model.sandbox => vec![DECIDE, LOGIN_BY_CODE],
        Screen::Login(login) if login.pastes() => vec![LOGIN_BY_CODE],
        Screen::Login(_) if model.sandbox => vec![DECIDE, LOGIN],
        Screen::Login(_) => vec![LOGIN],
        Screen::Reveal(reveal) if reveal.passphrase.is_some() => vec![PASSPHRASE, EDITING],
        Screen::Reveal(reveal) if !reveal.stored && model.elsewhere.is_some() => {
            vec![UNSTORED, ELSEWHERE, REVEAL]
        }
        Screen::Reveal(reveal) if !reveal.stored => vec![UNSTORED, REVEAL],
        Screen::Reveal(_) => vec![REVEAL],
        Screen::Ask(ask) => match ask.what {
            Deliberation::Rotate => vec![ROTATE],
            Deliberation::Panic => vec![PANIC],
            Deliberation::Revoke => vec![REVOKE, EDITING],
        },
        Screen::Deeds(_) => vec![DEEDS],
        Screen::Plan(plan) if plan.over => vec![PLAN_OVER],
        Screen::Plan(plan) if plan.compared.is_some() => vec![PLAN],
        Screen::Plan(_) => vec![PATH, EDITING],
    }
}

/// What a key press means on this screen.
pub fn intent(model: &Model, event: &KeyEvent) -> Option<Intent> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    // Terminals disagree on whether a capital letter comes with shift.
    let modifiers = match event.code {
        KeyCode::Char(_) | KeyCode::BackTab => event.modifiers - KeyModifiers::SHIFT,
        _ => event.modifiers,
    };
    let pressed = (modifiers, event.code);
    let bound = bindings(model)
        .into_iter()
        .flatten()
        .find(|binding| binding.keys.contains(&pressed))
        .map(|binding| binding.intent.clone());
    let types = match &model.screen {
        Screen::Form(_) => true,
        Screen::Login(login) => login.code.is_some() && login.trouble.is_none(),
        Screen::Dashboard => model.dashboard.filtering,
        Screen::Ask(ask) => ask.what == Deliberation::Revoke,
        Screen::Reveal(reveal) => reveal.passphrase.is_some(),
        Screen::Plan(plan) => plan.compared.is_none(),
        Screen::Deeds(_) => false,
    } && model.question.is_none()
        && model.help.is_none();
    match (bound, event.code) {
        (Some(intent), _) => Some(intent),
        (None, KeyCode::Char(c)) if types && modifiers.is_empty() => Some(Intent::Type(c)),
        (None, _) => None,
    }
}

/// What the mouse means on the list.
pub fn mouse(event: &MouseEvent) -> Option<Intent> {
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Some(Intent::Click(event.row)),
        MouseEventKind::ScrollUp => Some(Intent::Move(-1)),
        MouseEventKind::ScrollDown => Some(Intent::Move(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_things_share_a_key_on_one_screen() {
        for tables in [
            vec![ANYWHERE, PLAY, DASHBOARD],
            vec![ANYWHERE, FORM],
            vec![ANYWHERE, EDITING],
            vec![ANYWHERE, DECIDE, LOGIN],
            vec![ANYWHERE, DECIDE, LOGIN_BY_CODE],
            vec![ANYWHERE, FAILED],
            vec![ANYWHERE, UNSTORED, ELSEWHERE, REVEAL],
            vec![ANYWHERE, PASSPHRASE, EDITING],
            vec![ANYWHERE, QUESTION],
            vec![ANYWHERE, REMOVAL],
            vec![ANYWHERE, ROTATE],
            vec![ANYWHERE, PANIC],
            vec![ANYWHERE, REVOKE, EDITING],
            vec![ANYWHERE, DEEDS],
            vec![ANYWHERE, PATH, EDITING],
            vec![ANYWHERE, PLAN],
            vec![ANYWHERE, PLAN_OVER],
            vec![ANYWHERE, DECIDE, QUEUE],
            vec![ANYWHERE, HELP],
        ] {
            let mut seen = Vec::new();
            for binding in tables.into_iter().flatten() {
                for key in binding.keys {
                    assert!(!seen.contains(&key), "{key:?} does two things");
                    seen.push(key);
                }
            }
        }
    }
}
