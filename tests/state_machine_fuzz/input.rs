//! Random user input, mostly keys that have a meaning on the current screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use keywright::tui::keymap::{intent_for_key, intent_for_mouse};
use keywright::tui::state::{ConfirmKind, FormField, FormKind, Intent, Msg, Screen, SortOrder};
use keywright::tui::view::intent_at;
use tui_input::InputRequest;

use super::rng::SECRET_MARK;
use super::{Fuzzer, Rng};

const PLAIN_KEYS: &str = "nnncvvoRedxxPAiarrr/sS DkjgG?qyyynbp#+>lhtwm15.-e日";
const CTRL_KEYS: &str = "csssszuwakehdbf";

impl Fuzzer {
    /// Returns a key press, click or paste as an intent; most have a meaning on this screen.
    pub fn input(&mut self) -> Msg {
        for _ in 0..4 {
            match self.try_input() {
                // Quitting too often would end every run early.
                Some(Intent::Quit | Intent::Interrupt) if !self.rng.one_in(10) => {}
                Some(intent) => return Msg::Intent(intent),
                None => {}
            }
        }
        Msg::Intent(Intent::Back)
    }

    fn try_input(&mut self) -> Option<Intent> {
        // Fills in enough of a form that it can be submitted.
        if let Screen::Form(form) = &self.model.screen
            && self.rng.one_in(3)
        {
            match form.kind {
                FormKind::Import if form.focused_field != FormField::ApiKey => {
                    return Some(Intent::NextField);
                }
                FormKind::New
                    if form.label.text().is_empty() && form.focused_field == FormField::Label =>
                {
                    return Some(Intent::Paste(format!("tool {}", self.rng.below(1_000))));
                }
                FormKind::New | FormKind::Import | FormKind::Edit { .. } => {
                    return Some(Intent::Submit);
                }
            }
        }
        if self.rng.one_in(5) {
            return Some(Intent::Paste(self.paste()));
        }
        if self.rng.one_in(30) {
            let kind = *self.rng.choose(&[
                MouseEventKind::Down(MouseButton::Left),
                MouseEventKind::ScrollUp,
                MouseEventKind::ScrollDown,
                MouseEventKind::Moved,
            ]);
            let row = u16::try_from(self.rng.below(60)).unwrap();
            let event = MouseEvent {
                kind,
                column: u16::try_from(self.rng.below(200)).unwrap(),
                row,
                modifiers: KeyModifiers::NONE,
            };
            return intent_for_mouse(&event, |column, row| intent_at(&self.model, column, row));
        }
        let plain: Vec<char> = PLAIN_KEYS.chars().collect();
        let ctrl: Vec<char> = CTRL_KEYS.chars().collect();
        let (code, modifiers) = match self.rng.below(10) {
            0..5 => (KeyCode::Char(*self.rng.choose(&plain)), KeyModifiers::NONE),
            5 => (KeyCode::Char(*self.rng.choose(&ctrl)), KeyModifiers::CONTROL),
            6 => (KeyCode::Enter, KeyModifiers::NONE),
            _ => {
                let code = *self.rng.choose(&[
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
                let alt = if self.rng.one_in(6) { KeyModifiers::ALT } else { KeyModifiers::NONE };
                (code, alt)
            }
        };
        intent_for_key(&self.model, &KeyEvent::new(code, modifiers))
    }

    /// Returns a key or a code for the fields that take one, a confirmation where one is requested, and
    /// otherwise any text.
    fn paste(&mut self) -> String {
        match &self.model.screen {
            // The palette shows what is typed.
            _ if self.model.overlay.is_some() => self.rng.text(),
            Screen::Form(form) if form.focused_field == FormField::ApiKey => {
                format!("sk-or-v1-{:016x}{}0000", self.rng.next_u64(), SECRET_MARK.repeat(16))
            }
            Screen::SignIn(login) if login.error.is_none() => {
                format!("{:08x}{}", self.rng.next_u64(), SECRET_MARK.repeat(8))
            }
            Screen::Confirm(dialog) if dialog.kind == ConfirmKind::Revoke && self.rng.one_in(2) => {
                dialog.expected_confirmation()
            }
            _ => self.rng.text(),
        }
    }

    /// Returns any intent, whether this screen offers it or not.
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
            Intent::ToggleMessages,
            Intent::OpenPalette,
            Intent::RunFromPalette(Box::new(Intent::ToggleMark)),
            Intent::NextAttention,
            Intent::OpenManagement,
            Intent::OpenProfiles,
            Intent::SwitchProfile(1),
            Intent::Undo,
            Intent::SetFilter("state:".into()),
            Intent::SortBy(SortOrder::State),
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
            Intent::EditText(*self.rng.choose(&edits)),
        ];
        self.rng.choose(&all).clone()
    }
}

/// Returns a shared store that is in use or not.
pub fn shared_store(rng: &mut Rng) -> keywright::tui::state::SharedStoreState {
    let (is_in_use, is_default) = (rng.one_in(3), rng.one_in(3));
    keywright::tui::state::SharedStoreState { is_in_use, is_default, is_read_only: false }
}
