//! Reads a document of many rows in pieces: as a whole, its text needs as much memory as the rows.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::atomic_file::open_if_exists;
use super::check_dir;

/// How many bytes are read at once. One row is much smaller.
const PIECE_LEN: u64 = 65_536;

/// The longest row in bytes. A row is parsed again with each piece, which takes too long for a longer one.
const MAX_ROW_LEN: usize = 1 << 20;

/// The rows of a document, and the text of the document without them.
pub struct RowsAndRest<R> {
    /// The rows, in their order.
    pub rows: Vec<R>,
    /// The document with an empty array of rows.
    pub rest: String,
}

/// Reads the document at `path`, which starts with `head` and then the rows of an array, as Keywright writes
/// it. Returns `None` for any other file and for any error: read as a whole, it may be valid, and the
/// error can be described.
pub fn read_rows<R: DeserializeOwned>(
    dir: &Path,
    path: &Path,
    head: &str,
) -> Option<RowsAndRest<R>> {
    check_dir(dir).ok()?;
    let mut text = Text { file: open_if_exists(path).ok()??, unparsed: Vec::new(), position: 0 };
    text.read_piece()?;
    text.unparsed.starts_with(head.as_bytes()).then(|| text.position = head.len())?;
    let mut rows = Vec::new();
    loop {
        rows.push(text.parse_row()?);
        match text.next_byte()? {
            b',' => text.position += 1,
            b']' => break,
            _ => return None,
        }
    }
    let mut rest = head.as_bytes().to_vec();
    rest.extend_from_slice(&text.unparsed[text.position..]);
    text.file.read_to_end(&mut rest).ok()?;
    Some(RowsAndRest { rows, rest: String::from_utf8(rest).ok()? })
}

/// A file that is read in pieces.
struct Text {
    file: File,
    unparsed: Vec<u8>,
    /// Where the next row starts in `unparsed`.
    position: usize,
}

impl Text {
    /// Reads one more piece. Returns `None` at the end of the file.
    fn read_piece(&mut self) -> Option<()> {
        self.unparsed.drain(..self.position);
        self.position = 0;
        let read = (&mut self.file).take(PIECE_LEN).read_to_end(&mut self.unparsed).ok()?;
        (read > 0).then_some(())
    }

    fn next_byte(&mut self) -> Option<u8> {
        if self.position == self.unparsed.len() {
            self.read_piece()?;
        }
        self.unparsed.get(self.position).copied()
    }

    fn parse_row<R: DeserializeOwned>(&mut self) -> Option<R> {
        loop {
            let text = &self.unparsed[self.position..];
            let mut rows = serde_json::Deserializer::from_slice(text).into_iter();
            match rows.next()? {
                Ok(row) => {
                    // serde_json does not check the text of fields that it ignores.
                    let row_text = &text[..rows.byte_offset()];
                    std::str::from_utf8(row_text).ok()?;
                    self.position += row_text.len();
                    return Some(row);
                }
                // The row ends in the next piece.
                Err(error) if error.is_eof() && text.len() < MAX_ROW_LEN => self.read_piece()?,
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"version":1,"keys":["#;

    /// Returns the rows and the rest of a file with this text.
    fn read(text: &str) -> Option<(Vec<serde_json::Value>, String)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inventory.json");
        std::fs::write(&path, text).unwrap();
        let RowsAndRest { rows, rest } = read_rows(dir.path(), &path, HEAD)?;
        Some((rows, rest))
    }

    #[test]
    fn rows_of_any_length_are_read_at_any_place_of_a_piece() {
        for len in [0, 1, 65_000, 65_535, 65_536, 200_000] {
            let row = serde_json::json!({"label": "a".repeat(len), "x": "}],"});
            let rows = vec![row; 3];
            let array = serde_json::to_string(&rows).unwrap();
            let tail = format!(r#"],"trash":["{}"]}}"#, "b".repeat(len));
            let text = format!("{HEAD}{}{tail}", &array[1..array.len() - 1]);
            assert_eq!(read(&text), Some((rows, format!("{HEAD}{tail}"))), "{len}");
        }
    }

    #[test]
    fn other_texts_are_left_to_the_whole_parser() {
        let is_read = |text: &str| read(text).is_some();
        for text in [
            "",
            "{}",
            r#"{"version":1,"keys":["#,
            r#"{"version":1,"keys":[]}"#,
            r#"{"version":1,"keys":[{}"#,
            r#"{"version":1,"keys":[{},"#,
            r#"{"version":1,"keys":[{},]}"#,
            r#"{"version":1,"keys":[{}{}]}"#,
            r#"{"version":1,"keys":[{"a":]}"#,
            r#"{"version":2,"keys":[{}]}"#,
            r#"{"version":1, "keys":[{}]}"#,
        ] {
            assert!(!is_read(text), "{text}");
        }
        assert!(
            read_rows::<serde_json::Value>(Path::new("/nowhere"), Path::new("/nowhere/x"), HEAD)
                .is_none()
        );
    }

    #[test]
    fn fields_that_are_ignored_are_text_of_a_plausible_length() {
        #[derive(serde::Deserialize)]
        struct Row {}
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inventory.json");
        let long = "a".repeat(MAX_ROW_LEN + 65_536);
        for (field, is_read) in [(&b"a"[..], true), (b"\xff", false), (long.as_bytes(), false)] {
            let text = [HEAD.as_bytes(), b"{\"x\":\"", field, b"\"}]}"].concat();
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_rows::<Row>(dir.path(), &path, HEAD).is_some(), is_read);
        }
    }
}
