//! Maps key presses and mouse events to intents, screen by screen. The footer, the help and the palette
//! are drawn from the same tables.

mod action;
mod binding;
mod configured;
mod dashboard;
mod footer;
mod form;
mod palette;
mod tables;

use std::time::Duration;

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use crate::tui::state::{ConfirmKind, Intent, KeyPress, Model, Msg, Overlay, Question, Screen};
pub use action::{Action, Group, Safety};
pub use binding::{Binding, key_text, undo_hint};
pub use configured::{action_names, check_key, key_table, resolve_key_overrides};
use dashboard::{DASHBOARD, GLOBAL, SANDBOX};
pub use footer::{FooterItem, footer_items};
use form::{CHANGES, FORM};
pub use palette::{PaletteEntry, palette_entries, run_entry, selected_entry};
use tables::{
    ACCOUNT, ACTION_RESULTS, ALTERNATE_STORE, BATCH, CANCEL, CODE_FIELD, CONFIRM_ACCOUNT,
    CONFIRM_LEAK_RESPONSE, CONFIRM_REVOKE, CONFIRM_ROTATE, DECLINE, FILTER, HELP, MANAGEMENT,
    MANAGEMENT_STORED, MESSAGES, NEW_KEY, PALETTE, PASSPHRASE, PLAN, PLAN_PATH, PROFILES,
    PROVISIONING, QUESTION, REMOVE_QUESTION, SANDBOX_CONSENT, SIGN_IN, SIGN_IN_BY_CODE,
    SIGN_IN_FAILED, TEXT_EDITING, TRASH, UNSTORED_KEY,
};

/// Returns the actions that key presses trigger now; the first match wins.
pub fn active_bindings(model: &Model) -> Vec<Binding> {
    let tables = match (&model.question, &model.overlay) {
        (Some(Question::RemoveKeys(_)), _) => vec![REMOVE_QUESTION, DECLINE, GLOBAL],
        (Some(_), _) => vec![QUESTION, DECLINE, GLOBAL],
        (None, Some(Overlay::Help { .. })) => vec![HELP, GLOBAL],
        (None, Some(Overlay::Palette(_))) => vec![PALETTE, TEXT_EDITING, GLOBAL],
        (None, Some(Overlay::Messages(_))) => vec![MESSAGES, GLOBAL],
        (None, Some(Overlay::Account { .. })) => vec![ACCOUNT, GLOBAL],
        (None, Some(Overlay::Profiles(_))) => vec![PROFILES, GLOBAL],
        (None, None) => {
            let mut tables = screen_tables(model);
            tables.push(GLOBAL);
            tables
        }
    };
    tables.into_iter().flatten().map(|action| Binding::new(action, model)).collect()
}

/// Returns the actions of the screen, ignoring a question or what covers it.
pub fn screen_bindings(model: &Model) -> Vec<Binding> {
    let tables = screen_tables(model).into_iter().chain([GLOBAL]);
    tables.flatten().map(|action| Binding::new(action, model)).collect()
}

fn screen_tables(model: &Model) -> Vec<&'static [Action]> {
    match &model.screen {
        Screen::Dashboard if model.dashboard.is_filtering => vec![FILTER, TEXT_EDITING],
        Screen::Dashboard if model.is_sandbox => vec![DASHBOARD, SANDBOX],
        Screen::Dashboard => vec![DASHBOARD],
        Screen::Form(_) | Screen::Limits(_) if form::shows_changes(model) => {
            vec![CHANGES, FORM, TEXT_EDITING]
        }
        Screen::Form(_) | Screen::Limits(_) => vec![FORM, TEXT_EDITING],
        Screen::SignIn(sign_in) if sign_in.error.is_some() => vec![SIGN_IN_FAILED],
        Screen::SignIn(sign_in) if !sign_in.is_awaiting_consent() && sign_in.plan().is_none() => {
            vec![PROVISIONING]
        }
        Screen::SignIn(sign_in) if sign_in.code_field.is_some() => vec![CODE_FIELD, TEXT_EDITING],
        Screen::SignIn(sign_in) if sign_in.plan().is_some() && model.is_sandbox => {
            vec![SANDBOX_CONSENT, BATCH]
        }
        Screen::SignIn(sign_in) if sign_in.plan().is_some() => vec![BATCH],
        Screen::SignIn(sign_in) if sign_in.needs_code() && model.is_sandbox => {
            vec![SANDBOX_CONSENT, SIGN_IN_BY_CODE]
        }
        Screen::SignIn(sign_in) if sign_in.needs_code() => vec![SIGN_IN_BY_CODE],
        Screen::SignIn(_) if model.is_sandbox => vec![SANDBOX_CONSENT, SIGN_IN],
        Screen::SignIn(_) => vec![SIGN_IN],
        Screen::NewKey(new_key) if new_key.passphrase_form.is_some() => {
            vec![PASSPHRASE, TEXT_EDITING]
        }
        Screen::NewKey(new_key) if !new_key.is_stored && model.alternate_store.is_some() => {
            vec![UNSTORED_KEY, ALTERNATE_STORE, NEW_KEY]
        }
        Screen::NewKey(new_key) if !new_key.is_stored => vec![UNSTORED_KEY, NEW_KEY],
        Screen::NewKey(_) => vec![NEW_KEY],
        Screen::Confirm(dialog) => match dialog.kind {
            ConfirmKind::Rotate => vec![CONFIRM_ROTATE, CANCEL],
            ConfirmKind::RespondToLeak => vec![CONFIRM_LEAK_RESPONSE, DECLINE],
            ConfirmKind::Revoke => vec![CONFIRM_REVOKE, TEXT_EDITING],
            ConfirmKind::ConfirmAccount => vec![CONFIRM_ACCOUNT, TEXT_EDITING],
        },
        Screen::ActionResults(_) => vec![ACTION_RESULTS],
        Screen::Plan(plan) if plan.comparison.is_some() => vec![PLAN],
        Screen::Plan(_) => vec![PLAN_PATH, TEXT_EDITING],
        Screen::Management(screen) if screen.stored.is_some() => vec![MANAGEMENT_STORED],
        Screen::Management(_) => vec![MANAGEMENT, TEXT_EDITING],
        Screen::Trash(_) => vec![TRASH],
    }
}

/// Characters that follow each other faster than this were not typed by the user.
pub const BURST_GAP: Duration = Duration::from_millis(10);

/// Returns the message of a terminal event on the current screen. `intent_at` returns what a click at
/// a column and a row requests.
pub fn msg_for_event(
    model: &Model,
    event: Event,
    intent_at: impl FnOnce(u16, u16) -> Option<Intent>,
) -> Option<Msg> {
    match event {
        Event::Key(key) => intent_for_key(model, &key).map(Msg::Intent),
        Event::Mouse(mouse) if is_mouse_enabled(model) => {
            intent_for_mouse(&mouse, intent_at).map(Msg::Intent)
        }
        Event::Paste(text) => Some(Msg::Intent(Intent::Paste(text))),
        Event::Resize(columns, rows) => Some(Msg::Resized(columns, rows)),
        Event::FocusGained => Some(Msg::FocusGained),
        Event::Mouse(_) | Event::FocusLost => None,
    }
}

/// Returns whether clicks are handled. On the screens of a sign-in and of a new key the terminal keeps
/// the mouse, so that addresses and commands can be selected.
pub fn is_mouse_enabled(model: &Model) -> bool {
    model.overlay.is_some() || !matches!(model.screen, Screen::SignIn(_) | Screen::NewKey(_))
}

/// Returns whether characters that arrive in a burst are a paste: where a code may be pasted, since a
/// terminal without bracketed paste sends its characters as key presses, which must not be taken for
/// commands; and everywhere in a console of Windows, where crossterm has no bracketed paste.
pub fn joins_bursts(model: &Model) -> bool {
    cfg!(windows) || expects_code(model)
}

fn expects_code(model: &Model) -> bool {
    matches!(&model.screen, Screen::SignIn(sign_in) if sign_in.is_awaiting_consent())
        && model.question.is_none()
        && model.overlay.is_none()
}

/// Returns the character of an event that a paste without brackets may contain.
pub fn typed_char(event: &Event) -> Option<char> {
    match event {
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })
            if (*modifiers - KeyModifiers::SHIFT).is_empty() =>
        {
            match code {
                KeyCode::Char(c) => Some(*c),
                KeyCode::Enter => Some('\n'),
                KeyCode::Tab => Some('\t'),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Joins two or more characters that arrived in a burst into a paste.
pub fn join_burst(mut events: Vec<Event>) -> Vec<Event> {
    let text: String = events.iter().map_while(typed_char).collect();
    let count = text.chars().count();
    if count > 1 {
        events.splice(..count, [Event::Paste(text)]);
    }
    events
}

/// Returns the intent of a key press on the current screen.
pub fn intent_for_key(model: &Model, event: &KeyEvent) -> Option<Intent> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    // Terminals differ in whether they report shift with a capital letter.
    let modifiers = match event.code {
        KeyCode::Char(_) | KeyCode::BackTab => event.modifiers - KeyModifiers::SHIFT,
        _ => event.modifiers,
    };
    let pressed = KeyPress { modifiers, code: event.code };
    let bound = active_bindings(model)
        .into_iter()
        .find(|binding| binding.is_triggered_by(pressed))
        .map(|binding| binding.intent());
    if let Some(Overlay::Palette(palette)) = &model.overlay
        && model.question.is_none()
    {
        return palette::intent_in_palette(model, palette, bound, event.code, modifiers);
    }
    let accepts_text = match &model.screen {
        Screen::Form(_) | Screen::Limits(_) => true,
        Screen::SignIn(sign_in) => sign_in.code_field.is_some() && sign_in.error.is_none(),
        Screen::Dashboard => model.dashboard.is_filtering,
        Screen::Confirm(dialog) => dialog.kind.requires_text(),
        Screen::NewKey(new_key) => new_key.passphrase_form.is_some(),
        Screen::Plan(plan) => plan.comparison.is_none(),
        Screen::ActionResults(_) | Screen::Trash(_) => false,
        Screen::Management(screen) => screen.stored.is_none(),
    } && model.question.is_none()
        && model.overlay.is_none();
    match (bound, event.code) {
        (Some(intent), _) => Some(intent),
        (None, KeyCode::Char(c)) if accepts_text && modifiers.is_empty() => {
            Some(Intent::TypeChar(c))
        }
        (None, KeyCode::Char(c)) if modifiers.is_empty() && model.overlay.is_none() => {
            Some(Intent::Unbound(c))
        }
        (None, _) => None,
    }
}

/// Returns the intent of a mouse event.
pub fn intent_for_mouse(
    event: &MouseEvent,
    intent_at: impl FnOnce(u16, u16) -> Option<Intent>,
) -> Option<Intent> {
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => intent_at(event.column, event.row),
        MouseEventKind::ScrollUp => Some(Intent::Move(-1)),
        MouseEventKind::ScrollDown => Some(Intent::Move(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_characters_in_a_burst_are_a_paste_and_one_is_a_key_press() {
        let key = |code: KeyCode| Event::Key(code.into());
        let c = || key(KeyCode::Char('c'));
        assert_eq!(join_burst(vec![c()]), [c()]);
        assert_eq!(join_burst(vec![key(KeyCode::Esc), c()]), [key(KeyCode::Esc), c()]);
        let burst = vec![c(), key(KeyCode::Char('P')), key(KeyCode::Enter), key(KeyCode::Esc)];
        assert_eq!(join_burst(burst), [Event::Paste("cP\n".into()), key(KeyCode::Esc)]);
    }

    #[test]
    fn no_key_has_two_actions_on_one_screen() {
        for tables in configured::SCREENS {
            let mut seen: Vec<(KeyPress, &Intent)> = Vec::new();
            for action in tables.iter().copied().flatten() {
                for key in action.built_in_keys() {
                    let is_other = |(other, intent): &&(KeyPress, &Intent)| {
                        other == key && **intent != action.intent
                    };
                    assert!(!seen.iter().any(|row| is_other(&row)), "{key} has two actions");
                    seen.push((*key, &action.intent));
                }
            }
        }
    }

    #[test]
    fn every_action_fits_into_a_column_of_the_help() {
        for action in [DASHBOARD, GLOBAL, SANDBOX].into_iter().flatten() {
            assert!(action.help_text().len() <= 27, "{}", action.help_text());
            assert!(action.short_text().len() <= 17, "{}", action.short_text());
        }
    }
}
