//! The key bindings of each screen.

use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::InputRequest;

use super::KeyBinding;
use crate::tui::state::Intent;

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

const fn char_key(c: char) -> (KeyModifiers, KeyCode) {
    (NONE, KeyCode::Char(c))
}

const fn ctrl_key(c: char) -> (KeyModifiers, KeyCode) {
    (CTRL, KeyCode::Char(c))
}

const fn bare_key(code: KeyCode) -> (KeyModifiers, KeyCode) {
    (NONE, code)
}

/// One binding per line: `[keys] "keys as shown" "description" => Intent`. `help_only` hides a binding from
/// the footer.
macro_rules! key_bindings {
    ($($(#[$help_only:ident])? [$($key:expr),+] $key_text:literal $description:literal => $intent:expr;)*) => {
        &[$(KeyBinding {
            keys: &[$($key),+],
            key_text: $key_text,
            description: $description,
            is_in_footer: true $(&& !stringify!($help_only).is_empty() && false)?,
            intent: $intent,
        }),*]
    };
}

pub(super) const GLOBAL: &[KeyBinding] = key_bindings! {
    #[help_only] [ctrl_key('c')] "ctrl-c" "quit from any screen" => Intent::Interrupt;
    #[help_only] [ctrl_key('z')] "ctrl-z" "suspend" => Intent::Suspend;
};

/// Additional bindings of the sandbox, first in the footer.
pub(super) const SANDBOX: &[KeyBinding] = key_bindings! {
    [char_key('+')] "+" "spend" => Intent::SpendOnKey;
    [char_key('>')] ">" "skip a day" => Intent::SkipDay;
};

pub(super) const QUESTION: &[KeyBinding] = key_bindings! {
    [char_key('y'), char_key('Y')] "y" "yes" => Intent::Yes;
    [char_key('n'), char_key('N'), bare_key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const HELP: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Esc), char_key('?'), char_key('q'), bare_key(KeyCode::F(1))] "esc" "back" => Intent::ToggleHelp;
    #[help_only] [bare_key(KeyCode::Down), bare_key(KeyCode::PageDown), char_key(' '), char_key('j')] "" "" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::Up), bare_key(KeyCode::PageUp), char_key('k')] "" "" => Intent::Move(-1);
};

pub(super) const DASHBOARD: &[KeyBinding] = key_bindings! {
    [char_key('n')] "n" "new key" => Intent::NewKey;
    [bare_key(KeyCode::Enter), char_key('l'), bare_key(KeyCode::Right)] "enter" "details" => Intent::ToggleDetails;
    [char_key('c')] "c" "copy" => Intent::Copy;
    [char_key('v')] "v" "reveal" => Intent::ToggleReveal;
    [char_key('o')] "o" "open page" => Intent::OpenKeyPage;
    [char_key('R')] "R" "rotate" => Intent::Rotate;
    [char_key('e')] "e" "edit" => Intent::EditKey;
    [char_key('d')] "d" "disable" => Intent::ToggleDisabled;
    [char_key('x')] "x" "remove" => Intent::Remove;
    #[help_only] [char_key('P')] "P" "respond to a leak" => Intent::RespondToLeak;
    #[help_only] [char_key('i')] "i" "import an existing key" => Intent::ImportKey;
    #[help_only] [char_key('A')] "A" "apply a plan" => Intent::OpenPlan;
    #[help_only] [char_key('a')] "a" "other keys of the account" => Intent::NextScope;
    [char_key('r')] "r" "refresh" => Intent::Reload;
    [char_key('/')] "/" "filter" => Intent::EditFilter;
    #[help_only] [char_key('s')] "s" "sort by the next column" => Intent::NextSortOrder;
    #[help_only] [char_key('S')] "S" "reverse the order" => Intent::ReverseSort;
    #[help_only] [char_key(' ')] "space" "mark for the next action" => Intent::ToggleMark;
    #[help_only] [char_key('D')] "D" "dismiss an attempt" => Intent::DismissAttempt;
    #[help_only] [bare_key(KeyCode::Up), char_key('k')] "↑ k" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::Down), char_key('j')] "↓ j" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::Home), char_key('g')] "g" "first row" => Intent::MoveToTop;
    #[help_only] [bare_key(KeyCode::End), char_key('G')] "G" "last row" => Intent::MoveToBottom;
    #[help_only] [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc h" "close details, filter, marks" => Intent::Back;
    [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While the filter is edited.
pub(super) const FILTER: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "keep the filter" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "clear the filter" => Intent::Back;
    #[help_only] [bare_key(KeyCode::Up)] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::Down)] "↓" "down" => Intent::Move(1);
    #[help_only] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// Whether to remove a key here or also revoke it.
pub(super) const REMOVE_QUESTION: &[KeyBinding] = key_bindings! {
    [char_key('y'), char_key('Y')] "y" "remove here" => Intent::Yes;
    [char_key('r'), char_key('R')] "r" "also revoke at OpenRouter" => Intent::Revoke;
    [char_key('n'), char_key('N'), bare_key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const CONFIRM_ROTATE: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter), char_key('y')] "enter" "rotate" => Intent::Yes;
    [bare_key(KeyCode::Right), char_key('l'), bare_key(KeyCode::Up)] "→" "longer" => Intent::NextChoice;
    [bare_key(KeyCode::Left), char_key('h'), bare_key(KeyCode::Down)] "←" "shorter" => Intent::PreviousChoice;
    [char_key(' ')] "space" "ask first or auto-revoke" => Intent::ToggleMark;
    [bare_key(KeyCode::Esc), char_key('n'), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_LEAK_RESPONSE: &[KeyBinding] = key_bindings! {
    [char_key('y'), bare_key(KeyCode::Enter)] "y" "do all of this" => Intent::Yes;
    [bare_key(KeyCode::Esc), char_key('n'), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_REVOKE: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "revoke" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_ACCOUNT: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "confirm the account" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "not mine" => Intent::Back;
};

pub(super) const ACTION_RESULTS: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While the path of a plan is typed.
pub(super) const PLAN_PATH: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "load the plan" => Intent::Enter;
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const PLAN: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "create missing keys" => Intent::Enter;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[help_only] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "next page" => Intent::MovePage(1);
    #[help_only] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "previous page" => Intent::MovePage(-1);
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const PLAN_FINISHED: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While a plan is applied.
pub(super) const BATCH: &[KeyBinding] = key_bindings! {
    [char_key('s')] "s" "skip" => Intent::SkipItem;
    [char_key('r')] "r" "retry" => Intent::Retry;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "stop" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "stop and quit" => Intent::Quit;
};

pub(super) const FORM: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "next" => Intent::Enter;
    [ctrl_key('s')] "ctrl-s" "submit" => Intent::Submit;
    [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab" "next field" => Intent::NextField;
    #[help_only] [ctrl_key('r')] "ctrl-r" "another sign-in method" => Intent::NextAuthChoice;
    #[help_only] [bare_key(KeyCode::BackTab), (KeyModifiers::SHIFT, KeyCode::Tab), bare_key(KeyCode::Up)] "shift-tab ↑" "previous field" => Intent::PreviousField;
    #[help_only] [bare_key(KeyCode::Left)] "←" "previous choice or cursor left" => Intent::EditText(InputRequest::GoToPrevChar);
    #[help_only] [bare_key(KeyCode::Right)] "→ space" "next choice or cursor right" => Intent::EditText(InputRequest::GoToNextChar);
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const TEXT_EDITING: &[KeyBinding] = key_bindings! {
    #[help_only] [bare_key(KeyCode::Left), ctrl_key('b')] "" "" => Intent::EditText(InputRequest::GoToPrevChar);
    #[help_only] [bare_key(KeyCode::Right), ctrl_key('f')] "" "" => Intent::EditText(InputRequest::GoToNextChar);
    #[help_only] [(CTRL, KeyCode::Left), (ALT, KeyCode::Left), (ALT, KeyCode::Char('b'))] "ctrl-←" "previous word" => Intent::EditText(InputRequest::GoToPrevWord);
    #[help_only] [(CTRL, KeyCode::Right), (ALT, KeyCode::Right), (ALT, KeyCode::Char('f'))] "ctrl-→" "next word" => Intent::EditText(InputRequest::GoToNextWord);
    #[help_only] [bare_key(KeyCode::Home), ctrl_key('a')] "home" "start of the field" => Intent::EditText(InputRequest::GoToStart);
    #[help_only] [bare_key(KeyCode::End), ctrl_key('e')] "end" "end of the field" => Intent::EditText(InputRequest::GoToEnd);
    #[help_only] [bare_key(KeyCode::Backspace), ctrl_key('h')] "" "" => Intent::EditText(InputRequest::DeletePrevChar);
    #[help_only] [bare_key(KeyCode::Delete), ctrl_key('d')] "" "" => Intent::EditText(InputRequest::DeleteNextChar);
    #[help_only] [ctrl_key('w'), (ALT, KeyCode::Backspace)] "ctrl-w" "delete a word" => Intent::EditText(InputRequest::DeletePrevWord);
    #[help_only] [(ALT, KeyCode::Char('d'))] "" "" => Intent::EditText(InputRequest::DeleteNextWord);
    #[help_only] [ctrl_key('u')] "ctrl-u" "clear the field" => Intent::EditText(InputRequest::DeleteLine);
    #[help_only] [ctrl_key('k')] "" "" => Intent::EditText(InputRequest::DeleteTillEnd);
};

pub(super) const SIGN_IN: &[KeyBinding] = key_bindings! {
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "open the browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

/// For a page that shows a code; pasting it comes first.
pub(super) const SIGN_IN_BY_CODE: &[KeyBinding] = key_bindings! {
    [char_key('p')] "p" "paste the code" => Intent::ToggleCodeField;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [char_key('b')] "b" "open the browser" => Intent::OpenBrowser;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[help_only] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

pub(super) const SANDBOX_CONSENT: &[KeyBinding] = key_bindings! {
    [char_key('y')] "y" "approve" => Intent::Approve;
    [char_key('x')] "x" "deny" => Intent::Deny;
};

pub(super) const CODE_FIELD: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "send the code" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[help_only] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// After consent, when the run needs no more input.
pub(super) const PROVISIONING: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Esc)] "esc" "continue in the background" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit when it finishes" => Intent::Quit;
};

pub(super) const SIGN_IN_FAILED: &[KeyBinding] = key_bindings! {
    [char_key('r'), bare_key(KeyCode::Enter)] "r" "try again" => Intent::Retry;
    [bare_key(KeyCode::Esc), char_key('e')] "esc" "back to the form" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const NEW_KEY: &[KeyBinding] = key_bindings! {
    [char_key('c')] "c" "copy" => Intent::Copy;
    [char_key('v')] "v" "reveal" => Intent::ToggleReveal;
    [char_key('n')] "n" "next key" => Intent::NewKey;
    [char_key('o')] "o" "open page" => Intent::OpenKeyPage;
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the keys" => Intent::Back;
    #[help_only] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const UNSTORED_KEY: &[KeyBinding] = key_bindings! {
    [char_key('r')] "r" "retry storing" => Intent::Retry;
};

/// If there is an alternate store.
pub(super) const ALTERNATE_STORE: &[KeyBinding] = key_bindings! {
    [char_key('s')] "s" "use another store" => Intent::StoreInAlternate;
};

pub(super) const PASSPHRASE: &[KeyBinding] = key_bindings! {
    [bare_key(KeyCode::Enter)] "enter" "continue" => Intent::Enter;
    [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab" "the other field" => Intent::NextField;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};
