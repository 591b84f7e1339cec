//! The actions of the forms.

use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::InputRequest;

use super::action::Action;
use super::tables::{bare_key, char_key, ctrl_key, key, key_bindings};
use crate::tui::state::{FormKind, Intent, Model, Screen};

/// Returns whether a form shows the changes that it will send.
pub(super) fn shows_changes(model: &Model) -> bool {
    match &model.screen {
        Screen::Form(form) => !form.diff.is_empty(),
        Screen::Limits(screen) => screen.is_reviewed,
        _ => false,
    }
}

/// Returns whether the last field of a form has the focus, so that enter does what ctrl-s does.
fn is_in_last_field(model: &Model) -> bool {
    match &model.screen {
        Screen::Form(form) => form.fields().last() == Some(&form.focused_field),
        Screen::Limits(screen) => screen.is_reset_focused,
        _ => false,
    }
}

fn is_in_earlier_field(model: &Model) -> bool {
    !shows_changes(model) && !is_in_last_field(model)
}

/// Returns whether the form shows the changes before it sends them.
fn is_reviewed_first(model: &Model) -> bool {
    let is_edit = match &model.screen {
        Screen::Form(form) => matches!(form.kind, FormKind::Edit { .. }),
        _ => true,
    };
    is_edit && !shows_changes(model)
}

fn is_submitted_at_once(model: &Model) -> bool {
    !is_reviewed_first(model) && !shows_changes(model)
}

/// While a form shows the changes that it will send; other characters continue the editing.
pub(super) const CHANGES: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter), char_key('y'), char_key('Y')] "enter" "send the changes" => Intent::Enter;
    #[help_only] [char_key('n'), char_key('N')] "" "" => Intent::Back;
};

pub(super) const FORM: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "next" if is_in_earlier_field => Intent::Enter;
    [bare_key(KeyCode::Enter)] "enter" "review" if |model| is_in_last_field(model) && is_reviewed_first(model) => Intent::Enter;
    [bare_key(KeyCode::Enter)] "enter" "submit" if |model| is_in_last_field(model) && is_submitted_at_once(model) => Intent::Enter;
    [ctrl_key('s')] "ctrl-s" "review" if |model| is_in_earlier_field(model) && is_reviewed_first(model) => Intent::Submit;
    [ctrl_key('s')] "ctrl-s" "submit" if |model| is_in_earlier_field(model) && is_submitted_at_once(model) => Intent::Submit;
    #[help_only] [ctrl_key('s')] "ctrl-s" "the same as enter" if |model| !is_in_earlier_field(model) => Intent::Submit;
    #[help_only] [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab ↓" "next field" => Intent::NextField;
    #[help_only] [ctrl_key('r')] "ctrl-r" "another sign-in method" => Intent::NextAuthChoice;
    #[help_only] [bare_key(KeyCode::BackTab), key(KeyModifiers::SHIFT, KeyCode::Tab), bare_key(KeyCode::Up)] "shift-tab ↑" "previous field" => Intent::PreviousField;
    #[help_only] [bare_key(KeyCode::Left)] "←" "previous choice, left" => Intent::EditText(InputRequest::GoToPrevChar);
    #[help_only] [bare_key(KeyCode::Right)] "→ space" "next choice, right" => Intent::EditText(InputRequest::GoToNextChar);
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};
