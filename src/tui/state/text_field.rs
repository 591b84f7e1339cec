//! A line of text that a person edits: by grapheme, with what was prefilled selected until the
//! first edit. Must not know: what the text means.

use std::fmt;

use tui_input::{Input, InputRequest};

/// The most that a field takes, in characters; a paste beyond it is cut.
const MAX_CHARS: usize = 600;

/// A text field.
#[derive(Clone, Default)]
pub struct TextField {
    input: Input,
    selected: bool,
}

/// What is typed may be a key.
impl fmt::Debug for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({} characters)", self.text().chars().count())
    }
}

impl TextField {
    /// Prefilled: the whole text is selected, so that typing replaces it.
    pub fn prefilled(text: &str) -> Self {
        Self { input: Input::new(text.to_owned()), selected: !text.is_empty() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// Whether the next character replaces everything.
    pub const fn is_selected(&self) -> bool {
        self.selected
    }

    /// Columns before the cursor.
    pub fn cursor_column(&self) -> usize {
        self.input.visual_cursor()
    }

    /// The first column shown in `width` columns, so that the cursor is among them.
    pub fn scroll_offset(&self, width: usize) -> usize {
        self.input.visual_scroll(width)
    }

    /// On arrival: what is there is selected.
    pub fn select_all(&mut self) {
        self.selected = !self.text().is_empty();
        self.input.handle(InputRequest::GoToEnd);
    }

    /// One character typed.
    pub fn insert(&mut self, c: char) {
        if self.selected {
            self.clear();
        }
        if !c.is_control() && self.text().chars().count() < MAX_CHARS {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }

    /// Text pasted: its lines joined by spaces, so that nothing in it can act as a key.
    pub fn paste(&mut self, text: &str) {
        let line = text.split(['\r', '\n', '\t']).filter(|part| !part.is_empty());
        for c in line.collect::<Vec<_>>().join(" ").chars() {
            self.insert(c);
        }
    }

    /// An edit or a move of the cursor.
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
    fn typing_replaces_what_was_prefilled_and_moving_keeps_it() {
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
    fn a_family_is_one_step_and_a_paste_is_one_line() {
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
