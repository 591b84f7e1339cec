//! The forms in which a key is written: as it is, in UTF-16, with escaped dashes, and in Base64.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Encoding;
use crate::domain::{KEY_PREFIX, MAX_KEY_BYTES, match_key};

/// Bytes to look at from the start of a key to know its end, in the longest of the forms. A key ends
/// where the next one begins, so the prefix of that one counts as well.
pub(super) const LOOKAHEAD: usize = 4 * DECODED_BYTES;

const DECODED_BYTES: usize = MAX_KEY_BYTES + KEY_PREFIX.len();

/// How the text from a pattern on becomes the text of a key.
#[derive(Clone, Copy)]
enum Form {
    Plain,
    /// Each character is followed by a NUL. In big-endian text the first NUL is before the pattern.
    Utf16,
    Escaped,
    /// Starts `skip` characters after the pattern's start and continues `decoded`. Base64 has three
    /// forms of the same text, one for each position in a group of three bytes.
    Base64 {
        skip: usize,
        decoded: &'static [u8],
    },
}

/// The text that each form begins with.
const PATTERNS: &[(&[u8], Form)] = &[
    (KEY_PREFIX.as_bytes(), Form::Plain),
    (b"s\0k\0-\0o\0r\0-\0v\x001\0-", Form::Utf16),
    (br"sk\x2dor", Form::Escaped),
    (br"sk\x2Dor", Form::Escaped),
    (br"sk\u002dor", Form::Escaped),
    (br"sk\u002Dor", Form::Escaped),
    (b"sk%2dor", Form::Escaped),
    (b"sk%2Dor", Form::Escaped),
    (b"sk&#45;or", Form::Escaped),
    (br"sk\-or", Form::Escaped),
    (b"c2stb3ItdjEt", Form::Base64 { skip: 0, decoded: b"" }),
    (b"NrLW9yLXYxL", Form::Base64 { skip: 2, decoded: b"sk" }),
    (b"zay1vci12MS", Form::Base64 { skip: 1, decoded: b"s" }),
    // Base64 of UTF-16, as PowerShell takes commands.
    (b"cwBrAC0AbwByAC0AdgAxAC", Form::Base64 { skip: 0, decoded: b"" }),
    (b"MAawAtAG8AcgAtAHYAMQAt", Form::Base64 { skip: 2, decoded: b"s\0" }),
    (b"zAGsALQBvAHIALQB2ADEAL", Form::Base64 { skip: 1, decoded: b"s" }),
];

/// Length of the longest pattern, in bytes.
pub(super) const LONGEST_PATTERN: usize = 22;

/// Start of every pattern that has no search of its own.
const COMMON_START: &[u8] = b"sk";

/// Number of searches: one for the common start, one for each of the other patterns.
const SEARCHES: usize = 8;

static FINDERS: LazyLock<[Finder<'static>; SEARCHES]> = LazyLock::new(|| {
    let mut others =
        PATTERNS.iter().map(|(pattern, _)| *pattern).filter(|text| !text.starts_with(COMMON_START));
    std::array::from_fn(|_| Finder::new(others.next().unwrap_or(COMMON_START)))
});

/// Finds the patterns in a block of text, each search running only as far as its next match.
pub(super) struct PatternSearch<'a> {
    text: &'a [u8],
    /// The next match of each search: its offset and the number of the pattern.
    next: [Option<(usize, usize)>; SEARCHES],
}

impl<'a> PatternSearch<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, next: std::array::from_fn(|search| find_pattern(search, text, 0)) }
    }

    /// Returns the offset of the first pattern at or after `from`, and its number. `from` must not
    /// decrease between calls.
    pub(super) fn find_from(&mut self, from: usize) -> Option<(usize, usize)> {
        for (search, next) in self.next.iter_mut().enumerate() {
            if next.is_some_and(|(start, _)| start < from) {
                *next = find_pattern(search, self.text, from);
            }
        }
        self.next.iter().flatten().min().copied()
    }
}

fn find_pattern(search: usize, text: &[u8], from: usize) -> Option<(usize, usize)> {
    FINDERS[search].find_iter(text.get(from..)?).find_map(|offset| {
        let start = from + offset;
        let number = PATTERNS.iter().position(|(pattern, _)| text[start..].starts_with(pattern))?;
        Some((start, number))
    })
}

/// A key read from one of its forms.
pub(super) struct DecodedKey<'a> {
    pub(super) key: &'a str,
    pub(super) encoding: Encoding,
    /// Bytes of the text that the key takes, at least those of the pattern.
    pub(super) length: usize,
}

/// Returns the number of bytes to skip after a pattern that does not begin a key.
pub(super) fn pattern_length(number: usize) -> usize {
    PATTERNS[number].0.len()
}

/// Reads the key that begins with the pattern of this number at the start of `text`. `buffer` is used
/// for the forms other than plain text.
pub(super) fn decode_key<'a>(
    text: &'a [u8],
    number: usize,
    buffer: &'a mut Vec<u8>,
) -> Option<DecodedKey<'a>> {
    let (pattern, form) = PATTERNS[number];
    let text = &text[..text.len().min(LOOKAHEAD)];
    buffer.clear();
    // Only where a part of the text was left out does the key's own length differ.
    let mut ends: Option<Vec<usize>> = None;
    let encoding = match form {
        Form::Plain => {
            let key = match_key(text)?;
            return Some(DecodedKey { key, encoding: Encoding::Plain, length: key.len() });
        }
        Form::Utf16 => {
            let pairs = text.chunks(2).take_while(|pair| pair.get(1).is_none_or(|byte| *byte == 0));
            buffer.extend(pairs.take(DECODED_BYTES).map(|pair| pair[0]));
            Encoding::Utf16
        }
        Form::Escaped => {
            ends = Some(unescape(text, buffer));
            Encoding::Escaped
        }
        Form::Base64 { skip, decoded } => {
            buffer.extend_from_slice(decoded);
            decode_base64(&text[skip..], buffer);
            buffer.retain(|byte| *byte != 0);
            Encoding::Base64
        }
    };
    let key = buffer.starts_with(KEY_PREFIX.as_bytes()).then(|| match_key(buffer)).flatten()?;
    let length = match (encoding, ends) {
        (Encoding::Utf16, _) => 2 * key.len() - 1,
        (_, Some(ends)) => ends[key.len() - 1],
        _ => pattern.len(),
    };
    Some(DecodedKey { key, encoding, length })
}

/// Appends the unescaped text to `buffer`. Returns where each of its bytes ends in `text`.
fn unescape(text: &[u8], buffer: &mut Vec<u8>) -> Vec<usize> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let (mut ends, mut offset) = (Vec::new(), 0);
    while offset < text.len() && buffer.len() < DECODED_BYTES {
        let (byte, length) = match &text[offset..] {
            [b'\\', b'x', a, b, ..] => (hex(&[*a, *b]), 4),
            [b'\\', b'u', b'0', b'0', a, b, ..] => (hex(&[*a, *b]), 6),
            [b'%', a, b, ..] => (hex(&[*a, *b]), 3),
            [b'&', b'#', b'4', b'5', b';', ..] => (Some(b'-'), 5),
            [b'\\', b'-', ..] => (Some(b'-'), 2),
            [byte, ..] => (Some(*byte), 1),
            [] => break,
        };
        let Some(byte) = byte else { break };
        offset += length;
        buffer.push(byte);
        ends.push(offset);
    }
    ends
}

/// Appends what `text` decodes to, in the standard or the URL alphabet, up to its first other character.
/// Line breaks are skipped, since mail and PEM wrap lines.
fn decode_base64(text: &[u8], buffer: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u32, 0);
    for character in text {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => return,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            buffer.push((bits >> count & 0xff) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    /// Returns the first key in `text`.
    fn find_key(text: &[u8]) -> Option<(String, Encoding)> {
        let (start, number) = PatternSearch::new(text).find_from(0)?;
        let mut buffer = Vec::new();
        let found = decode_key(&text[start..], number, &mut buffer)?;
        Some((found.key.to_owned(), found.encoding))
    }

    fn to_utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    proptest! {
        #[test]
        fn a_key_is_read_from_each_of_its_forms(
            key in "sk-or-v1-([0-9a-f]{64}|[a-zA-Z0-9_-]{24,40}[g-z])",
            before in "[ -r]{0,8}",
        ) {
            let text = format!("{before}{key}\"\n");
            let utf16 = to_utf16(&text, u16::to_le_bytes);
            let mut lines = STANDARD.encode(&text);
            lines.insert_str(lines.len() - 8, "\r\n");
            let cases = [
                (text.clone().into_bytes(), Encoding::Plain),
                (utf16.clone(), Encoding::Utf16),
                (to_utf16(&text, u16::to_be_bytes), Encoding::Utf16),
                (text.replace('-', r"\x2d").into_bytes(), Encoding::Escaped),
                (text.replace('-', r"\u002D").into_bytes(), Encoding::Escaped),
                (text.replace('-', "%2D").into_bytes(), Encoding::Escaped),
                (text.replace('-', "&#45;").into_bytes(), Encoding::Escaped),
                (text.replace('-', r"\-").into_bytes(), Encoding::Escaped),
                (URL_SAFE.encode(&text).into_bytes(), Encoding::Base64),
                (lines.into_bytes(), Encoding::Base64),
                (STANDARD.encode(&utf16).into_bytes(), Encoding::Base64),
                (STANDARD.encode(to_utf16(&text, u16::to_be_bytes)).into_bytes(), Encoding::Base64),
            ];
            for (text, encoding) in cases {
                prop_assert_eq!(find_key(&text), Some((key.clone(), encoding)), "{:?}", String::from_utf8_lossy(&text));
            }
        }

        #[test]
        fn any_text_after_a_pattern_is_read_without_a_panic(
            number in 0..PATTERNS.len(),
            rest in prop::collection::vec(any::<u8>(), 0..2_200),
        ) {
            let text = [PATTERNS[number].0, &rest].concat();
            if let Some(found) = decode_key(&text, number, &mut Vec::new()) {
                prop_assert!(found.length <= text.len() && found.length >= KEY_PREFIX.len());
            }
        }
    }

    proptest! {
        #[test]
        fn every_pattern_is_found_wherever_the_search_goes_on(
            parts in prop::collection::vec((0..PATTERNS.len(), 0..30_usize, "[ -~]{0,40}"), 0..6),
            steps in prop::collection::vec(0..30_usize, 1..6),
        ) {
            let mut text = Vec::new();
            for (number, length, other) in parts {
                let pattern = PATTERNS[number].0;
                text.extend_from_slice(&pattern[..length.min(pattern.len())]);
                text.extend_from_slice(other.as_bytes());
            }
            let (mut search, mut from) = (PatternSearch::new(&text), 0);
            for step in steps {
                from += step;
                let expected = (from..text.len()).find_map(|start| {
                    let is_here = |(pattern, _): &(&[u8], Form)| text[start..].starts_with(pattern);
                    Some((start, PATTERNS.iter().position(is_here)?))
                });
                prop_assert_eq!(search.find_from(from), expected);
            }
        }
    }

    #[test]
    fn each_pattern_has_a_search() {
        let others = PATTERNS.iter().filter(|(pattern, _)| !pattern.starts_with(COMMON_START));
        assert_eq!(others.count() + 1, SEARCHES);
    }

    #[test]
    fn the_longest_pattern_has_the_stated_length() {
        assert_eq!(PATTERNS.iter().map(|(text, _)| text.len()).max(), Some(LONGEST_PATTERN));
    }

    #[test]
    fn examples_in_other_forms_are_not_keys() {
        for text in ["sk-or-v1-your-key-here", "sk-or-v1-…", "sk-or-v1-"] {
            assert_eq!(find_key(STANDARD.encode(text).as_bytes()), None);
            assert_eq!(find_key(&to_utf16(text, u16::to_le_bytes)), None);
            assert_eq!(find_key(text.replace('-', r"\x2d").as_bytes()), None);
        }
    }
}
