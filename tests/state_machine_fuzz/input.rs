//! What a monkey's hands do: it knows the keys that mean something, and forms that get somewhere.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use keywright::tui::keymap::{intent_for_key, intent_for_mouse};
use keywright::tui::state::{ConfirmKind, FormField, FormKind, Intent, Msg, Screen};
use tui_input::InputRequest;

use super::Monkey;
use super::rng::MARK;

const PLAIN: &str = "nnncvvoRedxxPAiarrr/sS DkjgG?qyyynbp#+>lhtwm15.-e日";
const CTRL: &str = "csssszuwakehdbf";

impl Monkey {
    /// One key, click or paste; most of them mean something on this screen.
    pub fn press(&mut self) -> Msg {
        for _ in 0..4 {
            match self.try_press() {
                // Whoever leaves all the time gets nowhere.
                Some(Intent::Quit | Intent::Interrupt) if !self.dice.once_in(10) => {}
                Some(intent) => return Msg::Intent(intent),
                None => {}
            }
        }
        Msg::Intent(Intent::Back)
    }

    fn try_press(&mut self) -> Option<Intent> {
        // A form that gets somewhere: to where a key is pasted; a name, and then on.
        if let Screen::Form(form) = &self.model.screen
            && self.dice.once_in(3)
        {
            match form.kind {
                FormKind::Import if form.focused_field != FormField::ApiKey => {
                    return Some(Intent::NextField);
                }
                FormKind::New
                    if form.label.text().is_empty() && form.focused_field == FormField::Label =>
                {
                    return Some(Intent::Paste(format!("tool {}", self.dice.below(1_000))));
                }
                FormKind::New | FormKind::Import | FormKind::Edit { .. } => {
                    return Some(Intent::Submit);
                }
            }
        }
        if self.dice.once_in(5) {
            return Some(Intent::Paste(self.paste()));
        }
        if self.dice.once_in(30) {
            let kind = *self.dice.one(&[
                MouseEventKind::Down(MouseButton::Left),
                MouseEventKind::ScrollUp,
                MouseEventKind::ScrollDown,
                MouseEventKind::Moved,
            ]);
            let row = u16::try_from(self.dice.below(60)).unwrap();
            let event = MouseEvent { kind, column: 3, row, modifiers: KeyModifiers::NONE };
            return intent_for_mouse(&event);
        }
        let plain: Vec<char> = PLAIN.chars().collect();
        let ctrl: Vec<char> = CTRL.chars().collect();
        let (code, modifiers) = match self.dice.below(10) {
            0..5 => (KeyCode::Char(*self.dice.one(&plain)), KeyModifiers::NONE),
            5 => (KeyCode::Char(*self.dice.one(&ctrl)), KeyModifiers::CONTROL),
            6 => (KeyCode::Enter, KeyModifiers::NONE),
            _ => {
                let code = *self.dice.one(&[
                    KeyCode::Esc,
                    KeyCode::Tab,
                    KeyCode::BackTab,
                    KeyCode::Up,
                    KeyCode::Down,
                    KeyCode::Left,
                    KeyCode::Right,
                    KeyCode::Home,
                    KeyCode::End,
                    KeyCode::PageUp,
                    KeyCode::PageDown,
                    KeyCode::Backspace,
                    KeyCode::Delete,
                    KeyCode::F(1),
                ]);
                let alt = if self.dice.once_in(6) { KeyModifiers::ALT } else { KeyModifiers::NONE };
                (code, alt)
            }
        };
        intent_for_key(&self.model, &KeyEvent::new(code, modifiers))
    }

    /// A key and a code where they belong, a confirmation where one is asked for; elsewhere words.
    fn paste(&mut self) -> String {
        match &self.model.screen {
            Screen::Form(form) if form.focused_field == FormField::ApiKey => {
                format!("sk-or-v1-{:016x}{}0000", self.dice.roll(), MARK.repeat(16))
            }
            Screen::SignIn(login) if login.error.is_none() => {
                format!("{:08x}{}", self.dice.roll(), MARK.repeat(8))
            }
            Screen::Confirm(ask) if ask.kind == ConfirmKind::Revoke && self.dice.once_in(2) => {
                ask.expected_confirmation()
            }
            _ => self.dice.words(),
        }
    }

    /// Anything that could be wanted, whether this screen offers it or not.
    pub fn any_intent(&mut self) -> Intent {
        let edits = [
            InputRequest::DeletePrevChar,
            InputRequest::DeleteNextWord,
            InputRequest::GoToPrevWord,
            InputRequest::GoToEnd,
            InputRequest::DeleteLine,
            InputRequest::DeleteTillEnd,
        ];
        let all = [
            Intent::Suspend,
            Intent::Back,
            Intent::ToggleHelp,
            Intent::NewKey,
            Intent::Move(isize::MIN),
            Intent::Move(isize::MAX),
            Intent::MovePage(isize::MIN),
            Intent::MovePage(isize::MAX),
            Intent::MoveToTop,
            Intent::MoveToBottom,
            Intent::ToggleDetails,
            Intent::Copy,
            Intent::ToggleReveal,
            Intent::OpenKeyPage,
            Intent::Remove,
            Intent::Revoke,
            Intent::Rotate,
            Intent::RespondToLeak,
            Intent::EditKey,
            Intent::ToggleDisabled,
            Intent::ImportKey,
            Intent::NextScope,
            Intent::Reload,
            Intent::NextSortOrder,
            Intent::ReverseSort,
            Intent::EditFilter,
            Intent::ToggleMark,
            Intent::ClickRow(u16::MAX),
            Intent::DismissAttempt,
            Intent::Yes,
            Intent::No,
            Intent::NextField,
            Intent::PreviousField,
            Intent::NextChoice,
            Intent::PreviousChoice,
            Intent::Enter,
            Intent::Submit,
            Intent::TypeChar('\u{1b}'),
            Intent::OpenBrowser,
            Intent::ToggleCodeField,
            Intent::ToggleQrCode,
            Intent::Approve,
            Intent::Deny,
            Intent::Retry,
            Intent::SpendOnKey,
            Intent::SkipDay,
            Intent::EditText(*self.dice.one(&edits)),
        ];
        self.dice.one(&all).clone()
    }
}
