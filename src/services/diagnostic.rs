//! Errors in a TOML file that the user wrote, with line and column. Their messages never contain a
//! key.

use std::fmt;

use crate::domain::{mask_keys, sanitize};

/// A position in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One error in a file. Contains no key, even if the text at that position is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where the error is.
    pub position: Position,
    /// What is wrong, and what is accepted.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

/// Start offsets of the lines of a text.
pub(in crate::services) struct LineIndex<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(in crate::services) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect();
        Self { text, line_starts }
    }

    /// Returns the position of a byte offset.
    pub(in crate::services) fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let before = self.text.get(self.line_starts[line - 1]..offset).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}

/// Returns text from a file for use in a message: keys masked, at most 60 characters.
pub(in crate::services) fn redact_excerpt(text: &str) -> String {
    // Hidden characters inside a key would keep it from being found, so they are removed first.
    sanitize(&mask_keys(&sanitize(text, usize::MAX)), 60)
}

/// Returns `; did you mean …?` with the most similar of `known`, or nothing.
pub fn format_suggestion(text: &str, known: &[&str]) -> String {
    let text = text.trim().to_lowercase();
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(&text, word), word))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, word)| format!("; did you mean {word}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_at_line_feeds() {
        let lines = LineIndex::new("é = 1\r\nb = 2\n");
        for (offset, line, column) in [(0, 1, 1), (2, 1, 2), (8, 2, 1), (13, 2, 6), (14, 3, 1)] {
            assert_eq!(lines.position(offset), Position { line, column }, "{offset}");
        }
    }

    #[test]
    fn keys_in_excerpts_are_masked() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        assert_eq!(redact_excerpt(&format!("a {key}, b")), "a sk-or-v1-ab1...ab12, b");
        assert_eq!(redact_excerpt(&key.replace("12", "1\u{200b}\u{0}2")), "sk-or-v1-ab1...ab12");
    }
}
