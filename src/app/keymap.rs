//! Which key does what, screen by screen. The footer and the help screen are drawn from the same
//! tables. The only place that knows crossterm's keys.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use tui_input::InputRequest;

use super::{Deliberation, Intent, Model, Question, Screen};

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

const ANYWHERE: &[Binding] = bindings! {
    #[quiet] [ctrl('c')] "ctrl-c" "quit, from anywhere" => Intent::Interrupt;
    #[quiet] [ctrl('z')] "ctrl-z" "back to the shell for a while" => Intent::Suspend;
};

/// What the sandbox offers beside the rest, first in the footer.
const PLAY: &[Binding] = bindings! {
    [plain('+')] "+" "spend" => Intent::Spend;
    [plain('>')] ">" "skip a day" => Intent::SkipDay;
};

const QUESTION: &[Binding] = bindings! {
    [plain('y'), plain('Y')] "y" "yes" => Intent::Yes;
    [plain('n'), plain('N'), key(KeyCode::Esc)] "n" "no" => Intent::No;
};

const HELP: &[Binding] = bindings! {
    [key(KeyCode::Esc), plain('?'), plain('q'), key(KeyCode::F(1))] "esc" "back" => Intent::ToggleHelp;
    #[quiet] [key(KeyCode::Down), key(KeyCode::PageDown), plain(' '), plain('j')] "" "" => Intent::Move(1);
    #[quiet] [key(KeyCode::Up), key(KeyCode::PageUp), plain('k')] "" "" => Intent::Move(-1);
};

const DASHBOARD: &[Binding] = bindings! {
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
const FILTER: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "keep the filter" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "drop it" => Intent::Back;
    #[quiet] [key(KeyCode::Up)] "↑" "up" => Intent::Move(-1);
    #[quiet] [key(KeyCode::Down)] "↓" "down" => Intent::Move(1);
    #[quiet] [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// A key that may also be deleted at the server.
const REMOVAL: &[Binding] = bindings! {
    [plain('y'), plain('Y')] "y" "forget it here" => Intent::Yes;
    [plain('r'), plain('R')] "r" "delete it at OpenRouter too" => Intent::Revoke;
    [plain('n'), plain('N'), key(KeyCode::Esc)] "n" "no" => Intent::No;
};

const ROTATE: &[Binding] = bindings! {
    [key(KeyCode::Enter), plain('y')] "enter" "rotate" => Intent::Yes;
    [key(KeyCode::Right), plain('l'), key(KeyCode::Up)] "→" "longer" => Intent::NextChoice;
    [key(KeyCode::Left), plain('h'), key(KeyCode::Down)] "←" "shorter" => Intent::PreviousChoice;
    [plain(' ')] "space" "ask, or delete by itself" => Intent::Mark;
    [key(KeyCode::Esc), plain('n'), plain('q')] "esc" "back" => Intent::Back;
};

const PANIC: &[Binding] = bindings! {
    [plain('y'), key(KeyCode::Enter)] "y" "do all of this" => Intent::Yes;
    [key(KeyCode::Esc), plain('n'), plain('q')] "esc" "back" => Intent::Back;
};

const REVOKE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "delete" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

const DEEDS: &[Binding] = bindings! {
    [key(KeyCode::Esc), key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    [plain('q')] "q" "quit" => Intent::Quit;
};

const FORM: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "next" => Intent::Enter;
    [ctrl('s')] "ctrl-s" "submit" => Intent::Submit;
    [key(KeyCode::Tab), key(KeyCode::Down)] "tab" "next field" => Intent::NextField;
    #[quiet] [key(KeyCode::BackTab), (KeyModifiers::SHIFT, KeyCode::Tab), key(KeyCode::Up)] "shift-tab ↑" "field before" => Intent::PreviousField;
    #[quiet] [key(KeyCode::Left)] "←" "choice before, or the cursor left" => Intent::Edit(InputRequest::GoToPrevChar);
    #[quiet] [key(KeyCode::Right)] "→ space" "next choice, or the cursor right" => Intent::Edit(InputRequest::GoToNextChar);
    [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

const EDITING: &[Binding] = bindings! {
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

const LOGIN: &[Binding] = bindings! {
    [plain('c')] "c" "copy the address" => Intent::Copy;
    [plain('b')] "b" "open the browser again" => Intent::OpenBrowser;
    [plain('p')] "p" "paste a code" => Intent::ToggleCode;
    [plain('#')] "#" "QR code" => Intent::ToggleQr;
    [key(KeyCode::Esc)] "esc" "cancel" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    #[quiet] [plain('q')] "q" "cancel and quit" => Intent::Quit;
};

const DECIDE: &[Binding] = bindings! {
    [plain('y')] "y" "approve" => Intent::Approve;
    [plain('x')] "x" "refuse" => Intent::Refuse;
};

const CODE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "send the code" => Intent::Enter;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
    #[quiet] [key(KeyCode::F(1))] "F1" "help" => Intent::ToggleHelp;
};

/// From the exchange on there is nothing left to decide.
const UNDER_WAY: &[Binding] = bindings! {
    [key(KeyCode::Esc)] "esc" "back, and let it end by itself" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit, once it has ended" => Intent::Quit;
};

const FAILED: &[Binding] = bindings! {
    [plain('r'), key(KeyCode::Enter)] "r" "try again" => Intent::Retry;
    [key(KeyCode::Esc), plain('e')] "esc" "back to the form" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit" => Intent::Quit;
};

const REVEAL: &[Binding] = bindings! {
    [plain('c')] "c" "copy" => Intent::Copy;
    [plain('v')] "v" "reveal" => Intent::ToggleReveal;
    [plain('n')] "n" "next key" => Intent::New;
    [plain('o')] "o" "open page" => Intent::OpenPage;
    [key(KeyCode::Esc), key(KeyCode::Enter)] "esc" "to the list" => Intent::Back;
    #[quiet] [plain('?'), key(KeyCode::F(1))] "?" "help" => Intent::ToggleHelp;
    [plain('q')] "q" "quit" => Intent::Quit;
};

const UNSTORED: &[Binding] = bindings! {
    [plain('r')] "r" "try to store it again" => Intent::Retry;
};

/// Where there is another store.
const ELSEWHERE: &[Binding] = bindings! {
    [plain('s')] "s" "store it elsewhere" => Intent::StoreElsewhere;
};

const PASSPHRASE: &[Binding] = bindings! {
    [key(KeyCode::Enter)] "enter" "go on" => Intent::Enter;
    [key(KeyCode::Tab), key(KeyCode::Down)] "tab" "the other field" => Intent::NextField;
    [key(KeyCode::Esc)] "esc" "back" => Intent::Back;
};

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
        Screen::Login(login) if !login.awaits_consent() => vec![UNDER_WAY],
        Screen::Login(login) if login.code.is_some() => vec![CODE, EDITING],
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
            vec![ANYWHERE, FAILED],
            vec![ANYWHERE, UNSTORED, ELSEWHERE, REVEAL],
            vec![ANYWHERE, PASSPHRASE, EDITING],
            vec![ANYWHERE, QUESTION],
            vec![ANYWHERE, REMOVAL],
            vec![ANYWHERE, ROTATE],
            vec![ANYWHERE, PANIC],
            vec![ANYWHERE, REVOKE, EDITING],
            vec![ANYWHERE, DEEDS],
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
