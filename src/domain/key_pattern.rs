//! Finds and masks OpenRouter keys in text.

use std::ops::Range;

use memchr::memmem;

use super::mask_secret;

/// First characters of each OpenRouter key.
pub const KEY_PREFIX: &str = "sk-or-v1-";

/// Longest text that is taken as one key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// After the prefix, fewer characters than this are an example, not a key.
const MIN_BODY_BYTES: usize = 20;

/// Today's keys have this many hexadecimal digits after the prefix.
const CURRENT_BODY_BYTES: usize = 64;

/// Returns the key at the start of `text`, which begins with [`KEY_PREFIX`]. Text after the digits of
/// a current key, and the prefix of another key, end it.
pub fn match_key(text: &[u8]) -> Option<&str> {
    let prefix = KEY_PREFIX.len();
    let body = &text[prefix..text.len().min(MAX_KEY_BYTES + prefix)];
    let end = memmem::find(body, KEY_PREFIX.as_bytes()).unwrap_or(body.len());
    let body = &body[..end.min(MAX_KEY_BYTES - prefix)];
    let is_key_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = body.iter().position(|byte| !is_key_byte(byte)).unwrap_or(body.len());
    let digits = body.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(body.len());
    let length = if digits == CURRENT_BODY_BYTES { digits } else { length };
    let key = (length >= MIN_BODY_BYTES).then(|| &text[..prefix + length])?;
    std::str::from_utf8(key).ok()
}

/// Returns the offset and the masked form of each key in `text`.
pub fn find_keys(text: &str) -> impl Iterator<Item = (usize, String)> {
    key_ranges(text).map(|range| (range.start, mask_secret(&text[range])))
}

/// Returns `text` with each key masked.
pub fn mask_keys(text: &str) -> String {
    let (mut masked, mut end) = (String::with_capacity(text.len()), 0);
    for range in key_ranges(text) {
        masked.push_str(&text[end..range.start]);
        end = range.end;
        masked.push_str(&mask_secret(&text[range]));
    }
    masked + &text[end..]
}

fn key_ranges(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &text.as_bytes()[offset..];
            let start = offset + memmem::find(rest, KEY_PREFIX.as_bytes())?;
            let key = match_key(&text.as_bytes()[start..]);
            offset = start + key.map_or(KEY_PREFIX.len(), str::len);
            if key.is_some() {
                return Some(start..offset);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_masked_anywhere_in_a_text() {
        let key = format!("sk-or-v1-{}", "ab12".repeat(16));
        let found: Vec<_> = find_keys(&format!("é{key}, {key}_old")).collect();
        let masked = String::from("sk-or-v1-ab1...ab12");
        assert_eq!(found, [(2, masked.clone()), (77, masked)]);
        assert_eq!(mask_keys(&format!("a/{key}.txt")), "a/sk-or-v1-ab1...ab12.txt");
        assert_eq!(mask_keys(&format!("{key}{key}é")), "sk-or-v1-ab1...ab12".repeat(2) + "é");
    }

    #[test]
    fn short_examples_are_not_keys() {
        for text in ["", "sk-or-", "sk-or-v1-", "sk-or-v1-…", "use sk-or-v1-your-key-here."] {
            assert_eq!((find_keys(text).count(), mask_keys(text).as_str()), (0, text));
        }
    }
}
