//! The actions of each screen except the dashboard.

use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::InputRequest;

use super::action::Action;
use super::palette::{palette_entries, selected_entry};
use crate::tui::state::{Intent, KeyPress, Model, Overlay, Question, Screen};

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

pub(super) const fn key(modifiers: KeyModifiers, code: KeyCode) -> KeyPress {
    KeyPress { modifiers, code }
}

pub(super) const fn char_key(c: char) -> KeyPress {
    key(NONE, KeyCode::Char(c))
}

pub(super) const fn ctrl_key(c: char) -> KeyPress {
    key(CTRL, KeyCode::Char(c))
}

pub(super) const fn bare_key(code: KeyCode) -> KeyPress {
    key(NONE, code)
}

/// One action per line: `[keys] "keys as shown" "description" => Intent`. `help_only` hides an action
/// from the footer; `if CONDITION` offers it only then.
macro_rules! key_bindings {
    ($($(#[$help_only:ident])? [$($key:expr),+] $key_text:literal $description:literal $(if $condition:expr)? => $intent:expr;)*) => {
        &[$(
            Action::unnamed(&[$($key),+], $key_text, $description, $intent)
                $(.$help_only())?
                $(.enabled_if($condition))?
        ),*]
    };
}
pub(super) use key_bindings;

/// The safe answer of every question that changes something. Enter is pressed without reading, so it
/// never agrees to one. Only a form is sent with enter: one in which the user has typed what it asks
/// for, the choices of a rotation, and a plan.
pub(super) const DECLINE: &[Action] = key_bindings! {
    [bare_key(KeyCode::Esc), char_key('n'), char_key('N'), char_key('q'), bare_key(KeyCode::Enter)] "esc" "cancel" => Intent::No;
};

/// The same in a form, which enter sends.
pub(super) const CANCEL: &[Action] = key_bindings! {
    [bare_key(KeyCode::Esc), char_key('n'), char_key('N'), char_key('q')] "esc" "cancel" => Intent::No;
};

pub(super) const QUESTION: &[Action] = key_bindings! {
    [char_key('y'), char_key('Y')] "y" "quit" if |model| matches!(model.question, Some(Question::QuitWithUnstoredKey)) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "leave" if |model| matches!(model.question, Some(Question::DiscardUnstoredKey)) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "dismiss" if |model| matches!(model.question, Some(Question::DismissAttempt(_))) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "send" if |model| matches!(model.question, Some(Question::UseEnvironmentKey)) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "set it again" if |model| matches!(model.question, Some(Question::RestoreLimits(_))) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "disable" if |model| matches!(model.question, Some(Question::SetKeysDisabled { disabled: true, .. })) => Intent::Yes;
    [char_key('y'), char_key('Y')] "y" "enable" if |model| matches!(model.question, Some(Question::SetKeysDisabled { disabled: false, .. })) => Intent::Yes;
};

pub(super) const HELP: &[Action] = key_bindings! {
    [bare_key(KeyCode::Esc), char_key('q')] "esc" "back" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "" "" => Intent::ToggleHelp;
    #[help_only] [bare_key(KeyCode::Down), bare_key(KeyCode::PageDown), char_key(' '), char_key('j')] "" "" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::Up), bare_key(KeyCode::PageUp), char_key('k')] "" "" => Intent::Move(-1);
};

/// While the filter is edited.
pub(super) const FILTER: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "keep the filter" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "clear the filter" => Intent::Back;
    #[help_only] [bare_key(KeyCode::Up)] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::Down)] "↓" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// Whether to remove a key here or also revoke it.
pub(super) const REMOVE_QUESTION: &[Action] = key_bindings! {
    [char_key('y'), char_key('Y')] "y" "remove" => Intent::Yes;
    [char_key('r'), char_key('R')] "r" "revoke at OpenRouter too" => Intent::Revoke;
};

/// Returns whether the dialog has all that it needs, so that its action works.
fn is_confirmed(model: &Model) -> bool {
    matches!(&model.screen, Screen::Confirm(dialog) if dialog.is_confirmed(model.now))
}

/// Returns whether another expiry can be chosen for a new key that would end soon.
fn offers_new_expiry(model: &Model) -> bool {
    matches!(&model.screen, Screen::Confirm(dialog) if dialog.offers_new_expiry(model.now))
}

/// Returns whether the user is asked before the replaced key is revoked.
fn asks_before_revoking(model: &Model) -> bool {
    matches!(&model.screen, Screen::Confirm(dialog) if !dialog.revoke_when_unused)
}

pub(super) const CONFIRM_ROTATE: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter), char_key('y'), char_key('Y')] "enter" "rotate" if is_confirmed => Intent::Yes;
    [char_key('e')] "e" "expiry" if offers_new_expiry => Intent::EditKey;
    [char_key(' ')] "space" "revoke without asking" if asks_before_revoking => Intent::ToggleMark;
    [char_key(' ')] "space" "ask to revoke" if |model| !asks_before_revoking(model) => Intent::ToggleMark;
    [bare_key(KeyCode::Right), char_key('l'), bare_key(KeyCode::Up)] "← →" "time" => Intent::NextChoice;
    #[help_only] [bare_key(KeyCode::Left), char_key('h'), bare_key(KeyCode::Down)] "←" "shorter" => Intent::PreviousChoice;
};

pub(super) const CONFIRM_LEAK_RESPONSE: &[Action] = key_bindings! {
    [char_key('y'), char_key('Y')] "y" "disable and replace" => Intent::Yes;
};

pub(super) const CONFIRM_REVOKE: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "revoke" if is_confirmed => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_ACCOUNT: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "confirm the account" if is_confirmed => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "not mine" => Intent::Back;
};

/// Returns whether the action whose results are shown can be undone.
fn can_undo_results(model: &Model) -> bool {
    matches!(&model.screen, Screen::ActionResults(screen) if screen.can_undo)
}

pub(super) const ACTION_RESULTS: &[Action] = key_bindings! {
    [char_key('u')] "u" "undo" if can_undo_results => Intent::Undo;
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    #[help_only] [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f'), char_key(' ')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// After a management key was stored.
pub(super) const MANAGEMENT_STORED: &[Action] = key_bindings! {
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While the path of a plan is typed.
pub(super) const PLAN_PATH: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "load the plan" => Intent::Enter;
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const PLAN: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter), char_key('y'), char_key('Y')] "enter" "create missing keys" => Intent::Yes;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc), char_key('q')] "esc" "back" => Intent::Back;
};

/// Returns whether the terminal has room for the QR code. Where it has none, the key says what it needs.
fn fits_qr_code(model: &Model) -> bool {
    matches!(&model.screen, Screen::SignIn(sign_in) if sign_in.fits_qr_code(model.terminal_size))
}

/// While a plan is applied.
pub(super) const BATCH: &[Action] = key_bindings! {
    [char_key('s')] "s" "skip" => Intent::SkipItem;
    [char_key('r')] "r" "retry" => Intent::Retry;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" if fits_qr_code => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "stop" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "stop and quit" => Intent::Quit;
};

pub(super) const TEXT_EDITING: &[Action] = key_bindings! {
    #[help_only] [bare_key(KeyCode::Left), ctrl_key('b')] "" "" => Intent::EditText(InputRequest::GoToPrevChar);
    #[help_only] [bare_key(KeyCode::Right), ctrl_key('f')] "" "" => Intent::EditText(InputRequest::GoToNextChar);
    #[help_only] [key(CTRL, KeyCode::Left), key(ALT, KeyCode::Left), key(ALT, KeyCode::Char('b'))] "ctrl-←" "previous word" => Intent::EditText(InputRequest::GoToPrevWord);
    #[help_only] [key(CTRL, KeyCode::Right), key(ALT, KeyCode::Right), key(ALT, KeyCode::Char('f'))] "ctrl-→" "next word" => Intent::EditText(InputRequest::GoToNextWord);
    #[help_only] [bare_key(KeyCode::Home), ctrl_key('a')] "home" "start of the field" => Intent::EditText(InputRequest::GoToStart);
    #[help_only] [bare_key(KeyCode::End), ctrl_key('e')] "end" "end of the field" => Intent::EditText(InputRequest::GoToEnd);
    #[help_only] [bare_key(KeyCode::Backspace), ctrl_key('h')] "" "" => Intent::EditText(InputRequest::DeletePrevChar);
    #[help_only] [bare_key(KeyCode::Delete), ctrl_key('d')] "" "" => Intent::EditText(InputRequest::DeleteNextChar);
    #[help_only] [ctrl_key('w'), key(ALT, KeyCode::Backspace)] "ctrl-w" "delete a word" => Intent::EditText(InputRequest::DeletePrevWord);
    #[help_only] [key(ALT, KeyCode::Char('d'))] "" "" => Intent::EditText(InputRequest::DeleteNextWord);
    #[help_only] [ctrl_key('u')] "ctrl-u" "clear the field" => Intent::EditText(InputRequest::DeleteLine);
    #[help_only] [ctrl_key('k')] "" "" => Intent::EditText(InputRequest::DeleteTillEnd);
};

pub(super) const SIGN_IN: &[Action] = key_bindings! {
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "open the browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" if fits_qr_code => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

/// For a page that shows a code; pasting it comes first.
pub(super) const SIGN_IN_BY_CODE: &[Action] = key_bindings! {
    [char_key('p')] "p" "paste the code" => Intent::ToggleCodeField;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('#')] "#" "QR code" if fits_qr_code => Intent::ToggleQrCode;
    [char_key('b')] "b" "open the browser" => Intent::OpenBrowser;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

pub(super) const SANDBOX_CONSENT: &[Action] = key_bindings! {
    [char_key('y')] "y" "approve" => Intent::Approve;
    [char_key('x')] "x" "deny" => Intent::Deny;
};

pub(super) const CODE_FIELD: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "send the code" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[help_only] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// After consent, when the run needs no more input.
pub(super) const PROVISIONING: &[Action] = key_bindings! {
    [bare_key(KeyCode::Esc)] "esc" "continue in the background" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit when it finishes" => Intent::Quit;
};

pub(super) const SIGN_IN_FAILED: &[Action] = key_bindings! {
    [char_key('r'), bare_key(KeyCode::Enter)] "r" "try again" => Intent::Retry;
    [bare_key(KeyCode::Esc), char_key('e')] "esc" "back to the form" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const NEW_KEY: &[Action] = key_bindings! {
    [char_key('c')] "c" "copy" => Intent::Copy;
    [char_key('v')] "v" "reveal" => Intent::ToggleReveal;
    [char_key('n')] "n" "create another" => Intent::NewKey;
    [char_key('o')] "o" "open page" => Intent::OpenKeyPage;
    #[help_only] [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f'), char_key(' ')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const UNSTORED_KEY: &[Action] = key_bindings! {
    [char_key('r')] "r" "retry storing" => Intent::Retry;
};

/// If there is an alternate store.
pub(super) const ALTERNATE_STORE: &[Action] = key_bindings! {
    [char_key('s')] "s" "use another store" => Intent::StoreInAlternate;
};

pub(super) const PASSPHRASE: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "continue" => Intent::Enter;
    [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab" "the other field" => Intent::NextField;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

/// Returns whether a command of the palette is selected.
fn has_selected_entry(model: &Model) -> bool {
    let Some(Overlay::Palette(palette)) = &model.overlay else { return false };
    selected_entry(palette, &palette_entries(model, palette)).is_some()
}

/// While the palette is open.
pub(super) const PALETTE: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "run" if has_selected_entry => Intent::Enter;
    [bare_key(KeyCode::Enter)] "enter" "select" if |model| !has_selected_entry(model) => Intent::Enter;
    [bare_key(KeyCode::Down), ctrl_key('n'), bare_key(KeyCode::Tab)] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), ctrl_key('p'), bare_key(KeyCode::BackTab)] "↑" "up" => Intent::Move(-1);
    [bare_key(KeyCode::Esc)] "esc" "close" => Intent::Back;
};

/// While the list of profiles is open.
pub(super) const PROFILES: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "show its keys" => Intent::Enter;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::Home), char_key('g')] "g" "first" => Intent::MoveToTop;
    #[help_only] [bare_key(KeyCode::End), char_key('G')] "G" "last" => Intent::MoveToBottom;
    [bare_key(KeyCode::Esc), char_key('q')] "esc" "close" => Intent::Back;
    #[help_only] [char_key('p')] "" "" => Intent::OpenProfiles;
};

/// While the message log is open.
pub(super) const MESSAGES: &[Action] = key_bindings! {
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), char_key(' ')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp)] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [bare_key(KeyCode::Home), char_key('g')] "g" "first" => Intent::MoveToTop;
    #[help_only] [bare_key(KeyCode::End), char_key('G')] "G" "last" => Intent::MoveToBottom;
    [bare_key(KeyCode::Esc), char_key('q'), bare_key(KeyCode::Enter)] "esc" "close" => Intent::Back;
    #[help_only] [char_key('m')] "" "" => Intent::ToggleMessages;
};

/// While the figures of the account are shown.
pub(super) const ACCOUNT: &[Action] = key_bindings! {
    [char_key('a')] "a" "all keys of the account" => Intent::NextScope;
    #[help_only] [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), char_key(' ')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp)] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [bare_key(KeyCode::Home), char_key('g')] "g" "first row" => Intent::MoveToTop;
    #[help_only] [bare_key(KeyCode::End), char_key('G')] "G" "last row" => Intent::MoveToBottom;
    [bare_key(KeyCode::Esc), char_key('q'), bare_key(KeyCode::Enter)] "esc" "close" => Intent::Back;
    #[help_only] [char_key('$')] "" "" => Intent::ToggleAccount;
};

/// Returns whether removed keys are listed.
fn has_removed_keys(model: &Model) -> bool {
    matches!(&model.screen, Screen::Trash(screen) if screen.selected_key().is_some())
}

/// While removed keys are listed.
pub(super) const TRASH: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter), char_key('u')] "enter" "restore" if has_removed_keys => Intent::Enter;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" if has_removed_keys => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" if has_removed_keys => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "to the keys" => Intent::Back;
    #[help_only] [char_key('X')] "" "" => Intent::OpenTrash;
    #[help_only] [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While a management key is typed.
pub(super) const MANAGEMENT: &[Action] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "check and store" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[help_only] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};
