//! Extracts the one OpenRouter key from text that was typed, pasted or piped in.

use secrecy::zeroize::Zeroizing;

use super::text::is_hidden_char;
use super::{ApiKey, ErrorKind, KEY_PREFIX, ManagementKey, UserError};

/// Why text has no key that may be sent. No variant contains a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyInputError {
    /// There is no text.
    #[error("no key was entered")]
    Empty,
    /// The text has no OpenRouter key.
    #[error("this is not an OpenRouter key, which starts with {KEY_PREFIX}")]
    NoKey,
    /// The text has several OpenRouter keys, or one several times.
    #[error("there is more than one OpenRouter key in the text")]
    SeveralKeys,
    /// Characters of the key are missing or belong to something else.
    #[error("the OpenRouter key in the text is incomplete")]
    Incomplete,
    /// The text has a key of this vendor.
    #[error("this is a key of {0}, not of OpenRouter")]
    OtherVendor(&'static str),
}

impl KeyInputError {
    /// Returns the error for the user. Nothing was sent, because the text is parsed first.
    pub fn to_user_error(self) -> UserError {
        let advice = match self {
            Self::Empty => "type the key, or pipe it in: keywright import LABEL < FILE",
            Self::NoKey => "copy the key from where you keep it; a new one: keywright new LABEL",
            Self::SeveralKeys => "give one key at a time",
            Self::Incomplete => {
                "copy the whole key again, on one line; a new one: keywright new LABEL"
            }
            Self::OtherVendor(_) => {
                "Keywright stores OpenRouter keys only; a new one: keywright new LABEL"
            }
        };
        UserError::new(ErrorKind::InvalidInput, self.to_string(), advice)
            .with_meaning("nothing was sent and nothing was changed")
    }

    /// Returns the error for the user where a management key was expected.
    pub fn to_management_key_error(self) -> UserError {
        let advice = match self {
            Self::Empty => "type the key, or pipe it in: keywright management set < FILE",
            Self::NoKey | Self::Incomplete | Self::OtherVendor(_) => {
                "copy the whole management key from OpenRouter's settings, on one line"
            }
            Self::SeveralKeys => "give one key at a time",
        };
        UserError { advice: advice.into(), ..self.to_user_error() }
    }
}

/// How keys of other vendors start, the longer start first where two match.
const OTHER_VENDORS: &[(&str, &str)] = &[
    ("sk-ant-", "Anthropic"),
    ("sk-proj-", "OpenAI"),
    ("sk-svcacct-", "OpenAI"),
    ("sk-admin-", "OpenAI"),
    ("sk-lf-", "Langfuse"),
    ("sk_live_", "Stripe"),
    ("sk_test_", "Stripe"),
    ("rk_live_", "Stripe"),
    ("sk-or-", "another version of OpenRouter's keys"),
    ("sk-", "OpenAI, DeepSeek or another vendor"),
    ("AIza", "Google"),
    ("gsk_", "Groq"),
    ("xai-", "xAI"),
    ("hf_", "Hugging Face"),
    ("r8_", "Replicate"),
    ("pplx-", "Perplexity"),
    ("nvapi-", "NVIDIA"),
    ("csk-", "Cerebras"),
    ("fw_", "Fireworks"),
    ("tgp_v1_", "Together AI"),
    ("vck_", "Vercel"),
    ("tvly-", "Tavily"),
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghu_", "GitHub"),
    ("ghs_", "GitHub"),
    ("ghr_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("AKIA", "AWS"),
    ("ASIA", "AWS"),
    ("xoxb-", "Slack"),
    ("xoxp-", "Slack"),
    ("npm_", "npm"),
    ("pypi-", "PyPI"),
    ("dckr_pat_", "Docker"),
    ("eyJ", "a service that issues JSON Web Tokens"),
];

impl ApiKey {
    /// Parses text that was typed, pasted or piped in: the key alone, in quotes, as `NAME=KEY`,
    /// `export NAME=KEY` or `Bearer KEY`, within a line of JSON, with invisible characters.
    pub fn parse_input(text: &str) -> Result<Self, KeyInputError> {
        extract_key(text).map(Self::from)
    }
}

impl ManagementKey {
    /// Parses text that was typed, pasted or piped in; see [`ApiKey::parse_input`].
    pub fn parse_input(text: &str) -> Result<Self, KeyInputError> {
        extract_key(text).map(Self::from)
    }
}

fn extract_key(text: &str) -> Result<String, KeyInputError> {
    // NUL is every second byte of UTF-16, which PowerShell writes to files.
    let is_invisible = |c: char| c == '\0' || c == '\u{200d}' || is_hidden_char(c);
    let mut visible = Zeroizing::new(String::with_capacity(text.len()));
    visible.extend(text.chars().filter(|c| !is_invisible(*c)));
    let mut starts = visible.match_indices(KEY_PREFIX).map(|(start, _)| start);
    let Some(start) = starts.next() else { return Err(describe_other_text(&visible)) };
    if starts.next().is_some() {
        return Err(KeyInputError::SeveralKeys);
    }
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let (before, rest) = visible.split_at(start);
    let length = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
    let (key, after) = rest.split_at(length);
    let body = &key[KEY_PREFIX.len()..];
    // The three points of a masked key, or a key that was broken over two lines.
    let is_masked = after.starts_with(['…', '*', '•']) || after.starts_with("..");
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_broken =
        body.len() < 64 && is_hex(body) && after.split_whitespace().next().is_some_and(is_hex);
    if before.ends_with(is_key_char) || body.is_empty() || is_masked || is_broken {
        return Err(KeyInputError::Incomplete);
    }
    Ok(key.to_owned())
}

/// Returns why text without an OpenRouter key is refused.
fn describe_other_text(text: &str) -> KeyInputError {
    if text.trim().is_empty() {
        return KeyInputError::Empty;
    }
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    let vendor = words.filter(|word| word.len() >= 8).find_map(|word| {
        OTHER_VENDORS.iter().find(|(start, _)| word.starts_with(start)).map(|(_, name)| *name)
    });
    vendor.map_or(KeyInputError::NoKey, KeyInputError::OtherVendor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> String {
        format!("{KEY_PREFIX}{}", "ab12".repeat(16))
    }

    #[test]
    fn the_key_is_extracted_from_what_people_paste() {
        let key = key();
        let utf_16 = key.chars().flat_map(|c| [c, '\0']).collect::<String>();
        for text in [
            key.clone(),
            format!("  {key}\r\n"),
            format!("\"{key}\""),
            format!("'{key}'"),
            format!("`{key}`"),
            format!("“{key}”"),
            format!("<{key}>"),
            format!("OPENROUTER_API_KEY={key}"),
            format!("OPENROUTER_API_KEY = \"{key}\" # mine"),
            format!("export OPENROUTER_API_KEY='{key}'; "),
            format!("$env:OPENROUTER_API_KEY = '{key}'"),
            format!("set -gx OPENROUTER_API_KEY {key}"),
            format!("Bearer {key}"),
            format!("-H 'Authorization: Bearer {key}'"),
            format!("{{\"key\":\"{key}\",\"hash\":\"abc\"}}"),
            format!("ANTHROPIC_API_KEY=sk-ant-api03-0123456789\nOPENROUTER_API_KEY={key}\n"),
            format!("\u{feff}{key}"),
            format!("\u{200b}{}\u{200d}{}\u{2060}", &key[..20], &key[20..]),
            format!("\u{fffd}\u{fffd}{utf_16}"),
            format!("{key}."),
        ] {
            assert_eq!(extract_key(&text).as_deref(), Ok(key.as_str()), "{text:?}");
        }
    }

    #[test]
    fn text_without_exactly_one_whole_key_is_refused() {
        let key = key();
        for (text, error) in [
            (String::new(), KeyInputError::Empty),
            (String::from(" \u{feff}\n"), KeyInputError::Empty),
            (String::from("hunter2"), KeyInputError::NoKey),
            (key.to_uppercase(), KeyInputError::NoKey),
            (format!("{key} {key}"), KeyInputError::SeveralKeys),
            (format!("{key}{key}"), KeyInputError::SeveralKeys),
            (String::from(KEY_PREFIX), KeyInputError::Incomplete),
            (String::from("sk-or-v1-ab1...ab12"), KeyInputError::Incomplete),
            (String::from("sk-or-v1-ab1…ab12"), KeyInputError::Incomplete),
            (format!("x{key}"), KeyInputError::Incomplete),
            (format!("{}\n{}", &key[..40], &key[40..]), KeyInputError::Incomplete),
        ] {
            assert_eq!(extract_key(&text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_key_of_another_vendor_is_named_and_not_repeated() {
        for (text, vendor) in [
            ("sk-ant-api03-0123456789abcdef", "Anthropic"),
            ("ANTHROPIC_API_KEY=\"sk-ant-api03-0123456789abcdef\"", "Anthropic"),
            ("sk-proj-0123456789abcdef", "OpenAI"),
            ("sk-0123456789abcdef0123456789abcdef", "OpenAI, DeepSeek"),
            ("AIzaSyA0123456789", "Google"),
            ("Bearer gsk_0123456789abcdef", "Groq"),
            ("ghp_0123456789abcdef", "GitHub"),
            ("github_pat_0123456789abcdef", "GitHub"),
            ("hf_0123456789abcdef", "Hugging Face"),
            ("xai-0123456789abcdef", "xAI"),
            ("sk-or-v2-0123456789abcdef", "another version"),
        ] {
            let error = extract_key(text).unwrap_err().to_user_error();
            assert!(error.message.contains(vendor), "{text}: {}", error.message);
            assert!(!error.one_line().contains("0123456789"), "{text}");
            assert_eq!(error.kind, ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn the_advice_for_a_management_key_names_its_own_command() {
        for error in [
            KeyInputError::Empty,
            KeyInputError::NoKey,
            KeyInputError::SeveralKeys,
            KeyInputError::Incomplete,
            KeyInputError::OtherVendor("Anthropic"),
        ] {
            let text = error.to_management_key_error().one_line();
            assert!(
                !text.contains("keywright import") && !text.contains("keywright new"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_one_bare_key(text in "(sk-or-v1-|sk-ant-|[ab1 \"'=…\u{feff}]|\\PC){0,40}") {
            if let Ok(key) = extract_key(&text) {
                prop_assert!(key.starts_with(KEY_PREFIX) && key.len() > KEY_PREFIX.len());
                prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
                prop_assert_eq!(key.matches(KEY_PREFIX).count(), 1);
            }
        }
    }
}
