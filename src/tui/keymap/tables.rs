//! The tables of keys, screen by screen. Must not know: which of them holds now.

use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::InputRequest;

use super::Binding;
use crate::tui::state::Intent;

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

const fn plain(c: char) -> (KeyModifiers, KeyCode) {
    (NONE, KeyCode::Char(c))
}

const fn ctrl(c: char) -> (KeyModifiers, KeyCode) {
    (CTRL, KeyCode::Char(c))
}

const fn key(code: KeyCode) -> (KeyModifiers, KeyCode) {
    (NONE, code)
}

/// `[keys] "shown" "does" => Intent` a line; `quiet` keeps it out of the footer.
macro_rules! bindings {
    ($($(#[$quiet:ident])? [$($key:expr),+] $shown:literal $does:literal => $intent:expr;)*) => {
        &[$(Binding {
            keys: &[$($key),+],
            shown: $shown,
            does: $does,
            footer: true $(&& !stringify!($quiet).is_empty() && false)?,
            intent: $intent,
        }),*]
    };
}

pub(super) const ANYWHERE: &[Binding] = bindings! {
    #[quiet] [ctrl('c')] "ctrl-c" "quit, from anywhere" => Intent::Interrupt;
    #[quiet] [ctrl('z')] "ctrl-z" "back to the shell for a while" => Intent::Suspend;
};

/// What the sandbox offers beside the rest, first in the footer.
pub(super) const PLAY: &[Binding] = bindings! {
    [plain('+')] "+" "spend" => Intent::Spend;
    [plain('>')] ">" "skip a day" => Intent::SkipDay;
};

pub(super) const QUESTION: &[Binding] = bindings! {
    [plain('y'), plain('Y')] "y" "yes" => Intent::Yes;
    [plain('n'), plain('N'), key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const HELP: &[Binding] = bindings! {
    [key(KeyCode::Esc), plain('?'), plain('q'), key(KeyCode::F(1))] "esc" "back" => Intent::ToggleHelp;
    #[quiet] [key(KeyCode::Down), key(KeyCode::PageDown), plain(' '), plain('j')] "" "" => Intent::Move(1);
    #[quiet] [key(KeyCode::Up), key(KeyCode::PageUp), plain('k')] "" "" => Intent::Move(-1);
};

pub(super) const DASHBOARD: &[Binding] = bindings! {
    [plain('n')] "n" "new key" => Intent::New;
    [key(KeyCode::Enter), plain('l'), key(KeyCode::Right)] "enter" "details" => Intent::ToggleDetails;
    [plain('c')] "c" "copy" => Intent::Copy;
    [plain('v')] "v" "reveal" => Intent::ToggleReveal;
    [plain('o')] "o" "open page" => Intent::OpenPage;
    [plain('R')] "R" "rotate" => Intent::Rotate;
    [plain('e')] "e" "edit" => Intent::Change;
    [plain('d')] "d" "disable" => Intent::Switch;
    [plain('x')] "x" "remove" => Intent::Remove;
    #[quiet] [plain('P')] "P" "it leaked: replace it" => Intent::Panic;
    #[quiet] [plain('i')] "i" "import a key from elsewhere" => Intent::Import;
    #[quiet] [plain('A')] "A" "apply a plan of keys" => Intent::Plan;
    #[quiet] [plain('a')] "a" "the account's other keys" => Intent::NextScope;
    [plain('r')] "r" "refresh" => Intent::Reload;
    [plain('/')] "/" "filter" => Intent::Filter;
    #[quiet] [plain('s')] "s" "sort by the next column" => Intent::Sort;
    #[quiet] [plain('S')] "S" "turn the order round" => Intent::Reverse;
    #[quiet] [plain(' ')] "space" "mark for the next action" => Intent::Mark;
    #[quiet] [plain('D')] "D" "dismiss an unresolved entry" => Intent::Dismiss;
    #[quiet] [key(KeyCode::Up), plain('k')] "↑ k" "up" => Intent::Move(-1);
    #[quiet] [key(KeyCode::Down), plain('j')] "↓ j" "down" => Intent::Move(1);
    #[quiet] [key(KeyCode::PageUp), ctrl('b')] "page up" "a page up" => Intent::MovePage(-1);
    #[quiet] [key(KeyCode::PageDown), ctrl('f')] "page down" "a page down" => Intent::MovePage(1);
    #[quiet] [key(KeyCode::Home), plain('g')] "g" "to the first" => Intent::ToTop;
    #[quiet] [key(KeyCode::End), plain('G')] "G" "to the last" => Intent::ToBottom;
    #[quiet] [key(KeyCode::Esc), plain('h'), key(KeyCode::Left)] "esc h" "drop details, filter, marks" => Intent::Back;
    [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit" => Intent::Quit;
};

/// While the filter is typed.
pub(super) const FILTER: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "keep the filter" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "drop it" => Intent::Back;
    #[quiet] [key(KeyCode::Up)] "↑" "up" => Intent::Move(-1);
    #[quiet] [key(KeyCode::Down)] "↓" "down" => Intent::Move(1);
    #[quiet] [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// A key that may also be deleted at the server.
pub(super) const REMOVAL: &[Binding] = bindings! {
    [plain('y'), plain('Y')] "y" "forget it here" => Intent::Yes;
    [plain('r'), plain('R')] "r" "delete it at OpenRouter too" => Intent::Revoke;
    [plain('n'), plain('N'), key(KeyCode::Esc)] "n" "no" => Intent::No;
};

pub(super) const ROTATE: &[Binding] = bindings! {
    [key(KeyCode::Enter), plain('y')] "enter" "rotate" => Intent::Yes;
    [key(KeyCode::Right), plain('l'), key(KeyCode::Up)] "→" "longer" => Intent::NextChoice;
    [key(KeyCode::Left), plain('h'), key(KeyCode::Down)] "←" "shorter" => Intent::PreviousChoice;
    [plain(' ')] "space" "ask, or delete by itself" => Intent::Mark;
    [key(KeyCode::Esc), plain('n'), plain('q')] "esc" "back" => Intent::Back;
};

pub(super) const PANIC: &[Binding] = bindings! {
    [plain('y'), key(KeyCode::Enter)] "y" "do all of this" => Intent::Yes;
    [key(KeyCode::Esc), plain('n'), plain('q')] "esc" "back" => Intent::Back;
};

pub(super) const REVOKE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "delete" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const DEEDS: &[Binding] = bindings! {
    [key(KeyCode::Esc), key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    [plain('q')] "q" "quit" => Intent::Quit;
};

/// Where a plan lies, while that is typed.
pub(super) const PATH: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "read the plan" => Intent::Enter;
    [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const PLAN: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "cut what is missing" => Intent::Enter;
    [key(KeyCode::Down), plain('j')] "↓" "down" => Intent::Move(1);
    [key(KeyCode::Up), plain('k')] "↑" "up" => Intent::Move(-1);
    #[quiet] [key(KeyCode::PageDown), ctrl('f')] "page down" "a page down" => Intent::MovePage(1);
    #[quiet] [key(KeyCode::PageUp), ctrl('b')] "page up" "a page up" => Intent::MovePage(-1);
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [key(KeyCode::Esc), plain('q')] "esc" "back" => Intent::Back;
};

pub(super) const PLAN_OVER: &[Binding] = bindings! {
    [key(KeyCode::Esc), key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    [key(KeyCode::Down), plain('j')] "↓" "down" => Intent::Move(1);
    [key(KeyCode::Up), plain('k')] "↑" "up" => Intent::Move(-1);
    [plain('q')] "q" "quit" => Intent::Quit;
};

/// One key after the other.
pub(super) const QUEUE: &[Binding] = bindings! {
    [plain('s')] "s" "skip" => Intent::Skip;
    [plain('r')] "r" "anew" => Intent::Retry;
    [plain('c')] "c" "copy the address" => Intent::Copy;
    [plain('b')] "b" "browser again" => Intent::OpenBrowser;
    [plain('p')] "p" "paste a code" => Intent::ToggleCode;
    [plain('#')] "#" "QR code" => Intent::ToggleQr;
    [key(KeyCode::Esc)] "esc" "stop" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [plain('q')] "q" "stop and quit" => Intent::Quit;
};

pub(super) const FORM: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "next" => Intent::Enter;
    [ctrl('s')] "ctrl-s" "submit" => Intent::Submit;
    [key(KeyCode::Tab), key(KeyCode::Down)] "tab" "next field" => Intent::NextField;
    #[quiet] [ctrl('r')] "ctrl-r" "another way to sign in" => Intent::NextRoad;
    #[quiet] [key(KeyCode::BackTab), (KeyModifiers::SHIFT, KeyCode::Tab), key(KeyCode::Up)] "shift-tab ↑" "field before" => Intent::PreviousField;
    #[quiet] [key(KeyCode::Left)] "←" "choice before, or the cursor left" => Intent::Edit(InputRequest::GoToPrevChar);
    #[quiet] [key(KeyCode::Right)] "→ space" "next choice, or the cursor right" => Intent::Edit(InputRequest::GoToNextChar);
    [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

pub(super) const EDITING: &[Binding] = bindings! {
    #[quiet] [key(KeyCode::Left), ctrl('b')] "" "" => Intent::Edit(InputRequest::GoToPrevChar);
    #[quiet] [key(KeyCode::Right), ctrl('f')] "" "" => Intent::Edit(InputRequest::GoToNextChar);
    #[quiet] [(CTRL, KeyCode::Left), (ALT, KeyCode::Left), (ALT, KeyCode::Char('b'))] "ctrl-←" "a word back" => Intent::Edit(InputRequest::GoToPrevWord);
    #[quiet] [(CTRL, KeyCode::Right), (ALT, KeyCode::Right), (ALT, KeyCode::Char('f'))] "ctrl-→" "a word on" => Intent::Edit(InputRequest::GoToNextWord);
    #[quiet] [key(KeyCode::Home), ctrl('a')] "home" "to the start of the field" => Intent::Edit(InputRequest::GoToStart);
    #[quiet] [key(KeyCode::End), ctrl('e')] "end" "to the end of the field" => Intent::Edit(InputRequest::GoToEnd);
    #[quiet] [key(KeyCode::Backspace), ctrl('h')] "" "" => Intent::Edit(InputRequest::DeletePrevChar);
    #[quiet] [key(KeyCode::Delete), ctrl('d')] "" "" => Intent::Edit(InputRequest::DeleteNextChar);
    #[quiet] [ctrl('w'), (ALT, KeyCode::Backspace)] "ctrl-w" "delete a word" => Intent::Edit(InputRequest::DeletePrevWord);
    #[quiet] [(ALT, KeyCode::Char('d'))] "" "" => Intent::Edit(InputRequest::DeleteNextWord);
    #[quiet] [ctrl('u')] "ctrl-u" "empty the field" => Intent::Edit(InputRequest::DeleteLine);
    #[quiet] [ctrl('k')] "" "" => Intent::Edit(InputRequest::DeleteTillEnd);
};

pub(super) const LOGIN: &[Binding] = bindings! {
    [plain('c')] "c" "copy the address" => Intent::Copy;
    [plain('b')] "b" "open the browser again" => Intent::OpenBrowser;
    [plain('p')] "p" "paste a code" => Intent::ToggleCode;
    [plain('#')] "#" "QR code" => Intent::ToggleQr;
    [key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [plain('q')] "q" "cancel and quit" => Intent::Quit;
};

/// Where a code is pasted, that stands first.
pub(super) const LOGIN_BY_CODE: &[Binding] = bindings! {
    [plain('p')] "p" "paste the code" => Intent::ToggleCode;
    [plain('c')] "c" "copy the address" => Intent::Copy;
    [plain('#')] "#" "QR code" => Intent::ToggleQr;
    [plain('b')] "b" "open the browser" => Intent::OpenBrowser;
    [key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [plain('q')] "q" "cancel and quit" => Intent::Quit;
};

pub(super) const DECIDE: &[Binding] = bindings! {
    [plain('y')] "y" "approve" => Intent::Approve;
    [plain('x')] "x" "refuse" => Intent::Refuse;
};

pub(super) const CODE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "send the code" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[quiet] [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// From the exchange on there is nothing left to decide.
pub(super) const UNDER_WAY: &[Binding] = bindings! {
    [key(KeyCode::Esc)] "esc" "back, and let it end by itself" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit, once it has ended" => Intent::Quit;
};

pub(super) const FAILED: &[Binding] = bindings! {
    [plain('r'), key(KeyCode::Enter)] "r" "try again" => Intent::Retry;
    [key(KeyCode::Esc), plain('e')] "esc" "back to the form" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit" => Intent::Quit;
};

pub(super) const REVEAL: &[Binding] = bindings! {
    [plain('c')] "c" "copy" => Intent::Copy;
    [plain('v')] "v" "reveal" => Intent::ToggleReveal;
    [plain('n')] "n" "next key" => Intent::New;
    [plain('o')] "o" "open page" => Intent::OpenPage;
    [key(KeyCode::Esc), key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit" => Intent::Quit;
};

pub(super) const UNSTORED: &[Binding] = bindings! {
    [plain('r')] "r" "try to store it again" => Intent::Retry;
};

/// Where there is another store.
pub(super) const ELSEWHERE: &[Binding] = bindings! {
    [plain('s')] "s" "store it elsewhere" => Intent::StoreElsewhere;
};

pub(super) const PASSPHRASE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "go on" => Intent::Enter;
    [key(KeyCode::Tab), key(KeyCode::Down)] "tab" "the other field" => Intent::NextField;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};
