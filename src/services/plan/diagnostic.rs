//! What is wrong with a plan, and where. Owns: lines and columns, and that no key is repeated in
//! words about it. Must not know: what a plan may hold.

use std::fmt;

use crate::domain::{ApiKey, sanitize};

/// How every key of OpenRouter begins.
const KEY_PREFIX: &str = "sk-or-";

/// A place in a text, both from 1; columns count characters.
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

/// One thing that is wrong, in words for the person who wrote it. Holds no key, whatever stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub position: Position,
    /// What, and what is accepted.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

/// Where the lines of a text begin.
pub(super) struct LineIndex<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { text, line_starts: starts }
    }

    /// The place of a byte.
    pub(super) fn position(&self, at: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= at);
        let before = self.text.get(self.line_starts[line - 1]..at).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}

/// What stands in a plan, fit to be repeated: any key in it masked, and not too long.
pub(super) fn redact_excerpt(text: &str) -> String {
    // Cleaned first: what is hidden in the midst of a key would keep it from being found.
    let text = sanitize(text, usize::MAX);
    let mut safe = String::new();
    let mut rest = text.as_str();
    while let Some((before, key, after)) = split_at_next_key(rest) {
        safe.push_str(before);
        safe.push_str(&mask_key(key));
        rest = after;
    }
    safe.push_str(rest);
    sanitize(&safe, 60)
}

/// Every key in the text, masked, and where it begins.
pub(super) fn find_keys(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, key, after)) = split_at_next_key(rest) {
        let at = text.len() - rest.len() + before.len();
        found.push((at, mask_key(key)));
        rest = after;
    }
    found
}

/// The first key: what stands before it, itself, and what stands after it.
fn split_at_next_key(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.find(KEY_PREFIX)?;
    let (before, from) = text.split_at(at);
    let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let (key, after) = from.split_at(end.unwrap_or(from.len()));
    Some((before, key, after))
}

fn mask_key(key: &str) -> String {
    ApiKey::from(key.to_owned()).masked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_where_editors_end_them() {
        let lines = LineIndex::new("é = 1\r\nb = 2\n");
        for (at, line, column) in [(0, 1, 1), (2, 1, 2), (8, 2, 1), (13, 2, 6), (14, 3, 1)] {
            assert_eq!(lines.position(at), Position { line, column }, "{at}");
        }
    }

    #[test]
    fn a_key_is_masked_wherever_it_stands() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        assert_eq!(redact_excerpt(&format!("a {key}, b")), "a sk-or-v1-ab1...ab12, b");
        assert_eq!(find_keys(&format!("é{key}")), [(2, "sk-or-v1-ab1...ab12".into())]);
        assert_eq!(redact_excerpt("sk-or-v1-short"), "(short key)");
        assert_eq!(redact_excerpt(&key.replace("12", "1\u{200b}\u{0}2")), "sk-or-v1-ab1...ab12");
    }
}
