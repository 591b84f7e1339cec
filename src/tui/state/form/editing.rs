//! Edits the fields of a form: typing, choices and the focus.

use tui_input::InputRequest;

use super::{EXPIRY_PRESETS, Form, FormField};
use crate::domain::ResetInterval;
use crate::tui::state::TextField;

impl Form {
    fn focused_text_field_mut(&mut self) -> Option<&mut TextField> {
        match self.focused_field {
            FormField::Label => Some(&mut self.label),
            FormField::Limit => Some(&mut self.limit),
            FormField::Reset | FormField::Byok | FormField::Workspace | FormField::Guardrail => {
                None
            }
            FormField::Expiry => Some(&mut self.expiry),
            FormField::ApiKey => Some(&mut self.api_key),
        }
    }

    /// Inserts a typed character, or changes a choice by its letter.
    pub fn insert(&mut self, c: char) {
        self.diff.clear();
        match (self.focused_field, c) {
            (
                FormField::Reset | FormField::Byok | FormField::Workspace | FormField::Guardrail,
                ' ',
            ) => self.step_choice(1),
            (FormField::Workspace, c) => self.workspace.select_by_letter(c),
            (FormField::Guardrail, c) => self.guardrail.select_by_letter(c),
            // An accidental space does not replace a typed expiry.
            (FormField::Expiry, ' ') => {
                if self.expiry.is_selected() || EXPIRY_PRESETS.contains(&self.expiry.text().trim())
                {
                    self.step_choice(1);
                }
            }
            (FormField::Reset, c) => {
                self.limit_reset = match c.to_ascii_lowercase() {
                    'n' => None,
                    'd' => Some(ResetInterval::Daily),
                    'w' => Some(ResetInterval::Weekly),
                    'm' => Some(ResetInterval::Monthly),
                    _ => self.limit_reset,
                }
            }
            (FormField::Byok, 'y' | 'Y') => self.include_byok_in_limit = true,
            (FormField::Byok, 'n' | 'N') => self.include_byok_in_limit = false,
            (FormField::Byok, _) => {}
            (FormField::Label | FormField::Limit | FormField::Expiry | FormField::ApiKey, c) => {
                if let Some(field) = self.focused_text_field_mut() {
                    field.insert(c);
                }
            }
        }
    }

    /// Pastes text into the focused field.
    pub fn paste(&mut self, text: &str) {
        self.diff.clear();
        if let Some(field) = self.focused_text_field_mut() {
            return field.paste(text);
        }
        match self.focused_field {
            FormField::Workspace => {
                self.workspace.select_by_name(text);
            }
            FormField::Guardrail => {
                self.guardrail.select_by_name(text);
            }
            _ => {
                if let (FormField::Reset, Ok(reset)) =
                    (self.focused_field, ResetInterval::parse(text))
                {
                    self.limit_reset = reset;
                }
            }
        }
    }

    /// Edits the focused field; `←` and `→` change a choice that was not edited yet.
    pub fn edit(&mut self, request: InputRequest) {
        let choice = match self.focused_field {
            FormField::Expiry => self.expiry.is_selected(),
            _ => self.focused_text_field_mut().is_none(),
        };
        self.diff.clear();
        match request {
            InputRequest::GoToPrevChar if choice => self.step_choice(-1),
            InputRequest::GoToNextChar if choice => self.step_choice(1),
            request => {
                if let Some(field) = self.focused_text_field_mut() {
                    let was_empty = field.text().is_empty();
                    field.edit(request);
                    // What was typed and deleted again is no longer a hint to fill the field in.
                    let is_emptied = !was_empty && field.text().is_empty();
                    self.visited[self.focused_field as usize] |= is_emptied;
                }
            }
        }
    }

    /// Moves the choice of the focused field by `by` steps.
    pub fn step_choice(&mut self, by: isize) {
        fn step(at: Option<usize>, by: isize, len: usize) -> usize {
            at.map_or(0, |at| at.wrapping_add_signed(by).wrapping_add(len) % len)
        }
        match self.focused_field {
            FormField::Reset => {
                let all = [
                    None,
                    Some(ResetInterval::Daily),
                    Some(ResetInterval::Weekly),
                    Some(ResetInterval::Monthly),
                ];
                let at = all.iter().position(|reset| *reset == self.limit_reset);
                self.limit_reset = all[step(at, by, all.len())];
            }
            FormField::Expiry => {
                let at =
                    EXPIRY_PRESETS.iter().position(|preset| *preset == self.expiry.text().trim());
                self.expiry =
                    TextField::prefilled(EXPIRY_PRESETS[step(at, by, EXPIRY_PRESETS.len())]);
            }
            FormField::Byok => self.include_byok_in_limit = !self.include_byok_in_limit,
            FormField::Workspace => self.workspace.step(by),
            FormField::Guardrail => self.guardrail.step(by),
            FormField::Label | FormField::Limit | FormField::ApiKey => {}
        }
        self.diff.clear();
    }

    /// Moves the focus by `by` fields. Returns whether there was such a field.
    pub fn move_focus(&mut self, by: isize) -> bool {
        self.visited[self.focused_field as usize] = true;
        let at = self.fields().iter().position(|field| *field == self.focused_field).unwrap_or(0);
        let next = at.checked_add_signed(by).and_then(|at| self.fields().get(at).copied());
        match next {
            Some(field) => self.focus_field(field),
            None => return false,
        }
        true
    }

    pub(super) fn focus_field(&mut self, field: FormField) {
        self.focused_field = field;
        if let Some(field) = self.focused_text_field_mut() {
            field.select_all();
        }
    }
}
