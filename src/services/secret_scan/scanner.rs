//! Finds the keys in one file, which is read in blocks.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter};
use secrecy::zeroize::Zeroize;

use super::Encoding;
use super::encodings::{LONGEST_PATTERN, LOOKAHEAD, PatternSearch, decode_key, pattern_length};

/// A NUL in this many bytes at the start makes a file binary.
const BINARY_SAMPLE_BYTES: usize = 8 * 1024;
/// Size of a block; most files fit into one.
const BLOCK_BYTES: usize = 128 * 1024;

/// First bytes of compressed files and archives other than gzip.
const COMPRESSED: &[&[u8]] = &[
    b"PK\x03\x04",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"7z\xbc\xaf\x27\x1c",
    b"\x04\x22\x4d\x18",
];

/// A key in the scanned text.
pub(super) struct Match<'a> {
    pub(super) key: &'a str,
    pub(super) encoding: Encoding,
    /// Line number, from 1. `None` in a binary file.
    pub(super) line: Option<u64>,
    /// Offset in bytes.
    pub(super) offset: u64,
}

/// What a scanned file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// Text or any other uncompressed format: all keys were found.
    Uncompressed,
    /// Nothing was scanned: scan the unpacked content.
    Gzip,
    /// Keys in compressed parts were not found.
    Compressed,
}

/// Scans files one after another with the same buffer.
pub(super) struct KeyScanner {
    buffer: Vec<u8>,
    decoded: Vec<u8>,
}

impl KeyScanner {
    pub(super) fn new() -> Self {
        Self::with_block_size(BLOCK_BYTES)
    }

    fn with_block_size(size: usize) -> Self {
        Self { buffer: vec![0; size.max(LOOKAHEAD + 1)], decoded: Vec::new() }
    }

    /// Calls `on_key` for each key.
    pub(super) fn scan(
        &mut self,
        mut source: impl Read,
        mut on_key: impl FnMut(Match<'_>),
    ) -> io::Result<FileFormat> {
        let (mut carried, mut block_start, mut line) = (0, 0_u64, 1);
        let (mut format, mut binary) = (None, false);
        loop {
            let filled = carried + fill_buffer(&mut source, &mut self.buffer[carried..])?;
            let last = filled < self.buffer.len();
            let block = &self.buffer[..filled];
            let format = *format.get_or_insert_with(|| {
                binary = is_binary(&block[..filled.min(BINARY_SAMPLE_BYTES)]);
                detect_format(block)
            });
            if format == FileFormat::Gzip {
                return Ok(format);
            }
            let (mut offset, mut counted) = (0, 0);
            let mut search = PatternSearch::new(block);
            let rest = loop {
                let Some((start, number)) = search.find_from(offset) else {
                    break filled.saturating_sub(LONGEST_PATTERN - 1).max(offset);
                };
                if !last && start + LOOKAHEAD > filled {
                    break start;
                }
                let Some(found) = decode_key(&block[start..], number, &mut self.decoded) else {
                    offset = start + pattern_length(number);
                    continue;
                };
                line += count_lines(&block[counted..start]);
                (counted, offset) = (start, start + found.length);
                on_key(Match {
                    key: found.key,
                    encoding: found.encoding,
                    line: (!binary).then_some(line),
                    offset: block_start + start as u64,
                });
            };
            if last {
                return Ok(format);
            }
            line += count_lines(&block[counted..rest]);
            block_start += rest as u64;
            self.buffer.copy_within(rest..filled, 0);
            carried = filled - rest;
        }
    }
}

impl Drop for KeyScanner {
    fn drop(&mut self) {
        self.buffer.zeroize();
        self.decoded.zeroize();
    }
}

fn detect_format(start: &[u8]) -> FileFormat {
    if start.starts_with(b"\x1f\x8b\x08") {
        FileFormat::Gzip
    } else if COMPRESSED.iter().any(|magic| start.starts_with(magic)) {
        FileFormat::Compressed
    } else {
        FileFormat::Uncompressed
    }
}

/// Returns whether line numbers are meaningless in a file with this start. UTF-16 has NULs in half
/// of its bytes; in a binary file they are at odd and even offsets alike.
fn is_binary(sample: &[u8]) -> bool {
    let has_nul = |first| sample.iter().skip(first).step_by(2).any(|byte| *byte == 0);
    memchr(0, sample).is_some() && has_nul(0) && has_nul(1)
}

fn count_lines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

/// Reads until the block is full or the source ends. Returns the number of bytes.
fn fill_buffer(source: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(block_size: usize, text: &[u8]) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let format = KeyScanner::with_block_size(block_size)
            .scan(text, |found_key| found.push((found_key.line.unwrap(), found_key.key.to_owned())))
            .unwrap();
        assert_eq!(format, FileFormat::Uncompressed);
        found
    }

    /// Finds the keys with a simple second implementation: reads the whole text, one character at a
    /// time.
    fn scan_slowly(text: &str) -> Vec<(u64, String)> {
        let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
        while let Some(c) = rest.chars().next() {
            if let Some(body) = rest.strip_prefix("sk-or-v1-") {
                let mut run = String::new();
                for (offset, c) in body.char_indices().take(503) {
                    if !(c.is_ascii_alphanumeric() || "_-".contains(c))
                        || body[offset..].starts_with("sk-or-v1-")
                    {
                        break;
                    }
                    run.push(c);
                }
                if run.chars().take_while(char::is_ascii_hexdigit).count() == 64 {
                    run.truncate(64);
                }
                if run.len() >= 20 {
                    rest = &body[run.len()..];
                    found.push((line, format!("sk-or-v1-{run}")));
                    continue;
                }
            }
            line += u64::from(c == '\n');
            rest = &rest[c.len_utf8()..];
        }
        found
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z \n=\"]{0,90}",
            Just("sk-or-v1-".to_owned()),
            Just("sk-or-".to_owned()),
            "sk-or-v1-[0-9a-f]{64}",
            "sk-or-v1-[0-9a-f]{60,70}",
            "sk-or-v1-[0-9a-zA-Z_-]{0,30}",
            "sk-or-v1-[0-9a-zA-Z]{480,600}",
            "\n{1,3}",
            "é{1,3}",
        ]
    }

    proptest! {
        #[test]
        fn keys_are_found_on_their_line_wherever_blocks_end(
            pieces in prop::collection::vec(piece(), 0..60),
            block_size in 2_085_usize..2_600,
        ) {
            let text = pieces.concat();
            let expected = scan_slowly(&text);
            prop_assert_eq!(scan(block_size, text.as_bytes()), expected.clone());
            let ascii: String = text.chars().filter(char::is_ascii).collect();
            let utf16: Vec<u8> = ascii.encode_utf16().flat_map(u16::to_le_bytes).collect();
            prop_assert_eq!(scan(block_size, &utf16), scan_slowly(&ascii));
            for (_, key) in expected {
                prop_assert!(!crate::domain::mask_keys(&text).contains(&key));
            }
        }
    }

    #[test]
    fn a_key_in_a_binary_file_has_an_offset_and_no_line() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        let mut found = Vec::new();
        let text = format!("\n\0\0{}{key}", "x".repeat(BLOCK_BYTES));
        KeyScanner::new()
            .scan(text.as_bytes(), |key| found.push((key.line, key.offset, key.encoding)))
            .unwrap();
        assert_eq!(found, [(None, 3 + BLOCK_BYTES as u64, Encoding::Plain)]);
    }

    #[test]
    fn compressed_formats_are_recognized_by_their_first_bytes() {
        let format = |start: &[u8]| KeyScanner::new().scan(start, |_| ()).unwrap();
        assert_eq!(format(b"\x1f\x8b\x08\0"), FileFormat::Gzip);
        assert_eq!(format(b"PK\x03\x04"), FileFormat::Compressed);
        assert_eq!(format(b"PK"), FileFormat::Uncompressed);
        assert_eq!(format(b""), FileFormat::Uncompressed);
    }

    #[test]
    fn text_after_a_current_key_is_not_part_of_it() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        for text in [format!("{key}_old"), format!("{key}-{key}"), format!("{key}zzz")] {
            assert_eq!(scan(600, text.as_bytes())[0], (1, key.clone()), "{text}");
        }
        assert_eq!(scan(600, b"sk-or-v1-your-key-here"), []);
    }
}
