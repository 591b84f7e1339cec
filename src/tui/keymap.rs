//! Which key does what, screen by screen. The footer and the help screen are drawn from the same
//! tables. The only place that knows crossterm's keys.

mod tables;

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use crate::tui::state::{ConfirmKind, Intent, Model, Question, Screen};
use tables::{
    ACTION_RESULTS, ALTERNATE_STORE, BATCH, CODE_FIELD, CONFIRM_LEAK_RESPONSE, CONFIRM_REVOKE,
    CONFIRM_ROTATE, DASHBOARD, FILTER, FORM, GLOBAL, HELP, NEW_KEY, PASSPHRASE, PLAN,
    PLAN_FINISHED, PLAN_PATH, PROVISIONING, QUESTION, REMOVE_QUESTION, SANDBOX, SANDBOX_CONSENT,
    SIGN_IN, SIGN_IN_BY_CODE, SIGN_IN_FAILED, TEXT_EDITING, UNSTORED_KEY,
};

/// One thing that can be done, and the keys for it.
#[derive(Debug)]
pub struct KeyBinding {
    keys: &'static [(KeyModifiers, KeyCode)],
    /// The keys in words.
    pub key_text: &'static str,
    /// What they do. Empty: too plain to be said.
    pub description: &'static str,
    /// Whether the footer has room for it; the help screen has for all.
    pub is_in_footer: bool,
    intent: Intent,
}

impl KeyBinding {
    /// Whether it shows and hides the details.
    pub fn is_details_toggle(&self) -> bool {
        self.intent == Intent::ToggleDetails
    }

    /// Whether it is a way out, or to the help: what the footer never leaves out.
    pub fn is_exit_or_help(&self) -> bool {
        matches!(self.intent, Intent::Back | Intent::Quit | Intent::ToggleHelp)
    }
}

/// The tables that hold now, the first match first.
pub fn active_bindings(model: &Model) -> Vec<&'static [KeyBinding]> {
    match &model.question {
        Some(Question::RemoveKeys(_)) => return vec![GLOBAL, REMOVE_QUESTION],
        Some(_) => return vec![GLOBAL, QUESTION],
        None => {}
    }
    if model.help_page.is_some() {
        return vec![GLOBAL, HELP];
    }
    let mut tables = screen_bindings(model);
    tables.push(GLOBAL);
    tables
}

/// The tables of the screen, whatever lies over it.
pub fn screen_bindings(model: &Model) -> Vec<&'static [KeyBinding]> {
    match &model.screen {
        Screen::Dashboard if model.dashboard.is_filtering => vec![FILTER, TEXT_EDITING],
        Screen::Dashboard if model.is_sandbox => vec![SANDBOX, DASHBOARD],
        Screen::Dashboard => vec![DASHBOARD],
        Screen::Form(_) => vec![FORM, TEXT_EDITING],
        Screen::SignIn(login) if login.error.is_some() => vec![SIGN_IN_FAILED],
        Screen::SignIn(login) if !login.is_awaiting_consent() && login.plan().is_none() => {
            vec![PROVISIONING]
        }
        Screen::SignIn(login) if login.code_field.is_some() => vec![CODE_FIELD, TEXT_EDITING],
        Screen::SignIn(login) if login.plan().is_some() && model.is_sandbox => {
            vec![SANDBOX_CONSENT, BATCH]
        }
        Screen::SignIn(login) if login.plan().is_some() => vec![BATCH],
        Screen::SignIn(login) if login.needs_code() && model.is_sandbox => {
            vec![SANDBOX_CONSENT, SIGN_IN_BY_CODE]
        }
        Screen::SignIn(login) if login.needs_code() => vec![SIGN_IN_BY_CODE],
        Screen::SignIn(_) if model.is_sandbox => vec![SANDBOX_CONSENT, SIGN_IN],
        Screen::SignIn(_) => vec![SIGN_IN],
        Screen::NewKey(reveal) if reveal.passphrase_form.is_some() => {
            vec![PASSPHRASE, TEXT_EDITING]
        }
        Screen::NewKey(reveal) if !reveal.is_stored && model.alternate_store.is_some() => {
            vec![UNSTORED_KEY, ALTERNATE_STORE, NEW_KEY]
        }
        Screen::NewKey(reveal) if !reveal.is_stored => vec![UNSTORED_KEY, NEW_KEY],
        Screen::NewKey(_) => vec![NEW_KEY],
        Screen::Confirm(ask) => match ask.kind {
            ConfirmKind::Rotate => vec![CONFIRM_ROTATE],
            ConfirmKind::RespondToLeak => vec![CONFIRM_LEAK_RESPONSE],
            ConfirmKind::Revoke => vec![CONFIRM_REVOKE, TEXT_EDITING],
        },
        Screen::ActionResults(_) => vec![ACTION_RESULTS],
        Screen::Plan(plan) if plan.is_finished => vec![PLAN_FINISHED],
        Screen::Plan(plan) if plan.comparison.is_some() => vec![PLAN],
        Screen::Plan(_) => vec![PLAN_PATH, TEXT_EDITING],
    }
}

/// What a key press means on this screen.
pub fn intent_for_key(model: &Model, event: &KeyEvent) -> Option<Intent> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    // Terminals disagree on whether a capital letter comes with shift.
    let modifiers = match event.code {
        KeyCode::Char(_) | KeyCode::BackTab => event.modifiers - KeyModifiers::SHIFT,
        _ => event.modifiers,
    };
    let pressed = (modifiers, event.code);
    let bound = active_bindings(model)
        .into_iter()
        .flatten()
        .find(|binding| binding.keys.contains(&pressed))
        .map(|binding| binding.intent.clone());
    let types = match &model.screen {
        Screen::Form(_) => true,
        Screen::SignIn(login) => login.code_field.is_some() && login.error.is_none(),
        Screen::Dashboard => model.dashboard.is_filtering,
        Screen::Confirm(ask) => ask.kind == ConfirmKind::Revoke,
        Screen::NewKey(reveal) => reveal.passphrase_form.is_some(),
        Screen::Plan(plan) => plan.comparison.is_none(),
        Screen::ActionResults(_) => false,
    } && model.question.is_none()
        && model.help_page.is_none();
    match (bound, event.code) {
        (Some(intent), _) => Some(intent),
        (None, KeyCode::Char(c)) if types && modifiers.is_empty() => Some(Intent::TypeChar(c)),
        (None, _) => None,
    }
}

/// What the mouse means on the list.
pub fn intent_for_mouse(event: &MouseEvent) -> Option<Intent> {
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Some(Intent::ClickRow(event.row)),
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
            vec![GLOBAL, SANDBOX, DASHBOARD],
            vec![GLOBAL, FORM],
            vec![GLOBAL, TEXT_EDITING],
            vec![GLOBAL, SANDBOX_CONSENT, SIGN_IN],
            vec![GLOBAL, SANDBOX_CONSENT, SIGN_IN_BY_CODE],
            vec![GLOBAL, SIGN_IN_FAILED],
            vec![GLOBAL, UNSTORED_KEY, ALTERNATE_STORE, NEW_KEY],
            vec![GLOBAL, PASSPHRASE, TEXT_EDITING],
            vec![GLOBAL, QUESTION],
            vec![GLOBAL, REMOVE_QUESTION],
            vec![GLOBAL, CONFIRM_ROTATE],
            vec![GLOBAL, CONFIRM_LEAK_RESPONSE],
            vec![GLOBAL, CONFIRM_REVOKE, TEXT_EDITING],
            vec![GLOBAL, ACTION_RESULTS],
            vec![GLOBAL, PLAN_PATH, TEXT_EDITING],
            vec![GLOBAL, PLAN],
            vec![GLOBAL, PLAN_FINISHED],
            vec![GLOBAL, SANDBOX_CONSENT, BATCH],
            vec![GLOBAL, HELP],
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
