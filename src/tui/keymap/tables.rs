//! The tables of keys, screen by screen. Must not know: which of them holds now.

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

/// `[keys] "shown" "does" => Intent` a line; `quiet` keeps it out of the footer.
macro_rules! bindings {
    ($($(#[$quiet:ident])? [$($key:expr),+] $shown:literal $does:literal => $intent:expr;)*) => {
        &[$(KeyBinding {
            keys: &[$($key),+],
            key_text: $shown,
            description: $does,
            is_in_footer: true $(&& !stringify!($quiet).is_empty() && false)?,
            intent: $intent,
        }),*]
    };
}

pub(super) const GLOBAL: &[KeyBinding] = bindings! {
    #[quiet] [ctrl_key('c')] "ctrl-c" "quit, from anywhere" => Intent::Interrupt;
    #[quiet] [ctrl_key('z')] "ctrl-z" "back to the shell for a while" => Intent::Suspend;
};

/// What the sandbox offers beside the rest, first in the footer.
pub(super) const SANDBOX: &[KeyBinding] = bindings! {
    [char_key('+')] "+" "spend" => Intent::SpendOnKey;
    [char_key('>')] ">" "skip a day" => Intent::SkipDay;
};

pub(super) const QUESTION: &[KeyBinding] = bindings! {
    [char_key('y'), char_key('Y')] "y" "yes" => Intent::Yes;
    [char_key('n'), char_key('N'), bare_key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const HELP: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Esc), char_key('?'), char_key('q'), bare_key(KeyCode::F(1))] "esc" "back" => Intent::ToggleHelp;
    #[quiet] [bare_key(KeyCode::Down), bare_key(KeyCode::PageDown), char_key(' '), char_key('j')] "" "" => Intent::Move(1);
    #[quiet] [bare_key(KeyCode::Up), bare_key(KeyCode::PageUp), char_key('k')] "" "" => Intent::Move(-1);
};

pub(super) const DASHBOARD: &[KeyBinding] = bindings! {
    [char_key('n')] "n" "new key" => Intent::NewKey;
    [bare_key(KeyCode::Enter), char_key('l'), bare_key(KeyCode::Right)] "enter" "details" => Intent::ToggleDetails;
    [char_key('c')] "c" "copy" => Intent::Copy;
    [char_key('v')] "v" "reveal" => Intent::ToggleReveal;
    [char_key('o')] "o" "open page" => Intent::OpenKeyPage;
    [char_key('R')] "R" "rotate" => Intent::Rotate;
    [char_key('e')] "e" "edit" => Intent::EditKey;
    [char_key('d')] "d" "disable" => Intent::ToggleDisabled;
    [char_key('x')] "x" "remove" => Intent::Remove;
    #[quiet] [char_key('P')] "P" "it leaked: replace it" => Intent::RespondToLeak;
    #[quiet] [char_key('i')] "i" "import a key from elsewhere" => Intent::ImportKey;
    #[quiet] [char_key('A')] "A" "apply a plan of keys" => Intent::OpenPlan;
    #[quiet] [char_key('a')] "a" "the account's other keys" => Intent::NextScope;
    [char_key('r')] "r" "refresh" => Intent::Reload;
    [char_key('/')] "/" "filter" => Intent::EditFilter;
    #[quiet] [char_key('s')] "s" "sort by the next column" => Intent::NextSortOrder;
    #[quiet] [char_key('S')] "S" "turn the order round" => Intent::ReverseSort;
    #[quiet] [char_key(' ')] "space" "mark for the next action" => Intent::ToggleMark;
    #[quiet] [char_key('D')] "D" "dismiss an unresolved entry" => Intent::DismissAttempt;
    #[quiet] [bare_key(KeyCode::Up), char_key('k')] "↑ k" "up" => Intent::Move(-1);
    #[quiet] [bare_key(KeyCode::Down), char_key('j')] "↓ j" "down" => Intent::Move(1);
    #[quiet] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "a page up" => Intent::MovePage(-1);
    #[quiet] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "a page down" => Intent::MovePage(1);
    #[quiet] [bare_key(KeyCode::Home), char_key('g')] "g" "to the first" => Intent::MoveToTop;
    #[quiet] [bare_key(KeyCode::End), char_key('G')] "G" "to the last" => Intent::MoveToBottom;
    #[quiet] [bare_key(KeyCode::Esc), char_key('h'), bare_key(KeyCode::Left)] "esc h" "drop details, filter, marks" => Intent::Back;
    [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// While the filter is typed.
pub(super) const FILTER: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "keep the filter" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "drop it" => Intent::Back;
    #[quiet] [bare_key(KeyCode::Up)] "↑" "up" => Intent::Move(-1);
    #[quiet] [bare_key(KeyCode::Down)] "↓" "down" => Intent::Move(1);
    #[quiet] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// A key that may also be deleted at the server.
pub(super) const REMOVE_QUESTION: &[KeyBinding] = bindings! {
    [char_key('y'), char_key('Y')] "y" "forget it here" => Intent::Yes;
    [char_key('r'), char_key('R')] "r" "delete it at OpenRouter too" => Intent::Revoke;
    [char_key('n'), char_key('N'), bare_key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const CONFIRM_ROTATE: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter), char_key('y')] "enter" "rotate" => Intent::Yes;
    [bare_key(KeyCode::Right), char_key('l'), bare_key(KeyCode::Up)] "→" "longer" => Intent::NextChoice;
    [bare_key(KeyCode::Left), char_key('h'), bare_key(KeyCode::Down)] "←" "shorter" => Intent::PreviousChoice;
    [char_key(' ')] "space" "ask, or delete by itself" => Intent::ToggleMark;
    [bare_key(KeyCode::Esc), char_key('n'), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_LEAK_RESPONSE: &[KeyBinding] = bindings! {
    [char_key('y'), bare_key(KeyCode::Enter)] "y" "do all of this" => Intent::Yes;
    [bare_key(KeyCode::Esc), char_key('n'), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const CONFIRM_REVOKE: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "delete" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const ACTION_RESULTS: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// Where a plan lies, while that is typed.
pub(super) const PLAN_PATH: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "read the plan" => Intent::Enter;
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const PLAN: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "cut what is missing" => Intent::Enter;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    #[quiet] [bare_key(KeyCode::PageDown), ctrl_key('f')] "page down" "a page down" => Intent::MovePage(1);
    #[quiet] [bare_key(KeyCode::PageUp), ctrl_key('b')] "page up" "a page up" => Intent::MovePage(-1);
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc), char_key('q')] "esc" "back" => Intent::Back;
};

pub(super) const PLAN_FINISHED: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    [bare_key(KeyCode::Down), char_key('j')] "↓" "down" => Intent::Move(1);
    [bare_key(KeyCode::Up), char_key('k')] "↑" "up" => Intent::Move(-1);
    [char_key('q')] "q" "quit" => Intent::Quit;
};

/// One key after the other.
pub(super) const BATCH: &[KeyBinding] = bindings! {
    [char_key('s')] "s" "skip" => Intent::SkipItem;
    [char_key('r')] "r" "anew" => Intent::Retry;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "stop" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [char_key('q')] "q" "stop and quit" => Intent::Quit;
};

pub(super) const FORM: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "next" => Intent::Enter;
    [ctrl_key('s')] "ctrl-s" "submit" => Intent::Submit;
    [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab" "next field" => Intent::NextField;
    #[quiet] [ctrl_key('r')] "ctrl-r" "another way to sign in" => Intent::NextAuthChoice;
    #[quiet] [bare_key(KeyCode::BackTab), (KeyModifiers::SHIFT, KeyCode::Tab), bare_key(KeyCode::Up)] "shift-tab ↑" "field before" => Intent::PreviousField;
    #[quiet] [bare_key(KeyCode::Left)] "←" "choice before, or the cursor left" => Intent::EditText(InputRequest::GoToPrevChar);
    #[quiet] [bare_key(KeyCode::Right)] "→ space" "next choice, or the cursor right" => Intent::EditText(InputRequest::GoToNextChar);
    [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const TEXT_EDITING: &[KeyBinding] = bindings! {
    #[quiet] [bare_key(KeyCode::Left), ctrl_key('b')] "" "" => Intent::EditText(InputRequest::GoToPrevChar);
    #[quiet] [bare_key(KeyCode::Right), ctrl_key('f')] "" "" => Intent::EditText(InputRequest::GoToNextChar);
    #[quiet] [(CTRL, KeyCode::Left), (ALT, KeyCode::Left), (ALT, KeyCode::Char('b'))] "ctrl-←" "a word back" => Intent::EditText(InputRequest::GoToPrevWord);
    #[quiet] [(CTRL, KeyCode::Right), (ALT, KeyCode::Right), (ALT, KeyCode::Char('f'))] "ctrl-→" "a word on" => Intent::EditText(InputRequest::GoToNextWord);
    #[quiet] [bare_key(KeyCode::Home), ctrl_key('a')] "home" "to the start of the field" => Intent::EditText(InputRequest::GoToStart);
    #[quiet] [bare_key(KeyCode::End), ctrl_key('e')] "end" "to the end of the field" => Intent::EditText(InputRequest::GoToEnd);
    #[quiet] [bare_key(KeyCode::Backspace), ctrl_key('h')] "" "" => Intent::EditText(InputRequest::DeletePrevChar);
    #[quiet] [bare_key(KeyCode::Delete), ctrl_key('d')] "" "" => Intent::EditText(InputRequest::DeleteNextChar);
    #[quiet] [ctrl_key('w'), (ALT, KeyCode::Backspace)] "ctrl-w" "delete a word" => Intent::EditText(InputRequest::DeletePrevWord);
    #[quiet] [(ALT, KeyCode::Char('d'))] "" "" => Intent::EditText(InputRequest::DeleteNextWord);
    #[quiet] [ctrl_key('u')] "ctrl-u" "empty the field" => Intent::EditText(InputRequest::DeleteLine);
    #[quiet] [ctrl_key('k')] "" "" => Intent::EditText(InputRequest::DeleteTillEnd);
};

pub(super) const SIGN_IN: &[KeyBinding] = bindings! {
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('b')] "b" "open the browser again" => Intent::OpenBrowser;
    [char_key('p')] "p" "paste a code" => Intent::ToggleCodeField;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

/// Where a code is pasted, that stands first.
pub(super) const SIGN_IN_BY_CODE: &[KeyBinding] = bindings! {
    [char_key('p')] "p" "paste the code" => Intent::ToggleCodeField;
    [char_key('c')] "c" "copy the address" => Intent::Copy;
    [char_key('#')] "#" "QR code" => Intent::ToggleQrCode;
    [char_key('b')] "b" "open the browser" => Intent::OpenBrowser;
    [bare_key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [char_key('q')] "q" "cancel and quit" => Intent::Quit;
};

pub(super) const SANDBOX_CONSENT: &[KeyBinding] = bindings! {
    [char_key('y')] "y" "approve" => Intent::Approve;
    [char_key('x')] "x" "refuse" => Intent::Deny;
};

pub(super) const CODE_FIELD: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "send the code" => Intent::Enter;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[quiet] [bare_key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// From the exchange on there is nothing left to decide.
pub(super) const PROVISIONING: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Esc)] "esc" "back, and let it end by itself" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit, once it has ended" => Intent::Quit;
};

pub(super) const SIGN_IN_FAILED: &[KeyBinding] = bindings! {
    [char_key('r'), bare_key(KeyCode::Enter)] "r" "try again" => Intent::Retry;
    [bare_key(KeyCode::Esc), char_key('e')] "esc" "back to the form" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const NEW_KEY: &[KeyBinding] = bindings! {
    [char_key('c')] "c" "copy" => Intent::Copy;
    [char_key('v')] "v" "reveal" => Intent::ToggleReveal;
    [char_key('n')] "n" "next key" => Intent::NewKey;
    [char_key('o')] "o" "open page" => Intent::OpenKeyPage;
    [bare_key(KeyCode::Esc), bare_key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    #[quiet] [char_key('?'), bare_key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [char_key('q')] "q" "quit" => Intent::Quit;
};

pub(super) const UNSTORED_KEY: &[KeyBinding] = bindings! {
    [char_key('r')] "r" "try to store it again" => Intent::Retry;
};

/// Where there is another store.
pub(super) const ALTERNATE_STORE: &[KeyBinding] = bindings! {
    [char_key('s')] "s" "store it elsewhere" => Intent::StoreInAlternate;
};

pub(super) const PASSPHRASE: &[KeyBinding] = bindings! {
    [bare_key(KeyCode::Enter)] "enter" "go on" => Intent::Enter;
    [bare_key(KeyCode::Tab), bare_key(KeyCode::Down)] "tab" "the other field" => Intent::NextField;
    [bare_key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};
