//! Labels: the user's names for keys.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation;

use super::normal_form::{to_nfc, to_nfd};
use super::text::is_hidden_char;
use super::user_error::invalid;
use super::{ValidationError, format_command};

/// OpenRouter accepts names of at most 100 UTF-16 units; an emoji has two or more.
const MAX_UTF16_UNITS: usize = 100;

/// More combining marks on one character are unreadable (UTS #39 allows four).
const MAX_MARKS: usize = 4;

/// The user's name for a key: 1 to 100 UTF-16 units in Unicode's normalization form C, without control
/// or invisible characters and without spaces at either end. A label from a file may break the rules
/// that earlier versions did not have.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// Returns the `keywright` command `words`, such as `rm --revoke`, for the key with this label.
    pub fn command(&self, words: &str) -> String {
        format_command(&words.split(' ').collect::<Vec<_>>(), &[self.as_str()])
    }
    /// Returns the label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text that two labels share if people cannot tell them apart: normalized, and
    /// without invisible characters.
    pub fn canonical(&self) -> Cow<'_, str> {
        canonical(&self.0)
    }

    /// Returns whether `text` is this label or looks like it; see [`Label::canonical`].
    pub fn is_same(&self, text: &str) -> bool {
        self.0 == text || self.canonical() == canonical(text)
    }

    /// Returns the name of an environment variable for the key, for example `OPENROUTER_API_KEY_MY_TOOL`.
    pub fn to_variable_name(&self) -> String {
        let to_part =
            |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let words: String = self.0.chars().map(to_part).collect();
        format!("OPENROUTER_API_KEY_{words}")
    }

    /// Returns the label followed by a space and `suffix`, shortened before it to 100 UTF-16 units.
    /// The result always differs from the label.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let max = MAX_UTF16_UNITS.saturating_sub(utf16_len(suffix) + 1);
        let mut kept = String::new();
        for grapheme in self.0.graphemes(true) {
            if utf16_len(&kept) + utf16_len(grapheme) > max {
                break;
            }
            kept.push_str(grapheme);
        }
        loop {
            let suffixed = Self(format!("{} {suffix}", kept.trim_end()).trim_start().to_owned());
            if suffixed != *self {
                return suffixed;
            }
            let shorter =
                kept.trim_end().grapheme_indices(true).next_back().map_or(0, |(at, _)| at);
            kept.truncate(shorter);
        }
    }

    /// Parses the label of an existing key, by the rules of earlier versions: it may look like a key
    /// or like another label.
    pub fn parse_existing(text: &str) -> Result<Self, ValidationError> {
        if text.chars().any(|c| c.is_control() || is_hidden_char(c)) {
            return invalid(
                "a label has visible characters only: no line break, tab, escape or hidden character",
            );
        }
        let text = text.trim();
        if text.is_empty() {
            return invalid(
                "a label is required, such as the name of the tool that will use the key",
            );
        }
        if text.chars().count() > MAX_UTF16_UNITS {
            return invalid("a label has at most 100 characters");
        }
        Ok(Self(String::from(text)))
    }
}

impl Default for Label {
    fn default() -> Self {
        Self(String::from("(no name)"))
    }
}

impl FromStr for Label {
    type Err = ValidationError;

    fn from_str(text: &str) -> Result<Self, ValidationError> {
        if text.contains(super::KEY_PREFIX) {
            return invalid("this looks like a key; give a label, which is a name for the key");
        }
        let text = to_nfc(Self::parse_existing(text)?.0.chars());
        check_visible(&text)?;
        if utf16_len(&text) > MAX_UTF16_UNITS {
            return invalid("a label has at most 100 characters; an emoji counts as two or more");
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_existing(&text).map_err(serde::de::Error::custom)
    }
}

fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn canonical(text: &str) -> Cow<'_, str> {
    let is_nfc = || is_nfc_quick(text.chars()) == IsNormalized::Yes;
    if text.is_ascii() || is_nfc() && !text.contains(is_ignorable) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(to_nfc(text.chars().filter(|c| !is_ignorable(*c))))
}

/// Checks that no character is invisible, reads as another or hides the one before it.
fn check_visible(text: &str) -> Result<(), ValidationError> {
    let chars: Vec<char> = text.chars().collect();
    let is_emoji_at =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| is_emoji(*c));
    // The character that a joiner follows: selectors and skin tones belong to the emoji before them.
    let base = |end: usize| {
        chars[..end].iter().rposition(|c| !matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'))
    };
    for (at, c) in chars.iter().enumerate() {
        let allowed = match c {
            '\u{200d}' => is_emoji_at(base(at)) && is_emoji_at(Some(at + 1)),
            '\u{fe0f}' => is_emoji_at(at.checked_sub(1)) || chars.get(at + 1) == Some(&'\u{20e3}'),
            c => !is_ignorable(*c),
        };
        if !allowed {
            return invalid("a label has visible characters only: it contains an invisible one");
        }
        if c.is_whitespace() && !matches!(c, ' ' | '\u{3000}') {
            return invalid("a label has ordinary spaces only: it contains another kind of space");
        }
    }
    let (mut marks, mut last) = (0, None);
    for c in to_nfd(text.chars()) {
        if !is_combining_mark(c) {
            (marks, last) = (0, Some(c));
            continue;
        }
        marks += 1;
        if last.is_none() || last == Some(c) || marks > MAX_MARKS {
            return invalid("a label has at most four different combining marks on a character");
        }
        last = Some(c);
    }
    Ok(())
}

/// Returns whether `c` is drawn as nothing (Unicode's `Default_Ignorable_Code_Point`), or is blank.
fn is_ignorable(c: char) -> bool {
    is_hidden_char(c)
        || matches!(c,
            '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200d}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffc}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns whether `c` may begin an emoji: the blocks that contain Unicode's
/// `Extended_Pictographic`.
fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_look_like_another_label_are_refused() {
        let many_marks = format!("ci{}", "\u{301}\u{302}".repeat(5));
        for text in [
            "ci\u{200d}",
            "c\u{200d}i",
            "🚀\u{200d}",
            "\u{200d}🚀",
            "ci\u{fe0f}",
            "1\u{fe0f}",
            "ci\u{fe00}",
            "c\u{34f}i",
            "ci\u{17b4}",
            "ci\u{e0101}",
            "ci\u{180b}",
            "ci\u{1d173}",
            "my\u{a0}key",
            "my\u{2003}key",
            "\u{301}ci",
            "ci\u{301}\u{301}",
            &many_marks,
        ] {
            assert!(text.parse::<Label>().is_err(), "{text:?}");
            // A key that is already stored under such a label stays usable.
            let stored: Label = serde_json::from_value(text.into()).unwrap();
            assert_eq!(stored.as_str(), text.trim());
        }
    }

    #[test]
    fn labels_of_all_scripts_and_emoji_are_accepted() {
        for text in [
            "laptop",
            "größe",
            "Việt Nam ệ",
            "日本語　鍵",
            "हिन्दी",
            "ကျွန်ုပ်",
            "שָׁלוֹם",
            "ภาษาที่",
            "👨‍👩‍👧 family",
            "❤️",
            "👩🏽‍💻",
            "🏳️‍🌈",
            "🏴‍☠️",
            "1️⃣",
            "{shell}; $(touch X) `x` \" ' \\",
        ] {
            assert!(text.parse::<Label>().is_ok(), "{text:?}: {:?}", text.parse::<Label>());
        }
    }

    #[test]
    fn composed_and_decomposed_labels_are_the_same() {
        let composed: Label = "caf\u{e9}".parse().unwrap();
        assert_eq!("cafe\u{301}".parse::<Label>().unwrap(), composed);
        let stored = Label::parse_existing("cafe\u{301}").unwrap();
        assert_ne!(stored, composed);
        assert!(stored.is_same(composed.as_str()) && composed.is_same(stored.as_str()));
        assert!(Label::parse_existing("ci\u{fe0f}").unwrap().is_same("ci"));
        assert!(!composed.is_same("cafe"));
    }

    #[test]
    fn length_is_counted_in_utf16_units() {
        assert!("🚀".repeat(50).parse::<Label>().is_ok());
        assert!("🚀".repeat(51).parse::<Label>().is_err());
        assert!("é".repeat(100).parse::<Label>().is_ok());
        assert!("e\u{301}".repeat(50).parse::<Label>().is_ok());
        assert!("x".repeat(101).parse::<Label>().is_err());
    }

    #[test]
    fn a_suffixed_label_always_differs_and_fits() {
        for text in [
            "ci".to_owned(),
            "(old)".to_owned(),
            "x".repeat(100),
            format!("{} (old)", "x".repeat(94)),
            format!("{} (old)", "🚀".repeat(47)),
            "🚀".repeat(100),
            format!("a{}", "\u{301}".repeat(99)),
        ] {
            let label = Label::parse_existing(&text).unwrap();
            let suffixed = label.with_suffix("(old)");
            assert_ne!(suffixed, label);
            assert!(suffixed.as_str().ends_with("(old)") && utf16_len(suffixed.as_str()) <= 100);
        }
    }

    proptest! {
        #[test]
        fn an_accepted_label_is_normalized_visible_and_its_own_parse(text in "\\PC{0,60}") {
            if let Ok(label) = text.parse::<Label>() {
                prop_assert!(unicode_normalization::is_nfc(label.as_str()));
                let again = label.as_str().parse::<Label>();
                prop_assert_eq!(again.as_ref(), Ok(&label));
                prop_assert!(!label.with_suffix("(old)").is_same(label.as_str()));
            }
        }
    }
}
