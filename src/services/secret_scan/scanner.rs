//! One file, block by block: the pattern, the line, and what is not text. Must not know: which
//! files there are.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memmem};
use secrecy::zeroize::Zeroize;

use crate::domain::ApiKey;

const KEY_PREFIX: &[u8] = b"sk-or-v1-";
/// After the prefix: fewer characters than this are an example, not a key.
const MIN_BODY_LEN: usize = 20;
/// The keys of today: so many hexadecimal digits.
const CURRENT_BODY_LEN: usize = 64;
/// Prefix and all; what goes on beyond is cut off.
const MAX_KEY_LEN: usize = 512;
/// A key ends where the next begins: how far to look to know where this one ends.
const LOOKAHEAD: usize = MAX_KEY_LEN + KEY_PREFIX.len();
/// How much of a file tells whether it is binary.
const BINARY_SAMPLE_BYTES: usize = 8 * 1024;
/// Most files fit.
const BLOCK_BYTES: usize = 128 * 1024;

/// Reads one file after another into the same block.
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

    /// Calls `seen` with the line and the key for each that stands in the text; whether it was one.
    pub(super) fn scan(
        &mut self,
        mut source: impl Read,
        mut seen: impl FnMut(u64, &str),
    ) -> io::Result<bool> {
        let (mut kept, mut line, mut begun, mut wide) = (0, 1, false, false);
        loop {
            let mut filled = kept + fill_buffer(&mut source, &mut self.buffer[kept..])?;
            let last = filled < self.buffer.len();
            if !begun {
                begun = true;
                let sample = &self.buffer[..filled.min(BINARY_SAMPLE_BYTES)];
                wide = sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff");
                if !wide && memchr(0, sample).is_some() {
                    return Ok(false);
                }
            }
            if wide {
                // UTF-16, as PowerShell writes it: without its NULs the ASCII in it is ASCII.
                filled = kept + remove_nuls(&mut self.buffer[kept..filled]);
            }
            let block = &self.buffer[..filled];
            let (mut at, mut counted) = (0, 0);
            let rest = loop {
                let Some(start) = self.prefix_finder.find(&block[at..]).map(|found| at + found)
                else {
                    break filled.saturating_sub(KEY_PREFIX.len() - 1).max(at);
                };
                if !last && start + LOOKAHEAD > filled {
                    break start;
                }
                match match_key(&block[start..]) {
                    Some(key) => {
                        line += count_lines(&block[counted..start]);
                        (counted, at) = (start, start + key.len());
                        seen(line, key);
                    }
                    None => at = start + KEY_PREFIX.len(),
                }
            };
            if last {
                return Ok(true);
            }
            line += count_lines(&block[counted..rest]);
            self.buffer.copy_within(rest..filled, 0);
            kept = filled - rest;
        }
    }
}

impl Drop for KeyScanner {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// The key that begins here. What follows the digits of today's keys is not part of one, nor is
/// the beginning of the next.
fn match_key(text: &[u8]) -> Option<&str> {
    let body = &text[KEY_PREFIX.len()..text.len().min(LOOKAHEAD)];
    let body = &body[..memmem::find(body, KEY_PREFIX)
        .unwrap_or(body.len())
        .min(MAX_KEY_LEN - KEY_PREFIX.len())];
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let run = body.iter().position(|byte| !part(byte)).unwrap_or(body.len());
    let digits = body[..run].iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(run);
    let length = if digits == CURRENT_BODY_LEN { CURRENT_BODY_LEN } else { run };
    let key = (length >= MIN_BODY_LEN).then(|| &text[..KEY_PREFIX.len() + length])?;
    std::str::from_utf8(key).ok()
}

/// The text with each key in it masked: what people name files after.
pub fn mask_keys(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = memmem::find(rest.as_bytes(), KEY_PREFIX) {
        hidden.push_str(&rest[..start]);
        let shown = match_key(&rest.as_bytes()[start..]);
        hidden.push_str(
            &shown.map_or("sk-or-v1-".into(), |key| ApiKey::from(key.to_owned()).masked()),
        );
        rest = &rest[start + shown.map_or(KEY_PREFIX.len(), str::len)..];
    }
    hidden + rest
}

fn count_lines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

/// Reads until the block is full or the source has ended.
fn fill_buffer(source: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Moves what is not NUL to the front; how much that is.
fn remove_nuls(block: &mut [u8]) -> usize {
    let mut kept = 0;
    for at in 0..block.len() {
        if block[at] != 0 {
            block[kept] = block[at];
            kept += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scanned(block: usize, text: &[u8]) -> Option<Vec<(u64, String)>> {
        let mut found = Vec::new();
        let text = KeyScanner::with_block_size(block)
            .scan(text, |line, key| found.push((line, key.to_owned())))
            .unwrap();
        text.then_some(found)
    }

    /// The rule once more, over the whole text and one character at a time.
    fn naive(text: &str) -> Vec<(u64, String)> {
        let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
        while let Some(c) = rest.chars().next() {
            if let Some(body) = rest.strip_prefix("sk-or-v1-") {
                let mut run = String::new();
                for (at, c) in body.char_indices().take(503) {
                    if !(c.is_ascii_alphanumeric() || "_-".contains(c))
                        || body[at..].starts_with("sk-or-v1-")
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
        fn every_key_is_found_on_its_line_wherever_the_blocks_end(
            pieces in prop::collection::vec(piece(), 0..24),
            block in 522_usize..900,
        ) {
            let text = pieces.concat();
            let expected = naive(&text);
            prop_assert_eq!(scanned(block, text.as_bytes()), Some(expected.clone()));
            let mut wide = b"\xff\xfe".to_vec();
            wide.extend(text.chars().filter(char::is_ascii).collect::<String>().encode_utf16().flat_map(u16::to_le_bytes));
            let ascii: String = text.chars().filter(char::is_ascii).collect();
            prop_assert_eq!(scanned(block, &wide), Some(naive(&ascii)));
            for (_, key) in expected {
                prop_assert!(!mask_keys(&text).contains(&key));
            }
        }
    }

    #[test]
    fn a_file_is_binary_when_its_beginning_holds_a_nul() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        assert_eq!(scanned(600, format!("\0{key}").as_bytes()), None);
        let late = format!("{}\n{key}\0", "x".repeat(BINARY_SAMPLE_BYTES));
        assert_eq!(scanned(BINARY_SAMPLE_BYTES, late.as_bytes()), Some(vec![(2, key)]));
    }

    #[test]
    fn what_follows_a_key_of_today_is_not_part_of_it() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        for text in [format!("{key}_old"), format!("{key}-{key}"), format!("{key}zzz")] {
            assert_eq!(scanned(600, text.as_bytes()).unwrap()[0], (1, key.clone()), "{text}");
        }
        assert_eq!(scanned(600, b"sk-or-v1-your-key-here"), Some(vec![]));
        assert_eq!(mask_keys(&format!("a/{key}.txt")), "a/sk-or-v1-ab1...ab12.txt");
    }
}
