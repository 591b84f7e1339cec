//! Canonical decomposition and composition (Unicode's NFD and NFC).
//!
//! The iterators of `unicode-normalization` choose the form when they run, so the compatibility tables,
//! 60 kilobytes, would be in the binary too. Its functions for characters are used instead.

use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};

/// Returns the canonical decomposition.
pub(super) fn to_nfd(text: impl Iterator<Item = char>) -> Vec<char> {
    let mut chars = Vec::new();
    for c in text {
        decompose_canonical(c, |part| chars.push(part));
    }
    // Marks after a starter are ordered by their class.
    for marks in chars.split_mut(|c| canonical_combining_class(*c) == 0) {
        super::sort_by_key(marks, |c| canonical_combining_class(*c));
    }
    chars
}

/// Returns the canonical composition.
pub(super) fn to_nfc(text: impl Iterator<Item = char>) -> String {
    let mut composed: Vec<char> = Vec::new();
    let (mut starter, mut last_class) = (None, 0);
    for c in to_nfd(text) {
        let class = canonical_combining_class(c);
        if let Some(at) = starter {
            // A mark of the same or a higher class before this one blocks it.
            let is_reachable = composed.len() == at + 1 || last_class < class;
            if is_reachable && let Some(both) = compose(composed[at], c) {
                composed[at] = both;
                continue;
            }
        }
        if class == 0 {
            starter = Some(composed.len());
        }
        last_class = class;
        composed.push(c);
    }
    composed.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    proptest! {
        #[test]
        fn both_forms_are_those_of_the_library(
            text in "(\\PC|[a-zA-Z가-힣ᄀ-하-ᅵᆨ-ᇂ\u{300}-\u{345}\u{591}-\u{5bd}\u{93c}\u{9be}\u{1100}-\u{1112}]){0,12}",
        ) {
            let nfd: Vec<char> = text.nfd().collect();
            prop_assert_eq!(to_nfd(text.chars()), nfd);
            prop_assert_eq!(to_nfc(text.chars()), text.nfc().collect::<String>());
        }
    }
}
