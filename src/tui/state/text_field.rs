//! A single-line text field, edited by grapheme. Prefilled text is selected until the first edit.

use std::fmt;

use tui_input::{Input, InputRequest};

/// The maximum length of a field in characters; a longer paste is truncated.
const MAX_CHARS: usize = 600;

/// A text field.
#[derive(Clone, Default)]
pub struct TextField {
    input: Input,
    selected: bool,
}

/// Hides the text, which may be a secret.
impl fmt::Debug for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextField({} characters)", self.text().chars().count())
    }
}

impl TextField {
    /// Returns a field with `text` selected, so that typing replaces it.
    pub fn prefilled(text: &str) -> Self {
        Self { input: Input::new(text.to_owned()), selected: !text.is_empty() }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Returns whether the next character replaces the whole text.
    pub const fn is_selected(&self) -> bool {
        self.selected
    }

    /// Returns the number of columns before the cursor.
    pub fn cursor_column(&self) -> usize {
        self.input.visual_cursor()
    }

    /// Returns the first visible column when `width` columns are shown and the cursor is visible.
    pub fn scroll_offset(&self, width: usize) -> usize {
        self.input.visual_scroll(width)
    }

    /// Selects the whole text, as on arrival in the field.
    pub fn select_all(&mut self) {
        self.selected = !self.text().is_empty();
        self.input.handle(InputRequest::GoToEnd);
    }

    /// Inserts a typed character.
    pub fn insert(&mut self, c: char) {
        if self.selected {
            self.clear();
        }
        if !c.is_control() && self.text().chars().count() < MAX_CHARS {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }

    /// Inserts pasted text with its lines joined by spaces, so that a newline does not submit.
    pub fn paste(&mut self, text: &str) {
        let line = text.split(['\r', '\n', '\t']).filter(|part| !part.is_empty());
        for c in line.collect::<Vec<_>>().join(" ").chars() {
            self.insert(c);
        }
    }

    /// Applies an edit or moves the cursor.
    pub fn edit(&mut self, request: InputRequest) {
        let deletes = matches!(
            request,
            InputRequest::DeletePrevChar
                | InputRequest::DeleteNextChar
                | InputRequest::DeletePrevWord
                | InputRequest::DeleteNextWord
        );
        if self.selected && deletes {
            self.clear();
        } else {
            self.input.handle(request);
        }
        self.selected = false;
    }

    fn clear(&mut self) {
        self.input.reset();
        self.selected = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_replaces_prefilled_text_and_moving_the_cursor_keeps_it() {
        let mut field = TextField::prefilled("10");
        field.insert('5');
        assert_eq!(field.text(), "5");
        let mut field = TextField::prefilled("10");
        field.edit(InputRequest::GoToEnd);
        field.insert('0');
        assert_eq!(field.text(), "100");
        let mut field = TextField::prefilled("10");
        field.edit(InputRequest::DeletePrevChar);
        assert_eq!(field.text(), "");
    }

    #[test]
    fn backspace_deletes_a_grapheme_and_a_paste_is_one_line() {
        let mut field = TextField::default();
        field.paste("a👩‍👩‍👧b\r\nc\u{1b}[2J");
        assert_eq!(field.text(), "a👩‍👩‍👧b c[2J");
        for _ in 0..6 {
            field.edit(InputRequest::DeletePrevChar);
        }
        assert_eq!(field.text(), "a👩‍👩‍👧");
        field.edit(InputRequest::DeletePrevChar);
        assert_eq!(field.text(), "a");
    }
}
