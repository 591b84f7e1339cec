//! Finds the keys in one file, which is read in blocks. Skips binary files.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memmem};
use secrecy::zeroize::Zeroize;

use crate::domain::{KEY_PREFIX, MAX_KEY_BYTES, match_key};

/// A key ends where the next one begins: bytes to look at from the start of a key to know its end.
const LOOKAHEAD: usize = MAX_KEY_BYTES + KEY_PREFIX.len();
/// A NUL in this many bytes at the start makes a file binary.
const BINARY_SAMPLE_BYTES: usize = 8 * 1024;
/// Size of a block; most files fit into one.
const BLOCK_BYTES: usize = 128 * 1024;

/// Scans files one after another with the same buffer.
pub(super) struct KeyScanner {
    prefix_finder: memmem::Finder<'static>,
    buffer: Vec<u8>,
}

impl KeyScanner {
    pub(super) fn new() -> Self {
        Self::with_block_size(BLOCK_BYTES)
    }

    fn with_block_size(size: usize) -> Self {
        Self {
            prefix_finder: memmem::Finder::new(KEY_PREFIX),
            buffer: vec![0; size.max(LOOKAHEAD + 1)],
        }
    }

    /// Calls `on_key` with line and key for each key. Returns `false` for a binary file.
    pub(super) fn scan(
        &mut self,
        mut source: impl Read,
        mut on_key: impl FnMut(u64, &str),
    ) -> io::Result<bool> {
        let (mut carried, mut line, mut started, mut utf16) = (0, 1, false, false);
        loop {
            let mut filled = carried + fill_buffer(&mut source, &mut self.buffer[carried..])?;
            let last = filled < self.buffer.len();
            if !started {
                started = true;
                let sample = &self.buffer[..filled.min(BINARY_SAMPLE_BYTES)];
                utf16 = sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff");
                if !utf16 && memchr(0, sample).is_some() {
                    return Ok(false);
                }
            }
            if utf16 {
                // PowerShell writes UTF-16: ASCII characters remain when the NULs are removed.
                filled = carried + remove_nuls(&mut self.buffer[carried..filled]);
            }
            let block = &self.buffer[..filled];
            let (mut offset, mut counted) = (0, 0);
            let rest = loop {
                let Some(start) =
                    self.prefix_finder.find(&block[offset..]).map(|start| offset + start)
                else {
                    break filled.saturating_sub(KEY_PREFIX.len() - 1).max(offset);
                };
                if !last && start + LOOKAHEAD > filled {
                    break start;
                }
                match match_key(&block[start..]) {
                    Some(key) => {
                        line += count_lines(&block[counted..start]);
                        (counted, offset) = (start, start + key.len());
                        on_key(line, key);
                    }
                    None => offset = start + KEY_PREFIX.len(),
                }
            };
            if last {
                return Ok(true);
            }
            line += count_lines(&block[counted..rest]);
            self.buffer.copy_within(rest..filled, 0);
            carried = filled - rest;
        }
    }
}

impl Drop for KeyScanner {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
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

/// Removes the NULs from a block. Returns the number of bytes left.
fn remove_nuls(block: &mut [u8]) -> usize {
    let mut length = 0;
    for index in 0..block.len() {
        if block[index] != 0 {
            block[length] = block[index];
            length += 1;
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(block_size: usize, text: &[u8]) -> Option<Vec<(u64, String)>> {
        let mut found = Vec::new();
        let is_text = KeyScanner::with_block_size(block_size)
            .scan(text, |line, key| found.push((line, key.to_owned())))
            .unwrap();
        is_text.then_some(found)
    }

    /// A simple second implementation: it reads the whole text, one character at a time.
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
            pieces in prop::collection::vec(piece(), 0..24),
            block_size in 522_usize..900,
        ) {
            let text = pieces.concat();
            let expected = scan_slowly(&text);
            prop_assert_eq!(scan(block_size, text.as_bytes()), Some(expected.clone()));
            let mut utf16 = b"\xff\xfe".to_vec();
            utf16.extend(text.chars().filter(char::is_ascii).collect::<String>().encode_utf16().flat_map(u16::to_le_bytes));
            let ascii: String = text.chars().filter(char::is_ascii).collect();
            prop_assert_eq!(scan(block_size, &utf16), Some(scan_slowly(&ascii)));
            for (_, key) in expected {
                prop_assert!(!crate::domain::mask_keys(&text).contains(&key));
            }
        }
    }

    #[test]
    fn a_nul_near_the_start_makes_a_file_binary() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        assert_eq!(scan(600, format!("\0{key}").as_bytes()), None);
        let late = format!("{}\n{key}\0", "x".repeat(BINARY_SAMPLE_BYTES));
        assert_eq!(scan(BINARY_SAMPLE_BYTES, late.as_bytes()), Some(vec![(2, key)]));
    }

    #[test]
    fn text_after_a_current_key_is_not_part_of_it() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        for text in [format!("{key}_old"), format!("{key}-{key}"), format!("{key}zzz")] {
            assert_eq!(scan(600, text.as_bytes()).unwrap()[0], (1, key.clone()), "{text}");
        }
        assert_eq!(scan(600, b"sk-or-v1-your-key-here"), Some(vec![]));
    }
}
